"""Forgetting messages; see also `test_archive`."""

from storage.cassandra.archive_removal import SLICE_SHARDS, shard_of
from storage.cassandra.backend import CassandraBackend
from storage.cassandra.buckets import LEVEL_BITS
from storage.interface import ArchiveCopy
from tests.storage.cassandra.marks import ON_CASSANDRA
from tests.storage.tools import JULIET, ROMEO, both

pytestmark = ON_CASSANDRA
BEGIN = 814 << LEVEL_BITS[0]


def test_owners_spread_over_the_shards() -> None:
    assert {shard_of(f"user{n}@example.org") for n in range(500)} == set(range(SLICE_SHARDS))


async def test_what_is_written_after_the_call_stays_though_its_id_is_small(cassandra_backend: CassandraBackend) -> None:
    archive = cassandra_backend.archive
    for n in (1, 2, 9):
        archive.append(BEGIN + n, b"old", both(ROMEO, JULIET))
    await cassandra_backend.flush()
    pruned = archive.prune(BEGIN + 5)
    await archive.append(BEGIN + 3, b"new", both(ROMEO, JULIET))
    await pruned
    assert await archive.bounds(ROMEO) == (BEGIN + 3, BEGIN + 9)


async def test_erasing_takes_the_conversations_with_everybody(cassandra_backend: CassandraBackend) -> None:
    archive = cassandra_backend.archive
    for n in range(60):
        archive.append(BEGIN + n, b"x", [ArchiveCopy(ROMEO, f"peer{n}@example.org"), ArchiveCopy(JULIET, ROMEO)])
    await cassandra_backend.flush()
    archive.forget(ROMEO)
    await archive.remove(ROMEO, cassandra_backend._driver.clock.next_us())
    removal = archive._removal
    for n in range(60):
        params = (ROMEO, f"peer{n}@example.org", 0, 2**63 - 1)
        assert await cassandra_backend._driver.rows(removal._places, params) == []
    assert await archive.bounds(ROMEO) is None
    assert await archive.bounds(JULIET) == (BEGIN, BEGIN + 59)


async def test_a_prune_of_nothing_and_of_everything(cassandra_backend: CassandraBackend) -> None:
    archive = cassandra_backend.archive
    await archive.prune(2**70)
    await archive.append(BEGIN, b"x", both(ROMEO, JULIET))
    await archive.prune(-5)
    assert await archive.bounds(ROMEO) == (BEGIN, BEGIN)
    await archive.prune(2**70)
    assert await archive.bounds(ROMEO) is None
