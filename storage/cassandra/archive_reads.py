"""Reading histories: the queries of the tables `history` and `conversation`, and both as sources of a walk."""

import asyncio
from collections.abc import Sequence
from typing import Any

from storage.cassandra.buckets import all_of
from storage.cassandra.driver import Driver
from storage.cassandra.statement import Statement
from storage.cassandra.walk import Row, Source
from storage.interface import ArchivedMessage

LEAST_MARK = -(2**63)

MESSAGE = "id, stanza, peer, resource, outgoing, hidden"
"""The columns of a row of a history, in the order in which `message_of` takes them."""

_ID, _PEER, _HIDDEN = 0, 2, 5

_IN_HISTORY = "FROM {ks}.history WHERE owner = ? AND bucket = ?"
_IN_CONVERSATION = "FROM {ks}.conversation WHERE owner = ? AND peer = ? AND bucket = ?"
_RANGE = "AND id >= ? AND id <= ?"


class Reads:
    """Every statement that reads the archive, and reads by id."""

    def __init__(self, driver: Driver) -> None:
        self.driver = driver
        self._slices: dict[tuple[str, str, str, bool], Statement] = {}
        for newest_first in (False, True):
            for extra in ("", "AND resource = ?"):
                self.slice(MESSAGE, _IN_HISTORY, extra, newest_first)
                self.slice("id, home, resource", _IN_CONVERSATION, extra, newest_first)
        self.slice(MESSAGE, _IN_HISTORY, "AND pending = true", False)
        self.slice("id, mark, peer", _IN_HISTORY, "AND mark >= ?", True)
        self.count_history = driver.statement(f"SELECT count(peer), count(hidden) {_IN_HISTORY} {_RANGE}")
        self.count_resource = driver.statement(
            f"SELECT count(peer), count(hidden) {_IN_HISTORY} {_RANGE} AND resource = ? ALLOW FILTERING"
        )
        self.count_conversation = driver.statement(f"SELECT count(*), count(resource) {_IN_CONVERSATION} {_RANGE}")
        self.count_conversation_resource = driver.statement(
            f"SELECT count(*) {_IN_CONVERSATION} {_RANGE} AND resource = ? ALLOW FILTERING"
        )
        self.by_id = driver.statement(
            f"SELECT {MESSAGE} FROM {{ks}}.history WHERE owner = ? AND bucket IN ? AND id = ?"
        )
        self.at_home = driver.statement(f"SELECT {MESSAGE} {_IN_HISTORY} AND id IN ?")
        self.buckets = _BucketReads(driver, "history_bucket", "owner = ?")
        self.conversation_buckets = _BucketReads(driver, "conversation_bucket", "owner = ? AND peer = ?")

    def slice(self, columns: str, source: str, extra: str, newest_first: bool) -> Statement:
        """Return the statement that reads a range of a bucket from one end."""
        key = (columns, source, extra, newest_first)
        found = self._slices.get(key)
        if found is None:
            order = "DESC" if newest_first else "ASC"
            filtering = " ALLOW FILTERING" if extra else ""  # within one partition, in the order of its rows
            found = self._slices[key] = self.driver.statement(
                f"SELECT {columns} {source} {_RANGE} {extra} ORDER BY id {order} LIMIT ?{filtering}"
            )
        return found

    async def messages_by_id(self, owner: str, ids: Sequence[int]) -> list[Row]:
        """Return the visible rows of these ids that an owner has, ascending, wherever they are."""
        queries = (self.driver.execute(self.by_id, (owner, all_of(id_), id_)) for id_ in sorted(ids))
        return [row for rows in await asyncio.gather(*queries) for row in rows if is_visible(row)]

    async def messages_at_home(self, owner: str, places: Sequence[Row]) -> list[Row]:
        """Return the rows that rows of a conversation point to, ascending; those that are gone are left out."""
        homes: dict[int, list[int]] = {}
        for id_, home, *_ in places:
            homes.setdefault(home, []).append(id_)
        queries = (self.driver.execute(self.at_home, (owner, home, ids)) for home, ids in homes.items())
        return sorted(
            (row for rows in await asyncio.gather(*queries) for row in rows if is_visible(row)), key=lambda row: row[0]
        )


def is_visible(row: Row) -> bool:
    """Whether a row of a history may be shown. One without a peer is what a replaced stanza left of a message forgotten meanwhile."""
    return row[_PEER] is not None and not row[_HIDDEN]


