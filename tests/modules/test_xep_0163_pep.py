"""XEP-0163: Personal Eventing Protocol."""

import pytest

from tests.modules.conftest import MakeWorld
from tests.support.pep import (
    MODULES,
    ask,
    befriend,
    interested,
    own,
    payload,
    publish,
    told,
)
from tests.support.world import World

TUNE = "http://jabber.org/protocol/tune"
NICK = "http://jabber.org/protocol/nick"
ROMEO, JULIET = "romeo@example.org", "juliet@example.org"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(*MODULES)


@pytest.fixture
async def friends(world: World) -> World:
    await befriend(world, ROMEO, JULIET)
    return world


async def test_contact_who_wants_to_know_is_told_with_the_payload(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    await juliet.drain()
    assert await publish(romeo, TUNE, payload("song"), "a") == ""
    await juliet.expect(
        f"<message from='{ROMEO}' to='{{juliet}}' id='*' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'>"
        f"<items node='{TUNE}'><item id='a'><p xmlns='urn:example:p'>song</p></item></items></event></message>"
    )


async def test_contact_who_does_not_want_to_know_is_not_told(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    juliet = await interested(friends, f"{JULIET}/balcony", NICK)
    await juliet.drain()
    await publish(romeo, TUNE, payload())
    assert await told(juliet) == []


async def test_own_clients_who_want_to_know_are_told_the_publishing_one_too(world: World) -> None:
    one = await interested(world, f"{ROMEO}/one", TUNE)
    two = await interested(world, f"{ROMEO}/two", TUNE)
    await publish(one, TUNE, payload(), "a")
    assert await told(two) == [f"{ROMEO} {TUNE} items a"]
    assert await told(one) == [f"{ROMEO} {TUNE} items a"]


async def test_last_item_comes_when_the_interest_becomes_known(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    await publish(romeo, TUNE, payload(), "a")
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    assert await told(juliet) == [f"{ROMEO} {TUNE} items a"]


async def test_last_item_of_a_contact_who_is_away_comes_too(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    await publish(romeo, TUNE, payload(), "a")
    await romeo.close()
    friends.host().forget(romeo.jid.bare)
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    assert await told(juliet) == [f"{ROMEO} {TUNE} items a"]


async def test_stranger_is_not_told(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/orchard", "<presence/>")
    juliet = await interested(world, f"{JULIET}/balcony", TUNE)
    await publish(romeo, TUNE, payload(), "a", access_model="open")
    assert await told(juliet) == []


async def test_retraction_purge_and_deletion_are_told(friends: World) -> None:
    romeo = await friends.client(f"{ROMEO}/orchard", "<presence/>")
    juliet = await interested(friends, f"{JULIET}/balcony", TUNE)
    await publish(romeo, TUNE, payload(), "a")
    await juliet.drain()
    await ask(romeo, f"<retract node='{TUNE}'><item id='a'/></retract>")
    assert await told(juliet) == [f"{ROMEO} {TUNE} items -a"]
    await own(romeo, f"<purge node='{TUNE}'/>")
    assert await told(juliet) == [f"{ROMEO} {TUNE} purge"]
    await own(romeo, f"<delete node='{TUNE}'/>")
    assert await told(juliet) == [f"{ROMEO} {TUNE} delete"]
