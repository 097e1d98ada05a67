"""XEP-0486: a room's picture is set by its owners and found by everybody."""

from base64 import b64encode
from hashlib import sha1

import pytest

from codec.stanza import Message, Presence
from tests.modules.conftest import MakeWorld
from tests.support.rooms import MODULES, ROOM, admin, ask, codes, condition, den, enter
from tests.support.world import Client, World

PICTURE = b"picture"
HASH = sha1(PICTURE).hexdigest()
CARD = f"<vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>{b64encode(PICTURE).decode()}</BINVAL></PHOTO></vCard>"
EMPTY = "<vCard xmlns='vcard-temp'/>"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(*MODULES, "xep_0486_room_avatars")


async def info(client: Client) -> str:
    return str((await ask(client, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>")).to_xml().decode())


async def test_picture_is_announced_told_and_given(world: World) -> None:
    romeo, juliet, mercutio = await den(world)
    await enter(juliet, "Juliet")
    assert "avatarhash" not in await info(juliet) and "vcard-temp" in await info(juliet)
    assert (await ask(romeo, "set", CARD)).type == "result"
    notice, presence = await juliet.drain()
    assert isinstance(notice, Message) and codes(notice) == [104]
    assert isinstance(presence, Presence) and presence.from_ == ROOM and HASH.encode() in presence.inner
    assert HASH in await info(mercutio)
    assert CARD.encode() in (await ask(mercutio, "get", EMPTY)).to_xml()
    assert any(stanza.from_ == ROOM and HASH.encode() in stanza.inner for stanza in await enter(mercutio, "Mercutio"))


async def test_picture_is_removed(world: World) -> None:
    romeo, _, _ = await den(world)
    await ask(romeo, "set", CARD)
    await ask(romeo, "set", EMPTY)
    assert "avatarhash" not in await info(romeo)
    assert (await ask(romeo, "get", EMPTY)).elements()[0].elements() == ()


async def test_only_owners_set_it_and_outcasts_do_not_see_it(world: World) -> None:
    romeo, juliet, mercutio = await den(world)
    await admin(
        romeo, "jid='juliet@example.org' affiliation='admin'", "jid='mercutio@example.org' affiliation='outcast'"
    )
    assert condition(await ask(juliet, "set", CARD)) == "forbidden"
    assert condition(await ask(mercutio, "get", EMPTY)) == "forbidden"


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("<PHOTO><BINVAL>!</BINVAL></PHOTO>", "bad-request"),
        ("<PHOTO/>" * 5, "policy-violation"),
        ("<PHOTO><EXTVAL>https://x.example/</EXTVAL></PHOTO><FN>Den</FN>", ""),
    ],
)
async def test_card_is_looked_at(world: World, inner: str, expected: str) -> None:
    romeo, _, _ = await den(world)
    assert condition(await ask(romeo, "set", f"<vCard xmlns='vcard-temp'>{inner}</vCard>")) == expected


async def test_destroyed_room_leaves_no_card(world: World) -> None:
    romeo, _, _ = await den(world)
    await ask(romeo, "set", CARD)
    await romeo.send(f"<presence to='{ROOM}/Romeo' type='unavailable'/>")
    await enter(romeo, "Romeo")
    assert (await ask(romeo, "get", EMPTY)).elements()[0].elements() == ()
