"""Histories in a real cluster: busy owners, large rows, retries, clocks that differ, ends of time."""

import asyncio
from collections import Counter

import pytest
from cassandra.cluster import Session
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.cassandra.archive import CassandraArchiveStore
from storage.cassandra.backend import CassandraBackend
from storage.cassandra.buckets import LEVEL_BITS, bucket_of
from storage.interface import ArchiveCopy, ArchiveQuery
from tests.storage.cassandra.marks import ON_CASSANDRA
from tests.storage.conftest import opened
from tests.storage.contract.test_archive_model import OWNERS, Model, compare, play, queries, steps
from tests.storage.tools import JULIET, NURSE, ROMEO, both, cassandra_settings, ids, make_tables
from tests.support.cassandra import Cassandra

pytestmark = ON_CASSANDRA
SECOND = 1_000_000 << 10
BEGIN = 814 << LEVEL_BITS[0]


def limit_buckets(backend: CassandraBackend, max_rows: int) -> None:
    """Let buckets count as full with so many rows."""
    archive: CassandraArchiveStore = backend.archive
    for fills in (archive._fills, archive._conversation_fills):
        fills._max_rows = max_rows


def test_whatever_happens_every_query_gives_what_a_list_gives(cassandra: Cassandra, keyspace: str) -> None:
    """With buckets of two rows, so that all levels overlap; ids come again in each round, so most appends look first."""
    loop = asyncio.new_event_loop()
    where = loop.run_until_complete(make_tables(cassandra_settings(cassandra, keyspace)))
    backend = CassandraBackend(where, commit_window_ms=0)

    async def play_round(script: list[object], asked: list[tuple[str, object]]) -> None:
        model = Model()
        await play(backend, model, script)
        for owner, query in asked:
            await compare(backend, model, owner, query)
        for owner in OWNERS:
            await backend.erase(owner)

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(steps, max_size=30), st.lists(st.tuples(st.sampled_from(OWNERS), queries), min_size=3, max_size=8))
    def rounds(script: list[object], asked: list[tuple[str, object]]) -> None:
        loop.run_until_complete(play_round(script, asked))

    loop.run_until_complete(backend.open())
    try:
        limit_buckets(backend, 2)
        rounds()
    finally:
        loop.run_until_complete(backend.close())
        loop.close()


async def test_a_busy_owner_gets_more_partitions_and_none_is_larger_than_allowed(
    cassandra_backend: CassandraBackend, administrator: Session, keyspace: str
) -> None:
    limit_buckets(cassandra_backend, 100)
    for n in range(2_000):
        copy = ArchiveCopy(ROMEO, JULIET if n % 40 else NURSE)
        cassandra_backend.archive.append(BEGIN + n * 7 * SECOND, b"%d" % n, [copy])
    await cassandra_backend.flush()
    sizes = Counter(row.bucket for row in administrator.execute(f"SELECT bucket FROM {keyspace}.history"))
    assert max(sizes.values()) <= 100 and len(sizes) > 15
    page = await cassandra_backend.archive.query(ROMEO, ArchiveQuery(limit=2_000, want_total=True))
    assert [int(message.stanza) for message in page.messages] == list(range(2_000))
    assert page.total == 2_000 and page.is_last
    page = await cassandra_backend.archive.query(
        ROMEO, ArchiveQuery(peer=NURSE, limit=3, newest_first=True, want_total=True)
    )
    assert [int(message.stanza) for message in page.messages] == [1880, 1920, 1960]
    assert page.total == 50 and not page.is_last


async def test_pages_by_date_begin_where_they_should(cassandra_backend: CassandraBackend) -> None:
    limit_buckets(cassandra_backend, 5)
    moments = [BEGIN + n * 10 * 86_400 * SECOND for n in range(30)]
    for moment in moments:
        cassandra_backend.archive.append(moment, b"x", both(ROMEO, JULIET))
    await cassandra_backend.flush()
    query = ArchiveQuery(start_id=moments[10], end_id=moments[20] - 1, limit=4, want_total=True)
    page = await cassandra_backend.archive.query(ROMEO, query)
    assert ids(page.messages) == moments[10:14] and page.total == 10 and not page.is_last
    query = ArchiveQuery(start_id=moments[10], end_id=moments[20] - 1, limit=4, newest_first=True)
    assert ids((await cassandra_backend.archive.query(JULIET, query)).messages) == moments[16:20]


