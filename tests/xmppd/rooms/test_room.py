"""Who is what to a room."""

from codec.jid import JID
from tests.support.rooms import den
from tests.support.world import World
from xmppd.rooms.roles import Affiliation
from xmppd.rooms.room import Room


async def room_of(world: World) -> Room:
    await den(world)
    return world.shared.components.find("conference.example.org").rooms["den"]  # type: ignore[attr-defined,no-any-return]


async def test_affiliation_is_a_persons_own_or_its_domains(world: World) -> None:
    room = await room_of(world)
    room.set_affiliation(JID.parse("away.example"), Affiliation.OUTCAST)
    room.set_affiliation(JID.parse("friend@away.example"), Affiliation.MEMBER)
    found = [room.affiliation_of(JID.parse(jid)) for jid in ("romeo@example.org", "x@away.example", "friend@away.example", "juliet@example.org")]  # fmt: skip
    assert found == [Affiliation.OWNER, Affiliation.OUTCAST, Affiliation.MEMBER, Affiliation.NONE]
    assert room.owners() == ["romeo@example.org"]


async def test_outcast_loses_its_reserved_nickname(world: World) -> None:
    room = await room_of(world)
    nurse = JID.parse("nurse@example.org")
    room.set_affiliation(nurse, Affiliation.MEMBER)
    room.reserve(nurse, "Nurse")
    assert room.reserved_by("NURSE") == nurse and room.reserved_by("Tybalt") is None
    room.set_affiliation(nurse, Affiliation.OUTCAST)
    assert room.reserved_by("nurse") is None


async def test_absent_members_are_those_of_ours_who_are_not_there(world: World) -> None:
    room = await room_of(world)
    assert room.absent_members() == ()
    for jid in ("nurse@example.org", "far@away.example"):
        room.set_affiliation(JID.parse(jid), Affiliation.MEMBER)
    room.set_affiliation(JID.parse("tybalt@example.org"), Affiliation.OUTCAST)
    assert room.absent_members() == ("nurse@example.org",)


async def test_temporary_and_empty_rooms_may_vanish(world: World) -> None:
    room = await room_of(world)
    assert not room.may_vanish and room.most_occupants == world.shared.config.rooms.max_occupants
