"""The tables, and how an older file becomes one of today.

`PRAGMA user_version` is the version of the schema, `PRAGMA application_id` says that the file is ours. A change of the
tables is one more entry in `MIGRATIONS`; those that are there never change, since files of that version exist.
"""

import sqlite3

from storage.interface import StorageError

APPLICATION_ID = 0x786D7070
"""In the file's header: "xmpp" in ASCII."""

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        # Accounts sort by JID within a domain. `keys`: JSON, hash -> [salt, iterations, stored key, server key], bytes in hex.
        """CREATE TABLE account (
            domain TEXT NOT NULL, jid TEXT NOT NULL, created_at_us INTEGER NOT NULL, disabled INTEGER NOT NULL,
            keys TEXT NOT NULL, PRIMARY KEY (domain, jid)) WITHOUT ROWID""",
        # The owner comes first: what belongs to one account lies together.
        """CREATE TABLE keyval (
            owner TEXT NOT NULL, store TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (owner, store)) WITHOUT ROWID""",
        """CREATE TABLE map (
            owner TEXT NOT NULL, store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL,
            PRIMARY KEY (owner, store, key)) WITHOUT ROWID""",
        # Names of owners and peers of the archive, each once. Rows are only ever added: numbers are kept in memory.
        "CREATE TABLE jid (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        # Every message once, in order of id, so that new ones go to the end. `copies`: how many histories list it.
        "CREATE TABLE log (id INTEGER PRIMARY KEY, copies INTEGER NOT NULL, stanza BLOB NOT NULL)",
        # The histories: narrow rows. `flags`: 1 outgoing, 2 pending, 4 visible.
        """CREATE TABLE copy (
            owner_id INTEGER NOT NULL, id INTEGER NOT NULL, peer_id INTEGER NOT NULL, flags INTEGER NOT NULL,
            mark INTEGER NOT NULL, resource TEXT NOT NULL, PRIMARY KEY (owner_id, id)) WITHOUT ROWID""",
    ),
    (
        # AUTOINCREMENT: the id of a finished job never comes back, so a late `finish` cannot end another's job.
        """CREATE TABLE work (
            id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, key TEXT NOT NULL, due_at_us INTEGER NOT NULL,
            claimed INTEGER NOT NULL, attempts INTEGER NOT NULL, payload BLOB NOT NULL)""",
        "CREATE INDEX work_due ON work (queue, due_at_us)",
        "CREATE INDEX work_key ON work (queue, key) WHERE key <> '' AND claimed = 0",
        # An account that was away for long finds what waits for it without a walk over its whole history.
        "CREATE INDEX copy_pending ON copy (owner_id, id) WHERE flags & 2",
    ),
)

VERSION = len(MIGRATIONS)


def prepare(connection: sqlite3.Connection) -> None:
    """Make the tables in an empty file, or bring an older file up to `VERSION`; all of it or nothing.

    Raises:
        StorageError: the file is another program's, or of a later version.
        sqlite3.Error: SQLite could not.
    """
    if _check(connection) == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _check(connection)  # again: another process may have been faster
        for statements in MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _check(connection: sqlite3.Connection) -> int:
    """Return the version of the file, 0 when it is empty."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application_id != APPLICATION_ID and (tables or application_id or version):
        raise StorageError("is a database of another program")
    if version > VERSION:
        raise StorageError(f"was written by a later xmppd (schema {version}, this one knows {VERSION}): start that one")
    return int(version)
