"""Moving what one storage has to another, in every backend: out of it, and into it."""

from collections.abc import Sequence

import pytest

from storage.interface import (
    AccountRecord,
    ArchiveCopy,
    ArchiveQuery,
    Backend,
    CopyRecord,
    ItemRecord,
    JobRecord,
    Record,
    ValueRecord,
)
from tests.storage.tools import JULIET, NURSE, ROMEO, account, ids

ALL: tuple[Record, ...] = (
    account(ROMEO),
    ValueRecord("card", b"\x00<vCard/>"),
    ValueRecord("cursor", b"17"),
    ItemRecord("roster", "", b"version"),
    ItemRecord("roster", "a key with spaces", b"{}"),
    ItemRecord("roster", "ключ", b"\xff"),
    ItemRecord("roster", "\U0001f642", b""),
    ItemRecord("zoo", JULIET, b"x"),
    CopyRecord(1 << 40, ArchiveCopy(ROMEO, JULIET, "balcony", True, False, True, -5), b"<message>1</message>"),
    CopyRecord(2 << 40, ArchiveCopy(ROMEO, JULIET, "", False, True, False, 0), b"\x00binary"),
    CopyRecord(
        (3 << 40) + 1, ArchiveCopy(ROMEO, NURSE, "\u00e9", False, True, True, 2**63 - 1), b"<message>3</message>"
    ),
)
"""All that Romeo has, in the order in which it must come out."""

JOBS = (
    JobRecord("push", 3, "romeo", 40, False, 0, b"one"),
    JobRecord("push", 8, "", 10, True, 2, b"two"),
    JobRecord("s2s", 5, "", 0, False, 1, b"\x00"),
)


async def exported(backend: Backend, owner: str = ROMEO) -> tuple[Record, ...]:
    return tuple([record async for record in backend.export_owner(owner)])


async def jobs(backend: Backend) -> list[JobRecord]:
    return [record async for record in backend.export_jobs()]


async def fill(backend: Backend, records: Sequence[Record] = ALL) -> None:
    await backend.import_owner(ROMEO, records)


async def test_all_that_goes_in_comes_out_in_order(backend: Backend) -> None:
    await fill(backend, tuple(reversed(ALL)))
    assert await exported(backend) == ALL
    assert [owner async for owner in backend.owners()] == [ROMEO]


async def test_the_same_once_more_changes_nothing(backend: Backend) -> None:
    await fill(backend)
    await fill(backend, ALL[5:])
    await fill(backend)
    assert await exported(backend) == ALL
    await backend.erase(ROMEO)
    assert await exported(backend) == ()


async def test_what_went_in_is_there_for_every_reader(backend: Backend) -> None:
    await fill(backend)
    assert await backend.accounts.get(ROMEO) == ALL[0]
    assert await backend.accounts.list("example.org") == [ROMEO]
    assert await backend.keyval("cursor").get(ROMEO) == b"17"
    assert await backend.map("roster").get(ROMEO, "ключ") == b"\xff"
    page = await backend.archive.query(ROMEO, ArchiveQuery(want_total=True))
    assert (ids(page.messages), page.total) == ([1 << 40, (3 << 40) + 1], 2)
    assert ids(await backend.archive.pending(ROMEO, 0, 10)) == [2 << 40, (3 << 40) + 1]
    assert await backend.archive.recent_marks(ROMEO, 0, 10) == {-5: 1 << 40, 2**63 - 1: (3 << 40) + 1}
    assert ids((await backend.archive.query(ROMEO, ArchiveQuery(peer=NURSE))).messages) == [(3 << 40) + 1]


async def test_what_stores_were_given_comes_out(backend: Backend) -> None:
    await backend.accounts.create(account(ROMEO))
    await backend.keyval("card").set(ROMEO, b"c")
    await backend.map("roster").update(ROMEO, {"b": b"2", "a": b"1"})
    copies = (ArchiveCopy(ROMEO, JULIET, "desk", outgoing=True, mark=7), ArchiveCopy(JULIET, ROMEO, pending=True))
    await backend.archive.append(1 << 40, b"m", copies)
    assert await exported(backend) == (
        account(ROMEO),
        ValueRecord("card", b"c"),
        ItemRecord("roster", "a", b"1"),
        ItemRecord("roster", "b", b"2"),
        CopyRecord(1 << 40, copies[0], b"m"),
    )
    assert await exported(backend, JULIET) == (CopyRecord(1 << 40, copies[1], b"m"),)
    assert await exported(backend, NURSE) == ()


async def test_a_message_of_two_stays_with_one_when_the_other_is_erased(backend: Backend) -> None:
    for owner, peer in ((ROMEO, JULIET), (JULIET, ROMEO)):
        await backend.import_owner(owner, [CopyRecord(1 << 40, ArchiveCopy(owner, peer), b"m")])
    await backend.erase(ROMEO)
    assert await exported(backend, JULIET) == (CopyRecord(1 << 40, ArchiveCopy(JULIET, ROMEO), b"m"),)
    await backend.erase(JULIET)
    await backend.import_owner(NURSE, [CopyRecord(1 << 40, ArchiveCopy(NURSE, ROMEO), b"another")])
    assert await exported(backend, NURSE) == (CopyRecord(1 << 40, ArchiveCopy(NURSE, ROMEO), b"another"),)


async def test_a_disabled_account_without_keys_stays_so(backend: Backend) -> None:
    record = AccountRecord(ROMEO, {}, 5, disabled=True)
    await fill(backend, [record])
    assert await exported(backend) == (record,)


@pytest.mark.timeout(120)
async def test_long_histories_and_large_maps_come_whole(backend: Backend) -> None:
    many: list[Record] = [ItemRecord("m", f"{number:05}", bytes(9_000)) for number in range(700)]
    many += [CopyRecord(number << 30, ArchiveCopy(ROMEO, JULIET), b"%d" % number) for number in range(1, 1201)]
    for start in range(0, len(many), 400):
        await fill(backend, many[start : start + 400])
    assert list(await exported(backend)) == many


async def test_jobs_come_as_they_stood(backend: Backend) -> None:
    await backend.import_jobs(JOBS)
    await backend.import_jobs(JOBS)
    found = await jobs(backend)
    assert sorted(record._replace(id=0) for record in found) == sorted(record._replace(id=0) for record in JOBS)
    assert all(0 <= record.id < 2**63 for record in found)
    assert await backend.work.depth("push") == 2
    (job,) = await backend.work.claim("push", 20, 10, 1_000)
    assert (job.payload, job.attempts) == (b"two", 3)


async def test_a_job_put_later_is_behind_those_that_were_moved(backend: Backend) -> None:
    await backend.import_jobs(JOBS)
    await backend.work.put("push", b"new", due_at_us=40)
    claimed = await backend.work.claim("push", 50, 10, 1_000)
    assert [job.payload for job in claimed] == [b"two", b"one", b"new"]


async def test_a_backend_finds_no_fault_with_itself(backend: Backend) -> None:
    await fill(backend)
    assert [fact for fact in await backend.examine() if fact.state == "fault"] == []
