"""Commands that work on the storage themselves: it is opened for one piece of work, and closed whatever comes of that."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from storage.interface import Backend
from xmppd.cli.options import make_data_folder
from xmppd.config import Config, StorageConfig
from xmppd.storage_url import open_backend

T = TypeVar("T")


async def _unprepared(_: Backend) -> None:
    """Do nothing before it is opened."""


def on_storage(
    url: str,
    work: Callable[[Backend], Awaitable[T]],
    details: StorageConfig | None,
    *,
    prepare: Callable[[Backend], Awaitable[None]] = _unprepared,
    is_exclusive: bool = True,
) -> T:
    """Run `work` on the opened storage of a URL; `prepare` on it before it is opened; `details`: what the URL does not say."""

    async def run() -> T:
        backend = open_backend(url, exclusive=is_exclusive, settings=details)
        await prepare(backend)
        await backend.open()
        try:
            return await work(backend)
        finally:
            await backend.close()

    return asyncio.run(run())


def with_storage(config: Config, work: Callable[[Backend], Awaitable[T]]) -> T:
    """Run `work` on the storage of the settings, which a running server may use at the same time."""
    make_data_folder(config)
    return on_storage(config.storage_url, work, config.storage, is_exclusive=False)
