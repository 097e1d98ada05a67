"""Backends to test: `backend` is each of them in turn, `sqlite` the one in a file, `cassandra_backend` the one in a cluster."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from storage.cassandra.backend import CassandraBackend
from storage.interface import Backend
from storage.memory import MemoryBackend
from storage.sqlite.backend import SqliteBackend
from tests.storage.tools import cassandra_settings, make_tables
from tests.support.cassandra import Cassandra, administrator, cassandra, keyspace

__all__ = ["administrator", "cassandra", "keyspace"]


B = TypeVar("B", bound=Backend)
WITH_CASSANDRA = pytest.param("cassandra", marks=[pytest.mark.system, pytest.mark.timeout(300)])


@asynccontextmanager
async def opened(backend: B) -> AsyncIterator[B]:
    await backend.open()
    try:
        yield backend
    finally:
        await backend.close()


@pytest.fixture(params=["memory", "sqlite", WITH_CASSANDRA])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    backend: Backend
    match request.param:
        case "memory":
            backend = MemoryBackend()
        case "sqlite":
            backend = SqliteBackend(tmp_path / "xmppd.db", commit_window_ms=0)
        case _:
            node, keyspace = request.getfixturevalue("cassandra"), request.getfixturevalue("keyspace")
            backend = CassandraBackend(await make_tables(cassandra_settings(node, keyspace)))
    async with opened(backend):
        yield backend


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[SqliteBackend]:
    async with opened(SqliteBackend(tmp_path / "xmppd.db", commit_window_ms=0)) as backend:
        yield backend


@pytest.fixture
async def cassandra_backend(cassandra: Cassandra, keyspace: str) -> AsyncIterator[CassandraBackend]:
    """Needs the marks of `WITH_CASSANDRA`: the first test starts the node, or even fetches it."""
    settings = await make_tables(cassandra_settings(cassandra, keyspace))
    async with opened(CassandraBackend(settings)) as backend:
        yield backend
