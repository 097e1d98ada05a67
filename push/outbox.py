"""The outbox: notifications that wait on disk until a gateway took them.

Each gateway has a queue and a worker of its own, so one that is down holds up nobody else. A worker goes through these states:

    OPEN      sends as many at once as it may
    PAUSED    the gateway said Retry-After, is unreachable, or does not know us: nothing is sent until a time
    PROBING   that time is over: one notification goes out; its outcome opens the gateway or pauses it for longer

What is in a queue is sent at least once. A notification replaces an older one of the same device and conversation that still waits. A
crash between a gateway's answer and the commit sends that notification again, at most `concurrency` of them.
"""

import asyncio
from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from push.gateway import Clock, Device, Gateway, Kind, Notification, Outcome, Result, unreachable
from push.rates import Rate, Rates, backoff_s

HISTOGRAM_S = (0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0)
"""Upper bounds for the time from `put` to the gateway's yes; 0.2 s is what we promise for a gateway that is well."""

MAX_BUCKETS = 100_000
"""Devices whose rate is remembered, 200 bytes each; the one that was quiet longest is forgotten first."""
MAX_DEAD = 10_000
"""Dead tokens that are remembered, so that what waits for them is not sent as well."""
MAX_REASONS = 200
"""Different reasons that are counted; the rest is "other": they come from peers."""


class Job(Protocol):
    """What a queue gives: see `storage.interface.Job`."""

    @property
    def id(self) -> int:
        """Its number in the queue."""

    @property
    def payload(self) -> bytes:
        """What was put."""

    @property
    def attempts(self) -> int:
        """How often it was claimed, this time included."""


class Kept(Protocol):
    """What a write returns: see `storage.interface.Commit`. Awaited, it raises when the write failed."""

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        """Call back when the write is committed or has failed."""

    def __await__(self) -> Generator[Any, None, None]: ...


class Queue(Protocol):
    """The part of `storage.interface.WorkQueue` that is used here."""

    def put(self, queue: str, payload: bytes, due_at_us: int = 0, key: str = "") -> Kept:
        """Add a job; a non-empty key replaces a waiting one."""

    async def claim(self, queue: str, now_us: int, limit: int, lease_us: int) -> Sequence[Job]:
        """Take due jobs for a time."""

    def finish(self, queue: str, ids: Collection[int]) -> Kept:
        """Remove jobs."""

    def retry(self, queue: str, id_: int, due_at_us: int) -> Kept:
        """Give a job back."""

    async def depth(self, queue: str) -> int:
        """Return how many jobs there are."""


class Observer(Protocol):
    """Who is told what became of notifications; plain calls, so that nothing waits for them."""

    def dead(self, notification: Notification, outcome: Outcome) -> None:
        """Forget the device, unless it registered again since: `outcome.kills(registered_at_us)` of what is stored now."""

    def tried(self, notification: Notification, outcome: Outcome, waited_s: float) -> None:
        """Note an outcome, `waited_s` after the notification was put. RETRY comes again; every other kind is the last."""

    def paused(self, gateway: str, reason: str, until_us: int) -> None:
        """Note that nothing goes to a gateway until then; told again when the pause is made longer."""

    def opened(self, gateway: str) -> None:
        """Note that a gateway that was paused is well again."""

    def broke(self, gateway: str, error: BaseException) -> None:
        """Log a fault of ours: the job is done again when its lease ends."""


@dataclass(frozen=True, slots=True)
class OutboxOptions:
    """How fast, how long, how much.

    Attributes:
        concurrency: notifications on their way to one gateway at once.
        gateway_per_s: notifications to one gateway; 0: no limit. `gateway_burst`: at once.
        device_per_minute: notifications to one device, lasting; 0: no limit. `device_burst`: at once. Calls have as many again.
        expire_s: how long a notification that does not say so itself is tried. `call_expire_s`: the same for a call.
        first_retry_s, last_retry_s: the pause after the first failure, and the longest one; each is twice that before it.
        credentials_retry_s: the pause after a gateway said that it does not know us.
        poll_s: how often the queue is looked at when nobody in this process has put anything.
        lease_s: after this a job of a worker that died is done by another; longer than any gateway's time limit.
        max_attempts: a job that was begun so often is given up: the process seems to die of it.
    """

    concurrency: int = 50
    gateway_per_s: float = 500.0
    gateway_burst: float = 500.0
    device_per_minute: float = 30.0
    device_burst: float = 20.0
    expire_s: float = 86_400.0
    call_expire_s: float = 60.0
    first_retry_s: float = 1.0
    last_retry_s: float = 300.0
    credentials_retry_s: float = 300.0
    poll_s: float = 0.5
    lease_s: float = 120.0
    max_attempts: int = 1_000


