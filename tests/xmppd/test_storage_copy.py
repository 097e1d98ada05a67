"""Copying between two storages: what is compared, what goes on after an interruption, what is refused."""

from collections.abc import AsyncIterator

import pytest

from storage.interface import (
    AccountRecord,
    ArchiveCopy,
    Backend,
    CopyRecord,
    ItemRecord,
    JobRecord,
    Record,
    ScramKeys,
    StorageError,
)
from storage.memory import MemoryBackend
from xmppd import storage_copy
from xmppd.storage_copy import Batch, CopyError, Digest, StorageCopy

KEYS = {"SHA-1": ScramKeys(b"s", 4096, b"k", b"v"), "SHA-256": ScramKeys(b"t", 4096, b"l", b"w")}
ROMEO, JULIET = "romeo@example.org", "juliet@example.org"


@pytest.fixture
async def source() -> MemoryBackend:
    backend = MemoryBackend()
    for jid, peer in ((ROMEO, JULIET), (JULIET, ROMEO)):
        backend.accounts.create(AccountRecord(jid, KEYS, 7))
        backend.map("roster").update(jid, {str(number): b"contact" for number in range(1_200)})
        backend.keyval("card").set(jid, b"\x00")
        backend.import_owner(jid, [CopyRecord(9, ArchiveCopy(jid, peer, "desk", True, True, False, 4), b"m")])
    backend.work.put("push", b"job", 5, "key")
    backend.keyval("server").set("archive_ids", b"secret")
    return backend


async def everything(backend: Backend) -> list[object]:
    found: list[object] = [record async for record in backend.export_jobs()]
    async for owner in backend.owners():
        found += [(owner, record) async for record in backend.export_owner(owner)]
    return found


async def test_all_is_in_the_target_and_nothing_else(source: MemoryBackend) -> None:
    target = MemoryBackend()
    told: list[str] = []
    done = await StorageCopy(source, target, "a", lambda progress: told.append(progress.owner)).run()
    assert await everything(target) == await everything(source)
    assert (done.owners, done.records, done.jobs) == (3, 2 * (1 + 1_200 + 1 + 1) + 1, 1)
    assert told[0] == "archive_ids" and told[-1] == ROMEO


class Interrupted(MemoryBackend):
    """Fails at its nth import."""

    left = 0

    def import_owner(self, owner, records):  # type: ignore[no-untyped-def]
        self.left -= 1
        if self.left == 0:
            raise StorageError("interrupted")
        return super().import_owner(owner, records)


@pytest.mark.parametrize("at", range(1, 8))
async def test_an_interrupted_copy_goes_on_and_writes_nothing_twice(source: MemoryBackend, at: int) -> None:
    target = Interrupted()
    target.left = at
    with pytest.raises(StorageError, match="interrupted"):
        await StorageCopy(source, target, "a").run()
    target.left = 0
    done = await StorageCopy(source, target, "a").run()
    assert await everything(target) == await everything(source)
    assert -target.left == 7 - (at - 1)
    assert done.owners == 3


async def test_an_owner_that_changed_since_the_interruption_is_copied_anew(source: MemoryBackend) -> None:
    target = Interrupted()
    target.left = 4  # of Juliet's three, the third
    with pytest.raises(StorageError):
        await StorageCopy(source, target, "a").run()
    await source.map("roster").update(JULIET, {"00": b"new"}, ["1"])
    target.left = 0
    await StorageCopy(source, target, "a").run()
    assert await everything(target) == await everything(source)


class Forgetful(MemoryBackend):
    """Loses the last record of each import."""

    def import_owner(self, owner, records):  # type: ignore[no-untyped-def]
        return super().import_owner(owner, records[:-1])


async def test_a_target_that_loses_something_is_told_of(source: MemoryBackend) -> None:
    with pytest.raises(CopyError, match=r"archive_ids: the source has 1 records with hash \w{24}, the target 0 with"):
        await StorageCopy(source, Forgetful(), "a").run()


async def test_verifying_finds_one_changed_byte(source: MemoryBackend) -> None:
    target = MemoryBackend()
    await StorageCopy(source, target, "a").run()
    done = await StorageCopy(source, target, "a").verify()
    assert done.owners == 3
    await target.keyval("card").set(ROMEO, b"\x01")
    with pytest.raises(CopyError, match=f"^{ROMEO}: the source has 1203 records"):
        await StorageCopy(source, target, "a").verify()


