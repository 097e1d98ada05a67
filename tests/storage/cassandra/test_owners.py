"""The index of owners."""

import pytest
from cassandra.cluster import Session

from storage.cassandra.backend import CassandraBackend
from storage.cassandra.owners import KNOWN_S, SHARDS, Owners, shard_of
from storage.interface import Commit, StorageError
from tests.storage.cassandra.fake import FakeDriver
from tests.storage.cassandra.marks import ON_CASSANDRA
from tests.storage.conftest import opened


class Time:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def index(known: int = 100) -> tuple[Owners, Time]:
    time = Time()
    return Owners(FakeDriver(), time, known), time


def done(owners: Owners, owner: str, part: str = "keyval") -> Commit:
    commit = Commit()
    owners.written(owner, part, commit)
    commit.finish()
    return commit


async def test_a_row_is_written_until_one_of_them_is_committed():
    owners, _ = index()
    assert owners.missing("a", "keyval")
    failed = owners.written("a", "keyval", Commit())
    failed.finish(StorageError("no"))
    assert owners.missing("a", "keyval")
    done(owners, "a")
    assert not owners.missing("a", "keyval")
    assert owners.missing("a", "map:x") and owners.missing("b", "keyval")


async def test_a_row_is_written_again_after_an_hour_and_after_an_erasure():
    owners, time = index()
    done(owners, "a")
    time.now_s = KNOWN_S
    assert owners.missing("a", "keyval")
    done(owners, "a")
    owners.forget("a")
    assert owners.missing("a", "keyval")


async def test_a_commit_from_before_an_erasure_is_not_taken_for_one_after_it():
    owners, _ = index()
    commit = owners.written("a", "keyval", Commit())
    owners.forget("a")
    commit.finish()
    assert owners.missing("a", "keyval")


async def test_no_more_owners_are_remembered_than_allowed():
    owners, _ = index(known=3)
    for n in range(5):
        done(owners, str(n))
    assert [bool(owners.missing(str(n), "keyval")) for n in range(5)] == [True, True, False, False, False]


def test_shards_are_used_evenly():
    counts = [0] * SHARDS
    for n in range(6400):
        counts[shard_of(f"user{n}@example.org")] += 1
    assert min(counts) > 50 and max(counts) < 170


@pytest.mark.system
@pytest.mark.timeout(300)
class TestOnCassandra:
    """With a node."""

    pytestmark = ON_CASSANDRA

    async def test_many_writes_of_one_owner_make_few_rows(
        self, cassandra_backend: CassandraBackend, administrator: Session
    ) -> None:
        for n in range(20):
            await cassandra_backend.keyval("a").set("x", b"%d" % n)
            await cassandra_backend.map(f"m{n % 2}").update("x", {"k": b""})
        rows = administrator.execute(f"SELECT owner, part FROM {cassandra_backend.settings.keyspace}.owner").all()
        assert sorted(rows) == [("x", "keyval"), ("x", "map:m0"), ("x", "map:m1")]

    async def test_an_owner_that_another_gateway_erased_is_found_again(
        self, cassandra_backend: CassandraBackend
    ) -> None:
        await cassandra_backend.keyval("a").set("x", b"1")
        async with opened(CassandraBackend(cassandra_backend.settings)) as other:
            await other.erase("x")
            assert await cassandra_backend.keyval("a").get("x") is None
            cassandra_backend._owners._now_s = lambda: 1e12
            await cassandra_backend.keyval("a").set("x", b"2")
            assert [owner async for owner in other.owners()] == ["x"]
