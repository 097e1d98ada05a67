"""An account's nodes in memory and in storage.

One map holds the nodes and the heads of their items, by keys that `node_key` and `item_key` make; it is read when the account's nodes
are first asked for. Another holds the payloads, by the same keys; each is read when somebody wants it, and the last few that were
used stay in memory, for all accounts together.

A change takes effect in memory at once and returns the `Commit` of its writing. A payload is written before the head that names it,
and removed when the head's removal is durable, so that no head is without one. When a commit fails, what is in memory must be dropped
and read anew.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Collection, Iterable

from codec.element import Element, parse_element
from storage.interface import Commit, MapStore, StorageError
from xmppd.component import both
from xmppd.pubsub.limits import PUBLISH_BURST, PUBLISH_PER_S
from xmppd.pubsub.node import ItemHead, Node, in_order
from xmppd.pubsub.rate import Allowance

CACHE_BYTES = 16_777_216
"""Payloads in memory, for all accounts together: when a server is full of clients that come back, the same few are asked for."""


class Nodes:
    """The nodes of one account.

    Attributes:
        by_name: name -> node.
        items, size: of all nodes together.
        allowance: changes that the account may make.
    """

    __slots__ = ("__weakref__", "allowance", "by_name", "items", "size")

    def __init__(self, nodes: Iterable[Node] = ()) -> None:
        self.by_name = {node.name: node for node in nodes}
        self.items = sum(len(node.items) for node in self.by_name.values())
        self.size = sum(head.size for node in self.by_name.values() for head in node.items.values())
        self.allowance = Allowance(PUBLISH_BURST, PUBLISH_PER_S)

    def get(self, name: str) -> Node | None:
        """Return the node of that name, or None."""
        return self.by_name.get(name)

    def count(self, added: ItemHead | None, gone: Iterable[ItemHead]) -> None:
        """Note an item that came, and those that went."""
        if added is not None:
            self.items += 1
            self.size += added.size
        for head in gone:
            self.items -= 1
            self.size -= head.size


class ItemCache:
    """Payloads that were used last, by owner and key; as many as `limit` bytes hold."""

    __slots__ = ("_limit", "_values", "size")

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._limit = limit
        self._values: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self.size = 0

    def get(self, owner: str, key: str) -> bytes | None:
        """Return a payload, or None when it is not here."""
        value = self._values.get((owner, key))
        if value is not None:
            self._values.move_to_end((owner, key))
        return value

    def put(self, owner: str, key: str, value: bytes) -> None:
        """Keep a payload in the place of the one of that name."""
        self.drop(owner, key)
        self._values[owner, key] = value
        self.size += len(value)
        while self.size > self._limit:
            self.size -= len(self._values.popitem(last=False)[1])

    def drop(self, owner: str, key: str) -> None:
        """Forget a payload."""
        value = self._values.pop((owner, key), None)
        if value is not None:
            self.size -= len(value)


def node_key(node: str) -> str:
    """Return the key of a node."""
    return f"n {node}"


def item_key(node: str, id_: str) -> str:
    """Return the key of an item: no other node and id have it, whatever characters are in them."""
    return f"i {len(node)} {node}{id_}"


def _split(key: str) -> tuple[str, str]:
    """Return the node and the id of an item's key."""
    length, _, rest = key[2:].partition(" ")
    return rest[: int(length)], rest[int(length) :]


class NodeStore:
    """Reads and writes nodes. An owner is the bare JID of an account."""

    __slots__ = ("_cache", "_doomed", "_items", "_nodes")

    def __init__(self, nodes: MapStore, items: MapStore) -> None:
        self._nodes = nodes
        self._items = items
        self._cache = ItemCache()
        self._doomed: set[tuple[str, str]] = set()

    async def load(self, owner: str) -> Nodes:
        """Return all nodes of an owner with the heads of their items; items of a node that is not there are passed over."""
        nodes: dict[str, Node] = {}
        heads: dict[str, list[tuple[str, ItemHead]]] = {}
        for key, value in (await self._nodes.items(owner)).items():
            if key.startswith("n "):
                nodes[key[2:]] = Node.decode(key[2:], value)
            else:
                node, id_ = _split(key)
                heads.setdefault(node, []).append((id_, ItemHead.decode(value)))
        for name, found in heads.items():
            if name in nodes:
                nodes[name].items = in_order(found)
        return Nodes(nodes.values())

    async def payload(self, owner: str, node: str, id_: str) -> Element | None:
        """Return the payload of an item; None when it has gone."""
        key = item_key(node, id_)
        value = self._cache.get(owner, key)
        if value is None:
            value = await self._items.get(owner, key)
            if value is None:
                return None
            self._cache.put(owner, key, value)
        return parse_element(value, "")

    def save(self, owner: str, nodes: Nodes, node: Node) -> Commit:
        """Write a node without its items; one that is new is added."""
        nodes.by_name[node.name] = node
        return self._nodes.update(owner, {node_key(node.name): node.encode()})

    def put_item(
        self, owner: str, nodes: Nodes, node: Node, id_: str, head: ItemHead, payload: bytes, limit: int
    ) -> Commit:
        """Write an item, with its node when that is new, and remove the oldest ones above a number."""
        key = item_key(node.name, id_)
        put = {key: head.encode()}
        if nodes.by_name.setdefault(node.name, node) is node and not node.items:
            put[node_key(node.name)] = node.encode()
        before = node.put(id_, head)
        gone = node.surplus(limit)
        heads = [node.items.pop(other) for other in gone]
        nodes.count(head, heads if before is None else [before, *heads])
        removed = self._forget(owner, node.name, gone)
        self._cache.put(owner, key, payload)
        self._doomed.discard((owner, key))
        commit = both(self._items.update(owner, {key: payload}), self._nodes.update(owner, put, removed))
        assert commit is not None
        self._remove_after(commit, owner, removed)
        commit.add_done_callback(lambda done: self._cache.drop(owner, key) if done.error is not None else None)
        return commit

    def remove_items(self, owner: str, nodes: Nodes, node: Node, ids: Collection[str]) -> Commit:
        """Remove items of a node."""
        nodes.count(None, [node.items.pop(id_) for id_ in ids])
        return self._remove(owner, self._forget(owner, node.name, ids))

    def remove_node(self, owner: str, nodes: Nodes, node: Node) -> Commit:
        """Remove a node with its items."""
        del nodes.by_name[node.name]
        nodes.count(None, node.items.values())
        return self._remove(owner, self._forget(owner, node.name, node.items), node_key(node.name))

    def _remove(self, owner: str, keys: list[str], *more: str) -> Commit:
        commit = self._nodes.update(owner, {}, [*more, *keys])
        self._remove_after(commit, owner, keys)
        return commit

    def _remove_after(self, commit: Commit, owner: str, keys: list[str]) -> None:
        """Remove payloads once their heads are gone for good, but those that were published again meanwhile."""
        self._doomed.update((owner, key) for key in keys)

        def go_on(done: Commit) -> None:
            found = [key for key in keys if (owner, key) in self._doomed]
            self._doomed.difference_update((owner, key) for key in found)
            if done.error is None and found:
                with contextlib.suppress(StorageError):  # no room to remove: the payloads stay, and nothing names them
                    self._items.update(owner, {}, found)

        if keys:
            commit.add_done_callback(go_on)

    def _forget(self, owner: str, node: str, ids: Iterable[str]) -> list[str]:
        keys = [item_key(node, id_) for id_ in ids]
        for key in keys:
            self._cache.drop(owner, key)
        return keys
