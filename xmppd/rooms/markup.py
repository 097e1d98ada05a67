"""The XML that rooms themselves say: <x/> of muc#user with items and status codes, occupant ids; and taking out what only they may say.

What goes to a thousand occupants is written once, as bytes.
"""

from hmac import digest
from typing import TypeVar

from codec.element import Element, escape_text, escape_value
from codec.jid import JID
from codec.payloads.stanza_id import StanzaId
from codec.stanza import Stanza
from xmppd.rooms.roles import Affiliation, Role

S = TypeVar("S", bound=Stanza)

NS = "http://jabber.org/protocol/muc"
USER_NS = f"{NS}#user"
MUC_X = f"{NS} x"
USER_X = f"{USER_NS} x"
OCCUPANT_ID_NS = "urn:xmpp:occupant-id:0"
OCCUPANT_ID = f"{OCCUPANT_ID_NS} occupant-id"
HATS = "urn:xmpp:hats:0 hats"
DELAY = "urn:xmpp:delay delay"
SUBJECT = "jabber:client subject"
RETRACTED = "urn:xmpp:message-retract:1 retracted"
BODY = "jabber:client body"

ROOMS_OWN = frozenset((MUC_X, USER_X, OCCUPANT_ID, HATS, StanzaId.TAG))
"""What occupants cannot say in a room's name (§17.3, XEP-0421 §4, XEP-0317, XEP-0359)."""

_USER_X_START = f"<x xmlns='{USER_NS}'>".encode()


def cleaned(stanza: S, room: JID) -> S:
    """Return an occupant's stanza without what only rooms say, delays in the room's name included."""
    if ROOMS_OWN.isdisjoint(stanza.tags) and DELAY not in stanza.tags:
        return stanza
    return stanza.without(lambda child: child.tag in ROOMS_OWN or (child.tag == DELAY and _is_by(child, room)))


def _is_by(delay: Element, room: JID) -> bool:
    from_ = delay.get("from")
    return from_ is None or from_.partition("/")[0].lower() == room


def occupant_id(secret: bytes, room: JID, bare: JID) -> str:
    """Return what tells that two occupants are the same person, and not who (XEP-0421 §4.1): stable, and different in each room."""
    return digest(secret, f"{room}\0{bare}".encode(), "sha256").hex()[:40]


def occupant_id_xml(id_: str) -> bytes:
    """Return <occupant-id/>."""
    return f"<occupant-id xmlns='{OCCUPANT_ID_NS}' id='{id_}'/>".encode()


def item(
    affiliation: Affiliation,
    role: Role | None,
    jid: JID | None = None,
    nick: str | None = None,
    actor: str | None = None,
    reason: str | None = None,
) -> str:
    """Return <item/>: `nick` is given where it changes or in lists; `actor` is a nickname."""
    written = f"<item affiliation='{affiliation.word}'"
    if role is not None:
        written += f" role='{role.word}'"
    if jid is not None:
        written += f" jid='{escape_value(jid)}'"
    if nick is not None:
        written += f" nick='{escape_value(nick)}'"
    inner = f"<actor nick='{escape_value(actor)}'/>" if actor is not None else ""
    if reason:
        inner += f"<reason>{escape_text(reason)}</reason>"
    return f"{written}>{inner}</item>" if inner else f"{written}/>"


def user_x(inner: str = "", codes: tuple[int, ...] = ()) -> bytes:
    """Return <x/> of muc#user around an item or something else, with status codes."""
    statuses = "".join([f"<status code='{code}'/>" for code in codes])
    return b"%b%b</x>" % (_USER_X_START, f"{inner}{statuses}".encode())


def with_user_x(stanza: S, inner: str, codes: tuple[int, ...] = ()) -> S:
    """Return a stanza with <x/> of muc#user behind the rest."""
    return stanza.adding_raw(user_x(inner, codes), USER_X)


def without_last_user_x(stanza_xml: bytes) -> bytes:
    """Return a message of an archive without the <x/> that the room put at its end to tell who wrote it."""
    end = stanza_xml.rfind(b"</message>")
    start = stanza_xml.rfind(_USER_X_START)
    if start < 0 or not stanza_xml.endswith(b"</x>", 0, end):
        return stanza_xml
    return stanza_xml[:start] + stanza_xml[end:]
