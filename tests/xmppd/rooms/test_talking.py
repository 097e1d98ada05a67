"""What is said goes to all, once, and is kept (XEP-0045 §7.4, §8.1, §7.2.13)."""

from typing import Any

import pytest

from storage.interface import Commit, StorageFull
from tests.support.rooms import MODULES, MUC, ROOM, admin, bodies, condition, configure, den, enter, messages, say
from tests.support.world import World
from xmppd.hooks import room_message_for_absent
from xmppd.rooms import limits

STANZA_ID = "urn:xmpp:sid:0 stanza-id"


async def test_message_goes_to_all_with_its_id_and_payload(world: World) -> None:
    romeo, juliet, mercutio = await den(world)
    await enter(juliet, "Juliet")
    await romeo.drain()
    await say(juliet, "hello", "<x xmlns='urn:x'>&amp;</x>", "id-1")
    for client in (romeo, juliet):
        (message,) = await client.drain()
        assert (message.from_, message.to, message.id, message.type) == (
            f"{ROOM}/Juliet",
            client.jid,
            "id-1",
            "groupchat",
        )
        assert b"<body>hello</body><x xmlns='urn:x'>&amp;</x>" in message.inner
        assert message.element(STANZA_ID).get("by") == ROOM
    await mercutio.expect_nothing()


