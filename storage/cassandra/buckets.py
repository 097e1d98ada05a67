"""Buckets: the spans of time by which an owner's messages are cut into partitions, and how full each is.

An id begins with the moment at which it was given (`storage.interface.TIME_SHIFT_BITS`), so a bucket is a range of ids. There are five
lengths, each a 32nd of the one before: 25 days, 19 hours, 36 minutes, 67 seconds, 2 seconds. An owner's messages go into the longest
whose bucket is not full, so a quiet year is 15 partitions and a busy minute can be one. A bucket's number is its first id, with the
level in the lowest bits, which are free: numbers sort by time. Buckets of different levels overlap; none is ever emptied into another.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

Key = TypeVar("Key")

LEVEL_BITS = (51, 46, 41, 36, 31)
"""How many low bits of an id a bucket of each level leaves open: 10 below a microsecond, and 2**41 µs are 25.5 days."""
LEVEL_MASK = 7
LAST_LEVEL = len(LEVEL_BITS) - 1

MAX_ROWS = 20_000
MAX_BYTES = 20_000_000
"""At which a bucket counts as full for this process. Each process counts for itself, also anew after a restart: with five that all
write much to one owner a partition stays below 100,000 rows and 100 MB."""

MAX_REMEMBERED = 100_000
"""Buckets whose fill is in memory, 200 bytes each. One that is forgotten is filled from 0 once more."""
NOTE_AGAIN_US = 600 * 1_000_000
"""After which a bucket that is written to is noted again: another process may have erased the owner and the note meanwhile."""


def bucket_of(id_: int, level: int) -> int:
    """Return the number of the bucket of that level that an id falls into."""
    bits = LEVEL_BITS[level]
    return id_ >> bits << bits | level


def all_of(id_: int) -> list[int]:
    """Return the buckets of all levels that an id falls into, the longest first."""
    return [bucket_of(id_, level) for level in range(len(LEVEL_BITS))]


def first_id(bucket: int) -> int:
    """Return the first id that a bucket may hold."""
    return bucket & ~LEVEL_MASK


def last_id(bucket: int) -> int:
    """Return the last id that a bucket may hold."""
    return first_id(bucket) + (1 << LEVEL_BITS[bucket & LEVEL_MASK]) - 1


def around(bucket: int) -> list[int]:
    """Return the longer buckets that enclose a bucket."""
    return [bucket_of(first_id(bucket), level) for level in range(bucket & LEVEL_MASK)]


class Fill:
    """How much this process wrote into a bucket, and until when (µs) it need not be noted again; 0: not noted yet."""

    __slots__ = ("noted_until_us", "rows", "size_bytes")

    def __init__(self) -> None:
        self.rows = 0
        self.size_bytes = 0
        self.noted_until_us = 0


class Fills(Generic[Key]):
    """Chooses buckets for what is written; remembers the `MAX_REMEMBERED` that were used last."""

    def __init__(
        self, max_rows: int = MAX_ROWS, max_bytes: int = MAX_BYTES, max_remembered: int = MAX_REMEMBERED
    ) -> None:
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._max_remembered = max_remembered
        self._fills: dict[tuple[Key, int], Fill] = {}

    def __len__(self) -> int:
        return len(self._fills)

    def place(self, key: Key, id_: int, size_bytes: int) -> tuple[int, Fill]:
        """Return the bucket for one more row of `key`, and its fill, in which the row is counted."""
        fills = self._fills
        for level, bits in enumerate(LEVEL_BITS):
            bucket = id_ >> bits << bits | level
            name = key, bucket
            fill = fills.pop(name, None) or Fill()
            if len(fills) >= self._max_remembered:
                del fills[next(iter(fills))]
            fills[name] = fill  # the last one used is the last one to be forgotten
            if level == LAST_LEVEL or (fill.rows < self._max_rows and fill.size_bytes < self._max_bytes):
                break
        fill.rows += 1
        fill.size_bytes += size_bytes
        return bucket, fill

    def forget(self, belongs: Callable[[Key], bool]) -> None:
        """Forget the buckets of all keys of which `belongs` says so."""
        for name in [name for name in self._fills if belongs(name[0])]:
            del self._fills[name]

    def forget_before(self, id_: int) -> None:
        """Forget the buckets that hold only smaller ids."""
        for name in [name for name in self._fills if last_id(name[1]) < id_]:
            del self._fills[name]
