"""What can be done with the nodes of an account (XEP-0060 §5 to §8): each request is checked, takes effect in memory, and is written.

A `Place` is where: an account with its nodes. What changed is a `Change`, whose commit the caller waits for before anybody is told.
Nothing waits between the check and the effect, so requests of several clients never mix.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from codec.element import Element
from codec.jid import JID
from codec.payloads.data_form import Form
from storage.interface import Commit
from xmppd.errors import StanzaError
from xmppd.pubsub import config as options
from xmppd.pubsub.access import Asker, affiliation_of, may_publish, read_error, subscription_of
from xmppd.pubsub.config import NodeConfig
from xmppd.pubsub.errors import no_node, pubsub_error, unsupported
from xmppd.pubsub.limits import ACCOUNT_BYTES, ACCOUNT_ITEMS, JIDS_PER_NODE, NAME_BYTES
from xmppd.pubsub.node import AFFILIATIONS, NONE, OUTCAST, OWNER, PENDING, SUBSCRIBED, ItemHead, Node
from xmppd.pubsub.store import Nodes, NodeStore

PUBLISHED, RETRACTED, PURGED, DELETED, CONFIGURED, CREATED, SUBSCRIPTION, AFFILIATION = (
    "published",
    "retracted",
    "purged",
    "deleted",
    "configured",
    "created",
    "subscription",
    "affiliation",
)


@dataclass(frozen=True, slots=True)
class Place:
    """The account whose nodes are meant.

    Attributes:
        owner: its bare JID.
    """

    owner: JID
    nodes: Nodes


@dataclass(frozen=True, slots=True)
class Change:
    """Something changed at a node.

    Attributes:
        kind: one of the words above.
        ids: of the items that were published, retracted or purged, or that went with a deleted node.
        payload: of a published item. publisher: its publisher, "" for the account itself.
        jid: whose subscription changed; `node.subscriptions` has its state.
        is_told: whether those who want to know are told; of a subscription, its subscriber: the owner changed it.
        commit: of its writing, None when there is nothing to write.
    """

    kind: str
    node: Node
    commit: Commit | None
    ids: tuple[str, ...] = ()
    payload: Element | None = None
    publisher: str = ""
    jid: str = ""
    is_told: bool = True


@dataclass(frozen=True, slots=True)
class Quotas:
    """What operators set: bytes of one payload, nodes of one account, items of one node."""

    item_bytes: int
    nodes_per_account: int
    items_per_node: int


class Service:
    """The nodes of all accounts of a host."""

    def __init__(
        self,
        store: NodeStore,
        quotas: Quotas,
        new_id: Callable[[], int],
        new_token: Callable[[], str],
        now: Callable[[], float],
    ) -> None:
        self.store = store
        self.quotas = quotas
        self._new_id = new_id
        self._new_token = new_token
        self._now = now

    # looking

    def node(self, place: Place, name: str) -> Node:
        """Return a node.

        Raises:
            StanzaError: item-not-found.
        """
        node = place.nodes.get(name)
        if node is None:
            raise no_node()
        return node

    def readable(self, place: Place, asker: Asker, name: str) -> Node:
        """Return a node that somebody may read.

        Raises:
            StanzaError: there is none, or they may not.
        """
        node = self.node(place, name)
        error = read_error(node, asker)
        if error is not None:
            raise error
        return node

    def owned(self, place: Place, asker: Asker, name: str) -> Node:
        """Return a node of which somebody is the owner; raises forbidden, or item-not-found."""
        if not asker.is_owner:
            raise StanzaError("forbidden")
        return self.node(place, name)

    # items

    def publish(
        self,
        place: Place,
        asker: Asker,
        name: str,
        id_: str | None,
        payload: Element | None,
        wanted: dict[str, Any] | None,
    ) -> Change:
        """Publish an item (§7.1), at a new node if need be (XEP-0163 §4.2).

        Args:
            id_: None: we find one. wanted: what `config.preconditions` returned.
        """
        node = place.nodes.get(name)
        if node is None:
            if not asker.is_owner:
                raise no_node()
            node = self._new_node(place, name, wanted)
        elif not may_publish(node, asker):
            raise StanzaError("forbidden")
        elif wanted is None or not options.are_met(node.config, wanted, self.quotas.items_per_node):
            raise pubsub_error("conflict", "precondition-not-met")
        data = self._check_item(id_, payload, node)
        self._take(place)
        publisher = "" if asker.is_owner else asker.bare
        id_ = id_ or self._new_token()
        head = ItemHead(self._new_id(), publisher, len(data))
        commit: Commit | None = None
        if node.config.persist_items:
            commit = self._put(place, node, id_, head, data)
        elif name not in place.nodes.by_name:
            commit = self.store.save(place.owner, place.nodes, node)
        return Change(PUBLISHED, node, commit, (id_,), payload, publisher, is_told=node.config.deliver_notifications)

    def _put(self, place: Place, node: Node, id_: str, head: ItemHead, data: bytes) -> Commit:
        nodes = place.nodes
        before = node.items.get(id_)
        size = nodes.size + head.size - (0 if before is None else before.size)
        if size > ACCOUNT_BYTES or (before is None and nodes.items >= ACCOUNT_ITEMS):
            raise pubsub_error("not-allowed", "max-items-exceeded", text="The account has no room for more items.")
        limit = node.config.max_items or self.quotas.items_per_node
        return self.store.put_item(place.owner, nodes, node, id_, head, data, limit)

    def new_node(self, place: Place, name: str, config: NodeConfig) -> Node:
        """Return a node that is to be, not written yet; errors as for one that a client asks for (§8.1)."""
        node = self._new_node(place, name, {})
        node.config = config
        return node

    def restore(self, place: Place, node: Node, id_: str | None, payload: Element | None) -> Commit | None:
        """Keep an item of the account's own that a file has (XEP-0227): no rate holds, nobody is told."""
        data = self._check_item(id_, payload, node)
        if not node.config.persist_items:
            return None
        return self._put(place, node, id_ or self._new_token(), ItemHead(self._new_id(), "", len(data)), data)

    def _check_item(self, id_: str | None, payload: Element | None, node: Node) -> bytes:
        """Return a payload as it is kept."""
        if id_ is not None and len(id_.encode()) > NAME_BYTES:
            raise StanzaError("not-acceptable", text=f"The id of an item has at most {NAME_BYTES} bytes.")
        if payload is None:
            if node.config.persist_items or node.config.deliver_payloads:
                raise pubsub_error("bad-request", "payload-required")
            return b""
        data = payload.to_xml("")
        if len(data) > self.quotas.item_bytes:
            text = f"A payload has at most {self.quotas.item_bytes} bytes."
            raise pubsub_error("not-acceptable", "payload-too-big", text=text)
        return data

    def _take(self, place: Place) -> None:
        if not place.nodes.allowance.take(self._now()):
            raise StanzaError("resource-constraint", text="Too many changes; try again later.")

    def retract(self, place: Place, asker: Asker, name: str, ids: Collection[str], is_told: bool) -> Change:
        """Take items back (§7.2): their publisher may, and the owner; `is_told`: also where the node is set up otherwise."""
        node = self.node(place, name)
        if not node.config.persist_items:
            raise unsupported("persistent-items")
        if not asker.is_owner and not may_publish(node, asker):
            raise StanzaError("forbidden")
        if not ids or not all(ids):
            raise pubsub_error("bad-request", "item-required")
        if any(id_ not in node.items for id_ in ids):
            raise StanzaError("item-not-found", text="There is no such item.")
        if not asker.is_owner and any(node.items[id_].publisher != asker.bare for id_ in ids):
            raise StanzaError("forbidden")
        self._take(place)
        unique = tuple(dict.fromkeys(ids))
        commit = self.store.remove_items(place.owner, place.nodes, node, unique)
        return Change(RETRACTED, node, commit, unique, is_told=is_told or node.config.notify_retract)

    def purge(self, place: Place, asker: Asker, name: str) -> Change:
        """Remove all items (§8.5)."""
        node = self.owned(place, asker, name)
        if not node.config.persist_items:
            raise unsupported("persistent-items")
        self._take(place)
        ids = tuple(node.items)
        commit = self.store.remove_items(place.owner, place.nodes, node, ids)
        return Change(PURGED, node, commit, ids, is_told=node.config.notify_retract)

    # nodes

    def create(self, place: Place, asker: Asker, name: str | None, form: Form | None) -> Change:
        """Make a node (§8.1); without a name we find one."""
        if not asker.is_owner:
            raise StanzaError("forbidden")
        name = name or self._new_token()
        if place.nodes.get(name) is not None:
            raise StanzaError("conflict", text="There is such a node.")
        node = self._new_node(place, name, {})
        if form is not None:
            node.config = options.changed(node.config, form, self.quotas.items_per_node)
        self._take(place)
        return Change(CREATED, node, self.store.save(place.owner, place.nodes, node))

    def _new_node(self, place: Place, name: str, wanted: dict[str, Any] | None) -> Node:
        if wanted is None:
            raise pubsub_error("conflict", "precondition-not-met")
        if len(name.encode()) > NAME_BYTES:
            raise StanzaError("not-acceptable", text=f"The name of a node has at most {NAME_BYTES} bytes.")
        limit = self.quotas.nodes_per_account
        if len(place.nodes.by_name) >= limit:
            raise pubsub_error("not-allowed", "max-nodes-exceeded", text=f"An account has at most {limit} nodes.")
        return Node(name, replace(NodeConfig(), **wanted))

    def configure(self, place: Place, asker: Asker, name: str, form: Form) -> list[Change]:
        """Set a node up (§8.2); return the change, if it is one."""
        node = self.owned(place, asker, name)
        if form.type == "cancel":
            return []
        config = options.changed(node.config, form, self.quotas.items_per_node)
        if config == node.config:
            return []
        self._take(place)
        node.config = config
        commit = self.store.save(place.owner, place.nodes, node)
        limit = (config.max_items or self.quotas.items_per_node) if config.persist_items else 0
        gone = node.surplus(limit)
        if gone:
            commit = self.store.remove_items(place.owner, place.nodes, node, gone)
        return [Change(CONFIGURED, node, commit, is_told=config.notify_config)]

    def delete(self, place: Place, asker: Asker, name: str) -> Change:
        """Remove a node with its items (§8.4)."""
        node = self.owned(place, asker, name)
        self._take(place)
        ids = tuple(node.items)
        commit = self.store.remove_node(place.owner, place.nodes, node)
        return Change(DELETED, node, commit, ids, is_told=node.config.notify_delete)

    # those who want to know

    def subscribe(self, place: Place, asker: Asker, name: str, jid: JID | None) -> Change:
        """Subscribe somebody (§6.1); where the owner must approve, the subscription is pending."""
        if jid is None or jid not in (asker.jid, asker.bare):
            raise pubsub_error("bad-request", "invalid-jid", text="Subscribe yourself.")
        node = self.node(place, name)
        error = read_error(node, asker)
        state = SUBSCRIBED
        if error is not None:
            if node.config.access_model != options.AUTHORIZE or affiliation_of(node, asker) != NONE:
                raise error
            state = PENDING
            if subscription_of(node, asker) == PENDING:
                raise pubsub_error("not-authorized", "pending-subscription")
        if node.subscriptions.get(jid) == state:
            return Change(SUBSCRIPTION, node, None, jid=jid, is_told=False)
        return self._set_subscription(place, node, jid, state)

    def _set_subscription(self, place: Place, node: Node, jid: JID, state: str) -> Change:
        if jid not in node.subscriptions and len(node.subscriptions) >= JIDS_PER_NODE:
            raise pubsub_error("not-allowed", "too-many-subscriptions")
        self._take(place)
        if state == NONE:
            node.subscriptions.pop(jid, None)
        else:
            node.subscriptions[jid] = state
        commit = self.store.save(place.owner, place.nodes, node)
        return Change(SUBSCRIPTION, node, commit, jid=jid, is_told=False)

    def unsubscribe(self, place: Place, asker: Asker, name: str, jid: JID | None) -> Change:
        """End a subscription (§6.2)."""
        if jid is None:
            raise pubsub_error("bad-request", "jid-required")
        if jid not in (asker.jid, asker.bare):
            raise StanzaError("forbidden", text="Unsubscribe yourself.")
        node = self.node(place, name)
        if jid not in node.subscriptions:
            raise pubsub_error("unexpected-request", "not-subscribed", type_="cancel")
        return self._set_subscription(place, node, jid, NONE)

    def set_subscriptions(
        self, place: Place, asker: Asker, name: str, wanted: Collection[tuple[JID | None, str | None]]
    ) -> list[Change]:
        """Approve, deny, add or end subscriptions (§8.6, §8.8.2): all that are named, or none."""
        node = self.owned(place, asker, name)
        for jid, state in wanted:
            if jid is None or state not in (SUBSCRIBED, PENDING, NONE):
                raise StanzaError("bad-request", text="Name a JID, and subscribed, pending or none.")
        changed = {jid: state for jid, state in wanted if jid and node.subscriptions.get(jid, NONE) != state}
        if len(node.subscriptions) + len(changed) > JIDS_PER_NODE:
            raise pubsub_error("not-allowed", "too-many-subscriptions")
        if not changed:
            return []
        self._take(place)
        kept = {jid: state for jid, state in (node.subscriptions | changed).items() if state and state != NONE}
        node.subscriptions = kept
        commit = self.store.save(place.owner, place.nodes, node)
        return [Change(SUBSCRIPTION, node, commit, jid=jid) for jid in changed]

    def set_affiliations(
        self, place: Place, asker: Asker, name: str, wanted: Collection[tuple[JID | None, str | None]]
    ) -> Change:
        """Say what people are to a node (§8.9.2): all that are named, or none."""
        node = self.owned(place, asker, name)
        changed = dict(node.affiliations)
        for jid, affiliation in wanted:
            if jid is None or affiliation not in AFFILIATIONS:
                raise StanzaError("bad-request", text=f"Name a JID, and one of {', '.join(AFFILIATIONS)}.")
            if affiliation == OWNER or jid.bare == place.owner:
                raise StanzaError("not-acceptable", text="The account is the one owner of its nodes.")
            changed[jid.bare] = affiliation
        kept = {jid: affiliation for jid, affiliation in changed.items() if affiliation != NONE}
        if len(kept) > JIDS_PER_NODE:
            raise StanzaError("not-acceptable", text=f"At most {JIDS_PER_NODE} affiliations.")
        self._take(place)
        node.affiliations = kept
        outcasts = {jid for jid, affiliation in kept.items() if affiliation == OUTCAST}
        node.subscriptions = {
            jid: state for jid, state in node.subscriptions.items() if jid.partition("/")[0] not in outcasts
        }
        return Change(AFFILIATION, node, self.store.save(place.owner, place.nodes, node))
