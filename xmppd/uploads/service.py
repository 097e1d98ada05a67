"""Uploads as a whole: slots given out, files taken in, files gone again. What speaks XMPP and what speaks HTTP both stand on it."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

from storage.interface import MapStore, StorageError
from xmppd.clock import Clock, Ids
from xmppd.metrics import Metrics
from xmppd.uploads.disk import DiskStore
from xmppd.uploads.ledger import Ledger, Quotas
from xmppd.uploads.names import ending_of, kind_of, media_type, safe_name
from xmppd.uploads.slots import Signer, Slot, SlotError
from xmppd.uploads.store import AlreadyThere, DirectStore, MediaError

PATH = "/upload"
COMING_AT_ONCE = 200
"""Uploads under way, each with a piece of at most 256 KiB in memory and an open file."""

COMING_OF_ONE = 10
MAX_TYPE_CHARS = 200
SWEEP_S = 3_600.0


class TooLarge(Exception):
    """The file is larger than any may be."""


class Busy(Exception):
    """Too many uploads are under way."""


class WrongSize(Exception):
    """What came is shorter or longer than the slot says."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Settings. `max_bytes`: of one file; `base_url`: domain -> where others reach our HTTP side; `cdn_url`: "" for none."""

    max_bytes: int
    quotas: Quotas
    base_url: Callable[[str], str]
    cdn_url: str = ""


class Uploads:
    """The uploads of a server.

    Attributes:
        rules: the settings. store: where files are. metrics: what is counted.
    """

    def __init__(
        self,
        store: DiskStore | DirectStore,
        files: MapStore,
        secret: bytes,
        rules: Rules,
        clock: Clock,
        metrics: Metrics,
        log: Any,
    ) -> None:
        self.store = store
        self.rules = rules
        self._signer = Signer(secret)
        self._clock = clock
        self._ids = Ids(clock)
        self.metrics = metrics
        self._log = log
        self._coming: dict[str, str] = {}
        self._ledger = Ledger(files, rules.quotas, self._now_s, self._has)

    def now(self) -> datetime:
        """Return the time of day, in UTC."""
        return self._clock.now()

    def _now_s(self) -> int:
        return self._clock.now_us() // 1_000_000

    async def _has(self, key: str) -> bool | None:
        return None if key in self._coming else await self.store.has(key)

    # slots

    async def slot(self, owner: str, domain: str, name: str, size: int, type_: str) -> tuple[str, str]:
        """Give an account leave to upload a file; return where it is put and where it will be read.

        Args:
            owner: bare JID. domain: its virtual host.
            name, type_: as the client says; type_ "" when it says none. size: in bytes, 1 or more.

        Raises:
            TooLarge: see `rules.max_bytes`.
            OverQuota: it may not now.
            StorageError, MediaError: it cannot be noted.
        """
        if size > self.rules.max_bytes:
            self.metrics.media["too large"] += 1
            raise TooLarge
        said = type_.strip()
        name, type_ = safe_name(name), media_type(said)
        key = f"{self._ids.token()}{self._ids.token()}.{ending_of(type_, name)}"
        await self._ledger.reserve(owner, key, size)
        self.metrics.media["slot"] += 1
        quotas = self.rules.quotas
        read = f"{self.rules.base_url(domain)}{PATH}/{key}/{quote(name, safe='')}"
        if isinstance(self.store, DirectStore):
            # the store compares the header as it stands, parameters and all
            header = said if type_ and said.isascii() and said.isprintable() and len(said) <= MAX_TYPE_CHARS else ""
            put = self.store.put_url(key, size, header, self._clock.now(), quotas.slot_s)
            if self.rules.cdn_url and kind_of(key).is_shown:
                read = f"{self.rules.cdn_url}/{self.store.place(key)}"
            return put, read
        token = self._signer.sign(Slot(key, name, size, type_, owner, self._now_s() + quotas.slot_s))
        return f"{read}?slot={token}", read

    def check(self, key: str, name: str, token: str) -> Slot:
        """Return the slot that a client shows for that key and name.

        Raises:
            SlotError: it has none.
        """
        slot = self._signer.read(token, self._now_s())
        if slot.key != key or slot.name != name:
            raise SlotError("this slot is for another file")
        return slot

    # files

    async def receive(self, slot: Slot, pieces: AsyncIterator[bytes]) -> None:
        """Keep the file of a slot; on return it is durable. Whatever goes wrong, nothing of it stays.

        Raises:
            AlreadyThere: the slot was used, or is being used.
            SlotError: the account or the slot is gone.
            WrongSize: the pieces are less or more than the slot says; of more, nothing further is read.
            Busy, MediaError, StorageError: it cannot be kept.
        """
        assert isinstance(self.store, DiskStore), "such stores take files themselves"
        if slot.key in self._coming:
            raise AlreadyThere("this file is being uploaded")
        if len(self._coming) >= COMING_AT_ONCE or Counter(self._coming.values())[slot.owner] >= COMING_OF_ONE:
            raise Busy
        self._coming[slot.key] = slot.owner
        try:
            await self._receive(self.store, slot, pieces)
        except BaseException:
            self.metrics.media["failed"] += 1
            raise
        finally:
            del self._coming[slot.key]
        self.metrics.media["stored"] += 1
        self.metrics.media_bytes += slot.size

    async def _receive(self, store: DiskStore, slot: Slot, pieces: AsyncIterator[bytes]) -> None:
        if not await self._ledger.is_open(slot.owner, slot.key):
            if await store.has(slot.key):
                raise AlreadyThere("this slot has been used")
            raise SlotError("this slot is gone")
        writing = await store.begin(slot.key)
        try:
            size = 0
            async for piece in pieces:
                size += len(piece)
                if size > slot.size:
                    raise WrongSize
                await writing.write(piece)
            if size != slot.size:
                raise WrongSize
            await writing.finish()
        finally:
            writing.discard()
        try:
            if not await self._ledger.confirm(slot.owner, slot.key):
                raise SlotError("this slot is gone")
        except BaseException:
            await store.delete((slot.key,))
            raise

    async def forget(self, owner: str) -> None:
        """Remove all files of an account, which is being removed itself.

        Raises:
            StorageError, MediaError: some may still be there; they go when they expire.
        """
        keys = await self._ledger.forget(owner)
        await self.store.delete(keys)
        if keys:
            self._log.info("media_removed", files=len(keys))

    async def sweep(self) -> int:
        """Remove the files that have expired; return how many."""
        if not self.rules.quotas.expire_s:
            return 0
        # a slot is given before its file is written, and a record goes first: nobody has a file that nobody knows
        gone = await self.store.sweep(self._now_s() - self.rules.quotas.expire_s)
        self.metrics.media["expired"] += gone
        return gone

    async def keep_swept(self) -> None:
        """Sweep now and every hour, until it is cancelled."""
        while True:
            try:
                gone = await self.sweep()
            except (MediaError, StorageError) as error:
                self._log.error("media_not_swept", reason=str(error))
            else:
                if gone:
                    self._log.info("media_swept", files=gone)
            await asyncio.sleep(SWEEP_S)
