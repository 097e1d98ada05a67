"""Backends to test: `backend` is each of them in turn, `sqlite` the one in a file."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from storage.interface import Backend
from storage.memory import MemoryBackend
from storage.sqlite.backend import SqliteBackend


@pytest.fixture(params=["memory", "sqlite"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    backend: Backend = (
        MemoryBackend() if request.param == "memory" else SqliteBackend(tmp_path / "xmppd.db", commit_window_ms=0)
    )
    await backend.open()
    yield backend
    await backend.close()


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteBackend]:
    backend = SqliteBackend(tmp_path / "xmppd.db", commit_window_ms=0)
    await backend.open()
    yield backend
    await backend.close()
