"""How the archive is read: by which way, and in how few statements. What it answers is in `contract`."""

import sqlite3
from pathlib import Path

import pytest

from storage.interface import ArchiveCopy, ArchiveQuery, StorageError
from storage.sqlite.backend import SqliteBackend
from tests.storage.tools import JULIET, NURSE, ROMEO, both, ids


@pytest.fixture
def spied(sqlite: SqliteBackend) -> list[tuple[str, str]]:
    """Statements that the readers make, each with the way it is done."""
    seen: list[tuple[str, str]] = []
    reader = sqlite._reader

    class Spy:
        def __init__(self, connection: sqlite3.Connection) -> None:
            self.connection = connection

        def execute(self, sql: str, params: object) -> sqlite3.Cursor:
            plan = self.connection.execute(f"EXPLAIN QUERY PLAN {sql}", params).fetchall()  # type: ignore[arg-type]
            seen.append((sql, " / ".join(row[3] for row in plan)))
            return self.connection.execute(sql, params)  # type: ignore[arg-type]

    call = reader._call
    reader._call = lambda read: call(lambda connection: read(Spy(connection)))  # type: ignore[method-assign,assignment,arg-type]
    return seen


async def test_a_page_takes_three_steps_of_the_database(sqlite: SqliteBackend, spied: list[tuple[str, str]]) -> None:
    for n in range(1, 200):
        sqlite.archive.append(n, b"x", both(ROMEO, JULIET))
    await sqlite.flush()
    page = await sqlite.archive.query(ROMEO, ArchiveQuery(limit=112, newest_first=True))
    assert len(page.messages) == 112
    assert len(spied) == 3
    assert "SEARCH copy USING PRIMARY KEY (owner_id=? AND id>? AND id<?)" in spied[1][1]


async def test_ids_are_looked_up_and_not_searched_for(sqlite: SqliteBackend, spied: list[tuple[str, str]]) -> None:
    await sqlite.archive.append(7, b"x", both(ROMEO, JULIET))
    page = await sqlite.archive.query(ROMEO, ArchiveQuery(ids=(7, 8), start_id=1))
    assert ids(page.messages) == [7]
    assert "SEARCH copy USING PRIMARY KEY (owner_id=? AND id=?)" in spied[1][1]


async def test_pending_messages_have_an_index(sqlite: SqliteBackend, spied: list[tuple[str, str]]) -> None:
    await sqlite.archive.append(7, b"x", [ArchiveCopy(ROMEO, JULIET, pending=True)])
    assert ids(await sqlite.archive.pending(ROMEO, 0, 10)) == [7]
    assert "USING INDEX copy_pending (owner_id=? AND id>?)" in spied[0][1]


async def test_an_unknown_peer_costs_no_walk_through_the_history(
    sqlite: SqliteBackend, spied: list[tuple[str, str]]
) -> None:
    await sqlite.archive.append(7, b"x", both(ROMEO, JULIET))
    page = await sqlite.archive.query(ROMEO, ArchiveQuery(peer=NURSE, want_total=True))
    assert (page.messages, page.total) == ([], 0)
    assert len(spied) == 1


async def test_ascending_ids_share_a_commit_and_others_have_their_own(sqlite: SqliteBackend) -> None:
    one, two, late, three = (sqlite.archive.append(n, b"x", both(ROMEO, JULIET)) for n in (1, 2, 2, 3))
    assert one is two is three
    assert late is not one
    await one
    with pytest.raises(StorageError, match="message 2"):
        await late


async def test_ids_of_an_earlier_run_are_known_to_be_taken(tmp_path: Path) -> None:
    for expected in (True, False):
        backend = SqliteBackend(tmp_path / "a.db")
        await backend.open()
        commits = [backend.archive.append(n, b"x", both(ROMEO, JULIET)) for n in (5, 10**6 + expected)]
        await backend.flush()
        assert (commits[0].error is None) == expected
        assert commits[1].error is None
        await backend.close()


async def test_an_append_that_is_refused_does_not_use_its_id(sqlite: SqliteBackend) -> None:
    with pytest.raises(TypeError):
        sqlite.archive.append(5, None, both(ROMEO, JULIET))  # type: ignore[arg-type]
    await sqlite.archive.append(4, b"x", both(ROMEO, JULIET))
    await sqlite.archive.append(5, b"x", both(ROMEO, JULIET))


async def test_the_greatest_id_is_known_after_a_restart(tmp_path: Path) -> None:
    for expected in (0, 77):
        backend = SqliteBackend(tmp_path / "x.db")
        await backend.open()
        assert backend.archive.last_id == expected
        if not expected:
            await backend.archive.append(77, b"<message/>", both(ROMEO, JULIET))
        await backend.close()
