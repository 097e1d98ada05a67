"""XEP-0203: Delayed Delivery."""

from dataclasses import dataclass
from datetime import datetime

from codec.jid import JID
from codec.payload import Payload, attr, text
from codec.values import parse_datetime

NS = "urn:xmpp:delay"


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay(Payload, tag=(NS, "delay")):
    """When a stanza was first sent or stored (XEP-0203 §2).

    Attributes:
        from_: who held the stanza back.
        stamp: aware, UTC.
        reason: for people; "" when there is none.
    """

    from_: JID | None = attr(parse=JID.parse)
    stamp: datetime = attr(parse=parse_datetime, required=True)
    reason: str = text()
