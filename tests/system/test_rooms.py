"""Rooms with a stock client library: made, set up, moderated, and there again after the server was killed."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from slixmpp import JID
from slixmpp.exceptions import IqError, PresenceError

from tests.support.person import Person
from tests.system.conftest import Login, Target

PLUGINS = ("xep_0045", "xep_0059", "xep_0313", "xep_0077", "xep_0425")
pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]


@pytest.fixture(scope="module")
def rooms() -> Iterator[JID]:
    """Addresses of rooms that no other test of the file has used."""
    return (JID(f"room{number}@conference.localhost") for number in range(100))


async def enter(person: Person, room: JID, nick: str, **options: Any) -> Any:
    """Enter a room; returns what slixmpp says of it."""
    return await person.plugin["xep_0045"].join_muc_wait(room, nick, timeout=15, **options)


async def set_up(person: Person, room: JID, **values: str) -> None:
    """Change settings by the form that the room gives (`roomname="x"` is muc#roomconfig_roomname)."""
    form = await person.plugin["xep_0045"].get_room_config(room)
    form["type"] = "submit"
    form.set_values({f"muc#roomconfig_{name}": value for name, value in values.items()})
    await person.plugin["xep_0045"].set_room_config(room, form)


async def made(person: Person, room: JID, nick: str = "romeo", **values: str) -> None:
    """Make a room and set it up."""
    await enter(person, room, nick)
    await set_up(person, room, **values)


async def test_room_is_made_set_up_and_talked_in(login: Login, rooms: Iterator[JID]) -> None:
    room = next(rooms)
    romeo, juliet = await login(plugins=PLUGINS), await login(plugins=PLUGINS)
    await made(romeo, room, roomname="The Den", roomdesc="For lions")
    _, _, others, _ = await enter(juliet, room, "juliet")
    assert [presence["from"].resource for presence in others] == ["romeo", "juliet"]
    juliet.send_message(mto=room, mbody="hello all", mtype="groupchat")
    seen = await romeo.wait_message("hello all")
    assert seen["from"] == f"{room}/juliet"
    info = await juliet.plugin["xep_0030"].get_info(room, timeout=15)
    assert ("conference", "text", None, "The Den") in info["disco_info"]["identities"]


async def test_moderator_kicks_and_bans(login: Login, rooms: Iterator[JID]) -> None:
    room = next(rooms)
    romeo, juliet = await login(plugins=PLUGINS), await login(plugins=PLUGINS)
    await made(romeo, room)
    await enter(juliet, room, "juliet")
    gone = juliet.make_future(f"muc::{room}::got_offline")
    await romeo.plugin["xep_0045"].set_role(room, "juliet", "none", reason="rude")
    assert 307 in (await asyncio.wait_for(gone, 15))["muc"]["status_codes"]
    await enter(juliet, room, "juliet")
    gone = juliet.make_future(f"muc::{room}::got_offline")
    await romeo.plugin["xep_0045"].set_affiliation(room, "outcast", jid=juliet.boundjid.bare)
    assert 301 in (await asyncio.wait_for(gone, 15))["muc"]["status_codes"]
    with pytest.raises(PresenceError) as refused:
        await enter(juliet, room, "juliet")
    assert refused.value.condition == "forbidden"
    banned = await romeo.plugin["xep_0045"].get_affiliation_list(room, "outcast")
    assert [str(jid) for jid in banned] == [juliet.boundjid.bare]


async def test_members_and_passwords_keep_others_out(login: Login, rooms: Iterator[JID]) -> None:
    members, secret = next(rooms), next(rooms)
    romeo, juliet = await login(plugins=PLUGINS), await login(plugins=PLUGINS)
    await made(romeo, members, membersonly="1")
    await made(romeo, secret, passwordprotectedroom="1", roomsecret="rose")
    for room, condition in ((members, "registration-required"), (secret, "not-authorized")):
        with pytest.raises(PresenceError) as refused:
            await enter(juliet, room, "juliet")
        assert refused.value.condition == condition
    await enter(juliet, secret, "juliet", password="rose")
    await romeo.plugin["xep_0045"].set_affiliation(members, "member", jid=juliet.boundjid.bare)
    await enter(juliet, members, "juliet")


async def test_room_and_what_was_said_outlive_a_killed_server(
    server: Target, login: Login, rooms: Iterator[JID]
) -> None:
    room = next(rooms)
    romeo = await login(plugins=PLUGINS)
    member = await login(plugins=PLUGINS)
    await made(romeo, room, persistentroom="1", membersonly="1", roomname="Kept")
    await romeo.plugin["xep_0045"].set_affiliation(room, "member", jid=member.boundjid.bare)
    romeo.plugin["xep_0045"].set_subject(room, "Swords")
    for text in ("one", "two"):
        romeo.send_message(mto=room, mbody=text, mtype="groupchat")
        await romeo.wait_message(text)
    await asyncio.wait_for(
        romeo.plugin["xep_0313"].get_archive_metadata(jid=room), 15
    )  # all is committed when it answers
    server.kill9()
    server.start()
    again = await login(member.boundjid.bare, plugins=PLUGINS)
    _, subject, _, history = await enter(again, room, "juliet", maxstanzas=10)
    assert subject["subject"] == "Swords"
    assert [message["body"] for message in history] == ["one", "two"]
    found = [item async for item in again.plugin["xep_0313"].iterate(jid=room)]
    bodies = [item["mam_result"]["forwarded"]["message"]["body"] for item in found]
    assert [body for body in bodies if body] == ["one", "two"]
    stranger = await login(plugins=PLUGINS)
    with pytest.raises(PresenceError):
        await enter(stranger, room, "tybalt")
    with pytest.raises(IqError):
        await stranger.plugin["xep_0313"].get_archive_metadata(jid=room)
    assert [item async for item in stranger.plugin["xep_0313"].iterate(jid=room)] == []


async def test_forty_enter_at_once_and_all_hear_one(server: Target, login: Login, rooms: Iterator[JID]) -> None:
    room = next(rooms)
    romeo = await login(plugins=PLUGINS)
    await made(romeo, room)
    people = await asyncio.gather(*(login(plugins=PLUGINS, presence=False) for _ in range(40)))
    await asyncio.gather(*(enter(person, room, f"nick{number}") for number, person in enumerate(people)))
    romeo.send_message(mto=room, mbody="to all", mtype="groupchat")
    await asyncio.gather(*(person.wait_message("to all") for person in people))
    assert len(romeo.plugin["xep_0045"].get_roster(str(room))) == 41
