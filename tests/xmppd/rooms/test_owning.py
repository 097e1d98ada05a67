"""Rooms are set up, changed and destroyed by their owners (XEP-0045 §10)."""

from typing import Any

import pytest

from codec.payloads.data_form import Form
from storage.memory import MemoryBackend
from tests.support.rooms import (  # fmt: skip
    MODULES,
    MUC,
    ROOM,
    admin,
    ask,
    codes,
    condition,
    configure,
    den,
    enter,
    messages,
    presences,
    say,
    x_of,
)
from tests.support.world import World

OWNER = f"{MUC}#owner"


async def test_new_room_is_locked_until_its_owner_sets_it_up(world: World) -> None:
    romeo = await world.client("romeo@example.org/orchard", "<presence/>")
    juliet = await world.client("juliet@example.org/balcony", "<presence/>")
    own = presences(await enter(romeo, "Romeo"))[-1]
    assert 201 in codes(own) and 110 in codes(own)
    assert condition((await enter(juliet, "Juliet"))[0]) == "item-not-found"
    await say(juliet, "x")
    assert condition((await juliet.drain())[0]) == "item-not-found"
    assert (await configure(romeo)).type == "result"
    assert condition((await enter(juliet, "Juliet"))[0]) == ""


async def test_cancelling_the_first_form_destroys_the_room(world: World) -> None:
    romeo = await world.client("romeo@example.org/orchard", "<presence/>")
    await enter(romeo, "Romeo")
    cancel = f"<query xmlns='{OWNER}'><x xmlns='jabber:x:data' type='cancel'/></query>"
    assert (await ask(romeo, "set", cancel)).type == "result"
    assert [stanza.type for stanza in await romeo.drain()] == ["unavailable"]
    assert 201 in codes(presences(await enter(romeo, "Romeo"))[-1])


async def test_cancelling_a_later_form_changes_nothing(world: World) -> None:
    romeo, _, _ = await den(world)
    cancel = f"<query xmlns='{OWNER}'><x xmlns='jabber:x:data' type='cancel'/></query>"
    assert (await ask(romeo, "set", cancel)).type == "result"
    await romeo.expect_nothing()


async def test_form_shows_the_settings_as_they_are(world: World) -> None:
    romeo, juliet, _ = await den(world, roomname="The Den", membersonly=True)
    answer = await ask(romeo, "get", f"<query xmlns='{OWNER}'/>")
    form = Form.from_element(answer.elements()[0].elements()[0])
    assert form.form_type == f"{MUC}#roomconfig"
    assert form.value("muc#roomconfig_roomname") == "The Den" and form.boolean("muc#roomconfig_membersonly")
    assert condition(await ask(juliet, "get", f"<query xmlns='{OWNER}'/>")) == "forbidden"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"moderatedroom": "perhaps"}, "bad-request"),
        ({"maxusers": "many"}, "bad-request"),
        ({"maxusers": "1000000"}, "not-acceptable"),
        ({"whois": "nobody"}, "bad-request"),
        ({"allowpm": "friends"}, "bad-request"),
        ({"presencebroadcast": ("king",)}, "bad-request"),
        ({"passwordprotectedroom": True, "roomsecret": ""}, "not-acceptable"),
        ({"roomname": "x" * 300}, "not-acceptable"),
    ],
)
async def test_form_with_wrong_values_is_refused_and_nothing_changes(
    world: World, fields: dict[str, Any], expected: str
) -> None:
    romeo, juliet, _ = await den(world)
    assert condition(await configure(romeo, roomdesc="new", **fields)) == expected
    answer = await ask(juliet, "get", "<query xmlns='http://jabber.org/protocol/disco#info'/>")
    assert "new" not in answer.to_xml().decode()


