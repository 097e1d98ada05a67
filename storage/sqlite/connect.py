"""Opening the file, and what SQLite's errors mean for us."""

import errno
import fcntl
import os
import sqlite3
from pathlib import Path

from storage.interface import StorageError

BUSY_TIMEOUT_S = 5.0
"""How long a write waits for another process that is writing (`xmppd account add` beside the server) before it is refused."""

_PASSING = frozenset(
    (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM)
)
_FATAL = frozenset(
    (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_INTERNAL,
    )
)


def connect(path: Path, *, is_writer: bool) -> sqlite3.Connection:
    """Return a connection without implicit transactions; it may be closed by another thread than it is used by."""
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        if is_writer:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA cache_size = -16384")
            connection.execute("PRAGMA wal_autocheckpoint = 4000")
            connection.execute("PRAGMA journal_size_limit = 67108864")
        else:
            connection.execute("PRAGMA query_only = ON")
            connection.execute("PRAGMA cache_size = -4096")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def primary_code(error: BaseException) -> int:
    """Return SQLite's primary result code, 0 when the error is not SQLite's own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_passing(error: BaseException) -> bool:
    """Whether the same write may succeed later: no room, a device that fails, another process that holds the file."""
    return primary_code(error) in _PASSING


def is_fatal(error: BaseException) -> bool:
    """Whether no write can succeed before somebody repairs the file."""
    return primary_code(error) in _FATAL


def explain(error: Exception, path: Path) -> str:
    """Return one line that says what is wrong with the file and what to do."""
    code = primary_code(error)
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return f"{path} is damaged or no database ({error}): restore it from a backup"
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return f"{path} is locked by another program: end that one first"
    if code == sqlite3.SQLITE_FULL or getattr(error, "errno", 0) == errno.ENOSPC:
        return f"no room for {path}: free some space"
    if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
        return f"{path} cannot be opened for writing: {_why_not_writable(path)}"
    return f"{path}: {error}"


def _why_not_writable(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"there is no folder {folder}"
    if path.is_dir():
        return "it is a folder"
    for thing in (folder, path):
        if thing.exists() and not os.access(thing, os.W_OK):
            return f"{thing} is read-only for this user"
    return "the file system is read-only, or the file was moved or removed"


class OwnerLock:
    """That one server has the file: an advisory lock on `<path>.lock`, which ends with the process however that ends."""

    def __init__(self, path: Path) -> None:
        """Take it.

        Raises:
            StorageError: another process has it.
            OSError: the lock file cannot be made.
        """
        self._fd = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            raise StorageError(
                f"{path} is in use by another xmppd (process {holder or 'unknown'}): end that one first"
            ) from None
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let go of it; the file stays, since removing it could take another process's lock away."""
        os.close(self._fd)
