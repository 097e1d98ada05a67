"""What an owner has, row by row, out of the tables and into them (`Backend.export_owner`, `import_owner`), and jobs.

A copy that is there already stays in its bucket: which one a history's row is in depends on what was written before it, so a row
that comes again is looked for, by a read of the span of ids that came. Jobs stand in the slots of their own times, however old: nobody
has claimed anything yet where they are moved to, and so no slot is behind anybody.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any

from storage.cassandra.accounts import CassandraAccountStore
from storage.cassandra.archive import LAST_ID, CassandraArchiveStore
from storage.cassandra.archive_reads import History, Reads
from storage.cassandra.driver import Driver
from storage.cassandra.keyval import CassandraKeyValStore, KeyValues
from storage.cassandra.lanes import Lanes
from storage.cassandra.map import CassandraMapStore, Maps
from storage.cassandra.owners import Owners
from storage.cassandra.statement import Statement
from storage.cassandra.walk import walk
from storage.cassandra.work import ASIDE_US, CassandraWorkQueue
from storage.cassandra.writer import Writer
from storage.interface import ArchiveCopy, Commit, CopyRecord, ItemRecord, JobRecord, Record, ValueRecord

PAGE = 500
MAP_PART = "map:"
ALL = "id, stanza, peer, resource, outgoing, hidden, pending, mark"
PRESENT = "id, hidden, peer"


class _Everything(History):
    """All of a history's rows, hidden ones too, with these columns."""

    def __init__(self, reads: Reads, owner: str, columns: str) -> None:
        super().__init__(reads, owner, pending=True)
        self._columns, self._extra = columns, ""


class Moving:
    """Reads and writes records of owners and jobs."""

    def __init__(
        self,
        driver: Driver,
        writer: Writer,
        lanes: Lanes,
        owners: Owners,
        values: KeyValues,
        maps: Maps,
        accounts: CassandraAccountStore,
        archive: CassandraArchiveStore,
        work: CassandraWorkQueue,
    ) -> None:
        self._driver = driver
        self._writer = writer
        self._lanes = lanes
        self._owners = owners
        self._values = values
        self._maps = maps
        self._accounts = accounts
        self._archive = archive
        self._work = work
        self._reads = Reads(driver)
        for columns in (ALL, PRESENT):
            self._reads.slice(columns, "FROM {ks}.history WHERE owner = ? AND bucket = ?", "", False)
        statement = driver.statement
        self._all_values = statement("SELECT store, value FROM {ks}.keyval WHERE owner = ?")
        self._all_items = statement("SELECT key, value FROM {ks}.map WHERE owner = ? AND store = ?")

    # Out.

    async def export_owner(self, owner: str) -> AsyncIterator[Record]:
        """Yield all that an owner has, in the interface's order."""
        account = await self._accounts.get(owner)
        if account is not None:
            yield account
        async for store, value in self._rows(self._all_values, (owner,)):
            yield ValueRecord(store, value)
        for part in sorted(await self._owners.parts(owner)):
            if part.startswith(MAP_PART):
                store = part.removeprefix(MAP_PART)
                async for key, value in self._rows(self._all_items, (owner, store)):
                    yield ItemRecord(store, key, value)
        history = _Everything(self._reads, owner, ALL)
        low = 0
        while rows := await walk(history, low, LAST_ID, PAGE, newest_first=False):
            for id_, stanza, peer, resource, outgoing, hidden, pending, mark in rows:
                copy = ArchiveCopy(owner, peer, resource, bool(outgoing), bool(pending), not hidden, mark or 0)
                yield CopyRecord(id_, copy, stanza)
            low = rows[-1][0] + 1

    async def _rows(self, statement: Statement, params: Sequence[Any]) -> AsyncIterator[tuple[Any, ...]]:
        rows, state = await self._driver.page(statement, params, PAGE)
        while True:
            for row in rows:
                yield row
            if state is None:
                return
            rows, state = await self._driver.page(statement, params, PAGE, state)

    def export_jobs(self) -> AsyncIterator[JobRecord]:
        """Yield all jobs by queue and id."""
        return self._work.export()

    # In.

    def import_owner(self, owner: str, records: Sequence[Record], begun: Sequence[Commit]) -> Commit:
        """Write records, accounts aside; done in steps, after what was called before for that owner, `begun` included."""
        records = tuple(records)
        return self._lanes.run(owner, lambda: self._import(owner, records, list(begun)))

    async def _import(self, owner: str, records: Sequence[Record], commits: list[Commit]) -> None:
        items: dict[str, dict[str, bytes]] = {}
        for record in records:
            if isinstance(record, ValueRecord):
                commits.append(CassandraKeyValStore(self._values, record.store).set(owner, record.value))
            elif isinstance(record, ItemRecord):
                items.setdefault(record.store, {})[record.key] = record.value
        for store, put in items.items():
            commits.append(CassandraMapStore(self._maps, store).update(owner, put))
        copies = [record for record in records if isinstance(record, CopyRecord)]
        commits += await self._import_copies(owner, copies)
        for commit in commits:
            await commit

    async def _import_copies(self, owner: str, copies: Sequence[CopyRecord]) -> list[Commit]:
        if not copies:
            return []
        await self._writer.settled()
        found: set[int] = set()
        low, high = min(record.id for record in copies), max(record.id for record in copies)
        while rows := await walk(_Everything(self._reads, owner, PRESENT), low, high, PAGE, newest_first=False):
            found.update(row[0] for row in rows)
            low = rows[-1][0] + 1
        at_us = self._driver.clock.next_us()
        return [
            self._archive.restore(record.id, record.stanza, record.copy, at_us)
            for record in copies
            if record.id not in found
        ]

    def import_jobs(self, records: Sequence[JobRecord]) -> Commit:
        """Write jobs into the slots of their times."""
        return self._work.restore(records, self._driver.clock.next_us() - ASIDE_US)
