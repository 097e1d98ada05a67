"""What is gathered for one commit: appends to the archive, and other writes in their order."""

import sqlite3
from collections.abc import Callable, Collection, Iterator
from typing import Any

from storage.interface import ArchiveCopy, Commit, StorageError
from storage.sqlite.rows import ManyRows

Row = tuple[int, bytes, Collection[ArchiveCopy], Commit | None]
"""One append: id, stanza, copies, and its own commit if it has one (None: the batch's)."""

Run = Callable[[sqlite3.Connection], Iterator[None] | None]
"""What a write does on the writer's connection, in the batch's transaction.

It may raise `StorageError` before it has written anything. An iterator that it returns is work for later: each of its steps
gets a transaction of its own between the batches, and the write is done when it ends.
"""


class Op:
    """One write that is not an append."""

    __slots__ = ("commit", "error", "rest", "run")

    def __init__(self, run: Run) -> None:
        self.run = run
        self.commit = Commit()
        self.error: BaseException | None = None
        self.rest: Iterator[None] | None = None

    def attempt(self, connection: sqlite3.Connection) -> None:
        """Do it; a `StorageError` is kept for its commit."""
        self.error = None
        try:
            self.rest = self.run(connection)
        except StorageError as error:
            self.error = error


class Puts(Op):
    """Values for keys, written one after another in few steps: many accounts' cursors move in one batch."""

    __slots__ = ("params", "rows")

    def __init__(self, rows: ManyRows) -> None:
        super().__init__(self._insert)
        self.params: list[Any] = []
        self.rows = rows

    def _insert(self, connection: sqlite3.Connection) -> None:
        self.rows.insert(connection, self.params)


class Segment:
    """Appends, and then other writes. The two never meet in a table, except for a write that ends its segment."""

    __slots__ = ("ops", "rows")

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.ops: list[Op] = []


class Batch:
    """The writes of one transaction.

    Attributes:
        commit: of the appends that have none of their own.
        flushed: for whoever only waits for the batch; it does not outlast a failed try, as kept appends do.
        rows: where appends go now: those of the last segment.
        size_bytes: of the stanzas.
        error: what the appends without a commit of their own end with.
        row_errors: the same for each of the others that failed, by its commit.
    """

    __slots__ = ("commit", "error", "flushed", "row_errors", "rows", "segments", "size_bytes")

    def __init__(self) -> None:
        self.commit = Commit()
        self.flushed = Commit()
        self.segments = [Segment()]
        self.rows = self.segments[0].rows
        self.size_bytes = 0
        self.error: BaseException | None = None
        self.row_errors: dict[Commit, BaseException] = {}

    def add(self, op: Op, is_barrier: bool) -> None:
        """Add a write; no append after a barrier takes effect before it."""
        self.segments[-1].ops.append(op)
        if is_barrier:
            segment = Segment()
            self.segments.append(segment)
            self.rows = segment.rows

    def put(self, rows: ManyRows, params: tuple[Any, ...]) -> Commit:
        """Add one row to be written with those that were put just before, if any."""
        ops = self.segments[-1].ops
        last = ops[-1] if ops else None
        if not isinstance(last, Puts) or last.rows is not rows:
            last = Puts(rows)
            ops.append(last)
        last.params += params
        return last.commit

    def take_ops(self) -> list[Op]:
        """Take out all but the appends."""
        ops = [op for segment in self.segments for op in segment.ops]
        for segment in self.segments:
            segment.ops = []
        return ops

    def long_ops(self) -> list[Op]:
        """Return the writes that have steps left."""
        return [op for segment in self.segments for op in segment.ops if op.rest is not None]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in it."""
        return not any(segment.rows or segment.ops for segment in self.segments)

    def finish(self, error: BaseException | None = None) -> None:
        """Finish every commit with its own error, or else with `error` (on the event loop's thread)."""
        self._finish(self._ends(error))

    def _ends(self, error: BaseException | None) -> Iterator[tuple[Commit, BaseException | None]]:
        yield self.flushed, error
        yield self.commit, self.error or error
        for segment in self.segments:
            for row in segment.rows:
                if row[3] is not None:
                    yield row[3], self.row_errors.get(row[3]) or error
            for op in segment.ops:
                if op.rest is None:
                    yield op.commit, op.error or error

    def _finish(self, ends: Iterator[tuple[Commit, BaseException | None]]) -> None:
        try:
            for commit, error in ends:
                commit.finish(error)
        except BaseException:  # of a caller's callback: the others must hear of their commits all the same
            self._finish(ends)
            raise
