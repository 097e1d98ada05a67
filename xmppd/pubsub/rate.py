"""How often something may happen: many times at once, then at a steady rate."""


class Allowance:
    """What is left of `burst`; `per_second` comes back.

    Attributes:
        left: times it may happen now.
    """

    __slots__ = ("_at", "_burst", "_per_second", "left")

    def __init__(self, burst: int, per_second: float) -> None:
        self._burst = burst
        self._per_second = per_second
        self._at: float | None = None
        self.left = float(burst)

    def take(self, now: float) -> bool:
        """Note that it happens at a time in seconds; False: it may not."""
        if self._at is not None:
            self.left = min(self._burst, self.left + (now - self._at) * self._per_second)
        self._at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True
