"""Logging in by XEP-0388 without sockets: what tests of it, of XEP-0386 and of XEP-0484 share."""

import base64
import hmac
from types import SimpleNamespace
from typing import Any

from codec.element import Element
from storage.interface import AccountRecord
from tests.support.world import Client, FakeConnection, World
from xmppd.c2s import ClientStream
from xmppd.sasl.keys import make_keys

SASL2, BIND2, FAST, SM = "urn:xmpp:sasl:2", "urn:xmpp:bind:0", "urn:xmpp:fast:0", "urn:xmpp:sm:3"
CONDITIONS = "urn:ietf:params:xml:ns:xmpp-sasl"
PASSWORD = "pencil"
AGENT = "d4565fa7-4d72-4749-b3d3-740edbf87770"
OTHER_AGENT = "0f1d7a8e-2f2b-4c1e-9d53-8a1f5b1c0a11"
END_POINT_HASH = b"\x5a" * 32
BIND = f"<bind xmlns='{BIND2}'/>"


async def account(world: World, jid: str, password: str = PASSWORD) -> None:
    """Make an account with a password, or give it another one behind the server's back."""
    await world.shared.backend.accounts.replace(AccountRecord(jid, make_keys(password, 64)))


def knock(world: World, *, from_: str = "", tls: bool = True, domain: str = "example.org") -> Client:
    """Return a client that has not logged in, as if inside TLS."""
    connection = FakeConnection()
    connection.tls = SimpleNamespace(end_point_hash=END_POINT_HASH) if tls else None  # type: ignore[assignment]
    stream = connection.stream = ClientStream(connection, world.service)
    source = f" from='{from_}'" if from_ else ""
    streams = "http://etherx.jabber.org/streams"
    stream.receive(
        f"<stream:stream to='{domain}'{source} version='1.0' xmlns='jabber:client' xmlns:stream='{streams}'>".encode()
    )
    client = Client(world, stream, connection)
    features = [event for event in connection.events if isinstance(event, Element) and event.name == "features"]
    if features:
        client.features = features[0]
        connection.events.clear()
    return client


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def plain(user: str = "romeo", password: str = PASSWORD) -> str:
    """Return the initial response of PLAIN."""
    return b64(f"\0{user}\0{password}".encode())


def authenticate(mechanism: str, initial: str | None, inner: str = "", agent: str = AGENT) -> str:
    """Return a request; `agent` "" leaves out what the client says of itself."""
    response = "" if initial is None else f"<initial-response>{initial}</initial-response>"
    user_agent = f"<user-agent id='{agent}'><software>Test</software></user-agent>" if agent else ""
    return f"<authenticate xmlns='{SASL2}' mechanism='{mechanism}'>{response}{user_agent}{inner}</authenticate>"


async def answers(client: Client, *xml: str) -> list[Any]:
    """Send something, and return and forget everything that came."""
    await client.send(*xml)
    events, client.connection.events[:] = list(client.connection.events), []
    return events


async def login(
    world: World, inner: str = BIND, *, agent: str = AGENT, user: str = "romeo", tls: bool = True
) -> tuple[Client, Element]:
    """Return a client that has logged in by PLAIN, and its <success/>."""
    client = knock(world, tls=tls)
    found = await answers(client, authenticate("PLAIN", plain(user), inner, agent))
    return arrived(client), success_of(found)


def arrived(client: Client) -> Client:
    """Give a client its JID, once it has a resource."""
    client.resource = client.stream.resource
    if client.resource is not None:
        client.jid = client.resource.jid
        client.world.names[client.jid.localpart] = client.jid
    return client


def success_of(events: list[Any]) -> Element:
    """Return <success/>, which must come first."""
    assert events and isinstance(events[0], Element) and events[0].tag == f"{SASL2} success", events
    return events[0]


def failure_of(events: list[Any]) -> str:
    """Return the condition of <failure/>, which must be all that came."""
    assert len(events) == 1 and events[0].tag == f"{SASL2} failure", events
    return str(events[0].elements()[0].name)


def ended_with(client: Client) -> str:
    """Return the condition of the stream error that a client got, "" for none."""
    for event in client.connection.events:
        if isinstance(event, Element) and event.tag == "http://etherx.jabber.org/streams error":
            return event.elements()[0].name
    return ""


def identifier(success: Element) -> str:
    """Return the JID in <success/>."""
    found = success.find(f"{SASL2} authorization-identifier")
    assert found is not None
    return found.text


def hashed(token: str, binding: bytes = b"", user: str = "romeo", role: bytes = b"Initiator") -> str:
    """Return the initial response of HT-SHA-256-NONE, or of -ENDP with a binding."""
    return b64(user.encode() + b"\0" + hmac.digest(token.encode(), role + binding, "sha256"))
