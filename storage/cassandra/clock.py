"""Timestamps of writes.

Of two writes to one place Cassandra keeps the one with the greater timestamp, in whatever order they reach it. Ours come from
here: each is greater than the one before, so writes of one process take effect in the order of their calls, and a retry changes
nothing. They follow the clock of the cluster, not of this machine: one whose clock is wrong, or is set back, loses no write.
"""

import time
from collections.abc import Callable


class WriteClock:
    """Microseconds since 1970 by the cluster's clock, strictly ascending."""

    def __init__(
        self, monotonic_ns: Callable[[], int] = time.monotonic_ns, now_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._monotonic_ns = monotonic_ns
        self._now_ns = now_ns
        self._offset_us = now_ns() // 1000 - monotonic_ns() // 1000
        self._last_us = 0

    def next_us(self) -> int:
        """Return the timestamp of the next write."""
        now = self._monotonic_ns() // 1000 + self._offset_us
        self._last_us = now if now > self._last_us else self._last_us + 1
        return self._last_us

    def set(self, cluster_us: int) -> float:
        """Follow the cluster's clock, which shows `cluster_us` now; return how many seconds this machine's is ahead of it.

        Timestamps never go back: where the cluster's clock is behind them they advance by 1 µs each until it has caught up.
        """
        self._offset_us = cluster_us - self._monotonic_ns() // 1000
        return (self._now_ns() // 1000 - cluster_us) / 1e6
