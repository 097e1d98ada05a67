"""Coming in, being somebody else, and going (XEP-0045 §7.2, §7.6, §7.7, §7.14)."""

import pytest

from codec.stanza import Message, Presence
from tests.support.rooms import MUC, ROOM, admin, codes, condition, den, enter, item, presences, say
from tests.support.world import Client, World
from xmppd.rooms import limits


async def test_newcomer_gets_the_others_then_itself_then_the_subject(world: World) -> None:
    romeo, juliet, mercutio = await den(world)
    await enter(juliet, "Juliet")
    await romeo.drain()
    came = await enter(mercutio, "Mercutio")
    assert [stanza.from_ for stanza in came] == [f"{ROOM}/Romeo", f"{ROOM}/Juliet", f"{ROOM}/Mercutio", ROOM]
    assert codes(came[0]) == [] and 110 in codes(came[2])
    assert isinstance(came[3], Message) and came[3].has("jabber:client subject")
    assert [stanza.from_ for stanza in await romeo.drain()] == [f"{ROOM}/Mercutio"]


async def test_real_jids_are_shown_to_moderators_alone_where_the_room_is_semi_anonymous(world: World) -> None:
    romeo, juliet, mercutio = await den(world)
    await enter(juliet, "Juliet")
    assert item((await romeo.drain())[0])["jid"] == juliet.jid
    came = await enter(mercutio, "Mercutio")
    assert "jid" not in item(came[0]) and "jid" not in item(came[1])
    assert "jid" not in item((await juliet.drain())[-1])


async def test_real_jids_are_shown_to_all_where_the_room_is_not_anonymous_and_it_says_so(world: World) -> None:
    _, juliet, mercutio = await den(world, whois="anyone")
    await enter(juliet, "Juliet")
    came = await enter(mercutio, "Mercutio")
    assert item(came[1])["jid"] == juliet.jid
    assert 100 in codes(came[2])
    assert item((await juliet.drain())[-1])["jid"] == mercutio.jid


@pytest.mark.parametrize("archived", [True, False])
async def test_newcomers_are_told_that_the_room_keeps_what_they_say(world: World, archived: bool) -> None:
    _, juliet, _ = await den(world, enablearchiving=archived)
    assert (170 in codes(presences(await enter(juliet, "Juliet"))[-1])) is archived


async def test_occupants_cannot_say_what_rooms_say(world: World) -> None:
    romeo, juliet, _ = await den(world)
    fake = f"<x xmlns='{MUC}#user'><item affiliation='owner'/></x><occupant-id xmlns='urn:xmpp:occupant-id:0' id='x'/>"
    await enter(juliet, "Juliet", show=f"<show>away</show>{fake}")
    (presence,) = await romeo.drain()
    assert item(presence)["affiliation"] == "none"
    assert presence.tags.count(f"{MUC}#user x") == 1 and not presence.has(f"{MUC} x")
    ids = [child.get("id") for child in presence.elements() if child.name == "occupant-id"]
    assert len(ids) == 1 and ids != ["x"]
    assert presence.element("jabber:client show").text == "away"


async def test_occupant_id_is_the_same_next_time_and_under_another_nickname(world: World) -> None:
    romeo, juliet, mercutio = await den(world)

    async def id_after(client: Client, nick: str) -> str:
        await enter(client, nick)
        (presence,) = await romeo.drain()
        await client.send(f"<presence to='{ROOM}/{nick}' type='unavailable'/>")
        await romeo.drain()
        return str(presence.element("urn:xmpp:occupant-id:0 occupant-id").get("id"))

    first = await id_after(juliet, "Juliet")
    assert await id_after(juliet, "Capulet") == first
    assert await id_after(mercutio, "Juliet") != first


@pytest.mark.parametrize(
    ("settings", "password", "expected"),
    [
        ({"membersonly": True}, "", "registration-required"),
        ({"passwordprotectedroom": True, "roomsecret": "rose"}, "", "not-authorized"),
        ({"passwordprotectedroom": True, "roomsecret": "rose"}, "<password>Rose</password>", "not-authorized"),
        ({"passwordprotectedroom": True, "roomsecret": "rose"}, "<password>rose</password>", ""),
        ({"maxusers": "1"}, "", "service-unavailable"),
    ],
)
async def test_room_refuses_whom_its_settings_keep_out(
    world: World, settings: dict[str, str], password: str, expected: str
) -> None:
    _, juliet, _ = await den(world, **settings)
    came = await enter(juliet, "Juliet", password)
    assert condition(came[0]) == expected
    if expected:
        assert came[0].type == "error" and came[0].from_ == f"{ROOM}/Juliet" and came[0].has(f"{MUC} x")


async def test_banned_is_forbidden_and_a_member_may_enter_what_is_for_members(world: World) -> None:
    romeo, juliet, mercutio = await den(world, membersonly=True)
    await admin(
        romeo, "jid='juliet@example.org' affiliation='outcast'", "jid='mercutio@example.org' affiliation='member'"
    )
    assert condition((await enter(juliet, "Juliet"))[0]) == "forbidden"
    await mercutio.drain()
    assert item((await enter(mercutio, "Mercutio"))[1])["affiliation"] == "member"


