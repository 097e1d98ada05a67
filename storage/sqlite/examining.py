"""Looking through the file: whether it holds together, its version, its size and the room around it (`xmppd storage check`)."""

import json
import shutil
import sqlite3
from pathlib import Path

from storage.interface import Fact
from storage.sqlite.accounts import keys_of_text
from storage.sqlite.reader import Reader
from storage.sqlite.schema import VERSION

LITTLE_ROOM = 0.05
"""Part of a disk below which its room is little: SQLite needs some to make any."""

_COUNTS = (
    ("accounts", "SELECT count(*) FROM account"),
    ("values", "SELECT (SELECT count(*) FROM keyval) + (SELECT count(*) FROM map)"),
    ("messages", "SELECT count(*) FROM log"),
    ("copies in histories", "SELECT count(*) FROM copy"),
    ("jobs", "SELECT count(*) FROM work"),
)
_RULES = (
    ("copies whose message is missing", "SELECT count(*) FROM copy WHERE id NOT IN (SELECT id FROM log)"),
    (
        "copies of or with somebody who is missing",
        """SELECT count(*) FROM copy WHERE owner_id NOT IN (SELECT id FROM jid) OR peer_id NOT IN (SELECT id FROM jid)""",
    ),
    (
        "messages that count their copies wrongly",
        """SELECT count(*) FROM log LEFT JOIN (SELECT id, count(*) AS found FROM copy GROUP BY id) AS c USING (id)
           WHERE log.copies <> coalesce(c.found, 0)""",
    ),
)


async def examine(reader: Reader, path: Path) -> list[Fact]:
    """Return what is found; errors as in `Reader`."""
    facts = await reader.run(_look)
    return [*facts, _room(path)]


def _look(connection: sqlite3.Connection) -> list[Fact]:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    facts = [Fact("schema", "ok" if version == VERSION else "fault", f"version {version} of {VERSION}")]
    damage = [text for (text,) in connection.execute("PRAGMA quick_check(3)")]
    facts.append(Fact("file", "ok", "holds together") if damage == ["ok"] else Fact("file", "fault", "; ".join(damage)))
    if damage != ["ok"]:
        return facts  # what follows may not end on a damaged file
    for about, sql in _COUNTS:
        facts.append(Fact(about, "ok", f"{connection.execute(sql).fetchone()[0]:,}"))
    for about, sql in _RULES:
        (count,) = connection.execute(sql).fetchone()
        if count:
            facts.append(Fact("histories", "fault", f"{count:,} {about}: restore a backup"))
    unreadable = [jid for jid, text in connection.execute("SELECT jid, keys FROM account") if not _is_readable(text)]
    if unreadable:
        facts.append(Fact("accounts", "fault", f"{len(unreadable):,} with unreadable keys, {unreadable[0]} first"))
    return facts


def _is_readable(text: str) -> bool:
    try:
        keys_of_text(text)
    except (ValueError, TypeError, AttributeError, json.JSONDecodeError):
        return False
    return True


def _room(path: Path) -> Fact:
    usage = shutil.disk_usage(path.parent)
    size = sum(one.stat().st_size for one in (path, path.with_name(path.name + "-wal")) if one.exists())
    is_little = usage.free < usage.total * LITTLE_ROOM
    return Fact(
        "room",
        "warning" if is_little else "ok",
        f"{size / 1e6:,.1f} MB used, {usage.free / 1e9:,.1f} GB free at {path.parent}",
    )
