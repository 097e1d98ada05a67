"""A bucket lets a burst through, and then so much a second."""

from xmppd.rooms.rates import Bucket


def test_a_burst_passes_and_then_the_rate() -> None:
    bucket = Bucket(2.0, 3.0, 0.0)
    assert [bucket.take(0.0) for _ in range(5)] == [True, True, True, False, False]
    assert [bucket.take(0.6), bucket.take(0.6), bucket.take(0.6)] == [True, True, False]
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]


def test_one_large_thing_passes_and_is_paid_for_afterwards() -> None:
    bucket = Bucket(10.0, 5.0, 0.0)
    assert bucket.take(0.0, 105.0)
    assert not bucket.take(9.0)
    assert 0.9 < bucket.wait_s() < 1.1
    assert bucket.take(9.0 + bucket.wait_s())
