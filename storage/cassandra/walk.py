"""Walking over the buckets of a history, from an end or from the middle, in either direction, without looking at empty ones.

What is asked of the cluster: which buckets exist (a page of `PAGE` numbers at a time), and rows out of a bucket. Buckets are read one,
two, four, then `MAX_WIDTH` at a time, until no bucket that is left can hold a row nearer than those found. Buckets overlap where an
owner was busy (see `buckets`); the rows of all that cover a moment are merged.
"""

import asyncio
from abc import ABC, abstractmethod
from typing import Any

from storage.cassandra.buckets import all_of, around, first_id, last_id

Row = tuple[Any, ...]
"""Of a bucket; the id comes first."""

PAGE = 32
MAX_WIDTH = 8


class Source(ABC):
    """A history, or a conversation of one, in the cluster."""

    @abstractmethod
    async def existing(self, numbers: list[int]) -> list[int]:
        """Return those of these buckets that exist."""

    @abstractmethod
    async def following(self, low: int, limit: int) -> list[int]:
        """Return the first `limit` buckets of a number `low` or more, ascending."""

    @abstractmethod
    async def preceding(self, high: int, limit: int) -> list[int]:
        """Return the last `limit` buckets of a number `high` or less, descending."""

    @abstractmethod
    async def read(self, bucket: int, low: int, high: int, limit: int, newest_first: bool) -> list[Row]:
        """Return up to `limit` rows of a bucket with low <= id <= high, from the end that `newest_first` says; fewer only if there are no more."""


class _Ahead:
    """The buckets that are to be read, nearest first."""

    def __init__(self, source: Source, low: int, high: int, newest_first: bool) -> None:
        self._source = source
        self._low = low
        self._high = high
        self._newest_first = newest_first
        self._next = high | 7 if newest_first else (low | 7) + 1
        self._is_begun = False
        self._is_all = False
        self._seen: set[int] = set()
        self.todo: list[int] = []

    async def fill(self, count: int) -> None:
        """See to it that `count` buckets are known, if there are so many."""
        while len(self.todo) < count and not self._is_all:
            if self._newest_first:
                await self._fill_backward()
            else:
                await self._fill_forward()

    async def _fill_forward(self) -> None:
        if not self._is_begun:
            self._is_begun = True
            begun = self._source.existing(all_of(self._low))
            enclosing, page = await asyncio.gather(begun, self._source.following(self._next, PAGE))
        else:
            enclosing, page = [], await self._source.following(self._next, PAGE)
        self._is_all = len(page) < PAGE or page[-1] > self._high
        if page:
            self._next = page[-1] + 1
        self._add([*enclosing, *page])
        self.todo.sort(key=first_id)

    async def _fill_backward(self) -> None:
        page = await self._source.preceding(self._next, PAGE)
        self._is_all = len(page) < PAGE or first_id(page[-1]) == 0
        if page:
            self._next = page[-1] - 1
            # Those around it begin before it and so come later here, though they may hold newer rows.
            self._add([*page, *around(page[-1])])
            self._is_all = self._is_all or last_id(page[-1]) < self._low
        self.todo.sort(key=last_id, reverse=True)

    def _add(self, numbers: list[int]) -> None:
        for number in numbers:
            if number not in self._seen:
                self._seen.add(number)
                if first_id(number) <= self._high and last_id(number) >= self._low:
                    self.todo.append(number)


async def walk(source: Source, low: int, high: int, limit: int, newest_first: bool) -> list[Row]:
    """Return the first (or last) `limit` rows with low <= id <= high, in the order of the walk."""
    ahead = _Ahead(source, low, high, newest_first)
    found: list[Row] = []
    width = 1
    while low <= high:
        await ahead.fill(width)
        if not ahead.todo:
            break
        if len(found) == limit:
            # Only what is nearer than the last one found is of use.
            if newest_first:
                low = max(low, found[-1][0] + 1)
            else:
                high = min(high, found[-1][0] - 1)
            if not _reaches(ahead.todo[0], low, high):
                break
        group, ahead.todo = ahead.todo[:width], ahead.todo[width:]
        group = [bucket for bucket in group if _reaches(bucket, low, high)]
        read = await asyncio.gather(*(source.read(bucket, low, high, limit, newest_first) for bucket in group))
        found = sorted((row for rows in (found, *read) for row in rows), key=_id, reverse=newest_first)[:limit]
        width = min(2 * width, MAX_WIDTH)
    return found


async def buckets_between(source: Source, low: int, high: int) -> list[int]:
    """Return every bucket that may hold a row with low <= id <= high, ascending."""
    if low > high:
        return []
    ahead = _Ahead(source, low, high, newest_first=False)
    await ahead.fill(2**63)
    return ahead.todo


def _reaches(bucket: int, low: int, high: int) -> bool:
    return first_id(bucket) <= high and last_id(bucket) >= low


def _id(row: Row) -> int:
    id_: int = row[0]
    return id_
