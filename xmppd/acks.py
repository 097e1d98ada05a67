"""The counting of XEP-0198: what a client has sent and we have made durable, what we have sent and it has acknowledged.

No input or output: `xep_0198_sm.py` speaks to the client. The state belongs to the resource, so that it outlives its stream.

Inbound: `handled` stanzas were taken; `durable` of them are committed, and no more than that is ever acknowledged (promise 1).
Outbound: `unacked` holds what was sent and not acknowledged, oldest first, with each one's archive id (0: none).
"""

from collections import deque
from collections.abc import Callable

from codec.stanza import Stanza
from storage.interface import Commit

MODULO = 1 << 32
"""h is an unsigned 32-bit number that wraps (XEP-0198 §4)."""


class _Pending:
    """Stanzas up to `handled` wait for `commit`."""

    __slots__ = ("commit", "handled")

    def __init__(self, handled: int, commit: Commit) -> None:
        self.handled = handled
        self.commit = commit


class Acks:
    """The state of one resource.

    Attributes:
        id: what the client names to resume; None when it did not ask for that.
        asked_at: `handled` at the client's first <r/> that is not answered, None when all are.
        asked_last: `handled` at its last <r/>.
        is_failed: a commit failed; the stream must end without acknowledging more.
        on_progress: called when more has become durable, or it failed.
        limit, on_overflow: called when one stanza more than `limit` is unacknowledged.
        r_sent_at: `sent` at our last <r/>, or None when the client has told something since.
    """

    __slots__ = (
        "acked",
        "asked_at",
        "asked_last",
        "durable",
        "handled",
        "id",
        "is_failed",
        "limit",
        "on_overflow",
        "on_progress",
        "r_sent_at",
        "sent",
        "unacked",
        "waiting",
    )

    def __init__(
        self, id_: str | None, on_progress: Callable[[], None], limit: int, on_overflow: Callable[[], None]
    ) -> None:
        self.id = id_
        self.limit = limit
        self.on_overflow = on_overflow
        self.handled = 0
        self.durable = 0
        self.asked_at: int | None = None
        self.asked_last = 0
        self.is_failed = False
        self.on_progress = on_progress
        self.sent = 0
        self.acked = 0
        self.r_sent_at: int | None = None
        self.unacked: deque[tuple[Stanza, int]] = deque()
        self.waiting: deque[_Pending] | None = None

    def took(self, commit: Commit | None) -> None:
        """Count a stanza of the client's; `commit` is what its acknowledgement must wait for."""
        self.handled += 1
        if commit is None or (commit.done and commit.error is None):
            if not self.waiting:
                self.durable = self.handled
            else:
                self.waiting[-1].handled = self.handled
            return
        if self.waiting is None:
            self.waiting = deque()
        if self.waiting and self.waiting[-1].commit is commit:
            self.waiting[-1].handled = self.handled
            return
        self.waiting.append(_Pending(self.handled, commit))
        commit.add_done_callback(self._committed)

    def _committed(self, _: Commit) -> None:
        before = self.durable
        while self.waiting and self.waiting[0].commit.done and not self.is_failed:
            if self.waiting[0].commit.error is not None:
                self.is_failed = True
            else:
                self.durable = self.waiting.popleft().handled
        if self.is_failed or (self.durable != before and self.asked_at is not None):
            self.on_progress()

    def ask(self) -> None:
        """Take the client's <r/>."""
        self.asked_last = self.handled
        if self.asked_at is None:
            self.asked_at = self.handled

    def answer_due(self) -> int | None:
        """Return the h to send now, None when nothing is due.

        One is due when what the client had sent by its first open <r/> is durable. Were it the last one, a client that asks
        after each stanza would get no answer as long as it is quicker than storage.
        """
        if self.asked_at is None or self.durable < self.asked_at:
            return None
        self.asked_at = self.asked_last if self.durable < self.asked_last else None
        return self.h

    @property
    def h(self) -> int:
        """What may be acknowledged now, as it goes over the wire."""
        return self.durable % MODULO

    def acknowledge(self, h: int) -> list[tuple[Stanza, int]]:
        """Take the client's <a h=…/>; return what it covers.

        Raises:
            ValueError: it acknowledges more than was sent (XEP-0198 §4, handled-count-too-high).
        """
        count = (h - self.acked) % MODULO
        if count > len(self.unacked):
            raise ValueError(f"acknowledged {h}, sent {self.sent % MODULO}")
        covered = [self.unacked.popleft() for _ in range(count)]
        self.acked += count
        self.r_sent_at = None  # also when it covers less than we asked about: what is left must be asked about again
        return covered
