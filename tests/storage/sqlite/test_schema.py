"""Making the tables, and bringing older files up to date."""

import sqlite3
from pathlib import Path

import pytest

from storage.interface import ArchiveQuery, StorageError
from storage.sqlite import schema
from storage.sqlite.backend import SqliteBackend
from storage.sqlite.schema import APPLICATION_ID, MIGRATIONS, VERSION, prepare
from tests.storage.tools import ROMEO, ids


def plain(path: Path | str = ":memory:") -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def version_of(connection: sqlite3.Connection) -> tuple[int, int]:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application_id, version


def tables(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    return connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql <> '' ORDER BY name").fetchall()


def old_file(path: Path, version: int) -> None:
    """Make a file as the given version wrote it, with one message in one history."""
    connection = plain(path)
    for statements in MIGRATIONS[:version]:
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("INSERT INTO jid (id, name) VALUES (1, 'romeo@example.org'), (2, 'juliet@example.org')")
    connection.execute("INSERT INTO log (id, copies, stanza) VALUES (7, 1, x'6f6c64')")
    connection.execute("INSERT INTO copy VALUES (1, 7, 2, 6, 0, '')")
    connection.execute("INSERT INTO keyval VALUES ('romeo@example.org', 'prefs', x'31')")
    connection.close()


def test_an_empty_file_gets_the_tables_of_today() -> None:
    connection = plain()
    prepare(connection)
    assert version_of(connection) == (APPLICATION_ID, VERSION)
    before = tables(connection)
    prepare(connection)
    assert tables(connection) == before


@pytest.mark.parametrize("version", range(1, VERSION))
async def test_an_older_file_is_brought_up_to_date_with_all_that_is_in_it(tmp_path: Path, version: int) -> None:
    path = tmp_path / "old.db"
    old_file(path, version)
    backend = SqliteBackend(path)
    await backend.open()
    assert (await backend.archive.query(ROMEO, ArchiveQuery())).messages[0].stanza == b"old"
    assert ids(await backend.archive.pending(ROMEO, 0, 10)) == [7]
    assert await backend.keyval("prefs").get(ROMEO) == b"1"
    await backend.work.put("push", b"x")
    await backend.close()
    fresh, migrated = plain(), plain(path)
    prepare(fresh)
    assert tables(migrated) == tables(fresh)
    assert version_of(migrated) == version_of(fresh)


def test_a_later_version_is_refused_in_one_line() -> None:
    connection = plain()
    prepare(connection)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    with pytest.raises(
        StorageError, match=r"^was written by a later xmppd \(schema \d+, this one knows \d+\)"
    ) as caught:
        prepare(connection)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("statement", ["CREATE TABLE t (a)", "PRAGMA application_id = 5", "PRAGMA user_version = 1"])
def test_another_programs_file_is_refused_and_left_alone(statement: str) -> None:
    connection = plain()
    connection.execute(statement)
    before = tables(connection), version_of(connection)
    with pytest.raises(StorageError, match="another program"):
        prepare(connection)
    assert (tables(connection), version_of(connection)) == before


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "old.db"
    old_file(path, VERSION)
    monkeypatch.setattr(schema, "MIGRATIONS", (*MIGRATIONS, ("CREATE TABLE fine (a)", "CREATE TABLE log (a)")))
    monkeypatch.setattr(schema, "VERSION", VERSION + 1)
    connection = plain(path)
    before = tables(connection)
    with pytest.raises(sqlite3.Error):
        prepare(connection)
    assert tables(connection) == before
    assert version_of(connection) == (APPLICATION_ID, VERSION)
