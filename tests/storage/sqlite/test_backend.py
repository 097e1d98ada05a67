"""Opening, closing, being killed, being two, and a disk that is really full."""

import asyncio
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.interface import ArchiveQuery, StorageError, StorageFull
from storage.sqlite.backend import SqliteBackend
from storage.sqlite.connect import connect
from tests.storage.tools import JULIET, ROMEO, account, both, ids

ROOT = Path(__file__).parents[3]


def child_command(what: str, path: Path) -> list[str]:
    return [sys.executable, "-m", "tests.storage.sqlite.child", what, str(path)]


async def why_not(path: Path, exclusive: bool = True) -> str:
    """Try to open it; return the one line that says why it cannot be."""
    backend = SqliteBackend(path, exclusive=exclusive)
    with pytest.raises(StorageError) as caught:
        await backend.open()
    assert not backend.is_full
    await backend.close()
    text = str(caught.value)
    assert str(path) in text and "\n" not in text
    return text


async def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    for n in range(1, 4):
        backend = SqliteBackend(tmp_path / "xmppd.db")
        await backend.open()
        backend.archive.append(n, b"x", both(ROMEO, JULIET))
        backend.keyval("a").set(ROMEO, b"%d" % n)
        await backend.close()
    await backend.open()
    assert ids((await backend.archive.query(JULIET, ArchiveQuery())).messages) == [1, 2, 3]
    assert await backend.keyval("a").get(ROMEO) == b"3"
    await backend.close()


async def test_a_second_server_is_refused_and_the_command_line_is_not(tmp_path: Path) -> None:
    path = tmp_path / "xmppd.db"
    server = SqliteBackend(path)
    await server.open()
    assert f"in use by another xmppd (process {os.getpid()})" in await why_not(path)
    beside = SqliteBackend(path, exclusive=False)
    await beside.open()
    await beside.accounts.create(account(ROMEO))
    assert await server.accounts.get(ROMEO) == account(ROMEO)
    await beside.close()
    await server.close()
    await server.open()
    await server.close()


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert f"there is no folder {tmp_path / 'none'}" in await why_not(tmp_path / "none" / "xmppd.db", exclusive=False)
    await why_not(tmp_path / "none" / "xmppd.db")


@pytest.mark.parametrize("content", [b"no database " * 1000, b"SQLite format 3\0" + b"\xff" * 4096])
async def test_a_damaged_file_is_called_so_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "xmppd.db"
    path.write_bytes(content)
    assert "damaged" in await why_not(path)
    assert path.read_bytes() == content


async def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    connection = connect(tmp_path / "xmppd.db", is_writer=True)
    connection.execute("CREATE TABLE bookmarks (url TEXT)")
    connection.close()
    assert "is a database of another program" in await why_not(tmp_path / "xmppd.db")


async def test_a_database_that_is_locked_at_start_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.sqlite.connect.BUSY_TIMEOUT_S", 0.01)
    other = connect(tmp_path / "xmppd.db", is_writer=True)
    other.execute("BEGIN EXCLUSIVE")
    assert "is locked by another program" in await why_not(tmp_path / "xmppd.db")
    other.execute("ROLLBACK")
    other.close()


@pytest.mark.parametrize("has_file", [False, True])
def test_a_folder_without_the_right_to_write_is_called_so(tmp_path: Path, has_file: bool) -> None:
    folder = tmp_path / "readonly"
    folder.mkdir()
    path = folder / "xmppd.db"
    if has_file:
        path.write_bytes(b"")
        path.chmod(0o444)
    folder.chmod(0o555)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.parent.is_relative_to(tempfile.gettempdir()):
            parent.chmod(0o755)  # so that the child gets there at all
    answer = subprocess.run(child_command("try_to_open", path), capture_output=True, text=True, cwd=ROOT, check=True)
    assert "read-only for this user" in answer.stdout or "Permission denied" in answer.stdout
    assert answer.stdout.count("\n") == 1


async def test_two_processes_write_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "xmppd.db"
    server = SqliteBackend(path, commit_window_ms=0)
    await server.open()
    child = await asyncio.create_subprocess_exec(*child_command("add_accounts", path), cwd=ROOT)
    ended = asyncio.ensure_future(child.wait())
    id_ = 0
    while not ended.done():
        id_ += 1
        await server.archive.append(id_, b"x", both(ROMEO, JULIET))
    assert await ended == 0
    assert await server.accounts.count("example.org") == 40
    assert await server.archive.bounds(ROMEO) == (1, id_)
    await server.close()


@pytest.mark.parametrize("seed", range(3))
async def test_killed_at_any_moment_nothing_acknowledged_is_lost(tmp_path: Path, seed: int) -> None:
    path, chance, acknowledged = tmp_path / "xmppd.db", random.Random(seed), set[int]()
    for _ in range(2):
        child = await asyncio.create_subprocess_exec(
            *child_command("acknowledge", path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert child.stdout is not None
        for _ in range(chance.randrange(1, 1500)):
            acknowledged.add(int(await child.stdout.readline()))
        child.kill()
        rest = (await child.stdout.read()).split(b"\n")[:-1]
        acknowledged.update(int(line) for line in rest)
        await child.wait()
    backend = SqliteBackend(path)
    await backend.open()
    page = await backend.archive.query("user0@example.org", ArchiveQuery(limit=10**6))
    found = {message.id: message for message in page.messages}
    assert acknowledged <= found.keys()
    for id_, message in found.items():
        assert message.stanza == b"x" * (id_ % 3000)
        assert await backend.archive.has(message.peer, id_)
    await backend.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small file system needs the right to mount: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_a_disk_that_is_really_full_loses_nothing_and_recovers(small_disk: Path, quick_retries: None) -> None:
    backend = SqliteBackend(small_disk / "xmppd.db", commit_window_ms=0)
    await backend.open()
    filler = small_disk / "filler"
    fill(filler)
    commits = []
    while not backend.is_full:
        try:
            commits.append(backend.archive.append(len(commits) + 1, b"x" * 20_000, both(ROMEO, JULIET)))
        except StorageFull:
            break
        await backend.flush()
    assert not commits[-1].done
    with pytest.raises(StorageFull, match="no room"):
        backend.keyval("a").set(ROMEO, b"1")
    filler.unlink()
    for commit in commits:
        await commit
    await backend.keyval("a").set(ROMEO, b"1")
    page = await backend.archive.query(ROMEO, ArchiveQuery(limit=1000))
    assert ids(page.messages) == list(range(1, len(commits) + 1))
    await backend.close()


def fill(path: Path) -> None:
    """Write until there is no room."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass
