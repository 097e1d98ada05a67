"""A bucket that fills with time: so much at once, so much a second after that."""


class Bucket:
    """How much may still be done now.

    Args:
        per_s: what comes back each second. burst: the most that may be done at once; full at first.
    """

    __slots__ = ("_at_s", "_burst", "_left", "_per_s")

    def __init__(self, per_s: float, burst: float, now_s: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = burst
        self._at_s = now_s

    def take(self, now_s: float, cost: float = 1.0) -> bool:
        """Take `cost` out, if anything is left: a large one may go below zero, and has to be filled up again."""
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._left <= 0:
            return False
        self._left -= cost
        return True

    def wait_s(self) -> float:
        """Return how long it takes until something is left again."""
        return max(0.0, -self._left / self._per_s) + 0.001
