"""RFC 2782: priorities strictly, weights by chance."""

from collections import Counter
from random import Random

import pytest

from xmppd.s2s.srv import ServiceRecord, in_order


def record(priority: int, weight: int, host: str, is_direct_tls: bool = False) -> ServiceRecord:
    return ServiceRecord(priority, weight, 5269, host, is_direct_tls)


def firsts(records: list[ServiceRecord], times: int = 4000) -> Counter[str]:
    random = Random(1)
    return Counter(in_order(records, random)[0].host for _ in range(times))


def test_the_lowest_priority_always_comes_first():
    records = [record(30, 65535, "c"), record(10, 0, "a"), record(20, 100, "b")]
    for seed in range(50):
        assert [found.host for found in in_order(records, Random(seed))] == ["a", "b", "c"]


def test_every_record_comes_once():
    records = [record(seed % 3, seed % 5, str(seed)) for seed in range(24)]
    for seed in range(20):
        assert sorted(found.host for found in in_order(records, Random(seed))) == sorted(r.host for r in records)


def test_weights_say_how_often_a_record_comes_first():
    found = firsts([record(1, 75, "often"), record(1, 25, "seldom")])
    assert found["often"] / 4000 == pytest.approx(0.75, abs=0.03)


def test_the_second_is_chosen_by_weight_among_those_left():
    random, seconds = Random(1), Counter[str]()
    records = [record(1, 60, "a"), record(1, 30, "b"), record(1, 10, "c")]
    for _ in range(4000):
        first, second, _ = in_order(records, random)
        if first.host == "a":
            seconds[second.host] += 1
    assert seconds["b"] / seconds.total() == pytest.approx(0.75, abs=0.03)


def test_no_weight_beside_weights_is_seldom_first_but_not_never():
    found = firsts([record(1, 0, "none"), record(1, 20, "some")])
    assert 0 < found["none"] < 400


def test_without_any_weight_all_come_first_as_often():
    found = firsts([record(1, 0, "a"), record(1, 0, "b"), record(1, 0, "c")])
    assert all(count / 4000 == pytest.approx(1 / 3, abs=0.03) for count in found.values())


def test_both_services_are_one_set():
    records = [record(5, 1, "direct", True), record(1, 1, "first"), record(9, 1, "last")]
    assert [found.host for found in in_order(records, Random(1))] == ["first", "direct", "last"]


def test_no_records_are_no_order():
    assert in_order([], Random(1)) == []
