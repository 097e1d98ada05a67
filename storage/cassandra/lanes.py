"""Writes that take more than one request (a condition, a look-up first): in order by lane, each with its commit."""

import asyncio
from collections.abc import Awaitable, Callable

from storage.interface import Commit, StorageClosed, StorageError


class Lanes:
    """Runs operations; those of one lane after one another, in the order of their calls."""

    def __init__(self) -> None:
        self._last: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False

    def run(self, lane: str, operation: Callable[[], Awaitable[None]]) -> Commit:
        """Run `operation` when those called before in its lane have ended; a `StorageError` of it is the commit's.

        Raises:
            StorageClosed: it was not taken.
        """
        if self._is_closed:
            raise StorageClosed("the storage is closed")
        commit = Commit()
        task = asyncio.create_task(self._run(self._last.get(lane), operation, commit))
        self._last[lane] = task
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._ended(lane, task))
        return commit

    async def settled(self) -> None:
        """Return when all that was called before has ended."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self, patience_s: float) -> None:
        """Take no more; end what was called, and cancel what has not ended in time."""
        self._is_closed = True
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=patience_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _run(
        self, before: asyncio.Task[None] | None, operation: Callable[[], Awaitable[None]], commit: Commit
    ) -> None:
        error: StorageError | None = StorageClosed("the storage was closed before this was done")
        try:
            if before is not None:
                await asyncio.wait([before])
            try:
                await operation()
                error = None
            except StorageError as own:
                error = own
        finally:
            commit.finish(error)

    def _ended(self, lane: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._last.get(lane) is task:
            del self._last[lane]
