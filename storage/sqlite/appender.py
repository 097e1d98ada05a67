"""Writing appends: the log, the histories, and the numbers of the names in them (on the writer's thread)."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from storage.sqlite.batch import Row
from storage.sqlite.rows import ManyKeys, ManyRows

OUTGOING, PENDING, VISIBLE = 1, 2, 4
"""The bits of `copy.flags`."""

MAX_NAMES = 65_536
"""How many names keep their numbers in memory, some 150 bytes each; when there are more, all are forgotten and looked up again."""


class Appender:
    """Writes rows within a transaction that the caller began."""

    def __init__(self, connection: sqlite3.Connection, max_names: int = MAX_NAMES) -> None:
        self._connection = connection
        self._max_names = max_names
        self._numbers: dict[str, int] = {}
        # OR FAIL, since the caller rolls back all anyhow: with the default SQLite keeps a journal for the statement, a copy of each
        # page that it touches and beyond 64 KiB in a file, which doubles what a row costs.
        self._log = ManyRows("INSERT OR FAIL INTO log (id, copies, stanza)", 3)
        self._copies = ManyRows("INSERT OR FAIL INTO copy (owner_id, id, peer_id, flags, mark, resource)", 6)
        self._new_names = ManyRows("INSERT OR IGNORE INTO jid (name)", 1)
        self._name_numbers = ManyKeys("SELECT id FROM jid WHERE name = ?")

    def forget(self) -> None:
        """Forget the names' numbers: a transaction that gave some was rolled back."""
        self._numbers.clear()

    def insert(self, rows: Sequence[Row]) -> None:
        """Write all rows or, with an error, some (the caller rolls back).

        Raises:
            sqlite3.Error: among them `sqlite3.IntegrityError` for an id that is there already.
            ValueError, TypeError, OverflowError: a value that SQLite cannot hold.
        """
        log: list[Any] = []
        for id_, stanza, copies, _ in rows:
            log += (id_, len(copies), stanza)
        histories = self._history_params(rows)
        self._log.insert(self._connection, log)
        self._copies.insert(self._connection, histories)

    def _history_params(self, rows: Sequence[Row]) -> list[Any]:
        number = self._numbers.get
        params: list[Any] = []
        unknown: dict[str, None] = {}
        for id_, _, copies, _ in rows:
            for owner, peer, resource, is_outgoing, is_pending, is_visible, mark in copies:
                owner_id, peer_id = number(owner), number(peer)
                if owner_id is None or peer_id is None:
                    unknown[owner] = unknown[peer] = None
                flags = (is_outgoing and OUTGOING) | (is_pending and PENDING) | (is_visible and VISIBLE)
                params += (owner_id, id_, peer_id, flags, mark, resource)
        if not unknown:
            return params
        self._learn(list(unknown))
        return self._history_params(rows)

    def _learn(self, names: list[str]) -> None:
        """Get the numbers of names, giving new ones to those that have none."""
        if len(self._numbers) + len(names) > self._max_names:
            self._numbers.clear()
        numbers = self._name_numbers.fetch(self._connection, names)
        new = [name for name, number in zip(names, numbers, strict=True) if number is None]
        if new:
            self._new_names.insert(self._connection, new)
            numbers = self._name_numbers.fetch(self._connection, names)
        self._numbers.update(zip(names, numbers, strict=True))
