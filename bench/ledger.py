"""The book of a kill run: what was sent, acknowledged, delivered and archived, and what of it went wrong."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import Enum


class Way(Enum):
    """How a message reached its recipient."""

    PUSHED = "pushed"
    """Sent by the server unasked: live, resumed or kept for an absent account."""
    FETCHED = "fetched"
    """Asked of the archive, from the last stanza id on that the client had."""
    FETCHED_AGAIN = "fetched again"
    """Asked of the archive from an earlier point, so that known messages are expected among the new ones."""


@dataclass(slots=True)
class Sent:
    """One message: who said it to whom, and whether the server answered for it."""

    sender: str
    recipient: str
    is_acknowledged: bool = False
    is_refused: bool = False


@dataclass(slots=True)
class Verdict:
    """What the book says at the end; every figure counts messages.

    `lost`: acknowledged, but missing in an archive or never delivered. `doubled`: in an archive more than once, or given to
    the recipient twice under one stanza id.
    """

    sent: int = 0
    acknowledged: int = 0
    lost: int = 0
    doubled: int = 0
    undelivered: int = 0
    missing_in_senders_archive: int = 0
    missing_in_recipients_archive: int = 0
    archived_twice: int = 0
    delivered_twice: int = 0
    seen_under_two_stanza_ids: int = 0
    refused: int = 0
    examples: list[str] = field(default_factory=list)


class Ledger:
    """Takes note while a run goes on; `verdict` closes it."""

    def __init__(self) -> None:
        self.sent: dict[str, Sent] = {}
        self._ids: dict[str, set[str]] = defaultdict(set)  # origin id -> stanza ids under which the recipient got it
        self._known: set[tuple[str, str]] = set()  # (recipient, stanza id) that the recipient has
        self._twice: set[str] = set()
        self._archives: dict[str, list[tuple[str, str]]] = {}  # account -> (origin id, stanza id) in order

    def note_sent(self, origin_id: str, sender: str, recipient: str) -> None:
        """A message was handed to the client for sending."""
        self.sent[origin_id] = Sent(sender, recipient)

    def note_acknowledged(self, origin_id: str) -> None:
        """The server counted it in an `<a/>`."""
        self.sent[origin_id].is_acknowledged = True

    def note_refused(self, origin_id: str) -> None:
        """An error came back for it."""
        if origin_id in self.sent:
            self.sent[origin_id].is_refused = True

    def note_delivered(self, recipient: str, origin_id: str, stanza_id: str, way: Way) -> None:
        """The recipient got it."""
        key = (recipient, stanza_id)
        if key in self._known and way is not Way.FETCHED_AGAIN:
            self._twice.add(origin_id)
        self._known.add(key)
        self._ids[origin_id].add(stanza_id)

    def note_archive(self, account: str, entries: list[tuple[str, str]]) -> None:
        """What the account's archive holds at the end."""
        self._archives[account] = entries

    def missing_deliveries(self) -> list[str]:
        """Return the origin ids that are acknowledged and not delivered."""
        return [o for o, sent in self.sent.items() if sent.is_acknowledged and o not in self._ids]

    def verdict(self) -> Verdict:
        """Compare it all."""
        archived = {account: Counter(origin for origin, _ in entries) for account, entries in self._archives.items()}
        repeated = {origin for entries in self._archives.values() for origin in _under_repeated_ids(entries)}
        verdict = Verdict(
            sent=len(self.sent), seen_under_two_stanza_ids=sum(len(ids) > 1 for ids in self._ids.values())
        )
        for origin, sent in self.sent.items():
            verdict.refused += sent.is_refused
            if not sent.is_acknowledged:
                continue
            self._judge(verdict, origin, sent, archived, origin in repeated)
        return verdict

    def _judge(
        self, verdict: Verdict, origin: str, sent: Sent, archived: dict[str, Counter[str]], is_repeated: bool
    ) -> None:
        in_senders = archived.get(sent.sender, Counter())[origin]
        in_recipients = archived.get(sent.recipient, Counter())[origin]
        is_undelivered = origin not in self._ids
        verdict.acknowledged += 1
        verdict.undelivered += is_undelivered
        verdict.missing_in_senders_archive += in_senders == 0
        verdict.missing_in_recipients_archive += in_recipients == 0
        is_lost = is_undelivered or in_senders == 0 or in_recipients == 0
        is_archived_twice = in_senders > 1 or in_recipients > 1 or is_repeated
        verdict.lost += is_lost
        verdict.archived_twice += is_archived_twice
        verdict.delivered_twice += origin in self._twice
        verdict.doubled += is_archived_twice or origin in self._twice
        if (is_lost or is_archived_twice or origin in self._twice) and len(verdict.examples) < 5:
            verdict.examples.append(
                f"{origin} {sent.sender}->{sent.recipient} sender's archive {in_senders}, recipient's {in_recipients},"
                f" stanza ids {sorted(self._ids[origin])}{', delivered twice' if origin in self._twice else ''}"
            )


def _under_repeated_ids(entries: list[tuple[str, str]]) -> list[str]:
    """Return the origin ids of entries whose stanza id the archive gives to more than one entry."""
    times = Counter(stanza_id for _, stanza_id in entries)
    return [origin for origin, stanza_id in entries if times[stanza_id] > 1]
