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
_VISIBLE = f"FROM copy WHERE owner_id = {_OWNER} AND flags & {VISIBLE}"
_LISTED = """SELECT json_group_array(json_array(id, flags, (SELECT name FROM jid WHERE jid.id = peer_id), resource))
    FROM (SELECT id, flags, peer_id, resource {} LIMIT ?)"""
_PENDING = f"FROM copy INDEXED BY copy_pending WHERE owner_id = {_OWNER} AND flags & 2 AND id > ? ORDER BY id"
_ANY_PENDING = f"SELECT 1 FROM copy INDEXED BY copy_pending WHERE owner_id = {_OWNER} AND flags & 2 AND id > ? LIMIT 1"
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
        self._numbers = ManyKeys("SELECT id FROM jid WHERE name = ?")

    @property
    def last_id(self) -> int:
        return self._last_id

    def saw(self, id_: int) -> None:
        """Note an id that came otherwise than by `append`."""
        self._last_id = max(self._last_id, id_)

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
        return 0 <= id_ <= LAST_ID and self._reader.row(f"SELECT 1 {_VISIBLE} AND id = ?", (owner, id_)) is not None

    async def bounds(self, owner: str) -> tuple[int, int] | None:
        first = f"SELECT id {_VISIBLE} ORDER BY id LIMIT 1"
        last = f"SELECT id {_VISIBLE} ORDER BY id DESC LIMIT 1"
        row = await self._reader.run(lambda c: c.execute(f"SELECT ({first}), ({last})", (owner, owner)).fetchone())
        return None if row[0] is None else (row[0], row[1])

    async def pending(self, owner: str, after_id: int, limit: int) -> list[ArchivedMessage]:
        if not self._reader.rows(_ANY_PENDING, (owner, min(after_id, LAST_ID))):
            return []  # what most logins find, in a tenth of the time that a thread takes

        def read(connection: sqlite3.Connection) -> list[ArchivedMessage]:
            return self._messages(
                connection, self._listed(connection, _PENDING, (owner, min(after_id, LAST_ID), limit))
            )

        return await self._reader.run(read)

    async def recent_marks(self, owner: str, since_id: int, limit: int) -> dict[int, int]:
        text = await self._reader.run(lambda c: c.execute(_MARKS, (owner, min(since_id, LAST_ID), limit)).fetchone()[0])
        return dict(sorted(json.loads(text), key=lambda pair: pair[1]))

    def replace_stanza(self, id_: int, stanza: bytes) -> Commit:
        def run(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE log SET stanza = ? WHERE id = ?", (stanza, id_))

        return self._writer.submit(run, is_barrier=True)

    def prune(self, before_id: int) -> Commit:
        return self._writer.submit_freeing(lambda connection: prune_steps(connection, before_id))

    def _query(self, connection: sqlite3.Connection, owner: str, query: ArchiveQuery) -> ArchivePage:
        numbers = self._numbers.fetch(connection, [owner] if query.peer is None else [owner, query.peer])
        if None in numbers:  # nobody's message: no need to look through a history for it
            return ArchivePage(total=0 if query.want_total else None)
        low = max(query.start_id or 0, 0)
        high = LAST_ID if query.end_id is None else min(query.end_id, LAST_ID)
        total = self._count(connection, query, numbers, low, high) if query.want_total else None
        if query.after_id is not None:
            low = max(low, query.after_id + 1)
        if query.before_id is not None:
            high = min(high, query.before_id - 1)
        if low > high:
            return ArchivePage(total=total)
        where, params = _range(query, numbers, low, high)
        order = "ORDER BY id DESC" if query.newest_first else "ORDER BY id"
        listed = self._listed(connection, f"{where} {order}", (*params, query.limit + 1))
        is_last = len(listed) <= query.limit
        if not is_last:
            del listed[0 if query.newest_first else -1]
        return ArchivePage(self._messages(connection, listed), is_last, total)

    def _count(
        self, connection: sqlite3.Connection, query: ArchiveQuery, numbers: list[int], low: int, high: int
    ) -> int:
        if low > high:
            return 0
        where, params = _range(query, numbers, low, high)
        return int(connection.execute(f"SELECT count(*) {where}", params).fetchone()[0])

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


def _range(query: ArchiveQuery, numbers: list[int], low: int, high: int) -> tuple[str, list[Any]]:
    """Return the part of a history that is asked for, as SQL from FROM on, and its parameters.

    `numbers`: of the owner and, when asked for, of the peer. A peer's messages are found by going through the owner's
    narrow rows: an index by peer would make each append half as dear again.
    """
    where, params = f"FROM copy WHERE owner_id = ? AND flags & {VISIBLE}", list[Any](numbers[:1])
    if query.ids is None:
        where += " AND id BETWEEN ? AND ?"
    else:
        where += " AND id IN (SELECT value FROM json_each(?)) AND +id BETWEEN ? AND ?"  # plus: not to search by
        params.append(json.dumps(query.ids))
    params += (low, high)
    if query.peer is not None:
        where += " AND peer_id = ?"
        params.append(numbers[1])
    if query.peer_resource is not None:
        where += " AND resource = ?"
        params.append(query.peer_resource)
    return where, params
