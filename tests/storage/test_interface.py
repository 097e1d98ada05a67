"""Commits by themselves."""

import asyncio

import pytest

from storage.interface import ArchiveCopy, Backend, Commit, StorageError, StorageFull, check_copies
from storage.memory import MemoryBackend


def test_callbacks_run_in_the_order_they_were_added_and_once() -> None:
    commit, seen = Commit(), list[int]()
    for n in range(3):
        commit.add_done_callback(lambda _, n=n: seen.append(n))
    commit.finish()
    commit.finish(StorageError("too late"))
    assert seen == [0, 1, 2]
    assert commit.done and commit.error is None


def test_a_callback_added_after_the_end_runs_at_once() -> None:
    commit, seen = Commit(), list[Commit]()
    commit.finish()
    commit.add_done_callback(seen.append)
    assert seen == [commit]


def test_a_callback_that_raises_does_not_keep_the_others_from_running() -> None:
    commit, seen = Commit(), list[str]()

    def fails(_: Commit) -> None:
        seen.append("fails")
        raise ZeroDivisionError

    for callback in (fails, lambda _: seen.append("runs"), fails, lambda _: seen.append("runs too")):
        commit.add_done_callback(callback)
    with pytest.raises(ZeroDivisionError):
        commit.finish()
    assert seen == ["fails", "runs", "fails", "runs too"]


async def test_awaiting_gives_none_or_raises_the_error() -> None:
    commit = Commit()
    asyncio.get_running_loop().call_soon(commit.finish)
    assert await commit is None  # type: ignore[func-returns-value]
    failed = Commit()
    failed.finish(StorageError("why"))
    with pytest.raises(StorageError, match="why"):
        await failed


def test_copies_of_one_owner_twice_and_no_copies_are_refused() -> None:
    check_copies([ArchiveCopy("a", "b")])
    check_copies([ArchiveCopy("a", "b"), ArchiveCopy("b", "a")])
    for copies in ([], [ArchiveCopy("a", "b"), ArchiveCopy("a", "c")]):
        with pytest.raises(ValueError):
            check_copies(copies)


async def test_a_backend_that_says_nothing_of_room_has_some_and_flushes_by_a_write() -> None:
    class Plain(MemoryBackend):
        is_full = Backend.is_full
        flush = Backend.flush

    backend = Plain()
    assert not backend.is_full
    await backend.flush()


async def test_a_backend_without_room_is_in_trouble() -> None:
    backend = MemoryBackend()
    assert backend.trouble is None
    backend.fail_with(StorageFull("no room"), at_call=True)
    assert backend.trouble is not None and "no room left" in backend.trouble
