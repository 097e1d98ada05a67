"""Appends in few steps, and the numbers of names."""

import sqlite3

import pytest

from storage.interface import ArchiveCopy
from storage.sqlite.appender import Appender
from storage.sqlite.batch import Row
from storage.sqlite.schema import prepare


@pytest.fixture
def connection() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    prepare(connection)
    return connection


def rows(first: int, count: int, owners: int = 10) -> list[Row]:
    """Messages between neighbours."""
    return [
        (
            n,
            b"x" * 300,
            (
                ArchiveCopy(f"u{n % owners}", f"u{(n + 1) % owners}"),
                ArchiveCopy(f"u{(n + 1) % owners}", f"u{n % owners}"),
            ),
            None,
        )
        for n in range(first, first + count)
    ]


def histories(connection: sqlite3.Connection) -> list[tuple[str, int, str]]:
    return connection.execute(
        """SELECT owner.name, copy.id, peer.name FROM copy
           JOIN jid AS owner ON owner.id = owner_id JOIN jid AS peer ON peer.id = peer_id ORDER BY copy.id, 1"""
    ).fetchall()


def expected(messages: list[Row]) -> list[tuple[str, int, str]]:
    return sorted(
        ((c.owner, id_, c.peer) for id_, _, copies, _ in messages for c in copies), key=lambda r: (r[1], r[0])
    )


def test_each_copy_lands_in_its_owners_history_with_all_it_says(connection: sqlite3.Connection) -> None:
    copies = (
        ArchiveCopy("a", "b", "r", outgoing=True, mark=-5),
        ArchiveCopy("b", "a", "", pending=True, visible=False, mark=2**63 - 1),
    )
    Appender(connection).insert([(7, b"\x00x", copies, None)])
    assert connection.execute("SELECT id, copies, stanza FROM log").fetchall() == [(7, 2, b"\x00x")]
    assert histories(connection) == [("a", 7, "b"), ("b", 7, "a")]
    found = connection.execute("SELECT flags, mark, resource FROM copy ORDER BY owner_id").fetchall()
    assert found == [(5, -5, "r"), (2, 2**63 - 1, "")]


def test_sixty_four_messages_of_known_names_take_three_statements(connection: sqlite3.Connection) -> None:
    appender, seen = Appender(connection), list[str]()
    appender.insert(rows(1, 10))
    connection.set_trace_callback(seen.append)
    appender.insert(rows(100, 64))
    assert len(seen) <= 3
    assert histories(connection) == expected(rows(1, 10) + rows(100, 64))


def test_new_names_cost_no_statement_each(connection: sqlite3.Connection) -> None:
    appender, seen = Appender(connection), list[str]()
    connection.set_trace_callback(seen.append)
    appender.insert(rows(1, 64, owners=64))
    assert len(seen) <= 6
    assert histories(connection) == expected(rows(1, 64, owners=64))


def test_a_name_keeps_its_number_however_little_is_remembered(connection: sqlite3.Connection) -> None:
    appender = Appender(connection, max_names=3)
    messages = rows(1, 200, owners=20)
    for n in range(0, 200, 5):
        appender.insert(messages[n : n + 5])
        assert len(appender._numbers) <= 3 + 6  # a batch's own names are needed all at once
    assert connection.execute("SELECT count(*) FROM jid").fetchone() == (20,)
    assert histories(connection) == expected(messages)


def test_numbers_given_in_a_transaction_that_is_undone_are_forgotten(connection: sqlite3.Connection) -> None:
    appender = Appender(connection)
    connection.execute("BEGIN")
    appender.insert(rows(1, 5))
    connection.execute("ROLLBACK")
    appender.forget()
    connection.execute("INSERT INTO jid (name) VALUES ('somebody else')")
    appender.insert(rows(1, 5))
    assert histories(connection) == expected(rows(1, 5))


def test_the_same_id_again_is_an_integrity_error(connection: sqlite3.Connection) -> None:
    appender = Appender(connection)
    appender.insert(rows(1, 5))
    with pytest.raises(sqlite3.IntegrityError):
        appender.insert(rows(5, 1))
