"""Accounts in the table `account`."""

import json
import sqlite3
from collections.abc import Mapping
from typing import Any

from storage.interface import AccountRecord, AccountStore, AlreadyExists, Commit, ScramKeys
from storage.sqlite.reader import Reader
from storage.sqlite.writer import Writer

_GET = "SELECT keys, created_at_us, disabled FROM account WHERE domain = ? AND jid = ?"
_INSERT = "INSERT {} INTO account (domain, jid, keys, created_at_us, disabled) VALUES (?, ?, ?, ?, ?)"
_LIST = """SELECT json_group_array(jid) FROM
    (SELECT jid FROM account WHERE domain = ? AND jid > ? ORDER BY jid LIMIT ?)"""


class SqliteAccountStore(AccountStore):
    """Accounts by domain and JID."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def get(self, jid: str) -> AccountRecord | None:
        row = self._reader.row(_GET, (_domain(jid), jid))
        return None if row is None else record_of_row(jid, row)

    def create(self, record: AccountRecord) -> Commit:
        values = _values(record)

        def run(connection: sqlite3.Connection) -> None:
            if connection.execute(_INSERT.format("OR IGNORE"), values).rowcount == 0:
                raise AlreadyExists(f"account {record.jid} exists")

        return self._writer.submit(run)

    def replace(self, record: AccountRecord) -> Commit:
        return self._writer.submit(lambda connection: put_account(connection, record))

    def delete(self, jid: str) -> Commit:
        return self._writer.submit(lambda connection: delete_account(connection, jid))

    async def list(self, domain: str, after: str = "", limit: int = 100) -> list[str]:
        text = await self._reader.run(lambda c: c.execute(_LIST, (domain, after, limit)).fetchone()[0])
        jids: list[str] = json.loads(text)
        return jids

    async def count(self, domain: str) -> int:
        sql = "SELECT count(*) FROM account WHERE domain = ?"
        return int(await self._reader.run(lambda c: c.execute(sql, (domain,)).fetchone()[0]))


def delete_account(connection: sqlite3.Connection, jid: str) -> None:
    """Remove an account on the writer's connection."""
    connection.execute("DELETE FROM account WHERE domain = ? AND jid = ?", (_domain(jid), jid))


def put_account(connection: sqlite3.Connection, record: AccountRecord) -> None:
    """Write an account on the writer's connection, over the one of that name."""
    connection.execute(_INSERT.format("OR REPLACE"), _values(record))


def record_of_row(jid: str, row: tuple[Any, ...]) -> AccountRecord:
    """Return the account of a row of keys, time of making, and whether it is disabled."""
    return AccountRecord(jid, keys_of_text(row[0]), row[1], bool(row[2]))


def _domain(jid: str) -> str:
    return jid.rpartition("@")[2]


def _values(record: AccountRecord) -> tuple[str, str, str, int, bool]:
    return _domain(record.jid), record.jid, _keys_to_text(record.keys), record.created_at_us, record.disabled


def _keys_to_text(keys: Mapping[str, ScramKeys]) -> str:
    return json.dumps(
        {name: [k.salt.hex(), k.iterations, k.stored_key.hex(), k.server_key.hex()] for name, k in keys.items()}
    )


def keys_of_text(text: str) -> dict[str, ScramKeys]:
    """Return the keys that the column holds; ValueError, TypeError or AttributeError when it holds something else."""
    return {
        name: ScramKeys(bytes.fromhex(salt), iterations, bytes.fromhex(stored), bytes.fromhex(server))
        for name, (salt, iterations, stored, server) in json.loads(text).items()
    }
