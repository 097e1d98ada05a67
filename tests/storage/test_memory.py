"""The memory backend's means for tests; what it does as a backend is in `contract`."""

import asyncio

import pytest

from storage.interface import AlreadyExists, StorageClosed, StorageError, StorageFull
from storage.memory import MemoryBackend
from tests.storage.tools import JULIET, ROMEO, account, both


async def test_commits_are_done_when_the_call_returns() -> None:
    backend = MemoryBackend()
    assert backend.archive.append(1, b"x", both(ROMEO, JULIET)).done


async def test_held_writes_take_effect_at_release_in_their_order() -> None:
    backend = MemoryBackend()
    backend.hold()
    store = backend.keyval("a")
    commits = [store.set(ROMEO, b"1"), store.set(ROMEO, b"2"), backend.accounts.create(account(ROMEO))]
    twice = backend.accounts.create(account(ROMEO))
    assert not any(commit.done for commit in commits)
    assert await store.get(ROMEO) is None
    backend.release()
    assert all(commit.done and commit.error is None for commit in commits)
    assert isinstance(twice.error, AlreadyExists)
    assert await store.get(ROMEO) == b"2"
    assert store.set(ROMEO, b"3").done


async def test_held_claims_wait_for_the_release() -> None:
    backend = MemoryBackend()
    await backend.work.put("q", b"x")
    backend.hold()
    claim = asyncio.ensure_future(backend.work.claim("q", 0, 1, 10))
    await asyncio.sleep(0)
    assert not claim.done()
    backend.release()
    assert [job.payload for job in await claim] == [b"x"]


async def test_writes_fail_as_told_and_write_nothing() -> None:
    backend = MemoryBackend()
    backend.fail_with(StorageFull("no room"))
    with pytest.raises(StorageFull):
        await backend.keyval("a").set(ROMEO, b"1")
    backend.fail_with(None)
    assert await backend.keyval("a").get(ROMEO) is None
    await backend.keyval("a").set(ROMEO, b"1")


async def test_writes_are_refused_at_the_call_as_told() -> None:
    backend = MemoryBackend()
    backend.fail_with(StorageFull("no room"), at_call=True)
    assert backend.is_full
    with pytest.raises(StorageFull):
        backend.archive.append(1, b"x", both(ROMEO, JULIET))
    backend.fail_with(None)
    assert not backend.is_full
    await backend.archive.append(1, b"x", both(ROMEO, JULIET))


async def test_close_finishes_what_is_held() -> None:
    backend = MemoryBackend()
    await backend.open()
    backend.hold()
    commit = backend.keyval("a").set(ROMEO, b"1")
    await backend.close()
    assert commit.done and commit.error is None
    with pytest.raises(StorageClosed):
        backend.keyval("a").set(ROMEO, b"2")


async def test_a_failure_is_each_time_an_error_of_storage() -> None:
    backend = MemoryBackend()
    backend.fail_with(StorageError("why"))
    commits = [backend.keyval("a").set(ROMEO, b"1"), backend.map("b").clear(ROMEO), backend.erase(ROMEO)]
    assert all(isinstance(commit.error, StorageError) for commit in commits)
