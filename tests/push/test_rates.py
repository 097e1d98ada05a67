"""Token buckets, by a clock that is a number."""

import pytest

from push.rates import Rate, Rates, backoff_s


def test_a_bucket_gives_its_burst_and_then_its_rate():
    rate = Rate(2, 5)
    assert rate.take(0, 100) == 5
    assert rate.take(0) == 0
    assert rate.wait_s(0) == pytest.approx(0.5)
    assert rate.take(0.5) == 1
    assert rate.take(1000, 100) == 5


def test_what_is_given_back_is_there_again_but_never_more_than_the_burst():
    rate = Rate(1, 5)
    rate.take(0, 5)
    rate.give_back(2)
    assert rate.take(0, 100) == 2
    rate.give_back(100)
    assert rate.take(0, 100) == 5


def test_reserved_tokens_come_one_after_another():
    rate = Rate(2, 1)
    assert [rate.reserve(0) for _ in range(4)] == pytest.approx([0, 0.5, 1.0, 1.5])
    assert rate.reserve(2.0) == pytest.approx(0)


def test_without_a_rate_nothing_is_held_up_or_remembered():
    assert Rate(0, 1).take(0, 1000) == 1000
    assert Rate(0, 1).wait_s(0) == Rate(0, 1).reserve(0) == 0
    rates = Rates(0, 1, 10)
    assert [rates.reserve("a", 0) for _ in range(3)] == [0, 0, 0] and len(rates) == 0


def test_each_key_has_a_bucket_and_a_clock_that_goes_back_gives_nothing():
    rates = Rates(1, 1, 10)
    assert rates.reserve("a", 5) == rates.reserve("b", 5) == 0
    assert rates.reserve("a", 4) == pytest.approx(1)


def test_the_key_that_was_quiet_longest_is_forgotten():
    rates = Rates(1, 1, 2)
    for key in "abac":
        rates.reserve(key, 0)
    assert len(rates) == 2
    assert rates.reserve("a", 0) > 0 and rates.reserve("b", 0) == 0


def test_pauses_double_up_to_their_bound_and_are_not_the_same_for_all():
    pauses = [backoff_s(1, 300, failures, "apns") for failures in range(1, 80)]
    assert all(2 ** min(n, 9) * 0.5 <= pauses[n] or pauses[n] >= 300 for n in range(79)) and max(pauses) <= 360
    assert backoff_s(1, 300, 1, "a") != backoff_s(1, 300, 1, "b")
