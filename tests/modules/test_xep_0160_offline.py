"""XEP-0160: messages for absent people."""

from typing import Any

import pytest

from storage.interface import StorageError, StorageFull
from storage.memory import MemoryBackend
from tests.modules.conftest import MakeWorld
from tests.support.chat import (
    MAM,
    MESSAGES,
    Phone,
    Timers,
    bodies,
    chat,
    condition,
    delay_of,
    origin,
    stanza_id,
)
from tests.support.world import World
from xmppd.modules import xep_0160_offline
from xmppd.modules.xep_0160_delivery import Delivery
from xmppd.modules.xep_0160_offline import RETRY_AFTER_S, SAVE_AFTER_S, OfflineModule
from xmppd.resource import Account

ROMEO, BARE = "romeo@example.org/orchard", "juliet@example.org"
BALCONY, CHAMBER = f"{BARE}/balcony", f"{BARE}/chamber"
NEGATIVE = "<presence><priority>-1</priority></presence>"
GONE = "<presence type='unavailable'/>"
MAM_QUERY = f"<iq type='set' id='q'><query xmlns='{MAM}'/></iq>"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    world = await make_world("xep_0030_disco", *MESSAGES)
    await world.account(BARE)
    return world


@pytest.fixture
def timers(world: World) -> Timers:
    return Timers(world)


@pytest.fixture
async def romeo(world: World, timers: Timers) -> Phone:
    return await Phone.login(world, ROMEO)


def backend_of(world: World) -> MemoryBackend:
    backend = world.shared.backend
    assert isinstance(backend, MemoryBackend)
    return backend


async def restarted(make_world: MakeWorld, world: World, **options: Any) -> World:
    """Return a server that starts on what another one has committed, a second later."""
    again = await make_world(*MESSAGES, backend=world.shared.backend, **options)
    again.clock.advance((world.clock.now() - again.clock.now()).total_seconds() + 1)
    return again


def delivery_of(world: World) -> Delivery | None:
    account: Account | None = world.host().accounts.get(BARE)  # type: ignore[call-overload]
    return None if account is None else account.loaded_part(Delivery)


async def come(world: World, jid: str = BALCONY, presence: str = "<presence/>", **more: Any) -> list[str]:
    """Let a client come that acknowledges all it gets, and leave again; return what it got."""
    phone = await Phone.login(world, jid, presence, **more)
    found = bodies(await phone.messages())
    await phone.ack()
    await phone.client.close()
    return found


# what waits, and for whom


async def test_the_server_says_that_it_keeps_messages(world: World, romeo: Phone) -> None:
    [reply] = [
        stanza
        for stanza in await romeo.send(
            "<iq type='get' id='d' to='example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
        )
        if stanza.id == "d"
    ]
    assert "msgoffline" in {element.get("var") for element in reply.elements()[0].elements()}


async def test_messages_wait_for_somebody_absent_and_come_in_order_with_their_time(world: World, romeo: Phone) -> None:
    for count in range(3):
        await romeo.send(chat(BARE, str(count), type_="normal" if count == 1 else "chat"))
        world.clock.advance(60)
    juliet = await Phone.login(world, BALCONY)
    messages = await juliet.messages()
    assert bodies(messages) == ["0", "1", "2"]
    delays = [delay_of(message) for message in messages]
    assert [delay.stamp.minute for delay in delays if delay is not None] == [4, 5, 6]
    assert {delay.from_ for delay in delays if delay is not None} == {"example.org"}
    assert all(stanza_id(message, BARE) for message in messages)


async def test_what_waits_comes_before_ones_own_presence_and_all_that_is_newer(world: World, romeo: Phone) -> None:
    await romeo.send(chat(BARE, "old"))
    juliet = await Phone.login(world, BALCONY, presence=None)
    await juliet.send("<presence/>")
    kinds = [stanza.kind for stanza in juliet.received]
    assert kinds.index("message") < kinds.index("presence")


@pytest.mark.parametrize("resume", [" resume='true'", ""])
async def test_what_was_acknowledged_does_not_come_again(world: World, romeo: Phone, resume: str) -> None:
    await romeo.send(chat(BARE, "one"))
    assert await come(world, resume=resume) == ["one"]
    assert await come(world) == []
    await romeo.send(chat(BARE, "two"))
    assert await come(world, CHAMBER) == ["two"]


