"""Files go from a stock client library to a real S3 server and from it to others; ours signs the URLs and touches no byte."""

import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bench.accounts import PASSWORD
from storage.memory import MemoryBackend
from tests.support.person import Person
from tests.support.s3 import S3, s3
from tests.support.server import ServerProcess
from tests.support.world import FakeClock
from xmppd.clock import Clock
from xmppd.config import Config
from xmppd.logs import get_logger
from xmppd.metrics import Metrics
from xmppd.uploads.opening import open_uploads
from xmppd.uploads.service import Uploads
from xmppd.uploads.store import MediaError

__all__ = ["s3"]

pytestmark = [pytest.mark.system, pytest.mark.timeout(300)]

ROMEO = "romeo@localhost"
MIB, GIB = 1_048_576, 1_073_741_824
PAGE = b"<script>alert(1)</script>"


@pytest.fixture(scope="module")
def server(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Our server with that store."""
    settings: dict[str, Any] = {
        **s3.settings_of_server(),
        "media.max_file_bytes": 2_000_000_000,
        "media.daily_bytes": 0,
    }
    with ServerProcess(tmp_path_factory.mktemp("server"), settings=settings) as server:
        server.add_account(ROMEO, PASSWORD)
        yield server


@pytest.fixture
async def romeo(server: ServerProcess) -> Any:
    person = Person(ROMEO, PASSWORD, ca=None, plugins=("xep_0030", "xep_0199", "xep_0363", "xep_0128"))
    yield await person.login(server.c2s_port)
    await person.leave()


async def uploads(s3: S3, clock: Clock | None = None, **media: Any) -> Uploads:
    """Uploads on that store, without a server around them."""
    given = {name.removeprefix("media."): value for name, value in s3.settings_of_server().items()}
    config = Config.model_validate({"media": given | media})
    return await open_uploads(config, MemoryBackend(), clock or Clock(), Metrics(), get_logger("test"))


async def put(url: str, data: bytes, type_: str = "image/png") -> int:
    headers = {"Content-Type": type_}
    async with aiohttp.ClientSession() as session, session.put(url, data=data, headers=headers) as answer:
        return answer.status


async def test_a_picture_goes_to_the_store_and_is_seen_by_another(server: ServerProcess, romeo: Person, s3: S3) -> None:
    data = b"\x89PNG" + bytes(range(256)) * 4000
    url = await romeo.plugin["xep_0363"].upload_file(
        Path("a.png"), len(data), "image/png", input_file=io.BytesIO(data), timeout=10
    )
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert (answer.status, answer.content_type, await answer.read()) == (200, "image/png", data)
        assert answer.url.port == s3.port
    assert [path.parent.name for path in s3.files()].count("media") == 1
    assert not (server.folder / "data" / "media").exists()


async def test_a_page_is_saved_and_not_shown(romeo: Person) -> None:
    url = await romeo.plugin["xep_0363"].upload_file(
        Path("page.html"), len(PAGE), "text/html", input_file=io.BytesIO(PAGE), timeout=10
    )
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert await answer.read() == PAGE
        assert answer.content_type == "application/octet-stream"
        assert answer.headers["Content-Disposition"].startswith("attachment;")


async def test_parts_are_given(romeo: Person) -> None:
    url = await romeo.plugin["xep_0363"].upload_file(
        Path("a.mp4"), 10, "video/mp4", input_file=io.BytesIO(b"0123456789"), timeout=10
    )
    async with aiohttp.ClientSession() as session:
        async with session.get(url, headers={"Range": "bytes=2-4"}) as answer:
            assert (answer.status, await answer.read()) == (206, b"234")
        async with session.head(url, allow_redirects=True) as answer:
            assert (answer.status, answer.headers["Content-Length"]) == (200, "10")


async def test_the_store_itself_refuses_what_a_slot_is_not_for(s3: S3) -> None:
    service, before = await uploads(s3), len(s3.files())
    url, _ = await service.slot(ROMEO, "localhost", "a.png", 10, "image/png")
    assert await put(url, b"0123456789!") == 403
    assert await put(url, b"012345678") == 403
    assert await put(url, b"0123456789", "text/html") == 403
    assert await put(url.replace("X-Amz-Expires=300", "X-Amz-Expires=9999"), b"0123456789") == 403
    assert len(s3.files()) == before
    assert await put(url, b"0123456789") == 200


async def test_a_slot_ends(s3: S3) -> None:
    clock = FakeClock()  # some time ago
    service = await uploads(s3, clock)
    url, _ = await service.slot(ROMEO, "localhost", "a.png", 10, "image/png")
    assert await put(url, b"0123456789") == 403


async def test_nobody_reads_or_writes_without_a_signature(s3: S3) -> None:
    service = await uploads(s3)
    url, _ = await service.slot(ROMEO, "localhost", "a.png", 1, "image/png")
    assert await put(url, b"x") == 200
    bare = url.partition("?")[0]
    assert await put(bare, b"y") == 403
    async with aiohttp.ClientSession() as session, session.get(bare) as answer:
        assert answer.status == 403


async def test_a_cdn_reads_under_the_name_that_is_told(s3: S3) -> None:
    service = await uploads(s3, cdn_url="https://cdn.example")
    url, get = await service.slot(ROMEO, "localhost", "a.png", 1, "image/png")
    assert await put(url, b"x") == 200
    assert get.removeprefix("https://cdn.example/") in {str(path.relative_to(s3.bucket)) for path in s3.files()}


async def test_files_that_went_to_the_store_count(s3: S3) -> None:
    service = await uploads(s3, open_slots=1)
    for number in range(3):
        url, _ = await service.slot(ROMEO, "localhost", "a.png", 1, "image/png")
        assert await put(url, b"x") == 200, number


async def test_an_account_s_files_go_and_old_ones_go(s3: S3) -> None:
    service = await uploads(s3)
    for _ in range(3):
        url, _ = await service.slot("leaver@localhost", "localhost", "a.png", 1, "image/png")
        assert await put(url, b"x") == 200
    before = len(s3.files())
    await service.forget("leaver@localhost")
    assert len(s3.files()) == before - 3
    assert await service.store.sweep(0) == 0
    assert await service.store.sweep(Clock().now().timestamp() + 100) == before - 3
    assert not s3.files()


async def test_a_wrong_secret_is_said_at_the_start(s3: S3) -> None:
    with pytest.raises(MediaError, match=r"media\.url: the bucket does not let us in"):
        await uploads(s3, s3_secret_key="wrong")


async def test_a_gibibyte_goes_up_and_down_beside_our_server(server: ServerProcess, romeo: Person, s3: S3) -> None:
    slot = await romeo.plugin["xep_0363"].request_slot("upload.localhost", "big.bin", GIB, "application/octet-stream")
    before, highest, piece, size = server.rss_bytes(), 0, bytes(MIB), 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal highest
        for _ in range(GIB // MIB):
            yield piece
            highest = max(highest, server.rss_bytes())

    headers = {"Content-Length": str(GIB), "Content-Type": "application/octet-stream"}
    async with aiohttp.ClientSession() as session:
        async with session.put(slot["http_upload_slot"]["put"]["url"], data=body(), headers=headers) as answer:
            assert answer.status == 200
        async with session.get(slot["http_upload_slot"]["get"]["url"]) as answer:
            async for part in answer.content.iter_chunked(MIB):
                size += len(part)
                highest = max(highest, server.rss_bytes())
    assert size == GIB
    assert highest - before < 8 * MIB
    for path in s3.files():
        path.unlink()


async def test_an_upload_that_is_cut_leaves_nothing_in_the_store(romeo: Person, s3: S3) -> None:
    slot = await romeo.plugin["xep_0363"].request_slot("upload.localhost", "cut.png", 10 * MIB, "image/png")
    put_url, get_url = (slot["http_upload_slot"][name]["url"] for name in ("put", "get"))

    async def body() -> AsyncIterator[bytes]:
        yield bytes(MIB)
        raise ConnectionError("the tunnel")

    headers = {"Content-Length": str(10 * MIB), "Content-Type": "image/png"}
    async with aiohttp.ClientSession() as session:
        with pytest.raises((aiohttp.ClientError, ConnectionError)):
            await session.put(put_url, data=body(), headers=headers)
        async with session.get(get_url) as answer:
            assert answer.status == 404
