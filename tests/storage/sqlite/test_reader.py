"""Reading beside the writer."""

import sqlite3
import threading
from pathlib import Path

import pytest

from storage.interface import StorageClosed, StorageError
from storage.sqlite.connect import connect
from storage.sqlite.reader import Reader


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.db"
    connection = connect(path, is_writer=True)
    connection.execute("CREATE TABLE t (a INTEGER PRIMARY KEY)")
    connection.execute("INSERT INTO t VALUES (1), (2)")
    connection.close()
    return path


async def test_a_row_is_read_here_and_a_long_read_elsewhere(path: Path) -> None:
    reader = Reader(path)
    assert reader.row("SELECT a FROM t WHERE a = ?", (2,)) == (2,)
    assert reader.row("SELECT a FROM t WHERE a = ?", (3,)) is None
    assert reader.rows("SELECT a FROM t ORDER BY a", ()) == [(1,), (2,)]
    here = threading.get_ident()
    assert await reader.run(lambda _: threading.get_ident()) != here
    assert await reader.run(lambda c: c.execute("SELECT count(*) FROM t").fetchone()) == (2,)
    reader.close()


async def test_errors_of_the_file_are_errors_of_storage(path: Path) -> None:
    reader = Reader(path)
    with pytest.raises(StorageError, match="no such table"):
        reader.row("SELECT * FROM nowhere", ())
    with pytest.raises(StorageError, match="no such table"):
        await reader.run(lambda c: c.execute("SELECT * FROM nowhere").fetchall())
    reader.close()


async def test_a_read_leaves_nothing_open_that_would_hold_up_the_log(path: Path) -> None:
    reader = Reader(path)
    reader.row("SELECT a FROM t", ())
    await reader.run(lambda c: c.execute("SELECT count(*) FROM t").fetchone())
    writer = connect(path, is_writer=True)
    writer.execute("INSERT INTO t VALUES (3)")
    busy, in_log, moved = writer.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
    assert (busy, in_log - moved) == (0, 0)
    writer.close()
    reader.close()


async def test_after_close_every_read_says_so(path: Path) -> None:
    reader = Reader(path)
    await reader.run(lambda _: None)
    reader.close()
    with pytest.raises(StorageClosed):
        reader.row("SELECT a FROM t", ())
    with pytest.raises(StorageClosed):
        await reader.run(lambda _: None)
    reader.close()


def test_a_file_that_is_no_database_is_sqlites_error(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"no database at all" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        Reader(tmp_path / "a.db").row("SELECT 1 FROM sqlite_schema", ())
