"""Taking much out of the archive, a little at a time: each step gets its own transaction between the batches.

Steps are short so that messages do not wait for them. A log entry goes when its last copy does; `log.copies` counts them.
"""

import sqlite3
from collections.abc import Iterator

STEP = 500
"""Copies or log entries a step."""

OWNERS = 256
"""Owners looked at in a step."""

_OF_OWNER = "FROM copy WHERE owner_id = ?1 AND id < ?2 ORDER BY id LIMIT ?3"


def prune_steps(connection: sqlite3.Connection, before_id: int) -> Iterator[None]:
    """Remove every message with a smaller id. The copies go first: an id that a history lists has its log entry."""
    owner_id = 0
    while True:
        rows = connection.execute(
            """SELECT id, EXISTS (SELECT 1 FROM copy WHERE owner_id = jid.id AND copy.id < ?) FROM
               (SELECT id FROM jid WHERE id > ? ORDER BY id LIMIT ?) AS jid""",
            (before_id, owner_id, OWNERS),
        ).fetchall()
        for owner_id, has_older in rows:
            while has_older:
                removed = connection.execute(
                    f"DELETE FROM copy WHERE owner_id = ?1 AND id IN (SELECT id {_OF_OWNER})",
                    (owner_id, before_id, STEP),
                ).rowcount
                yield
                has_older = removed == STEP
        if len(rows) < OWNERS:
            break
        yield
    last = "DELETE FROM log WHERE id IN (SELECT id FROM log WHERE id < ? ORDER BY id LIMIT ?)"
    while connection.execute(last, (before_id, STEP)).rowcount == STEP:
        yield


def history_end(connection: sqlite3.Connection, owner: str) -> tuple[int, int] | None:
    """Return the owner's number and the first id beyond the history as it is now; None when there is no history."""
    row: tuple[int, int] | None = connection.execute(
        """SELECT owner_id, id FROM copy WHERE owner_id = (SELECT id FROM jid WHERE name = ?)
           ORDER BY id DESC LIMIT 1""",
        (owner,),
    ).fetchone()
    return None if row is None else (row[0], row[1] + 1)


def erase_steps(connection: sqlite3.Connection, owner_id: int, end_id: int) -> Iterator[None]:
    """Remove an owner's history up to `end_id`, and the log entries that nobody else lists."""
    key = (owner_id, end_id, STEP)
    while True:
        connection.execute(f"UPDATE log SET copies = copies - 1 WHERE id IN (SELECT id {_OF_OWNER})", key)
        connection.execute(f"DELETE FROM log WHERE copies <= 0 AND id IN (SELECT id {_OF_OWNER})", key)
        removed = connection.execute(f"DELETE FROM copy WHERE owner_id = ?1 AND id IN (SELECT id {_OF_OWNER})", key)
        if removed.rowcount < STEP:
            return
        yield
