"""Accounts: the table `account` by JID, and `account_list` by domain, in shards.

An account's row changes by conditional writes alone (Paxos: some 4 round trips between the replicas), so that of two gateways
which create one name, one wins. Conditional and plain writes must not meet in one row: the former take their timestamps from
the nodes, the latter from us, and the lesser of the two is lost. Accounts change rarely, and no message waits for one.
"""

import asyncio
import heapq
import math
import uuid
from collections.abc import Mapping
from functools import partial
from typing import Any

from storage.cassandra.driver import Driver
from storage.cassandra.lanes import Lanes
from storage.cassandra.owners import SHARDS, Owners, shard_of
from storage.cassandra.statement import Row, Statement
from storage.cassandra.writer import Writer
from storage.interface import AccountRecord, AccountStore, AlreadyExists, Commit, ScramKeys

PART = "account"

_GET = "SELECT keys, created_at_us, disabled FROM {ks}.account WHERE jid = ?"
_CREATE = "INSERT INTO {ks}.account (jid, creation, created_at_us, disabled, keys) VALUES (?, ?, ?, ?, ?) IF NOT EXISTS"
_REPLACE = "UPDATE {ks}.account SET created_at_us = ?, disabled = ?, keys = ? WHERE jid = ? IF EXISTS"
_DELETE = "DELETE FROM {ks}.account WHERE jid = ? IF EXISTS"
_SINCE = "SELECT creation, WRITETIME(creation) FROM {ks}.account WHERE jid = ?"
_LIST = "SELECT jid FROM {ks}.account_list WHERE domain = ? AND shard = ? AND jid > ? LIMIT ?"
_COUNT = "SELECT count(*) FROM {ks}.account_list WHERE domain = ? AND shard = ?"
_ADD = "INSERT INTO {ks}.account_list (domain, shard, jid) VALUES (?, ?, ?) USING TIMESTAMP ?"
_REMOVE = "DELETE FROM {ks}.account_list USING TIMESTAMP ? WHERE domain = ? AND shard = ? AND jid = ?"


class CassandraAccountStore(AccountStore):
    """Accounts; the writes to one are done after one another."""

    def __init__(self, driver: Driver, writer: Writer, lanes: Lanes, owners: Owners) -> None:
        self._driver = driver
        self._writer = writer
        self._lanes = lanes
        self._owners = owners
        self._get, self._create = driver.statement(_GET), driver.statement(_CREATE)
        self._replace, self._delete = driver.statement(_REPLACE), driver.statement(_DELETE)
        self._since, self._list = driver.statement(_SINCE), driver.statement(_LIST)
        self._add, self._remove = driver.statement(_ADD), driver.statement(_REMOVE)
        self._count = driver.statement(_COUNT)

    async def get(self, jid: str) -> AccountRecord | None:
        rows = await self._driver.execute(self._get, (jid,))
        if not rows:
            return None
        keys, created_at_us, disabled = rows[0]
        return AccountRecord(jid, {name: ScramKeys(*values) for name, values in keys.items()}, created_at_us, disabled)

    def create(self, record: AccountRecord) -> Commit:
        return self._lanes.run(record.jid, partial(self._do_create, record))

    def replace(self, record: AccountRecord) -> Commit:
        return self._lanes.run(record.jid, partial(self._do_replace, record))

    def delete(self, jid: str) -> Commit:
        return self._lanes.run(jid, partial(self.remove, jid))

    async def list(self, domain: str, after: str = "", limit: int = 100) -> list[str]:
        slices = await asyncio.gather(
            *(self._driver.rows(self._list, (domain, shard, after, limit)) for shard in range(SHARDS))
        )
        return [jid for (jid,) in heapq.nsmallest(limit, (row for rows in slices for row in rows))]

    async def count(self, domain: str) -> int:
        counts = await asyncio.gather(*(self._driver.execute(self._count, (domain, n)) for n in range(SHARDS)))
        return sum(rows[0][0] for rows in counts)

    async def remove(self, jid: str) -> None:
        """Remove the account, if there is one, and its place in the list (for `CassandraBackend.erase`)."""
        since = await self._since_us(jid)
        await self._apply(self._delete, (jid,))
        if since is not None:
            await self._writer.write((self._remove, _place(jid)), at_us=since)

    async def _do_create(self, record: AccountRecord) -> None:
        await self._index_owner(record.jid)
        creation = uuid.uuid4()
        values = record.created_at_us, record.disabled, _rows(record.keys)
        answer = await self._apply(self._create, (record.jid, creation, *values))
        await self._index(record.jid)
        if not answer[0] and creation not in answer:  # ours, when the first try succeeded and its answer was lost
            raise AlreadyExists(f"account {record.jid} exists")

    async def _do_replace(self, record: AccountRecord) -> None:
        values = record.created_at_us, record.disabled, _rows(record.keys)
        while True:  # another may create or delete it between the two
            if (await self._apply(self._replace, (*values, record.jid)))[0]:
                return
            await self._index_owner(record.jid)
            answer = await self._apply(self._create, (record.jid, uuid.uuid4(), *values))
            if answer[0]:
                await self._index(record.jid)
                return

    async def _apply(self, statement: Statement, params: tuple[Any, ...]) -> Row:
        """Return the answer to a conditional write: whether it was applied, and the row that was there instead."""
        rows = await self._driver.execute(statement, params, patience_s=math.inf)
        return rows[0]

    async def _index(self, jid: str) -> None:
        """List the account under its domain, also when whoever created it could not.

        The row's timestamp is that of the account's creation, and of its removal too: an account that is created anew has a
        later one, whoever's clock is ahead.
        """
        since = await self._since_us(jid)
        if since is not None:
            await self._writer.write((self._add, _place(jid)), at_us=since)

    async def _index_owner(self, jid: str) -> None:
        if index := self._owners.missing(jid, PART):
            await self._owners.written(jid, PART, self._writer.write(*index))

    async def _since_us(self, jid: str) -> int | None:
        rows = await self._driver.execute(self._since, (jid,), patience_s=math.inf)
        return rows[0][1] if rows else None


def _place(jid: str) -> tuple[str, int, str]:
    """Return where an account is in the list: domain, shard, JID."""
    return jid.rpartition("@")[2], shard_of(jid), jid


def _rows(keys: Mapping[str, ScramKeys]) -> dict[str, tuple[bytes, int, bytes, bytes]]:
    return {name: (k.salt, k.iterations, k.stored_key, k.server_key) for name, k in keys.items()}
