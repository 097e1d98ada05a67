"""Rooms are kept as a whole and read back as they were."""

from typing import Any

from codec.jid import JID
from storage.memory import MemoryBackend
from tests.support.rooms import MODULES, ROOM, den
from tests.support.world import World
from xmppd.rooms.roles import Affiliation
from xmppd.rooms.room import Known, Room
from xmppd.rooms.storing import Store


def room_of(world: World) -> Room:
    return world.shared.components.find("conference.example.org").rooms["den"]  # type: ignore[attr-defined]


def store_of(world: World) -> Store:
    return world.shared.components.find("conference.example.org").store  # type: ignore[attr-defined]


async def test_all_of_a_room_comes_back(make_world: Any) -> None:
    backend = MemoryBackend()
    world = await make_world(*MODULES, backend=backend)
    await den(world, persistentroom=True, roomname="The Den", presencebroadcast=("moderator",), publicroom=False)
    room = room_of(world)
    nurse = JID.parse("nurse@example.org")
    room.people[nurse] = Known(Affiliation.ADMIN, "Nurse", "kind", {"hats": ["x"]})
    room.more["hats"] = {"x": "y"}
    store_of(world).save(room)
    store_of(world).save_people(room, [nurse])
    store = store_of(await make_world(*MODULES, backend=backend))
    assert store.listed["den"].name == "The Den" and not store.listed["den"].is_public
    again = Room(JID.parse(ROOM), room.config.__class__(), room.world)
    assert await store.load(again)
    assert again.config == room.config and again.people == room.people and again.more == room.more
    assert again.creator == "romeo@example.org" and again.history._entries.maxlen == room.config.history_length


async def test_person_that_is_known_no_more_is_removed(make_world: Any) -> None:
    world = await make_world(*MODULES)
    await den(world, persistentroom=True)
    room, nurse = room_of(world), JID.parse("nurse@example.org")
    for affiliation in (Affiliation.MEMBER, Affiliation.NONE):
        room.set_affiliation(nurse, affiliation)
        store_of(world).save_people(room, [nurse])
    again = Room(JID.parse(ROOM), room.config, room.world)
    assert await store_of(world).load(again) and nurse not in again.people


async def test_temporary_room_is_not_kept(make_world: Any) -> None:
    world = await make_world(*MODULES)
    await den(world)
    room = room_of(world)
    assert store_of(world).save(room) is None and store_of(world).save_people(room, list(room.people)) is None
    assert not await store_of(world).load(Room(JID.parse(ROOM), room.config, room.world))
    assert store_of(world).made_by(JID.parse("romeo@example.org")) == 0


async def test_who_is_erased_is_forgotten_in_every_room_but_where_they_are_banned(make_world: Any) -> None:
    backend = MemoryBackend()
    world = await make_world(*MODULES, backend=backend)
    await den(world, persistentroom=True)
    room, nurse, romeo = room_of(world), JID.parse("nurse@example.org"), JID.parse("romeo@example.org")
    room.set_affiliation(nurse, Affiliation.OUTCAST)
    store_of(world).save_people(room, [nurse])
    service = world.shared.components.find("conference.example.org")
    for jid in (romeo, nurse):
        await service.forget_person(jid)
    assert romeo not in room.people and room.creator is None
    assert store_of(world).made_by(romeo) == 0
    store = store_of(await make_world(*MODULES, backend=backend))
    again = Room(JID.parse(ROOM), room.config, room.world)
    assert await store.load(again)
    assert again.creator is None and list(again.people) == [nurse]
    assert store.listed["den"].creator == ""


async def test_who_is_erased_is_forgotten_in_rooms_that_are_not_in_memory(make_world: Any) -> None:
    backend = MemoryBackend()
    world = await make_world(*MODULES, backend=backend)
    await den(world, persistentroom=True, roomname="The Den")
    room, nurse, romeo = room_of(world), JID.parse("nurse@example.org"), JID.parse("romeo@example.org")
    room.set_affiliation(nurse, Affiliation.MEMBER)
    store_of(world).save_people(room, [nurse])
    other = await make_world(*MODULES, backend=backend)
    service = other.shared.components.find("conference.example.org")
    for jid in (romeo, nurse):
        await service.forget_person(jid)
    assert not service.rooms
    again = Room(JID.parse(ROOM), room.config, room.world)
    assert await store_of(other).load(again)
    assert again.creator is None and not again.people and again.config == room.config
    assert store_of(other).listed["den"].name == "The Den"