async def test_admin_enters_a_full_room(world: World) -> None:
    romeo, juliet, _ = await den(world, maxusers="1")
    await admin(romeo, "jid='juliet@example.org' affiliation='admin'")
    assert condition((await enter(juliet, "Juliet"))[0]) == ""


@pytest.mark.parametrize("nick", ["Romeo", "romeo", "ROMEO", "R0meo", "Rom\u0435o", "Romeo "])
async def test_nickname_that_looks_like_anothers_is_a_conflict(world: World, nick: str) -> None:
    _, juliet, _ = await den(world)
    assert condition((await enter(juliet, nick))[0]) == "conflict"


async def test_reserved_nickname_is_a_conflict_for_others(world: World) -> None:
    _romeo, juliet, mercutio = await den(world)
    form = f"<field var='FORM_TYPE'><value>{MUC}#register</value></field><field var='muc#register_roomnick'><value>Rose</value></field>"
    register = f"<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'>{form}</x></query>"
    await juliet.send(f"<iq type='set' id='r' to='{ROOM}'>{register}</iq>")
    assert (await juliet.next_stanza()).type == "result"
    assert condition((await enter(mercutio, "rose"))[0]) == "conflict"
    assert condition((await enter(juliet, "Rose"))[0]) == ""


async def test_nickname_is_missing_or_none(world: World) -> None:
    _, juliet, _ = await den(world)
    await juliet.send(f"<presence to='{ROOM}'><x xmlns='{MUC}'/></presence>")
    assert condition((await juliet.drain())[0]) == "jid-malformed"


async def test_room_trims_a_nickname_and_says_so(world: World) -> None:
    _, juliet, _ = await den(world)
    came = presences(await enter(juliet, "Juliet  Capulet"))
    assert came[-1].from_ == f"{ROOM}/Juliet Capulet" and 210 in codes(came[-1])


async def test_presence_without_the_wish_to_enter_learns_that_it_is_not_there(world: World) -> None:
    _, juliet, _ = await den(world)
    await juliet.send(f"<presence to='{ROOM}/Juliet'/>")
    (away,) = await juliet.drain()
    assert away.type == "unavailable" and codes(away) == [110, 307, 333]


@pytest.mark.parametrize("type_", ["probe", "subscribe", "unavailable", "error"])
async def test_presence_of_another_type_does_not_enter(world: World, type_: str) -> None:
    romeo, juliet, _ = await den(world)
    await juliet.send(f"<presence to='{ROOM}/Juliet' type='{type_}'><x xmlns='{MUC}'/></presence>")
    await romeo.expect_nothing()


async def test_same_account_enters_with_two_clients_under_one_nickname(world: World) -> None:
    romeo, juliet, _ = await den(world)
    garden = await world.client("juliet@example.org/garden", "<presence/>")
    await enter(juliet, "Juliet")
    await enter(garden, "Juliet")
    assert len(await romeo.drain()) == 2
    await juliet.drain()
    await say(romeo, "hello")
    assert len(await juliet.drain()) == len(await garden.drain()) == 1
    await garden.send(f"<presence to='{ROOM}/Juliet' type='unavailable'/>")
    assert [stanza.type for stanza in await garden.drain()] == ["unavailable"]
    assert "unavailable" not in [stanza.type for stanza in presences(await romeo.drain())]
    await juliet.send(f"<presence to='{ROOM}/Juliet' type='unavailable'/>")
    assert [stanza.type for stanza in presences(await romeo.drain())] == ["unavailable"]


async def test_entering_again_sends_everything_again_and_tells_nobody_else(world: World) -> None:
    romeo, juliet, _ = await den(world)
    first = await enter(juliet, "Juliet")
    await romeo.drain()
    again = await enter(juliet, "Juliet")
    assert [stanza.from_ for stanza in again] == [stanza.from_ for stanza in first]
    await romeo.expect_nothing()


# changing


