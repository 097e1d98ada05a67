"""Who has uploaded what: a record for each file, under its owner, and the quotas that are counted from them.

A record is written when a slot is given, so that slots count before their files are there. Whether a slot was used is known from the
record (files that come through us) or by asking the store (files that go to it directly), at the latest when the quota is short.
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any

from storage.interface import MapStore

DAY_S = 86_400
CACHED_RECORDS = 100_000
"""Records in memory, about 250 bytes each; those of the accounts that have not asked for longest are read again when they do."""

CHECKS_AT_ONCE = 200
"""How many slots the store is asked about for one request."""


@dataclass(frozen=True, slots=True)
class Record:
    """One file. `at_s`: when its slot was given, seconds since 1970; `is_there`: it is known to be whole."""

    size: int
    at_s: int
    is_there: bool = False

    def to_bytes(self) -> bytes:
        """Return what is kept."""
        return json.dumps([self.size, self.at_s, int(self.is_there)], separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Record":
        """Return what was kept."""
        size, at_s, is_there = json.loads(data)
        return cls(size, at_s, bool(is_there))


@dataclass(frozen=True, slots=True)
class Quotas:
    """What one account may have; 0: no limit.

    Attributes:
        total_bytes, total_files: at any time. day_bytes: within 24 hours.
        open_slots: slots that are not used yet.
        slot_s: how long a slot is good. expire_s: how long a file stays, 0: for ever.
    """

    total_bytes: int
    total_files: int
    day_bytes: int
    open_slots: int
    slot_s: int
    expire_s: int


class OverQuota(Exception):
    """There is no room for another file of this account; `retry_s`: when there will be, seconds since 1970, None when nobody knows."""

    def __init__(self, text: str, retry_s: int | None = None) -> None:
        super().__init__(text)
        self.retry_s = retry_s


Records = dict[str, Record]


class Ledger:
    """The records of all accounts.

    Args:
        has: whether the file of a key is there; None while it is coming.
    """

    def __init__(
        self,
        files: MapStore,
        quotas: Quotas,
        now_s: Callable[[], int],
        has: Callable[[str], Coroutine[Any, Any, bool | None]],
    ) -> None:
        self.quotas = quotas
        self._files = files
        self._now_s = now_s
        self._has = has
        self._cached: OrderedDict[str, Records] = OrderedDict()
        self._held = 0
        self._reading = asyncio.Lock()

    async def reserve(self, owner: str, key: str, size: int) -> None:
        """Write a record for a slot; durable on return.

        Raises:
            OverQuota: the account may have no more.
            StorageError: it cannot be written.
        """
        records = await self._of(owner)
        try:
            self._check(records, size)
        except OverQuota:
            await self._settle(owner, records)
            self._check(records, size)
        records[key] = record = Record(size, self._now_s())
        self._held += 1
        try:
            await self._files.update(owner, {key: record.to_bytes()})
        except BaseException:
            self._drop(records, (key,))
            raise
        self._make_space(owner)

    async def is_open(self, owner: str, key: str) -> bool:
        """Whether a slot was given for that key and its file is not there yet."""
        record = (await self._of(owner)).get(key)
        return record is not None and not record.is_there

    async def confirm(self, owner: str, key: str) -> bool:
        """Note that the file is there; False when its record is gone meanwhile."""
        records = await self._of(owner)
        record = records.get(key)
        if record is None:
            return False
        records[key] = Record(record.size, record.at_s, is_there=True)
        await self._files.update(owner, {key: records[key].to_bytes()})
        return True

    async def forget(self, owner: str) -> list[str]:
        """Remove an owner's records; return the keys of the files."""
        async with self._reading:
            keys = list(await self._files.items(owner))
            self._held -= len(self._cached.pop(owner, {}))
            await self._files.clear(owner)
        return keys

    def _check(self, records: Records, size: int) -> None:
        quotas, now_s = self.quotas, self._now_s()
        self._drop(records, [key for key, record in records.items() if self._is_over(record, now_s)])
        if quotas.total_files and len(records) >= quotas.total_files:
            raise OverQuota("You have as many files here as one account may have.", self._next_end(records))
        if quotas.total_bytes and sum(record.size for record in records.values()) + size > quotas.total_bytes:
            raise OverQuota("Your files take all the room that one account may have.", self._next_end(records))
        waiting = [record for record in records.values() if not record.is_there and now_s < record.at_s + quotas.slot_s]
        if quotas.open_slots and len(waiting) >= quotas.open_slots:
            first = min(record.at_s for record in waiting)
            raise OverQuota("Use the slots that you have first.", first + quotas.slot_s)
        today = [record for record in records.values() if record.at_s > now_s - DAY_S]
        if quotas.day_bytes and sum(record.size for record in today) + size > quotas.day_bytes:
            first = min((record.at_s for record in today), default=now_s)
            raise OverQuota("You have uploaded as much as one account may within a day.", first + DAY_S)

    def _next_end(self, records: Records) -> int | None:
        if not self.quotas.expire_s or not records:
            return None
        return min(record.at_s for record in records.values()) + self.quotas.expire_s

    def _is_over(self, record: Record, now_s: int) -> bool:
        return bool(self.quotas.expire_s) and record.at_s + self.quotas.expire_s <= now_s

    async def _settle(self, owner: str, records: Records) -> None:
        """Ask the store which slots were used; those that have ended unused do not count any more."""
        ended = self._now_s() - self.quotas.slot_s
        unknown = [key for key, record in records.items() if not record.is_there]
        put: dict[str, bytes] = {}
        gone: list[str] = []
        for key in unknown[:CHECKS_AT_ONCE]:
            there = await self._has(key)
            record = records.get(key)
            if record is None or record.is_there:
                continue
            if there:
                records[key] = Record(record.size, record.at_s, is_there=True)
                put[key] = records[key].to_bytes()
            elif there is False and record.at_s <= ended:
                gone.append(key)
        self._drop(records, gone)
        if put or gone:
            await self._files.update(owner, put, gone)

    def _drop(self, records: Records, keys: Collection[str]) -> None:
        for key in keys:
            if records.pop(key, None) is not None:
                self._held -= 1

    async def _of(self, owner: str) -> Records:
        """Return the records of an owner; those whose files have expired are removed."""
        found = self._cached.get(owner)
        if found is None:
            async with self._reading:
                found = self._cached.get(owner)
                if found is None:
                    found = await self._read(owner)
        self._cached.move_to_end(owner)
        return found

    async def _read(self, owner: str) -> Records:
        now_s = self._now_s()
        every = {key: Record.from_bytes(data) for key, data in (await self._files.items(owner)).items()}
        records = {key: record for key, record in every.items() if not self._is_over(record, now_s)}
        if len(records) < len(every):
            self._files.update(owner, {}, every.keys() - records.keys())
        self._cached[owner] = records
        self._held += len(records)
        return records

    def _make_space(self, keep: str) -> None:
        while self._held > CACHED_RECORDS and len(self._cached) > 1:
            owner = next(iter(self._cached))
            if owner == keep:
                return
            self._held -= len(self._cached.pop(owner))
