"""How values are written."""

import pytest

from storage.cassandra.backend import CassandraBackend
from storage.interface import StorageError
from tests.storage.cassandra.marks import ON_CASSANDRA

pytestmark = ON_CASSANDRA


async def test_owners_that_cannot_be_written_fail_alone(cassandra_backend: CassandraBackend) -> None:
    store = cassandra_backend.keyval("a")
    before, bad, after = store.set("a", b"1"), store.set("\ud800", b"1"), store.set("b", b"1")
    empty, large = store.set("", b"1"), store.set("x" * 70_000, b"1")
    await before
    for commit in (bad, empty, large):
        with pytest.raises(StorageError):
            await commit
    await after
    assert await store.get("a") == await store.get("b") == b"1"


async def test_a_value_of_a_megabyte_is_kept_and_one_too_large_is_refused(cassandra_backend: CassandraBackend) -> None:
    store = cassandra_backend.keyval("a")
    await store.set("a", b"x" * 1_000_000)
    assert await store.get("a") == b"x" * 1_000_000
    with pytest.raises(StorageError):
        await store.set("b", b"x" * 20_000_000)
    await store.set("b", b"small")
    assert await store.get("b") == b"small"
