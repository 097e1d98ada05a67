"""The archive: reading histories, and the writes to them (see `appender` for appends, `removal` for pruning)."""

import json
import sqlite3
from collections.abc import Collection
from typing import Any

from storage.interface import (
    ArchiveCopy,
    ArchivedMessage,
    ArchivePage,
    ArchiveQuery,
    ArchiveStore,
    Commit,
    check_copies,
)
from storage.sqlite.appender import OUTGOING, VISIBLE
from storage.sqlite.reader import Reader
from storage.sqlite.removal import prune_steps
from storage.sqlite.rows import ManyKeys
from storage.sqlite.writer import Writer

LAST_ID = 2**63 - 1

_OWNER = "(SELECT id FROM jid WHERE name = ?)"
_HISTORY = f"FROM copy WHERE owner_id = {_OWNER} AND flags & {VISIBLE} AND id BETWEEN ? AND ?"
_LISTED = """SELECT json_group_array(json_array(id, flags, (SELECT name FROM jid WHERE jid.id = peer_id), resource))
    FROM (SELECT id, flags, peer_id, resource {} LIMIT ?)"""
_PENDING = f"FROM copy WHERE owner_id = {_OWNER} AND flags & 2 AND id > ? ORDER BY id"
_MARKS = f"""SELECT json_group_array(json_array(mark, id)) FROM
    (SELECT mark, id FROM copy WHERE owner_id = {_OWNER} AND id >= ? AND mark <> 0 ORDER BY id DESC LIMIT ?)"""


class SqliteArchiveStore(ArchiveStore):
    """The tables `log`, `copy` and `jid`."""

    def __init__(self, writer: Writer, reader: Reader, last_id: int) -> None:
        """`last_id`: the greatest id in the log, 0 when it is empty."""
        self._writer = writer
        self._reader = reader
        self._last_id = last_id
        self._stanzas = ManyKeys("SELECT stanza FROM log WHERE id = ?")

    def append(self, id_: int, stanza: bytes, copies: Collection[ArchiveCopy]) -> Commit:
        check_copies(copies)
        if id_ > self._last_id:
            commit = self._writer.append((id_, stanza, copies, None))
            self._last_id = id_
            return commit
        # It may be there already, and must then fail without the others that share the batch's commit.
        return self._writer.append((id_, stanza, copies, Commit()))

    async def query(self, owner: str, query: ArchiveQuery) -> ArchivePage:
        return await self._reader.run(lambda connection: self._query(connection, owner, query))

    async def has(self, owner: str, id_: int) -> bool:
        return self._reader.row(f"SELECT 1 {_HISTORY}", (owner, id_, id_)) is not None

    async def bounds(self, owner: str) -> tuple[int, int] | None:
        first = f"SELECT id {_HISTORY} ORDER BY id LIMIT 1"
        last = f"SELECT id {_HISTORY} ORDER BY id DESC LIMIT 1"
        every = (owner, 0, LAST_ID)
        row = await self._reader.run(lambda c: c.execute(f"SELECT ({first}), ({last})", every + every).fetchone())
        return None if row[0] is None else (row[0], row[1])

    async def pending(self, owner: str, after_id: int, limit: int) -> list[ArchivedMessage]:
        def read(connection: sqlite3.Connection) -> list[ArchivedMessage]:
            return self._messages(connection, self._listed(connection, _PENDING, (owner, after_id, limit)))

        return await self._reader.run(read)

    async def recent_marks(self, owner: str, since_id: int, limit: int) -> dict[int, int]:
        text = await self._reader.run(lambda c: c.execute(_MARKS, (owner, since_id, limit)).fetchone()[0])
        return dict(sorted(json.loads(text), key=lambda pair: pair[1]))

    def replace_stanza(self, id_: int, stanza: bytes) -> Commit:
        def run(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE log SET stanza = ? WHERE id = ?", (stanza, id_))

        return self._writer.submit(run, is_barrier=True)

    def prune(self, before_id: int) -> Commit:
        return self._writer.submit_freeing(lambda connection: prune_steps(connection, before_id))

    def _query(self, connection: sqlite3.Connection, owner: str, query: ArchiveQuery) -> ArchivePage:
        where, filters = _filters(query)
        low, high = query.start_id or 0, LAST_ID if query.end_id is None else query.end_id
        total = None
        if query.want_total:
            sql = f"SELECT count(*) {_HISTORY}{where}"
            (total,) = connection.execute(sql, (owner, low, high, *filters)).fetchone()
        if query.after_id is not None:
            low = max(low, query.after_id + 1)
        if query.before_id is not None:
            high = min(high, query.before_id - 1)
        source = f"{_HISTORY}{where} ORDER BY id {'DESC' if query.newest_first else ''}"
        listed = self._listed(connection, source, (owner, low, min(high, LAST_ID), *filters, query.limit + 1))
        is_last = len(listed) <= query.limit
        if not is_last:
            del listed[0 if query.newest_first else -1]
        return ArchivePage(self._messages(connection, listed), is_last, total)

    def _listed(self, connection: sqlite3.Connection, source: str, params: tuple[Any, ...]) -> list[list[Any]]:
        """Return [id, flags, peer, resource] of the rows, ascending."""
        (text,) = connection.execute(_LISTED.format(source), params).fetchone()
        return sorted(json.loads(text))

    def _messages(self, connection: sqlite3.Connection, listed: list[list[Any]]) -> list[ArchivedMessage]:
        stanzas = self._stanzas.fetch(connection, [row[0] for row in listed])
        return [
            ArchivedMessage(id_, stanza, peer, resource, bool(flags & OUTGOING))
            for (id_, flags, peer, resource), stanza in zip(listed, stanzas, strict=True)
            if stanza is not None  # pruned between the two reads
        ]


def _filters(query: ArchiveQuery) -> tuple[str, list[Any]]:
    """Return further conditions and their parameters."""
    where, params = "", list[Any]()
    if query.peer is not None:
        where += f" AND peer_id = {_OWNER}"
        params.append(query.peer)
    if query.peer_resource is not None:
        where += " AND resource = ?"
        params.append(query.peer_resource)
    if query.ids is not None:
        where += " AND id IN (SELECT value FROM json_each(?))"
        params.append(json.dumps(query.ids))
    return where, params
