"""XEP-0163: Personal Eventing Protocol.

Each account is a publish-subscribe service (`xep_0060_pubsub`). Who is told of what happens at its nodes:

* the account's own clients, and those of contacts who see its presence, when their capabilities (XEP-0115) list "NODE+notify" and the
  node is one that they may read;
* those who have subscribed to the node, as long as they may read it.

A client gets the last item of each such node when its interest becomes known: its first presence, one that lists more, or the moment
at which it may see the other's presence. Clients on other servers are known by the presence that they send to the account.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from codec.element import Element
from codec.jid import JID
from codec.payloads.delay import Delay
from codec.payloads.disco import Identity
from codec.stanza import Message, Presence
from xmppd.clock import time_of_id
from xmppd.hooks import (
    DiscoEvent,
    NodeEvent,
    Phase,
    PresenceChangedEvent,
    PresenceEvent,
    disco_info,
    node_changed,
    presence_changed,
    presence_received,
    presence_sent,
)
from xmppd.host import Host
from xmppd.module import Module, account_part, on
from xmppd.modules.rfc_6121_presence import PresenceModule
from xmppd.modules.rfc_6121_roster import Roster, RosterModule
from xmppd.modules.xep_0060_pubsub import PubSubModule, asker_in
from xmppd.modules.xep_0115_caps import CapsModule, Known
from xmppd.pubsub import event as events
from xmppd.pubsub.access import Asker, may_read
from xmppd.pubsub.config import AUTHORIZE, LAST_NEVER, LAST_ON_PRESENCE, configuration_form
from xmppd.pubsub.node import NO_SUBSCRIPTION, SUBSCRIBED, Node
from xmppd.pubsub.service import CONFIGURED, DELETED, PUBLISHED, PURGED, RETRACTED, SUBSCRIPTION, Change
from xmppd.resource import Account, Resource

SERVICE = Identity(category="pubsub", type="pep")
NOTIFY = "+notify"

MAX_ELSEWHERE = 2_000
"""Clients on other servers whose interest one account knows; people have a few hundred contacts with a client or two each."""
MAX_INTERESTS = 200
"""Nodes of which one client wants to know; real ones list about ten. Their last items are given once, however often it changes its mind:
after so many it hears of others only when something is published."""


@dataclass(slots=True)
class Told:
    """The nodes whose last items a resource was given, because its presence says that it wants to know of them."""

    nodes: frozenset[str] = frozenset()


@dataclass(slots=True)
class Elsewhere:
    """Contacts' clients on other servers that are available to the account, by full JID, each with the nodes that it wants to know of."""

    known: dict[JID, Known] = field(default_factory=dict)
    told: dict[JID, frozenset[str]] = field(default_factory=dict)

    def forget(self, jid: JID) -> None:
        """A client has gone."""
        self.known.pop(jid, None)
        self.told.pop(jid, None)