async def test_change_of_nickname_is_a_going_with_303_and_a_coming(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    await romeo.drain()
    await juliet.send(f"<presence to='{ROOM}/Capulet'/>")
    for client, own in ((romeo, []), (juliet, [110])):
        gone, there = await client.drain()
        assert (gone.from_, gone.type, item(gone)["nick"]) == (f"{ROOM}/Juliet", "unavailable", "Capulet")
        assert sorted(codes(gone)) == sorted([303, *own])
        assert (there.from_, there.type, codes(there)) == (f"{ROOM}/Capulet", "", own)


async def test_change_to_a_taken_nickname_is_a_conflict_and_changes_nothing(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    await romeo.drain()
    await juliet.send(f"<presence to='{ROOM}/ROMEO'/>")
    assert condition((await juliet.drain())[0]) == "conflict"
    await romeo.expect_nothing()


async def test_own_nickname_may_change_its_spelling(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    await romeo.drain()
    await juliet.send(f"<presence to='{ROOM}/JULIET'/>")
    assert [stanza.from_ for stanza in await romeo.drain()] == [f"{ROOM}/Juliet", f"{ROOM}/JULIET"]


async def test_one_of_two_clients_takes_another_nickname_and_the_other_stays(world: World) -> None:
    romeo, juliet, _ = await den(world)
    garden = await world.client("juliet@example.org/garden", "<presence/>")
    await enter(juliet, "Juliet")
    await enter(garden, "Juliet")
    await romeo.drain()
    await garden.send(f"<presence to='{ROOM}/Garden'/>")
    seen = presences(await romeo.drain())
    assert [(stanza.from_.resourcepart, stanza.type) for stanza in seen] == [("Juliet", ""), ("Garden", "")]


async def test_another_availability_is_seen_by_all(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    await romeo.drain()
    await juliet.send(f"<presence to='{ROOM}/Juliet'><show>xa</show></presence>")
    (seen,) = await romeo.drain()
    assert seen.element("jabber:client show").text == "xa" and item(seen)["role"] == "participant"


async def test_presence_changes_are_limited(world: World) -> None:
    _, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    for _ in range(int(limits.PRESENCES_BURST)):
        await juliet.send(f"<presence to='{ROOM}/Juliet'><show>xa</show></presence>")
    await juliet.drain()
    await juliet.send(f"<presence to='{ROOM}/Juliet'/>")
    assert condition((await juliet.drain())[0]) == "policy-violation"
    world.clock.advance(1)
    await juliet.send(f"<presence to='{ROOM}/Juliet'/>")
    assert condition((await juliet.drain())[0]) == ""


async def test_presence_too_large_to_keep_is_refused(world: World) -> None:
    _, juliet, _ = await den(world)
    long = f"<status>{'x' * limits.MAX_PRESENCE_BYTES}</status>"
    assert condition((await enter(juliet, "Juliet", show=long))[0]) == "policy-violation"


# leaving


async def test_leaving_is_seen_with_its_status(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    await romeo.drain()
    await juliet.send(f"<presence to='{ROOM}/Juliet' type='unavailable'><status>bye</status></presence>")
    (own,) = presences(await juliet.drain())
    assert codes(own) == [110] and item(own)["role"] == "none"
    (seen,) = await romeo.drain()
    assert seen.type == "unavailable" and seen.element("jabber:client status").text == "bye"
    await say(romeo, "alone")
    await juliet.expect_nothing()


async def test_a_client_that_is_lost_leaves(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    await romeo.drain()
    await juliet.disconnect()
    assert [(stanza.from_, stanza.type) for stanza in await romeo.drain()] == [(f"{ROOM}/Juliet", "unavailable")]


async def test_error_presence_removes_a_ghost_with_333(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    await romeo.drain()
    world.shared.components.find("conference.example.org").take(
        Presence(romeo.jid.__class__(f"{ROOM}/Romeo"), juliet.jid, None, "error")
    )
    assert codes((await romeo.drain())[0]) == [333]


async def test_temporary_room_ends_with_its_last_occupant(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await romeo.send(f"<presence to='{ROOM}/Romeo' type='unavailable'/>")
    came = presences(await enter(juliet, "Juliet"))
    assert 201 in codes(came[-1])


async def test_those_who_come_faster_than_allowed_enter_later_in_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _romeo, juliet, mercutio = await den(world)
    service = world.shared.components.find("conference.example.org")
    room = service.rooms["den"]
    while room.entries.take(world.clock.monotonic(), 1_000.0):
        pass
    later = []
    monkeypatch.setattr(room.world, "later", lambda delay_s, call: later.append(call))
    assert await enter(juliet, "Juliet") == [] and await enter(mercutio, "Mercutio") == []
    await mercutio.send(f"<presence to='{ROOM}/Mercutio' type='unavailable'/>")
    world.clock.advance(10)
    later.pop()()
    assert [stanza.from_.resourcepart for stanza in presences(await juliet.drain())] == ["Romeo", "Juliet"]
    await mercutio.expect_nothing()


async def test_too_many_who_wait_to_enter_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _, juliet, _ = await den(world)
    room = world.shared.components.find("conference.example.org").rooms["den"]
    monkeypatch.setattr("xmppd.rooms.entering.MAX_ENTERING", 0)
    while room.entries.take(world.clock.monotonic(), 1_000.0):
        pass
    assert condition((await enter(juliet, "Juliet"))[0]) == "resource-constraint"


async def test_history_wish_of_a_wrong_type_is_a_bad_request(world: World) -> None:
    _, juliet, _ = await den(world)
    assert condition((await enter(juliet, "Juliet", "<history maxstanzas='many'/>"))[0]) == "bad-request"
    assert condition((await enter(juliet, "Juliet", "<history maxstanzas='1'/>"))[0]) == ""


async def test_an_account_enters_with_so_many_clients_at_most(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    _, juliet, _ = await den(world)
    monkeypatch.setattr("xmppd.rooms.entering.MAX_SESSIONS_PER_ACCOUNT", 1)
    garden = await world.client("juliet@example.org/garden", "<presence/>")
    await enter(juliet, "Juliet")
    assert condition((await enter(garden, "Juliet"))[0]) == "resource-constraint"
