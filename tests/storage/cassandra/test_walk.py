"""Walks over buckets give what a sorted list gives, and read little."""

import asyncio
import random
from bisect import bisect_left, bisect_right

from hypothesis import given, settings
from hypothesis import strategies as st

from storage.cassandra.buckets import LEVEL_BITS, Fills, bucket_of, first_id, last_id
from storage.cassandra.walk import Row, Source, buckets_between, walk

STEP = 1 << LEVEL_BITS[4]


class Memory(Source):
    """Buckets in a dictionary; counts what is read."""

    def __init__(self, ids: list[int], max_rows: int) -> None:
        fills: Fills[str] = Fills(max_rows)
        self.rows: dict[int, list[int]] = {}
        for id_ in ids:
            self.rows.setdefault(fills.place("a", id_, 1)[0], []).append(id_)
        for rows in self.rows.values():
            rows.sort()
        self.numbers = sorted(self.rows)
        self.reads = self.index_reads = 0

    async def existing(self, numbers: list[int]) -> list[int]:
        return [number for number in numbers if number in self.rows]

    async def following(self, low: int, limit: int) -> list[int]:
        self.index_reads += 1
        return self.numbers[bisect_left(self.numbers, low) :][:limit]

    async def preceding(self, high: int, limit: int) -> list[int]:
        self.index_reads += 1
        return self.numbers[: bisect_right(self.numbers, high)][::-1][:limit]

    async def read(self, bucket: int, low: int, high: int, limit: int, newest_first: bool) -> list[Row]:
        self.reads += 1
        rows = [(id_,) for id_ in self.rows.get(bucket, ()) if low <= id_ <= high]
        return rows[::-1][:limit] if newest_first else rows[:limit]


moments = st.one_of(
    st.integers(0, 10 * STEP),
    st.integers(0, 40 << LEVEL_BITS[2]),
    st.integers(0, 40 << LEVEL_BITS[0]),
    st.just(2**63 - 1),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(moments, max_size=120, unique=True),
    st.integers(1, 6),
    moments,
    moments,
    st.integers(1, 12),
    st.booleans(),
)
def test_a_walk_gives_what_a_sorted_list_gives(
    ids: list[int], max_rows: int, low: int, high: int, limit: int, newest_first: bool
) -> None:
    source = Memory(ids, max_rows)
    expected = sorted((id_ for id_ in ids if low <= id_ <= high), reverse=newest_first)[:limit]
    found = asyncio.run(walk(source, low, high, limit, newest_first))
    assert [id_ for (id_,) in found] == expected


@settings(max_examples=100, deadline=None)
@given(st.lists(moments, max_size=120, unique=True), st.integers(1, 6), moments, moments)
def test_no_bucket_is_left_out_of_a_count(ids: list[int], max_rows: int, low: int, high: int) -> None:
    source = Memory(ids, max_rows)
    expected = [b for b in source.numbers if low <= high and first_id(b) <= high and last_id(b) >= low]
    assert sorted(asyncio.run(buckets_between(source, low, high))) == expected


def busy(count: int) -> Memory:
    """A history of some years with quiet and busy times."""
    rnd = random.Random(3)
    year_ids = 365 * 86_400_000_000 << 10
    quiet = [rnd.randrange(5 * year_ids) for _ in range(count // 10)]
    start = 2 * year_ids
    return Memory(sorted({*quiet, *(start + (n * 100_000 << 10) for n in range(count))}), 1_000)


def test_going_back_for_ever_costs_the_same_at_each_page() -> None:
    source = busy(50_000)
    high, most, seen = 2**63 - 1, 0, list[int]()
    while True:
        source.reads = source.index_reads = 0
        rows = asyncio.run(walk(source, 0, high, 51, True))
        most = max(most, source.reads + source.index_reads)
        seen += [id_ for (id_,) in rows[:50]]
        if len(rows) < 51:
            break
        high = rows[49][0] - 1
    assert seen[::-1] == sorted(id_ for rows in source.rows.values() for id_ in rows)
    assert most <= 24, most


def test_empty_years_cost_nothing() -> None:
    source = Memory([5, 60 << LEVEL_BITS[0]], 1_000)
    rows = asyncio.run(walk(source, 0, 2**63 - 1, 10, True))
    assert len(rows) == 2 and source.reads == 2 and source.index_reads == 1


def test_a_long_bucket_that_began_long_ago_may_hold_the_newest_row() -> None:
    """One gateway fills short buckets, another still writes into the longest: its number is far down the list."""
    source = Memory([], 1)
    begin = 7 << LEVEL_BITS[0]
    short = [begin + n * STEP for n in range(1, 100)]
    source.rows = {bucket_of(id_, 4): [id_] for id_ in short} | {bucket_of(begin, 0): [begin + 200 * STEP]}
    source.numbers = sorted(source.rows)
    rows = asyncio.run(walk(source, 0, 2**63 - 1, 3, True))
    assert [id_ for (id_,) in rows] == [begin + 200 * STEP, short[-1], short[-2]]
    rows = asyncio.run(walk(source, short[50], 2**63 - 1, 60, False))
    assert [id_ for (id_,) in rows] == [*short[50:], begin + 200 * STEP]
