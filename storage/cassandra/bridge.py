"""From the driver's thread to the event loop, with one wake-up for all that arrived since the last."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Any


class Bridge:
    """Calls that the driver's thread leaves for the loop's."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self._is_woken = False

    def call(self, callback: Callable[..., None], *args: Any) -> None:
        """Let the loop call `callback(*args)` soon; on any thread."""
        self._waiting.append((callback, args))
        if not self._is_woken:
            self._is_woken = True
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._is_woken = False  # first: what arrives from now on wakes the loop again
        try:
            while self._waiting:
                callback, args = self._waiting.popleft()
                callback(*args)
        except BaseException:  # of one callback: the others must be called all the same
            self._loop.call_soon(self._deliver)
            raise
