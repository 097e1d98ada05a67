"""Coming back in one round trip: SASL2, Bind 2 and FAST over real sockets, counted beside the way of RFC 6120."""

import asyncio
import base64
import hashlib
import hmac
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from bench.accounts import PASSWORD
from compliance.sasl import Scram, channel_binding
from tests.support.raw import HEADER, Raw, condition_of
from tests.support.server import ServerProcess
from tests.system.conftest import TLSFiles

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

SASL, SASL2, BIND2, SM = "urn:ietf:params:xml:ns:xmpp-sasl", "urn:xmpp:sasl:2", "urn:xmpp:bind:0", "urn:xmpp:sm:3"
AGENT = "d4565fa7-4d72-4749-b3d3-740edbf87770"
ENABLE = f"<enable xmlns='{SM}' resume='true'/>"
BIND = f"<bind xmlns='{BIND2}'><tag>test</tag>{ENABLE}</bind>"
PING = "<iq type='get' id='first' to='localhost'><ping xmlns='urn:xmpp:ping'/></iq>"
PONG = b"id='first'"


class Wire(Raw):
    """A client inside TLS that counts how often it has to wait for the server before it can go on."""

    round_trips = 0
    bytes_sent = 0
    bytes_received = 0

    @classmethod
    @asynccontextmanager
    async def open(cls, server: ServerProcess, tls: TLSFiles) -> AsyncIterator["Wire"]:
        """Connect to the port where TLS starts at once; the handshake is not counted."""
        context = ssl.create_default_context(cafile=str(tls.ca))
        wire = cls(
            *await asyncio.open_connection(
                "127.0.0.1", server.direct_tls_port, ssl=context, server_hostname="localhost"
            )
        )
        async with wire:
            yield wire

    async def ask(self, text: str, words: bytes) -> str:
        """Send something, and return what came up to the words: one round trip."""
        self.round_trips += 1
        self.bytes_sent += len(text.encode())
        await self.send(text)
        found = await self.read_until(words)
        self.bytes_received += len(found)
        return found.decode()

    def binding(self) -> bytes:
        """Return the data of tls-server-end-point."""
        data = channel_binding(self.writer.get_extra_info("ssl_object"), "tls-server-end-point")
        assert data is not None
        return data


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def authenticate(mechanism: str, initial: bytes, inner: str) -> str:
    return (
        f"<authenticate xmlns='{SASL2}' mechanism='{mechanism}'><initial-response>{b64(initial)}</initial-response>"
        f"<user-agent id='{AGENT}'/>{inner}</authenticate>"
    )


def challenge_in(text: str) -> bytes:
    found = re.search(r"<challenge[^>]*>([^<]+)<", text)
    assert found is not None, text
    return base64.b64decode(found.group(1))


def attribute(text: str, name: str, element: str) -> str:
    found = re.search(rf"<{element}\b[^>]*\b{name}='([^']*)'", text)
    assert found is not None, text
    return found.group(1)


@dataclass
class Session:
    """What a client keeps between two sessions."""

    user: str
    token: str
    previd: str
    jid: str


async def first_login(wire: Wire, user: str, mechanism: str = "HT-SHA-256-NONE", stanza: str = PING) -> Session:
    """Log in by password, ask for a token, and send the first stanza with the last message of SCRAM."""
    exchange = Scram("SCRAM-SHA-256", user, PASSWORD)
    inner = f"{BIND}<request-token xmlns='urn:xmpp:fast:0' mechanism='{mechanism}'/>"
    text = await wire.ask(HEADER + authenticate("SCRAM-SHA-256", exchange.first(), inner), b"</challenge>")
    final = exchange.answer(challenge_in(text))
    text = await wire.ask(f"<response xmlns='{SASL2}'>{b64(final)}</response>{stanza}", PONG)
    return Session(user, attribute(text, "token", "token"), attribute(text, "id", "enabled"), identifier(text))


def identifier(text: str) -> str:
    found = re.search(r"<authorization-identifier[^>]*>([^<]*)<", text)
    assert found is not None, text
    return found.group(1)


def by_token(session: Session, inner: str, binding: bytes | None = None) -> str:
    """Return everything that a client sends to come back, its first stanza last."""
    mechanism = "HT-SHA-256-NONE" if binding is None else "HT-SHA-256-ENDP"
    hashed = hmac.digest(session.token.encode(), b"Initiator" + (binding or b""), hashlib.sha256)
    initial = session.user.encode() + b"\0" + hashed
    return HEADER + authenticate(mechanism, initial, f"<fast xmlns='urn:xmpp:fast:0'/>{inner}") + PING


@pytest.fixture
def user(spare: Iterator[str]) -> str:
    return next(spare).partition("@")[0]


