"""How maps are written and read."""

from storage.cassandra.backend import CassandraBackend
from storage.cassandra.map import PAGE
from tests.storage.cassandra.marks import ON_CASSANDRA

pytestmark = ON_CASSANDRA


async def test_an_update_far_beyond_a_batch_is_written_at_once(cassandra_backend: CassandraBackend) -> None:
    put = {f"{n:05}": b"x" * 3000 for n in range(PAGE * 2 + 1)}
    await cassandra_backend.map("roster").update("a", put)
    assert await cassandra_backend.map("roster").items("a") == put
    assert [owner async for owner in cassandra_backend.owners()] == ["a"]


async def test_an_update_and_a_clear_keep_their_order(cassandra_backend: CassandraBackend) -> None:
    store = cassandra_backend.map("roster")
    for _ in range(20):
        store.update("a", {"old": b"1"})
        store.clear("a")
        store.update("a", {"new": b"2"})
    await cassandra_backend.flush()
    assert await store.items("a") == {"new": b"2"}
