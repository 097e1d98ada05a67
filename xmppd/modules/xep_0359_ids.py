"""XEP-0359: Unique and Stable Stanza IDs.

Gives each message that histories keep its id, once, before delivery; the recipient's copy bears it as <stanza-id/>, and one that
somebody else has put there in our name is taken out. A message that comes again with the same <origin-id/> from the same account
is recognised, also after a crash: what an account has sent lately is read back from its history.
"""

from dataclasses import dataclass, field
from hashlib import blake2b

from codec.element import escape_value
from codec.jid import JID
from codec.payloads.stanza_id import NS, OriginId, StanzaId
from codec.stanza import Message
from storage.interface import Commit
from xmppd.clock import ID_SHIFT_BITS
from xmppd.hooks import AccountEvent, MessageEvent, Phase, account_sends, message_received, message_sent
from xmppd.module import Module, account_part, on
from xmppd.resource import Account

REMEMBERED = 512
"""Messages of an account among which a retry is recognised. A client repeats only what was not acknowledged, some dozens at most; each
costs about 150 bytes while the account is in memory."""

REMEMBERED_US = 7 * 24 * 3600 * 1_000_000
"""How far back: a phone that was off for a holiday may still repeat its last message."""


@dataclass(slots=True)
class RecentlySent:
    """mark of a message -> what its acknowledgement waits for, None where it was read back from the history; oldest first."""

    marks: dict[int, Commit | None] = field(default_factory=dict)


class StanzaIdsModule(Module, xep=359, account_features=(NS,)):
    """Ids and retries."""

    @account_part(RecentlySent, lazy=True)
    async def load(self, account: Account) -> RecentlySent:
        """Read back what the account has sent lately."""
        since_id = (self.host.clock.now_us() - REMEMBERED_US) << ID_SHIFT_BITS
        found = await self.host.archive.recent_marks(account.jid, since_id, REMEMBERED)
        return RecentlySent(dict.fromkeys(sorted(found, key=found.__getitem__)))

    @on(account_sends)
    async def prepare(self, event: AccountEvent) -> None:
        """Have it in memory before the account's first message is handled."""
        account = self.host.accounts.get(event.jid)
        if account is not None:
            await account.load_part(RecentlySent)

    @on(message_sent, phase=Phase.CHECK)
    def recognise(self, event: MessageEvent) -> MessageEvent | None:
        """End the way of a retry: what came before is kept and delivered already, or on its way."""
        mark = event.mark = mark_of(event.message, event.sender.jid)
        if mark:
            recent: RecentlySent | None = event.sender.loaded_part(RecentlySent)
            if recent is not None and mark in recent.marks:
                commit = recent.marks[mark]
                if commit is None or commit.error is None:
                    event.commit = commit
                    return None
        return event

    @on(message_sent, phase=Phase.ANNOTATE)
    def give_id(self, event: MessageEvent) -> MessageEvent:
        """Give the message its id, and take out ids that pretend to be it (§3, rule 2)."""
        event.id = self.host.ids.stanza_id()
        if StanzaId.TAG in event.message.tags:
            event.message = without_ids_by(event.message, event.sender.jid)
        return event

    @on(message_received, phase=Phase.ANNOTATE)
    def clean(self, event: MessageEvent) -> MessageEvent:
        """Give a message from elsewhere its id, and take out ids that pretend to be the recipient's, or its server's (§3, rule 2)."""
        if not event.id:
            event.id = self.host.ids.stanza_id()
        if StanzaId.TAG in event.message.tags:
            event.message = without_ids_by(
                event.message, event.recipient.jid, JID.parse(event.recipient.jid.domainpart)
            )
        return event

    def remember(self, account: Account, mark: int, commit: Commit) -> None:
        """Note that a message of the account was taken; for the module that keeps it."""
        recent = account.loaded_part(RecentlySent)
        if recent is None:
            return
        recent.marks.pop(mark, None)  # one whose commit failed: it is the newest now
        recent.marks[mark] = commit
        if len(recent.marks) > REMEMBERED:
            del recent.marks[next(iter(recent.marks))]


def mark_of(message: Message, sender: JID) -> int:
    """Return a 64-bit number that tells a message's origin-id and recipient; 0 when it has no origin-id."""
    origin_id = message.attribute(OriginId.TAG, "id")
    if origin_id is None:
        return 0
    to = sender if message.to is None else message.to.bare
    digest = blake2b(f"{to}\0{origin_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True) or 1


def without_ids_by(message: Message, *by: JID) -> Message:
    """Return the message without <stanza-id/> elements that name one of `by`."""
    return message.without(lambda child: child.tag == StanzaId.TAG and _is_by(child.get("by"), by))


def _is_by(text: str | None, jids: tuple[JID, ...]) -> bool:
    try:
        return text is not None and JID.parse(text) in jids
    except ValueError:
        return False


def stanza_id_xml(by: JID, id_: str) -> bytes:
    """Return <stanza-id/> as bytes."""
    return f"<stanza-id xmlns='{NS}' id='{escape_value(id_)}' by='{escape_value(by)}'/>".encode()
