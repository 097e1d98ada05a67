"""Work queues in a real cluster: many claimers, late writers, other processes, what is read again."""

import asyncio

from cassandra.cluster import Session
from hypothesis import given
from hypothesis import strategies as st

from storage.cassandra import work_slots
from storage.cassandra.backend import CassandraBackend
from storage.cassandra.work import CassandraWorkQueue, Place, place_of
from storage.cassandra.work_slots import LATE_US, NEVER, slot_of
from storage.interface import Job
from tests.storage.cassandra.marks import ON_CASSANDRA
from tests.storage.conftest import opened
from tests.storage.tools import cassandra_settings, make_tables
from tests.support.cassandra import Cassandra

pytestmark = ON_CASSANDRA
LEASE = 60_000_000
WHOLE = st.integers(0, 2**63 - 1)


@given(WHOLE, WHOLE, WHOLE)
def test_an_id_stands_for_a_place(slot: int, number: int, node: int) -> None:
    assert place_of(Place(slot, number, node).id) == (slot, number, node)


async def claim(backend: CassandraBackend, limit: int = 10, at_us: int | None = None) -> list[Job]:
    now_us = backend._driver.clock.next_us() if at_us is None else at_us
    return await backend.work.claim("push", now_us, limit, LEASE)


async def test_two_gateways_never_get_the_same_job(cassandra: Cassandra, keyspace: str) -> None:
    where = await make_tables(cassandra_settings(cassandra, keyspace))
    async with opened(CassandraBackend(where)) as one, opened(CassandraBackend(where)) as other:
        for n in range(60):
            (one if n % 2 else other).work.put("push", b"%d" % n)
        await asyncio.gather(one.flush(), other.flush())
        got: list[int] = []
        while len(got) < 60:
            found = await asyncio.gather(*(claim(backend, 7) for backend in (one, other, one, other)))
            got += [int(job.payload) for jobs in found for job in jobs]
        assert sorted(got) == list(range(60))


async def test_what_one_gateway_put_and_claimed_another_finishes_and_retries(
    cassandra: Cassandra, keyspace: str
) -> None:
    where = await make_tables(cassandra_settings(cassandra, keyspace))
    async with opened(CassandraBackend(where)) as one, opened(CassandraBackend(where)) as other:
        for n in range(3):
            await one.work.put("push", b"%d" % n)
        jobs = await claim(one)
        await other.work.finish("push", [jobs[0].id])
        await other.work.retry("push", jobs[1].id, 0)
        assert await other.work.depth("push") == await one.work.depth("push") == 2
        (again,) = await claim(other)
        assert (again.payload, again.attempts) == (b"1", 2)


async def test_a_finished_job_does_not_come_back_whatever_the_clock_of_a_node_shows(
    cassandra_backend: CassandraBackend, administrator: Session, keyspace: str
) -> None:
    await cassandra_backend.work.put("push", b"x")
    (job,) = await claim(cassandra_backend)
    slot, number, node = place_of(job.id)
    await cassandra_backend.work.finish("push", [job.id])
    late = f"""UPDATE {keyspace}.work_job USING TIMESTAMP {cassandra_backend._driver.clock.next_us() + 60_000_000}
        SET attempts = 5, until_us = 1 WHERE queue = 'push' AND slot = %s AND number = %s AND node = %s"""
    administrator.execute(late, (slot, number, node))
    assert await cassandra_backend.work.depth("push") == 0


async def test_a_job_due_later_waits_in_the_slot_of_its_time(cassandra_backend: CassandraBackend) -> None:
    now_us = cassandra_backend._driver.clock.next_us()
    due_us = now_us + 10 * 86_400_000_000
    await cassandra_backend.work.put("push", b"later", due_at_us=due_us)
    assert await claim(cassandra_backend) == []
    assert await cassandra_backend.work.depth("push") == 1
    (job,) = await claim(cassandra_backend, at_us=due_us)
    assert job.payload == b"later" and place_of(job.id).slot == slot_of(due_us)


async def test_slots_that_are_done_are_not_read_again_and_the_floor_outlives_the_process(
    cassandra: Cassandra, keyspace: str
) -> None:
    where = await make_tables(cassandra_settings(cassandra, keyspace))
    async with opened(CassandraBackend(where)) as backend:
        work: CassandraWorkQueue = backend.work
        await work.put("push", b"x")
        (job,) = await claim(backend)
        await work.finish("push", [job.id])
        slot, known = place_of(job.id).slot, work._slots.of("push")
        later_us = backend._driver.clock.next_us() + 3 * LATE_US
        assert await work._slots.awake("push", later_us, slot_of(later_us)) == [slot]
        await work._read("push", slot, later_us, later_us)
        assert known.rests[slot] == NEVER
        assert await work._slots.awake("push", later_us, slot_of(later_us)) == []
        much_later_us = later_us + (1 << work_slots.SLOT_BITS + work_slots.DAY_BITS + 1)
        assert await work._slots.awake("push", much_later_us, slot_of(much_later_us)) == []
        floor = known.floor
        assert floor > slot
    async with opened(CassandraBackend(where)) as backend:
        work = backend.work
        await work._slots.awake("push", much_later_us, slot_of(much_later_us))
        assert work._slots.of("push").floor >= floor


async def test_what_took_long_to_reach_the_cluster_is_put_where_claimers_still_look(
    cassandra_backend: CassandraBackend,
) -> None:
    work: CassandraWorkQueue = cassandra_backend.work
    clock = cassandra_backend._driver.clock
    commit = work.put("push", b"x")
    clock.set(clock.next_us() + LATE_US)  # as if the cluster had been away so long
    await commit
    jobs = await claim(cassandra_backend)
    assert {job.payload for job in jobs} == {b"x"}
    assert max(place_of(job.id).slot for job in jobs) == slot_of(clock.next_us())
    assert len(jobs) == 2


async def test_many_jobs_of_one_key_leave_the_last(cassandra_backend: CassandraBackend) -> None:
    for n in range(50):
        cassandra_backend.work.put("push", b"%d" % n, key="phone")
    await cassandra_backend.flush()
    assert await cassandra_backend.work.depth("push") == 1
    assert [job.payload for job in await claim(cassandra_backend)] == [b"49"]
    await cassandra_backend.flush()
    assert await cassandra_backend.work.depth("push") == 1
