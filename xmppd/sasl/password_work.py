"""Password hashing off the event loop, a few at a time."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from storage.interface import AccountRecord, ScramKeys
from xmppd.sasl.keys import DEFAULT_ITERATIONS, make_keys, verify_password

T = TypeVar("T")


class TooBusy(Exception):
    """More passwords wait to be hashed than we are ready to keep."""


class PasswordWork:
    """Runs PBKDF2 in threads; one object a server.

    Args:
        threads: how many run at once. More than the cores does not help, and each takes a thread of the default executor.
        max_waiting: how many more may wait, so that a flood of logins cannot pile up.
    """

    __slots__ = ("_limit", "_room", "_slots")

    def __init__(self, threads: int = 2, max_waiting: int = 256) -> None:
        self._slots = asyncio.Semaphore(threads)
        self._limit = threads + max_waiting
        self._room = self._limit

    async def verify(self, record: AccountRecord, password: str) -> bool:
        """Return `verify_password(record, password)`.

        Raises:
            TooBusy: see there.
        """
        return await self._run(lambda: verify_password(record, password))

    async def make_keys(self, password: str, iterations: int = DEFAULT_ITERATIONS) -> dict[str, ScramKeys]:
        """Return `make_keys(password, iterations)`.

        Raises:
            TooBusy: see there.
            InvalidPassword: the text cannot be a password.
        """
        return await self._run(lambda: make_keys(password, iterations))

    async def _run(self, work: Callable[[], T]) -> T:
        if self._room == 0:
            raise TooBusy(f"{self._limit} passwords are being hashed or wait for it")
        self._room -= 1
        try:
            await self._slots.acquire()
        except BaseException:
            self._room += 1
            raise
        future = asyncio.get_running_loop().run_in_executor(None, work)
        # A thread cannot be stopped: when the client goes away its place stays taken until the work is done.
        future.add_done_callback(self._give_back)
        return await asyncio.shield(future)

    def _give_back(self, _: object) -> None:
        self._slots.release()
        self._room += 1
