"""A cluster that is slow, away, killed: nothing is acknowledged that is not there, memory is bounded, all recovers by itself."""

import asyncio
from collections.abc import Iterator

import pytest
from cassandra.cluster import Session

from storage.cassandra.backend import CassandraBackend
from storage.interface import Commit, StorageClosed, StorageError, StorageFull
from tests.storage.cassandra.marks import ON_CASSANDRA
from tests.storage.conftest import opened
from tests.storage.tools import account, cassandra_settings, make_tables
from tests.support.cassandra import Cassandra

pytestmark = ON_CASSANDRA
BOUND = 2_000_000


@pytest.fixture
def frozen(cassandra: Cassandra, keyspace: str) -> Iterator[Cassandra]:
    """The node, which the test may freeze or kill; it goes on behind it, before the keyspace is dropped."""
    try:
        yield cassandra
    finally:
        if not cassandra.is_running():
            cassandra.start()
        cassandra.resume()


async def backend_of(node: Cassandra, keyspace: str, patience_s: float = 1.5) -> CassandraBackend:
    """A backend that loses its patience soon."""
    settings = cassandra_settings(
        node, keyspace, timeout_s=1.0, patience_s=patience_s, max_waiting_bytes=BOUND, max_in_flight=8
    )
    return CassandraBackend(await make_tables(settings), close_patience_s=5.0)


def fill(backend: CassandraBackend, held: dict[str, Commit], size: int) -> None:
    """Call writes until they are refused."""
    store = backend.keyval("fill")
    with pytest.raises(StorageFull):
        for _ in range(100_000):
            held[f"owner{len(held)}"] = store.set(f"owner{len(held)}", b"x" * size)


async def test_a_frozen_cluster_takes_nothing_bounds_memory_and_recovers_by_itself(
    frozen: Cassandra, keyspace: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(await backend_of(frozen, keyspace)) as backend:
        await backend.keyval("fill").set("before", b"1")
        frozen.pause()
        held: dict[str, Commit] = {}
        fill(backend, held, 2000)
        assert backend.is_full and BOUND < backend._writer.waiting_bytes < BOUND * 1.01
        assert 500 < len(held) < 1000
        with pytest.raises(StorageError, match="does not answer"):
            await backend.keyval("fill").get("before")
        await backend.flush()  # does not wait for what cannot be
        assert backend.is_away and not any(commit.done for commit in held.values())
        assert "does not answer: 2.0 MB of writes wait" in backend.trouble
        frozen.resume()
        for commit in held.values():
            await commit
        assert not backend.is_full and not backend.is_away and backend._writer.waiting_bytes == 0
        assert backend.trouble is None
        said = [record.getMessage() for record in caplog.records if record.name == "xmppd.storage"]
        assert [line.partition("takes ")[2] for line in said] == [
            "no writes: they wait, and nothing is acknowledged",
            "writes again",
        ]
        for owner in held:
            assert await backend.keyval("fill").get(owner) == b"x" * 2000


async def test_a_killed_cluster_loses_nothing_that_was_acknowledged_and_gets_the_rest_when_it_is_back(
    frozen: Cassandra, keyspace: str
) -> None:
    async with opened(await backend_of(frozen, keyspace, patience_s=20.0)) as backend:
        store = backend.keyval("fill")
        commits = {f"a{n}": store.set(f"a{n}", b"%d" % n) for n in range(300)}
        await commits["a0"]
        await asyncio.to_thread(frozen.kill9)
        acknowledged = {owner for owner, commit in commits.items() if commit.done and commit.error is None}
        commits |= {f"b{n}": store.set(f"b{n}", b"%d" % n) for n in range(300)}
        created = backend.accounts.create(account("late@example.org"))
        frozen.spawn()
        await asyncio.to_thread(frozen.wait_ready, 180.0)
        assert not any(commit.done for owner, commit in commits.items() if owner[0] == "b")
        for owner in acknowledged:
            assert await store.get(owner) == owner[1:].encode()
        for commit in (*commits.values(), created):
            await commit
        for owner in commits:
            assert await store.get(owner) == owner[1:].encode()
        assert await backend.accounts.list("example.org") == ["late@example.org"]


async def test_what_waited_does_not_go_over_what_another_gateway_wrote_later(
    frozen: Cassandra, keyspace: str, administrator: Session
) -> None:
    async with opened(await backend_of(frozen, keyspace)) as backend:
        store = backend.keyval("a")
        await store.set("x", b"first")
        frozen.pause()
        waiting = store.set("x", b"waited")
        later = backend._driver.clock.next_us()
        frozen.resume()
        administrator.execute(
            f"INSERT INTO {keyspace}.keyval (owner, store, value) VALUES ('x', 'a', 0x6c) USING TIMESTAMP {later}"
        )
        await waiting
        assert await store.get("x") == b"l"


async def test_a_backend_closed_while_the_cluster_is_away_says_what_was_not_written(
    frozen: Cassandra, keyspace: str
) -> None:
    backend = await backend_of(frozen, keyspace)
    backend._close_patience_s = 0.2
    await backend.open()
    frozen.pause()
    commit = backend.keyval("a").set("x", b"1")
    await backend.close()
    with pytest.raises(StorageClosed):
        await commit


async def test_an_erasure_that_was_cut_short_can_be_repeated(cassandra_backend: CassandraBackend) -> None:
    backend = cassandra_backend
    await backend.keyval("a").set("x", b"1")
    await backend.map("m").update("x", {"k": b"1"})
    remove, backend._accounts.remove = backend._accounts.remove, fail
    with pytest.raises(StorageError, match="cut short"):
        await backend.erase("x")
    assert [owner async for owner in backend.owners()] == ["x"]
    backend._accounts.remove = remove
    await backend.erase("x")
    assert [owner async for owner in backend.owners()] == []


async def fail(jid: str) -> None:
    raise StorageError("cut short")


async def test_what_two_gateways_write_is_one_and_the_same(cassandra_backend: CassandraBackend) -> None:
    async with opened(CassandraBackend(cassandra_backend.settings)) as other:
        for n in range(50):
            await (cassandra_backend, other)[n % 2].keyval("a").set("x", b"%d" % n)
            assert await (other, cassandra_backend)[n % 2].keyval("a").get("x") == b"%d" % n