async def test_to_a_client_without_acknowledgements_it_comes_once(world: World, romeo: Phone) -> None:
    await romeo.send(chat(BARE, "one"))
    for expected in (["one"], []):
        juliet = await world.client(BALCONY)
        await juliet.send("<presence/>")
        assert bodies(await juliet.drain()) == expected
        await juliet.disconnect()


async def test_a_message_to_a_connected_resource_that_is_not_available_waits(world: World, romeo: Phone) -> None:
    juliet = await Phone.login(world, BALCONY, presence=None)
    await romeo.send(chat(BARE, "one"))
    assert await juliet.messages() == []
    await juliet.send("<presence/>")
    assert bodies(await juliet.messages()) == ["one"]


async def test_who_was_available_and_is_no_longer_gets_it_when_available_again(world: World, romeo: Phone) -> None:
    juliet = await Phone.login(world, BALCONY)
    await juliet.send(GONE)
    await romeo.send(chat(BARE, "one"), chat(BALCONY, "directed"))
    assert bodies(await juliet.messages()) == ["directed"]
    await juliet.send("<presence/>")
    assert bodies(await juliet.messages()) == ["one"]
    await juliet.ack()
    await juliet.client.close()
    assert await come(world) == []


async def test_with_a_negative_priority_nothing_comes_until_it_is_raised(world: World, romeo: Phone) -> None:
    await romeo.send(chat(BARE, "before"))
    juliet = await Phone.login(world, BALCONY, NEGATIVE)
    await romeo.send(chat(BARE, "after"))
    assert await juliet.messages() == []
    await juliet.send("<presence><show>away</show></presence>")
    assert bodies(await juliet.messages()) == ["before", "after"]
    await juliet.send("<presence/>")
    assert await juliet.messages() == []


async def test_a_priority_lowered_below_zero_lets_messages_wait(world: World, romeo: Phone) -> None:
    juliet = await Phone.login(world, BALCONY)
    await juliet.send(NEGATIVE)
    await romeo.send(chat(BARE, "one"))
    assert await juliet.messages() == []
    assert await come(world, CHAMBER) == ["one"]


async def test_a_presence_with_a_broken_priority_brings_an_error_and_no_messages(world: World, romeo: Phone) -> None:
    await romeo.send(chat(BARE, "one"))
    juliet = await Phone.login(world, BALCONY, presence=None)
    await juliet.send("<presence><priority>high</priority></presence>")
    assert [condition(stanza) for stanza in juliet.received if stanza.type == "error"] == ["bad-request"]


async def test_directed_presence_brings_nothing(world: World, romeo: Phone) -> None:
    await romeo.send(chat(BARE, "one"))
    juliet = await Phone.login(world, BALCONY, f"<presence to='{romeo}'/>")
    assert await juliet.messages() == []


async def test_what_does_not_last_does_not_wait(world: World, romeo: Phone) -> None:
    state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
    await romeo.send(
        f"<message to='{BARE}' type='chat'>{state}</message>",
        f"<message to='{BARE}' type='headline'><body>x</body></message>",
        f"<message to='{BARE}' type='error'><body>x</body></message>",
    )
    assert await come(world) == []


# who comes while something comes


async def test_what_comes_while_what_waits_is_read_is_given_too_and_once(world: World, romeo: Phone) -> None:
    for count in range(3):
        await romeo.send(chat(BARE, str(count)))
    archive = world.shared.backend.archive
    real = archive.pending
    sent = []

    async def pending(owner: str, after_id: int, limit: int) -> Any:
        page = await real(owner, after_id, limit)
        if len(sent) < 3:
            sent.append(f"meanwhile {len(sent)}")
            romeo.push(chat(BARE, sent[-1]))
        return page

    archive.pending = pending  # type: ignore[method-assign]
    juliet = await Phone.login(world, BALCONY)
    await romeo.send(chat(BARE, "afterwards"))
    assert bodies(await juliet.messages()) == ["0", "1", "2", *sent, "afterwards"]
    await juliet.ack()
    await juliet.client.close()
    assert await come(world) == []


