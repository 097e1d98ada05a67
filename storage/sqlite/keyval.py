"""Key-value stores: the table `keyval`."""

import sqlite3

from storage.interface import Commit, KeyValStore
from storage.sqlite.reader import Reader
from storage.sqlite.rows import ManyRows
from storage.sqlite.writer import Writer

_GET = "SELECT value FROM keyval WHERE owner = ? AND store = ?"
_DELETE = "DELETE FROM keyval WHERE owner = ? AND store = ?"


def value_rows() -> ManyRows:
    """Return what writes values, of any number of stores together."""
    return ManyRows("INSERT OR REPLACE INTO keyval (owner, store, value)", 3)


class SqliteKeyValStore(KeyValStore):
    """The rows of one store's name."""

    def __init__(self, writer: Writer, reader: Reader, rows: ManyRows, name: str) -> None:
        """`rows`: one for all stores of a backend, see `value_rows`."""
        self._writer = writer
        self._reader = reader
        self._rows = rows
        self._name = name

    async def get(self, owner: str) -> bytes | None:
        row = self._reader.row(_GET, (owner, self._name))
        return None if row is None else row[0]

    def set(self, owner: str, value: bytes) -> Commit:
        if owner.isascii() and isinstance(value, bytes):
            return self._writer.put(self._rows, (owner, self._name, value))

        def run(connection: sqlite3.Connection) -> None:  # might fail, so not together with others
            self._rows.insert(connection, [owner, self._name, value])

        return self._writer.submit(run)

    def delete(self, owner: str) -> Commit:
        def run(connection: sqlite3.Connection) -> None:
            connection.execute(_DELETE, (owner, self._name))

        return self._writer.submit(run)