def message_of(row: Row) -> ArchivedMessage:
    """Return the message of a row."""
    id_, stanza, peer, resource, outgoing, _ = row
    return ArchivedMessage(id_, stanza, peer, resource, bool(outgoing))


class _BucketReads:
    """The statements of a table of buckets."""

    def __init__(self, driver: Driver, table: str, whose: str) -> None:
        of = f"SELECT bucket FROM {{ks}}.{table} WHERE {whose}"
        self.existing = driver.statement(f"{of} AND bucket IN ?")
        self.following = driver.statement(f"{of} AND bucket >= ? ORDER BY bucket ASC LIMIT ?")
        self.preceding = driver.statement(f"{of} AND bucket <= ? ORDER BY bucket DESC LIMIT ?")


class _BucketSource(Source):
    """Buckets out of a table of them; `name` is its partition, the owner or the owner and the peer."""

    def __init__(self, driver: Driver, buckets: _BucketReads, name: tuple[str, ...]) -> None:
        self._driver = driver
        self._buckets = buckets
        self._name = name

    async def existing(self, numbers: list[int]) -> list[int]:
        return await self._numbers(self._buckets.existing, numbers)

    async def following(self, low: int, limit: int) -> list[int]:
        return await self._numbers(self._buckets.following, low, limit)

    async def preceding(self, high: int, limit: int) -> list[int]:
        return await self._numbers(self._buckets.preceding, high, limit)

    async def _numbers(self, statement: Statement, *params: Any) -> list[int]:
        return [number for (number,) in await self._driver.execute(statement, (*self._name, *params))]


class History(_BucketSource):
    """An owner's history: visible messages, those with a resource, those that wait, or those with a mark."""

    def __init__(
        self, reads: Reads, owner: str, *, resource: str | None = None, pending: bool = False, marks: bool = False
    ) -> None:
        super().__init__(reads.driver, reads.buckets, (owner,))
        self._reads = reads
        self._owner = owner
        self._columns = "id, mark, peer" if marks else MESSAGE
        self._extra = ""
        self._params: tuple[str | int, ...] = ()
        self._shows_hidden = pending or marks
        if resource is not None:
            self._extra, self._params = "AND resource = ?", (resource,)
        elif pending:
            self._extra = "AND pending = true"
        elif marks:
            self._extra, self._params = "AND mark >= ?", (LEAST_MARK,)

    async def read(self, bucket: int, low: int, high: int, limit: int, newest_first: bool) -> list[Row]:
        statement = self._reads.slice(self._columns, _IN_HISTORY, self._extra, newest_first)
        found: list[Row] = []
        while low <= high:
            rows = await self._driver.execute(statement, (self._owner, bucket, low, high, *self._params, limit))
            found += filter(self._is_shown, rows)
            if len(rows) < limit or len(found) >= limit:
                break
            if newest_first:
                high = rows[-1][_ID] - 1
            else:
                low = rows[-1][_ID] + 1
        return found[:limit]

    def _is_shown(self, row: Row) -> bool:
        return row[_PEER] is not None and (self._shows_hidden or not row[_HIDDEN])

    async def count(self, bucket: int, low: int, high: int) -> int:
        """Return how many visible messages a bucket has in a range."""
        statement = self._reads.count_resource if self._extra else self._reads.count_history
        ((rows, hidden),) = await self._driver.execute(statement, (self._owner, bucket, low, high, *self._params))
        return int(rows) - int(hidden)


class Conversation(_BucketSource):
    """The messages of an owner with one peer, all or those with a resource; its rows are places in the history."""

    def __init__(self, reads: Reads, owner: str, peer: str, resource: str | None) -> None:
        super().__init__(reads.driver, reads.conversation_buckets, (owner, peer))
        self._reads = reads
        self._extra = "" if resource is None else "AND resource = ?"
        self._params = () if resource is None else (resource,)

    async def read(self, bucket: int, low: int, high: int, limit: int, newest_first: bool) -> list[Row]:
        statement = self._reads.slice("id, home, resource", _IN_CONVERSATION, self._extra, newest_first)
        return await self._driver.execute(statement, (*self._name, bucket, low, high, *self._params, limit))

    async def count(self, bucket: int, low: int, high: int) -> int:
        """Return how many messages a bucket has in a range."""
        statement = self._reads.count_conversation_resource if self._extra else self._reads.count_conversation
        rows = await self._driver.execute(statement, (*self._name, bucket, low, high, *self._params))
        return int(rows[0][0])
