"""XEP-0060: Publish-Subscribe, at the accounts of a host.

Requests for an account's nodes come here; `xmppd.pubsub` says what becomes of them. Whoever wants to know of changes takes part at
`hooks.node_changed`; that subscribers and contacts are told is the business of `xep_0163_pep`.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any
from weakref import WeakValueDictionary

from codec.element import Element, escape_value
from codec.jid import JID
from codec.payload import Payload
from codec.payloads.data_form import Form
from codec.payloads.disco import NS_INFO, Identity
from codec.payloads.disco import Item as DiscoItem
from codec.payloads.pubsub import NS, NS_NODE_CONFIG, Owner, PubSub
from codec.stanza import IQ
from storage.interface import MapStore, StorageError
from xmppd.errors import StanzaError
from xmppd.hooks import (
    DiscoEvent,
    DiscoItemsEvent,
    ExportEvent,
    ImportEvent,
    NodeEvent,
    account_exported,
    account_imported,
    disco_info,
    disco_items,
    disco_node_asked,
    node_changed,
)
from xmppd.host import Host
from xmppd.module import Module, Target, account_part, iq_get, iq_set, on
from xmppd.modules.rfc_6121_roster import Roster, RosterModule
from xmppd.pubsub import moving, requests
from xmppd.pubsub.access import Asker, may_read
from xmppd.pubsub.config import WHITELIST, meta_data_form
from xmppd.pubsub.node import Node
from xmppd.pubsub.service import Change, Place, Quotas, Service
from xmppd.pubsub.store import Nodes, NodeStore
from xmppd.resource import Account

CAN = (
    "access-authorize",
    "access-open",
    "access-presence",
    "access-roster",
    "access-whitelist",
    "auto-create",
    "config-node",
    "config-node-max",
    "create-and-configure",
    "create-nodes",
    "delete-items",
    "delete-nodes",
    "filtered-notifications",
    "instant-nodes",
    "item-ids",
    "last-published",
    "manage-subscriptions",
    "member-affiliation",
    "meta-data",
    "modify-affiliations",
    "multi-items",
    "outcast-affiliation",
    "persistent-items",
    "presence-notifications",
    "presence-subscribe",
    "publish",
    "publish-only-affiliation",
    "publish-options",
    "publisher-affiliation",
    "purge-nodes",
    "retract-items",
    "retrieve-affiliations",
    "retrieve-default",
    "retrieve-items",
    "retrieve-subscriptions",
    "rsm",
    "subscribe",
)
"""What is done of the document's list of features (§10)."""

LEAF = Identity(category="pubsub", type="leaf")