async def test_message_without_an_id_gets_one_that_all_see(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    await romeo.drain()
    await juliet.drain()
    await juliet.send(f"<message to='{ROOM}' type='groupchat'><body>x</body></message>")
    (one,), (other,) = await romeo.drain(), await juliet.drain()
    assert one.id and one.id == other.id


async def test_ids_and_delays_in_the_rooms_name_are_taken_out(world: World) -> None:
    romeo, _, _ = await den(world)
    fake = f"<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='{ROOM}'/><delay xmlns='urn:xmpp:delay' from='{ROOM}' stamp='2001-01-01T00:00:00Z'/>"
    honest = "<delay xmlns='urn:xmpp:delay' from='romeo@example.org' stamp='2001-01-01T00:00:00Z'/>"
    await say(romeo, "x", fake + honest + f"<x xmlns='{MUC}#user'><status code='307'/></x>")
    (message,) = await romeo.drain()
    assert message.tags.count(STANZA_ID) == 1 and message.element(STANZA_ID).get("id") != "1"
    assert message.tags.count("urn:xmpp:delay delay") == 1 and not message.has(f"{MUC}#user x")


async def test_who_is_not_there_or_has_no_voice_is_refused(world: World) -> None:
    romeo, juliet, mercutio = await den(world, moderatedroom=True)
    await enter(juliet, "Juliet")
    await romeo.drain()
    await say(mercutio, "x")
    assert condition((await mercutio.drain())[0]) == "not-acceptable"
    await say(juliet, "x")
    assert condition((await juliet.drain())[0]) == "forbidden"
    await romeo.expect_nothing()
    await admin(romeo, "nick='Juliet' role='participant'")
    await romeo.drain()
    await say(juliet, "x")
    assert bodies(await romeo.drain()) == ["x"]


async def test_history_comes_with_when_it_was_said(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await say(romeo, "one")
    world.clock.advance(60)
    await say(romeo, "two")
    came = messages(await enter(juliet, "Juliet"))
    assert bodies(came) == ["one", "two"]
    assert came[0].element("urn:xmpp:delay delay").attrs == {"from": ROOM, "stamp": "2026-01-02T03:04:05Z"}
    assert came[0].has(STANZA_ID) and came[0].has("urn:xmpp:occupant-id:0 occupant-id")
    assert came[-1].has("jabber:client subject")


async def test_what_passes_is_not_kept(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await romeo.send(
        f"<message to='{ROOM}' type='groupchat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"
    )
    await say(romeo, "secret", "<no-store xmlns='urn:xmpp:hints'/>")
    assert bodies(await enter(juliet, "Juliet")) == []


@pytest.mark.parametrize(
    ("settings", "nick", "expected"),
    [({}, "Juliet", ""), ({"changesubject": False}, "Juliet", "forbidden"), ({"changesubject": False}, "Romeo", "")],
)
async def test_subject_is_changed_by_whom_the_settings_allow(
    world: World, settings: dict[str, bool], nick: str, expected: str
) -> None:
    romeo, juliet, mercutio = await den(world, **settings)
    await enter(juliet, "Juliet")
    await romeo.drain()
    speaker = {"Juliet": juliet, "Romeo": romeo}[nick]
    await juliet.drain()
    await speaker.send(f"<message to='{ROOM}' type='groupchat'><subject>Swords</subject></message>")
    (answer,) = await speaker.drain()
    assert condition(answer) == expected
    subject = messages(await enter(mercutio, "Mercutio"))[-1]
    assert subject.element("jabber:client subject").text == ("" if expected else "Swords")
    if not expected:
        assert subject.from_ == f"{ROOM}/{nick}" and subject.has("urn:xmpp:delay delay")


async def test_message_with_body_and_subject_changes_no_subject(world: World) -> None:
    romeo, juliet, _ = await den(world, changesubject=False)
    await enter(juliet, "Juliet")
    await romeo.drain()
    await say(juliet, "x", "<subject>not one</subject>")
    assert bodies(await romeo.drain()) == ["x"]


async def test_huge_subject_is_refused(world: World) -> None:
    romeo, _, _ = await den(world)
    text = "x" * limits.MAX_SUBJECT_BYTES
    await romeo.send(f"<message to='{ROOM}' type='groupchat'><subject>{text}</subject></message>")
    assert condition((await romeo.drain())[0]) == "policy-violation"


async def test_message_too_large_for_so_many_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    romeo, _, _ = await den(world)
    monkeypatch.setattr("xmppd.rooms.talking.MAX_FAN_OUT_BYTES", 100)
    await say(romeo, "x" * 100)
    assert condition((await romeo.drain())[0]) == "policy-violation"


async def test_flood_is_refused_and_others_go_on(make_world: Any) -> None:
    world = await make_world(*MODULES, settings={"rooms.messages_burst": 3, "rooms.messages_per_s": 1})
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    await romeo.drain()
    for number in range(5):
        await say(juliet, str(number))
    assert bodies(await romeo.drain()) == ["0", "1", "2"]
    came = await juliet.drain()
    assert [condition(stanza) for stanza in came][-2:] == ["policy-violation", "policy-violation"]
    assert came[-1].element("jabber:client error").get("type") == "wait"
    await say(romeo, "still here")
    world.clock.advance(2)
    await say(juliet, "slower")
    assert bodies(await romeo.drain()) == ["still here", "slower"]


# keeping


async def test_acknowledgement_waits_for_the_archive(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    romeo, _, _ = await den(world)
    await romeo.send("<enable xmlns='urn:xmpp:sm:3'/>")
    commit = Commit()
    monkeypatch.setattr(world.shared.backend.archive, "append", lambda *_: commit)
    await say(romeo, "x")
    assert bodies(await romeo.drain()) == ["x"]
    acks = romeo.resource.acks
    assert acks is not None and (acks.handled, acks.durable) == (1, 0)
    commit.finish()
    assert acks.durable == 1


async def test_message_that_cannot_be_kept_is_refused_before_anybody_gets_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    await romeo.drain()
    await juliet.drain()

    def full(*_: object) -> Commit:
        raise StorageFull("full")

    monkeypatch.setattr(world.shared.backend.archive, "append", full)
    await say(romeo, "x")
    assert condition((await romeo.drain())[0]) == "resource-constraint"
    await juliet.expect_nothing()


async def test_message_sent_again_is_recognised_by_its_origin_id(world: World) -> None:
    romeo, juliet, _ = await den(world)
    await enter(juliet, "Juliet")
    await romeo.drain()
    origin = "<origin-id xmlns='urn:xmpp:sid:0' id='o1'/>"
    await say(juliet, "once", origin)
    await say(juliet, "once", origin)
    assert bodies(await romeo.drain()) == ["once"]
    await say(romeo, "once", origin)
    assert bodies(await romeo.drain()) == ["once"]


async def test_room_without_an_archive_keeps_history_in_memory_alone(world: World) -> None:
    romeo, juliet, _ = await den(world, enablearchiving=False)
    await say(romeo, "x")
    assert await world.shared.backend.archive.bounds(ROOM) is None
    assert bodies(await enter(juliet, "Juliet")) == ["x"]


async def test_absent_members_of_this_server_are_told_of(world: World) -> None:
    romeo, juliet, _ = await den(world)
    told = []
    world.host().handlers[room_message_for_absent] = (told.append,)
    await admin(romeo, "jid='juliet@example.org' affiliation='member'", "jid='far@away.example' affiliation='member'")
    await say(romeo, "one")
    assert [(event.room, event.absent, event.message.from_) for event in told] == [
        (ROOM, ("juliet@example.org",), f"{ROOM}/Romeo")
    ]
    await enter(juliet, "Juliet")
    await say(romeo, "two")
    assert len(told) == 1
    await juliet.send(f"<presence to='{ROOM}/Juliet' type='unavailable'/>")
    await say(romeo, "three")
    assert len(told) == 2
    await configure(romeo, roomname="x")
