"""The work queue, in every backend."""

import asyncio

from storage.interface import Backend, Job

LEASE = 1_000


async def claim(backend: Backend, now: int, limit: int = 10) -> list[Job]:
    return await backend.work.claim("push", now, limit, LEASE)


async def test_a_job_is_claimed_once_and_gone_when_finished(backend: Backend) -> None:
    await backend.work.put("push", b"\x00payload")
    (job,) = await claim(backend, 0)
    assert (job.payload, job.attempts) == (b"\x00payload", 1)
    assert await claim(backend, 0) == []
    assert await backend.work.depth("push") == 1
    await backend.work.finish("push", [job.id])
    assert await backend.work.depth("push") == 0
    assert await claim(backend, LEASE * 10) == []


async def test_a_job_whose_lease_has_ended_is_due_again(backend: Backend) -> None:
    await backend.work.put("push", b"x")
    (first,) = await claim(backend, 0)
    assert await claim(backend, LEASE - 1) == []
    (again,) = await claim(backend, LEASE)
    assert (again.id, again.attempts) == (first.id, 2)


async def test_jobs_come_in_order_of_their_time_and_not_before_it(backend: Backend) -> None:
    for due in (30, 10, 20, 10):
        await backend.work.put("push", b"%d" % due, due_at_us=due)
    assert await claim(backend, 9) == []
    first = await claim(backend, 25, limit=2)
    assert [job.payload for job in first] == [b"10", b"10"]
    assert first[0].id < first[1].id
    assert [job.payload for job in await claim(backend, 25)] == [b"20"]
    assert [job.payload for job in await claim(backend, 30)] == [b"30"]


async def test_a_job_given_back_waits_until_its_time(backend: Backend) -> None:
    await backend.work.put("push", b"x")
    (job,) = await claim(backend, 0)
    await backend.work.retry("push", job.id, 500)
    assert await claim(backend, 499) == []
    assert [again.attempts for again in await claim(backend, 500)] == [2]


async def test_a_job_with_a_key_replaces_the_waiting_one(backend: Backend) -> None:
    await backend.work.put("push", b"old", key="romeo")
    await backend.work.put("push", b"other", key="juliet")
    await backend.work.put("push", b"new", key="romeo")
    assert await backend.work.depth("push") == 2
    assert sorted(job.payload for job in await claim(backend, 0)) == [b"new", b"other"]


async def test_jobs_without_a_key_never_replace_each_other(backend: Backend) -> None:
    await backend.work.put("push", b"1")
    await backend.work.put("push", b"1")
    assert await backend.work.depth("push") == 2


async def test_a_claimed_job_is_not_replaced(backend: Backend) -> None:
    await backend.work.put("push", b"old", key="romeo")
    await claim(backend, 0)
    await backend.work.put("push", b"new", key="romeo")
    assert await backend.work.depth("push") == 2
    assert [job.payload for job in await claim(backend, 0)] == [b"new"]


async def test_a_job_given_back_yields_to_a_newer_one_of_its_key(backend: Backend) -> None:
    await backend.work.put("push", b"old", key="romeo")
    (old,) = await claim(backend, 0)
    await backend.work.put("push", b"new", key="romeo")
    await backend.work.retry("push", old.id, 0)
    assert await backend.work.depth("push") == 1
    assert [job.payload for job in await claim(backend, 0)] == [b"new"]


async def test_giving_back_what_is_finished_or_waiting_does_nothing(backend: Backend) -> None:
    await backend.work.put("push", b"1", due_at_us=5)
    await backend.work.retry("push", 1, 100)
    await backend.work.retry("push", 999, 0)
    assert [job.payload for job in await claim(backend, 5)] == [b"1"]


async def test_queues_are_apart(backend: Backend) -> None:
    await backend.work.put("push", b"x")
    (job,) = await claim(backend, 0)
    await backend.work.finish("mail", [job.id])
    assert await backend.work.depth("push") == 1
    assert await backend.work.depth("mail") == 0
    assert await backend.work.claim("mail", 0, 10, LEASE) == []


async def test_an_id_is_never_given_twice(backend: Backend) -> None:
    seen = set()
    for _ in range(3):
        await backend.work.put("push", b"x")
        (job,) = await claim(backend, 0)
        assert job.id not in seen
        seen.add(job.id)
        await backend.work.finish("push", [job.id])


async def test_claims_at_the_same_time_get_different_jobs(backend: Backend) -> None:
    for n in range(40):
        backend.work.put("push", b"%d" % n)
    await backend.flush()
    claims = await asyncio.gather(*(claim(backend, 0, limit=10) for _ in range(5)))
    payloads = [int(job.payload) for jobs in claims for job in jobs]
    assert sorted(payloads) == list(range(40))
