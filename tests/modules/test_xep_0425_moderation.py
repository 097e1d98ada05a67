"""XEP-0425: messages taken back by moderators, and by their authors (XEP-0424)."""

import pytest

from codec.element import parse_element
from storage.interface import ArchiveQuery
from storage.memory import MemoryBackend
from tests.modules.conftest import MakeWorld
from tests.support.rooms import MODULES, ROOM, admin, ask, bodies, condition, den, enter, messages, say
from tests.support.world import Client, World

NS = "urn:xmpp:message-moderate:1"
RETRACT = "urn:xmpp:message-retract:1"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(*MODULES, "xep_0425_moderation")


async def said(client: Client, text: str) -> str:
    """Say something and return the room's id of it."""
    await client.drain()
    await say(client, text)
    (message,) = await client.drain()
    return str(message.element("urn:xmpp:sid:0 stanza-id").get("id"))


def moderate(id_: str, inner: str = f"<retract xmlns='{RETRACT}'/><reason>rude</reason>") -> str:
    return f"<moderate xmlns='{NS}' id='{id_}'>{inner}</moderate>"


async def kept(world: World) -> list[object]:
    page = await world.shared.backend.archive.query(ROOM, ArchiveQuery())
    return [parse_element(message.stanza) for message in page.messages]


async def test_moderator_takes_a_message_back_and_all_are_told(world: World) -> None:
    romeo, juliet, mercutio = await den(world)
    await enter(juliet, "Juliet")
    id_ = await said(juliet, "bad words")
    assert (await ask(romeo, "set", moderate(id_))).type == "result"
    (notice,) = messages(await juliet.drain())
    assert notice.from_ == ROOM and notice.type == "groupchat"
    retract = notice.element(f"{RETRACT} retract")
    moderated, reason = retract.elements()
    assert retract.get("id") == id_ and moderated.get("by") == f"{ROOM}/Romeo" and reason.text == "rude"
    assert moderated.elements()[0].name == "occupant-id"
    stone, kept_notice = await kept(world)
    assert "bad words" not in stone.to_xml().decode()  # type: ignore[attr-defined]
    assert [child.name for child in stone.elements()] == ["occupant-id", "retracted"]  # type: ignore[attr-defined]
    assert stone.elements()[1].get("id") == notice.id  # type: ignore[attr-defined]
    assert kept_notice.find(f"{RETRACT} retract") is not None  # type: ignore[attr-defined]
    assert "bad words" not in bodies(await enter(mercutio, "Mercutio"))


@pytest.mark.parametrize(
    ("id_", "inner", "expected"),
    [
        ("AAAAAAAAAAA", None, "item-not-found"),
        ("nonsense", None, "item-not-found"),
        (None, "<reason>x</reason>", "bad-request"),
        (None, "<edit xmlns='urn:x'/>", "bad-request"),
    ],
)
async def test_wish_that_cannot_be_done_is_refused(
    world: World, id_: str | None, inner: str | None, expected: str
) -> None:
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    real = await said(juliet, "x")
    wish = moderate(id_ or real) if inner is None else moderate(id_ or real, inner)
    assert condition(await ask(romeo, "set", wish)) == expected
    await juliet.expect_nothing()


async def test_only_moderators_moderate(world: World) -> None:
    romeo, juliet, mercutio = await den(world)
    await enter(juliet, "Juliet")
    id_ = await said(romeo, "x")
    assert condition(await ask(juliet, "set", moderate(id_))) == "forbidden"
    await admin(romeo, "jid='mercutio@example.org' affiliation='admin'")
    assert condition(await ask(mercutio, "set", moderate(id_))) == "forbidden"
    assert len(await kept(world)) == 1


async def test_message_of_a_room_without_archive_is_taken_out_of_its_history(world: World) -> None:
    romeo, juliet, _ = await den(world, enablearchiving=False)
    id_ = await said(romeo, "x")
    assert (await ask(romeo, "set", moderate(id_))).type == "result"
    assert bodies(await enter(juliet, "Juliet")) == []


async def test_author_takes_its_own_message_back_and_nobody_elses(world: World) -> None:
    romeo, juliet, mercutio = await den(world)
    await enter(juliet, "Juliet")
    mine, others = await said(juliet, "mine"), await said(romeo, "others")
    for id_ in (mine, others):
        await juliet.send(
            f"<message to='{ROOM}' type='groupchat' id='r-{id_}'><retract xmlns='{RETRACT}' id='{id_}'/></message>"
        )
    texts = [element.to_xml().decode() for element in await kept(world)]  # type: ignore[attr-defined]
    assert f"id='r-{mine}'" in texts[0] and "mine" not in texts[0].replace(mine, "") and "<retracted" in texts[0]
    assert "others" in texts[1]
    assert "mine" not in bodies(await enter(mercutio, "Mercutio"))


async def test_room_offers_it(world: World) -> None:
    romeo, _, _ = await den(world)
    info = await ask(romeo, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
    for feature in (NS, RETRACT, f"{RETRACT}#tombstone"):
        assert f"var='{feature}'".encode() in info.inner


async def test_tombstone_is_no_history_after_a_restart(make_world: MakeWorld) -> None:
    backend = MemoryBackend()
    world = await make_world(*MODULES, "xep_0425_moderation", backend=backend)
    romeo, _, _ = await den(world, persistentroom=True)
    id_ = await said(romeo, "bad words")
    await ask(romeo, "set", moderate(id_))
    again = await make_world(*MODULES, "xep_0425_moderation", backend=backend)
    romeo = await again.client("romeo@example.org/orchard", "<presence/>")
    came = messages(await enter(romeo, "Romeo"))
    assert [stanza.has(f"{RETRACT} retracted") for stanza in came] == [False, False]
    assert came[0].has(f"{RETRACT} retract")
