"""XEP-0494: what is known of a client that has access to an account, and how it is told."""

from dataclasses import dataclass
from datetime import UTC, datetime

from codec.element import Element
from codec.values import format_datetime
from xmppd.resource import Resource

NS = "urn:xmpp:cam:0"


@dataclass(frozen=True, slots=True)
class Seen:
    """What is kept of an installation.

    Attributes:
        first_s, last_s: when it logged in for the first and the last time, seconds since 1970.
        software, device: as it says. address: of its last login, "" where that is not kept.
        keys: a note of the password that it has proven to know (`sasl.keys.note_of`), "" for none.
    """

    first_s: int
    last_s: int
    software: str = ""
    device: str = ""
    address: str = ""
    keys: str = ""


@dataclass(frozen=True, slots=True)
class Client:
    """A client that has access to an account.

    Attributes:
        id: names it towards the owner. agent_id: of its <user-agent/>, "" for none.
        sessions: its bound resources. has_password, has_token: how it can come back.
    """

    id: str
    agent_id: str
    seen: Seen
    sessions: tuple[Resource, ...]
    has_password: bool
    has_token: bool


def moment(seconds: int) -> str:
    """Return seconds since 1970 as XEP-0082 writes them."""
    return format_datetime(datetime.fromtimestamp(seconds, UTC))


def element_of(client: Client) -> Element:
    """Return a <client/> (§3.1)."""
    seen = client.seen
    children = []
    if seen.first_s:
        children.append(Element(f"{NS} first-seen", {}, (moment(seen.first_s),)))
    if seen.last_s:
        children.append(Element(f"{NS} last-seen", {}, (moment(seen.last_s),)))
    known = (("password", client.has_password), ("fast", client.has_token))
    children.append(Element(f"{NS} auth", {}, tuple([Element(f"{NS} {name}") for name, is_so in known if is_so])))
    children.append(Element(f"{NS} permission", {"status": "unrestricted"}))
    said = (("software", seen.software), ("device", seen.device))
    children.append(
        Element(f"{NS} user-agent", {}, tuple([Element(f"{NS} {name}", {}, (text,)) for name, text in said if text]))
    )
    attrs = {
        "connected": "true" if client.sessions else "false",
        "id": client.id,
        "type": "session" if client.sessions or seen.first_s else "access",
    }
    return Element(f"{NS} client", attrs, tuple(children))
