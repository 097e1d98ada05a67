"""A stock client library sends files through our server onto its disk, and others read them; bytes never touch the database."""

import asyncio
import io
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from slixmpp.exceptions import IqError
from slixmpp.plugins.xep_0363.http_upload import FileTooBig

from bench.accounts import PASSWORD
from tests.support.daemon import DaemonError, port_open, wait_until
from tests.support.server import ServerProcess
from tests.system.conftest import Login

SETTINGS = {"media.max_file_bytes": 1_200_000_000, "media.quota_bytes": 3_000_000_000, "media.daily_bytes": 0}
PLUGINS = ("xep_0363", "xep_0128")
MIB = 1_048_576

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]


def stored(server: ServerProcess) -> list[Path]:
    return [path for path in (server.folder / "data" / "media").rglob("*") if path.is_file()]


async def test_a_picture_is_sent_and_seen_by_another(server: ServerProcess, login: Login) -> None:
    romeo = await login(plugins=PLUGINS)
    data = b"\x89PNG" + bytes(range(256)) * 4000
    url = await romeo.plugin["xep_0363"].upload_file(
        Path("bälcony.png"), len(data), "image/png", input_file=io.BytesIO(data), timeout=10
    )
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert (answer.status, answer.content_type, await answer.read()) == (200, "image/png", data)
    assert url.endswith(".png/b%C3%A4lcony.png")
    database = server.folder / "data" / "xmppd.db"
    assert b"\x89PNG" + bytes(range(256)) not in database.read_bytes()


async def test_the_library_finds_the_limit_and_the_server_keeps_it(login: Login) -> None:
    romeo = await login(plugins=PLUGINS)
    with pytest.raises(FileTooBig):
        await romeo.plugin["xep_0363"].upload_file(
            Path("x.png"), 1_200_000_001, "image/png", input_file=io.BytesIO(b"")
        )
    with pytest.raises(IqError) as caught:
        await romeo.plugin["xep_0363"].request_slot("upload.localhost", "x.png", 1_200_000_001, "image/png")
    assert caught.value.condition == "not-acceptable"


async def test_a_gibibyte_goes_up_and_down_in_bounded_memory(server: ServerProcess, login: Login) -> None:
    romeo = await login(plugins=PLUGINS)
    slot = await romeo.plugin["xep_0363"].request_slot(
        "upload.localhost", "big.bin", 1024 * MIB, "application/octet-stream"
    )
    put, get = slot["http_upload_slot"]["put"]["url"], slot["http_upload_slot"]["get"]["url"]
    before, piece = server.rss_bytes(), bytes(range(256)) * 4096
    highest = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal highest
        for _ in range(1024):
            yield piece
            highest = max(highest, server.rss_bytes())

    headers = {"Content-Length": str(1024 * MIB), "Content-Type": "application/octet-stream"}
    async with aiohttp.ClientSession() as session:
        async with session.put(put, data=body(), headers=headers) as answer:
            assert answer.status == 201
        size = 0
        async with session.get(get) as answer:
            async for part in answer.content.iter_chunked(MIB):
                size += len(part)
                highest = max(highest, server.rss_bytes())
    assert size == 1024 * MIB
    assert highest - before < 16 * MIB
    for path in stored(server):
        if path.stat().st_size > MIB:
            path.unlink()


async def test_files_outlive_a_kill_and_half_ones_do_not(server: ServerProcess, login: Login) -> None:
    romeo = await login(plugins=PLUGINS)
    plugin = romeo.plugin["xep_0363"]
    url = await plugin.upload_file(Path("a.png"), 5, "image/png", input_file=io.BytesIO(b"whole"), timeout=10)
    slot = await plugin.request_slot("upload.localhost", "half.png", 10 * MIB, "image/png")
    put = slot["http_upload_slot"]["put"]["url"]
    before = len(stored(server))
    _, writer = await asyncio.open_connection("127.0.0.1", server.http_port)
    path = put.partition(f":{server.http_port}")[2]
    writer.write(f"PUT {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {10 * MIB}\r\n\r\n".encode() + b"x" * MIB)
    await writer.drain()
    while len(stored(server)) == before:  # noqa: ASYNC110  the server's disk tells nobody
        await asyncio.sleep(0.02)
    server.kill9()
    writer.close()
    server.start()
    await asyncio.to_thread(wait_until, lambda: port_open(server.http_port), "the HTTP side")
    assert len(stored(server)) == before
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            assert await answer.read() == b"whole"
        async with session.put(put, data=b"y" * 10 * MIB, headers={"Content-Type": "image/png"}) as answer:
            assert answer.status == 201, "a slot is good after a crash"


@pytest.mark.parametrize("is_running", [True, False])
async def test_the_files_of_a_deleted_account_go(server: ServerProcess, login: Login, is_running: bool) -> None:
    jid = f"leaver{is_running}@localhost".lower()
    server.add_account(jid, PASSWORD)
    leaver = await login(jid, plugins=PLUGINS)
    before = len(stored(server))
    await leaver.plugin["xep_0363"].upload_file(
        Path("a.png"), 3, "image/png", input_file=io.BytesIO(b"abc"), timeout=10
    )
    assert len(stored(server)) == before + 1
    if not is_running:
        await leaver.leave()
        server.terminate()
    await asyncio.to_thread(server.run_command, "account", "del", jid)
    assert len(stored(server)) == before
    if not is_running:
        server.start()
        await asyncio.to_thread(wait_until, lambda: port_open(server.http_port), "the HTTP side")


def test_a_store_that_cannot_be_used_ends_the_start_with_one_line(tmp_path: Path) -> None:
    (tmp_path / "media").write_text("in the way")
    server = ServerProcess(tmp_path, settings={"media.url": f"file:{tmp_path / 'media'}"})
    with pytest.raises(DaemonError, match=r"media\.url"):
        server.start()
    assert "Traceback" not in server.log_text()
