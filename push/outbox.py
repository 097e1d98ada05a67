"""The outbox: notifications that wait on disk until a gateway took them.

Each gateway has a queue and a worker of its own, so one that is down holds up nobody else. A worker goes through these states:

    OPEN      sends as many at once as it may
    PAUSED    the gateway said Retry-After, is unreachable, or does not know us: nothing is sent until a time
    PROBING   that time is over: one notification goes out; its outcome opens the gateway or pauses it for longer

What is in a queue is sent at least once. A notification replaces an older one of the same device and conversation that still waits. A
crash between a gateway's answer and the commit sends that notification again, at most `concurrency` of them.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from push.gateway import Clock, Gateway, Notification, Outcome

HISTOGRAM_S = (0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0, 300.0, 3600.0)
"""Upper bounds for the time from `put` to the gateway's yes; 0.2 s is what we promise for a gateway that is well."""

MAX_BUCKETS = 100_000
"""Devices whose rate is remembered, 200 bytes each; the one that was quiet longest is forgotten first."""
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


class Queue(Protocol):
    """The part of `storage.interface.WorkQueue` that is used here; what is returned may be awaited for its commit."""

    def put(self, queue: str, payload: bytes, due_at_us: int = 0, key: str = "") -> Awaitable[None]:
        """Add a job; a non-empty key replaces a waiting one."""

    async def claim(self, queue: str, now_us: int, limit: int, lease_us: int) -> Sequence[Job]:
        """Take due jobs for a time."""

    def finish(self, queue: str, ids: Collection[int]) -> Awaitable[None]:
        """Remove jobs."""

    def retry(self, queue: str, id_: int, due_at_us: int) -> Awaitable[None]:
        """Give a job back."""

    async def depth(self, queue: str) -> int:
        """Return how many jobs there are."""


class Observer(Protocol):
    """Who is told what became of notifications; plain calls, so that nothing waits for them."""

    def dead(self, notification: Notification, outcome: Outcome) -> None:
        """Forget the device, unless it registered again since: `outcome.kills(registered_at_us)` of what is stored now."""

    def tried(self, notification: Notification, outcome: Outcome, waited_s: float) -> None:
        """Note an outcome, `waited_s` after the notification was put. RETRY comes again; every other kind is the last."""


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
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`sleep` is what waits between two looks at a queue; a test gives one that moves its clock."""
        raise NotImplementedError

    def put(self, notification: Notification) -> Awaitable[None]:
        """Keep a notification for sending; it is on disk when what is returned has been awaited (nobody must).

        Raises:
            KeyError: its device names a gateway that there is not.
            BadToken: its device can never be reached.
        """
        raise NotImplementedError

    async def run(self) -> None:
        """Send until cancelled; then wait for nobody: what is on its way is sent again later."""
        raise NotImplementedError

    async def states(self) -> dict[str, GatewayState]:
        """Return how each gateway is, by name."""
        raise NotImplementedError

    @property
    def counts(self) -> Mapping[tuple[str, str, str], int]:
        """Return how many attempts ended how: by gateway, result and reason."""
        raise NotImplementedError