async def the_old_way(wire: Wire, user: str) -> None:
    """Log in as RFC 6120 and XEP-0198 have it, up to the answer to the first stanza."""
    exchange = Scram("SCRAM-SHA-256", user, PASSWORD)
    await wire.ask(HEADER, b"</stream:features>")
    first = f"<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256'>{b64(exchange.first())}</auth>"
    text = await wire.ask(first, b"</challenge>")
    await wire.ask(f"<response xmlns='{SASL}'>{b64(exchange.answer(challenge_in(text)))}</response>", b"</success>")
    await wire.ask(HEADER, b"</stream:features>")
    await wire.ask("<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>", b"</iq>")
    await wire.ask(ENABLE, b"<enabled")
    await wire.ask(PING, PONG)


async def test_first_stanza_goes_out_with_the_login_by_token(server: ServerProcess, tls: TLSFiles, user: str) -> None:
    async with Wire.open(server, tls) as wire:
        session = await first_login(wire, user)
        assert wire.round_trips == 2  # SCRAM needs two; the first stanza's answer comes with the second
    async with Wire.open(server, tls) as wire:
        text = await wire.ask(by_token(session, BIND), PONG)
        assert wire.round_trips == 1
        assert (
            text.index("<success") < text.index("<stream:features>", text.index("<success")) < text.index("id='first'")
        )
        assert identifier(text) == session.jid  # the same installation has the same resource
    async with Wire.open(server, tls) as old:
        await the_old_way(old, user)
        assert old.round_trips == 7
        assert wire.bytes_sent + wire.bytes_received < old.bytes_sent + old.bytes_received


async def test_session_is_resumed_with_what_it_missed_in_one_round_trip(
    server: ServerProcess, tls: TLSFiles, user: str, spare: Iterator[str]
) -> None:
    async with Wire.open(server, tls) as wire:
        session = await first_login(wire, user, stanza=f"<presence/>{PING}")
        wire.close()  # cut, not closed
    async with Wire.open(server, tls) as other:
        other_user = next(spare).partition("@")[0]
        await first_login(other, other_user)
        message = f"<message type='chat' to='{session.jid}'><body>meanwhile</body></message>"
        await other.ask(message + PING, PONG)
    async with Wire.open(server, tls) as wire:
        # nothing was acknowledged, so all of it comes again
        resume = f"<resume xmlns='{SM}' previd='{session.previd}' h='0'/>"
        text = await wire.ask(by_token(session, resume + BIND), b"<body>meanwhile</body>")
        assert wire.round_trips == 1
        assert identifier(text) == session.jid and "<resumed" in text and "<bound" not in text
        assert "<stream:features>" not in text.partition("</success>")[2]
        await wire.read_until(PONG)


async def test_token_bound_to_the_channel_works_over_tls(server: ServerProcess, tls: TLSFiles, user: str) -> None:
    async with Wire.open(server, tls) as wire:
        session = await first_login(wire, user, "HT-SHA-256-ENDP")
    async with Wire.open(server, tls) as wire:
        text = await wire.ask(by_token(session, BIND, wire.binding()), PONG)
        assert identifier(text) == session.jid
    async with Wire.open(server, tls) as wire:
        text = await wire.ask(by_token(session, BIND, b"\0" * 32), b"</failure>")
        assert "<not-authorized" in text


async def test_login_that_comes_byte_by_byte_is_the_same(server: ServerProcess, tls: TLSFiles, user: str) -> None:
    async with Wire.open(server, tls) as wire:
        session = await first_login(wire, user)
    async with Wire.open(server, tls) as wire:
        for byte in by_token(session, BIND).encode():
            await wire.send(bytes((byte,)))
        assert identifier((await wire.read_until(PONG)).decode()) == session.jid


async def test_nothing_sent_behind_a_refused_login_is_done(server: ServerProcess, tls: TLSFiles, user: str) -> None:
    async with Wire.open(server, tls) as wire:
        await wire.send(by_token(Session(user, "no such token", "", ""), BIND))
        received = await wire.read_to_end()
        assert b"<not-authorized" in received and condition_of(received) == "not-authorized"
        assert b"<success" not in received and PONG not in received


async def test_token_outlives_a_server_that_is_killed_and_dies_with_the_password(
    server: ServerProcess, tls: TLSFiles, user: str
) -> None:
    async with Wire.open(server, tls) as wire:
        session = await first_login(wire, user)
    server.kill9()
    await asyncio.to_thread(server.start)
    async with Wire.open(server, tls) as wire:
        assert identifier(await wire.ask(by_token(session, BIND), PONG)) == session.jid
    await asyncio.to_thread(
        server.run_command, "account", "passwd", f"{user}@localhost", "--password-stdin", input_="another one\n"
    )
    async with Wire.open(server, tls) as wire:
        assert "<credentials-expired" in await wire.ask(by_token(session, BIND), b"</failure>")
