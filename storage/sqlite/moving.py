"""What an owner has, row by row, out of this storage and into it (`Backend.export_owner`, `import_owner`)."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from typing import Any

from storage.interface import AccountRecord, ArchiveCopy, CopyRecord, ItemRecord, JobRecord, Record, ValueRecord
from storage.sqlite.accounts import put_account, record_of_row
from storage.sqlite.appender import OUTGOING, PENDING, VISIBLE
from storage.sqlite.reader import Reader

PAGE_ROWS = 500
PAGE_BYTES = 4_194_304
"""What is read at once: so many rows or, where they are large, those that reach so many bytes."""

_ACCOUNT = "SELECT keys, created_at_us, disabled FROM account WHERE domain = ? AND jid = ?"
_VALUES = "SELECT store, value FROM keyval WHERE owner = ? AND store > ? ORDER BY store"
_ITEMS = "SELECT store, key, value FROM map WHERE owner = ? AND (store, key) > (?, ?) ORDER BY store, key"
_COPIES = """SELECT copy.id, peer.name, copy.resource, copy.flags, copy.mark, log.stanza
    FROM copy JOIN jid AS peer ON peer.id = copy.peer_id JOIN log ON log.id = copy.id
    WHERE copy.owner_id = (SELECT id FROM jid WHERE name = ?) AND copy.id > ? ORDER BY copy.id"""
_JOBS = """SELECT queue, id, key, due_at_us, claimed, attempts, payload FROM work
    WHERE queue = ? AND id > ? ORDER BY id"""
_NEXT_QUEUE = "SELECT min(queue) FROM work WHERE queue > ?"

_PUT_VALUE = "INSERT OR REPLACE INTO keyval (owner, store, value) VALUES (?, ?, ?)"
_PUT_ITEM = "INSERT OR REPLACE INTO map (owner, store, key, value) VALUES (?, ?, ?, ?)"
_PUT_NAME = "INSERT OR IGNORE INTO jid (name) VALUES (?)"
_PUT_LOG = "INSERT OR IGNORE INTO log (id, copies, stanza) VALUES (?, 0, ?)"
_PUT_COPY = """INSERT OR IGNORE INTO copy (owner_id, id, peer_id, flags, mark, resource)
    VALUES ((SELECT id FROM jid WHERE name = ?), ?, (SELECT id FROM jid WHERE name = ?), ?, ?, ?)"""
_PUT_JOB = """INSERT OR REPLACE INTO work (queue, id, key, due_at_us, claimed, attempts, payload)
    VALUES (?, ?, ?, ?, ?, ?, ?)"""


async def export_owner(reader: Reader, owner: str) -> AsyncIterator[Record]:
    """Yield all that an owner has, in the interface's order."""
    row = reader.row(_ACCOUNT, (owner.rpartition("@")[2], owner))
    if row is not None:
        yield record_of_row(owner, row)
    async for store, value in _pages(reader, _VALUES, (owner,), ("",), 1):
        yield ValueRecord(store, value)
    async for store, key, value in _pages(reader, _ITEMS, (owner,), ("", ""), 2):
        yield ItemRecord(store, key, value)
    async for id_, peer, resource, flags, mark, stanza in _pages(reader, _COPIES, (owner,), (-1,), 1):
        is_outgoing, is_pending, is_visible = bool(flags & OUTGOING), bool(flags & PENDING), bool(flags & VISIBLE)
        copy = ArchiveCopy(owner, peer, resource, is_outgoing, is_pending, is_visible, mark)
        yield CopyRecord(id_, copy, stanza)


async def export_jobs(reader: Reader) -> AsyncIterator[JobRecord]:
    """Yield all jobs by queue and id."""
    queue: str | None = ""
    while True:
        queue = (reader.row(_NEXT_QUEUE, (queue,)) or (None,))[0]
        if queue is None:
            return
        after_id = 0
        while rows := await reader.run(partial(_page, _JOBS, (queue, after_id))):
            for _, id_, key, due_at_us, is_claimed, attempts, payload in rows:
                yield JobRecord(queue, id_, key, due_at_us, bool(is_claimed), attempts, payload)
            after_id = rows[-1][1]


def importing(owner: str, records: Sequence[Record]) -> Callable[[sqlite3.Connection], None]:
    """Return what writes records on the writer's connection."""
    values = [(owner, record.store, record.value) for record in records if isinstance(record, ValueRecord)]
    items = [(owner, record.store, record.key, record.value) for record in records if isinstance(record, ItemRecord)]
    copies = [record for record in records if isinstance(record, CopyRecord)]

    def run(connection: sqlite3.Connection) -> None:
        for record in records:
            if isinstance(record, AccountRecord):
                put_account(connection, record)
        connection.executemany(_PUT_VALUE, values)
        connection.executemany(_PUT_ITEM, items)
        _put_copies(connection, copies)

    return run


def importing_jobs(records: Sequence[JobRecord]) -> Callable[[sqlite3.Connection], None]:
    """Return what writes jobs on the writer's connection, under the ids that they had."""

    def run(connection: sqlite3.Connection) -> None:
        connection.executemany(_PUT_JOB, records)

    return run


def _put_copies(connection: sqlite3.Connection, records: Sequence[CopyRecord]) -> None:
    names = dict.fromkeys(name for record in records for name in (record.copy.owner, record.copy.peer))
    connection.executemany(_PUT_NAME, [(name,) for name in names])
    connection.executemany(_PUT_LOG, [(record.id, record.stanza) for record in records])
    for id_, copy, _ in records:
        flags = (copy.outgoing and OUTGOING) | (copy.pending and PENDING) | (copy.visible and VISIBLE)
        row = (copy.owner, id_, copy.peer, flags, copy.mark, copy.peer_resource)
        if connection.execute(_PUT_COPY, row).rowcount:
            connection.execute("UPDATE log SET copies = copies + 1 WHERE id = ?", (id_,))


async def _pages(
    reader: Reader, sql: str, fixed: tuple[Any, ...], after: tuple[Any, ...], width: int
) -> AsyncIterator[tuple[Any, ...]]:
    """Yield all rows of a query whose first `width` columns order them, and whose last parameters are those of the row before."""
    while rows := await reader.run(partial(_page, sql, (*fixed, *after))):
        for row in rows:
            yield row
        after = rows[-1][:width]


def _page(sql: str, params: tuple[Any, ...], connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    size = 0
    for row in connection.execute(sql, params):
        rows.append(row)
        size += len(row[-1])
        if len(rows) >= PAGE_ROWS or size >= PAGE_BYTES:
            break
    return rows
