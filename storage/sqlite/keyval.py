"""Key-value stores: the table `keyval`."""

import sqlite3

from storage.interface import Commit, KeyValStore
from storage.sqlite.reader import Reader
from storage.sqlite.writer import Writer

_GET = "SELECT value FROM keyval WHERE owner = ? AND store = ?"
_SET = "INSERT OR REPLACE INTO keyval (owner, store, value) VALUES (?, ?, ?)"
_DELETE = "DELETE FROM keyval WHERE owner = ? AND store = ?"


class SqliteKeyValStore(KeyValStore):
    """The rows of one store's name."""

    def __init__(self, writer: Writer, reader: Reader, name: str) -> None:
        self._writer = writer
        self._reader = reader
        self._name = name

    async def get(self, owner: str) -> bytes | None:
        row = self._reader.row(_GET, (owner, self._name))
        return None if row is None else row[0]

    def set(self, owner: str, value: bytes) -> Commit:
        def run(connection: sqlite3.Connection) -> None:
            connection.execute(_SET, (owner, self._name, value))

        return self._writer.submit(run)

    def delete(self, owner: str) -> Commit:
        def run(connection: sqlite3.Connection) -> None:
            connection.execute(_DELETE, (owner, self._name))

        return self._writer.submit(run)
