"""XEP-0313 in rooms: who may read an archive, and what it tells of whom."""

from typing import Any

import pytest

from codec.element import Element
from codec.jid import JID
from codec.stanza import IQ, Message
from tests.modules.conftest import MakeWorld
from tests.support.rooms import MODULES, ROOM, admin, ask, condition, configure, den, enter, say
from tests.support.world import Client, World
from xmppd.modules import xep_0313_rooms

NS = "urn:xmpp:mam:2"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(*MODULES, "xep_0313_rooms", settings={"archive.page_max": 5})


async def read(client: Client, form: str = "", rsm: str = "", to: str = ROOM) -> tuple[IQ, list[Element]]:
    """Return the answer and the forwarded messages."""
    await client.drain()
    fields = f"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>{NS}</value></field>{form}</x>"
    page = f"<set xmlns='http://jabber.org/protocol/rsm'>{rsm}</set>" if rsm else ""
    await client.send(f"<iq type='set' id='q' to='{to}'><query xmlns='{NS}' queryid='q1'>{fields}{page}</query></iq>")
    came = await client.drain()
    results = [stanza.elements()[0] for stanza in came if isinstance(stanza, Message)]
    assert all(result.get("queryid") == "q1" for result in results)
    return came[-1], [result.elements()[0].elements()[1] for result in results]


def texts(found: list[Element]) -> list[str]:
    return [message.find("jabber:client body").text for message in found]  # type: ignore[union-attr]


async def test_archive_holds_what_was_said_by_whom(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    await say(romeo, "one", id_="m1")
    await say(juliet, "two")
    answer, found = await read(romeo)
    assert answer.type == "result" and texts(found) == ["one", "two"]
    assert [message.get("from") for message in found] == [f"{ROOM}/Romeo", f"{ROOM}/Juliet"]
    assert found[0].get("type") == "groupchat" and found[0].get("id") == "m1"
    assert all(message.find("urn:xmpp:occupant-id:0 occupant-id") for message in found)
    assert "jid=" not in str([message.to_xml() for message in found])


async def test_id_on_the_message_is_the_archives_id(world: World) -> None:
    romeo, _, _ = await den(world)
    await say(romeo, "one")
    (live,) = await romeo.drain()
    id_ = live.element("urn:xmpp:sid:0 stanza-id").get("id")
    await say(romeo, "two")
    _, found = await read(romeo, rsm=f"<after>{id_}</after>")
    assert texts(found) == ["two"]
    answer, _ = await read(romeo, rsm="<after>AAAAAAAAAAA</after>")
    assert condition(answer) == "item-not-found"


async def test_pages_and_nicknames_select(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    for number in range(7):
        await say((romeo, juliet)[number % 2], str(number))
    assert texts((await read(romeo, rsm="<max>3</max><before/>"))[1]) == ["4", "5", "6"]
    assert texts((await read(romeo))[1]) == ["0", "1", "2", "3", "4"]
    with_juliet = f"<field var='with'><value>{ROOM}/Juliet</value></field>"
    assert texts((await read(romeo, with_juliet))[1]) == ["1", "3", "5"]
    answer, found = await read(romeo, rsm="<max>0</max>")
    assert found == [] and b"<count>7</count>" in answer.inner


@pytest.mark.parametrize(
    ("settings", "affiliation", "expected"),
    [
        ({}, None, ""),
        ({}, "outcast", "forbidden"),
        ({"membersonly": True}, None, "forbidden"),
        ({"membersonly": True}, "member", ""),
        ({"passwordprotectedroom": True, "roomsecret": "x"}, None, "forbidden"),
        ({"passwordprotectedroom": True, "roomsecret": "x"}, "member", ""),
        ({"enablearchiving": False}, None, "service-unavailable"),
    ],
)
async def test_archive_is_for_those_who_may_enter(
    world: World, settings: dict[str, Any], affiliation: str | None, expected: str
) -> None:
    romeo, juliet, _ = await den(world, **settings)
    if affiliation:
        await admin(romeo, f"jid='juliet@example.org' affiliation='{affiliation}'")
    answer, _ = await read(juliet)
    assert condition(answer) == expected
    for inner in (f"<query xmlns='{NS}'/>", f"<metadata xmlns='{NS}'/>"):
        assert condition(await ask(juliet, "get", inner)) == expected


async def test_who_is_inside_reads_the_archive_of_a_room_with_a_password(world: World) -> None:
    _, juliet, _ = await den(world, passwordprotectedroom=True, roomsecret="x")
    await enter(juliet, "Juliet", "<password>x</password>")
    assert condition((await read(juliet))[0]) == ""


async def test_real_address_is_in_the_archive_only_where_all_saw_it_and_all_see_it(world: World) -> None:
    romeo, juliet, _ = await den(world, whois="anyone")
    await enter(juliet, "Juliet")
    await say(juliet, "open")

    async def names_juliet(client: Client) -> list[bool]:
        return [b"juliet@example.org" in message.to_xml() for message in (await read(client))[1]]

    assert await names_juliet(juliet) == [True]
    await configure(romeo, whois="moderators")
    await say(juliet, "hidden")
    assert await names_juliet(juliet) == [False, False]
    assert await names_juliet(romeo) == [True, False]


async def test_results_are_not_kept_in_the_askers_own_history(world: World) -> None:
    romeo, _, _ = await den(world)
    await say(romeo, "one")
    await read(romeo)
    assert await world.shared.backend.archive.bounds("romeo@example.org") is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:x</value></field></x>",
            "bad-request",
        ),
        ("<set xmlns='http://jabber.org/protocol/rsm'><max>many</max></set>", "bad-request"),
        ("<set xmlns='http://jabber.org/protocol/rsm'><index>3</index></set>", "feature-not-implemented"),
    ],
)
async def test_query_that_makes_no_sense_is_refused(world: World, query: str, expected: str) -> None:
    romeo, _, _ = await den(world)
    assert condition(await ask(romeo, "set", f"<query xmlns='{NS}'>{query}</query>")) == expected


