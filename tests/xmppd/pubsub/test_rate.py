"""How often something may happen."""

from xmppd.pubsub.rate import Allowance


def test_burst_is_allowed_at_once_and_no_more() -> None:
    allowance = Allowance(3, 1.0)
    assert [allowance.take(10.0) for _ in range(4)] == [True, True, True, False]


def test_what_was_used_comes_back_with_time() -> None:
    allowance = Allowance(2, 0.5)
    assert [allowance.take(0.0) for _ in range(3)] == [True, True, False]
    assert not allowance.take(1.0)
    assert allowance.take(2.0)
    assert not allowance.take(2.0)


def test_no_more_comes_back_than_the_burst() -> None:
    allowance = Allowance(2, 1.0)
    allowance.take(0.0)
    assert [allowance.take(1_000.0) for _ in range(3)] == [True, True, False]
