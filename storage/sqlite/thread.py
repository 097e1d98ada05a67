"""The thread that writes: one batch, one transaction; long writes step by step between them; and trying again when full."""

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from storage.interface import StorageError, StorageFull
from storage.sqlite.appender import Appender
from storage.sqlite.batch import Batch, Op
from storage.sqlite.connect import explain, is_fatal, is_passing
from storage.sqlite.transaction import OWN_FAULTS, commit_batch, probe, step_rest

FIRST_RETRY_S = 0.5
LAST_RETRY_S = 5.0
"""When there is no room, how long until the next try: at first, and at most."""


class Listener(Protocol):
    """Whom the thread tells; each is called on the event loop's thread, in the order of events."""

    def committed(self, batch: Batch, seconds: float) -> None:
        """Called when a batch is durable; it took `seconds`."""

    def ended(self, op: Op, error: StorageError | None) -> None:
        """Called when a long write is done or has failed."""

    def refused(self, ops: list[Op], why: str) -> None:
        """Called when there is no room: `ops` are dropped, appends are kept and tried again; one `committed` ends it."""

    def stopped(self, batches: list[Batch], ops: list[Op], why: str) -> None:
        """Called when the thread has ended, with all that it leaves undone."""


class WriterThread(threading.Thread):
    """Owns the connection that writes. `inbox` takes batches, long writes that make room, and None to end."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, loop: asyncio.AbstractEventLoop, listener: Listener
    ) -> None:
        super().__init__(name="sqlite-writer", daemon=True)
        self.inbox: queue.SimpleQueue[Batch | Op | None] = queue.SimpleQueue()
        self._connection = connection
        self._path = path
        self._loop = loop
        self._listener = listener
        self._appender = Appender(connection)
        self._todo: deque[Batch] = deque()  # more than one, or one for long, only when there is no room
        self._long: deque[Op] = deque()
        self._retry_s = FIRST_RETRY_S
        self._retry_at = 0.0

    def run(self) -> None:
        """Write until told to end, or until the file turns out to be broken."""
        why = f"{self._path}: the writer's thread failed"
        try:
            while self._step():
                pass
            self._write_todo()
            why = "the storage is closed"
        except sqlite3.Error as error:
            why = explain(error, self._path)
        finally:  # after any other error too: whoever waits must hear of it
            self._connection.close()
            self._tell(self._listener.stopped, list(self._todo), list(self._long), why)

    def _step(self) -> bool:
        """Take the next thing to do, and do it; return False at the end."""
        with contextlib.suppress(queue.Empty):
            item = self.inbox.get(timeout=self._patience_s())
            if item is None:
                return False
            if isinstance(item, Batch):
                self._todo.append(item)
            else:
                item.rest = item.run(self._connection)
                self._long.append(item)
        if self._todo and time.monotonic() >= self._retry_at:
            self._write_todo()
        if self._long:
            self._continue_long(self._long[0])
        return True

    def _patience_s(self) -> float | None:
        """Return how long to wait for something new, None for as long as it takes."""
        if self._long:
            return 0.0
        if self._todo:
            return max(0.0, self._retry_at - time.monotonic())
        return None

    def _write_todo(self) -> None:
        while self._todo:
            batch = self._todo[0]
            started = time.perf_counter()
            try:
                if batch.is_empty:
                    probe(self._connection, self._appender)
                else:
                    commit_batch(self._connection, self._appender, batch)
            except sqlite3.Error as error:
                if not is_passing(error):
                    raise
                self._keep(error)
                return
            self._todo.popleft()
            self._retry_s, self._retry_at = FIRST_RETRY_S, 0.0
            self._long += batch.long_ops()
            self._tell(self._listener.committed, batch, time.perf_counter() - started)

    def _keep(self, error: sqlite3.Error) -> None:
        """Keep the appends for later, drop the other writes."""
        ops = [op for batch in self._todo for op in batch.take_ops()]
        self._retry_at = time.monotonic() + self._retry_s
        self._retry_s = min(self._retry_s * 1.5, LAST_RETRY_S)
        self._tell(self._listener.refused, ops, explain(error, self._path))

    def _continue_long(self, op: Op) -> None:
        assert op.rest is not None
        try:
            if step_rest(self._connection, self._appender, op.rest):
                return
            end = None
        except OWN_FAULTS as error:
            if is_fatal(error):
                raise
            end = StorageFull(explain(error, self._path)) if is_passing(error) else StorageError(f"not done: {error}")
        self._long.popleft()
        self._tell(self._listener.ended, op, end)

    def _tell(self, what: Callable[..., None], *args: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(what, *args)