class PepModule(
    Module,
    xep=163,
    requires=(PubSubModule, RosterModule, PresenceModule, CapsModule),
):
    """Tell people what happens at the nodes of accounts."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._pubsub = host.module(PubSubModule)
        self._rosters = host.module(RosterModule)
        self._presences = host.module(PresenceModule)
        self._caps = host.module(CapsModule)

    @account_part(Elsewhere, lazy=True)
    async def load(self, _: Account) -> Elsewhere:
        """Nothing is known until presence comes."""
        return Elsewhere()

    @on(disco_info)
    def identify(self, event: DiscoEvent) -> None:
        """Tell that accounts are such services (§6.1)."""
        if event.account is not None and event.node is None:
            event.identities.append(SERVICE)

    # what changed

    @on(node_changed)
    async def tell(self, event: NodeEvent) -> None:
        """Tell of a change everybody who wants to know and may (§4.3)."""
        account: Account = event.account
        change: Change = event.change
        if change.kind == SUBSCRIPTION:
            await self._begin(account, change)
        element = element_of(change)
        if element is None or not change.is_told:
            return
        roster = await self._rosters.roster(account)
        elsewhere = await account.load_part(Elsewhere)
        node = change.node
        message = Message.build(element, from_=account.jid, type=node.config.notification_type)
        for to in self._recipients(account, roster, elsewhere, node):
            await self.host.send(message.replace(to=to, id=self.host.ids.token()))

    def _recipients(self, account: Account, roster: Roster, elsewhere: Elsewhere, node: Node) -> list[JID]:
        """Return who is told: subscribers by the JID that they subscribed, others by each client that wants to know."""
        subscribers = {JID.parse(jid) for jid, state in node.subscriptions.items() if state == SUBSCRIBED}
        subscribers = {jid for jid in subscribers if jid.bare == account.jid or may_read(node, asker_in(roster, jid))}
        others: list[str] = [jid for jid in subscribers if jid.bare != account.jid]
        if node.config.access_model != AUTHORIZE:
            present = [jid for jid in roster.subscribers() if self._is_there(jid, elsewhere)]
            others += [jid for jid in present if may_read(node, asker_in(roster, JID.parse(jid)))]
        wish = node.name + NOTIFY
        found: dict[JID, None] = dict.fromkeys(jid for jid in subscribers if jid.bare == account.jid)
        for text in [account.jid, *self._presences.allowed(account, others)]:
            jid = JID.parse(text)
            if jid in subscribers:
                found[jid] = None
            elif jid.is_bare:
                found.update(dict.fromkeys(self._interested(jid, wish, elsewhere)))
        return [jid for jid in found if jid.is_bare or jid.bare not in found]

    def _is_there(self, jid: str, elsewhere: Elsewhere) -> bool:
        """Whether a bare JID may have clients that want to know of something: most contacts are away, and cost no more than this."""
        host = self.host.shared.hosts.get(jid.rpartition("@")[2])
        if host is None:
            return bool(elsewhere.known)
        account = host.accounts.get(jid)  # type: ignore[call-overload]
        return account is not None and bool(account.resources)

    def _interested(self, jid: JID, wish: str, elsewhere: Elsewhere) -> list[JID]:
        """Return the clients of a bare JID that have a feature."""
        host = self.host.shared.hosts.get(jid.domainpart)
        if host is None:
            known = elsewhere.known.items()
            return [full for full, one in known if full.bare == jid and wish in (self._caps.features_for(one) or ())]
        account = host.accounts.get(jid)
        if account is None or CapsModule not in host.modules:
            return []
        caps = host.module(CapsModule)
        return [one.jid for one in account.available() if wish in (caps.features_of(one) or ())]

    async def _begin(self, account: Account, change: Change) -> None:
        """Tell a subscriber what the owner has decided, and give the last item to one whose subscription begins (XEP-0060 §6.1.7)."""
        node = change.node
        state = node.subscriptions.get(change.jid, NO_SUBSCRIPTION)
        if change.is_told:
            element = events.subscribed(node.name, change.jid, state)
            await self.host.send(
                Message.build(element, to=JID.parse(change.jid), from_=account.jid, id=self.host.ids.token())
            )
        if state == SUBSCRIBED and node.config.send_last_published_item != LAST_NEVER:
            await self._give(account, node, JID.parse(change.jid))

    # interest that becomes known

    @on(presence_changed)
    def learn(self, event: PresenceChangedEvent) -> None:
        """Find out what a client wants to know of, beside everything else: it is asked over the stream that waits for us."""
        resource: Resource = event.resource
        if resource.presence is None:
            if resource.has_state(Told):
                resource.state(Told).nodes = frozenset()
        elif resource.presence.has(CAPS_TAG):
            self.host.spawn(self._learn(resource))

    async def _learn(self, resource: Resource) -> None:
        wanted = wishes(await self._caps.discover(resource))
        if resource.presence is None:
            return
        told = resource.state(Told)
        added = new_wishes(told.nodes, wanted)
        told.nodes |= added
        if added:
            roster = await self._rosters.roster(resource.account)
            contacts = self._presences.allowed(resource.account, roster.subscriptions())
            for owner in [resource.account.jid, *contacts]:
                await self._give_of(owner, resource.jid, added)

    async def _give_of(self, owner: str, to: JID, nodes: frozenset[str]) -> None:
        """Give a client the last items of somebody on this server; others' servers see to theirs."""
        host = self.host.shared.hosts.get(owner.rpartition("@")[2])
        if host is not None and PepModule in host.modules:
            await host.module(PepModule).give_last(JID.parse(owner), to, nodes)

    async def give_last(self, owner: JID, to: JID, wanted: frozenset[str]) -> None:
        """Give a client the last items of an account's nodes that are among those, and that it may read."""
        if owner not in self.host.accounts:
            # one read tells whether there is anything, before the whole account is
            nodes = await self._pubsub.service.store.load(owner)
            if wanted.isdisjoint(nodes.by_name):
                return
        account = await self.host.load_account(owner)
        if account is None:
            return
        place, asker = await self._pubsub.place(account), await self._pubsub.asker(account, to)
        if not asker.is_owner and not self._presences.allowed(account, [to]):
            return
        for name in wanted.intersection(place.nodes.by_name):
            node = place.nodes.by_name[name]
            if node.config.send_last_published_item == LAST_ON_PRESENCE and _wants(node, asker):
                await self._give(account, node, to)

    async def _give(self, account: Account, node: Node, to: JID) -> None:
        """Send the last item of a node, with the time at which it was published."""
        last = await self._pubsub.last(account, node.name)
        if last is None or last[0] not in node.items or not node.config.deliver_notifications:
            return
        head = node.items[last[0]]
        payload = last[1] if node.config.deliver_payloads else None
        element = events.published(node.name, last[0], head.publisher, payload)
        stamp = Delay(from_=account.jid, stamp=time_of_id(head.at))
        await self.host.send(
            Message.build(
                element,
                stamp,
                to=to,
                from_=account.jid,
                type=node.config.notification_type,
                id=self.host.ids.token(),
            )
        )

    @on(presence_received, phase=Phase.ANNOTATE)
    def hear(self, event: PresenceEvent) -> PresenceEvent:
        """Learn what clients on other servers want to know of, and who may see whose presence now."""
        presence, account = event.presence, event.account
        from_ = presence.from_
        if from_ is None:
            return event
        is_ours = from_.domainpart in self.host.shared.hosts
        if presence.type == "subscribed" and is_ours:
            self.host.spawn(self._give_new(from_.bare, account))
        elif not is_ours and presence.type == "unavailable":
            elsewhere = account.loaded_part(Elsewhere)
            if elsewhere is not None:
                elsewhere.forget(from_)
        elif not is_ours and presence.type == "" and from_.resourcepart and presence.has(CAPS_TAG):
            self.host.spawn(self._learn_elsewhere(account, presence, from_))
        return event

    async def _give_new(self, owner: JID, account: Account) -> None:
        """Give an account's clients the last items of somebody whose presence they see from now on."""
        for resource in account.available():
            if resource.has_state(Told):
                await self._give_of(owner, resource.jid, resource.state(Told).nodes)

    async def _learn_elsewhere(self, account: Account, presence: Presence, jid: JID) -> None:
        if jid.bare not in await self._rosters.roster(account):
            return  # rooms, strangers
        elsewhere = await account.load_part(Elsewhere)
        if jid not in elsewhere.known and len(elsewhere.known) >= MAX_ELSEWHERE:
            return
        known = elsewhere.known.setdefault(jid, Known())
        known.note(presence)
        wanted = wishes(await self._caps.discover_for(jid, known, account.jid))
        if elsewhere.known.get(jid) is known and known.presence is presence:
            told = elsewhere.told.get(jid, frozenset())
            added = new_wishes(told, wanted)
            elsewhere.told[jid] = told | added
            if added:
                await self.give_last(account.jid, jid, added)

    @on(presence_sent, phase=Phase.ANNOTATE)
    def grant(self, event: PresenceEvent) -> PresenceEvent:
        """Give the last items to clients elsewhere of one who may see the account's presence from now on."""
        to = event.presence.to
        if event.presence.type == "subscribed" and to is not None:
            elsewhere = event.account.loaded_part(Elsewhere)
            for jid, nodes in () if elsewhere is None else list(elsewhere.told.items()):
                if jid.bare == to.bare:
                    self.host.spawn(self.give_last(event.account.jid, jid, nodes))
        return event


