"""XEP-0191: Blocking Command.

Between an account and whom it blocks nothing passes: to the blocked the account looks as if it were not there, and its own clients
are told when they write to them. An account's own resources and its own server cannot be blocked.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from codec.element import Element
from codec.jid import JID, InvalidJID
from codec.payload import Payload, attr, children
from codec.stanza import IQ
from storage.interface import MapStore, StorageError
from xmppd.errors import StanzaError
from xmppd.hooks import (
    BlockedEvent,
    ExportEvent,
    ImportEvent,
    IQEvent,
    MessageEvent,
    Phase,
    PresenceEvent,
    RecipientsEvent,
    account_exported,
    account_imported,
    iq_received,
    iq_sent,
    jids_blocked,
    message_received,
    message_sent,
    presence_received,
    presence_recipients,
    presence_sent,
)
from xmppd.host import Host
from xmppd.module import Module, Target, account_part, iq_get, iq_set, on
from xmppd.modules.rfc_6121_presence import PresenceModule
from xmppd.resource import Account

NS = "urn:xmpp:blocking"
BLOCKED = Element("urn:xmpp:blocking:errors blocked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item(Payload, tag=(NS, "item")):
    """One JID: a bare or full one, a domain, or a resource of a domain (§6)."""

    jid: JID = attr(parse=JID.parse, required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Payload, tag=(NS, "blocklist")):
    """A question for the list, or the list."""

    items: tuple[Item, ...] = children(Item)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block(Payload, tag=(NS, "block")):
    """JIDs to block, one or more."""

    items: tuple[Item, ...] = children(Item)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unblock(Payload, tag=(NS, "unblock")):
    """JIDs to unblock; none stands for all."""

    items: tuple[Item, ...] = children(Item)


PRIVACY = "jabber:iq:privacy query"
PRIVACY_LIST, PRIVACY_DEFAULT, PRIVACY_ITEM = (f"jabber:iq:privacy {name}" for name in ("list", "default", "item"))
LIST_NAME = "blocked"
KINDS = 4
"""What an item of a privacy list may be narrowed to: messages, requests, presence both ways (XEP-0016 §2.1)."""


def _denied(event: ImportEvent) -> list[str | None]:
    """Return whom the default list denies everything; what else privacy lists say is a problem."""
    default = event.element.find(PRIVACY_DEFAULT)
    name = None if default is None else default.get("name")
    jids: list[str | None] = []
    for one in event.element.find_all(PRIVACY_LIST):
        if one.get("name") != name:
            event.problems.append(f"the privacy list {one.get('name')!r} is not the default one, and was left out")
            continue
        for item in one.find_all(PRIVACY_ITEM):
            is_all = len(item.elements()) in (0, KINDS)
            if item.get("action") == "deny" and item.get("type") == "jid" and is_all:
                jids.append(item.get("value"))
            elif item.get("action") == "deny" or item.get("type"):
                event.problems.append(
                    f"a rule of the privacy list {name!r} says more than blocking can, and was left out"
                )
    return jids


class BlockList:
    """Whom an account blocks; never changed, another one takes its place."""

    __slots__ = ("jids",)

    def __init__(self, jids: frozenset[str]) -> None:
        self.jids = jids

    def covers(self, jid: JID) -> bool:
        """Whether a JID is blocked: itself, its bare JID, that resource of its domain, or its domain (§6)."""
        jids = self.jids
        return bool(jids) and (
            jid in jids
            or jid.bare in jids
            or jid.domainpart in jids
            or (bool(jid.resourcepart) and f"{jid.domainpart}/{jid.resourcepart}" in jids)
        )


@dataclass(slots=True)
class Interest:
    """Whether a resource has asked for the list, and so gets its changes."""

    has_asked: bool = False


class BlockingModule(Module, xep=191, features=(NS,), requires=(PresenceModule,), stores={"jids": MapStore}):
    """Keep the lists and hold all stanzas against them."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._nobody = BlockList(frozenset())
        self._presences = host.module(PresenceModule)

    @account_part(BlockList)
    async def load(self, account: Account) -> BlockList:
        """Load an account's list; the empty one is shared."""
        items = await self.stores["jids"].items(account.jid)
        return BlockList(frozenset(items)) if items else self._nobody

    # what clients ask

    @iq_get(Listing, to=(Target.ACCOUNT,))
    def show(self, iq: IQ) -> Listing:
        """Return the list (§3.2); from now on the resource gets its changes."""
        resource = self.host.resource(iq.from_) if iq.from_ is not None else None
        if resource is not None:
            resource.state(Interest).has_asked = True
        return Listing(items=tuple(Item(jid=JID.parse(jid)) for jid in sorted(self._account(iq).part(BlockList).jids)))

    @iq_set(Block, to=(Target.ACCOUNT,))
    async def block(self, iq: IQ) -> None:
        """Block JIDs (§3.3): those who have the account's presence see it go."""
        account, request = self._account(iq), iq.payload
        assert isinstance(request, Block)
        if not request.items:
            raise StanzaError("bad-request", text="Name at least one JID.")
        old = account.part(BlockList)
        added = {item.jid for item in request.items} - old.jids
        if any(jid.bare == account.jid or jid == self.host.domain for jid in added):
            raise StanzaError("not-allowed", text="Nobody blocks themselves or their server.")
        limit = self.host.config.limits.blocked_jids
        if len(old.jids) + len(added) > limit:
            raise StanzaError("policy-violation", text=f"At most {limit} JIDs can be blocked.")
        await self._replace(account, added, (), request)
        new = BlockList(frozenset(added))
        await self._presences.hide(account, lambda jid: new.covers(jid) and not old.covers(jid))
        await self.host.signal_waiting(jids_blocked, BlockedEvent(account.jid, iq.elements()[0]))

    @iq_set(Unblock, to=(Target.ACCOUNT,))
    async def unblock(self, iq: IQ) -> None:
        """Unblock JIDs or all (§3.4, §3.5): those who may see the account's presence get it."""
        account, request = self._account(iq), iq.payload
        assert isinstance(request, Unblock)
        old = account.part(BlockList)
        await self._replace(account, (), {item.jid for item in request.items} or old.jids, request)
        await self._presences.show(account, lambda jid: old.covers(jid) and not account.part(BlockList).covers(jid))

    def _account(self, iq: IQ) -> Account:
        assert iq.to is not None
        return self.host.accounts[iq.to]

    async def _replace(
        self, account: Account, added: Iterable[str], removed: Iterable[str], request: Block | Unblock
    ) -> None:
        """Change the list, at once and in storage, and push the change to those who know the list."""
        removed = frozenset(removed)
        jids = (account.part(BlockList).jids - removed).union(added)
        commit = self.stores["jids"].update(account.jid, dict.fromkeys(added, b"1"), removed)
        account.set_part(BlockList(jids) if jids else self._nobody)
        try:
            await commit
        except StorageError:
            account.set_part(await self.load(account))
            raise
        change = request.to_element()
        id_ = self.host.ids.token()
        for resource in account.resources.values():
            if resource.has_state(Interest) and resource.state(Interest).has_asked:
                resource.send(IQ(resource.jid, None, id_, "set").adding(change))

    # files (XEP-0227, which knows privacy lists)

    @on(account_exported)
    async def export(self, event: ExportEvent) -> ExportEvent:
        """Write the list as the default privacy list, which denies all of it and allows the rest (§4.8 there)."""
        jids = sorted(event.account.part(BlockList).jids)
        if jids:
            items = [
                Element(PRIVACY_ITEM, {"type": "jid", "value": jid, "action": "deny", "order": str(order)})
                for order, jid in enumerate(jids, 1)
            ]
            items.append(Element(PRIVACY_ITEM, {"action": "allow", "order": str(len(jids) + 1)}))
            listed = Element(PRIVACY_LIST, {"name": LIST_NAME}, tuple(items))
            event.add(Element(PRIVACY, {}, (Element(PRIVACY_DEFAULT, {"name": LIST_NAME}), listed)))
        return event

    @on(account_imported)
    async def take(self, event: ImportEvent) -> ImportEvent:
        """Keep whom the default privacy list denies everything, or a list of ours."""
        if event.within or event.element.tag not in (PRIVACY, Listing.TAG):
            return event
        event.is_taken = True
        found = _denied(event) if event.element.tag == PRIVACY else [one.get("jid") for one in event.element.elements()]
        jids: set[str] = set()
        for text in found:
            try:
                jids.add(JID.parse(text or ""))
            except InvalidJID as error:
                event.problems.append(f"a blocked address was left out: {error}")
        jids -= {event.jid, str(self.host.domain)}
        old = event.account.part(BlockList).jids
        if len(old | jids) > self.host.config.limits.blocked_jids:
            raise StanzaError("policy-violation", text="more addresses than an account may block")
        if jids:
            event.account.set_part(BlockList(old | jids))
            event.commits.append(self.stores["jids"].update(event.jid, dict.fromkeys(jids, b"1")))
        return event

    # what passes; these run for every stanza, so an empty list is found out first

    @on(message_sent, phase=Phase.CHECK)
    def check_message_sent(self, event: MessageEvent) -> MessageEvent:
        """Refuse a message to one who is blocked."""
        blocked = event.sender.part(BlockList)
        if blocked.jids:
            self._check_sent(event.sender, blocked, event.message.to)
        return event

    @on(presence_sent, phase=Phase.CHECK)
    def check_presence_sent(self, event: PresenceEvent) -> PresenceEvent:
        """Refuse directed presence and requests to one who is blocked."""
        blocked = event.account.part(BlockList)
        if blocked.jids:
            self._check_sent(event.account, blocked, event.presence.to)
        return event

    @on(iq_sent, phase=Phase.CHECK)
    def check_iq_sent(self, event: IQEvent) -> IQEvent:
        """Refuse a request to one who is blocked."""
        blocked = event.account.part(BlockList)
        if blocked.jids:
            self._check_sent(event.account, blocked, event.iq.to)
        return event

    def _check_sent(self, account: Account, blocked: BlockList, to: JID | None) -> None:
        if to is not None and self._is_blocked(account, blocked, to):
            raise StanzaError("not-acceptable", "cancel", app=BLOCKED)

    def _is_blocked(self, account: Account, blocked: BlockList, jid: JID) -> bool:
        return blocked.covers(jid) and jid.bare != account.jid and jid != self.host.domain

    @on(message_received, phase=Phase.CHECK)
    def check_message_received(self, event: MessageEvent) -> MessageEvent | None:
        """Refuse a message of one who is blocked; errors, and what rooms send on, are dropped without a word."""
        blocked = event.recipient.part(BlockList)
        from_ = event.message.from_
        if blocked.jids and from_ is not None and self._is_blocked(event.recipient, blocked, from_):
            if event.message.type in ("error", "groupchat"):
                return None
            raise StanzaError("service-unavailable")
        return event

    @on(presence_received, phase=Phase.CHECK)
    def check_presence_received(self, event: PresenceEvent) -> PresenceEvent | None:
        """Drop presence of one who is blocked, probes and requests included."""
        blocked = event.account.part(BlockList)
        from_ = event.presence.from_
        if blocked.jids and from_ is not None and self._is_blocked(event.account, blocked, from_):
            return None
        return event

    @on(iq_received, phase=Phase.CHECK)
    def check_iq_received(self, event: IQEvent) -> IQEvent | None:
        """Refuse a request of one who is blocked; drop an answer."""
        blocked = event.account.part(BlockList)
        from_ = event.iq.from_
        if blocked.jids and from_ is not None and self._is_blocked(event.account, blocked, from_):
            if event.iq.type in ("get", "set"):
                raise StanzaError("service-unavailable")
            return None
        return event

    @on(presence_recipients, phase=Phase.CHECK)
    def leave_out(self, event: RecipientsEvent) -> RecipientsEvent:
        """Keep an account's presence from those whom it blocks, and ask nothing of them."""
        blocked = event.account.part(BlockList)
        if blocked.jids:
            event.recipients = [jid for jid in event.recipients if not blocked.covers(JID.parse(jid))]
        return event
