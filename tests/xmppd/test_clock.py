"""Time and ids."""

from datetime import UTC, datetime, timedelta

import pytest

from xmppd.clock import ID_SHIFT_BITS, Clock, Ids, id_of_time, time_of_id


class Still(Clock):
    """Shows what it is told."""

    def __init__(self, us: int) -> None:
        self.us = us

    def now_us(self) -> int:
        return self.us


def test_now_is_aware_and_in_utc():
    now = Clock().now()
    assert now.tzinfo is UTC
    assert abs(now.timestamp() - Clock().now_us() / 1_000_000) < 60


def test_monotonic_never_goes_back():
    clock = Clock()
    readings = [clock.monotonic() for _ in range(100)]
    assert readings == sorted(readings)


def test_ids_ascend_within_one_microsecond():
    ids = Ids(Still(1_000_000))
    given = [ids.stanza_id() for _ in range(5_000)]
    assert given == sorted(set(given))
    assert given[0] == 1_000_000 << ID_SHIFT_BITS


@pytest.mark.parametrize("step_us", [-1_000_000, -1, 0, 1, 1_000_000])
def test_ids_ascend_also_when_the_clock_goes_back(step_us):
    clock = Still(10_000_000)
    ids = Ids(clock)
    before = ids.stanza_id()
    clock.us += step_us
    assert ids.stanza_id() > before


def test_ids_fit_signed_64_bits_for_two_centuries():
    assert id_of_time(datetime(2250, 1, 1, tzinfo=UTC)) < 1 << 63


@pytest.mark.parametrize("us", [0, 1, 999_999, 123_456])
def test_time_of_an_id_is_the_moment_it_was_given(us):
    moment = datetime(2026, 3, 4, 5, 6, 7, us, tzinfo=UTC)
    id_ = id_of_time(moment)
    assert time_of_id(id_) == time_of_id(id_ + (1 << ID_SHIFT_BITS) - 1) == moment
    assert time_of_id(id_ + (1 << ID_SHIFT_BITS)) == moment + timedelta(microseconds=1)


def test_tokens_are_long_and_never_the_same():
    tokens = {Ids(Clock()).token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(len(token) == 16 and token.isascii() for token in tokens)


def test_ids_go_on_above_those_of_a_clock_that_was_ahead() -> None:
    ids = Ids(Clock())
    ahead = ids.stanza_id() + (3_600_000_000 << ID_SHIFT_BITS)
    ids.start_after(ahead)
    assert ids.stanza_id() == ahead + 1
    ids.start_after(5)
    assert ids.stanza_id() == ahead + 2


def test_gateways_that_share_a_storage_never_give_the_same_id():
    clock = Clock()
    one, other = Ids(clock), Ids(clock)
    one.share(1)
    other.share(1023)
    other.start_after(one.stanza_id() + (5_000_000 << ID_SHIFT_BITS))
    one.start_after(7)
    for ids, number in ((one, 1), (other, 1023)):
        given = [ids.stanza_id() for _ in range(3_000)]
        assert {id_ % (1 << ID_SHIFT_BITS) for id_ in given} == {number}
        assert given == sorted(set(given))