async def test_a_message_that_is_not_committed_when_its_recipient_comes_is_given(world: World, romeo: Phone) -> None:
    await romeo.send(chat(BARE, "zero"))
    juliet = await Phone.login(world, BALCONY, presence=None)
    backend_of(world).hold()
    await romeo.send(chat(BARE, "one"))
    juliet.push("<presence/>")
    await world.settle()
    backend_of(world).release()
    await world.settle()
    assert bodies(await juliet.messages()) == ["zero", "one"]
    await romeo.send(chat(BARE, "two"))
    assert bodies(await juliet.messages()) == ["two"]


async def test_a_message_whose_commit_fails_while_its_recipient_comes_holds_nothing_up(
    world: World, romeo: Phone, timers: Timers
) -> None:
    juliet = await Phone.login(world, BALCONY)
    await juliet.send(GONE)
    backend = backend_of(world)
    backend.hold()
    await romeo.send(chat(BARE, "lost", origin("o")))
    backend.fail_with(StorageError("broken"))
    backend.release()
    backend.fail_with(None)
    await world.settle()
    await romeo.cut()
    romeo = await Phone.login(world, ROMEO)
    await juliet.send("<presence/>")
    assert await juliet.messages() == []
    await romeo.send(chat(BARE, "lost", origin("o")))
    assert bodies(await juliet.messages()) == ["lost"]
    await juliet.ack()
    await juliet.client.close()
    assert await come(world) == []


async def test_two_that_come_at_once_get_everything_once_between_them(world: World, romeo: Phone) -> None:
    for count in range(250):
        romeo.push(chat(BARE, str(count)))
    await world.settle()
    first = await Phone.login(world, BALCONY, presence=None)
    second = await Phone.login(world, CHAMBER, presence=None)
    first.push("<presence/>")
    second.push("<presence/>")
    await world.settle()
    got = bodies(await first.messages()) + bodies(await second.messages())
    assert sorted(got, key=int) == [str(count) for count in range(250)]
    await first.ack()
    await second.ack()
    await first.client.close()
    await second.client.close()
    assert await come(world) == []


async def test_a_sender_that_never_stops_does_not_keep_a_client_from_coming(world: World, romeo: Phone) -> None:
    await romeo.send(chat(BARE, "first"))
    archive = world.shared.backend.archive
    real = archive.pending
    reads = 0

    async def pending(owner: str, after_id: int, limit: int) -> Any:
        nonlocal reads
        reads += 1
        assert reads < 50, "what comes while it is read is read again and again"
        if delivery_of(world) is not None and not world.host().accounts[BARE].available():  # type: ignore[index]
            romeo.push(chat(BARE, str(reads)))
        return await real(owner, after_id, limit)

    archive.pending = pending  # type: ignore[method-assign]
    juliet = await Phone.login(world, BALCONY)
    got = bodies(await juliet.messages())
    assert got[0] == "first" and len(got) == len(set(got))


async def test_a_client_that_goes_while_it_is_given_what_waits_leaves_it_to_the_next_and_no_more(
    world: World, romeo: Phone
) -> None:
    """What was begun for it is over, though another one with room is there when storage answers."""
    await romeo.send(chat(BARE, "zero"))
    backend_of(world).hold()
    await romeo.send(chat(BARE, "one"))
    gone = await Phone.login(world, BALCONY, presence=None, resume="")
    gone.push("<presence/>")
    await world.settle()
    await gone.cut()
    first, second = await Phone.login(world, BALCONY, presence=None), await Phone.login(world, CHAMBER, presence=None)
    for phone in (first, second):
        phone.push("<presence/>")
        await world.settle()
    await romeo.send(chat(CHAMBER, "two"))
    backend_of(world).release()
    await world.settle()
    assert bodies(await first.messages()) == ["zero", "one"]
    assert bodies(await second.messages()) == ["two"]


# the history


