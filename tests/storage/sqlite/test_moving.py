"""Moving, in a file: what it costs in memory, and what the rest of the file makes of it (the contract has the rest)."""

from storage.interface import ArchiveCopy, CopyRecord, ItemRecord, Record
from storage.sqlite.backend import SqliteBackend
from tests.storage.tools import JULIET, ROMEO, run_on_writer


async def test_large_values_are_read_a_few_at_a_time(sqlite: SqliteBackend) -> None:
    items: list[Record] = [ItemRecord("m", str(number), bytes(1_500_000)) for number in range(10, 19)]
    await sqlite.import_owner(ROMEO, items)
    pages = []

    async def run(read):
        pages.append(await read_(read))
        return pages[-1]

    read_, sqlite._reader.run = sqlite._reader.run, run  # type: ignore[method-assign]
    assert [record async for record in sqlite.export_owner(ROMEO)] == items
    assert max(len(page) for page in pages) == 3


async def test_an_id_that_came_by_moving_is_known_to_the_archive(sqlite: SqliteBackend) -> None:
    await sqlite.import_owner(ROMEO, [CopyRecord(5 << 40, ArchiveCopy(ROMEO, JULIET), b"m")])
    assert sqlite.archive.last_id == 5 << 40


async def test_the_log_counts_a_copy_once(sqlite: SqliteBackend) -> None:
    record = CopyRecord(1, ArchiveCopy(ROMEO, JULIET), b"m")
    await sqlite.import_owner(ROMEO, [record])
    await sqlite.import_owner(ROMEO, [record])
    found: list[int] = []
    await run_on_writer(sqlite, lambda c: found.extend(c.execute("SELECT copies FROM log").fetchone()))
    assert found == [1]
