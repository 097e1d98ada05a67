"""Long removals go in short steps."""

import sqlite3

import pytest

from storage.interface import ArchiveCopy
from storage.sqlite.appender import Appender
from storage.sqlite.removal import STEP, erase_steps, history_end, prune_steps
from storage.sqlite.schema import prepare


@pytest.fixture
def connection() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    prepare(connection)
    copies = (ArchiveCopy("a", "b", outgoing=True), ArchiveCopy("b", "a"))
    alone = (ArchiveCopy("a", "c"),)
    Appender(connection).insert([(n, b"x", copies if n % 2 else alone, None) for n in range(1, 3 * STEP)])
    return connection


def counts(connection: sqlite3.Connection) -> tuple[int, int]:
    (log,) = connection.execute("SELECT count(*) FROM log").fetchone()
    (copies,) = connection.execute("SELECT count(*) FROM copy").fetchone()
    return log, copies


def test_no_step_of_a_prune_takes_more_than_its_share_and_the_log_goes_last(connection: sqlite3.Connection) -> None:
    before = counts(connection)
    for _ in prune_steps(connection, 10**9):
        log, copies = counts(connection)
        assert before[0] - log + before[1] - copies <= STEP + 1
        assert log == before[0] or copies == 0
        before = log, copies
    assert counts(connection) == (0, 0)


def test_a_prune_leaves_what_is_not_older(connection: sqlite3.Connection) -> None:
    for _ in prune_steps(connection, STEP):
        pass
    for table in ("log", "copy"):
        assert connection.execute(f"SELECT min(id) FROM {table}").fetchone() == (STEP,)
    assert connection.execute("SELECT count(*) FROM log WHERE id NOT IN (SELECT id FROM copy)").fetchone() == (0,)


def test_an_erased_history_takes_the_entries_that_nobody_else_lists(connection: sqlite3.Connection) -> None:
    end = history_end(connection, "a")
    assert end is not None and end[1] == 3 * STEP
    steps = sum(1 for _ in erase_steps(connection, *end))
    assert steps >= 2
    assert history_end(connection, "a") is None
    assert connection.execute("SELECT count(*), min(copies), max(copies) FROM log").fetchone() == (3 * STEP // 2, 1, 1)
    end = history_end(connection, "b")
    assert end is not None
    for _ in erase_steps(connection, *end):
        pass
    assert counts(connection) == (0, 0)


def test_a_history_of_nobody_has_no_end(connection: sqlite3.Connection) -> None:
    assert history_end(connection, "nobody") is None
    assert history_end(connection, "c") is None