@pytest.mark.parametrize(
    "query",
    [
        f"<query xmlns='{OWNER}'/>",
        f"<query xmlns='{OWNER}'><x xmlns='jabber:x:data' type='form'/></query>",
        f"<query xmlns='{OWNER}'><x xmlns='jabber:x:data'/></query>",
        f"<query xmlns='{OWNER}'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:x</value></field></x></query>",
    ],
)
async def test_request_that_is_no_form_of_settings_is_a_bad_request(world: World, query: str) -> None:
    romeo, _, _ = await den(world)
    assert condition(await ask(romeo, "set", query)) == "bad-request"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"roomname": "x"}, [104]),
        ({"whois": "anyone"}, [172]),
        ({"enablearchiving": False}, [171]),
        ({"whois": "anyone", "roomdesc": "y", "enablelogging": False}, [171, 172, 104]),
    ],
)
async def test_occupants_are_told_what_kind_of_change_it_was(
    world: World, fields: dict[str, Any], expected: list[int]
) -> None:
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    await configure(romeo, **fields)
    (message,) = messages(await juliet.drain())
    assert (message.from_, message.type, codes(message)) == (ROOM, "groupchat", expected)


async def test_room_that_becomes_one_for_members_sends_others_away(world: World) -> None:
    romeo, juliet, mercutio = await den(world)
    await admin(romeo, "jid='juliet@example.org' affiliation='member'")
    await enter(juliet, "Juliet")
    await enter(mercutio, "Mercutio")
    await juliet.drain()
    await configure(romeo, membersonly=True)
    assert codes(presences(await mercutio.drain())[-1]) == [110, 322]
    assert codes(presences(await juliet.drain())[-1]) == [322]


async def test_destroyed_room_names_another_and_nothing_of_it_is_left(world: World) -> None:
    romeo, juliet, _ = await den(world, persistentroom=True)
    await enter(juliet, "Juliet")
    await say(romeo, "secret")
    await juliet.drain()
    end = f"<query xmlns='{OWNER}'><destroy jid='hall@conference.example.org'><reason>fire</reason><password>p</password></destroy></query>"
    assert condition(await ask(juliet, "set", end)) == "forbidden"
    assert (await ask(romeo, "set", end)).type == "result"
    (away,) = await juliet.drain()
    destroy = x_of(away).find(f"{MUC}#user destroy")
    assert away.type == "unavailable" and destroy.get("jid") == "hall@conference.example.org"
    assert [child.text for child in destroy.elements()] == ["p", "fire"]
    assert await world.shared.backend.archive.bounds(ROOM) is None
    own = presences(await enter(juliet, "Juliet"))[-1]
    assert 201 in codes(own)


async def test_persistent_room_is_there_after_a_restart(make_world: Any) -> None:
    backend = MemoryBackend()
    world = await make_world(*MODULES, backend=backend)
    romeo, juliet, _ = await den(world, persistentroom=True, roomname="The Den", membersonly=True)
    await admin(romeo, "jid='juliet@example.org' affiliation='admin'")
    await enter(juliet, "Juliet")
    await say(romeo, "remember")
    await romeo.send(f"<message to='{ROOM}' type='groupchat'><subject>Swords</subject></message>")
    again = await make_world(*MODULES, backend=backend)
    juliet = await again.client("juliet@example.org/balcony", "<presence/>")
    await juliet.drain()
    came = await enter(juliet, "Juliet")
    assert 201 not in codes(presences(came)[-1])
    assert x_of(presences(came)[-1]).elements()[0].get("affiliation") == "admin"
    said, subject = messages(came)
    assert said.element("jabber:client body").text == "remember" and said.from_ == f"{ROOM}/Romeo"
    assert subject.element("jabber:client subject").text == "Swords" and subject.from_ == f"{ROOM}/Romeo"
    tybalt = await again.client("tybalt@example.org/x", "<presence/>")
    assert condition((await enter(tybalt, "Tybalt"))[0]) == "registration-required"


async def test_room_that_is_persistent_no_more_ends_when_it_is_empty(make_world: Any) -> None:
    backend = MemoryBackend()
    world = await make_world(*MODULES, backend=backend)
    romeo, _, _ = await den(world, persistentroom=True)
    await romeo.send(f"<presence to='{ROOM}/Romeo' type='unavailable'/>")
    await romeo.drain()
    assert (await configure(romeo, persistentroom=False)).type == "result"
    assert 201 in codes(presences(await enter(romeo, "Romeo"))[-1])
