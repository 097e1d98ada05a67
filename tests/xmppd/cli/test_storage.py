"""`xmppd storage`: what it makes, finds, copies; killed in the middle, it goes on."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from storage.interface import AccountRecord, ArchiveCopy, Backend, CopyRecord
from xmppd.cli import storage
from xmppd.storage_url import open_backend

ROMEO, JULIET = "romeo@example.org", "juliet@example.org"
MESSAGE = b"<message from='juliet@example.org' to='romeo@example.org'><body>hi</body></message>"
ROOT = Path(__file__).resolve().parents[3]

KILLED_AT = """
import os, signal, sys
from storage.sqlite.backend import SqliteBackend
from xmppd.cli import app

inner, left = SqliteBackend.import_owner, [{stop}]

def import_owner(self, owner, records):
    left[0] -= 1
    if left[0] < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return inner(self, owner, records)

SqliteBackend.import_owner = import_owner
sys.exit(app.run(sys.argv[1:]))
"""
"""A command that is killed in the middle of its writes, after so many of them."""


def on(path: Path | str, work) -> None:
    """Do something with the storage in a file."""

    async def run() -> None:
        backend = open_backend(f"sqlite:{path}", exclusive=False)
        await backend.open()
        await work(backend)
        await backend.close()

    asyncio.run(run())


async def fill(backend: Backend, count: int = 50) -> None:
    for owner, peer in ((ROMEO, JULIET), (JULIET, ROMEO)):
        backend.accounts.create(AccountRecord(owner, {}, 1))
        records = [CopyRecord(id_, ArchiveCopy(owner, peer), MESSAGE) for id_ in range(1, count + 1)]
        for start in range(0, count, 500):
            await backend.import_owner(owner, records[start : start + 500])
    await backend.work.put("push", b"job")


async def everything(backend: Backend) -> list[object]:
    found: list[object] = [job async for job in backend.export_jobs()]
    async for owner in backend.owners():
        found += [(owner, record) async for record in backend.export_owner(owner)]
    return found


def contents(path: Path | str) -> list[object]:
    """Return all that is in a file."""
    found: list[object] = []

    async def read(backend: Backend) -> None:
        found.extend(await everything(backend))

    on(path, read)
    return found


def test_init_makes_the_storage_and_leaves_it_the_second_time(folder, run):
    done = run("storage", "init")
    assert (done.code, done.out) == (0, f"sqlite:{folder}/data/xmppd.db is ready\n")
    on("data/xmppd.db", fill)
    before = contents("data/xmppd.db")
    assert run("storage", "init").code == 0
    assert contents("data/xmppd.db") == before


def test_migrate_brings_an_old_file_up(folder, run):
    from storage.sqlite.schema import APPLICATION_ID, MIGRATIONS, VERSION

    (folder / "data").mkdir()
    old = sqlite3.connect("data/xmppd.db")
    for statement in MIGRATIONS[0]:
        old.execute(statement)
    old.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    old.execute("PRAGMA user_version = 1")
    old.commit()
    old.close()
    assert run("storage", "migrate").code == 0
    assert sqlite3.connect("data/xmppd.db").execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_check_counts_and_is_content(folder, run):
    run("storage", "init")
    on("data/xmppd.db", fill)
    done = run("storage", "check", "--json")
    assert done.code == 0
    found = {one["about"]: one for one in json.loads(done.out)}
    assert found["owners"]["detail"] == "2, all of whose records could be read"
    assert found["messages"]["detail"] == "100 read, each is one"
    assert {one["state"] for one in found.values()} <= {"ok", "warning"}


def test_check_finds_a_message_that_nobody_can_read(folder, run):
    run("storage", "init")

    async def spoil(backend: Backend) -> None:
        await backend.archive.append(7, b"\x00no dictionary", [ArchiveCopy(ROMEO, JULIET)])

    on("data/xmppd.db", spoil)
    done = run("storage", "check")
    assert done.code == 1
    assert f"1 cannot be read, the first 7 of {ROMEO}" in done.out
    assert run("storage", "check", "--quick").code == 0


def test_check_of_nothing_makes_nothing(folder, run):
    done = run("storage", "check")
    assert (done.code, done.err) == (1, f"xmppd: there is no {folder}/data/xmppd.db\n")
    assert not Path("data").exists()


def test_a_copy_has_all(empty, run):
    on("a.db", fill)
    done = run("storage", "copy", "--from", "sqlite:a.db", "--to", "sqlite:b.db")
    assert done.code == 0, done.err
    assert done.out.startswith("2 owners, 102 records, 1 jobs copied and compared in ")
    assert contents("b.db") == contents("a.db")
    assert run("storage", "copy", "--from", "sqlite:a.db", "--to", "sqlite:b.db", "--verify").code == 0


def test_a_difference_is_told_by_owner_count_and_hash(empty, run):
    on("a.db", fill)
    run("storage", "copy", "--from", "sqlite:a.db", "--to", "sqlite:b.db")
    with sqlite3.connect("b.db") as connection:
        connection.execute("UPDATE copy SET flags = 0 WHERE id = 7")
    done = run("storage", "copy", "--from", "sqlite:a.db", "--to", "sqlite:b.db", "--verify")
    assert done.code == 1
    assert done.err.startswith(f"xmppd: {JULIET}: the source has 51 records with hash ")


def test_a_second_copy_over_the_first_is_refused(empty, run):
    on("a.db", fill)
    run("storage", "copy", "--from", "sqlite:a.db", "--to", "sqlite:b.db")
    done = run("storage", "copy", "--from", "sqlite:a.db", "--to", "sqlite:b.db")
    assert done.err == f"xmppd: the target is not empty ({JULIET} is there): name one that is\n"


@pytest.mark.parametrize("used", ["a.db", "b.db"])
def test_a_server_on_either_side_is_told_of(empty, run, used):
    on("a.db", fill)

    async def copy_beside() -> None:
        backend = open_backend(f"sqlite:{used}", exclusive=True)
        await backend.open()
        try:
            done = await asyncio.to_thread(run, "storage", "copy", "--from", "sqlite:a.db", "--to", "sqlite:b.db")
        finally:
            await backend.close()
        assert done.err == f"xmppd: {used} is in use by another xmppd (process {os.getpid()}): end that one first\n"

    asyncio.run(copy_beside())


def test_nothing_is_copied_onto_itself_or_from_nowhere(empty, run):
    assert "the same storage" in run("storage", "copy", "--from", "sqlite:a.db", "--to", "sqlite:a.db").err
    assert "there is no a.db" in run("storage", "copy", "--from", "sqlite:a.db", "--to", "sqlite:b.db").err
    assert list(empty.iterdir()) == []


def test_a_copy_that_is_killed_goes_on(empty, run):
    on("a.db", lambda backend: fill(backend, 3_000))
    command = [sys.executable, "-m", "xmppd", "storage", "copy", "--from", "sqlite:a.db", "--to", "sqlite:b.db"]
    stops = (1, 3, 5)
    for stop in stops:
        killed = subprocess.run(
            [sys.executable, "-c", KILLED_AT.format(stop=stop), *command[3:]],
            check=False,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            timeout=60,
        )
        assert killed.returncode == -signal.SIGKILL
    there = len(contents("b.db"))
    assert 500 * 5 <= there < 6_000
    done = run(*command[3:])
    assert done.code == 0, done.err
    assert contents("b.db") == contents("a.db")


def test_passwords_of_a_cluster_are_not_shown():
    assert storage._shown("cassandra://admin:secret@h1,h2/ks") == "cassandra://h1,h2/ks"
    assert storage._identity("cassandra://admin:secret@h1/ks") == "cassandra://h1/ks"
