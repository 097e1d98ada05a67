"""How jobs are found."""

from storage.sqlite.backend import SqliteBackend
from tests.storage.tools import writer_connection


async def test_asking_when_nothing_is_due_writes_nothing(sqlite: SqliteBackend) -> None:
    commits: list[float] = []
    sqlite._writer.on_commit = commits.append
    assert await sqlite.work.claim("push", 0, 10, 10) == []
    assert commits == []


async def test_due_jobs_are_found_by_an_index(sqlite: SqliteBackend) -> None:
    sql = "EXPLAIN QUERY PLAN SELECT id FROM work WHERE queue = ? AND due_at_us <= ? ORDER BY due_at_us, id LIMIT ?"
    plan = writer_connection(sqlite).execute(sql, ("", 0, 1)).fetchall()
    assert [row[3] for row in plan] == ["SEARCH work USING COVERING INDEX work_due (queue=? AND due_at_us<?)"]


async def test_many_jobs_are_claimed_in_few_statements(sqlite: SqliteBackend) -> None:
    for n in range(64):
        sqlite.work.put("push", b"%d" % n)
    await sqlite.flush()
    seen: list[str] = []
    writer_connection(sqlite).set_trace_callback(seen.append)
    jobs = await sqlite.work.claim("push", 0, 64, 10)
    assert [job.payload for job in jobs] == [b"%d" % n for n in range(64)]
    assert len(seen) <= 8


async def test_what_a_dead_process_had_claimed_is_due_at_once_unless_something_newer_waits(
    sqlite: SqliteBackend,
) -> None:
    for payload in (b"old", b"other"):
        sqlite.work.put("push", payload, key=payload.decode())
    await sqlite.flush()
    assert len(await sqlite.work.claim("push", 0, 10, 1_000)) == 2
    sqlite.work.put("push", b"new", key="old")
    sqlite.work.take_over()
    await sqlite.flush()
    jobs = await sqlite.work.claim("push", 0, 10, 1_000)
    assert [(job.payload, job.attempts) for job in jobs] == [(b"other", 2), (b"new", 1)]
