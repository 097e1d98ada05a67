"""XEP-0359: Unique and Stable Stanza IDs."""

from dataclasses import dataclass

from codec.jid import JID
from codec.payload import Payload, attr

NS = "urn:xmpp:sid:0"


@dataclass(frozen=True, slots=True, kw_only=True)
class StanzaId(Payload, tag=(NS, "stanza-id")):
    """The id that an archive gave to a stanza; to be believed only when `by` itself could have put it there (§4)."""

    id: str = attr(required=True)
    by: JID = attr(parse=JID.parse, required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginId(Payload, tag=(NS, "origin-id")):
    """The id that the sender gave to a stanza."""

    id: str = attr(required=True)
