"""Files on disk: whole or not at all, written once, gone when they are old."""

import os
from pathlib import Path

import pytest

from xmppd.uploads.disk import DiskStore
from xmppd.uploads.store import AlreadyThere, MediaError, MediaFull

KEY = "ab" + "c" * 30 + ".jpg"


@pytest.fixture
async def store(tmp_path: Path) -> DiskStore:
    store = DiskStore(tmp_path / "media")
    await store.open()
    return store


async def write(store: DiskStore, key: str = KEY, data: bytes = b"data") -> Path:
    writing = await store.begin(key)
    await writing.write(data)
    await writing.finish()
    writing.discard()
    return store.path(key)


def everything(store: DiskStore) -> list[Path]:
    return [path for path in store.folder.rglob("*") if path.is_file()]


async def test_a_file_is_seen_when_it_is_whole(store: DiskStore) -> None:
    writing = await store.begin(KEY)
    await writing.write(b"one ")
    assert not await store.has(KEY)
    await writing.write(b"two")
    await writing.finish()
    assert await store.has(KEY)
    assert [path.read_bytes() for path in everything(store)] == [b"one two"]


async def test_what_is_given_up_leaves_nothing(store: DiskStore) -> None:
    writing = await store.begin(KEY)
    await writing.write(b"one ")
    writing.discard()
    assert not everything(store)


async def test_a_file_is_never_written_over(store: DiskStore) -> None:
    late = await store.begin(KEY)
    path = await write(store)
    await late.write(b"other")
    with pytest.raises(AlreadyThere):
        await late.finish()
    late.discard()
    with pytest.raises(AlreadyThere):
        await store.begin(KEY)
    assert [found.read_bytes() for found in everything(store)] == [b"data"]
    assert path.read_bytes() == b"data"


async def test_it_is_durable_before_it_has_its_name(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, link = os.fsync, os.link
    monkeypatch.setattr(os, "fsync", lambda fd: (done.append("fsync"), fsync(fd)))
    monkeypatch.setattr(os, "link", lambda *names: (done.append("link"), link(*names)))
    (store.folder / "ab").mkdir()
    await write(store)
    assert done == ["fsync", "link", "fsync"]


async def test_a_full_disk_is_said_and_leaves_nothing(store: DiskStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    (store.folder / "ab").mkdir()
    writing = await store.begin(KEY)
    await writing.write(b"x")
    with pytest.raises(MediaFull):
        await writing.finish()
    writing.discard()
    assert not everything(store)


async def test_a_start_removes_what_a_crash_left(store: DiskStore) -> None:
    await write(store)
    await (await store.begin("x" * 32 + ".png")).write(b"half")
    await DiskStore(store.folder).open()
    assert [path.name for path in everything(store)] == [KEY]


async def test_old_files_are_swept_and_young_ones_stay(store: DiskStore) -> None:
    old, young = await write(store), await write(store, "xy" + "c" * 30 + ".png")
    os.utime(old, (1000, 1000))
    assert await store.sweep(2000) == 1
    assert everything(store) == [young]


async def test_files_are_removed_and_missing_ones_do_not_count(store: DiskStore) -> None:
    await write(store)
    await store.delete([KEY, "n" * 32 + ".bin", "../../etc/passwd"])
    assert not everything(store)


async def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "media").write_text("in the way")
    with pytest.raises(MediaError, match=r"media\.url: .*media"):
        await DiskStore(tmp_path / "media").open()