async def test_what_the_history_gave_before_presence_does_not_come_again(world: World, romeo: Phone) -> None:
    for count in range(3):
        await romeo.send(chat(BARE, str(count)))
    juliet = await Phone.login(world, BALCONY, presence=None)
    await juliet.send(MAM_QUERY)
    await romeo.send(chat(BARE, "3"))
    juliet.received.clear()
    await juliet.send("<presence/>")
    assert bodies(await juliet.messages()) == ["3"]
    await juliet.ack()
    await juliet.client.close()
    assert await come(world) == []


async def test_a_page_of_the_history_leaves_the_rest_to_wait(world: World, romeo: Phone) -> None:
    for count in range(4):
        await romeo.send(chat(BARE, str(count)))
    juliet = await Phone.login(world, BALCONY, presence=None)
    last = "<set xmlns='http://jabber.org/protocol/rsm'><max>2</max><before/></set>"
    await juliet.send(f"<iq type='set' id='q'><query xmlns='{MAM}'>{last}</query></iq>")
    juliet.received.clear()
    await juliet.send("<presence/>")
    assert bodies(await juliet.messages()) == ["0", "1"]


async def test_who_asks_for_what_comes_after_an_id_has_what_came_before(world: World, romeo: Phone) -> None:
    for count in range(4):
        await romeo.send(chat(BARE, str(count)))
    archive = world.shared.backend.archive
    second = world.shared.archive_ids.text_of((await archive.pending(BARE, 0, 10))[1].id)
    juliet = await Phone.login(world, BALCONY, presence=None)
    after = f"<set xmlns='http://jabber.org/protocol/rsm'><max>1</max><after>{second}</after></set>"
    await juliet.send(f"<iq type='set' id='q'><query xmlns='{MAM}'>{after}</query></iq>")
    juliet.received.clear()
    await juliet.send("<presence/>")
    assert bodies(await juliet.messages()) == ["3"]


async def test_the_history_does_not_take_from_another_what_is_on_its_way_to_it(
    world: World, romeo: Phone, timers: Timers
) -> None:
    lost = await Phone.login(world, CHAMBER)
    await lost.cut()
    await romeo.send(chat(CHAMBER, "one"))
    reader = await Phone.login(world, BALCONY, presence=None)
    await reader.send(MAM_QUERY)
    await reader.client.close()
    await timers.advance(600)
    assert await come(world, CHAMBER) == ["one"]


async def test_a_page_of_the_history_that_never_arrived_was_not_given(
    world: World, romeo: Phone, timers: Timers
) -> None:
    await romeo.send(chat(BARE, "one"))
    for presence in (None, "<presence/>"):
        juliet = await Phone.login(world, BALCONY, presence=presence)
        juliet.push(MAM_QUERY)
        await world.settle()
        await juliet.cut()
        await timers.advance(600)
    assert await come(world) == ["one"]


async def test_a_page_of_the_history_for_a_client_that_has_gone_was_not_given(world: World, romeo: Phone) -> None:
    await romeo.send(chat(BARE, "zero"))
    juliet = await Phone.login(world, BALCONY, presence=None, resume="")
    backend_of(world).hold()
    await romeo.send(chat(BARE, "one"))
    juliet.push(MAM_QUERY)
    await world.settle()
    await juliet.cut()
    backend_of(world).release()
    await world.settle()
    assert await come(world) == ["zero", "one"]


async def test_what_another_has_without_presence_does_not_come_again(world: World, romeo: Phone) -> None:
    quiet = await Phone.login(world, CHAMBER, presence=None)
    await romeo.send(chat(CHAMBER, "acknowledged"))
    await quiet.ack()
    await romeo.send(chat(CHAMBER, "not yet"), chat(BARE, "waits"))
    assert await come(world, BALCONY) == ["waits"]
    assert bodies(await quiet.messages()) == ["acknowledged", "not yet"]


async def test_what_came_to_a_full_jid_before_presence_does_not_come_again(world: World, romeo: Phone) -> None:
    juliet = await Phone.login(world, BALCONY, presence=None)
    await romeo.send(chat(BALCONY, "directed"), chat(BARE, "waits"))
    assert bodies(await juliet.messages()) == ["directed"]
    await juliet.ack()
    await romeo.send(chat(BALCONY, "not acknowledged"))
    await juliet.send("<presence/>")
    assert bodies(await juliet.messages()) == ["not acknowledged", "waits"]


