"""Quotas: what counts, for how long, and what an account is told."""

import asyncio

import pytest

from storage.interface import StorageFull
from storage.memory import MemoryBackend
from xmppd.uploads import ledger as ledger_file
from xmppd.uploads.ledger import Ledger, OverQuota, Quotas

ROMEO = "romeo@example.org"
DAY = 86_400


class Bench:
    """A ledger with a clock and a store that the test sets."""

    def __init__(self, backend: MemoryBackend | None = None, **quotas: int) -> None:
        every = {"total_bytes": 0, "total_files": 0, "day_bytes": 0, "open_slots": 0, "slot_s": 300, "expire_s": 0}
        self.quotas = Quotas(**(every | quotas))
        self.now_s = 1_000_000
        self.there: dict[str, bool | None] = {}
        self.asked: list[str] = []
        self.files = (backend or MemoryBackend()).map("files")
        self.ledger = Ledger(self.files, self.quotas, lambda: self.now_s, self.has)

    async def has(self, key: str) -> bool | None:
        self.asked.append(key)
        return self.there.get(key, False)

    async def upload(self, key: str, size: int = 100, owner: str = ROMEO) -> None:
        await self.ledger.reserve(owner, key, size)
        assert await self.ledger.confirm(owner, key)


async def test_files_together_have_a_limit() -> None:
    bench = Bench(total_bytes=250)
    await bench.upload("a")
    await bench.upload("b")
    with pytest.raises(OverQuota):
        await bench.ledger.reserve(ROMEO, "c", 51)
    await bench.ledger.reserve(ROMEO, "c", 50)


async def test_the_number_of_files_has_a_limit() -> None:
    bench = Bench(total_files=2)
    await bench.upload("a")
    await bench.upload("b")
    with pytest.raises(OverQuota):
        await bench.upload("c")


async def test_a_days_limit_ends_with_the_day_and_says_when() -> None:
    bench = Bench(day_bytes=150)
    await bench.upload("a")
    with pytest.raises(OverQuota) as caught:
        await bench.upload("b")
    assert caught.value.retry_s == bench.now_s + DAY
    bench.now_s += DAY
    await bench.upload("b")


async def test_files_that_have_expired_do_not_count() -> None:
    bench = Bench(total_bytes=150, expire_s=10 * DAY)
    await bench.upload("a")
    with pytest.raises(OverQuota) as caught:
        await bench.upload("b")
    assert caught.value.retry_s == bench.now_s + 10 * DAY
    bench.now_s += 10 * DAY
    await bench.upload("b")


async def test_slots_count_before_they_are_used_and_not_when_they_end_unused() -> None:
    bench = Bench(total_bytes=150)
    await bench.ledger.reserve(ROMEO, "a", 100)
    with pytest.raises(OverQuota):
        await bench.ledger.reserve(ROMEO, "b", 100)
    bench.now_s += 300
    await bench.ledger.reserve(ROMEO, "b", 100)
    assert list(await bench.files.items(ROMEO)) == ["b"]


async def test_a_file_that_went_to_the_store_directly_counts() -> None:
    bench = Bench(total_bytes=150)
    await bench.ledger.reserve(ROMEO, "a", 100)
    bench.there["a"] = True
    bench.now_s += 300
    with pytest.raises(OverQuota):
        await bench.ledger.reserve(ROMEO, "b", 100)


async def test_a_file_that_is_still_coming_keeps_its_place() -> None:
    bench = Bench(total_bytes=150)
    await bench.ledger.reserve(ROMEO, "a", 100)
    bench.there["a"] = None
    bench.now_s += 3000
    with pytest.raises(OverQuota):
        await bench.ledger.reserve(ROMEO, "b", 100)
    assert await bench.ledger.confirm(ROMEO, "a")


async def test_slots_that_nobody_uses_are_limited() -> None:
    bench = Bench(open_slots=2)
    await bench.ledger.reserve(ROMEO, "a", 1)
    await bench.ledger.reserve(ROMEO, "b", 1)
    with pytest.raises(OverQuota) as caught:
        await bench.ledger.reserve(ROMEO, "c", 1)
    assert caught.value.retry_s == bench.now_s + 300
    bench.there["a"] = True
    await bench.ledger.reserve(ROMEO, "c", 1)


async def test_two_requests_at_once_do_not_both_get_the_last_room() -> None:
    bench = Bench(total_bytes=150)
    results = await asyncio.gather(
        bench.ledger.reserve(ROMEO, "a", 100), bench.ledger.reserve(ROMEO, "b", 100), return_exceptions=True
    )
    assert [type(result) for result in results] == [type(None), OverQuota]


async def test_accounts_do_not_count_for_each_other() -> None:
    bench = Bench(total_bytes=150)
    await bench.upload("a")
    await bench.upload("b", owner="juliet@example.org")


async def test_it_is_the_same_after_a_restart() -> None:
    backend = MemoryBackend()
    await Bench(backend).upload("a")
    with pytest.raises(OverQuota):
        await Bench(backend, total_bytes=150).upload("b")


async def test_a_slot_is_open_until_its_file_is_there() -> None:
    bench = Bench()
    assert not await bench.ledger.is_open(ROMEO, "a")
    await bench.ledger.reserve(ROMEO, "a", 1)
    assert await bench.ledger.is_open(ROMEO, "a")
    assert not await bench.ledger.is_open("juliet@example.org", "a")
    await bench.ledger.confirm(ROMEO, "a")
    assert not await bench.ledger.is_open(ROMEO, "a")


async def test_an_account_that_is_forgotten_has_no_slots() -> None:
    bench = Bench()
    await bench.ledger.reserve(ROMEO, "a", 1)
    assert await bench.ledger.forget(ROMEO) == ["a"]
    assert not await bench.ledger.confirm(ROMEO, "a")
    assert not await bench.files.items(ROMEO)


async def test_a_slot_that_cannot_be_kept_takes_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench(total_bytes=150)

    def full(*_: object) -> None:
        raise StorageFull("no room")

    with monkeypatch.context() as patch:
        patch.setattr(bench.files, "update", full)
        with pytest.raises(StorageFull):
            await bench.ledger.reserve(ROMEO, "a", 100)
    await bench.ledger.reserve(ROMEO, "b", 100)


async def test_memory_holds_so_many_records_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_file, "CACHED_RECORDS", 20)
    bench = Bench()
    for number in range(100):
        await bench.upload(f"{number}", owner=f"p{number}@example.org")
    assert len(bench.ledger._cached) <= 20
    assert bench.ledger._held == sum(len(records) for records in bench.ledger._cached.values())


async def test_one_request_asks_the_store_so_often_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_file, "CHECKS_AT_ONCE", 5)
    bench = Bench(total_files=10)
    for number in range(10):
        await bench.ledger.reserve(ROMEO, f"{number}", 1)
    bench.now_s += 300
    await bench.ledger.reserve(ROMEO, "more", 1)
    assert len(bench.asked) == 5
