"""Groups of writes, and what happens when they cannot be written."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from storage.interface import ArchiveQuery, StorageClosed, StorageError, StorageFull
from storage.sqlite.backend import SqliteBackend
from storage.sqlite.batch import Batch, Op, Run
from storage.sqlite.connect import connect
from storage.sqlite.writer import Writer
from tests.storage.tools import JULIET, ROMEO, account, both, ids, limit_pages, run_on_writer

BIG = b"x" * 200_000


def fails_with(code: int) -> Run:
    def run(_: sqlite3.Connection) -> None:
        error = sqlite3.DatabaseError("simulated")
        error.sqlite_errorcode = code
        raise error

    return run


@pytest.fixture
async def counted(tmp_path: Path) -> AsyncIterator[tuple[SqliteBackend, list[float]]]:
    commits: list[float] = []
    backend = SqliteBackend(tmp_path / "xmppd.db", commit_window_ms=0, on_commit=commits.append)
    await backend.open()
    yield backend, commits
    await backend.close()


async def test_what_is_called_in_one_turn_of_the_loop_is_one_commit(counted: tuple[SqliteBackend, list[float]]) -> None:
    backend, commits = counted
    shared = {backend.archive.append(n, b"x", both(ROMEO, JULIET)) for n in range(1, 1001)}
    assert len(shared) == 1
    await shared.pop()
    assert len(commits) == 1
    assert all(0 < seconds < 60 for seconds in commits)


async def test_what_is_called_while_a_commit_is_under_way_shares_the_next(
    counted: tuple[SqliteBackend, list[float]],
) -> None:
    backend, commits = counted
    started, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(_: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()

    first = backend._writer.submit(slow)
    await started.wait()
    later = {backend.archive.append(n, b"x", both(ROMEO, JULIET)) for n in range(1, 4)}
    for n in range(10, 13):
        await asyncio.sleep(0)
        later.add(backend.archive.append(n, b"x", both(ROMEO, JULIET)))
    go_on.set()
    await first
    assert len(later) == 1
    await later.pop()
    assert len(commits) == 2


async def test_a_batch_waits_for_its_window_and_no_longer(tmp_path: Path) -> None:
    commits: list[float] = []
    backend = SqliteBackend(tmp_path / "xmppd.db", commit_window_ms=30, on_commit=commits.append)
    await backend.open()
    loop = asyncio.get_running_loop()
    began = loop.time()
    first = backend.archive.append(1, b"x", both(ROMEO, JULIET))
    loop.call_later(0.01, backend.archive.append, 2, b"x", both(ROMEO, JULIET))
    await first
    assert loop.time() - began >= 0.03
    assert len(commits) == 1
    assert await backend.archive.bounds(ROMEO) == (1, 2)
    await backend.close()


async def test_flush_does_not_wait_for_the_window(tmp_path: Path) -> None:
    backend = SqliteBackend(tmp_path / "xmppd.db", commit_window_ms=3_600_000)
    await backend.open()
    commit = backend.archive.append(1, b"x", both(ROMEO, JULIET))
    await backend.flush()
    assert commit.done
    await backend.close()


async def test_without_room_appends_are_kept_and_the_rest_is_refused(
    sqlite: SqliteBackend, quick_retries: None
) -> None:
    limit_pages(sqlite, 10)
    kept = [sqlite.archive.append(1, BIG, both(ROMEO, JULIET)), sqlite.archive.append(2, b"x", both(ROMEO, JULIET))]
    dropped = [sqlite.keyval("a").set(ROMEO, b"1"), sqlite.accounts.create(account(ROMEO))]
    for commit in dropped:
        with pytest.raises(StorageFull, match="no room"):
            await commit
    assert sqlite.is_full
    for call in (
        lambda: sqlite.archive.append(3, b"x", both(ROMEO, JULIET)),
        lambda: sqlite.keyval("a").set(ROMEO, b"1"),
        lambda: sqlite.map("a").clear(ROMEO),
        lambda: sqlite.accounts.create(account(ROMEO)),
        lambda: sqlite.work.put("push", b"x"),
        lambda: sqlite.erase(ROMEO),
    ):
        with pytest.raises(StorageFull):
            call()
    assert not any(commit.done for commit in kept)
    await sqlite.flush()
    assert await sqlite.keyval("a").get(ROMEO) is None
    limit_pages(sqlite, None)
    for commit in kept:
        await commit
    assert not sqlite.is_full
    await sqlite.archive.append(3, b"x", both(ROMEO, JULIET))
    assert ids((await sqlite.archive.query(ROMEO, ArchiveQuery())).messages) == [1, 2, 3]
    assert await sqlite.accounts.get(ROMEO) is None


async def test_what_was_called_before_the_loop_knew_is_kept_or_refused_too(
    sqlite: SqliteBackend, quick_retries: None
) -> None:
    limit_pages(sqlite, 10)
    first = sqlite.archive.append(1, BIG, both(ROMEO, JULIET))
    await asyncio.sleep(0)  # handed over, not yet known to have failed
    while not sqlite.is_full:
        second = sqlite.archive.append(sqlite.archive._last_id + 1, b"x", both(ROMEO, JULIET))
        value = sqlite.keyval("a").set(ROMEO, b"1")
        await asyncio.sleep(0)
    with pytest.raises(StorageFull):
        await value
    assert not first.done and not second.done
    limit_pages(sqlite, None)
    await second
    assert first.done and first.error is None
    bounds = await sqlite.archive.bounds(ROMEO)
    assert bounds == (1, sqlite.archive._last_id)


async def test_without_appends_to_keep_it_still_finds_out_when_there_is_room(
    sqlite: SqliteBackend, quick_retries: None
) -> None:
    limit_pages(sqlite, 0)
    with pytest.raises(StorageFull):
        await sqlite.keyval("a").set(ROMEO, BIG)
    assert sqlite.is_full
    assert await sqlite.work.claim("push", 0, 1, 1) == []
    limit_pages(sqlite, None)
    await until_room(sqlite)
    await sqlite.keyval("a").set(ROMEO, BIG)


async def test_pruning_is_taken_without_room_and_makes_some(sqlite: SqliteBackend, quick_retries: None) -> None:
    for n in range(1, 6):
        await sqlite.archive.append(n, BIG, both(ROMEO, JULIET))
    limit_pages(sqlite, 5)
    kept = sqlite.archive.append(10, BIG, both(ROMEO, JULIET))
    with pytest.raises(StorageFull):
        await sqlite.keyval("a").set(ROMEO, b"1")
    await sqlite.archive.prune(5)
    await kept
    assert ids((await sqlite.archive.query(ROMEO, ArchiveQuery())).messages) == [5, 10]


async def test_a_database_that_another_process_locks_is_waited_for(sqlite: SqliteBackend, quick_retries: None) -> None:
    await run_on_writer(sqlite, lambda c: c.execute("PRAGMA busy_timeout = 10").fetchall() and None)
    other = connect(sqlite._path, is_writer=True)
    other.execute("BEGIN IMMEDIATE")
    kept = sqlite.archive.append(1, b"x", both(ROMEO, JULIET))
    with pytest.raises(StorageFull, match="locked by another program"):
        await sqlite.keyval("a").set(ROMEO, b"1")
    other.execute("ROLLBACK")
    other.close()
    await kept
    assert not sqlite.is_full


async def test_close_without_room_ends_every_commit(sqlite: SqliteBackend, quick_retries: None) -> None:
    limit_pages(sqlite, 10)
    kept = sqlite.archive.append(1, BIG, both(ROMEO, JULIET))
    with pytest.raises(StorageFull):
        await sqlite.keyval("a").set(ROMEO, b"1")
    await sqlite.close()
    assert kept.done and isinstance(kept.error, StorageClosed)


async def test_a_damaged_file_ends_all_writes_with_one_line(sqlite: SqliteBackend) -> None:
    append = sqlite.archive.append(1, b"x", both(ROMEO, JULIET))
    broken = sqlite._writer.submit(fails_with(sqlite3.SQLITE_CORRUPT))
    with pytest.raises(StorageClosed, match="damaged"):
        await broken
    with pytest.raises(StorageClosed):
        await append
    with pytest.raises(StorageClosed, match="damaged"):
        sqlite.archive.append(2, b"x", both(ROMEO, JULIET))
    await sqlite.flush()


async def test_damage_ends_what_was_called_meanwhile_and_long_writes_too(sqlite: SqliteBackend) -> None:
    started, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(connection: sqlite3.Connection) -> None:
        loop.call_soon_threadsafe(started.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        fails_with(sqlite3.SQLITE_CORRUPT)(connection)

    def steps(_: sqlite3.Connection) -> Iterator[None]:
        while True:
            yield

    commits = [sqlite._writer.submit(steps, is_barrier=True)]
    await sqlite.flush()
    commits.append(sqlite._writer.submit(slow))
    await started.wait()
    commits.append(sqlite.archive.append(1, b"x", both(ROMEO, JULIET)))
    flush = asyncio.ensure_future(sqlite.flush())
    await asyncio.sleep(0)
    go_on.set()
    for commit in commits:
        with pytest.raises(StorageClosed, match="damaged"):
            await commit
    await flush


async def test_what_reached_the_thread_too_late_ends_with_it(sqlite: SqliteBackend) -> None:
    batch, op = Batch(), Op(lambda _: None)
    sqlite._writer._thread.inbox.put(None)
    sqlite._writer._thread.join()
    for late in (batch, op):
        sqlite._writer._thread.inbox.put(late)
    for commit in (batch.commit, op.commit):
        with pytest.raises(StorageClosed):
            await commit


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_fault_of_ours_in_the_thread_lets_nobody_wait_for_ever(sqlite: SqliteBackend) -> None:
    def fault(_: sqlite3.Connection) -> None:
        raise KeyError

    with pytest.raises(StorageClosed):
        await sqlite._writer.submit(fault)
    with pytest.raises(StorageClosed):
        sqlite.keyval("a").set(ROMEO, b"1")


async def test_a_disk_that_does_not_keep_up_bounds_what_waits(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    connection = connect(path, is_writer=True)
    writer = Writer(connection, path, asyncio.get_running_loop(), 3600, max_waiting_bytes=10_000)
    taken = 0
    with pytest.raises(StorageFull, match="does not keep up"):
        while True:
            writer.append((taken, b"x" * 1000, (), None))
            taken += 1
    assert taken == 11
    assert not writer.is_full
    await writer.close()


async def test_a_long_write_that_fails_tells_its_commit(sqlite: SqliteBackend) -> None:
    def steps(connection: sqlite3.Connection) -> Iterator[None]:
        yield
        connection.execute("SELECT * FROM nowhere")

    with pytest.raises(StorageError, match="nowhere"):
        await sqlite._writer.submit(steps, is_barrier=True)
    await sqlite.keyval("a").set(ROMEO, b"1")


async def test_other_writes_go_between_the_steps_of_a_long_one(sqlite: SqliteBackend) -> None:
    written = asyncio.Event()
    loop = asyncio.get_running_loop()

    def steps(_: sqlite3.Connection) -> Iterator[None]:
        yield
        while not written.is_set():
            yield

    long = sqlite._writer.submit(steps, is_barrier=True)
    await sqlite.archive.append(1, b"x", both(ROMEO, JULIET))
    assert not long.done
    loop.call_soon(written.set)
    await long


async def until_room(backend: SqliteBackend) -> None:
    """Wait for the commit that ends the state: there is no call for it, since nobody may write meanwhile."""
    future = asyncio.get_running_loop().create_future()
    backend._writer.on_commit = lambda _: future.done() or future.set_result(None)
    if backend.is_full:
        await future
    assert not backend.is_full
