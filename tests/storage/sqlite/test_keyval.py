"""How values are written."""

import pytest

from storage.interface import StorageError
from storage.sqlite.backend import SqliteBackend
from tests.storage.tools import writer_connection


async def test_a_hundred_values_take_two_statements(sqlite: SqliteBackend) -> None:
    seen: list[str] = []
    writer_connection(sqlite).set_trace_callback(seen.append)
    commits = {sqlite.keyval(f"store{n % 3}").set(f"user{n}@example.org", b"%d" % n) for n in range(100)}
    assert len(commits) == 1
    await commits.pop()
    assert len([text for text in seen if text.startswith("INSERT")]) == 2
    for n in range(100):
        assert await sqlite.keyval(f"store{n % 3}").get(f"user{n}@example.org") == b"%d" % n


async def test_an_owner_that_cannot_be_written_fails_alone(sqlite: SqliteBackend) -> None:
    store = sqlite.keyval("a")
    before, bad, after = store.set("a", b"1"), store.set("\ud800", b"1"), store.set("b", b"1")
    await before
    with pytest.raises(StorageError):
        await bad
    await after
    assert await store.get("a") == await store.get("b") == b"1"
