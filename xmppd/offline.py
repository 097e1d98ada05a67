"""Virtual hosts without a server: storage and those modules that take part in what a command does, but no socket and no login."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

from storage.interface import Backend, StorageError
from xmppd import sessions
from xmppd.clock import Clock
from xmppd.config import Config
from xmppd.hooks import Hook
from xmppd.host import Host, Shared
from xmppd.loader import find_module, load
from xmppd.metrics import Metrics
from xmppd.module import HookMark, Module
from xmppd.opaque_ids import OpaqueIds
from xmppd.router import Router
from xmppd.storage_url import open_backend


@asynccontextmanager
async def loaded_hosts(config: Config, hooks: Iterable[Hook[Any]]) -> AsyncIterator[dict[str, Host]]:
    """Open storage and load hosts with the modules that take part at some of these hooks, and those that they require.

    A server may run on the same storage. What is sent to other domains goes nowhere.

    Raises:
        StorageError: the storage cannot be opened.
        LoadError: the modules do not fit together.
    """
    backend = open_backend(config.storage_url, exclusive=False, settings=config.storage)
    await backend.open()
    tasks: set[asyncio.Task[None]] = set()

    def spawn(coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    try:
        shared = Shared(config, backend, Clock(), Metrics())
        shared.spawn = spawn
        shared.end_resource = sessions.end
        Router(shared)
        shared.ids.start_after(backend.archive.last_id)
        shared.archive_ids = OpaqueIds(await _archive_secret(backend) or bytes(32))
        for domain in config.server.domains:
            shared.hosts[domain] = Host(domain, shared)
        names = [cls.__module__ for cls in taking_part(config.module_names, set(hooks))]
        for host in shared.hosts.values():
            await load(host, names)
        yield shared.hosts
        for host in shared.hosts.values():
            for module in host.modules.values():
                await module.stop()
        await backend.flush()
    finally:
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with contextlib.suppress(StorageError):
            await backend.close()


def taking_part(names: Iterable[str], hooks: set[Hook[Any]]) -> list[type[Module]]:
    """Return those of the enabled modules that have a handler at one of the hooks, and what they require, in the given order."""
    enabled = [find_module(name) for name in names]
    wanted: set[type[Module]] = set()

    def want(cls: type[Module]) -> None:
        if cls not in wanted:
            wanted.add(cls)
            for required in cls.requires:
                want(required)

    for cls in enabled:
        if any(isinstance(mark, HookMark) and mark.hook in hooks for _, mark in cls.marks()):
            want(cls)
    return [cls for cls in enabled if cls in wanted]


async def _archive_secret(backend: Backend) -> bytes | None:
    """Return what ids of archives are made opaque with; None before the first start of a server."""
    return await backend.keyval("server").get("archive_ids")
