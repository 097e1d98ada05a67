"""Who has anything, and what: the table `owner`, in shards.

A row says that an owner has, or once had, data of a part: "keyval", "map:NAME", "archive". It is written together with the first
write of that part that this process makes, and again an hour later, should another process have erased the owner meanwhile.
"""

import asyncio
import heapq
import time
import zlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable

from storage.cassandra.driver import Driver
from storage.cassandra.statement import Statement
from storage.cassandra.writer import Write
from storage.interface import Commit

SHARDS = 64
"""How many partitions the index has; with ten million owners one has 160,000 of them, some 20 MB."""
KNOWN = 100_000
"""How many owners' rows this process remembers to have written; some 40 MB."""
KNOWN_S = 3600.0
PAGE = 500

_ADD = "INSERT INTO {ks}.owner (shard, owner, part) VALUES (?, ?, ?) USING TIMESTAMP ?"
_REMOVE = "DELETE FROM {ks}.owner USING TIMESTAMP ? WHERE shard = ? AND owner = ?"
_PARTS = "SELECT part FROM {ks}.owner WHERE shard = ? AND owner = ?"
_LIST = "SELECT owner FROM {ks}.owner WHERE shard = ? AND owner >= ? GROUP BY shard, owner"


def shard_of(name: str) -> int:
    """Return which partition of an index a name is in."""
    return zlib.crc32(name.encode(errors="surrogatepass")) % SHARDS


class Owners:
    """The index of owners."""

    def __init__(self, driver: Driver, now_s: Callable[[], float] = time.monotonic, known: int = KNOWN) -> None:
        self._driver = driver
        self._now_s = now_s
        self._max_known = known
        self._known: OrderedDict[str, dict[str, float]] = OrderedDict()
        self._erased = 0
        self._add = driver.statement(_ADD)
        self._remove = driver.statement(_REMOVE)
        self._parts = driver.statement(_PARTS)
        self._list = driver.statement(_LIST)

    def missing(self, owner: str, part: str) -> tuple[Write, ...]:
        """Return what must be written with an owner's data of that part so that it is found: nothing when that is known to be there."""
        known = self._known.get(owner)
        if known is not None and self._now_s() - known.get(part, -KNOWN_S) < KNOWN_S:
            return ()
        return ((self._add, (shard_of(owner), owner, part)),)

    def written(self, owner: str, part: str, commit: Commit) -> Commit:
        """Remember, when that commit is done, that the row is there; return the commit."""
        erased = self._erased

        def done(commit: Commit) -> None:
            if commit.error is None and erased == self._erased:
                self._known.setdefault(owner, {})[part] = self._now_s()
                if len(self._known) > self._max_known:
                    self._known.popitem(last=False)

        commit.add_done_callback(done)
        return commit

    def forget(self, owner: str) -> None:
        """Take note that the owner's rows go: what comes next writes them again."""
        self._erased += 1
        self._known.pop(owner, None)

    def removal(self, owner: str) -> Write:
        """Return what removes an owner's rows."""
        return self._remove, (shard_of(owner), owner)

    async def parts(self, owner: str) -> list[str]:
        """Return the parts of which an owner has, or had, data."""
        rows = await self._driver.rows(self._parts, (shard_of(owner), owner))
        return [part for (part,) in rows]

    async def all(self, prefix: str = "") -> AsyncIterator[str]:
        """Yield all owners that begin with `prefix`, in order: the shards' slices, merged."""
        shards = [_Shard(self._driver, self._list, number, prefix) for number in range(SHARDS)]
        await asyncio.gather(*(shard.read() for shard in shards))
        heap = [(shard.page[0], shard.number) for shard in shards if shard.page]
        heapq.heapify(heap)
        while heap:
            owner, number = heap[0]
            if not owner.startswith(prefix):
                return
            yield owner
            following = await shards[number].following()
            if following is None:
                heapq.heappop(heap)
            else:
                heapq.heapreplace(heap, (following, number))


class _Shard:
    """One partition of the index, read page by page."""

    def __init__(self, driver: Driver, statement: Statement, number: int, start: str) -> None:
        self.number = number
        self.page: list[str] = []
        self._driver = driver
        self._statement = statement
        self._start = start
        self._next: bytes | None = None
        self._index = 0

    async def read(self) -> None:
        """Read the first page, or the next."""
        rows, self._next = await self._driver.page(self._statement, (self.number, self._start), PAGE, self._next)
        self.page, self._index = [owner for (owner,) in rows], 0

    async def following(self) -> str | None:
        """Return the name after the last one given, None at the end."""
        self._index += 1
        while self._index >= len(self.page):
            if self._next is None:
                return None
            await self.read()
        return self.page[self._index]
