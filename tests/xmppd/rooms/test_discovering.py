"""Rooms and their service say what they are (XEP-0045 §6)."""

from typing import Any

import pytest

from codec.payloads.disco import Info
from tests.support.rooms import ROOM, ask, condition, configure, den, enter
from tests.support.world import Client, World

SERVICE = "conference.example.org"
INFO = "<query xmlns='http://jabber.org/protocol/disco#info'{}/>"
ITEMS = "<query xmlns='http://jabber.org/protocol/disco#items'{}>{}</query>"


async def features(client: Client, to: str = ROOM) -> Info:
    return Info.from_element((await ask(client, "get", INFO.format(""), to)).elements()[0])


async def test_service_is_listed_by_its_host_and_says_what_it_is(world: World) -> None:
    romeo, _, _ = await den(world)
    items = await ask(romeo, "get", ITEMS.format("", ""), "example.org")
    assert SERVICE in [item.get("jid") for item in items.elements()[0].elements()]
    info = await features(romeo, SERVICE)
    assert (info.identities[0].category, info.identities[0].type) == ("conference", "text")
    assert "http://jabber.org/protocol/muc" in info.features


@pytest.mark.parametrize(
    ("fields", "here", "gone"),
    [
        ({"membersonly": True}, "muc_membersonly", "muc_open"),
        ({"moderatedroom": True}, "muc_moderated", "muc_unmoderated"),
        ({"persistentroom": True}, "muc_persistent", "muc_temporary"),
        ({"publicroom": False}, "muc_hidden", "muc_public"),
        ({"whois": "anyone"}, "muc_nonanonymous", "muc_semianonymous"),
        ({"passwordprotectedroom": True, "roomsecret": "x"}, "muc_passwordprotected", "muc_unsecured"),
    ],
)
async def test_room_says_of_what_type_it_is(world: World, fields: dict[str, Any], here: str, gone: str) -> None:
    romeo, _, _ = await den(world)
    before = (await features(romeo)).features
    assert gone in before and here not in before
    await configure(romeo, **fields)
    after = (await features(romeo)).features
    assert here in after and gone not in after


async def test_room_tells_name_description_and_occupants(world: World) -> None:
    _romeo, juliet, _ = await den(world, roomname="The Den", roomdesc="Lions", lang="la")
    await enter(juliet, "Juliet")
    info = await features(juliet)
    (form,) = info.forms
    assert info.identities[0].name == "The Den"
    assert form.form_type == "http://jabber.org/protocol/muc#roominfo"
    assert form.value("muc#roominfo_description") == "Lions" and form.value("muc#roominfo_occupants") == "2"
    assert form.value("muc#roominfo_lang") == "la" and form.value("muc#roominfo_contactjid") is None


async def test_public_rooms_alone_are_listed_with_their_names_and_by_pages(world: World) -> None:
    romeo, _, _ = await den(world, roomname="The Den")
    for name in ("attic", "cellar", "hall"):
        await enter(romeo, "Romeo", room=f"{name}@{SERVICE}")
        await configure(romeo, room=f"{name}@{SERVICE}", publicroom=name != "attic")

    async def listed(inner: str = "") -> list[tuple[str | None, str | None]]:
        answer = await ask(romeo, "get", ITEMS.format("", inner), SERVICE)
        return [(one.get("jid"), one.get("name")) for one in answer.elements()[0].elements() if one.name == "item"]

    assert await listed() == [(f"cellar@{SERVICE}", "cellar"), (ROOM, "The Den"), (f"hall@{SERVICE}", "hall")]
    rsm = "<set xmlns='http://jabber.org/protocol/rsm'>{}</set>"
    assert [jid for jid, _ in await listed(rsm.format("<max>1</max><after>cellar</after>"))] == [ROOM]
    assert [jid for jid, _ in await listed(rsm.format("<max>1</max><before/>"))] == [f"hall@{SERVICE}"]
    assert await listed(rsm.format("<max>0</max>")) == []
    assert condition(await ask(romeo, "get", ITEMS.format("", rsm.format("<max>x</max>")), SERVICE)) == "bad-request"


async def test_occupants_are_listed_to_others_where_the_room_is_open(world: World) -> None:
    romeo, juliet, _ = await den(world)

    async def listed(client: Client) -> list[str | None]:
        answer = await ask(client, "get", ITEMS.format("", ""))
        return [item.get("jid") for item in answer.elements()[0].elements()]

    assert await listed(juliet) == [f"{ROOM}/Romeo"]
    await configure(romeo, membersonly=True)
    assert await listed(juliet) == [] and await listed(romeo) == [f"{ROOM}/Romeo"]


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("urn:x", "item-not-found"),
        ("http://jabber.org/protocol/muc#traffic", "service-unavailable"),
        ("x-roomuser-item", ""),
    ],
)
async def test_nodes_of_a_room(world: World, node: str, expected: str) -> None:
    _, juliet, _ = await den(world)
    answer = await ask(juliet, "get", INFO.format(f" node='{node}'"))
    assert condition(answer) == expected
    if not expected:
        assert answer.elements()[0].elements() == ()


async def test_locked_room_is_known_to_its_owner_alone(world: World) -> None:
    romeo = await world.client("romeo@example.org/orchard", "<presence/>")
    juliet = await world.client("juliet@example.org/balcony", "<presence/>")
    await enter(romeo, "Romeo")
    assert (await ask(romeo, "get", INFO.format(""))).type == "result"
    assert condition(await ask(juliet, "get", INFO.format(""))) == "item-not-found"
    assert condition(await ask(juliet, "get", INFO.format(" node='urn:x'"), SERVICE)) == "item-not-found"
    assert condition(await ask(juliet, "get", ITEMS.format(" node='urn:x'", ""), SERVICE)) == "item-not-found"
