"""Key-value stores: the table `keyval`, a partition an owner."""

from storage.cassandra.driver import Driver
from storage.cassandra.owners import Owners
from storage.cassandra.writer import Write, Writer
from storage.interface import Commit, KeyValStore

PART = "keyval"

_GET = "SELECT value FROM {ks}.keyval WHERE owner = ? AND store = ?"
_SET = "INSERT INTO {ks}.keyval (owner, store, value) VALUES (?, ?, ?) USING TIMESTAMP ?"
_DELETE = "DELETE FROM {ks}.keyval USING TIMESTAMP ? WHERE owner = ? AND store = ?"
_ERASE = "DELETE FROM {ks}.keyval USING TIMESTAMP ? WHERE owner = ?"


class KeyValues:
    """What the stores of all names share."""

    def __init__(self, driver: Driver, writer: Writer, owners: Owners) -> None:
        self.driver = driver
        self.writer = writer
        self.owners = owners
        self.get = driver.statement(_GET)
        self.set = driver.statement(_SET)
        self.delete = driver.statement(_DELETE)
        self._erase = driver.statement(_ERASE)

    def removal(self, owner: str) -> Write:
        """Return what removes an owner's values of all stores."""
        return self._erase, (owner,)


class CassandraKeyValStore(KeyValStore):
    """The rows of one store's name."""

    def __init__(self, shared: KeyValues, name: str) -> None:
        self._shared = shared
        self._name = name

    async def get(self, owner: str) -> bytes | None:
        shared = self._shared
        rows = await shared.driver.execute(shared.get, (owner, self._name))
        return rows[0][0] if rows else None

    def set(self, owner: str, value: bytes) -> Commit:
        shared = self._shared
        index = shared.owners.missing(owner, PART)
        commit = shared.writer.write((shared.set, (owner, self._name, value)), beside=index)
        return shared.owners.written(owner, PART, commit) if index else commit

    def delete(self, owner: str) -> Commit:
        shared = self._shared
        return shared.writer.write((shared.delete, (owner, self._name)))
