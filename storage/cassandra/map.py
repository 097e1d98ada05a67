"""Map stores: the table `map`, a partition for each owner and store."""

from collections.abc import Collection, Mapping

from storage.cassandra.driver import Driver
from storage.cassandra.owners import Owners
from storage.cassandra.writer import Write, Writer
from storage.interface import Commit, MapStore

PREFIX = "map:"
PAGE = 100
"""Values in one answer: the largest, PEP items of 192 KiB, make 19 MB of it."""

_GET = "SELECT value FROM {ks}.map WHERE owner = ? AND store = ? AND key = ?"
_ITEMS = "SELECT key, value FROM {ks}.map WHERE owner = ? AND store = ?"
_PUT = "INSERT INTO {ks}.map (owner, store, key, value) VALUES (?, ?, ?, ?) USING TIMESTAMP ?"
_REMOVE = "DELETE FROM {ks}.map USING TIMESTAMP ? WHERE owner = ? AND store = ? AND key = ?"
_CLEAR = "DELETE FROM {ks}.map USING TIMESTAMP ? WHERE owner = ? AND store = ?"


class Maps:
    """What the stores of all names share."""

    def __init__(self, driver: Driver, writer: Writer, owners: Owners) -> None:
        self.driver = driver
        self.writer = writer
        self.owners = owners
        self.get = driver.statement(_GET)
        self.items = driver.statement(_ITEMS)
        self.put = driver.statement(_PUT)
        self.remove = driver.statement(_REMOVE)
        self.clear = driver.statement(_CLEAR)

    def removals(self, owner: str, parts: Collection[str]) -> list[Write]:
        """Return what removes an owner's values of the stores that `parts` names."""
        return [(self.clear, (owner, part.removeprefix(PREFIX))) for part in parts if part.startswith(PREFIX)]


class CassandraMapStore(MapStore):
    """The rows of one store's name."""

    def __init__(self, shared: Maps, name: str) -> None:
        self._shared = shared
        self._name = name
        self._part = PREFIX + name

    async def get(self, owner: str, key: str) -> bytes | None:
        shared = self._shared
        rows = await shared.driver.execute(shared.get, (owner, self._name, key))
        return rows[0][0] if rows else None

    async def items(self, owner: str) -> dict[str, bytes]:
        shared = self._shared
        return dict(await shared.driver.rows(shared.items, (owner, self._name), PAGE))

    def update(self, owner: str, put: Mapping[str, bytes], remove: Collection[str] = ()) -> Commit:
        shared, name = self._shared, self._name
        writes: list[Write] = [(shared.remove, (owner, name, key)) for key in remove if key not in put]
        writes += [(shared.put, (owner, name, key, value)) for key, value in put.items()]
        index = shared.owners.missing(owner, self._part) if put else ()
        commit = shared.writer.write(*writes, beside=index)
        return shared.owners.written(owner, self._part, commit) if index else commit

    def clear(self, owner: str) -> Commit:
        return self._shared.writer.write((self._shared.clear, (owner, self._name)))