async def test_what_is_remembered_of_a_client_before_presence_is_bounded(
    world: World, romeo: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xep_0160_offline, "MAX_GIVEN", 3)
    juliet = await world.client(BALCONY)
    for count in range(5):
        await romeo.send(chat(BALCONY, str(count)))
    assert len(juliet.resource.state(xep_0160_offline.Given).ids) == 3  # type: ignore[union-attr]


# what a resource never acknowledged


async def test_what_one_never_acknowledged_waits_for_the_next_without_what_it_did(
    world: World, romeo: Phone, timers: Timers
) -> None:
    juliet = await Phone.login(world, BALCONY)
    await romeo.send(chat(BARE, "one"))
    await juliet.ack()
    await romeo.send(chat(BARE, "two"), chat(BARE, "three"))
    await juliet.cut()
    await romeo.send(chat(BARE, "four"))
    await timers.advance(600)
    assert await come(world, CHAMBER) == ["two", "three", "four"]
    assert await come(world) == []


async def test_what_was_given_and_never_acknowledged_is_given_again(world: World, romeo: Phone, timers: Timers) -> None:
    await romeo.send(chat(BARE, "one"))
    juliet = await Phone.login(world, BALCONY)
    assert bodies(await juliet.messages()) == ["one"]
    await juliet.cut()
    await timers.advance(600)
    assert await come(world) == ["one"]


async def test_while_one_may_still_be_resumed_another_does_not_get_what_is_on_its_way(
    world: World, romeo: Phone
) -> None:
    juliet = await Phone.login(world, BALCONY)
    await juliet.cut()
    await romeo.send(chat(BARE, "one"))
    assert await come(world, CHAMBER) == []
    await juliet.resume()
    assert bodies(await juliet.messages()) == ["one"]


async def test_what_two_got_and_one_acknowledged_is_not_sent_again_when_the_other_ends(
    world: World, romeo: Phone, timers: Timers
) -> None:
    lost, other = await Phone.login(world, BALCONY), await Phone.login(world, CHAMBER)
    await lost.cut()
    await romeo.send(chat(BARE, "acknowledged"))
    await other.ack()
    await romeo.send(chat(BARE, "not yet"))
    assert bodies(await other.messages()) == ["acknowledged", "not yet"]
    await timers.advance(600)
    assert await other.messages() == []
    await other.ack()
    await other.client.close()
    assert await come(world) == []


async def test_what_one_lost_is_given_at_once_to_another_that_is_there_with_its_time(
    world: World, romeo: Phone, timers: Timers
) -> None:
    lost, other = await Phone.login(world, BALCONY), await Phone.login(world, CHAMBER)
    await lost.cut()
    await romeo.send(chat(BALCONY, "one"))
    await timers.advance(600)
    [message] = await other.messages()
    delay = delay_of(message)
    assert delay is not None and delay.stamp.minute == 4
    await other.ack()
    await other.client.close()
    assert await come(world) == []


async def test_what_two_lose_one_after_the_other_waits_once(world: World, romeo: Phone, timers: Timers) -> None:
    first, second = await Phone.login(world, BALCONY), await Phone.login(world, CHAMBER)
    await first.cut()
    await romeo.send(chat(BARE, "one"))
    await timers.advance(100)
    await second.cut()
    await timers.advance(600)
    assert await come(world) == ["one"]
    assert await come(world) == []


async def test_a_client_without_acknowledgements_beside_one_with_them_leaves_nothing_behind(
    world: World, romeo: Phone
) -> None:
    """What it was handed has reached somebody, though the other has an older one on its way."""
    slow = await Phone.login(world, BALCONY)
    await romeo.send(chat(BALCONY, "old"))
    quick = await world.client(CHAMBER, "<presence><priority>5</priority></presence>")
    await romeo.send(chat(BARE, "new"))
    assert bodies(await quick.drain()) == ["new"]
    assert bodies(await slow.messages()) == ["old"]
    await slow.ack()
    await slow.client.close()
    await quick.disconnect()
    assert await come(world) == []


