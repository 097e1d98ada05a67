"""What the server counts, and how Prometheus sees it.

The path of a stanza adds to plain integers of one `Metrics` object, 20 to 40 ns each; only a scrape turns them into metrics.

    metrics.stanzas_received["message"] += 1
    metrics.bytes_received += len(data)
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

COMMIT_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds; a commit on a good disk takes 1 to 5 ms, one above 2.5 s is a fault."""

KINDS = ("message", "presence", "iq")
MEDIA = ("slot", "too large", "over quota", "stored", "failed", "read", "expired")


class Pushes(Protocol):
    """What is counted of push notifications."""

    @property
    def counts(self) -> Mapping[tuple[str, str, str], int]:
        """How many ended how: by gateway, result and reason."""

    @property
    def latency_counts(self) -> Sequence[int]:
        """How many were delivered, by bucket."""

    @property
    def bounds_s(self) -> Sequence[float]:
        """The buckets' upper bounds but the last, which has none."""


class Metrics:
    """The counts of one server.

    Attributes:
        stanzas_received, stanzas_sent: by kind (message, presence, iq).
        bytes_received, bytes_sent: of XML, before TLS.
        connections: open now. sessions: bound resources now, those waiting to be resumed too.
        logins: by result, "ok" or "failed". stream_errors: by condition, those that we sent.
        archive_messages: taken into the archive.
        media: of uploads (XEP-0363), by what happened; `MEDIA` lists it. media_bytes: of the files that were stored here.
        push: counts of push notifications (`xmppd.waking.service.PushService`), None where there is none.
        commit_counts: commits by bucket of COMMIT_BUCKETS_S, the last one without bound. commit_seconds: their sum.
    """

    __slots__ = (
        "_registry",
        "archive_messages",
        "bytes_received",
        "bytes_sent",
        "commit_counts",
        "commit_seconds",
        "connections",
        "logins",
        "media",
        "media_bytes",
        "push",
        "sessions",
        "stanzas_received",
        "stanzas_sent",
        "stream_errors",
    )

    def __init__(self) -> None:
        self.stanzas_received = dict.fromkeys(KINDS, 0)
        self.stanzas_sent = dict.fromkeys(KINDS, 0)
        self.bytes_received = 0
        self.bytes_sent = 0
        self.connections = 0
        self.sessions = 0
        self.logins = {"ok": 0, "failed": 0}
        self.stream_errors: dict[str, int] = {}
        self.archive_messages = 0
        self.media = dict.fromkeys(MEDIA, 0)
        self.media_bytes = 0
        self.push: Pushes | None = None
        self.commit_counts = [0] * (len(COMMIT_BUCKETS_S) + 1)
        self.commit_seconds = 0.0
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Collector(self))  # type: ignore[arg-type]
        ProcessCollector(registry=self._registry)

    def count_stream_error(self, condition: str) -> None:
        """Count a stream that we ended; the condition is one of the RFC's."""
        self.stream_errors[condition] = self.stream_errors.get(condition, 0) + 1

    def observe_commit(self, seconds: float) -> None:
        """Count one commit of the storage and how long it took."""
        self.commit_counts[bisect_left(COMMIT_BUCKETS_S, seconds)] += 1
        self.commit_seconds += seconds

    def exposition(self) -> bytes:
        """Return everything in the text format of Prometheus."""
        return generate_latest(self._registry)

    def snapshot(self) -> dict[str, Any]:
        """Return the counts as JSON values, for the command line."""
        return {name: getattr(self, name) for name in self.__slots__ if name not in ("_registry", "push")}


class _Collector:
    """Makes the metric families of one scrape."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        m = self._metrics
        yield _by_label("xmppd_stanzas_received", "Stanzas received, by kind.", "kind", m.stanzas_received)
        yield _by_label("xmppd_stanzas_sent", "Stanzas sent, by kind.", "kind", m.stanzas_sent)
        yield _by_label("xmppd_logins", "Logins, by result.", "result", m.logins)
        yield _by_label("xmppd_stream_errors", "Streams ended, by condition.", "condition", m.stream_errors)
        yield CounterMetricFamily("xmppd_bytes_received", "Bytes of XML received.", m.bytes_received)
        yield CounterMetricFamily("xmppd_bytes_sent", "Bytes of XML sent.", m.bytes_sent)
        yield CounterMetricFamily("xmppd_archive_messages", "Messages taken into the archive.", m.archive_messages)
        yield _by_label("xmppd_media", "Uploads, by what happened.", "event", m.media)
        yield CounterMetricFamily("xmppd_media_stored_bytes", "Bytes of files that were stored here.", m.media_bytes)
        yield GaugeMetricFamily("xmppd_connections", "Connections open now.", m.connections)
        yield GaugeMetricFamily("xmppd_sessions", "Bound resources now.", m.sessions)
        yield _histogram("xmppd_commit_seconds", "How long a commit of the storage takes.", m)
        if m.push is not None:
            yield from _pushes(m.push)


def _pushes(push: Pushes) -> Iterator[Metric]:
    names = ("gateway", "result", "reason")
    family = CounterMetricFamily("xmppd_push", "Push notifications, by gateway, result and reason.", labels=names)
    for labels, count in push.counts.items():
        family.add_metric(labels, count)
    yield family
    latency = CounterMetricFamily(
        "xmppd_push_delivered",
        "Push notifications that a gateway took, by seconds since they were put.",
        labels=("le",),
    )
    for bound, count in zip((*map(str, push.bounds_s), "+Inf"), accumulate(push.latency_counts), strict=True):
        latency.add_metric((bound,), count)
    yield latency


def _by_label(name: str, meaning: str, label: str, counts: dict[str, int]) -> Metric:
    family = CounterMetricFamily(name, meaning, labels=(label,))
    for value, count in counts.items():
        family.add_metric((value,), count)
    return family


def _histogram(name: str, meaning: str, metrics: Metrics) -> Metric:
    below = 0
    buckets: list[tuple[str, float]] = []
    for bound, count in zip((*COMMIT_BUCKETS_S, "+Inf"), metrics.commit_counts, strict=True):
        below += count
        buckets.append((str(bound), below))
    return HistogramMetricFamily(name, meaning, buckets=buckets, sum_value=metrics.commit_seconds)
