"""What the server counts, and how Prometheus sees it."""

import json

from prometheus_client.parser import text_string_to_metric_families

from xmppd.metrics import COMMIT_BUCKETS_S, Metrics


def samples(metrics: Metrics) -> dict[str, float]:
    """Return "name{label=value}" -> value of one scrape."""
    found = {}
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            labels = ",".join(f"{key}={value}" for key, value in sample.labels.items())
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_everything_is_there_before_anything_happened():
    found = samples(Metrics())
    for name in (
        "xmppd_stanzas_received_total{kind=message}",
        "xmppd_stanzas_received_total{kind=presence}",
        "xmppd_stanzas_sent_total{kind=iq}",
        "xmppd_sessions",
        "xmppd_connections",
        "xmppd_logins_total{result=ok}",
        "xmppd_logins_total{result=failed}",
        "xmppd_commit_seconds_count",
        "xmppd_archive_messages_total",
        "xmppd_bytes_received_total",
        "xmppd_bytes_sent_total",
    ):
        assert found[name] == 0


def test_counts_show_in_the_next_scrape():
    metrics = Metrics()
    metrics.stanzas_received["message"] += 3
    metrics.sessions += 2
    metrics.bytes_sent += 700
    metrics.count_stream_error("host-unknown")
    metrics.count_stream_error("host-unknown")
    found = samples(metrics)
    assert found["xmppd_stanzas_received_total{kind=message}"] == 3
    assert found["xmppd_sessions"] == 2
    assert found["xmppd_bytes_sent_total"] == 700
    assert found["xmppd_stream_errors_total{condition=host-unknown}"] == 2


def test_commits_fall_into_buckets():
    metrics = Metrics()
    for seconds in (0.0001, 0.0005, 0.004, 99.0):
        metrics.observe_commit(seconds)
    found = samples(metrics)
    assert found["xmppd_commit_seconds_bucket{le=0.0005}"] == 2
    assert found["xmppd_commit_seconds_bucket{le=0.005}"] == 3
    assert found[f"xmppd_commit_seconds_bucket{{le={COMMIT_BUCKETS_S[-1]}}}"] == 3
    assert found["xmppd_commit_seconds_bucket{le=+Inf}"] == 4
    assert found["xmppd_commit_seconds_count"] == 4
    assert abs(found["xmppd_commit_seconds_sum"] - 99.0046) < 1e-6


def test_the_process_is_shown():
    assert samples(Metrics())["process_resident_memory_bytes"] > 1_000_000


def test_two_servers_in_one_process_count_apart():
    one, other = Metrics(), Metrics()
    one.connections += 1
    assert samples(one)["xmppd_connections"] == 1
    assert samples(other)["xmppd_connections"] == 0


def test_a_snapshot_is_json():
    metrics = Metrics()
    metrics.observe_commit(0.003)
    assert json.loads(json.dumps(metrics.snapshot())) == metrics.snapshot()
    assert metrics.snapshot()["commit_seconds"] == 0.003