async def test_lost_messages_wait_beside_a_connected_resource_that_is_not_available(
    world: World, romeo: Phone, timers: Timers
) -> None:
    lost, other = await Phone.login(world, BALCONY), await Phone.login(world, CHAMBER)
    await other.send(GONE)
    await lost.cut()
    await romeo.send(chat(BALCONY, "one"))
    await timers.advance(600)
    assert await other.messages() == []
    await other.send("<presence/>")
    assert bodies(await other.messages()) == ["one"]


# many


async def test_more_than_a_client_may_have_unacknowledged_comes_as_it_acknowledges_in_order(
    world: World, romeo: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xep_0160_offline, "MAX_UNACKED", 20)
    monkeypatch.setattr(xep_0160_offline, "PAGE", 7)
    archive = world.shared.backend.archive
    real = archive.pending
    reads = 0

    async def pending(owner: str, after_id: int, limit: int) -> Any:
        nonlocal reads
        reads += 1
        return await real(owner, after_id, limit)

    archive.pending = pending  # type: ignore[method-assign]
    for count in range(100):
        romeo.push(chat(BARE, str(count)))
    await world.settle()
    juliet = await Phone.login(world, BALCONY)
    got = bodies(await juliet.messages())
    assert len(got) < 25
    for _ in range(200):
        if len(got) == 100:
            break
        await juliet.ack(juliet.resource.acks.acked + 1)
        got += bodies(await juliet.messages())
    assert got == [str(count) for count in range(100)]
    assert reads < 60, "each acknowledgement did not read everything again"
    await juliet.ack()
    await romeo.send(chat(BARE, "live"))
    assert bodies(await juliet.messages()) == ["live"]
    await juliet.ack()
    await juliet.client.close()
    assert await come(world) == []


async def test_large_messages_come_few_at_a_time(world: World, romeo: Phone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xep_0160_offline, "MAX_UNACKED_BYTES", 10_000)
    for count in range(10):
        await romeo.send(chat(BARE, f"{count} " + "x" * 3_000))
    juliet = await Phone.login(world, BALCONY)
    got = bodies(await juliet.messages())
    assert 3 <= len(got) <= 4
    for _ in range(10):
        await juliet.ack()
        got += bodies(await juliet.messages())
    assert [text.split()[0] for text in got] == [str(count) for count in range(10)]


async def test_a_client_that_reads_slowly_and_acknowledges_nothing_gets_the_rest_when_it_has_read(
    world: World, romeo: Phone, timers: Timers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xep_0160_offline, "BURST_BYTES", 10_000)
    for count in range(10):
        await romeo.send(chat(BARE, f"{count} " + "x" * 3_000))
    juliet = await world.client(BALCONY)
    flush = juliet.connection.flush

    def take_little() -> None:
        juliet.connection.is_congested = True
        flush()

    juliet.connection.flush = take_little  # type: ignore[method-assign]
    await juliet.send("<presence/>")
    got = bodies(await juliet.drain())
    assert 2 <= len(got) <= 5
    await timers.advance(RETRY_AFTER_S)
    assert bodies(await juliet.drain()) == []
    for _ in range(5):
        juliet.connection.is_congested = False
        await timers.advance(RETRY_AFTER_S)
        got += bodies(await juliet.drain())
    assert [text.split()[0] for text in got] == [str(count) for count in range(10)]


async def test_what_comes_live_while_much_still_waits_comes_once(
    world: World, romeo: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xep_0160_offline, "MAX_UNACKED", 10)
    for count in range(30):
        await romeo.send(chat(BARE, str(count)))
    juliet = await Phone.login(world, BALCONY)
    await romeo.send(chat(BARE, "live"))
    got = bodies(await juliet.messages())
    for _ in range(20):
        await juliet.ack()
        got += bodies(await juliet.messages())
    assert sorted(got) == sorted([*(str(count) for count in range(30)), "live"])


async def test_who_leaves_halfway_leaves_the_rest_to_the_next(
    world: World, romeo: Phone, timers: Timers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xep_0160_offline, "MAX_UNACKED", 10)
    for count in range(30):
        await romeo.send(chat(BARE, str(count)))
    juliet = await Phone.login(world, BALCONY)
    got = bodies(await juliet.messages())
    await juliet.ack()
    await juliet.cut()
    await timers.advance(600)
    monkeypatch.undo()
    rest = await come(world)
    assert len(got) < 30 and got + rest[rest.index(str(len(got))) :] == [str(count) for count in range(30)]


