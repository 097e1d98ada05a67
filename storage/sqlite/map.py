"""Map stores: the table `map`."""

import json
import sqlite3
from collections.abc import Collection, Mapping

from storage.interface import Commit, MapStore
from storage.sqlite.reader import Reader
from storage.sqlite.rows import ManyRows
from storage.sqlite.writer import Writer

_GET = "SELECT value FROM map WHERE owner = ? AND store = ? AND key = ?"
_FEW = "SELECT key, value FROM map WHERE owner = ? AND store = ? ORDER BY key LIMIT ?"
_ALL = "SELECT json_group_array(json_array(key, hex(value))) FROM map WHERE owner = ? AND store = ?"
_REMOVE = "DELETE FROM map WHERE owner = ? AND store = ? AND key = ?"
_CLEAR = "DELETE FROM map WHERE owner = ? AND store = ?"

FEW = 64
"""How many values are read on the loop's thread; a larger map is read in another thread, in one step (see `rows`)."""


class SqliteMapStore(MapStore):
    """The rows of one store's name."""

    def __init__(self, writer: Writer, reader: Reader, name: str) -> None:
        self._writer = writer
        self._reader = reader
        self._name = name
        self._put = ManyRows("INSERT OR REPLACE INTO map (owner, store, key, value)", 4)

    async def get(self, owner: str, key: str) -> bytes | None:
        row = self._reader.row(_GET, (owner, self._name, key))
        return None if row is None else row[0]

    async def items(self, owner: str) -> dict[str, bytes]:
        few = self._reader.rows(_FEW, (owner, self._name, FEW + 1))
        if len(few) <= FEW:
            return dict(few)
        text = await self._reader.run(lambda c: c.execute(_ALL, (owner, self._name)).fetchone()[0])
        return {key: bytes.fromhex(value) for key, value in sorted(json.loads(text))}

    def update(self, owner: str, put: Mapping[str, bytes], remove: Collection[str] = ()) -> Commit:
        name = self._name
        params = [value for key, item in put.items() for value in (owner, name, key, item)]
        removed = [(owner, name, key) for key in remove]

        def run(connection: sqlite3.Connection) -> None:
            for key in removed:
                connection.execute(_REMOVE, key)
            self._put.insert(connection, params)

        return self._writer.submit(run)

    def clear(self, owner: str) -> Commit:
        def run(connection: sqlite3.Connection) -> None:
            connection.execute(_CLEAR, (owner, self._name))

        return self._writer.submit(run)
