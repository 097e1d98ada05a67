"""Absent people (XEP-0160) where the operator keeps no histories: `archive.enabled = false`."""

from collections.abc import AsyncIterator

import pytest

from storage.interface import StorageFull
from storage.memory import MemoryBackend
from tests.support.chat import CARBONS, MESSAGES, Phone, Timers, bodies, chat
from tests.support.world import World

ROMEO, BARE = "romeo@example.org/orchard", "juliet@example.org"
BALCONY, CHAMBER = f"{BARE}/balcony", f"{BARE}/chamber"


@pytest.fixture
async def forgetful() -> AsyncIterator[World]:
    world = await World.create(MESSAGES, settings={"archive.enabled": False})
    await world.account(BARE)
    yield world
    for task in list(world.tasks):
        task.cancel()


async def come(world: World, jid: str = BALCONY) -> list[str]:
    """Let a client come that acknowledges all it gets, and leave again; return what it got."""
    phone = await Phone.login(world, jid)
    found = bodies(await phone.messages())
    await phone.ack()
    await phone.client.close()
    return found


async def test_without_histories_messages_wait_all_the_same_and_are_in_none(forgetful: World) -> None:
    romeo = await Phone.login(forgetful, ROMEO)
    await romeo.send(chat(BARE, "one"))
    assert await come(forgetful) == ["one"]
    assert await come(forgetful) == []
    assert await forgetful.shared.backend.archive.bounds(BARE) is None


async def test_without_histories_what_one_never_acknowledged_waits(forgetful: World) -> None:
    timers = Timers(forgetful)
    romeo = await Phone.login(forgetful, ROMEO)
    juliet = await Phone.login(forgetful, BALCONY)
    await juliet.send(f"<iq type='set' id='c'><enable xmlns='{CARBONS}'/></iq>")
    await juliet.ack()
    stamp = "<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>"
    await romeo.send(chat(BARE, "one"), chat(BARE, "with a stamp of its sender's", stamp))
    await juliet.cut()
    await timers.advance(600)
    assert await come(forgetful) == ["one", "with a stamp of its sender's"]
    assert await come(forgetful) == []


async def test_without_histories_copies_and_results_are_no_messages_that_wait(forgetful: World) -> None:
    timers = Timers(forgetful)
    romeo = await Phone.login(forgetful, ROMEO)
    plain = await Phone.login(forgetful, BALCONY, "<presence><priority>5</priority></presence>")
    copied = await Phone.login(forgetful, CHAMBER)
    await copied.send(f"<iq type='set' id='c'><enable xmlns='{CARBONS}'/></iq>")
    await copied.cut()
    await romeo.send(chat(BARE, "one"))
    await plain.send(chat(romeo, "two"))
    assert bodies(await plain.messages()) == ["one"]
    await plain.ack()
    await plain.client.close()
    await timers.advance(600)
    assert await come(forgetful) == []


async def test_without_histories_lost_messages_wait_beside_one_that_is_not_available(forgetful: World) -> None:
    timers = Timers(forgetful)
    romeo = await Phone.login(forgetful, ROMEO)
    lost, other = await Phone.login(forgetful, BALCONY), await Phone.login(forgetful, CHAMBER)
    await other.send("<presence type='unavailable'/>")
    await lost.cut()
    await romeo.send(chat(BALCONY, "one"))
    await timers.advance(600)
    await other.send("<presence/>")
    assert bodies(await other.messages()) == ["one"]


async def test_without_histories_and_without_room_what_was_lost_is_logged_and_the_server_goes_on(
    forgetful: World,
) -> None:
    timers = Timers(forgetful)
    romeo, juliet = await Phone.login(forgetful, ROMEO), await Phone.login(forgetful, BALCONY)
    await juliet.cut()
    await romeo.send(chat(BARE, "one"))
    backend = forgetful.shared.backend
    assert isinstance(backend, MemoryBackend)
    backend.fail_with(StorageFull("no room"), at_call=True)
    await timers.advance(600)
    backend.fail_with(None)
    assert forgetful.host().resource(juliet.jid) is None
    await romeo.send(chat(BARE, "two"))
    assert await come(forgetful) == ["two"]
