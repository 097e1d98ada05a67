"""The loop's side of writing: gathering writes, handing them over, finishing their commits.

Calls put their writes into the open batch. It is handed to the writer's thread when it has been open for the commit window,
or as soon after that as the thread is done with the batch before. The thread writes it in one transaction and tells the loop
once, which then finishes the batch's commits.

States: open; full (a batch could not be written for want of room: its appends are kept and tried again, its other writes fail,
and new writes are refused at the call); broken (the file is damaged); closed. From full the way leads back to open by itself;
broken and closed are for good.
"""

import asyncio
import contextlib
import queue
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from storage.interface import Commit, StorageClosed, StorageError, StorageFull
from storage.sqlite.batch import Batch, Op, Row, Run
from storage.sqlite.rows import ManyRows
from storage.sqlite.thread import WriterThread

MAX_WAITING_BYTES = 64 * 1024 * 1024
"""Stanzas that wait for a disk which does not keep up; beyond it appends are refused, since memory is all they have."""


class Writer:
    """Gathers writes on the loop's thread; all methods are called there.

    Attributes:
        is_full: whether writes are refused for want of room.
        on_commit: called after each commit with how long it took, in seconds.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        loop: asyncio.AbstractEventLoop,
        window_s: float,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
    ) -> None:
        self.is_full = False
        self.on_commit: Callable[[float], None] | None = None
        self._loop = loop
        self._window_s = window_s
        self._room_bytes = max_waiting_bytes
        self._refusal: StorageError | None = None
        self._open: Batch | None = None
        self._writing: Batch | None = None
        self._is_due = False
        self._ended: asyncio.Future[None] = loop.create_future()
        self._thread = WriterThread(connection, path, loop, self)
        self._thread.start()

    def append(self, row: Row) -> Commit:
        """Add an append to the open batch; return the commit to wait for.

        Raises:
            StorageFull, StorageClosed: it was not taken.
        """
        batch = self._open
        if batch is None or self._refusal is not None:
            batch = self._begin()
        if batch.size_bytes > self._room_bytes:
            raise StorageFull("the disk does not keep up")
        batch.size_bytes += len(row[1])
        batch.rows.append(row)
        return row[3] or batch.commit

    def submit(self, run: Run, *, is_barrier: bool = False) -> Commit:
        """Add any other write.

        Args:
            run: what to do on the writer's connection, see `Run`.
            is_barrier: it has to do with the archive, so appends must keep their order with it.

        Raises:
            StorageFull, StorageClosed: it was not taken.
        """
        batch = self._open
        if batch is None or self._refusal is not None:
            batch = self._begin()
        op = Op(run)
        batch.add(op, is_barrier)
        return op.commit

    def put(self, rows: ManyRows, params: tuple[Any, ...]) -> Commit:
        """Add one row for `rows`, written together with those beside it; it must be one that SQLite can hold.

        Raises:
            StorageFull, StorageClosed: it was not taken.
        """
        batch = self._open
        if batch is None or self._refusal is not None:
            batch = self._begin()
        return batch.put(rows, params)

    def submit_freeing(self, steps: Callable[[sqlite3.Connection], Iterator[None]]) -> Commit:
        """Add a long write of the archive that makes room: when there is none, it is taken all the same and done by itself."""
        if not self.is_full or isinstance(self._refusal, StorageClosed):
            return self.submit(steps, is_barrier=True)
        op = Op(steps)
        self._thread.inbox.put(op)
        return op.commit

    async def flush(self) -> None:
        """Return when what was called is committed or has failed; at once while there is no room."""
        if self._open is not None and self._writing is None:
            self._hand_over(self._open)  # whoever waits need not wait for the window too
        batch = self._open or self._writing
        if batch is not None and not self.is_full:
            with contextlib.suppress(StorageError):
                await batch.flushed

    async def close(self) -> None:
        """Write what was called, end the thread, close its connection. What cannot be written ends with an error."""
        self._refusal = StorageClosed("the storage is closed")
        if self._open is not None:
            self._hand_over(self._open)
        self._thread.inbox.put(None)
        await self._ended
        self._thread.join()

    def _begin(self) -> Batch:
        """Open a batch, or raise why not."""
        if self._refusal is not None:
            raise type(self._refusal)(*self._refusal.args)
        batch = self._open = Batch()
        self._loop.call_later(self._window_s, self._window_over, batch)
        return batch

    def _window_over(self, batch: Batch) -> None:
        if batch is not self._open:
            return
        if self._writing is not None:
            self._is_due = True
        else:
            self._hand_over(batch)

    def _hand_over(self, batch: Batch) -> None:
        self._open = None
        self._is_due = False
        self._writing = batch
        self._room_bytes -= batch.size_bytes
        self._thread.inbox.put(batch)

    # What the thread tells (see `thread.Listener`).

    def committed(self, batch: Batch, seconds: float) -> None:
        """Finish a batch that is written, and hand over the next if it is due."""
        self._writing = None
        self._room_bytes += batch.size_bytes
        if self.is_full:
            self.is_full = False
            if isinstance(self._refusal, StorageFull):
                self._refusal = None
        if self._is_due and self._open is not None:
            self._hand_over(self._open)
        if self.on_commit is not None:
            self.on_commit(seconds)
        batch.finish()

    def ended(self, op: Op, error: StorageError | None) -> None:
        """Finish a long write."""
        op.commit.finish(error)

    def refused(self, ops: list[Op], why: str) -> None:
        """Fail `ops` and what was called meanwhile, appends excepted; from now on calls fail at once."""
        if self._refusal is None:
            self._refusal = StorageFull(why)
        self.is_full = True
        if self._open is not None:
            ops = ops + self._open.take_ops()
        for batch in (self._writing, self._open):
            if batch is not None:
                batch.flushed.finish(StorageFull(why))
        for op in ops:
            op.commit.finish(StorageFull(why))

    def stopped(self, batches: list[Batch], ops: list[Op], why: str) -> None:
        """Fail all that waits, and whatever is called from now on."""
        self._refusal = StorageClosed(why)
        self.is_full = False
        if self._open is not None:
            batches = [*batches, self._open]
            self._open = None
        while True:
            try:
                item = self._thread.inbox.get_nowait()
            except queue.Empty:
                break
            if isinstance(item, Batch):
                batches.append(item)
            elif item is not None:
                ops.append(item)
        if not self._ended.done():
            self._ended.set_result(None)
        for batch in batches:
            batch.finish(StorageClosed(why))
        for op in ops:
            op.commit.finish(StorageClosed(why))
