"""Many rows in few statements."""

import sqlite3

import pytest

from storage.sqlite.rows import LARGEST, ManyKeys, ManyRows, chunks


@pytest.fixture
def connection() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
    return connection


def test_chunks_cover_every_row_once_in_order() -> None:
    for count in range(500):
        covered = [row for start, end in chunks(count) for row in range(start, end)]
        assert covered == list(range(count))


def test_chunks_have_few_sizes_and_there_are_few_of_them() -> None:
    sizes = {end - start for count in range(2000) for start, end in chunks(count)}
    assert len(sizes) == 23
    assert max(sizes) == LARGEST
    assert all(len(list(chunks(count))) <= 2 for count in range(LARGEST + 16))


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 128, 300])
def test_rows_written_are_found_by_their_keys(connection: sqlite3.Connection, count: int) -> None:
    ManyRows("INSERT INTO t (a, b)", 2).insert(connection, [value for n in range(count) for value in (n, f"b{n}")])
    keys = list(range(count - 1, -1, -1))
    assert ManyKeys("SELECT b FROM t WHERE a = ?").fetch(connection, keys) == [f"b{n}" for n in keys]
    assert connection.execute("SELECT count(*) FROM t").fetchone() == (count,)


def test_a_missing_key_gives_none_in_its_place(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO t VALUES (1, 'x'), (3, 'y')")
    assert ManyKeys("SELECT b FROM t WHERE a = ?").fetch(connection, [0, 3, 2, 1, 1]) == [None, "y", None, "x", "x"]


def test_a_hundred_rows_take_two_statements(connection: sqlite3.Connection) -> None:
    seen: list[str] = []
    connection.set_trace_callback(seen.append)
    ManyRows("INSERT INTO t (a, b)", 2).insert(connection, [value for n in range(100) for value in (n, "x")])
    assert len(seen) == 2
