"""XEP-0359: Unique and Stable Stanza IDs."""

from typing import Any

import pytest

from storage.interface import ArchiveQuery, StorageError, StorageFull
from storage.memory import MemoryBackend
from tests.modules.conftest import MakeWorld
from tests.support.chat import MESSAGES, Phone, bodies, chat, condition, origin, stanza_id
from tests.support.world import World
from xmppd.modules.xep_0359_ids import REMEMBERED, RecentlySent

ROMEO, JULIET = "romeo@example.org/orchard", "juliet@example.org/balcony"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(*MESSAGES)


async def pair(world: World) -> tuple[Phone, Phone]:
    romeo, juliet = await Phone.login(world, ROMEO), await Phone.login(world, JULIET)
    romeo.received.clear()
    juliet.received.clear()
    return romeo, juliet


async def restarted(make_world: MakeWorld, world: World, **options: Any) -> World:
    """Return a server that starts on what another one has committed, a second later."""
    again = await make_world(*MESSAGES, backend=world.shared.backend, **options)
    again.clock.advance((world.clock.now() - again.clock.now()).total_seconds() + 1)
    return again


def backend_of(world: World) -> MemoryBackend:
    backend = world.shared.backend
    assert isinstance(backend, MemoryBackend)
    return backend


async def archived(world: World, owner: str) -> list[bytes]:

    return [message.stanza for message in (await world.shared.backend.archive.query(owner, ArchiveQuery())).messages]


# stanza-ids


async def test_a_message_bears_its_id_in_the_recipients_history(world: World) -> None:
    romeo, juliet = await pair(world)
    await romeo.send(chat(juliet, "one"))
    [message] = await juliet.messages()
    bounds = await world.shared.backend.archive.bounds("juliet@example.org")
    assert bounds is not None
    assert world.shared.archive_ids.id_of(stanza_id(message, "juliet@example.org")) == bounds[0]


async def test_the_recipient_does_not_see_the_id_in_the_senders_history(world: World) -> None:
    romeo, juliet = await pair(world)
    await romeo.send(chat(juliet, "one"))
    [message] = await juliet.messages()
    assert stanza_id(message, "romeo@example.org") is None


@pytest.mark.parametrize("by", ["juliet@example.org", "JULIET@Example.Org", "romeo@example.org"])
async def test_a_forged_id_is_taken_out(world: World, by: str) -> None:
    romeo, juliet = await pair(world)
    forged = f"<stanza-id xmlns='urn:xmpp:sid:0' id='forged' by='{by}'/>"
    await romeo.send(chat(juliet, "one", forged))
    [message] = await juliet.messages()
    assert b"forged" not in message.to_xml()
    assert stanza_id(message, "juliet@example.org") is not None
    for owner in ("romeo@example.org", "juliet@example.org"):
        assert all(b"forged" not in stanza for stanza in await archived(world, owner))


@pytest.mark.parametrize("by", ["juliet@example.org", "example.org"])
async def test_a_forged_id_is_taken_out_of_what_histories_do_not_keep(world: World, by: str) -> None:
    romeo, juliet = await pair(world)
    forged = f"<stanza-id xmlns='urn:xmpp:sid:0' id='forged' by='{by}'/>"
    await romeo.send(f"<message to='{juliet}' type='headline'><body>x</body>{forged}</message>")
    [message] = await juliet.messages()
    assert b"forged" not in message.to_xml()


async def test_ids_by_others_stay(world: World) -> None:
    romeo, juliet = await pair(world)
    room = "<stanza-id xmlns='urn:xmpp:sid:0' id='kept' by='coven@chat.example.org'/>"
    broken = "<stanza-id xmlns='urn:xmpp:sid:0' id='broken' by='@@'/><stanza-id xmlns='urn:xmpp:sid:0'/>"
    await romeo.send(chat(juliet, "one", room + broken))
    [message] = await juliet.messages()
    assert stanza_id(message, "coven@chat.example.org") == "kept" and b"broken" in message.to_xml()


