"""Files over HTTP: taken once and as they were announced, given out so that nothing of them runs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from storage.memory import MemoryBackend
from tests.support.world import FakeClock
from xmppd.clock import Clock
from xmppd.config import Config
from xmppd.logs import get_logger
from xmppd.metrics import Metrics
from xmppd.uploads import service as service_file
from xmppd.uploads.opening import open_uploads
from xmppd.uploads.service import Uploads
from xmppd.web import uploads as uploads_file
from xmppd.web.server import WebServer
from xmppd.web.uploads import add_uploads, headers_of

ROMEO = "romeo@example.org"
PAGE = b"<script>alert(1)</script>"


class Site:
    """An HTTP side with uploads, and a client of it."""

    def __init__(self, uploads: Uploads, clock: FakeClock, client: TestClient[Any, Any], folder: Path) -> None:
        self.uploads, self.clock, self.client, self.folder = uploads, clock, client, folder

    async def slot(self, name: str = "a.jpg", size: int = 4, type_: str = "image/jpeg", owner: str = ROMEO) -> str:
        """Return the path of a slot."""
        put, _ = await self.uploads.slot(owner, "example.org", name, size, type_)
        parts = urlsplit(put)
        return f"{parts.path}?{parts.query}"

    async def put(self, url: str, data: Any, type_: str | None = "image/jpeg", **headers: str) -> int:
        sent = headers | ({"Content-Type": type_} if type_ else {})
        skipped = () if type_ else ("Content-Type",)
        async with self.client.put(_url(url), data=data, headers=sent, skip_auto_headers=skipped) as answer:
            return answer.status

    async def upload(self, name: str = "a.jpg", data: bytes = b"data", type_: str = "image/jpeg") -> str:
        """Upload a file; return the path where it is read."""
        url = await self.slot(name, len(data), type_)
        assert await self.put(url, data, type_ or None) == 201
        return url.partition("?")[0]

    def get(self, url: str, **headers: str) -> Any:
        return self.client.get(_url(url), headers=headers)

    def files(self) -> list[bytes]:
        return [path.read_bytes() for path in self.folder.rglob("*") if path.is_file()]


def _url(text: str) -> URL:
    return URL(text, encoded=True)


async def until(holds: Callable[[], bool]) -> None:
    """Return when something holds that the other side of a socket brings about."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  the server has nothing to say of it
            await asyncio.sleep(0.005)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    config = Config.model_validate({"media": {"url": f"file:{tmp_path}"}})
    clock = FakeClock()
    uploads = await open_uploads(config, MemoryBackend(), clock, Metrics(), get_logger("test"))
    web = WebServer([])
    add_uploads(web.app, uploads)
    async with TestClient(TestServer(web.app)) as client:
        yield Site(uploads, clock, client, tmp_path)


async def test_a_file_is_taken_and_comes_back(site: Site) -> None:
    path = await site.upload("très cool.jpg")
    async with site.get(path) as answer:
        assert (answer.status, await answer.read()) == (200, b"data")
        assert answer.headers["Content-Type"] == "image/jpeg"
        assert answer.headers["Content-Disposition"] == "inline; filename*=UTF-8''tr%C3%A8s%20cool.jpg"
        assert "immutable" in answer.headers["Cache-Control"]
    assert site.uploads.metrics.media | {"stored": 1, "read": 1} == site.uploads.metrics.media
    assert site.uploads.metrics.media_bytes == 4


