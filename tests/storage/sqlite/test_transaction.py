"""A batch is one transaction, and a write that fails does so alone."""

import sqlite3
from collections.abc import Iterator

import pytest

from storage.interface import ArchiveCopy, Commit, StorageError
from storage.sqlite.appender import Appender
from storage.sqlite.batch import Batch, Op, Run
from storage.sqlite.schema import prepare
from storage.sqlite.transaction import commit_batch, probe, step_rest


@pytest.fixture
def connection() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    prepare(connection)
    return connection


def sets(key: str) -> Run:
    def run(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO keyval VALUES (?, 's', x'')", (key,))

    return run


def values(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT owner FROM keyval ORDER BY owner")]


def batch_of(ids: list[int], runs: list[Run]) -> tuple[Batch, list[Op]]:
    """A batch; the second append of an id has a commit of its own, as the archive gives it."""
    batch = Batch()
    for n, id_ in enumerate(ids):
        batch.rows.append((id_, b"x", (ArchiveCopy("a", "b"),), Commit() if id_ in ids[:n] else None))
    ops = [Op(run) for run in runs]
    for op in ops:
        batch.add(op, is_barrier=False)
    return batch, ops


def test_all_of_a_batch_is_written_in_one_transaction(connection: sqlite3.Connection) -> None:
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    batch, _ = batch_of([1, 2, 3], [sets("a"), sets("b")])
    commit_batch(connection, Appender(connection), batch)
    assert [text for text in seen if text.startswith(("BEGIN", "COMMIT"))] == ["BEGIN IMMEDIATE", "COMMIT"]
    assert values(connection) == ["a", "b"]
    assert not connection.in_transaction


@pytest.mark.parametrize("bad", [lambda c: c.execute("INSERT INTO nowhere VALUES (1)"), sets("\ud800"), sets("a")])
def test_a_write_that_fails_is_undone_alone(connection: sqlite3.Connection, bad: Run) -> None:
    def half(connection: sqlite3.Connection) -> None:
        sets("half")(connection)
        bad(connection)

    batch, ops = batch_of([1, 2], [sets("a"), half, sets("b")])
    commit_batch(connection, Appender(connection), batch)
    assert values(connection) == ["a", "b"]
    assert [op.error is None for op in ops] == [True, False, True]
    assert isinstance(ops[1].error, StorageError)
    assert connection.execute("SELECT count(*) FROM copy").fetchone() == (2,)


def test_a_duplicate_message_fails_alone_and_new_names_keep_their_numbers(connection: sqlite3.Connection) -> None:
    batch, ops = batch_of([1, 2, 1, 3], [sets("a")])
    appender = Appender(connection)
    commit_batch(connection, appender, batch)
    assert batch.error is None
    assert len(batch.row_errors) == 1
    assert ops[0].error is None
    later, _ = batch_of([4], [])
    commit_batch(connection, appender, later)
    sql = "SELECT copy.id, name FROM copy JOIN jid ON jid.id = owner_id ORDER BY copy.id"
    assert connection.execute(sql).fetchall() == [(1, "a"), (2, "a"), (3, "a"), (4, "a")]


def test_want_of_room_undoes_all_and_is_raised(connection: sqlite3.Connection) -> None:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    batch, _ = batch_of([1], [sets("a"), lambda c: c.execute("INSERT INTO log VALUES (9, 1, zeroblob(99999))")])
    with pytest.raises(sqlite3.OperationalError, match="full"):
        commit_batch(connection, Appender(connection), batch)
    assert values(connection) == []
    assert not connection.in_transaction
    with pytest.raises(sqlite3.OperationalError, match="full"):
        probe(connection, Appender(connection))
    connection.execute(f"PRAGMA max_page_count = {pages + 100}")
    probe(connection, Appender(connection))
    assert connection.execute("SELECT count(*) FROM log").fetchone() == (0,)
    commit_batch(connection, Appender(connection), batch)
    assert values(connection) == ["a"]


def test_steps_of_a_long_write_are_transactions_of_their_own(connection: sqlite3.Connection) -> None:
    def steps(connection: sqlite3.Connection) -> Iterator[None]:
        for key in "abc":
            sets(key)(connection)
            yield
        sets("a")(connection)  # there is one

    rest, appender = steps(connection), Appender(connection)
    for done in (["a"], ["a", "b"], ["a", "b", "c"]):
        assert step_rest(connection, appender, rest)
        assert values(connection) == done
        assert not connection.in_transaction
    with pytest.raises(sqlite3.IntegrityError):
        step_rest(connection, appender, rest)
    assert not connection.in_transaction
    assert not step_rest(connection, appender, iter([]))


def test_want_of_room_is_raised_too_when_it_comes_up_in_the_slow_way(connection: sqlite3.Connection) -> None:
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {pages}")
    batch, ops = batch_of([1, 1], [sets("a"), lambda c: c.execute("INSERT INTO log VALUES (9, 1, zeroblob(99999))")])
    with pytest.raises(sqlite3.OperationalError, match="full"):
        commit_batch(connection, Appender(connection), batch)
    assert not connection.in_transaction
    assert values(connection) == []
    connection.execute(f"PRAGMA max_page_count = {pages + 100}")
    commit_batch(connection, Appender(connection), batch)
    assert values(connection) == ["a"]
    assert len(batch.row_errors) == 1
    assert [op.error for op in ops] == [None, None]
