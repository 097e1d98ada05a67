"""Uploads as a whole: one file, one slot, and nothing left of what went wrong."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from storage.interface import StorageError
from storage.memory import MemoryBackend
from tests.support.world import FakeClock
from xmppd.logs import get_logger
from xmppd.metrics import Metrics
from xmppd.uploads.disk import DiskStore
from xmppd.uploads.ledger import Quotas
from xmppd.uploads.service import Rules, TooLarge, Uploads, WrongSize
from xmppd.uploads.slots import Slot, SlotError
from xmppd.uploads.store import AlreadyThere, DirectStore, MediaError

ROMEO = "romeo@example.org"
QUOTAS = Quotas(0, 0, 0, 0, 300, 86_400)


class Elsewhere(DirectStore):
    """A store that takes files by itself; it remembers what it was asked."""

    def __init__(self) -> None:
        self.deleted: list[str] = []

    async def open(self) -> None: ...

    async def has(self, key: str) -> bool:
        return False

    async def delete(self, keys: Collection[str]) -> None:
        self.deleted += keys

    async def sweep(self, before_s: float) -> int:
        raise MediaError("no answer")

    def place(self, key: str) -> str:
        return f"media/{key}"

    def put_url(self, key: str, size: int, type_: str, now: datetime, expires_s: int) -> str:
        return f"https://s3.example/{key}?{size}&{type_}&{expires_s}"

    def get_url(self, key: str, answer: Mapping[str, str], now: datetime, expires_s: int, method: str = "GET") -> str:
        return f"https://s3.example/{key}"


def uploads(store: Any, cdn_url: str = "") -> Uploads:
    rules = Rules(1000, QUOTAS, lambda domain: f"https://{domain}", cdn_url)
    return Uploads(store, MemoryBackend().map("files"), b"secret", rules, FakeClock(), Metrics(), get_logger("test"))


@pytest.fixture
async def disk(tmp_path: Path) -> Uploads:
    store = DiskStore(tmp_path)
    await store.open()
    return uploads(store)


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


async def slot(service: Uploads, size: int = 4, name: str = "a.jpg") -> Slot:
    put, _ = await service.slot(ROMEO, "example.org", name, size, "image/jpeg")
    path, _, token = put.partition("?slot=")
    *_, key, last = path.split("/")
    return service.check(key, last, token)


def files(service: Uploads) -> list[Path]:
    assert isinstance(service.store, DiskStore)
    return [path for path in service.store.folder.rglob("*") if path.is_file()]


async def test_a_file_above_the_limit_gets_no_slot(disk: Uploads) -> None:
    with pytest.raises(TooLarge):
        await slot(disk, 1001)
    assert (await slot(disk, 1000)).size == 1000


@pytest.mark.parametrize("data", [(b"dat",), (b"da", b"ta!"), ()])
async def test_more_or_less_than_was_said_leaves_nothing(disk: Uploads, data: tuple[bytes, ...]) -> None:
    with pytest.raises(WrongSize):
        await disk.receive(await slot(disk), pieces(*data))
    assert not files(disk)
    assert disk.metrics.media["failed"] == 1


async def test_nothing_is_read_beyond_what_was_said(disk: Uploads) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"xx"

    with pytest.raises(WrongSize):
        await disk.receive(await slot(disk), endless())
    assert read == 3


async def test_one_that_is_cancelled_leaves_nothing(disk: Uploads) -> None:
    begun = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        yield b"da"
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(disk.receive(await slot(disk), stuck()))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not files(disk)
    assert not disk._coming


async def test_a_file_whose_record_cannot_be_written_is_not_kept(
    disk: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = await slot(disk)

    async def fail(*_: str) -> bool:
        raise StorageError("broken")

    monkeypatch.setattr(disk._ledger, "confirm", fail)
    with pytest.raises(StorageError):
        await disk.receive(given, pieces(b"data"))
    assert not files(disk)


async def test_a_used_slot_is_told_from_one_that_is_gone(disk: Uploads) -> None:
    given = await slot(disk)
    await disk.receive(given, pieces(b"data"))
    with pytest.raises(AlreadyThere):
        await disk.receive(given, pieces(b"data"))
    await disk.forget(ROMEO)
    with pytest.raises(SlotError):
        await disk.receive(given, pieces(b"data"))
    assert not files(disk)


async def test_a_store_that_takes_files_itself_gets_them_directly() -> None:
    service = uploads(Elsewhere())
    put, get = await service.slot(ROMEO, "example.org", "a.jpg", 10, "image/jpeg")
    assert put.startswith("https://s3.example/")
    assert put.endswith("?10&image/jpeg&300")
    assert get.startswith("https://example.org/upload/")


@pytest.mark.parametrize(
    ("said", "signed"), [("Text/Plain; charset=utf-8", "Text/Plain; charset=utf-8"), ("a/b\r\nx: y", ""), ("none", "")]
)
async def test_a_store_is_told_the_type_as_the_client_will_say_it(said: str, signed: str) -> None:
    put, _ = await uploads(Elsewhere()).slot(ROMEO, "example.org", "a.txt", 10, said)
    assert put.endswith(f"?10&{signed}&300")


async def test_a_cdn_is_for_what_may_be_shown_alone() -> None:
    service = uploads(Elsewhere(), "https://cdn.example")
    _, picture = await service.slot(ROMEO, "example.org", "a.jpg", 10, "image/jpeg")
    _, page = await service.slot(ROMEO, "example.org", "a.html", 10, "text/html")
    assert picture.startswith("https://cdn.example/media/")
    assert page.startswith("https://example.org/upload/")


async def test_an_account_s_files_go_from_the_store() -> None:
    store = Elsewhere()
    service = uploads(store)
    await service.slot(ROMEO, "example.org", "a.jpg", 10, "image/jpeg")
    await service.forget(ROMEO)
    assert len(store.deleted) == 1


async def test_a_sweep_that_fails_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store, calls = Elsewhere(), 0
    enough = asyncio.Event()

    async def sweep(_: float) -> int:
        nonlocal calls
        calls += 1
        if calls == 3:
            enough.set()
        raise MediaError("no answer")

    monkeypatch.setattr(store, "sweep", sweep)
    monkeypatch.setattr("xmppd.uploads.service.SWEEP_S", 0.0)
    task = asyncio.create_task(uploads(store).keep_swept())
    await asyncio.wait_for(enough.wait(), 5)
    task.cancel()