class State(StrEnum):
    """Of one gateway, as seen from the outbox."""

    OPEN = "open"
    PAUSED = "paused"
    PROBING = "probing"


@dataclass(frozen=True, slots=True)
class GatewayState:
    """How a gateway is.

    Attributes:
        state: see the head of this file. reason: why it is not OPEN, in the gateway's word.
        until_us: PAUSED: until when. failures: in a row, of the gateway as a whole.
        waiting: notifications in its queue, those on their way included.
    """

    state: State
    reason: str
    until_us: int
    failures: int
    waiting: int


def queue_name(gateway: str) -> str:
    """Return the name of a gateway's queue."""
    return f"push:{gateway}"


class Outbox:
    """Takes notifications, keeps them, sends them.

    A process that only puts (the server beside an `xmppd push`) makes one and never calls `run`.
    """

    def __init__(
        self,
        queue: Queue,
        gateways: Iterable[Gateway],
        clock: Clock,
        observer: Observer,
        options: OutboxOptions,
        *,
        queue_errors: tuple[type[Exception], ...] = (OSError,),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Take what it works with.

        Args:
            queue: where notifications wait.
            gateways: each with a name of its own.
            clock: the time.
            observer: who is told.
            options: how fast and how long.
            queue_errors: what the queue raises when it cannot write at present; the worker then waits and asks again.
            sleep: what waits between two looks at a queue; a test gives one that goes by its clock.
        """
        self._queue, self._clock, self._observer, self._options = queue, clock, observer, options
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._histogram = [0] * (len(HISTOGRAM_S) + 1)
        self._lanes = {
            gateway.name: _Lane(self, gateway, queue, clock, observer, options, queue_errors, sleep)
            for gateway in gateways
        }

    def put(self, notification: Notification) -> Kept:
        """Keep a notification for sending; it is on disk when what is returned has been awaited (nobody must).

        Raises:
            KeyError: its device names a gateway that there is not.
            BadToken: its device can never be reached.
            What the queue raises when it cannot write at present: nothing was kept.
        """
        device, options = notification.device, self._options
        lane = self._lanes[device.gateway]
        lane.gateway.check(device)
        now_us = self._clock.now_us()
        if not notification.expires_at_us:
            keep_s = options.call_expire_s if notification.kind is Kind.CALL else options.expire_s
            notification = replace(notification, expires_at_us=now_us + int(keep_s * 1e6))
        key = f"{device.id}\0{notification.kind}\0{notification.conversation}" if notification.conversation else ""
        kept = self._queue.put(lane.queue_name, now_us.to_bytes(8, "big") + notification.to_bytes(), key=key)
        self.count(device.gateway, "queued", "")
        kept.add_done_callback(lane.wake)  # before that the queue does not show it
        return kept

    async def run(self) -> None:
        """Send until cancelled; then wait for nobody: what is on its way is given back, and sent again by the next run."""
        async with asyncio.TaskGroup() as group:
            for lane in self._lanes.values():
                group.create_task(lane.run())

    async def states(self) -> dict[str, GatewayState]:
        """Return how each gateway is, by name."""
        return {name: await lane.describe() for name, lane in self._lanes.items()}

    @property
    def counts(self) -> Mapping[tuple[str, str, str], int]:
        """Return how many attempts ended how: by gateway, result and reason; "queued" beside the results of `Result`."""
        return self._counts

    @property
    def latency_counts(self) -> Sequence[int]:
        """Return how many were delivered by bucket of HISTOGRAM_S, the last one without bound."""
        return self._histogram

    def count(self, gateway: str, result: str, reason: str) -> None:
        """Count one event; for lanes."""
        key = (gateway, result, reason)
        if key not in self._counts and len(self._counts) >= MAX_REASONS:
            key = (gateway, result, "other")
        self._counts[key] += 1

    def count_latency(self, seconds: float) -> None:
        """Count one delivery; for lanes."""
        self._histogram[bisect_left(HISTOGRAM_S, seconds)] += 1


class _Lane:
    """One gateway: its queue and its worker."""

    def __init__(
        self,
        outbox: Outbox,
        gateway: Gateway,
        queue: Queue,
        clock: Clock,
        observer: Observer,
        options: OutboxOptions,
        queue_errors: tuple[type[Exception], ...],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.gateway = gateway
        self.queue_name = queue_name(gateway.name)
        self._outbox, self._queue, self._clock, self._observer, self._options = outbox, queue, clock, observer, options
        self._queue_errors, self._sleep = queue_errors, sleep
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._rate = Rate(options.gateway_per_s, options.gateway_burst)
        self._device_rates = Rates(options.device_per_minute / 60, options.device_burst, MAX_BUCKETS)
        self._dead: OrderedDict[str, Outcome] = OrderedDict()
        self._held: OrderedDict[object, int] = OrderedDict()
        self._state, self._reason, self._until_us, self._failures = State.OPEN, "", 0, 0

    def wake(self, _: object = None) -> None:
        """Look at the queue now."""
        self._wake.set()

    async def describe(self) -> GatewayState:
        """Return how the gateway is."""
        waiting = await self._queue.depth(self.queue_name)
        return GatewayState(self._state, self._reason, self._until_us, self._failures, waiting)

    # the worker

    async def run(self) -> None:
        """Claim what is due and send it, until cancelled."""
        try:
            while True:
                self._wake.clear()
                wait_s = await self._turn()
                if wait_s:
                    await self._wait(wait_s)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _turn(self) -> float:
        """Begin what may be begun now and return how long there is nothing more to do, unless somebody wakes us; 0: go on."""
        now_us, options = self._clock.now_us(), self._options
        if self._state is State.PAUSED:
            if now_us < self._until_us:
                return (self._until_us - now_us) / 1e6
            self._state = State.PROBING
        free = (1 if self._state is State.PROBING else options.concurrency) - len(self._tasks)
        if free <= 0:
            return options.lease_s  # a task that ends wakes us
        now_s = self._clock.monotonic()
        allowed = self._rate.take(now_s, free)
        if not allowed:
            return self._rate.wait_s(now_s)
        try:
            jobs = await self._queue.claim(self.queue_name, now_us, allowed, int(options.lease_s * 1e6))
        except self._queue_errors:
            self._outbox.count(self.gateway.name, "queue-error", "claim")
            return options.last_retry_s / 60
        self._rate.give_back(allowed - len(jobs))
        for job in jobs:
            self._begin(job)
        return 0.0 if jobs else options.poll_s

    async def _wait(self, seconds: float) -> None:
        waits = [asyncio.ensure_future(self._wake.wait()), asyncio.ensure_future(self._sleep(seconds))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _begin(self, job: Job) -> None:
        task = asyncio.create_task(self._do(job))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._outbox.count(self.gateway.name, "broke", "")
            self._observer.broke(self.gateway.name, error)
        self._wake.set()

    # one job

    async def _do(self, job: Job) -> None:
        try:
            notification = Notification.from_bytes(job.payload[8:])
        except ValueError:  # written by another version, or a fault of ours; it would never go
            self._outbox.count(self.gateway.name, Result.REFUSED, "unreadable")
            self._finish(job)
            return
        known = self._known(job, notification)
        if known is not None:
            self._rate.give_back(1)
            self._finish(job)
            self._tell(job, notification, known)
            return
        held_until_us = self._hold(job, notification)
        if held_until_us:
            self._rate.give_back(1)
            self._outbox.count(self.gateway.name, "held", "device-rate")
            self._again(job, held_until_us)
            return
        try:
            outcome = await self._send(notification)
        except asyncio.CancelledError:  # the worker stops: let the next one begin where this one was
            self._again(job, self._clock.now_us())
            raise
        self._settle(job, notification, outcome)

    def _known(self, job: Job, notification: Notification) -> Outcome | None:
        """Return the outcome that needs no gateway, None when there is none."""
        if notification.expires_at_us <= self._clock.now_us():
            return Outcome(Result.EXPIRED, "waited-too-long")
        if job.attempts > self._options.max_attempts:
            return Outcome(Result.REFUSED, "too-many-attempts")
        dead = self._dead.get(_identity(notification.device))
        return dead if dead is not None and dead.kills(notification.device.registered_at_us) else None

    def _hold(self, job: Job, notification: Notification) -> int:
        """Return until when a device's rate lets a notification wait, 0: it may go.

        Its turn belongs to the conversation: a newer notification that takes the place of the waiting one takes its turn too.
        """
        now_us, device, is_call = self._clock.now_us(), notification.device, notification.kind is Kind.CALL
        key = (device.id, notification.kind, notification.conversation) if notification.conversation else job.id
        due_at_us = self._held.pop(key, None)
        if due_at_us is None:
            wait_s = self._device_rates.reserve((device.id, is_call), self._clock.monotonic())
            due_at_us = now_us + int(wait_s * 1e6)
        if due_at_us <= now_us:
            return 0
        self._held[key] = due_at_us
        if len(self._held) > MAX_BUCKETS:
            self._held.popitem(last=False)
        return due_at_us

    async def _send(self, notification: Notification) -> Outcome:
        """Ask the gateway; whatever it does, this ends well before the lease does."""
        try:
            async with asyncio.timeout(self._options.lease_s / 2):
                return await self.gateway.send(notification)
        except TimeoutError:
            return unreachable("timeout")

    def _settle(self, job: Job, notification: Notification, outcome: Outcome) -> None:
        now_us = self._clock.now_us()
        due_at_us = self._due_at_us(job, outcome, now_us)
        if due_at_us is not None and due_at_us >= notification.expires_at_us:
            outcome, due_at_us = Outcome(Result.EXPIRED, outcome.reason), None
        if due_at_us is None:
            self._finish(job)
        else:
            self._again(job, due_at_us)
        self._tell(job, notification, outcome)

    def _tell(self, job: Job, notification: Notification, outcome: Outcome) -> None:
        waited_s = max(0, self._clock.now_us() - int.from_bytes(job.payload[:8], "big")) / 1e6
        self._outbox.count(self.gateway.name, outcome.kind, outcome.reason)
        if outcome.kind is Result.DELIVERED:
            self._outbox.count_latency(waited_s)
        if outcome.kind is Result.DEAD:
            self._remember_dead(notification.device, outcome)
            self._observer.dead(notification, outcome)
        self._observer.tried(notification, outcome, waited_s)

    def _due_at_us(self, job: Job, outcome: Outcome, now_us: int) -> int | None:
        """Note what an outcome says of the gateway, and return when the job is due again; None: it is done."""
        if outcome.kind is Result.BAD_CREDENTIALS:
            return self._pause(outcome.reason, self._options.credentials_retry_s, now_us)
        if outcome.kind is not Result.RETRY:
            self._open()
            return None
        if outcome.is_gateway:
            return self._pause(outcome.reason, outcome.after_s, now_us)
        self._open()
        after_s = outcome.after_s
        if after_s is None:
            options = self._options
            after_s = backoff_s(options.first_retry_s, options.last_retry_s, job.attempts, str(job.id))
        return now_us + int(after_s * 1e6)

    def _finish(self, job: Job) -> None:
        try:
            self._queue.finish(self.queue_name, [job.id])
        except self._queue_errors:  # it comes again when its lease ends
            self._outbox.count(self.gateway.name, "queue-error", "finish")

    def _again(self, job: Job, due_at_us: int) -> None:
        try:
            self._queue.retry(self.queue_name, job.id, due_at_us)
        except self._queue_errors:  # it comes again when its lease ends
            self._outbox.count(self.gateway.name, "queue-error", "retry")

    # the gateway as a whole

    def _pause(self, reason: str, after_s: float | None, now_us: int) -> int:
        """Send nothing for a while and return until when. Of many that fail at once only the first counts."""
        if self._state is not State.PAUSED:
            self._failures += 1
            options = self._options
            least_s = backoff_s(options.first_retry_s, options.last_retry_s, self._failures, self.gateway.name)
            self._state, self._reason = State.PAUSED, reason
            self._until_us = now_us + int(max(least_s, after_s or 0.0) * 1e6)
            self._observer.paused(self.gateway.name, reason, self._until_us)
        elif after_s is not None:
            self._until_us = max(self._until_us, now_us + int(after_s * 1e6))
        return self._until_us

    def _open(self) -> None:
        """Take an answer as a sign of life; while PAUSED it is to something sent before that."""
        if self._state is State.PROBING:
            self._state, self._reason, self._failures = State.OPEN, "", 0
            self._observer.opened(self.gateway.name)

    def _remember_dead(self, device: Device, outcome: Outcome) -> None:
        self._dead[_identity(device)] = outcome
        if len(self._dead) > MAX_DEAD:
            self._dead.popitem(last=False)


def _identity(device: Device) -> str:
    return f"{device.token}\0{device.topic}\0{device.environment}"