# the cursor on disk


async def test_after_a_clean_stop_nothing_comes_again(make_world: MakeWorld, world: World, romeo: Phone) -> None:
    juliet = await Phone.login(world, BALCONY)
    await romeo.send(chat(BARE, "one"))
    await juliet.ack()
    await world.host().module(OfflineModule).stop()
    again = await restarted(make_world, world)
    assert await come(again) == []


async def test_what_was_acknowledged_behind_what_was_not_does_not_come_again_after_a_restart(
    make_world: MakeWorld, world: World, romeo: Phone
) -> None:
    away, there = await Phone.login(world, CHAMBER), await Phone.login(world, BALCONY)
    await away.cut()
    await romeo.send(chat(CHAMBER, "one"), chat(BALCONY, "two"), chat(CHAMBER, "three"), chat(BALCONY, "four"))
    assert bodies(await there.messages()) == ["two", "four"]
    await there.ack()
    await world.host().module(OfflineModule).stop()
    again = await restarted(make_world, world)
    assert await come(again) == ["one", "three"]


async def test_after_a_crash_something_may_come_again_and_nothing_is_lost(
    make_world: MakeWorld, world: World, romeo: Phone, timers: Timers
) -> None:
    juliet = await Phone.login(world, BALCONY)
    await romeo.send(chat(BARE, "saved"))
    await juliet.ack()
    await timers.advance(SAVE_AFTER_S)
    await romeo.send(chat(BARE, "not saved"), chat(BARE, "not acknowledged"))
    again = await restarted(make_world, world)
    assert await come(again) == ["not saved", "not acknowledged"]


async def test_the_cursor_is_written_once_for_many_acknowledgements(world: World, romeo: Phone, timers: Timers) -> None:
    juliet = await Phone.login(world, BALCONY)
    await timers.advance(SAVE_AFTER_S)
    store = world.host().module(OfflineModule).stores["cursor"]
    real, writes = store.set, []

    def spy(owner: str, value: bytes) -> Any:
        writes.append((owner, value))
        return real(owner, value)

    store.set = spy
    for count in range(10):
        await romeo.send(chat(BARE, str(count)))
        await juliet.ack()
    assert writes == []
    await timers.advance(SAVE_AFTER_S)
    assert [owner for owner, _ in writes] == [BARE]
    await timers.advance(60)
    assert len(writes) == 1, "what has not moved is not written"
    await juliet.client.close()
    assert len(writes) == 1


async def test_with_the_last_resource_the_cursor_is_written_and_leaves_memory(world: World, romeo: Phone) -> None:
    await romeo.send(chat(BARE, "one"))
    await come(world)
    assert delivery_of(world) is None
    stored = await world.host().module(OfflineModule).stores["cursor"].get(BARE)
    assert stored is not None and stored.isdigit()


@pytest.mark.parametrize("at_call", [True, False])
async def test_a_cursor_that_could_not_be_written_counts_all_the_same_and_is_written_later(
    world: World, romeo: Phone, timers: Timers, at_call: bool
) -> None:
    await romeo.send(chat(BARE, "one"))
    juliet = await Phone.login(world, BALCONY)
    await juliet.ack()
    backend_of(world).fail_with(StorageFull("no room"), at_call=at_call)
    await juliet.client.close()
    backend_of(world).fail_with(None)
    assert await come(world) == []
    await timers.advance(SAVE_AFTER_S)
    stored = await world.host().module(OfflineModule).stores["cursor"].get(BARE)
    assert stored is not None


async def test_a_cursor_that_is_being_written_counts_already(world: World, romeo: Phone) -> None:
    await romeo.send(chat(BARE, "one"))
    juliet = await Phone.login(world, BALCONY)
    await juliet.ack()
    backend_of(world).hold()
    await juliet.client.close()
    again = await Phone.login(world, BALCONY, presence=None)
    again.push("<presence/>")
    await world.settle()
    backend_of(world).release()
    await world.settle()
    assert await again.messages() == []
