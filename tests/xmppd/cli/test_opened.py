"""Work on the storage from the command line: it is opened for it, and closed whatever comes of it."""

from pathlib import Path

import pytest

from storage.interface import Backend, StorageError
from xmppd.cli.opened import on_storage, with_storage
from xmppd.config_sources import load_config
from xmppd.storage_url import open_backend


def url(folder: Path) -> str:
    return f"sqlite:{folder}/x.db"


async def keep(backend: Backend) -> None:
    await backend.keyval("test").set("owner", b"value")


async def kept(backend: Backend) -> bytes | None:
    return await backend.keyval("test").get("owner")


def test_what_one_piece_of_work_keeps_the_next_one_finds(tmp_path: Path) -> None:
    on_storage(url(tmp_path), keep, None)
    assert on_storage(url(tmp_path), kept, None) == b"value"


def test_it_is_closed_when_the_work_breaks(tmp_path: Path) -> None:
    async def broken(_: Backend) -> None:
        raise KeyError("broken")

    with pytest.raises(KeyError):
        on_storage(url(tmp_path), broken, None)
    on_storage(url(tmp_path), keep, None)  # its lock is free again


def test_one_alone_has_it_unless_it_may_be_shared(tmp_path: Path) -> None:
    async def within(_: Backend) -> None:
        second = open_backend(url(tmp_path), exclusive=True)
        with pytest.raises(StorageError):
            await second.open()
        shared = open_backend(url(tmp_path), exclusive=False)
        await shared.open()
        await shared.close()

    on_storage(url(tmp_path), within, None)


def test_it_is_prepared_before_it_is_opened(tmp_path: Path) -> None:
    steps: list[str] = []

    async def prepare(_: Backend) -> None:
        steps.append("prepared")

    async def work(backend: Backend) -> None:
        steps.append("opened")
        await keep(backend)

    on_storage(url(tmp_path), work, None, prepare=prepare)
    assert steps == ["prepared", "opened"]


def test_the_storage_of_the_settings_has_its_folder_made(tmp_path: Path) -> None:
    config = load_config(None, [f'server.data_dir="{tmp_path}/new"', "c2s.require_tls=false"], {})
    with_storage(config, keep)
    assert with_storage(config, kept) == b"value"