CAPS_TAG = "http://jabber.org/protocol/caps c"


def wishes(features: Iterable[str] | None) -> frozenset[str]:
    """Return the nodes of which a client with these features wants to know."""
    found = sorted(one.removesuffix(NOTIFY) for one in features or () if one.endswith(NOTIFY))
    return frozenset(found[:MAX_INTERESTS])


def new_wishes(told: frozenset[str], wanted: frozenset[str]) -> frozenset[str]:
    """Return the nodes whose last items one is to be given now, who was given some."""
    return frozenset(sorted(wanted - told)[: MAX_INTERESTS - len(told)]) if len(told) < MAX_INTERESTS else frozenset()


def _wants(node: Node, asker: Asker) -> bool:
    """Whether one with an interest is told of a node by presence alone."""
    return may_read(node, asker) and (node.config.access_model != AUTHORIZE or asker.is_owner)


def element_of(change: Change) -> Element | None:
    """Return what is told of a change, None when it is nobody's business."""
    node, config = change.node.name, change.node.config
    if change.kind == PUBLISHED:
        payload = change.payload if config.deliver_payloads else None
        return events.published(node, change.ids[0], change.publisher, payload)
    if change.kind == RETRACTED:
        return events.retracted(node, change.ids)
    if change.kind == PURGED:
        return events.purged(node)
    if change.kind == DELETED:
        return events.deleted(node)
    if change.kind == CONFIGURED:
        return events.configured(node, configuration_form(config) if config.deliver_payloads else None)
    return None
