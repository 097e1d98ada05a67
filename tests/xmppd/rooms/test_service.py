"""Rooms are found, made and let go; what is for none is refused (XEP-0045 §7.2.10, §10.1.1, §17.2)."""

from typing import Any

import pytest

from codec.element import Element
from codec.jid import JID
from codec.stanza import Message, Presence, Stanza
from storage.interface import StorageError
from storage.memory import MemoryBackend
from tests.support.rooms import MODULES, MUC, ROOM, ask, bodies, codes, condition, configure, den, enter, presences, say
from tests.support.world import World
from xmppd.errors import StanzaError
from xmppd.rooms import service as service_file
from xmppd.rooms.service import RoomService, message_of

PING = "<ping xmlns='urn:xmpp:ping'/>"


class Elsewhere:
    """Takes what is for other servers."""

    def take(self, stanza: Stanza) -> None: ...


def service_of(world: World) -> RoomService:
    found = world.shared.components.find("conference.example.org")
    assert isinstance(found, RoomService)
    return found


async def test_what_is_for_a_room_that_does_not_exist_is_refused(world: World) -> None:
    romeo = await world.client("romeo@example.org/orchard", "<presence/>")
    assert condition(await ask(romeo, "get", PING)) == "item-not-found"
    await say(romeo, "x")
    assert condition((await romeo.drain())[0]) == "item-not-found"
    await romeo.send(f"<presence to='{ROOM}/Romeo'/>")
    assert codes((await romeo.drain())[0]) == [110, 307, 333]
    for type_ in ("unavailable", "probe"):
        await romeo.send(f"<presence to='{ROOM}/Romeo' type='{type_}'/>")
    await romeo.send(f"<message to='{ROOM}' type='error'><body>x</body></message>")
    await romeo.expect_nothing()


async def test_service_answers_pings_and_little_else(world: World) -> None:
    romeo, _, _ = await den(world)
    assert (await ask(romeo, "get", PING, "conference.example.org")).type == "result"
    assert (await ask(romeo, "get", PING)).type == "result"
    assert condition(await ask(romeo, "set", "<x xmlns='urn:x'/>", "conference.example.org")) == "service-unavailable"
    assert condition(await ask(romeo, "set", "<x xmlns='urn:x'/>")) == "service-unavailable"
    await romeo.send("<message to='conference.example.org'><body>x</body></message>")
    assert condition((await romeo.drain())[0]) == "service-unavailable"
    await romeo.send("<presence to='conference.example.org'/>")
    await romeo.expect_nothing()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"rooms.create": "admins"}, "not-allowed"),
        ({"rooms.create": "admins", "admin.jids": ["romeo@example.org"]}, ""),
        ({"rooms.create": "local"}, ""),
        ({"rooms.max_rooms_per_account": 1}, ""),
    ],
)
async def test_who_may_make_rooms_is_a_setting(make_world: Any, settings: dict[str, Any], expected: str) -> None:
    world = await make_world(*MODULES, settings=settings)
    romeo = await world.client("romeo@example.org/orchard", "<presence/>")
    assert condition((await enter(romeo, "Romeo"))[0]) == expected
    if "rooms.max_rooms_per_account" in settings:
        assert condition((await enter(romeo, "Romeo", room="b@conference.example.org"))[0]) == "not-allowed"
        await configure(romeo, persistentroom=True)
        await romeo.send(f"<presence to='{ROOM}/Romeo' type='unavailable'/>")
        await romeo.drain()
        assert condition((await enter(romeo, "Romeo", room="b@conference.example.org"))[0]) == "not-allowed"


async def test_people_of_other_servers_make_no_rooms_unless_that_is_wanted(make_world: Any) -> None:
    for create, expected in (("local", {}), ("everyone", {"den"})):
        world = await make_world(*MODULES, settings={"rooms.create": create})
        world.shared.components.remote = Elsewhere()
        enters = Presence.build(Element(f"{MUC} x"), to=JID.parse(f"{ROOM}/x"), from_=JID.parse("far@away.example/x"))
        service_of(world).take(enters)
        assert set(service_of(world).rooms) == set(expected)


async def test_rooms_off_are_nowhere(make_world: Any) -> None:
    world = await make_world(*MODULES, settings={"rooms.enabled": False})
    assert world.shared.components.find("conference.example.org") is None
    romeo = await world.client("romeo@example.org/orchard", "<presence/>")
    items = await ask(romeo, "get", "<query xmlns='http://jabber.org/protocol/disco#items'/>", "example.org")
    assert "conference" not in items.to_xml().decode()