async def test_ids_ascend_in_the_order_in_which_messages_were_sent(world: World) -> None:
    romeo, juliet = await pair(world)
    for count in range(5):
        await romeo.send(chat(juliet, str(count)))
    opaque = world.shared.archive_ids
    ids = [opaque.id_of(stanza_id(message, "juliet@example.org")) or 0 for message in await juliet.messages()]
    assert ids == sorted(set(ids)) and len(ids) == 5


# retries


async def test_a_retry_is_acknowledged_and_goes_no_further(world: World) -> None:
    romeo, juliet = await pair(world)
    for _ in range(2):
        await romeo.send(chat(juliet, "one", origin("o1")))
    assert bodies(await juliet.messages()) == ["one"]
    assert await romeo.handled() == 3
    assert len(await archived(world, "juliet@example.org")) == 1
    assert len(await archived(world, "romeo@example.org")) == 1


async def test_a_retry_is_acknowledged_only_when_the_first_one_is_committed(world: World) -> None:
    romeo, juliet = await pair(world)
    await romeo.send(chat(juliet, "zero"))
    backend_of(world).hold()
    for _ in range(2):
        await romeo.send(chat(juliet, "one", origin("o1")))
    assert await romeo.handled() is None
    backend_of(world).release()
    await world.settle()
    romeo.take()
    assert romeo.nonzas[-1].get("h") == "4"


async def test_a_retry_from_another_resource_of_the_account_is_recognised(world: World) -> None:
    romeo, juliet = await pair(world)
    await romeo.send(chat(juliet, "one", origin("o1")))
    other = await Phone.login(world, "romeo@example.org/street")
    await other.send(chat(juliet, "one", origin("o1")))
    assert bodies(await juliet.messages()) == ["one"]


async def test_a_retry_to_the_bare_jid_of_a_message_to_a_resource_is_recognised(world: World) -> None:
    romeo, juliet = await pair(world)
    await romeo.send(chat(juliet, "one", origin("o1")))
    await romeo.send(chat("juliet@example.org", "one", origin("o1")))
    assert bodies(await juliet.messages()) == ["one"]


async def test_a_retry_after_a_restart_is_recognised(make_world: MakeWorld, world: World) -> None:
    romeo, juliet = await pair(world)
    await romeo.send(chat(juliet, "one", origin("o1")), chat(juliet, "two", origin("o2")))
    again = await restarted(make_world, world)
    romeo, juliet = await pair(again)
    await romeo.send(chat(juliet, "one", origin("o1")), chat(juliet, "three", origin("o3")))
    assert bodies(await juliet.messages()) == ["three"]


@pytest.mark.parametrize("enabled", [True, False])
async def test_a_retry_to_somebody_absent_is_recognised_after_a_restart(make_world: MakeWorld, enabled: bool) -> None:
    world = await make_world(*MESSAGES, settings={"archive.enabled": enabled})
    romeo = await Phone.login(world, ROMEO)
    await world.account("juliet@example.org")
    await romeo.send(chat("juliet@example.org", "one", origin("o1")))
    again = await restarted(make_world, world, settings={"archive.enabled": enabled})
    romeo = await Phone.login(again, ROMEO)
    await romeo.send(chat("juliet@example.org", "one", origin("o1")))
    juliet = await Phone.login(again, JULIET)
    assert bodies(await juliet.messages()) == ["one"]


async def test_a_sender_without_a_history_shows_none_though_its_retries_are_recognised(
    make_world: MakeWorld, world: World
) -> None:
    prefs = "<prefs xmlns='urn:xmpp:mam:2' default='never'/>"
    romeo, juliet = await pair(world)
    await romeo.send(f"<iq type='set' id='p'>{prefs}</iq>")
    await romeo.send(chat(juliet, "one", origin("o1")))
    assert await archived(world, "romeo@example.org") == []
    again = await restarted(make_world, world)
    romeo, juliet = await pair(again)
    await romeo.send(chat(juliet, "one", origin("o1")))
    assert bodies(await juliet.messages()) == []