async def test_a_large_file_passes_in_pieces(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytes(range(256)) * 8192
    largest = 0
    receive = site.uploads.receive

    async def watch(slot: Any, pieces: AsyncIterator[bytes]) -> None:
        async def watched() -> AsyncIterator[bytes]:
            nonlocal largest
            async for piece in pieces:
                largest = max(largest, len(piece))
                yield piece

        await receive(slot, watched())

    monkeypatch.setattr(site.uploads, "receive", watch)
    path = await site.upload("big.bin", data, "")
    assert largest == uploads_file.PIECE_BYTES
    async with site.get(path) as answer:
        assert await answer.read() == data


# sizes that lie


@pytest.mark.parametrize(("data", "status"), [(b"dat", 400), (b"data!", 413), (b"", 400)])
async def test_another_size_than_was_said_is_refused_unread(site: Site, data: bytes, status: int) -> None:
    url = await site.slot()
    assert await site.put(url, data) == status
    assert not site.files()
    assert await site.put(url, b"data") == 201


async def test_a_body_without_a_length_is_refused(site: Site) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b"data"

    assert await site.put(await site.slot(), body()) == 411
    assert not site.files()


async def test_a_cut_upload_leaves_nothing_and_may_be_tried_again(site: Site) -> None:
    url = await site.slot(size=1_000_000)
    await _half(site, url, 300_000)
    await until(lambda: not site.uploads._coming)
    assert not site.files()
    assert await site.put(url, b"x" * 1_000_000) == 201


async def _half(site: Site, url: str, size: int) -> None:
    """Announce 1,000,000 bytes, send some and go."""
    _, writer = await asyncio.open_connection(site.client.host, site.client.port)
    head = f"PUT {url} HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: 1000000\r\n\r\n"
    writer.write(head.encode() + b"x" * size)
    await writer.drain()
    await until(lambda: bool(site.uploads._coming))
    writer.close()
    await writer.wait_closed()


async def test_an_upload_that_stands_still_is_ended(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads_file, "IDLE_S", 0.05)
    url = await site.slot(size=1000)
    reader, writer = await asyncio.open_connection(site.client.host, site.client.port)
    writer.write(f"PUT {url} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc".encode())
    assert (await reader.readline()).split()[1] == b"408"
    assert not site.files()
    writer.close()


# slots


async def test_a_slot_is_good_once(site: Site) -> None:
    url = await site.slot()
    assert await site.put(url, b"data") == 201
    assert await site.put(url, b"evil") == 409
    assert site.files() == [b"data"]


async def test_two_at_once_with_one_slot_make_one_file(site: Site) -> None:
    url = await site.slot(size=500_000)
    statuses = await asyncio.gather(*(site.put(url, bytes([n]) * 500_000) for n in range(4)))
    assert sorted(statuses) == [201, 409, 409, 409]
    assert len(site.files()) == 1


async def test_a_slot_ends(site: Site) -> None:
    url = await site.slot()
    site.clock.advance(301)
    assert await site.put(url, b"data") == 403


async def test_a_slot_is_for_its_own_name_and_key(site: Site) -> None:
    url, other = await site.slot("a.jpg"), await site.slot("b.jpg")
    token = other.partition("?")[2]
    assert await site.put(f"{url.partition('?')[0]}?{token}", b"data") == 403
    assert await site.put(other.replace("/b.jpg", "/c.html"), b"data") == 403
    assert await site.put(url.partition("?")[0], b"data") == 403
    assert not site.files()


async def test_another_type_than_was_said_is_refused(site: Site) -> None:
    url = await site.slot()
    assert await site.put(url, b"data", "text/html") == 415
    assert await site.put(url, b"data", "image/jpeg; x=y") == 201


async def test_the_slot_of_an_account_that_is_gone_is_gone(site: Site) -> None:
    url = await site.slot()
    await site.uploads.forget(ROMEO)
    assert await site.put(url, b"data") == 403
    assert not site.files()


async def test_an_account_that_goes_while_it_uploads_leaves_nothing(site: Site) -> None:
    url = await site.slot(size=1_000_000)

    class Body(aiohttp.payload.BytesPayload):
        async def write(self, writer: Any) -> None:
            await writer.write(b"x" * 500_000)
            await until(lambda: bool(site.uploads._coming))
            await site.uploads.forget(ROMEO)
            await writer.write(b"x" * 500_000)

        async def write_with_length(self, writer: Any, _: int | None) -> None:
            await self.write(writer)

    assert await site.put(url, Body(b"x" * 1_000_000)) == 403
    assert not site.files()


async def test_too_many_at_once_are_told_to_wait(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service_file, "COMING_OF_ONE", 0)
    assert await site.put(await site.slot(), b"data") == 503


# names


@pytest.mark.parametrize(
    "name",
    ["../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "a\0.jpg", "a\r\nX-Evil: 1.jpg", "…" * 900, "%", "?#&.jpg"],
)
async def test_names_lead_nowhere_else(site: Site, name: str) -> None:
    path = await site.upload(name)
    files = [found for found in site.folder.rglob("*") if found.is_file()]
    assert [found.parent.parent for found in files] == [site.folder]
    async with site.get(path) as answer:
        assert (answer.status, await answer.read()) == (200, b"data")
        assert "X-Evil" not in answer.headers
        assert answer.headers["Content-Disposition"].isascii()


@pytest.mark.parametrize(
    "path",
    [
        "/upload/../../etc/passwd",
        "/upload/..%2f..%2fetc%2fpasswd/x",
        "/upload/" + "a" * 32 + ".jpg/../../../etc/passwd",
        "/upload/" + "a" * 32 + ".jpg/x",
        "/upload/coming/x",
        "/upload/%00/x",
    ],
)
async def test_paths_that_lead_elsewhere_find_nothing(site: Site, path: str) -> None:
    async with site.get(path) as answer:
        assert answer.status == 404


# what a browser does with it


@pytest.mark.parametrize(
    ("name", "type_"),
    [
        ("page.html", "text/html"),
        ("page.jpg", "text/html"),
        ("drawing.svg", "image/svg+xml"),
        ("page.xhtml", "application/xhtml+xml"),
        ("script.js", "text/javascript"),
        ("page.html", ""),
        ("book.pdf", "application/pdf"),
        ("feed", "text/xml"),
    ],
)
async def test_what_could_run_is_saved_and_not_shown(site: Site, name: str, type_: str) -> None:
    async with site.get(await site.upload(name, PAGE, type_)) as answer:
        assert answer.headers["Content-Disposition"].startswith("attachment;")
        assert answer.headers["Content-Type"] in ("application/octet-stream", "application/pdf")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert await answer.read() == PAGE


async def test_a_page_called_a_picture_is_given_out_as_a_picture_that_runs_nothing(site: Site) -> None:
    async with site.get(await site.upload("page.html", PAGE, "image/png")) as answer:
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "sandbox" in policy
        assert "script" not in policy


async def test_another_ending_in_the_url_makes_it_nothing_else(site: Site) -> None:
    path = await site.upload("page.txt", PAGE, "text/plain")
    for other in (path.replace("page.txt", "page.html"), path.replace("page.txt", "%22;x=.html%0d%0aX-Evil:1")):
        async with site.get(other) as answer:
            assert answer.headers["Content-Type"] == "text/plain"
            assert answer.headers["Content-Disposition"].startswith("attachment;")
            assert "X-Evil" not in answer.headers
    async with site.get(path.replace(".txt/", ".jpg/")) as answer:
        assert answer.status == 404


async def test_refusals_are_no_pages_either(site: Site) -> None:
    async with site.client.put("/upload/" + "a" * 32 + ".jpg/<script>?slot=<script>", data=b"x") as answer:
        assert answer.status == 403
        assert answer.content_type == "text/plain"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "script" not in await answer.text()


# ranges and the rest


async def test_parts_of_a_file_are_given(site: Site) -> None:
    path = await site.upload("a.mp4", b"0123456789", "video/mp4")
    async with site.get(path, Range="bytes=2-4") as answer:
        assert (answer.status, await answer.read()) == (206, b"234")
        assert answer.headers["Content-Range"] == "bytes 2-4/10"
    async with site.get(path, Range="bytes=-3") as answer:
        assert await answer.read() == b"789"
    async with site.get(path, Range="bytes=10-") as answer:
        assert answer.status == 416


async def test_a_file_has_a_tag_and_is_not_sent_twice(site: Site) -> None:
    path = await site.upload()
    async with site.get(path) as answer:
        tag = answer.headers["ETag"]
    async with site.get(path, **{"If-None-Match": tag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")


async def test_head_tells_without_the_file(site: Site) -> None:
    async with site.client.head(_url(await site.upload())) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
        assert answer.headers["Content-Length"] == "4"
        assert answer.headers["Content-Type"] == "image/jpeg"


async def test_pages_from_elsewhere_may_upload_and_read(site: Site) -> None:
    url = await site.slot()
    async with site.client.options(_url(url), headers={"Origin": "https://web.example"}) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "PUT" in answer.headers["Access-Control-Allow-Methods"]
        assert "Content-Type" in answer.headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
    async with site.client.put(_url(url), data=b"data", headers={"Content-Type": "image/jpeg"}) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == "*"


async def test_a_file_that_has_expired_is_gone(site: Site) -> None:
    path = await site.upload()
    site.clock.moment = Clock().now()  # files on disk carry the real time
    assert await site.uploads.sweep() == 0
    site.clock.advance(61 * 86_400)
    assert await site.uploads.sweep() == 1
    async with site.get(path) as answer:
        assert answer.status == 404


def test_headers_are_plain_text() -> None:
    for value in headers_of("a" * 32 + ".jpg", "写\r\n真.jpg").values():
        assert value.isascii()
        assert "\r" not in value