async def test_what_comes_while_a_room_is_read_waits_in_order(make_world: Any) -> None:
    backend = MemoryBackend()
    world = await make_world(*MODULES, backend=backend)
    romeo, _, _ = await den(world, persistentroom=True)
    await say(romeo, "before")
    again = await make_world(*MODULES, backend=backend)
    service = service_of(again)
    juliet = await again.client("juliet@example.org/balcony", "<presence/>")
    to = JID.parse(ROOM)
    commits = [
        service.take(Presence.build(Element(f"{MUC} x"), to=to.with_resource("Juliet"), from_=juliet.jid)),
        service.take(
            Message.build(Element("jabber:client body", {}, ("now",)), to=to, from_=juliet.jid, type="groupchat")
        ),
        service.take(Message.build(to=to.with_resource("Nobody"), from_=juliet.jid, type="chat")),
    ]
    assert not any(commit is None or commit.done for commit in commits)
    came = await juliet.drain()
    assert bodies(came) == ["before", "now"] and condition(came[-1]) == "item-not-found"
    assert all(commit is not None and commit.done for commit in commits)


async def test_retry_is_recognised_after_a_restart(make_world: Any) -> None:
    backend = MemoryBackend()
    world = await make_world(*MODULES, backend=backend)
    romeo, _, _ = await den(world, persistentroom=True)
    await say(romeo, "once", "<origin-id xmlns='urn:xmpp:sid:0' id='o1'/>")
    again = await make_world(*MODULES, backend=backend)
    romeo = await again.client("romeo@example.org/orchard", "<presence/>")
    await enter(romeo, "Romeo")
    await say(romeo, "once", "<origin-id xmlns='urn:xmpp:sid:0' id='o1'/>")
    await romeo.expect_nothing()


async def test_room_that_cannot_be_read_answers_with_an_error_and_can_be_tried_again(
    make_world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = MemoryBackend()
    world = await make_world(*MODULES, backend=backend)
    await den(world, persistentroom=True)
    again = await make_world(*MODULES, backend=backend)
    romeo = await again.client("romeo@example.org/orchard", "<presence/>")

    async def broken(*_: object) -> bool:
        raise StorageError("broken")

    with monkeypatch.context() as breaking:
        breaking.setattr(service_of(again).store, "load", broken)
        assert condition((await enter(romeo, "Romeo"))[0]) == "internal-server-error"
        await say(romeo, "x")
        assert condition((await romeo.drain())[0]) == "internal-server-error"
    assert 110 in codes(presences(await enter(romeo, "Romeo"))[-1])


async def test_queue_of_a_room_that_is_read_is_limited(make_world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = MemoryBackend()
    await den(await make_world(*MODULES, backend=backend), persistentroom=True)
    service = service_of(await make_world(*MODULES, backend=backend))
    monkeypatch.setattr(service_file, "MAX_QUEUED", 1)
    message = Message.build(to=JID.parse(ROOM), from_=JID.parse("romeo@example.org/x"), type="groupchat")
    service.take(message)
    with pytest.raises(StanzaError, match="resource-constraint"):
        service.take(message)


async def test_empty_rooms_leave_memory_when_there_are_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    romeo, juliet, _ = await den(world, persistentroom=True)
    other = "hall@conference.example.org"
    await enter(romeo, "Romeo", room=other)
    await configure(romeo, room=other, persistentroom=True)
    service = service_of(world)
    monkeypatch.setattr(service_file, "CACHED_ROOMS", 1)
    await romeo.send(f"<presence to='{other}/Romeo' type='unavailable'/>")
    del service.rooms["hall"]
    await enter(juliet, "Juliet", room=other)
    assert set(service.rooms) == {"den", "hall"}
    await romeo.send(f"<presence to='{ROOM}/Romeo' type='unavailable'/>")
    await juliet.send(f"<presence to='{other}/Juliet' type='unavailable'/>")
    service._make_space()
    assert len(service.rooms) < 2


async def test_end_of_the_service_is_told_with_332(world: World) -> None:
    romeo, _, _ = await den(world)
    service_of(world).close()
    (away,) = await romeo.drain()
    assert away.type == "unavailable" and codes(away) == [110, 332]


def test_message_of_an_archive_is_read_with_all_that_it_has() -> None:
    xml = b"<message from='a@b.example/c' id='1' type='groupchat' xml:lang='la'><body>ave</body><x xmlns='urn:x'/></message>"
    message = message_of(xml)
    assert (message.from_, message.id, message.type, message.lang) == ("a@b.example/c", "1", "groupchat", "la")
    assert message.tags == ("jabber:client body", "urn:x x")
