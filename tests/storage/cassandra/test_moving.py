"""Moving into and out of a cluster: what comes again is where it was (the contract has the rest)."""

from pathlib import Path

import pytest

from storage.cassandra.backend import CassandraBackend
from storage.cassandra.buckets import Fills
from storage.interface import ArchiveCopy, ArchiveQuery, CopyRecord, JobRecord, Record
from storage.sqlite.backend import SqliteBackend
from tests.storage.conftest import opened
from tests.storage.tools import JULIET, ROMEO, account, cassandra_settings
from tests.support.cassandra import Cassandra
from xmppd.storage_copy import StorageCopy

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]


def copies(owner: str, peer: str, count: int = 30) -> list[Record]:
    return [CopyRecord((1 << 60) + number, ArchiveCopy(owner, peer), b"m%d" % number) for number in range(count)]


async def exported(backend: CassandraBackend, owner: str) -> list[Record]:
    return [record async for record in backend.export_owner(owner)]


async def test_what_comes_again_after_a_restart_is_not_there_twice(cassandra_backend: CassandraBackend) -> None:
    archive = cassandra_backend._archive
    archive._fills = Fills(10, 10_000)  # so that a history has buckets of several lengths
    await cassandra_backend.import_owner(ROMEO, copies(ROMEO, JULIET))
    archive._fills = Fills(10, 10_000)  # a process that begins anew knows of no bucket that is full
    await cassandra_backend.import_owner(ROMEO, list(reversed(copies(ROMEO, JULIET))))
    assert await exported(cassandra_backend, ROMEO) == copies(ROMEO, JULIET)
    page = await cassandra_backend.archive.query(ROMEO, ArchiveQuery(peer=JULIET, want_total=True))
    assert page.total == 30


async def test_others_may_have_the_same_message(cassandra_backend: CassandraBackend) -> None:
    for owner, peer in ((ROMEO, JULIET), (JULIET, ROMEO)):
        await cassandra_backend.import_owner(owner, copies(owner, peer, 3))
    assert await exported(cassandra_backend, JULIET) == copies(JULIET, ROMEO, 3)
    assert cassandra_backend.archive.last_id >= (1 << 60) + 2


async def test_old_jobs_are_found_by_whoever_begins_anew(cassandra_backend: CassandraBackend) -> None:
    await cassandra_backend.import_jobs([JobRecord("push", 1, "", 1_000_000, False, 0, b"old")])
    again = CassandraBackend(cassandra_backend.settings)
    await again.open()
    try:
        (job,) = await again.work.claim("push", 2_000_000_000_000_000, 10, 1_000)
        assert job.payload == b"old"
    finally:
        await again.close()


async def test_all_goes_from_a_file_to_a_new_keyspace_and_back(
    cassandra: Cassandra, keyspace: str, tmp_path: Path
) -> None:
    target = CassandraBackend(cassandra_settings(cassandra, keyspace))
    await target.create()
    await target.create()
    await target.migrate()
    first, second = SqliteBackend(tmp_path / "a.db"), SqliteBackend(tmp_path / "b.db")
    async with opened(first), opened(target), opened(second):
        for owner, peer in ((ROMEO, JULIET), (JULIET, ROMEO)):
            await first.import_owner(owner, [account(owner), *copies(owner, peer, 1_200)])
            await first.map("roster").update(owner, {str(number): b"contact" for number in range(700)})
        await first.work.put("push", b"job", 5_000_000, "key")
        await first.work.claim("push", 6_000_000, 1, 1_000)
        await first.work.put("push", b"another", 7_000_000, "key")
        there = await StorageCopy(first, target, "a").run()
        back = await StorageCopy(target, second, "b").run()
        assert (there.owners, there.records, there.jobs) == (back.owners, back.records, back.jobs)
        assert there.records == 2 * (1 + 1_200 + 700)
        await StorageCopy(first, second, "c").verify()
        assert [fact.state for fact in await target.examine()] == ["ok"]
