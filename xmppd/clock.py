"""Time and ids: the server's own, so that tests can give others."""

import secrets
import time
from datetime import UTC, datetime

ID_SHIFT_BITS = 10
"""An archive id is microseconds since 1970 times 2**10: room for ids within a microsecond, in 63 bits until the year 2255."""


class Clock:
    """The real time."""

    __slots__ = ()

    def now(self) -> datetime:
        """Return the time of day, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()

    def now_us(self) -> int:
        """Return microseconds since 1970."""
        return time.time_ns() // 1_000


class Ids:
    """Ids that nobody has used before."""

    __slots__ = ("_clock", "_last", "_number", "_step")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last = 0
        self._number = 0
        self._step = 1

    def stanza_id(self) -> int:
        """Return the next archive id: greater than any before, also when the clock goes back."""
        id_ = self._clock.now_us() << ID_SHIFT_BITS | self._number
        if id_ <= self._last:
            id_ = self._last + self._step
        self._last = id_
        return id_

    def start_after(self, id_: int) -> None:
        """Give only ids greater than this one: the clock may have been set back since it was given."""
        self._last = max(self._last, id_)
        if self._step > 1:
            self.share(self._number)

    def share(self, number: int) -> None:
        """Give only ids with this number (0 to 1023) in the low part: other gateways give those with theirs at the same time."""
        self._number, self._step = number, 1 << ID_SHIFT_BITS
        if self._last:
            self._last = ((self._last >> ID_SHIFT_BITS) + 1) << ID_SHIFT_BITS | number

    def token(self) -> str:
        """Return 16 random characters that nobody can guess (96 bits)."""
        return secrets.token_urlsafe(12)


def id_of_time(moment: datetime) -> int:
    """Return the smallest archive id of that moment."""
    return (int(moment.timestamp() * 1_000_000)) << ID_SHIFT_BITS


def time_of_id(id_: int) -> datetime:
    """Return the moment at which an archive id was given, in UTC."""
    seconds, us = divmod(id_ >> ID_SHIFT_BITS, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=us)
