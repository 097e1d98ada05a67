"""Commits, order, erasing and listing owners, in every backend."""

import asyncio

import pytest

from storage.interface import ArchiveCopy, ArchiveQuery, Backend, Commit, StorageClosed, StorageError
from tests.storage.tools import JULIET, NURSE, ROMEO, account, both, ids


async def owners(backend: Backend, prefix: str = "") -> list[str]:
    return [owner async for owner in backend.owners(prefix)]


async def fill(backend: Backend, *names: str) -> None:
    for name in names:
        backend.accounts.create(account(name))
        backend.keyval("prefs").set(name, b"1")
        backend.map("roster").update(name, {"a": b"1"})
    await backend.flush()


async def test_writes_take_effect_in_the_order_of_their_calls(backend: Backend) -> None:
    for n in range(200):
        backend.keyval("a").set(ROMEO, b"%d" % n)
        backend.map("b").update(ROMEO, {str(n): b""}, remove=[str(n - 1)])
        commit = backend.keyval("a").delete(JULIET) if n % 2 else backend.keyval("a").set(JULIET, b"x")
        if n % 17 == 0:
            await commit
    await backend.flush()
    assert await backend.keyval("a").get(ROMEO) == b"199"
    assert await backend.map("b").items(ROMEO) == {"199": b""}
    assert await backend.keyval("a").get(JULIET) is None


async def test_what_is_committed_can_be_read_at_once(backend: Backend) -> None:
    for n in range(1, 50):
        await backend.archive.append(n, b"x", both(ROMEO, JULIET))
        assert await backend.archive.has(JULIET, n)
        page = await backend.archive.query(JULIET, ArchiveQuery(limit=1, newest_first=True))
        assert ids(page.messages) == [n]
        await backend.keyval("a").set(ROMEO, b"%d" % n)
        assert await backend.keyval("a").get(ROMEO) == b"%d" % n


async def test_a_commit_calls_back_and_may_be_awaited_by_many(backend: Backend) -> None:
    seen: list[Commit] = []
    commit = backend.archive.append(1, b"x", both(ROMEO, JULIET))
    commit.add_done_callback(seen.append)
    await asyncio.gather(*(wait(commit) for _ in range(3)))
    commit.add_done_callback(seen.append)
    assert seen == [commit, commit]
    assert commit.done and commit.error is None


async def test_whoever_waits_for_a_commit_may_be_cancelled(backend: Backend) -> None:
    commit = backend.keyval("a").set(ROMEO, b"1")
    task = asyncio.ensure_future(wait(commit))
    task.cancel()
    await commit
    assert await backend.keyval("a").get(ROMEO) == b"1"


async def test_flush_returns_when_all_is_committed_even_when_some_failed(backend: Backend) -> None:
    await backend.flush()
    backend.archive.append(1, b"x", both(ROMEO, JULIET))
    commits = [backend.archive.append(n, b"x", both(ROMEO, JULIET)) for n in (1, 2, 3)]
    await backend.flush()
    assert [commit.error is None for commit in commits] == [False, True, True]
    assert all(commit.done for commit in commits)


async def test_close_commits_what_was_called_and_later_calls_are_refused(backend: Backend) -> None:
    keyval, archive = backend.keyval("a"), backend.archive
    commits = [keyval.set(ROMEO, b"1"), archive.append(1, b"x", both(ROMEO, JULIET)), backend.erase(NURSE)]
    await backend.close()
    assert [(commit.done, commit.error) for commit in commits] == [(True, None)] * 3
    with pytest.raises(StorageClosed):
        await keyval.set(ROMEO, b"2")
    with pytest.raises(StorageClosed):
        archive.append(2, b"x", both(ROMEO, JULIET))


async def test_erase_takes_every_trace_of_one_owner_and_nothing_of_others(backend: Backend) -> None:
    await fill(backend, ROMEO, JULIET)
    backend.archive.append(1, b"shared", both(ROMEO, JULIET))
    backend.archive.append(2, b"alone", [ArchiveCopy(ROMEO, NURSE, outgoing=True)])
    await backend.erase(ROMEO)
    assert await backend.accounts.get(ROMEO) is None
    assert await backend.keyval("prefs").get(ROMEO) is None
    assert await backend.map("roster").items(ROMEO) == {}
    assert await backend.archive.bounds(ROMEO) is None
    assert ROMEO not in await owners(backend)
    page = await backend.archive.query(JULIET, ArchiveQuery(peer=ROMEO))
    assert [message.stanza for message in page.messages] == [b"shared"]
    assert await backend.accounts.get(JULIET) == account(JULIET)
    assert await backend.keyval("prefs").get(JULIET) == b"1"


async def test_a_message_that_nobody_lists_any_more_is_gone_so_that_its_id_is_free(backend: Backend) -> None:
    await backend.archive.append(1, b"x", both(ROMEO, JULIET))
    await backend.erase(ROMEO)
    with pytest.raises(StorageError):
        await backend.archive.append(1, b"y", [ArchiveCopy(NURSE, JULIET)])
    await backend.erase(JULIET)
    await backend.archive.append(1, b"y", [ArchiveCopy(NURSE, JULIET)])


async def test_what_is_written_after_erase_stays_though_nobody_waited(backend: Backend) -> None:
    await fill(backend, ROMEO)
    backend.archive.append(1, b"old", both(ROMEO, JULIET))
    erased = backend.erase(ROMEO)
    backend.keyval("prefs").set(ROMEO, b"new")
    await backend.archive.append(2, b"new", both(ROMEO, JULIET))
    await erased
    assert await backend.keyval("prefs").get(ROMEO) == b"new"
    assert await backend.archive.bounds(ROMEO) == (2, 2)


async def test_erasing_a_long_history_takes_all_of_it(backend: Backend) -> None:
    for n in range(1, 1302):
        backend.archive.append(n, b"x", both(ROMEO, JULIET) if n % 2 else [ArchiveCopy(ROMEO, NURSE)])
    await backend.erase(ROMEO)
    assert await backend.archive.bounds(ROMEO) is None
    page = await backend.archive.query(JULIET, ArchiveQuery(limit=2000))
    assert ids(page.messages) == list(range(1, 1302, 2))


async def test_owners_are_all_who_have_anything_in_order(backend: Backend) -> None:
    await backend.accounts.create(account("a@example.org"))
    await backend.keyval("prefs").set("b@example.org", b"")
    await backend.map("roster").update("c@example.org", {"x": b""})
    await backend.archive.append(1, b"x", [ArchiveCopy("d@example.org", "peer@example.org")])
    await backend.accounts.create(account("a-b@example.org"))
    expected = sorted(f"{name}@example.org" for name in ("a", "a-b", "b", "c", "d"))
    assert await owners(backend) == expected
    assert await owners(backend, "a") == expected[:2]
    assert await owners(backend, "nobody") == []


async def test_owners_who_are_many_are_all_listed(backend: Backend) -> None:
    for n in range(1201):
        backend.keyval("prefs").set(f"user{n:04}@example.org", b"")
        backend.map("roster").update(f"user{n:04}@example.org", {"a": b""})
    await backend.flush()
    assert await owners(backend) == [f"user{n:04}@example.org" for n in range(1201)]
    assert await owners(backend, "user11") == [f"user11{n:02}@example.org" for n in range(100)]


async def wait(commit: Commit) -> None:
    await commit
