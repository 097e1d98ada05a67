"""Gathering writes, sending them, finishing their commits; with a bound on what waits.

One request to a node costs the gateway about as much as encoding twenty writes, so what is called within a few milliseconds
travels together, in unlogged batches well below the size that nodes refuse. Nothing depends on which writes share a batch, on
the order in which batches arrive, or on how often one is sent: each write carries its own timestamp (see `clock`), given at the
call, and the greatest counts. So a batch that may have failed in part is sent again as it is.

States: working; away (no node answers: what was called waits here, one request at a time asks whether they are back, nothing
is acknowledged); full (what waits is more than `max_waiting_bytes`: calls raise `StorageFull`); closed.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from cassandra.query import BoundStatement

from storage.cassandra.driver import FIRST_RETRY_S, LAST_RETRY_S, Driver
from storage.cassandra.faults import PASSING, ReplicaFailure, describe
from storage.cassandra.statement import Statement
from storage.cassandra.ticket import Item, Request, Ticket
from storage.interface import Commit, StorageClosed, StorageError, StorageFull

Write = tuple[Statement, Sequence[Any]]
"""A statement and its values, without the timestamp."""

MAX_BATCH_BYTES = 30 * 1024
"""Of the values in a batch; nodes refuse one of more than 50 KiB unless told otherwise."""
MAX_BATCH_WRITES = 100
OVERHEAD_BYTES = 600
"""Of memory for a write that waits, beside its values."""
WINDOW_S = 0.002
MAX_REFUSALS = 5
ROOM_AGAIN = 0.25
"""What part of the room must be free before it counts as not full."""


class Writer:
    """Gathers writes; all methods are called on the loop's thread.

    Attributes:
        on_commit: called after each request that was committed with how long it took, in seconds.
        on_away: called with True when the cluster stops to take writes, with False when it takes them again.
    """

    def __init__(self, driver: Driver, window_s: float = WINDOW_S) -> None:
        self.on_commit: Callable[[float], None] | None = None
        self.on_away: Callable[[bool], None] | None = None
        self._driver = driver
        self._loop = asyncio.get_running_loop()
        self._window_s = window_s
        self._max_in_flight = driver.settings.max_in_flight
        self._max_bytes = driver.settings.max_waiting_bytes
        self._waiting_bytes = 0
        self._is_full = False
        self._is_closed = False
        self._open: list[Item] = []
        self._open_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._ready: deque[Request] = deque()
        self._in_flight = 0
        self._retry: asyncio.TimerHandle | None = None
        self._retry_s = FIRST_RETRY_S
        self._away: asyncio.Event = asyncio.Event()
        self._tickets: set[Ticket] = set()

    @property
    def is_full(self) -> bool:
        """Whether writes are refused at present."""
        return self._is_full

    @property
    def is_away(self) -> bool:
        """Whether the cluster takes no writes at present."""
        return self._away.is_set()

    @property
    def waiting_bytes(self) -> int:
        """What is not committed, in memory."""
        return self._waiting_bytes

    def write(self, *writes: Write, beside: Sequence[Write] = (), at_us: int | None = None) -> Commit:
        """Add writes that one commit stands for. Those into one partition are written all or none, and seen at once.

        Args:
            writes: each with values in the order of its text, without the timestamp. More than `MAX_BATCH_BYTES` must be
                of one partition: nodes allow a batch of any size there, up to what a single write may have (16 MB).
            beside: more writes, of other partitions.
            at_us: the timestamp of all, for what is to take effect as of a call before this one (`WriteClock.next_us`).

        Raises:
            StorageFull, StorageClosed: nothing was taken.
        """
        if self._is_closed:
            raise StorageClosed("the storage is closed")
        if self._is_full:
            raise StorageFull(f"{self._driver.settings} does not keep up")
        clock = self._driver.clock
        ticket = Ticket(len(writes) + len(beside))
        try:
            parts = [
                [_item(statement.bind(params, clock, at_us), ticket) for statement, params in part]
                for part in (writes, beside)
            ]
        except StorageError as error:  # a value that cannot be held
            ticket.commit.finish(error)
            return ticket.commit
        if not ticket.left:
            ticket.commit.finish()
            return ticket.commit
        self._tickets.add(ticket)
        for items in parts:
            if items:
                self._add(items)
        if self._waiting_bytes > self._max_bytes:
            self._is_full = True
        return ticket.commit

    async def settled(self) -> None:
        """Return when every write that was called before has ended, however long that takes."""
        self._seal()
        for ticket in list(self._tickets):
            with contextlib.suppress(StorageError):
                await ticket.commit

    async def flush(self) -> None:
        """The same, but return at once while the cluster is away."""
        waits = (asyncio.ensure_future(self.settled()), asyncio.ensure_future(self._away.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def close(self, patience_s: float) -> None:
        """Take no more; commit what was called, and fail what is not committed in time."""
        self._is_closed = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.settled(), patience_s)
        if self._retry is not None:
            self._retry.cancel()
        self._ready.clear()
        for ticket in list(self._tickets):
            self._tickets.discard(ticket)
            ticket.commit.finish(StorageClosed("the storage was closed before the cluster took this"))

    # Gathering.

    def _add(self, items: list[Item]) -> None:
        """Put what was called together into one batch, the open one where it fits."""
        size_bytes = sum(item.size_bytes for item in items)
        self._waiting_bytes += size_bytes + OVERHEAD_BYTES * len(items)
        if self._open_bytes + size_bytes > MAX_BATCH_BYTES or len(self._open) + len(items) > MAX_BATCH_WRITES:
            self._seal()
        self._open += items
        self._open_bytes += size_bytes
        if self._timer is None:
            self._timer = self._loop.call_later(self._window_s, self._seal)

    def _seal(self) -> None:
        """Let what was gathered go."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._open:
            self._ready.append(Request(self._open))
            self._open, self._open_bytes = [], 0
            self._pump()

    # Sending.

    def _pump(self) -> None:
        """Send what may be sent."""
        limit = 1 if self.is_away else self._max_in_flight
        while self._ready and self._in_flight < limit and self._retry is None:
            self._send(self._ready.popleft())

    def _send(self, request: Request) -> None:
        self._in_flight += 1
        request.started_s = self._loop.time()
        items = request.items
        whole = items[0].bound if len(items) == 1 else self._driver.batch([item.bound for item in items])
        self._driver.start(whole, lambda _, error: self._answered(request, error))

    def _answered(self, request: Request, error: BaseException | None) -> None:
        self._in_flight -= 1
        if error is None:
            self._is_back()
            if self.on_commit is not None:
                self.on_commit(self._loop.time() - request.started_s)
            self._end(request.items)
        elif isinstance(error, StorageClosed):
            self._end(request.items, error)
        elif isinstance(error, PASSING):
            self._later(request)
        else:
            self._refused(request, error)
        self._pump()

    def _refused(self, request: Request, error: BaseException) -> None:
        """Replicas failed, or the request itself is wrong: find which of its calls are to blame."""
        request.refusals += 1
        if isinstance(error, ReplicaFailure) and request.refusals < MAX_REFUSALS:
            self._later(request)
        elif len(parts := _by_ticket(request.items)) > 1:
            self._ready.extendleft(Request(items) for items in reversed(parts))
        else:
            self._end(request.items, StorageError(f"{self._driver.settings} refuses a write: {describe(error)}"))

    def _later(self, request: Request) -> None:
        self._ready.appendleft(request)
        self._driver.is_away = True
        self._tell_away(True)
        if self._retry is None and self._tickets:
            self._retry = self._loop.call_later(self._retry_s, self._try_again)
            self._retry_s = min(self._retry_s * 2, LAST_RETRY_S)

    def _try_again(self) -> None:
        self._retry = None
        self._pump()

    def _is_back(self) -> None:
        self._driver.is_away = False
        self._tell_away(False)
        self._retry_s = FIRST_RETRY_S

    def _tell_away(self, is_away: bool) -> None:
        if is_away == self._away.is_set():
            return
        if is_away:
            self._away.set()
        else:
            self._away.clear()
        if self.on_away is not None:
            self.on_away(is_away)

    # Ending.

    def _end(self, items: Collection[Item], error: StorageError | None = None) -> None:
        """Count the writes as ended, then finish the commits whose last they were."""
        ended = []
        for item in items:
            self._waiting_bytes -= item.size_bytes + OVERHEAD_BYTES
            if item.ticket.done(error):
                ended.append(item.ticket)
        if self._is_full and self._waiting_bytes < self._max_bytes * (1 - ROOM_AGAIN):
            self._is_full = False
        self._tickets.difference_update(ended)
        self._finish(iter(ended))

    def _finish(self, ended: Iterator[Ticket]) -> None:
        try:
            for ticket in ended:
                ticket.commit.finish(ticket.error)
        except BaseException:  # of a caller's callback: the others must hear of their commits all the same
            self._finish(ended)
            raise


def _item(bound: BoundStatement, ticket: Ticket) -> Item:
    return Item(bound, sum(len(value) for value in bound.values if isinstance(value, bytes)), ticket)


def _by_ticket(items: Collection[Item]) -> list[list[Item]]:
    """Return the items of each call."""
    parts: dict[Ticket, list[Item]] = {}
    for item in items:
        parts.setdefault(item.ticket, []).append(item)
    return list(parts.values())