async def test_rows_of_a_megabyte_come_back_whole(cassandra_backend: CassandraBackend) -> None:
    for n in range(1, 4):
        await cassandra_backend.archive.append(n, bytes([n]) * 1_000_000, both(ROMEO, JULIET))
    for owner in (ROMEO, JULIET):
        page = await cassandra_backend.archive.query(owner, ArchiveQuery())
        assert [message.stanza for message in page.messages] == [bytes([n]) * 1_000_000 for n in range(1, 4)]


async def test_a_message_of_many_large_copies_is_committed_when_all_are(cassandra_backend: CassandraBackend) -> None:
    owners = [f"occupant{n}@example.org" for n in range(60)]
    copies = [ArchiveCopy(owner, "room@example.org") for owner in owners]
    await cassandra_backend.archive.append(1, b"x" * 5_000, copies)
    for owner in owners:
        assert await cassandra_backend.archive.has(owner, 1)


async def test_a_retry_of_the_same_write_changes_nothing(cassandra_backend: CassandraBackend) -> None:
    archive: CassandraArchiveStore = cassandra_backend.archive
    at_us = cassandra_backend._driver.clock.next_us()
    await archive._append(5, b"said", both(ROMEO, JULIET), at_us)
    await archive.replace_stanza(5, b"tombstone")
    await archive._append(5, b"said", both(ROMEO, JULIET), at_us)  # as the writer sends it again
    page = await archive.query(ROMEO, ArchiveQuery())
    assert [(message.id, message.stanza) for message in page.messages] == [(5, b"tombstone")]


async def test_what_replaces_a_message_wins_over_a_writer_whose_clock_was_ahead(
    cassandra_backend: CassandraBackend,
) -> None:
    archive: CassandraArchiveStore = cassandra_backend.archive
    ahead_us = cassandra_backend._driver.clock.next_us() + 3_600_000_000
    await archive._append(5, b"said", both(ROMEO, JULIET), ahead_us)
    await archive.replace_stanza(5, b"tombstone")
    page = await archive.query(JULIET, ArchiveQuery())
    assert [message.stanza for message in page.messages] == [b"tombstone"]


async def test_what_is_replaced_after_it_was_forgotten_stays_forgotten(
    cassandra_backend: CassandraBackend, administrator: Session, keyspace: str
) -> None:
    await cassandra_backend.archive.append(5, b"said", [ArchiveCopy(ROMEO, JULIET, pending=True, mark=3)])
    administrator.execute(
        f"DELETE peer, resource FROM {keyspace}.history WHERE owner = %s AND bucket = 0 AND id = 5", (ROMEO,)
    )
    assert await cassandra_backend.archive.bounds(ROMEO) is None
    assert (await cassandra_backend.archive.query(ROMEO, ArchiveQuery(want_total=True))).total == 0
    assert await cassandra_backend.archive.pending(ROMEO, 0, 5) == []
    assert await cassandra_backend.archive.recent_marks(ROMEO, 0, 5) == {}


async def test_two_gateways_write_one_history(cassandra: Cassandra, keyspace: str) -> None:
    where = await make_tables(cassandra_settings(cassandra, keyspace))
    async with opened(CassandraBackend(where)) as one, opened(CassandraBackend(where)) as other:
        limit_buckets(one, 3)
        for n in range(1, 21):
            (one if n % 2 else other).archive.append(BEGIN + n, b"x", both(ROMEO, JULIET))
        await asyncio.gather(one.flush(), other.flush())
        for backend in (one, other):
            page = await backend.archive.query(ROMEO, ArchiveQuery(limit=50))
            assert ids(page.messages) == [BEGIN + n for n in range(1, 21)]


