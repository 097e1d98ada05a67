"""The counting of XEP-0198: what a client has sent and we have made durable, what we have sent and it has acknowledged.

No input or output: `xep_0198_sm.py` speaks to the client. The state belongs to the resource, so that it outlives its stream.

Inbound: `handled` stanzas were taken; `durable` of them are committed, and no more than that is ever acknowledged (promise 1).
Outbound: `unacked` holds what was sent and not acknowledged, oldest first, each with what its sender wants to know it by: for clients
its archive id (0: none), for other servers its entry in the queue.
"""

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from codec.element import Element
from codec.stanza import Stanza
from storage.interface import Commit
from xmppd.errors import StreamError

NS = "urn:xmpp:sm:3"

STANZA_BYTES = 500
"""What a stanza kept here costs beside its payload."""

MAX_BYTES = 33_554_432
"""What may wait for one client to acknowledge: 32 MiB, as much as a long page of a history with large pictures in it."""

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
        limit, max_bytes: how many stanzas, and how many bytes of them, may be unacknowledged.
        size_bytes: how many are.
        on_overflow: called once when there are more.
        r_sent_at: `sent` at our last <r/>, or None when the client has told something since.
    """

    __slots__ = (
        "acked",
        "asked_at",
        "asked_last",
        "durable",
        "handled",
        "has_overflown",
        "id",
        "is_failed",
        "limit",
        "max_bytes",
        "on_overflow",
        "on_progress",
        "r_sent_at",
        "sent",
        "size_bytes",
        "unacked",
        "waiting",
    )

    def __init__(
        self,
        id_: str | None,
        on_progress: Callable[[], None],
        limit: int,
        on_overflow: Callable[[], None],
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.id = id_
        self.limit = limit
        self.max_bytes = max_bytes
        self.size_bytes = 0
        self.has_overflown = False
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
        self.unacked: deque[tuple[Stanza, Any]] = deque()
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

    async def count_after(self, waiting: Coroutine[Any, Any, Any]) -> None:
        """Count a stanza that has to wait: at once, so that whoever resumes meanwhile does not send it again.

        Args:
            waiting: deals with it, and returns what its acknowledgement must wait for, or None.
        """
        handled = Commit()
        self.took(handled)
        try:
            commit = await waiting
        except BaseException as error:
            handled.finish(error)
            raise
        if commit is None:
            handled.finish()
        else:
            commit.add_done_callback(lambda done: handled.finish(done.error))

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

    def keep(self, stanza: Stanza, mark: Any) -> None:
        """Note a stanza that is sent, or would be if there were a stream."""
        self.unacked.append((stanza, mark))
        self.sent += 1
        self.size_bytes += stanza.size_bytes + STANZA_BYTES
        if len(self.unacked) > self.limit or self.size_bytes > self.max_bytes:
            self._overflow()

    def _overflow(self) -> None:
        if not self.has_overflown:
            self.has_overflown = True
            self.on_overflow()

    def give_up(self) -> list[tuple[Stanza, Any]]:
        """Return what was never acknowledged, oldest first, and forget it."""
        left = list(self.unacked)
        self.unacked.clear()
        self.size_bytes = 0
        return left

    def acknowledge(self, h: int) -> list[tuple[Stanza, Any]]:
        """Take the client's <a h=…/>; return what it covers.

        Raises:
            ValueError: it acknowledges more than was sent (XEP-0198 §4, handled-count-too-high).
        """
        count = (h - self.acked) % MODULO
        if count > len(self.unacked):
            raise ValueError(f"acknowledged {h}, sent {self.sent % MODULO}")
        covered = [self.unacked.popleft() for _ in range(count)]
        self.acked += count
        for stanza, _ in covered:
            self.size_bytes -= stanza.size_bytes + STANZA_BYTES
        self.r_sent_at = None  # also when it covers less than we asked about: what is left must be asked about again
        return covered

    def take(self, h: int) -> list[tuple[Stanza, Any]]:
        """Do as `acknowledge`.

        Raises:
            StreamError: it acknowledges more than was sent (§4): the stream ends.
        """
        try:
            return self.acknowledge(h)
        except ValueError as error:
            sent = self.sent % MODULO
            raise StreamError(
                "undefined-condition",
                f"You acknowledged {h} stanzas, but I sent {sent}.",
                Element(f"{NS} handled-count-too-high", {"h": str(h), "send-count": str(sent)}),
            ) from error


def counter_of(element: Element) -> int | None:
    """Return h, or None when it is missing or no unsigned 32-bit number."""
    text = element.get("h") or ""
    if not text.isascii() or not text.isdecimal() or len(text) > 10:
        return None
    return int(text) if int(text) < MODULO else None
