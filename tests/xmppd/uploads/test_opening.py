"""From settings to uploads: the store, and where others reach us."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from storage.memory import MemoryBackend
from xmppd.clock import Clock
from xmppd.config import Config
from xmppd.logs import get_logger
from xmppd.metrics import Metrics
from xmppd.uploads.disk import DiskStore
from xmppd.uploads.opening import base_url, open_uploads, remove_files, rules_of
from xmppd.uploads.store import MediaError


def config(http: str = "127.0.0.1:5280", **media: Any) -> Config:
    return Config.model_validate({"media": media, "http": {"listen": http}})


def test_others_reach_us_where_the_settings_say() -> None:
    assert (
        base_url(config(public_url="https://up.example/{domain}/"), "example.org") == "https://up.example/example.org"
    )


def test_without_a_setting_it_is_the_service_s_own_name_over_https() -> None:
    assert base_url(config(), "example.org") == "https://upload.example.org"
    assert base_url(config(prefix="share"), "example.org") == "https://share.example.org"


def test_on_this_machine_it_is_the_listener_itself() -> None:
    assert base_url(config("127.0.0.1:15280"), "localhost") == "http://127.0.0.1:15280"


def test_rules_are_the_settings() -> None:
    rules = rules_of(config(expire_days=2, slot_s=60, max_file_bytes=5, cdn_url="https://cdn.example/"))
    assert (rules.max_bytes, rules.quotas.expire_s, rules.quotas.slot_s) == (5, 172_800, 60)
    assert rules.cdn_url == "https://cdn.example"


async def test_files_go_to_the_folder_of_the_settings(tmp_path: Path) -> None:
    uploads = await open_uploads(
        config(url=f"file:{tmp_path}"), MemoryBackend(), Clock(), Metrics(), get_logger("test")
    )
    assert isinstance(uploads.store, DiskStore)
    assert uploads.store.folder == tmp_path


async def test_a_bucket_that_does_not_answer_is_said_at_the_start() -> None:
    settings = config(url="s3://bucket", s3_access_key="a", s3_secret_key="b", s3_endpoint="http://127.0.0.1:9")
    with pytest.raises(MediaError, match=r"media\.url: the bucket does not let us in"):
        await open_uploads(settings, MemoryBackend(), Clock(), Metrics(), get_logger("test"))


async def test_files_of_an_account_go_without_a_server_too(tmp_path: Path) -> None:
    settings, backend = config(url=f"file:{tmp_path}"), MemoryBackend()
    uploads = await open_uploads(settings, backend, Clock(), Metrics(), get_logger("test"))
    put, _ = await uploads.slot("romeo@example.org", "example.org", "a.jpg", 4, "")
    path, _, token = put.partition("?slot=")
    slot = uploads.check(path.split("/")[-2], "a.jpg", token)

    async def pieces() -> AsyncIterator[bytes]:
        yield b"data"

    await uploads.receive(slot, pieces())
    await remove_files(settings, backend, "romeo@example.org")
    assert not await uploads.store.has(slot.key)
    assert not await backend.map("uploads.files").items("romeo@example.org")
