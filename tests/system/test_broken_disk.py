"""A disk that is full, and a database that cannot be used: nothing acknowledged is lost, and the operator gets one clear line."""

import asyncio
import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.accounts import write_accounts
from bench.client import CLIENT
from tests.support.raw import Guest
from tests.support.server import ServerProcess

SETTINGS = {"c2s.require_tls": False, "log.level": "warning"}

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]


def make_server(folder: Path) -> ServerProcess:
    """Return a server with the accounts romeo and juliet, not started."""
    server = ServerProcess(folder, settings={**SETTINGS, "storage.url": f"sqlite:{folder}/data/xmppd.db"})
    asyncio.run(write_accounts(folder / "data" / "xmppd.db", ["romeo", "juliet"]))
    return server


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(place)], check=False, capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no small disk here: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path) -> Path:
    """Write a file that leaves no room, and return it."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(b"\0" * size):
                    pass
            except OSError:
                continue
    assert shutil.disk_usage(disk).free == 0
    return filler


class Talk:
    """Romeo, with stream management, who tells Juliet one thing after the other."""

    def __init__(self, romeo: Guest, juliet: Guest) -> None:
        self.romeo, self.juliet = romeo, juliet
        self.said = 0

    async def say(self) -> str:
        """Say the next thing; return "acknowledged", or the condition of the error that came for it, or "silence"."""
        self.said += 1
        id_ = f"m{self.said}"
        stanza = f"<message to='{self.juliet.bare}' type='chat' id='{id_}'><body>{'x' * 3000} {id_}</body></message>"
        self.romeo.send(stanza)
        self.romeo.request_acknowledgement()

        def outcome() -> str:
            for got in self.romeo.inbox.stanzas:
                if got.get("id") == id_ and got.get("type") == "error":
                    error = got.find(f"{{{CLIENT}}}error")
                    return "error" if error is None else error[0].tag.rpartition("}")[2]
            return "acknowledged" if stanza in self.romeo.inbox.acknowledged else ""

        try:
            async with asyncio.timeout(3):
                while not outcome():
                    self.romeo.inbox.changed.clear()
                    await self.romeo.inbox.changed.wait()
                await self.romeo.ping()  # an error may come right after the acknowledgement
        except TimeoutError:
            return "silence"
        return outcome()


async def say_until(talk: Talk, wanted: bool, patience_s: float = 20) -> str:
    """Say things until one is (or is not) acknowledged, and return what came of it."""
    never = asyncio.Event()
    async with asyncio.timeout(patience_s):
        while True:
            came = await talk.say()
            if (came == "acknowledged") is wanted:
                return came
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(never.wait(), 0.02)


def test_a_full_disk_refuses_messages_and_the_server_recovers_by_itself(small_disk: Path) -> None:
    with make_server(small_disk / "server") as server:
        asyncio.run(fill_and_free(server, small_disk))
        assert server.is_running()


async def fill_and_free(server: ServerProcess, disk: Path) -> None:
    romeo = await Guest("romeo@localhost").enter(server.c2s_port, managed=True)
    juliet = await Guest("juliet@localhost").enter(server.c2s_port)
    talk = Talk(romeo, juliet)
    assert await talk.say() == "acknowledged"
    filler = fill(disk)
    assert await say_until(talk, wanted=False) in ("resource-constraint", "silence")
    await juliet.ping()
    filler.unlink()
    if romeo.transport is None:
        romeo = talk.romeo = await Guest("romeo@localhost").enter(server.c2s_port, managed=True)
    await say_until(talk, wanted=True)
    await every_acknowledged_message_is_archived(romeo)
    for guest in (romeo, juliet):
        guest.cut()


async def every_acknowledged_message_is_archived(romeo: Guest) -> None:
    """Compare what the server answered for, and gave no error for, with the archive."""
    archived: list[str] = []
    await romeo.archive(lambda _, message: archived.append(message.get("id") or ""))
    refused = {s.get("id") for s in romeo.inbox.stanzas if s.get("type") == "error"}
    promised = [
        stanza.partition(" id='")[2].partition("'")[0] for stanza in romeo.inbox.acknowledged if "<message" in stanza
    ]
    assert [id_ for id_ in promised if id_ not in archived and id_ not in refused] == []
    assert len(archived) == len(set(archived))


def failed_start(server: ServerProcess) -> tuple[int, list[str]]:
    """Start a server that cannot; return its exit status and what it wrote."""
    server.spawn()
    status = server.wait_ended(20)
    return status, [line for line in server.log_text().splitlines() if line.strip()]


@pytest.mark.parametrize("damage", ["header", "schema"])
def test_a_corrupt_database_is_one_clear_line_at_start(tmp_path: Path, damage: str) -> None:
    server = make_server(tmp_path / "server")
    database = tmp_path / "server" / "data" / "xmppd.db"
    for extra in ("-wal", "-shm"):
        database.with_name(database.name + extra).unlink(missing_ok=True)
    content = bytearray(database.read_bytes())
    content[: 16 if damage == "header" else 0] = b"not a database!!" if damage == "header" else b""
    if damage == "schema":
        content[100:4096] = b"\xff" * (4096 - 100)
    database.write_bytes(bytes(content))
    status, lines = failed_start(server)
    assert status != 0
    assert len(lines) == 1, "\n".join(lines)
    assert str(database) in lines[0]


def test_a_second_server_on_the_same_data_says_so_in_one_line(tmp_path: Path) -> None:
    with make_server(tmp_path / "server") as first:
        second = ServerProcess(
            tmp_path / "second",
            settings={
                **SETTINGS,
                "storage.url": first.settings["storage.url"],
                "server.data_dir": str(tmp_path / "second" / "data"),
            },
        )
        status, lines = failed_start(second)
        assert status != 0
        assert len(lines) == 1, "\n".join(lines)
        assert "xmppd.db" in lines[0]
        assert first.is_running()
