"""What `examine` finds wrong with a file."""

import shutil
from pathlib import Path

import pytest

from storage.interface import ArchiveCopy, Fact
from storage.sqlite import examining
from storage.sqlite.backend import SqliteBackend
from tests.storage.tools import JULIET, ROMEO, account, run_on_writer


async def faults(backend: SqliteBackend) -> list[str]:
    return [fact.detail for fact in await backend.examine() if fact.state == "fault"]


async def spoil(backend: SqliteBackend, sql: str) -> list[str]:
    await backend.accounts.create(account(ROMEO))
    await backend.archive.append(1, b"m", [ArchiveCopy(ROMEO, JULIET)])
    assert await faults(backend) == []

    def run(connection):
        connection.execute(sql)

    await run_on_writer(backend, run)
    return await faults(backend)


async def test_it_counts_and_tells_the_room(sqlite: SqliteBackend) -> None:
    await sqlite.accounts.create(account(ROMEO))
    found = {fact.about: fact for fact in await sqlite.examine()}
    assert found["accounts"] == Fact("accounts", "ok", "1")
    assert "GB free" in found["room"].detail


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("DELETE FROM log", "1 copies whose message is missing"),
        ("UPDATE log SET copies = 2", "1 messages that count their copies wrongly"),
        ("DELETE FROM jid", "1 copies of or with somebody who is missing"),
        ("UPDATE account SET keys = '[1]'", f"1 with unreadable keys, {ROMEO} first"),
        ("UPDATE account SET keys = 'x'", f"1 with unreadable keys, {ROMEO} first"),
    ],
)
async def test_what_does_not_hold_together_is_a_fault(sqlite: SqliteBackend, sql: str, said: str) -> None:
    assert any(line.startswith(said) for line in await spoil(sqlite, sql))


async def test_damage_is_a_fault_and_nothing_else_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    backend = SqliteBackend(path, commit_window_ms=0)
    await backend.open()
    await backend.map("m").update(ROMEO, {str(number): bytes(500) for number in range(500)})
    await backend.close()
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 8192] = b"\x55" * 8192
    path.write_bytes(data)
    await backend.open()
    found = await backend.examine()
    await backend.close()
    assert [fact.about for fact in found if fact.state == "fault"] == ["file"]
    assert "accounts" not in {fact.about for fact in found}


async def test_little_room_is_a_warning(sqlite: SqliteBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")._replace(total=10**12, free=10**9)
    monkeypatch.setattr(examining.shutil, "disk_usage", lambda _: usage)
    assert next(fact.state for fact in await sqlite.examine() if fact.about == "room") == "warning"
