"""The thread by itself, with somebody who writes down what it tells."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.interface import ArchiveCopy, StorageError
from storage.sqlite.batch import Batch, Op, Run
from storage.sqlite.connect import connect
from storage.sqlite.schema import prepare
from storage.sqlite.thread import WriterThread


class Notes:
    """Takes part as `Listener`."""

    def __init__(self) -> None:
        self.told: asyncio.Queue[tuple[object, ...]] = asyncio.Queue()

    def committed(self, batch: Batch, seconds: float) -> None:
        self.told.put_nowait(("committed", batch))

    def ended(self, op: Op, error: StorageError | None) -> None:
        self.told.put_nowait(("ended", op, error))

    def refused(self, ops: list[Op], why: str) -> None:
        self.told.put_nowait(("refused", ops))

    def stopped(self, batches: list[Batch], ops: list[Op], why: str) -> None:
        self.told.put_nowait(("stopped", batches, ops, why))


def start(path: Path) -> tuple[WriterThread, Notes]:
    connection = connect(path, is_writer=True)
    prepare(connection)
    notes = Notes()
    thread = WriterThread(connection, path, asyncio.get_running_loop(), notes)
    thread.start()
    return thread, notes


def batch_with(*runs: Run, id_: int | None = None) -> Batch:
    batch = Batch()
    if id_ is not None:
        batch.rows.append((id_, b"x", (ArchiveCopy("a", "b"),), None))
    for run in runs:
        batch.add(Op(run), is_barrier=False)
    return batch


def full(_: sqlite3.Connection) -> None:
    error = sqlite3.OperationalError("simulated")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    raise error


async def test_batches_are_committed_in_order_and_the_end_comes_last(tmp_path: Path) -> None:
    thread, notes = start(tmp_path / "a.db")
    batches = [batch_with(id_=n) for n in range(1, 6)]
    for batch in batches:
        thread.inbox.put(batch)
    thread.inbox.put(None)
    for batch in batches:
        assert await notes.told.get() == ("committed", batch)
    assert await notes.told.get() == ("stopped", [], [], "the storage is closed")
    thread.join()


async def test_a_batch_without_room_is_tried_again_without_its_other_writes(
    tmp_path: Path, quick_retries: None
) -> None:
    thread, notes = start(tmp_path / "a.db")
    batch = batch_with(full, id_=1)
    ops = list(batch.segments[0].ops)
    thread.inbox.put(batch)
    assert await notes.told.get() == ("refused", ops)
    assert await notes.told.get() == ("committed", batch)
    thread.inbox.put(None)
    await notes.told.get()
    thread.join()


async def test_a_long_write_in_the_inbox_is_done_step_by_step(tmp_path: Path) -> None:
    steps_done: list[int] = []

    def steps(_: sqlite3.Connection) -> Iterator[None]:
        for n in range(3):
            steps_done.append(n)
            yield

    thread, notes = start(tmp_path / "a.db")
    op = Op(steps)
    thread.inbox.put(op)
    assert await notes.told.get() == ("ended", op, None)
    assert steps_done == [0, 1, 2]
    thread.inbox.put(None)
    await notes.told.get()
    thread.join()


async def test_a_broken_file_ends_the_thread_with_what_it_leaves_undone(tmp_path: Path) -> None:
    def broken(_: sqlite3.Connection) -> None:
        error = sqlite3.DatabaseError("simulated")
        error.sqlite_errorcode = sqlite3.SQLITE_NOTADB
        raise error

    thread, notes = start(tmp_path / "a.db")
    batch = batch_with(broken, id_=1)
    thread.inbox.put(batch)
    what, batches, ops, why = await notes.told.get()
    assert (what, batches, ops) == ("stopped", [batch], [])
    assert "damaged" in str(why)
    thread.join()


@pytest.mark.filterwarnings("error")
def test_a_loop_that_is_closed_needs_no_telling(tmp_path: Path) -> None:
    async def begin() -> WriterThread:
        thread, _ = start(tmp_path / "a.db")
        return thread

    thread = asyncio.run(begin())
    thread.inbox.put(batch_with(id_=1))
    thread.inbox.put(None)
    thread.join()
    connection = connect(tmp_path / "a.db", is_writer=False)
    assert connection.execute("SELECT id FROM log").fetchall() == [(1,)]
    connection.close()
