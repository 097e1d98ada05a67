"""A node: its set-up, who may do what, who wants to know, and which items it has. Payloads are elsewhere (`xmppd.pubsub.store`)."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from xmppd.pubsub.config import NodeConfig

OWNER, PUBLISHER, PUBLISH_ONLY, MEMBER, NONE, OUTCAST = (
    "owner",
    "publisher",
    "publish-only",
    "member",
    "none",
    "outcast",
)
AFFILIATIONS = (OWNER, PUBLISHER, PUBLISH_ONLY, MEMBER, NONE, OUTCAST)
SUBSCRIBED, PENDING, NO_SUBSCRIPTION = "subscribed", "pending", "none"


class ItemHead(NamedTuple):
    """What is known of an item without its payload.

    Attributes:
        at: archive id of the moment at which it was published; they order the items.
        publisher: bare JID, "" for the account itself.
        size: bytes of its payload.
    """

    at: int
    publisher: str
    size: int

    def encode(self) -> bytes:
        """Return it as it is stored."""
        return json.dumps(self, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes) -> "ItemHead":
        """Return what `encode` wrote."""
        return cls(*json.loads(data))


@dataclass(slots=True)
class Node:
    """One node.

    Attributes:
        affiliations: bare JID -> affiliation, without those that have none; the account itself is the owner and not listed.
        subscriptions: JID -> "subscribed" or "pending".
        items: id -> head, the oldest first.
    """

    name: str
    config: NodeConfig = field(default_factory=NodeConfig)
    affiliations: dict[str, str] = field(default_factory=dict)
    subscriptions: dict[str, str] = field(default_factory=dict)
    items: dict[str, ItemHead] = field(default_factory=dict)

    @property
    def last_id(self) -> str | None:
        """The id of the item that was published last."""
        return next(reversed(self.items), None)

    def put(self, id_: str, head: ItemHead) -> ItemHead | None:
        """Put an item behind all others; return the one whose place it took."""
        before = self.items.pop(id_, None)
        self.items[id_] = head
        return before

    def surplus(self, limit: int) -> list[str]:
        """Return the oldest items' ids, as many as there are above a number."""
        count = len(self.items) - limit
        return [] if count <= 0 else [id_ for id_, _ in zip(self.items, range(count), strict=False)]

    def encode(self) -> bytes:
        """Return it without its items as it is stored."""
        value = {"c": self.config.changes(), "a": self.affiliations, "s": self.subscriptions}
        kept = {key: part for key, part in value.items() if part}
        return json.dumps(kept, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, name: str, data: bytes) -> "Node":
        """Return what `encode` wrote."""
        value = json.loads(data)
        return cls(name, NodeConfig.of_changes(value.get("c", {})), value.get("a", {}), value.get("s", {}))


def in_order(items: Iterable[tuple[str, ItemHead]]) -> dict[str, ItemHead]:
    """Return items by id, the oldest first."""
    return dict(sorted(items, key=lambda pair: pair[1].at))