class PubSubModule(
    Module,
    xep=60,
    account_features=(NS, *(f"{NS}#{name}" for name in CAN)),
    requires=(RosterModule,),
    stores={"nodes": MapStore, "items": MapStore},
    open_to_others=True,
):
    """Answer requests for the nodes of accounts, and let other modules ask for the same."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._rosters = host.module(RosterModule)
        settings = host.config.pubsub
        quotas = Quotas(settings.item_bytes, settings.nodes_per_account, settings.items_per_node)
        self.service = Service(
            NodeStore(self.stores["nodes"], self.stores["items"]),
            quotas,
            host.ids.stanza_id,
            host.ids.token,
            host.clock.monotonic,
        )
        self._live: WeakValueDictionary[JID, Nodes] = WeakValueDictionary()

    @account_part(Nodes, lazy=True)
    async def load(self, account: Account) -> Nodes:
        """Load an account's nodes; those that a request still works on, whose account left memory meanwhile, are the same ones."""
        nodes = self._live.get(account.jid)
        if nodes is None:
            loaded = await self.service.store.load(account.jid)
            nodes = self._live.setdefault(account.jid, loaded)
        return nodes

    # for other modules

    async def place(self, account: Account) -> Place:
        """Return an account with its nodes."""
        return Place(account.jid, await account.load_part(Nodes))

    async def own(self, account: Account) -> tuple[Place, Asker]:
        """Return an account with its nodes, and the account itself as who asks."""
        return await self.place(account), Asker(account.jid, is_owner=True)

    async def asker(self, account: Account, jid: JID) -> Asker:
        """Return somebody as an account sees them."""
        if jid.bare == account.jid:
            return Asker(jid, is_owner=True)
        return asker_in(await self._rosters.roster(account), jid)

    async def publish(
        self,
        account: Account,
        node: str,
        payload: Element,
        id_: str | None = None,
        wanted: dict[str, Any] | None = None,
    ) -> None:
        """Publish an item as the account itself; `wanted`: how the node must be, or is made, by name of the option.

        Raises:
            StanzaError: it is refused.
        """
        place, owner = await self.own(account)
        await self.apply(account, lambda: [self.service.publish(place, owner, node, id_, payload, wanted or {})])

    async def publish_privately(self, account: Account, node: str, payload: Element, id_: str) -> None:
        """Publish an item as the account itself, at a node that nobody else may read: it is made so where it is not.

        Raises:
            StanzaError: it is refused.
        """
        place, owner = await self.own(account)
        found = place.nodes.get(node)
        if found is not None and found.config.access_model != WHITELIST:
            form = Form.submit(NS_NODE_CONFIG, {"pubsub#access_model": WHITELIST})
            await self.apply(account, lambda: self.service.configure(place, owner, node, form))
        await self.publish(account, node, payload, id_, {"access_model": WHITELIST})

    async def retract(self, account: Account, node: str, ids: list[str]) -> None:
        """Take items of the account itself back, and tell so; those that are not there do not count."""
        place, owner = await self.own(account)
        found = place.nodes.get(node)
        known = [] if found is None else [id_ for id_ in ids if id_ in found.items]
        if known:
            await self.apply(account, lambda: [self.service.retract(place, owner, node, known, is_told=True)])

    async def items(self, account: Account, node: str) -> dict[str, Element]:
        """Return the payloads of a node by id, the oldest first; none when there is no such node."""
        place = await self.place(account)
        found = place.nodes.get(node)
        payloads: dict[str, Element] = {}
        for id_ in [] if found is None else list(found.items):
            payload = await self.service.store.payload(account.jid, node, id_)
            if payload is not None:
                payloads[id_] = payload
        return payloads

    async def last(self, account: Account, node: str) -> tuple[str, Element] | None:
        """Return id and payload of the item that was published last, or None."""
        found = (await self.place(account)).nodes.get(node)
        id_ = None if found is None else found.last_id
        payload = None if id_ is None else await self.service.store.payload(account.jid, node, id_)
        return None if id_ is None or payload is None else (id_, payload)

    async def last_for(self, account: Account, node: str, jid: JID) -> tuple[str, Element] | None:
        """As `last`, None also when somebody may not read the node."""
        return None if await self._readable(account, node, jid) is None else await self.last(account, node)

    async def item_for(self, account: Account, node: str, id_: str, jid: JID) -> Element | None:
        """Return the payload of an item; None when there is none, or somebody may not read the node."""
        found = await self._readable(account, node, jid)
        if found is None or id_ not in found.items:
            return None
        return await self.service.store.payload(account.jid, node, id_)

    async def _readable(self, account: Account, node: str, jid: JID) -> Node | None:
        found = (await self.place(account)).nodes.get(node)
        return found if found is not None and may_read(found, await self.asker(account, jid)) else None

    async def apply(self, account: Account, make: Callable[[], Iterable[Change]]) -> None:
        """Make changes, wait until they are written, then tell of them.

        Args:
            make: calls `Service`; when it is a generator and one change is refused, those before it stand.

        Raises:
            StanzaError: one is refused.
            StorageError: one is not written, and what is in memory is read anew when next asked for.
        """
        made: list[Change] = []
        refused: StanzaError | None = None
        try:
            try:
                for change in make():
                    made.append(change)
            except StanzaError as error:
                refused = error
            for change in made:
                if change.commit is not None:
                    await change.commit
        except StorageError:
            account.drop_part(Nodes)
            self._live.pop(account.jid, None)
            raise
        for change in made:
            await self.host.signal_waiting(node_changed, NodeEvent(account, change))
        if refused is not None:
            raise refused

    # files (XEP-0227)

    @on(account_exported)
    async def export(self, event: ExportEvent) -> ExportEvent:
        """Write set-ups, then items, node by node (§4.10 there)."""
        place = await self.place(event.account)
        found = moving.set_ups(place)
        if found is None:
            return event
        event.add(found)
        event.write(f"<pubsub xmlns='{NS}'>".encode())
        for name, node in place.nodes.by_name.items():
            event.write(f"<items node='{escape_value(name)}'>".encode())
            for id_ in list(node.items):
                payload = await self.service.store.payload(event.jid, name, id_)
                if payload is not None:
                    event.write(Element(moving.ITEM, {"id": id_}, (payload,)).to_xml(NS))
            event.write(b"</items>")
        event.write(b"</pubsub>")
        return event

    @on(account_imported)
    async def take(self, event: ImportEvent) -> ImportEvent:
        """Keep a node's set-up, or an item."""
        if event.within and event.within[0].tag in (moving.OWNERS, moving.PUBSUB):
            event.is_taken = True
            place = await self.place(event.account)
            commit = moving.restore(self.service, place, event.within, event.element, event.problems)
            if commit is not None:
                event.commits.append(commit)
        return event

    # requests

    async def _ask(self, iq: IQ) -> tuple[Account, Place, Asker]:
        assert iq.to is not None and iq.from_ is not None
        account = await self.host.load_account(iq.to)
        if account is None:
            raise StanzaError("service-unavailable")
        return account, await self.place(account), await self.asker(account, iq.from_)

    @iq_get(PubSub, to=(Target.ACCOUNT,))
    async def show(self, iq: IQ) -> Element | Payload:
        """Return items, or the asker's subscriptions and affiliations (§5, §6)."""
        _, place, asker = await self._ask(iq)
        assert isinstance(iq.payload, PubSub)
        return await requests.get(self.service, place, asker, iq.payload)

    @iq_set(PubSub, to=(Target.ACCOUNT,))
    async def change(self, iq: IQ) -> Payload | None:
        """Publish, retract, create, subscribe, unsubscribe (§6 to §8)."""
        account, place, asker = await self._ask(iq)
        request = iq.payload
        assert isinstance(request, PubSub)
        answers: list[Payload | None] = []

        def make() -> list[Change]:
            answer, changes = requests.set_(self.service, place, asker, request)
            answers.append(answer)
            return changes

        await self.apply(account, make)
        return answers[0]

    @iq_get(Owner, to=(Target.ACCOUNT,))
    async def show_owner(self, iq: IQ) -> Payload:
        """Return a node's configuration, subscriptions, affiliations to its owner (§8)."""
        account, place, asker = await self._ask(iq)
        assert isinstance(iq.payload, Owner)
        roster = await self._rosters.roster(account)
        groups = dict.fromkeys(group for contact in roster.contacts.values() for group in contact.groups)
        return requests.owner_get(self.service, place, asker, iq.payload, tuple(sorted(groups)))

    @iq_set(Owner, to=(Target.ACCOUNT,))
    async def change_owner(self, iq: IQ) -> None:
        """Configure, purge, delete a node; set subscriptions and affiliations (§8)."""
        account, place, asker = await self._ask(iq)
        request = iq.payload
        assert isinstance(request, Owner)
        await self.apply(account, lambda: requests.owner_set(self.service, place, asker, request))

    # discovery

    @on(disco_items)
    async def list_nodes(self, event: DiscoItemsEvent) -> None:
        """List an account's nodes that the asker may read (§5.2), and a node's items (§5.5)."""
        if event.account is None or event.asker is None:
            return
        place, asker = await self.place(event.account), await self.asker(event.account, event.asker)
        if event.node is None:
            for node in place.nodes.by_name.values():
                if may_read(node, asker):
                    item = DiscoItem(jid=place.owner, node=node.name)
                    event.items.append(replace(item, name=node.config.title or None))
            return
        found = place.nodes.get(event.node)
        if found is not None and may_read(found, asker):
            event.is_known = True
            event.items.extend(DiscoItem(jid=place.owner, name=id_) for id_ in reversed(found.items))

    @on(disco_node_asked)
    async def get_ready(self, event: DiscoEvent) -> None:
        """Have an account's nodes in memory."""
        if event.account is not None:
            await event.account.load_part(Nodes)
            await self._rosters.roster(event.account)

    @on(disco_info)
    def describe(self, event: DiscoEvent) -> None:
        """Tell what a node is (§5.3, §5.4)."""
        if event.account is None or event.node is None or event.asker is None:
            return
        nodes = event.account.loaded_part(Nodes)
        node = None if nodes is None else nodes.get(event.node)
        if node is None:
            return
        roster = event.account.loaded_part(Roster)
        is_owner = event.asker.bare == event.account.jid
        if is_owner:
            asker = Asker(event.asker, is_owner=True)
        else:
            asker = Asker(event.asker) if roster is None else asker_in(roster, event.asker)
        if not may_read(node, asker):
            event.error = "forbidden"
            return
        event.identities.append(LEAF)
        event.features.extend((NS, NS_INFO))
        event.forms.append(meta_data_form(node.config, {"owner": event.account.jid}))


def asker_in(roster: Roster, jid: JID) -> Asker:
    """Return somebody as the owner of a roster sees them."""
    contact = roster.get(jid.bare)
    return Asker(jid, False, roster.sees_us(jid.bare), contact.groups)