async def test_room_offers_its_archive_and_its_form_and_bounds(world: World) -> None:
    romeo, _, _ = await den(world)
    await say(romeo, "one")
    await romeo.drain()
    info = await ask(romeo, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
    assert f"var='{NS}'".encode() in info.inner
    assert b"var='with'" in (await ask(romeo, "get", f"<query xmlns='{NS}'/>")).inner
    assert b"<start " in (await ask(romeo, "get", f"<metadata xmlns='{NS}'/>")).inner
    await configure(romeo, enablearchiving=False)
    info = await ask(romeo, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
    assert f"var='{NS}'".encode() not in info.inner


async def test_readers_at_once_are_limited(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    romeo, _, _ = await den(world)
    monkeypatch.setattr(xep_0313_rooms, "MAX_ARCHIVE_QUERIES", 0)
    assert condition((await read(romeo))[0]) == "resource-constraint"


async def test_reader_of_another_server_gets_results_by_the_router(world: World) -> None:
    romeo, _, _ = await den(world)
    await say(romeo, "one")
    taken: list[Any] = []
    world.shared.components.remote = type("Elsewhere", (), {"take": lambda _, stanza: taken.append(stanza)})()
    query = Element(f"{NS} query", {"queryid": "q1"})
    far = JID.parse("far@away.example/x")
    world.shared.components.find("conference.example.org").take(  # type: ignore[union-attr]
        IQ.build(query, to=JID.parse(ROOM), from_=far, type="set", id="1")
    )
    await world.settle()
    assert [stanza.kind for stanza in taken] == ["message", "iq"] and {stanza.to for stanza in taken} == {far}


async def test_server_that_keeps_no_messages_keeps_none_of_rooms_whatever_their_owners_want(
    make_world: MakeWorld,
) -> None:
    world = await make_world(*MODULES, "xep_0313_rooms", settings={"archive.enabled": False})
    romeo, _, _ = await den(world, enablearchiving=True)
    await say(romeo, "x")
    assert await world.shared.backend.archive.bounds(ROOM) is None
    assert condition((await read(romeo))[0]) == "service-unavailable"
