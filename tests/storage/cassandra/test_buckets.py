"""Spans of time and how full they are."""

from hypothesis import given
from hypothesis import strategies as st

from storage.cassandra.buckets import (
    LAST_LEVEL,
    LEVEL_BITS,
    MAX_BYTES,
    MAX_ROWS,
    Fills,
    all_of,
    around,
    bucket_of,
    first_id,
    last_id,
)

IDS = st.integers(0, 2**63 - 1)
NOW = 814 << LEVEL_BITS[0]
"""A day in 2026 on which buckets of all levels begin."""


@given(IDS)
def test_an_id_lies_in_its_bucket_of_each_level_and_the_longer_ones_enclose_the_shorter(id_: int) -> None:
    buckets = all_of(id_)
    for level, bucket in enumerate(buckets):
        assert first_id(bucket) <= id_ <= last_id(bucket) < 2**63
        assert around(bucket) == buckets[:level]


@given(IDS, IDS, st.sampled_from(range(len(LEVEL_BITS))))
def test_numbers_sort_by_time(one: int, other: int, level: int) -> None:
    if bucket_of(one, level) < bucket_of(other, level):
        assert one < other


def test_one_message_a_second_stays_far_below_the_bounds_of_a_partition() -> None:
    fills: Fills[str] = Fills()
    rows: dict[int, int] = {}
    for second in range(100_000):
        bucket, _ = fills.place("a", NOW + (second * 1_000_000 << 10), 300)
        rows[bucket] = rows.get(bucket, 0) + 1
    assert max(rows.values()) <= MAX_ROWS
    assert len(rows) < 40  # a day and a bit; few to read, too


def test_large_rows_fill_a_bucket_before_it_has_many() -> None:
    fills: Fills[str] = Fills()
    size: dict[int, int] = {}
    for second in range(200):
        bucket, _ = fills.place("a", NOW + (second * 1_000_000 << 10), 1_000_000)
        size[bucket] = size.get(bucket, 0) + 1_000_000
    assert max(size.values()) <= MAX_BYTES


def test_a_full_bucket_gives_way_to_a_shorter_one_for_its_own_time_alone() -> None:
    fills: Fills[str] = Fills(max_rows=2)
    levels = [fills.place("a", NOW + n, 1)[0] & 7 for n in range(12)]
    assert levels == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4]
    later = NOW + (1 << LEVEL_BITS[1])
    assert fills.place("a", later, 1)[0] & 7 == 1
    assert fills.place("a", NOW + (1 << LEVEL_BITS[0]), 1)[0] & 7 == 0
    assert fills.place("b", NOW, 1)[0] & 7 == 0


def test_what_was_not_used_for_long_is_forgotten_first() -> None:
    fills: Fills[str] = Fills(max_remembered=2)
    _, first = fills.place("a", NOW, 1)
    fills.place("b", NOW, 1)
    assert fills.place("a", NOW, 1)[1] is first
    fills.place("c", NOW, 1)
    assert len(fills) == 2
    assert fills.place("a", NOW, 1)[1] is first
    assert fills.place("b", NOW, 1)[1].rows == 1


def test_forgetting_is_by_key_or_by_time() -> None:
    fills: Fills[str] = Fills()
    for name in ("a", "b"):
        fills.place(name, NOW, 1)
    fills.forget(lambda key: key == "a")
    assert fills.place("b", NOW, 1)[1].rows == 2
    assert fills.place("a", NOW, 1)[1].rows == 1
    fills.forget_before(NOW)
    assert len(fills) == 2
    fills.forget_before(last_id(bucket_of(NOW, 0)) + 1)
    assert len(fills) == 0


def test_the_last_level_takes_any_number() -> None:
    fills: Fills[str] = Fills(max_rows=1)
    buckets = [fills.place("a", NOW, 1)[0] for _ in range(50)]
    assert buckets[-1] & 7 == LAST_LEVEL and buckets.count(buckets[-1]) == 46
