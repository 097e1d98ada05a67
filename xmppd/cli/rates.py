"""What happened between two looks at the server's counts."""

from dataclasses import dataclass
from typing import Any

from xmppd.metrics import COMMIT_BUCKETS_S


@dataclass(frozen=True, slots=True)
class Rates:
    """Per second, except where it says otherwise. `commit_mean_ms`, `commit_p99_ms`: None when nothing was committed."""

    received: dict[str, float]
    sent: dict[str, float]
    bytes_received: float
    bytes_sent: float
    archive_messages: float
    logins: float
    commits: float
    commit_mean_ms: float | None
    commit_p99_ms: float | None


def rates(before: dict[str, Any], after: dict[str, Any], seconds: float) -> Rates:
    """Return the rates between two snapshots of `Metrics`, taken so many seconds apart."""

    def each(name: str) -> dict[str, float]:
        return {key: (count - before[name].get(key, 0)) / seconds for key, count in after[name].items()}

    def per_second(name: str) -> float:
        return float(after[name] - before[name]) / seconds

    counts = [new - old for old, new in zip(before["commit_counts"], after["commit_counts"], strict=True)]
    commits = sum(counts)
    spent = after["commit_seconds"] - before["commit_seconds"]
    return Rates(
        received=each("stanzas_received"),
        sent=each("stanzas_sent"),
        bytes_received=per_second("bytes_received"),
        bytes_sent=per_second("bytes_sent"),
        archive_messages=per_second("archive_messages"),
        logins=sum(each("logins").values()),
        commits=commits / seconds,
        commit_mean_ms=1000 * spent / commits if commits else None,
        commit_p99_ms=_quantile_ms(counts, 0.99),
    )


def _quantile_ms(counts: list[int], share: float) -> float | None:
    """Return the bound of the bucket that holds the quantile; the last bucket has none, so its lower one."""
    wanted, below = sum(counts) * share, 0
    if not wanted:
        return None
    for bound, count in zip(COMMIT_BUCKETS_S, counts, strict=False):
        below += count
        if below >= wanted:
            return 1000 * bound
    return 1000 * COMMIT_BUCKETS_S[-1]
