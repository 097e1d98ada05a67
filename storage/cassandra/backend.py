"""The backend: connects, checks the tables, and holds the stores together."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial

from storage.cassandra import schema
from storage.cassandra.accounts import CassandraAccountStore
from storage.cassandra.archive import CassandraArchiveStore
from storage.cassandra.driver import Driver
from storage.cassandra.gateway import GatewayNumber
from storage.cassandra.keyval import CassandraKeyValStore, KeyValues
from storage.cassandra.lanes import Lanes
from storage.cassandra.map import CassandraMapStore, Maps
from storage.cassandra.moving import Moving
from storage.cassandra.owners import Owners
from storage.cassandra.settings import CassandraSettings
from storage.cassandra.work import CassandraWorkQueue
from storage.cassandra.writer import WINDOW_S, Writer
from storage.interface import AccountRecord, Backend, Commit, Fact, JobRecord, Record, StorageClosed

LOGGER = "xmppd.storage"
CLOSE_PATIENCE_S = 10.0
"""How long `close` waits for a cluster that is away; what it has not taken by then was never acknowledged."""


class CassandraBackend(Backend):
    """One keyspace. The stores are there once it is open."""

    def __init__(
        self,
        settings: CassandraSettings,
        *,
        commit_window_ms: float = WINDOW_S * 1000,
        on_commit: Callable[[float], None] | None = None,
        close_patience_s: float = CLOSE_PATIENCE_S,
    ) -> None:
        """Take note; nothing happens before `open`.

        Args:
            settings: where the cluster is.
            commit_window_ms: how long a write waits for others to travel with it.
            on_commit: called after each request that was committed with how long it took, in seconds.
            close_patience_s: how long `close` waits for a cluster that is away.
        """
        self.settings = settings
        self._window_s = commit_window_ms / 1000
        self._on_commit = on_commit
        self._close_patience_s = close_patience_s
        self._driver: Driver | None = None

    @property
    def is_full(self) -> bool:
        """Whether writes are refused at present because too many wait for the cluster; it ends by itself."""
        return self._driver is not None and self._writer.is_full

    @property
    def gateway_number(self) -> int | None:
        return self._number.number

    @property
    def is_away(self) -> bool:
        """Whether no node answered the last request."""
        return self._driver is not None and self._driver.is_away

    @property
    def trouble(self) -> str | None:
        if not self.is_full and not self.is_away:
            return None
        waiting = f"{self._writer.waiting_bytes / 1e6:.1f} MB of writes wait for it, unacknowledged"
        what = "does not answer" if self.is_away else "does not keep up"
        refused = ", more are refused" if self.is_full else ""
        return f"{self.settings} {what}: {waiting}{refused}; look after its nodes"

    async def open(self) -> None:
        driver = Driver(self.settings, logging.getLogger(LOGGER))
        try:
            await driver.connect()
            await schema.check(driver)
            writer = Writer(driver, self._window_s)
            writer.on_commit, writer.on_away = self._on_commit, self._say_away
            self._make_stores(driver, writer)
            await driver.prepare()
            await self._number.take()
        except BaseException:
            await driver.close()
            raise
        self._archive.start_after(self._number.last_id)
        self._number.keep(lambda: self._archive.last_id)
        self._driver = driver

    async def close(self) -> None:
        if self._driver is None:
            return
        driver, self._driver = self._driver, None
        await self._lanes.close(self._close_patience_s)
        await self._writer.close(self._close_patience_s)
        await self._number.give_back()
        await driver.close()

    async def flush(self) -> None:
        await self._writer.flush()
        if not self._writer.is_away:
            await self._lanes.settled()

    def keyval(self, name: str) -> CassandraKeyValStore:
        return CassandraKeyValStore(self._values, name)

    def map(self, name: str) -> CassandraMapStore:
        return CassandraMapStore(self._maps, name)

    def erase(self, owner: str) -> Commit:
        if self._driver is None:
            raise StorageClosed("the storage is closed")
        at_us = self._driver.clock.next_us()
        self._owners.forget(owner)
        self._archive.forget(owner)
        return self._lanes.run(owner, partial(self._erase, owner, at_us))

    def owners(self, prefix: str = "") -> AsyncIterator[str]:
        return self._owners.all(prefix)

    async def create(self) -> None:
        await self._prepare(schema.create)

    async def migrate(self) -> None:
        await self._prepare(schema.migrate)

    async def _prepare(self, work: Callable[[Driver], Awaitable[object]]) -> None:
        """Do something with the keyspace and its tables before they are used."""
        driver = Driver(self.settings, logging.getLogger(LOGGER))
        try:
            await driver.connect()
            await work(driver)
        finally:
            await driver.close()

    async def examine(self) -> list[Fact]:
        """Tell the version; that each record can be read is for whoever reads them, sizes and room are for the cluster's own tools."""
        if self._driver is None:
            raise StorageClosed("the storage is closed")
        await schema.check(self._driver)
        return [Fact("schema", "ok", f"version {schema.VERSION} of {schema.VERSION}, {self.settings}")]

    def export_owner(self, owner: str) -> AsyncIterator[Record]:
        return self._moving.export_owner(owner)

    def export_jobs(self) -> AsyncIterator[JobRecord]:
        return self._moving.export_jobs()

    def import_owner(self, owner: str, records: Sequence[Record]) -> Commit:
        # in the owner's lane, before the rest
        begun = [self._accounts.replace(record) for record in records if isinstance(record, AccountRecord)]
        return self._moving.import_owner(owner, records, begun)

    def import_jobs(self, records: Sequence[JobRecord]) -> Commit:
        return self._moving.import_jobs(records)

    def _make_stores(self, driver: Driver, writer: Writer) -> None:
        self._writer = writer
        self._lanes = Lanes()
        self._owners = Owners(driver)
        self._values = KeyValues(driver, writer, self._owners)
        self._maps = Maps(driver, writer, self._owners)
        self._accounts = CassandraAccountStore(driver, writer, self._lanes, self._owners)
        self.accounts = self._accounts
        self._number = GatewayNumber(driver, logging.getLogger("xmppd.storage"))
        self._archive = CassandraArchiveStore(driver, writer, self._lanes, self._owners)
        self.archive = self._archive
        work = CassandraWorkQueue(driver, writer, self._lanes)
        self.work = work
        parts = self._owners, self._values, self._maps, self._accounts, self._archive, work
        self._moving = Moving(driver, writer, self._lanes, *parts)

    def _say_away(self, is_away: bool) -> None:
        log = logging.getLogger(LOGGER)
        if is_away:
            log.warning("%s takes no writes: they wait, and nothing is acknowledged", self.settings)
        else:
            log.warning("%s takes writes again", self.settings)

    async def _erase(self, owner: str, at_us: int) -> None:
        """Remove what was written before `at_us`; the index last, so that one that was cut short can be repeated."""
        await self._writer.settled()  # the index names what was written just before
        parts = await self._owners.parts(owner)
        await self._writer.write(self._values.removal(owner), at_us=at_us)
        for removal in self._maps.removals(owner, parts):
            await self._writer.write(removal, at_us=at_us)
        await self._accounts.remove(owner)
        await self._archive.remove(owner, at_us)
        await self._writer.write(self._owners.removal(owner), at_us=at_us)
