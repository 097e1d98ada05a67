"""How often something may happen: token buckets, one or one for each key; and how long to wait after failures."""

import zlib
from collections import OrderedDict


class Rate:
    """A bucket of `burst` tokens that fills by `per_s`; without a rate it is never empty. Time is what the caller says it is."""

    __slots__ = ("_at", "_level", "burst", "per_s")

    def __init__(self, per_s: float, burst: float) -> None:
        """`per_s` 0: no limit. `burst` below 1 counts as 1."""
        self.per_s = per_s
        self.burst = max(burst, 1.0)
        self._level = self.burst
        self._at = 0.0

    def take(self, now_s: float, wanted: int = 1) -> int:
        """Take up to `wanted` whole tokens and return how many there were."""
        if not self.per_s:
            return wanted
        self._fill(now_s)
        taken = min(wanted, int(self._level + 1e-6))
        self._level -= taken
        return taken

    def reserve(self, now_s: float) -> float:
        """Take the next token, also one that comes later, and return in how many seconds it is there."""
        wait_s = self.wait_s(now_s)
        if self.per_s:
            self._level -= 1.0
        return wait_s

    def give_back(self, count: int) -> None:
        """Put back tokens that were not used."""
        self._level = min(self.burst, self._level + count)

    def wait_s(self, now_s: float) -> float:
        """Return how long it is until there is a token."""
        if not self.per_s:
            return 0.0
        self._fill(now_s)
        return max(0.0, (1.0 - self._level) / self.per_s)

    def _fill(self, now_s: float) -> None:
        self._level = min(self.burst, self._level + max(0.0, now_s - self._at) * self.per_s)
        self._at = now_s


class Rates:
    """A bucket for each key; those used last are remembered."""

    def __init__(self, per_s: float, burst: float, max_keys: int) -> None:
        """`per_s` 0: no limit, and nothing is remembered."""
        self._per_s, self._burst, self._max_keys = per_s, burst, max_keys
        self._rates: OrderedDict[object, Rate] = OrderedDict()

    def reserve(self, key: object, now_s: float) -> float:
        """Take a token, also one that comes later, and return in how many seconds it is there."""
        if not self._per_s:
            return 0.0
        rate = self._rates.get(key)
        if rate is None:
            rate = self._rates[key] = Rate(self._per_s, self._burst)
            if len(self._rates) > self._max_keys:
                self._rates.popitem(last=False)
        else:
            self._rates.move_to_end(key)
        return rate.reserve(now_s)

    def __len__(self) -> int:
        return len(self._rates)


def backoff_s(first_s: float, last_s: float, failures: int, seed: str) -> float:
    """Return the pause after so many failures (from 1): doubled each time, and up to a fifth longer so that not all come at once."""
    spread = zlib.crc32(f"{seed} {failures}".encode()) / 2**32 / 5
    return min(last_s, first_s * 2.0 ** min(max(failures, 1) - 1, 60)) * (1 + spread)