async def test_the_same_origin_id_to_another_recipient_is_another_message(make_world: MakeWorld, world: World) -> None:
    romeo, juliet = await pair(world)
    nurse = await Phone.login(world, "nurse@example.org/kitchen")
    await romeo.send(chat(juliet, "one", origin("o1")), chat(nurse, "one", origin("o1")))
    assert bodies(await juliet.messages()) == ["one"] and bodies(await nurse.messages()) == ["one"]
    again = await restarted(make_world, world)
    romeo = await Phone.login(again, ROMEO)
    tybalt = await Phone.login(again, "tybalt@example.org/street")
    await romeo.send(chat(tybalt, "one", origin("o1")))
    assert bodies(await tybalt.messages()) == ["one"]


async def test_the_same_origin_id_of_another_account_is_another_message(world: World) -> None:
    romeo, juliet = await pair(world)
    nurse = await Phone.login(world, "nurse@example.org/kitchen")
    await romeo.send(chat(juliet, "one", origin("o1")))
    await nurse.send(chat(juliet, "two", origin("o1")))
    assert bodies(await juliet.messages()) == ["one", "two"]


async def test_messages_without_an_origin_id_are_never_retries(world: World) -> None:
    romeo, juliet = await pair(world)
    for more in ("", "", "<origin-id xmlns='urn:xmpp:sid:0'/>", "<origin-id xmlns='urn:xmpp:sid:0'/>"):
        await romeo.send(chat(juliet, "one", more, id_="1"))
    assert bodies(await juliet.messages()) == ["one"] * 4


async def test_a_retry_of_one_whose_commit_failed_is_taken_again(world: World) -> None:
    romeo, juliet = await pair(world)
    backend = backend_of(world)
    await romeo.send(chat(juliet, "zero"))
    backend.hold()
    await romeo.send(chat(juliet, "one", origin("o1")))
    backend.fail_with(StorageError("the disk is broken"))
    backend.release()
    backend.fail_with(None)
    await world.settle()
    await romeo.cut()
    again = await Phone.login(world, ROMEO)
    await again.send(chat(juliet, "one", origin("o1")))
    assert await again.handled() == 2
    await again.send(chat(juliet, "one", origin("o1")))
    assert await again.handled() == 3
    assert len(await archived(world, "juliet@example.org")) == 2, "zero and one"


async def test_a_retry_of_one_that_was_refused_for_want_of_room_is_taken(world: World) -> None:
    romeo, juliet = await pair(world)
    backend = backend_of(world)
    backend.fail_with(StorageFull("no room"), at_call=True)
    [reply] = await romeo.send(chat(juliet, "one", origin("o1")))
    assert condition(reply) == "resource-constraint"
    backend.fail_with(None)
    await romeo.send(chat(juliet, "one", origin("o1")))
    assert bodies(await juliet.messages()) == ["one"]


async def test_only_the_newest_are_remembered(world: World) -> None:
    romeo, juliet = await pair(world)
    for count in range(REMEMBERED + 1):
        romeo.push(chat("nurse@example.org", "x", origin(str(count))))
    await world.account("nurse@example.org")
    await romeo.send(chat(juliet, "x", origin("last")))
    recent = world.host().accounts[romeo.jid.bare].loaded_part(RecentlySent)
    assert recent is not None and len(recent.marks) <= REMEMBERED


async def test_after_a_restart_only_the_last_week_counts(make_world: MakeWorld, world: World) -> None:
    romeo, juliet = await pair(world)
    await romeo.send(chat(juliet, "one", origin("o1")))
    again = await restarted(make_world, world)
    again.clock.advance(8 * 24 * 3600)
    romeo, juliet = await pair(again)
    await romeo.send(chat(juliet, "one", origin("o1")))
    assert bodies(await juliet.messages()) == ["one"]


async def test_a_chat_state_with_an_origin_id_passes_each_time(world: World) -> None:
    romeo, juliet = await pair(world)
    state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
    for _ in range(2):
        await romeo.send(f"<message to='{juliet}' type='chat'>{state}{origin('o1')}</message>")
    assert len(await juliet.messages()) == 2
