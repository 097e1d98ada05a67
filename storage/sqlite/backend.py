"""The backend: opens the file, and holds the stores together."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from storage.interface import Backend, Commit, CopyRecord, Fact, JobRecord, Record, StorageError
from storage.sqlite import moving
from storage.sqlite.accounts import SqliteAccountStore, delete_account
from storage.sqlite.archive import SqliteArchiveStore
from storage.sqlite.connect import OwnerLock, connect, explain
from storage.sqlite.examining import examine
from storage.sqlite.keyval import SqliteKeyValStore, value_rows
from storage.sqlite.map import SqliteMapStore
from storage.sqlite.reader import Reader
from storage.sqlite.removal import erase_steps, history_end
from storage.sqlite.schema import prepare
from storage.sqlite.work import SqliteWorkQueue
from storage.sqlite.writer import Writer

_OWNERS = """SELECT json_group_array(owner) FROM (
    SELECT jid AS owner FROM account WHERE jid > ?1 AND jid >= ?2
    UNION SELECT owner FROM keyval WHERE owner > ?1 AND owner >= ?2
    UNION SELECT owner FROM map WHERE owner > ?1 AND owner >= ?2
    UNION SELECT name FROM jid WHERE name > ?1 AND name >= ?2 AND EXISTS (SELECT 1 FROM copy WHERE owner_id = jid.id)
    ORDER BY 1 LIMIT ?3)"""
_PAGE = 500


class SqliteBackend(Backend):
    """One SQLite file. The stores are there once it is open."""

    def __init__(
        self,
        path: Path | str,
        *,
        commit_window_ms: float = 2.0,
        exclusive: bool = True,
        loop: asyncio.AbstractEventLoop | None = None,
        on_commit: Callable[[float], None] | None = None,
    ) -> None:
        """Take note; nothing happens before `open`.

        Args:
            path: of the file; made when it is not there. Beside it SQLite keeps PATH-wal and PATH-shm, and we PATH.lock.
            commit_window_ms: how long a commit waits for more writes to share it.
            exclusive: True for the server: no other backend opens it so at the same time. False to work beside it.
            loop: whose thread makes all calls; None for the running one at `open`.
            on_commit: called there after each commit with how long it took, in seconds.
        """
        self._path = Path(path)
        self._window_s = commit_window_ms / 1000
        self._exclusive = exclusive
        self._loop = loop
        self._on_commit = on_commit
        self._lock: OwnerLock | None = None
        self._is_open = False
        self._value_rows = value_rows()

    @property
    def is_full(self) -> bool:
        """Whether writes are refused at present because there is no room; it ends by itself."""
        return self._is_open and self._writer.is_full

    async def open(self) -> None:
        try:
            self._open(self._loop or asyncio.get_running_loop())
        except (sqlite3.Error, OSError) as error:
            self._release()
            raise StorageError(explain(error, self._path)) from None
        except StorageError:
            self._release()
            raise

    async def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        await self._writer.close()
        self._reader.close()
        self._release()

    async def flush(self) -> None:
        await self._writer.flush()

    def keyval(self, name: str) -> SqliteKeyValStore:
        return SqliteKeyValStore(self._writer, self._reader, self._value_rows, name)

    def map(self, name: str) -> SqliteMapStore:
        return SqliteMapStore(self._writer, self._reader, name)

    def erase(self, owner: str) -> Commit:
        def run(connection: sqlite3.Connection) -> Iterator[None] | None:
            delete_account(connection, owner)
            connection.execute("DELETE FROM keyval WHERE owner = ?", (owner,))
            connection.execute("DELETE FROM map WHERE owner = ?", (owner,))
            end = history_end(connection, owner)
            return erase_steps(connection, *end) if end else None

        return self._writer.submit(run, is_barrier=True)

    async def owners(self, prefix: str = "") -> AsyncIterator[str]:
        after = ""
        while True:
            found = await self._reader.run(partial(_owners_after, after, prefix))
            for owner in found:
                if not owner.startswith(prefix):
                    return
                yield owner
            if len(found) < _PAGE:
                return
            after = found[-1]

    def export_owner(self, owner: str) -> AsyncIterator[Record]:
        return moving.export_owner(self._reader, owner)

    def export_jobs(self) -> AsyncIterator[JobRecord]:
        return moving.export_jobs(self._reader)

    def import_owner(self, owner: str, records: Sequence[Record]) -> Commit:
        commit = self._writer.submit(moving.importing(owner, records), is_barrier=True)
        self._archive.saw(max((record.id for record in records if isinstance(record, CopyRecord)), default=0))
        return commit

    def import_jobs(self, records: Sequence[JobRecord]) -> Commit:
        return self._writer.submit(moving.importing_jobs(records))

    async def examine(self) -> list[Fact]:
        return await examine(self._reader, self._path)

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._exclusive:
            self._lock = OwnerLock(self._path)
        connection = connect(self._path, is_writer=True)
        try:
            try:
                prepare(connection)
            except StorageError as error:
                raise StorageError(f"{self._path} {error}") from None
            connection.execute("BEGIN IMMEDIATE")  # fails here and now when the file cannot be written
            connection.execute("ROLLBACK")
            (last_id,) = connection.execute("SELECT coalesce(max(id), 0) FROM log").fetchone()
            reader = Reader(self._path)
        except BaseException:
            connection.close()
            raise
        writer = Writer(connection, self._path, loop, self._window_s)
        writer.on_commit = self._on_commit
        self._writer, self._reader = writer, reader
        self.accounts = SqliteAccountStore(writer, reader)
        self._archive = SqliteArchiveStore(writer, reader, last_id)
        self.archive = self._archive
        self.work = SqliteWorkQueue(writer, reader)
        self._is_open = True

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def _owners_after(after: str, prefix: str, connection: sqlite3.Connection) -> list[str]:
    (text,) = connection.execute(_OWNERS, (after, prefix, _PAGE)).fetchone()
    owners: list[str] = json.loads(text)
    return owners
