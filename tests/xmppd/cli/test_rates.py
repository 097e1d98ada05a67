"""What happened between two looks."""

import pytest

from xmppd.cli.rates import rates
from xmppd.metrics import Metrics


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


def test_counts_become_rates(metrics):
    before = {**metrics.snapshot(), "stanzas_received": dict(metrics.stanzas_received), "logins": dict(metrics.logins)}
    metrics.stanzas_received["message"] += 10
    metrics.bytes_sent += 4096
    metrics.logins["ok"] += 3
    metrics.logins["failed"] += 1
    found = rates(before, metrics.snapshot(), 2.0)
    assert found.received == {"message": 5, "presence": 0, "iq": 0}
    assert found.bytes_sent == 2048
    assert found.logins == 2


def test_without_commits_there_is_no_latency(metrics):
    found = rates(metrics.snapshot(), metrics.snapshot(), 1.0)
    assert (found.commits, found.commit_mean_ms, found.commit_p99_ms) == (0, None, None)


def test_latency_is_of_the_time_between(metrics):
    metrics.observe_commit(2.0)
    before = {**metrics.snapshot(), "commit_counts": list(metrics.commit_counts)}
    for _ in range(98):
        metrics.observe_commit(0.002)
    metrics.observe_commit(0.2)
    metrics.observe_commit(0.2)
    found = rates(before, metrics.snapshot(), 1.0)
    assert found.commits == 100
    assert found.commit_mean_ms == pytest.approx((98 * 2 + 400) / 100)
    assert found.commit_p99_ms == 250


def test_what_is_above_every_bound_has_the_last_one(metrics):
    before = {**metrics.snapshot(), "commit_counts": list(metrics.commit_counts)}
    metrics.observe_commit(60.0)
    assert rates(before, metrics.snapshot(), 1.0).commit_p99_ms == 2500


def test_a_condition_seen_for_the_first_time_counts_from_nothing(metrics):
    before = {**metrics.snapshot(), "stanzas_sent": {}}
    metrics.stanzas_sent["iq"] += 1
    assert rates(before, metrics.snapshot(), 1.0).sent["iq"] == 1