async def test_an_erased_owner_who_comes_back_is_found_again(cassandra_backend: CassandraBackend) -> None:
    archive = cassandra_backend.archive
    for id_ in (BEGIN, BEGIN + 1):
        await archive.append(id_, b"x", both(ROMEO, JULIET))
        await cassandra_backend.erase(ROMEO)
        assert await archive.bounds(ROMEO) is None
    await archive.append(BEGIN + 2, b"x", both(ROMEO, JULIET))
    assert await archive.bounds(ROMEO) == (BEGIN + 2, BEGIN + 2)
    assert ids((await archive.query(ROMEO, ArchiveQuery(peer=JULIET))).messages) == [BEGIN + 2]


async def test_no_trace_of_an_erased_owner_is_left_in_any_table(
    cassandra_backend: CassandraBackend, administrator: Session, keyspace: str
) -> None:
    limit_buckets(cassandra_backend, 2)
    for n in range(1, 12):
        cassandra_backend.archive.append(BEGIN + n, b"x", [ArchiveCopy(ROMEO, f"peer{n % 3}@example.org")])
    await cassandra_backend.erase(ROMEO)
    for table in ("history", "history_bucket", "conversation", "conversation_bucket", "history_slice_owner", "owner"):
        assert list(administrator.execute(f"SELECT * FROM {keyspace}.{table}")) == [], table


async def test_pruning_takes_whole_buckets_and_the_older_end_of_one(
    cassandra_backend: CassandraBackend, administrator: Session, keyspace: str
) -> None:
    archive, day = cassandra_backend.archive, 86_400 * SECOND
    for n in range(100):
        archive.append(BEGIN + n * day, b"%d" % n, both(ROMEO, JULIET))
    await archive.prune(BEGIN + 60 * day)
    for owner in (ROMEO, JULIET):
        assert await archive.bounds(owner) == (BEGIN + 60 * day, BEGIN + 99 * day)
    page = await archive.query(ROMEO, ArchiveQuery(peer=JULIET, limit=100, want_total=True))
    assert [int(message.stanza) for message in page.messages] == list(range(60, 100)) and page.total == 40
    first = bucket_of(BEGIN + 60 * day, 0)
    for table in ("history_bucket", "conversation_bucket"):
        rows = administrator.execute(f"SELECT bucket FROM {keyspace}.{table}")
        assert min(row.bucket for row in rows) == first, table
    assert min(row.slice for row in administrator.execute(f"SELECT slice FROM {keyspace}.history_slice")) == first


async def test_messages_go_by_themselves_when_they_are_told_how_long_to_stay(
    cassandra_backend: CassandraBackend, administrator: Session, keyspace: str
) -> None:
    archive: CassandraArchiveStore = cassandra_backend.archive
    archive._ttl_s = 86_400
    now = cassandra_backend._driver.clock.next_us() << 10
    await archive.append(now - 3_600 * SECOND, b"x", [ArchiveCopy(ROMEO, JULIET)])
    await archive.replace_stanza(now - 3_600 * SECOND, b"tombstone")
    row = administrator.execute(f"SELECT ttl(stanza) AS stanza, ttl(peer) AS peer FROM {keyspace}.history").one()
    assert 82_000 < row.stanza <= 82_800 and 82_000 < row.peer <= 82_800


@pytest.mark.parametrize("count", [300])
async def test_what_waits_for_somebody_absent_is_read_once_and_removed_never(
    cassandra_backend: CassandraBackend, count: int
) -> None:
    """The queue of an absent account is a cursor: what was delivered stays where it is, and no mark of a removal is read."""
    archive = cassandra_backend.archive
    limit_buckets(cassandra_backend, 50)
    for n in range(count):
        archive.append(BEGIN + n, b"%d" % n, [ArchiveCopy(ROMEO, JULIET, pending=n % 3 > 0)])
    await cassandra_backend.flush()
    seen, cursor = [], 0
    while page := await archive.pending(ROMEO, cursor, 40):
        seen += [int(message.stanza) for message in page]
        cursor = page[-1].id
    assert seen == [n for n in range(count) if n % 3 > 0]
