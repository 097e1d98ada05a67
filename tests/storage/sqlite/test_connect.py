"""Connections, what errors mean, and the lock of the owner."""

import errno
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from storage.interface import StorageError
from storage.sqlite.connect import OwnerLock, connect, explain, is_fatal, is_passing


def error_of(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("message")
    error.sqlite_errorcode = code
    return error


def test_the_writers_connection_is_durable(tmp_path: Path) -> None:
    connection = connect(tmp_path / "a.db", is_writer=True)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.isolation_level is None
    connection.close()


def test_a_readers_connection_cannot_write(tmp_path: Path) -> None:
    writer = connect(tmp_path / "a.db", is_writer=True)
    writer.execute("CREATE TABLE t (a)")
    reader = connect(tmp_path / "a.db", is_writer=False)
    with pytest.raises(sqlite3.OperationalError):
        reader.execute("INSERT INTO t VALUES (1)")
    reader.close()
    writer.close()


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_BUSY_SNAPSHOT]
)
def test_want_of_room_and_failing_devices_pass(code: int) -> None:
    assert is_passing(error_of(code))
    assert not is_fatal(error_of(code))


@pytest.mark.parametrize("code", [sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_READONLY_DBMOVED])
def test_damage_does_not_pass(code: int) -> None:
    assert is_fatal(error_of(code))
    assert not is_passing(error_of(code))


def test_a_fault_of_one_write_is_neither() -> None:
    for error in (error_of(sqlite3.SQLITE_CONSTRAINT_UNIQUE), sqlite3.ProgrammingError(), ValueError()):
        assert not is_passing(error)
        assert not is_fatal(error)


def test_every_error_is_explained_in_one_line_with_the_path(tmp_path: Path) -> None:
    codes = {
        sqlite3.SQLITE_CORRUPT: "damaged",
        sqlite3.SQLITE_BUSY: "locked",
        sqlite3.SQLITE_FULL: "no room",
        sqlite3.SQLITE_CANTOPEN: "read-only, or the file was moved",
        sqlite3.SQLITE_IOERR: "message",
    }
    for code, words in codes.items():
        text = explain(error_of(code), tmp_path / "a.db")
        assert words in text and str(tmp_path / "a.db") in text and "\n" not in text
    assert "no room" in explain(OSError(errno.ENOSPC, "x"), tmp_path / "a.db")


def test_why_a_file_cannot_be_opened_is_said(tmp_path: Path) -> None:
    error = error_of(sqlite3.SQLITE_CANTOPEN)
    assert f"there is no folder {tmp_path / 'none'}" in explain(error, tmp_path / "none" / "a.db")
    assert "it is a folder" in explain(error, tmp_path)


def test_a_second_owner_is_told_who_the_first_is(tmp_path: Path) -> None:
    lock = OwnerLock(tmp_path / "a.db")
    with pytest.raises(StorageError, match=r"in use by another xmppd \(process \d+\)"):
        OwnerLock(tmp_path / "a.db")
    lock.release()
    OwnerLock(tmp_path / "a.db").release()


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys, time; from storage.sqlite.connect import OwnerLock;"
        "lock = OwnerLock(pathlib.Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "a.db")], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    with pytest.raises(StorageError, match=str(child.pid)):
        OwnerLock(tmp_path / "a.db")
    child.kill()
    child.communicate()
    OwnerLock(tmp_path / "a.db").release()
