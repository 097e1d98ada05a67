"""What tests of storage share."""

import logging
import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from storage.cassandra import schema
from storage.cassandra.driver import Driver
from storage.cassandra.settings import CassandraSettings
from storage.interface import AccountRecord, ArchiveCopy, ArchivedMessage, ScramKeys
from storage.sqlite.backend import SqliteBackend
from tests.support.cassandra import DATACENTER, HOST, Cassandra

ROMEO = "romeo@example.org"
JULIET = "juliet@example.org"
NURSE = "nurse@example.org"
KEYS = {"SHA-256": ScramKeys(b"salt", 4096, b"stored", b"server")}


def account(jid: str) -> AccountRecord:
    return AccountRecord(jid, KEYS, created_at_us=1)


def both(sender: str, recipient: str) -> tuple[ArchiveCopy, ArchiveCopy]:
    """The copies of a message between two local accounts."""
    return ArchiveCopy(sender, recipient, "desk", outgoing=True), ArchiveCopy(recipient, sender, "phone")


def ids(messages: list[ArchivedMessage]) -> list[int]:
    return [message.id for message in messages]


def writer_connection(backend: SqliteBackend) -> sqlite3.Connection:
    """The connection that the backend writes by; for use while it has nothing to write."""
    return backend._writer._thread._connection


def limit_pages(backend: SqliteBackend, spare: int | None) -> None:
    """Let the file grow by no more than `spare` pages; None: as it likes."""
    connection = writer_connection(backend)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {2**30 if spare is None else pages + spare}").fetchone()


async def run_on_writer(backend: SqliteBackend, run: Callable[[sqlite3.Connection], Iterator[None] | None]) -> None:
    """Do something on the writer's thread, in a batch's transaction."""
    await backend._writer.submit(run)


def cassandra_settings(node: Cassandra, keyspace: str, **others: Any) -> CassandraSettings:
    """How to reach a keyspace of a node; of others, what differs from the defaults."""
    return CassandraSettings((HOST,), keyspace, **{"port": node.port, "replication": {DATACENTER: 1}} | others)


async def make_tables(settings: CassandraSettings) -> CassandraSettings:
    """Make the keyspace and its tables; return the settings."""
    driver = Driver(settings, logging.getLogger("xmppd.storage"))
    await driver.connect()
    try:
        await schema.create(driver)
    finally:
        await driver.close()
    return settings
