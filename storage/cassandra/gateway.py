"""The number of this gateway: of all that run at the same time each has another, so that ids of theirs never meet.

A number is leased by a lightweight transaction at the start and every `RENEW_S`. A gateway that was killed keeps its number until the
lease ends; nobody else gives ids with it so long. Beside the lease stands the greatest id that was given with the number.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable

from storage.cassandra.driver import Driver
from storage.cassandra.writer import Write
from storage.interface import GATEWAYS, StorageError

RENEW_S = 30.0
LEASE_US = 120 * 1_000_000
TRIES = 20


class GatewayNumber:
    """Takes a number, keeps it, gives it back.

    Attributes:
        number: 0 up to `GATEWAYS`, exclusive.
        last_id: the greatest id known to have been given with it before.
    """

    def __init__(self, driver: Driver, log: logging.Logger) -> None:
        self.number = 0
        self.last_id = 0
        self._driver = driver
        self._log = log
        self._holder = secrets.randbits(63)
        self._greatest: Callable[[], int] = lambda: self.last_id
        self._task: asyncio.Task[None] | None = None
        statement = driver.statement
        self._list = statement("SELECT number, holder, until_us, last_id FROM {ks}.gateway")
        self._new = statement(
            "INSERT INTO {ks}.gateway (number, holder, until_us, last_id) VALUES (?, ?, ?, 0) IF NOT EXISTS"
        )
        self._take = statement(
            "UPDATE {ks}.gateway SET holder = ?, until_us = ? WHERE number = ? IF holder = ? AND until_us = ?"
        )
        self._keep = statement("UPDATE {ks}.gateway SET until_us = ?, last_id = ? WHERE number = ? IF holder = ?")

    async def take(self) -> None:
        """Lease a number that nobody has.

        Raises:
            StorageError: all are taken, or the cluster does not answer.
        """
        for _ in range(TRIES):
            rows = {row[0]: row for row in await self._driver.rows(self._list, ())}
            now_us = self._driver.clock.next_us()
            free = [n for n in range(GATEWAYS) if n not in rows or rows[n][2] < now_us]
            if not free:
                break
            number = secrets.choice(free)
            until_us = now_us + LEASE_US
            write: Write = self._new, (number, self._holder, until_us)
            if number in rows:
                _, holder, until_before_us, _ = rows[number]
                write = self._take, (self._holder, until_us, number, holder, until_before_us)
            if await self._driver.transact([write]):
                self.number, self.last_id = number, rows[number][3] if number in rows else 0
                return
        raise StorageError(f"{self._driver.settings}: no number is free for this gateway")

    def keep(self, greatest: Callable[[], int]) -> None:
        """Renew the lease from now on; `greatest` gives the greatest id that was given."""
        self._greatest = greatest
        self._task = asyncio.create_task(self._renew())

    async def give_back(self) -> None:
        """End the lease, if the cluster answers; else it ends by itself."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(StorageError):
                await self._write(0)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            with contextlib.suppress(StorageError):
                if not await self._write(self._driver.clock.next_us() + LEASE_US):
                    self._log.error("this gateway was silent so long that another has its number: restart it")
                    return

    async def _write(self, until_us: int) -> bool:
        return await self._driver.transact([(self._keep, (until_us, self._greatest(), self.number, self._holder))])
