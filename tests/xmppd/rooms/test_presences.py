"""Whose presence is seen by whom (XEP-0045 §7.2.2, muc#roomconfig_presencebroadcast)."""

from tests.support.rooms import ROOM, admin, den, enter, item, presences
from tests.support.world import World


async def test_roles_that_are_not_shown_are_seen_by_moderators_and_themselves_alone(world: World) -> None:
    romeo, juliet, mercutio = await den(world, moderatedroom=True, presencebroadcast=("moderator", "participant"))
    await enter(juliet, "Juliet")
    assert [stanza.from_ for stanza in presences(await romeo.drain())] == [f"{ROOM}/Juliet"]
    came = presences(await enter(mercutio, "Mercutio"))
    assert [stanza.from_.resourcepart for stanza in came] == ["Romeo", "Mercutio"]
    await juliet.expect_nothing()


async def test_who_becomes_visible_comes_and_who_becomes_invisible_goes(world: World) -> None:
    romeo, juliet, mercutio = await den(world, moderatedroom=True, presencebroadcast=("moderator", "participant"))
    await enter(juliet, "Juliet")
    await enter(mercutio, "Mercutio")
    await juliet.drain()
    await admin(romeo, "nick='Juliet' role='participant'")
    (seen,) = presences(await mercutio.drain())
    assert (seen.type, item(seen)["role"]) == ("", "participant")
    await admin(romeo, "nick='Juliet' role='visitor'")
    (seen,) = presences(await mercutio.drain())
    assert (seen.from_, seen.type) == (f"{ROOM}/Juliet", "unavailable")
    assert [item(stanza)["role"] for stanza in presences(await juliet.drain())][-1] == "visitor"


async def test_presence_is_made_once_for_all_who_see_the_same(world: World) -> None:
    _, juliet, mercutio = await den(world)
    await enter(juliet, "Juliet")
    room = world.shared.components.find("conference.example.org").rooms["den"]
    await enter(mercutio, "Mercutio")
    made = room.occupants.by_nick["Juliet"].hidden
    assert made is not None
    tybalt = await world.client("tybalt@example.org/x", "<presence/>")
    await enter(tybalt, "Tybalt")
    assert room.occupants.by_nick["Juliet"].hidden is made