async def test_jobs_are_compared_too(source: MemoryBackend) -> None:
    target = MemoryBackend()
    await StorageCopy(source, target, "a").run()
    await target.work.put("push", b"another")
    with pytest.raises(CopyError, match="the work queue: the source has 1 records"):
        await StorageCopy(source, target, "a").verify()


async def test_an_owner_too_many_is_told_of(source: MemoryBackend) -> None:
    target = MemoryBackend()
    await StorageCopy(source, target, "a").run()
    await target.keyval("card").set("mallory@example.org", b"")
    with pytest.raises(CopyError, match=r"the target has mallory@example\.org, whom the source has not"):
        await StorageCopy(source, target, "a").verify()


class Remembering(MemoryBackend):
    """Still names an owner who has nothing any more, as Cassandra does."""

    async def owners(self, prefix: str = "") -> AsyncIterator[str]:
        names = {owner async for owner in super().owners(prefix)} | {"gone@example.org", storage_copy.NOTE_OWNER}
        for name in sorted(names):
            yield name


async def test_owners_who_have_nothing_any_more_do_not_count(source: MemoryBackend) -> None:
    target = Remembering()
    assert (await StorageCopy(source, target, "a").run()).owners == 3
    assert (await StorageCopy(target, MemoryBackend(), "b").run()).owners == 3
    assert (await StorageCopy(source, target, "a").verify()).owners == 3


@pytest.mark.parametrize("what", ["owner", "job"])
async def test_a_target_with_something_else_is_refused(source: MemoryBackend, what: str) -> None:
    target = MemoryBackend()
    if what == "owner":
        target.keyval("card").set(ROMEO, b"mine")
    else:
        target.work.put("push", b"mine")
    before = await everything(target)
    with pytest.raises(CopyError, match="the target is not empty"):
        await StorageCopy(source, target, "a").run()
    assert await everything(target) == before


async def test_a_copy_of_another_source_is_refused(source: MemoryBackend) -> None:
    target = Interrupted()
    target.left = 3
    with pytest.raises(StorageError):
        await StorageCopy(source, target, "a").run()
    with pytest.raises(CopyError, match="part of a copy of a:"):
        await StorageCopy(source, target, "b").run()
    with pytest.raises(CopyError, match="the source is itself an unfinished copy"):
        await StorageCopy(target, MemoryBackend(), "c").run()


async def test_memory_holds_a_few_records_at_a_time() -> None:
    class Long(MemoryBackend):
        async def export_owner(self, owner: str) -> AsyncIterator[Record]:
            for number in range(100):
                yield ItemRecord("m", f"{number:03}", bytes(1_000_000))

    source, sizes = Long(), []

    class Small(Long):
        def import_owner(self, owner, records):  # type: ignore[no-untyped-def]
            sizes.append(len(records))
            return super().import_owner(owner, records[:1])

    await source.keyval("card").set(ROMEO, b"")
    await StorageCopy(source, Small(), "a").run()
    assert sum(sizes) == 100
    assert max(sizes) * 1_000_000 <= storage_copy.BATCH_BYTES + 1_000_000


def test_a_digest_tells_records_apart() -> None:
    records = [
        ItemRecord("a", "b", b"c"),
        ItemRecord("ab", "", b"c"),
        CopyRecord(1, ArchiveCopy("a", "b", mark=1), b""),
        CopyRecord(1, ArchiveCopy("a", "b", pending=True), b""),
        JobRecord("q", 1, "", 0, False, 0, b""),
        AccountRecord("a", KEYS),
        AccountRecord("a", {"SHA-1": KEYS["SHA-1"]}),
    ]
    digests = []
    for record in records:
        digests.append(Digest())
        digests[-1].add(record)
    assert len({digest.text for digest in digests}) == len(records)
    assert digests[0] != digests[1]


def test_a_batch_is_full_by_count_or_size() -> None:
    batch = Batch[Record]()
    for number in range(storage_copy.BATCH_RECORDS):
        assert not batch.is_full
        batch.add(ItemRecord("m", str(number), b""))
    assert batch.is_full
    batch.clear()
    batch.add(ItemRecord("m", "", bytes(storage_copy.BATCH_BYTES)))
    assert batch.is_full
