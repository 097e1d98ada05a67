"""The roster of RFC 6121 §2: what a client asks, sets and is pushed."""

from dataclasses import dataclass

from codec.jid import JID
from codec.payload import Payload, attr, child_texts, children
from codec.values import one_of, parse_bool

NS = "jabber:iq:roster"

_subscription = one_of("none", "to", "from", "both", "remove")
_ask = one_of("subscribe")


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterItem(Payload, tag=(NS, "item")):
    """One contact (RFC 6121 §2.1.2).

    Attributes:
        jid: of the contact, mostly a bare JID.
        name: the user's name for the contact; None and "" both mean none.
        subscription: none, to, from, both or remove; None when a client left it out.
        ask: "subscribe" while a request of the user is unanswered.
        approved: the user has approved a subscription before the contact asked for it.
        groups: as they came; RFC 6121 §2.3.3 lets a server refuse empty, long or doubled ones.
    """

    jid: JID = attr(parse=JID.parse, required=True)
    name: str | None = attr()
    subscription: str | None = attr(parse=_subscription, format=_subscription)
    ask: str | None = attr(parse=_ask, format=_ask)
    approved: bool = attr(parse=parse_bool, default=False)
    groups: tuple[str, ...] = child_texts("group")


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterQuery(Payload, tag=(NS, "query")):
    """The roster, or a change of it (RFC 6121 §2.1).

    Attributes:
        ver: the version; "" from a client that has none yet, None from one that knows no versions (§2.6).
        items: all contacts in a result, exactly one in a set or push.
    """

    ver: str | None = attr()
    items: tuple[RosterItem, ...] = children(RosterItem)
