"""The outbox against gateways that do as they are told, by a clock that tests move."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from push.gateway import BadToken, Device, Kind, Notification, Outcome, Result, unreachable
from push.outbox import Outbox, OutboxOptions, State, queue_name
from storage.interface import StorageError
from storage.memory import MemoryBackend
from storage.sqlite.backend import SqliteBackend
from tests.support.push.scripted import FakeClock, Notes, ScriptedGateway, settle

HOUR_S = 3600


def note(number: int | str = 1, **changes) -> Notification:
    device = Device(f"romeo/{number}", "apns", f"token-{number}", registered_at_us=100)
    return replace(Notification(device, body="text"), **changes)


@dataclass
class World:
    """One outbox that runs, with all that is around it."""

    clock: FakeClock = field(default_factory=FakeClock)
    backend: MemoryBackend = field(default_factory=MemoryBackend)
    notes: Notes = field(default_factory=Notes)
    tasks: list[asyncio.Task] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gateway = ScriptedGateway("apns", self.clock)
        self.other = ScriptedGateway("fcm", self.clock)

    def start(self, options: OutboxOptions | None = None) -> Outbox:
        outbox = Outbox(
            self.backend.work,
            [self.gateway, self.other],
            self.clock,
            self.notes,
            options or OutboxOptions(),
            queue_errors=(StorageError,),
            sleep=self.clock.sleep,
        )
        self.tasks.append(asyncio.create_task(outbox.run()))
        return outbox

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        self.tasks.clear()

    async def waiting(self, gateway: str = "apns") -> int:
        return await self.backend.work.depth(queue_name(gateway))


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.stop()


async def test_a_notification_goes_out_at_once_and_is_gone_from_the_queue(world):
    outbox = world.start()
    await outbox.put(note())
    await settle()
    assert [sent.device.id for sent in world.gateway.sent] == ["romeo/1"]
    assert await world.waiting() == 0
    assert outbox.counts == {("apns", "queued", ""): 1, ("apns", "delivered", ""): 1}
    assert sum(outbox.latency_counts) == 1 and world.notes.outcomes == [Outcome(Result.DELIVERED)]


async def test_a_device_of_an_unknown_gateway_or_with_garbage_for_a_token_is_not_taken(world):
    outbox = world.start()
    with pytest.raises(KeyError):
        outbox.put(note(device=Device("a", "pigeon", "t")))
    with pytest.raises(BadToken):
        outbox.put(note(device=Device("a", "apns", "")))
    assert await world.waiting() == 0


async def test_one_conversation_of_a_device_waits_once_with_the_newest_text(world):
    outbox = world.start()
    world.gateway.otherwise = lambda _: unreachable("down")
    outbox.put(note())
    await settle()
    for number in range(100):
        outbox.put(note(conversation="juliet", body=f"text {number}"))
        outbox.put(note(2, conversation="juliet"))
        outbox.put(note(conversation="mercutio"))
    outbox.put(note(conversation="juliet", kind=Kind.CALL, body="ring"))
    assert await world.waiting() == 5
    world.gateway.otherwise = lambda _: Outcome(Result.DELIVERED)
    world.gateway.sent.clear()
    await world.clock.advance(10)
    assert sorted(sent.body for sent in world.gateway.sent) == ["ring", "text", "text", "text", "text 99"]


async def test_a_gateway_down_for_an_hour_is_asked_rarely_and_nothing_is_lost(world):
    outbox = world.start()
    world.gateway.otherwise = lambda _: unreachable("connect")
    for number in range(500):
        outbox.put(note(number))
    await world.clock.advance(HOUR_S)
    # 50 were on their way when it went down; from then on one at a time, 1 s to 5 minutes apart
    assert 50 <= len(world.gateway.sent) <= 50 + 25
    assert await world.waiting() == 500
    state = (await outbox.states())["apns"]
    assert (state.reason, state.waiting) == ("connect", 500) and state.failures > 8 and state.state is not State.OPEN
    world.gateway.otherwise = lambda _: Outcome(Result.DELIVERED)
    world.gateway.sent.clear()
    await world.clock.advance(400)
    assert len({sent.device.id for sent in world.gateway.sent}) == len(world.gateway.sent) == 500
    assert world.notes.openings == ["apns"] and (await outbox.states())["apns"].state is State.OPEN


async def test_after_a_pause_one_goes_first_and_the_rest_only_when_it_got_through(world):
    outbox = world.start()
    world.gateway.outcomes.append(unreachable("down"))
    outbox.put(note(0))
    await settle()
    for number in range(1, 20):
        outbox.put(note(number))
    world.gateway.gate = asyncio.Event()
    world.gateway.sent.clear()
    await world.clock.advance(5)
    assert len(world.gateway.sent) == 1
    world.gateway.gate.set()
    await settle()
    assert len(world.gateway.sent) == 20


async def test_a_gateway_that_is_down_holds_up_no_other(world):
    outbox = world.start()
    world.gateway.otherwise = lambda _: unreachable("down")
    outbox.put(note(1))
    outbox.put(note(2, device=Device("b", "fcm", "t")))
    await settle()
    assert len(world.other.sent) == 1


async def test_retry_after_of_the_gateway_is_kept(world):
    outbox = world.start()
    world.gateway.outcomes.append(Outcome(Result.RETRY, "http-503", 120.0, is_gateway=True))
    outbox.put(note())
    await world.clock.advance(119)
    outbox.put(note(2))
    assert world.gateway.times_s == [0.0]
    await world.clock.advance(2)
    assert world.gateway.times_s[1] == pytest.approx(120, abs=1) and len(world.gateway.sent) == 3


async def test_trouble_of_one_device_is_not_the_gateways(world):
    outbox = world.start()
    world.gateway.otherwise = lambda sent: Outcome(
        Result.RETRY if sent.device.id == "romeo/1" else Result.DELIVERED, "TooManyRequests"
    )
    outbox.put(note(1))
    await settle()
    outbox.put(note(2))
    await settle()
    assert (await outbox.states())["apns"].state is State.OPEN and world.notes.pauses == []
    await world.clock.advance(HOUR_S)
    times = [
        at for sent, at in zip(world.gateway.sent, world.gateway.times_s, strict=True) if sent.device.id[-1] == "1"
    ]
    gaps = [late - early for early, late in pairwise(times)]
    assert gaps[0] < 3 and gaps[:8] == sorted(gaps[:8]) and 300 <= max(gaps) <= 361, (
        "longer each time, up to five minutes"
    )
    assert 10 < len(gaps) < 25


async def test_bad_credentials_stop_everything_and_lose_nothing(world):
    outbox = world.start()
    world.gateway.otherwise = lambda _: Outcome(Result.BAD_CREDENTIALS, "InvalidProviderToken")
    for number in range(100):
        outbox.put(note(number))
    await world.clock.advance(HOUR_S)
    assert len(world.gateway.sent) <= 50 + 13, "one try in five minutes"
    assert (await outbox.states())["apns"].reason == "InvalidProviderToken"
    assert world.notes.pauses[0][:2] == ("apns", "InvalidProviderToken")
    world.gateway.otherwise = lambda _: Outcome(Result.DELIVERED)
    await world.clock.advance(400)
    assert await world.waiting() == 0


async def test_a_dead_token_is_reported_at_once_and_what_waits_for_it_is_not_sent(world):
    outbox = world.start(OutboxOptions(concurrency=1))
    world.gateway.outcomes.append(Outcome(Result.DEAD, "Unregistered", dead_at_us=500))
    for number in range(5):
        outbox.put(note(conversation=f"contact {number}"))
    again = note(conversation="x")
    outbox.put(replace(again, device=replace(again.device, registered_at_us=501)))
    await settle()
    sent, outcome = world.notes.dead_ones[0]
    assert (sent.device.id, outcome.reason) == ("romeo/1", "Unregistered")
    assert [sent.conversation for sent in world.gateway.sent] == ["contact 0", "x"], "the one that registered again"
    assert await world.waiting() == 0


async def test_what_is_refused_is_given_up_and_told(world):
    outbox = world.start()
    world.gateway.outcomes.append(Outcome(Result.REFUSED, "PayloadTooLarge"))
    outbox.put(note())
    await world.clock.advance(HOUR_S)
    assert len(world.gateway.sent) == 1 and world.notes.outcomes[0].reason == "PayloadTooLarge"
    assert world.notes.dead_ones == []


async def test_what_waited_too_long_is_not_sent(world):
    outbox = world.start(OutboxOptions(expire_s=100, call_expire_s=20))
    world.gateway.outcomes.append(Outcome(Result.RETRY, "http-503", 60.0, is_gateway=True))
    outbox.put(note(1))
    await settle()
    outbox.put(note(2, kind=Kind.CALL))
    outbox.put(note(3, expires_at_us=world.clock.us + 30_000_000))
    await world.clock.advance(80)
    assert [sent.device.id for sent in world.gateway.sent] == ["romeo/1", "romeo/1"]
    assert [outcome.kind for outcome in world.notes.outcomes].count(Result.EXPIRED) == 2
    assert await world.waiting() == 0


async def test_a_retry_that_would_come_too_late_is_the_end(world):
    outbox = world.start(OutboxOptions(call_expire_s=20))
    world.gateway.outcomes.append(Outcome(Result.RETRY, "TooManyRequests", 60.0))
    outbox.put(note(kind=Kind.CALL))
    await settle()
    assert world.notes.outcomes == [Outcome(Result.EXPIRED, "TooManyRequests")]
    assert await world.waiting() == 0


async def test_no_more_than_the_bound_are_on_their_way(world):
    outbox = world.start(OutboxOptions(concurrency=7))
    world.gateway.gate = asyncio.Event()
    for number in range(50):
        outbox.put(note(number))
    await settle()
    assert world.gateway.at_once == 7
    world.gateway.gate.set()
    await world.clock.advance(1)
    assert world.gateway.most_at_once == 7 and len(world.gateway.sent) == 50


async def test_the_rate_of_a_gateway_is_kept(world):
    outbox = world.start(OutboxOptions(gateway_per_s=10, gateway_burst=5))
    for number in range(100):
        outbox.put(note(number))
    await world.clock.advance(5)
    assert 50 <= len(world.gateway.sent) <= 56
    await world.clock.advance(6)
    assert len(world.gateway.sent) == 100


async def test_the_rate_of_a_device_is_kept_and_its_calls_ring_all_the_same(world):
    outbox = world.start(OutboxOptions(device_per_minute=6, device_burst=3))
    for number in range(8):
        outbox.put(note(1, body=str(number)))
    outbox.put(note(1, kind=Kind.CALL))
    outbox.put(note(2))
    await settle()
    assert [sent.device.id for sent in world.gateway.sent].count("romeo/1") == 4
    assert {sent.kind for sent in world.gateway.sent} == {Kind.ALERT, Kind.CALL}
    await world.clock.advance(49)
    assert len(world.gateway.sent) == 9
    await world.clock.advance(3)
    assert len(world.gateway.sent) == 10 and await world.waiting() == 0


async def test_a_conversation_without_an_end_does_not_hold_itself_up(world):
    outbox = world.start(OutboxOptions(device_per_minute=6, device_burst=1))
    for number in range(60):  # one a second, ten times what the device may have
        outbox.put(note(conversation="juliet", body=str(number)))
        await world.clock.advance(1)
    assert [at // 10 for at in world.gateway.times_s] == [0, 1, 2, 3, 4, 5, 6]
    assert int(world.gateway.sent[-1].body) >= 48, "the newest text, not the one that began to wait"


async def test_what_is_held_back_is_not_turned_over_and_over(world):
    outbox = world.start(OutboxOptions(device_per_minute=60, device_burst=1, concurrency=500))
    for _ in range(300):
        outbox.put(note(1))
    await world.clock.advance(305)
    assert len(world.gateway.sent) == 300
    assert outbox.counts["apns", "held", "device-rate"] == 299, "each is put back once, for its own turn"


async def test_a_worker_that_stops_gives_back_what_is_on_its_way(world):
    outbox = world.start()
    world.gateway.gate = asyncio.Event()
    outbox.put(note())
    await settle()
    await world.stop()
    world.gateway.gate.set()
    world.start()
    await settle()
    assert len(world.gateway.sent) == 2 and await world.waiting() == 0


async def test_what_a_killed_worker_left_behind_is_sent_by_the_next_when_its_lease_ends(world):
    outbox = world.start(OutboxOptions(lease_s=60))
    world.gateway.gate = asyncio.Event()
    outbox.put(note())
    await settle()
    retry, world.backend.work.retry = world.backend.work.retry, _unwritable
    await world.stop()
    world.backend.work.retry = retry
    assert len(world.gateway.sent) == 1 and await world.waiting() == 1
    world.gateway.gate.set()
    world.start(OutboxOptions(lease_s=60))
    await world.clock.advance(59)
    assert len(world.gateway.sent) == 1
    await world.clock.advance(2)
    assert len(world.gateway.sent) == 2 and await world.waiting() == 0


async def test_a_fault_of_ours_is_told_and_the_worker_goes_on(world):
    outbox = world.start(OutboxOptions(lease_s=60, max_attempts=3))
    world.gateway.fault = RuntimeError("a fault")
    outbox.put(note())
    await settle()
    assert [str(error) for error in world.notes.faults] == ["a fault"] and await world.waiting() == 1
    await world.clock.advance(200)
    assert len(world.gateway.sent) == 3 and world.notes.outcomes == [Outcome(Result.REFUSED, "too-many-attempts")]
    world.gateway.fault = None
    outbox.put(note(2))
    await settle()
    assert world.notes.outcomes[-1].kind is Result.DELIVERED


async def test_what_nobody_can_read_is_thrown_away(world):
    outbox = world.start()
    await world.backend.work.put(queue_name("apns"), b"\x00" * 8 + b"garbage")
    await world.clock.advance(1)
    assert await world.waiting() == 0 and outbox.counts["apns", "refused", "unreadable"] == 1


async def test_a_queue_that_cannot_be_written_stops_nothing_for_good(world):
    outbox = world.start()
    await settle()
    claim, world.backend.work.claim = world.backend.work.claim, _failing
    outbox.put(note())
    await world.clock.advance(1)
    assert world.gateway.sent == []
    world.backend.work.claim = claim
    await world.clock.advance(10)
    assert len(world.gateway.sent) == 1


async def test_another_process_takes_what_this_one_puts(world):
    world.start()
    front = Outbox(world.backend.work, [world.gateway], world.clock, Notes(), OutboxOptions())
    await front.put(note())
    await world.clock.advance(0.6)
    assert len(world.gateway.sent) == 1


async def test_reasons_that_peers_invent_do_not_fill_the_memory(world):
    outbox = world.start(OutboxOptions(device_per_minute=0, gateway_per_s=0))
    world.gateway.outcomes.extend(Outcome(Result.REFUSED, f"reason-{number}") for number in range(500))
    for number in range(500):
        outbox.put(note(number))
    await world.clock.advance(1)
    assert len(outbox.counts) <= 202 and sum(outbox.counts.values()) == 1000


async def test_10000_devices_of_one_account_are_all_reached_from_a_file(tmp_path):
    backend = SqliteBackend(tmp_path / "x.db")
    await backend.open()
    gateway, notes = ScriptedGateway(), Notes()
    outbox = Outbox(backend.work, [gateway], FakeClock(), notes, OutboxOptions(gateway_per_s=0, concurrency=200))
    task = asyncio.create_task(outbox.run())
    kept = [outbox.put(note(number, conversation="juliet")) for number in range(10_000)]
    await kept[-1]
    async with asyncio.timeout(50):
        await notes.tried_so_many(10_000)
        await backend.flush()
    assert await backend.work.depth(queue_name("apns")) == 0
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await backend.close()
    assert len(gateway.sent) == len({sent.device.id for sent in gateway.sent}) == 10_000


def _unwritable(*_: object) -> None:
    raise StorageError("no")


async def _failing(*_: object) -> list[object]:
    raise StorageError("no")
