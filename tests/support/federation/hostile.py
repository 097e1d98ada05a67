"""The small internet with a hostile server in it: raw streams that say anything, names that lie, and an account that listens."""

import asyncio
import os
import re
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from bench.accounts import PASSWORD
from bench.client import CLIENT, Client
from tests.support.ca import Leaf, make_test_ca
from tests.support.daemon import Daemon
from tests.support.name_server import NameServer
from tests.support.raw import STREAMS, Inbox, Raw

WAIT_S = 15.0
TLS_NS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL_NS = "urn:ietf:params:xml:ns:xmpp-sasl"
STARTTLS_FEATURE = f"<starttls xmlns='{TLS_NS}'><required/></starttls>"
DIALBACK_FEATURE = "<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"
EXTERNAL_FEATURE = f"<mechanisms xmlns='{SASL_NS}'><mechanism>EXTERNAL</mechanism></mechanisms>"
BIDI_FEATURE = "<bidi xmlns='urn:xmpp:features:bidi'/>"
SM_FEATURE = "<sm xmlns='urn:xmpp:sm:3'/>"


def header(from_: str, to: str, *, id_: str = "", xmlns: str = "jabber:server") -> str:
    """Return a stream header of a server."""
    named = "".join(f" {name}='{value}'" for name, value in (("from", from_), ("to", to), ("id", id_)) if value)
    return (
        f"<?xml version='1.0'?><stream:stream xmlns='{xmlns}' xmlns:stream='{STREAMS}'"
        f" xmlns:db='jabber:server:dialback' version='1.0'{named}>"
    )


def features(*offers: str) -> str:
    """Return the features of a stream."""
    return f"<stream:features>{''.join(offers)}</stream:features>"


def message(from_: str, to: str, body: str, more: str = "") -> str:
    """Return a chat message whose id is its body."""
    return f"<message from='{from_}' to='{to}' type='chat' id='{body}'><body>{body}</body>{more}</message>"


def tls_context(leaf: Leaf | None, *, is_server: bool = False, alpn: Sequence[str] = ()) -> ssl.SSLContext:
    """Return a context that shows a certificate, and takes any."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_server else ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if leaf is not None:
        context.load_cert_chain(leaf.certificate, leaf.key)
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


class HostilePeer(Raw):
    """One connection with a server, whichever side opened it, that says what a test has it say.

    Attributes:
        stream_id: of the last header that the other side sent.
        offers: the features that came last.
        everything: all that came, inside TLS or not.
        ended: its script is over, and so is the connection.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self.stream_id = ""
        self.offers = b""
        self.everything = bytearray()
        self.ended = asyncio.Event()

    async def _read(self) -> bytes:
        more = await super()._read()
        self.everything += more
        return more

    @classmethod
    async def dial(cls, port: int, *, tls: ssl.SSLContext | None = None, source: str = "127.0.0.1") -> "HostilePeer":
        """Connect; with `tls`, TLS starts at once."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, local_addr=(source, 0))
        return cls(reader, writer)

    async def greet(self, from_: str, to: str) -> bytes:
        """Open a stream, and return the features."""
        await self.send(header(from_, to))
        got = await self.read_until(b"</stream:features>")
        found = re.search(rb"<stream:stream[^>]*\sid=['\"]([^'\"]+)", got)
        self.stream_id = found[1].decode() if found else ""
        self.offers = got[got.index(b"<stream:features") :]
        return self.offers

    async def secure(self, leaf: Leaf | None = None) -> None:
        """Ask for TLS and begin it."""
        await self.send(f"<starttls xmlns='{TLS_NS}'/>")
        await self.read_until(b"<proceed")
        await self.read_until(b">")
        await self.writer.start_tls(tls_context(leaf))

    async def log_in(self, authzid: str = "=") -> bytes:
        """Ask for SASL EXTERNAL, and return the answer."""
        return await self.auth("EXTERNAL", authzid)

    async def auth(self, mechanism: str, text: str = "=") -> bytes:
        """Ask for a SASL mechanism, and return the answer."""
        await self.send(f"<auth xmlns='{SASL_NS}' mechanism='{mechanism}'>{text}</auth>")
        try:
            got = await self.read_until(b"<")
            got += await self.read_until(b">")
            if b"<failure" in got:
                got += await self.read_until(b"</failure>")
        except EOFError:
            return self.received
        return got

    async def claim(self, from_: str, to: str, key: str = "nonsense") -> bytes:
        """Claim a domain by a dialback key, and return the answer."""
        await self.send(f"<db:result from='{from_}' to='{to}'>{key}</db:result>")
        return await self.result_of(from_)

    async def result_of(self, from_: str) -> bytes:
        """Wait for what the other side says of the claim of a domain."""
        pattern = re.compile(
            rb"<(?:db:)?result[^>]*to=['\"]" + re.escape(from_.encode()) + rb"['\"][^>]*?(?:/>|>.*?</(?:db:)?result>)"
        )
        async with asyncio.timeout(WAIT_S):
            while not (found := pattern.search(self.received)):
                if not await self._read():
                    raise EOFError(f"no result for {from_}, but {self.received[-500:]!r}")
        self.received = self.received[: found.start()] + self.received[found.end() :]
        return found[0]

    async def ended_by(self, data: str | bytes, timeout_s: float = WAIT_S) -> str:
        """Send something, and return the condition of the stream error that ends the connection."""
        await self.send(data)
        return await self.stream_error(timeout_s)

    # as the side that is called

    async def welcome(self, domain: str, *offers: str, id_: str = "a1") -> None:
        """Wait for a header, and answer it with one and with features."""
        await self.read_until(b"<stream:stream")
        await self.read_until(b">")
        await self.send(header(domain, "", id_=id_) + features(*offers))

    async def accept_tls(self, leaf: Leaf) -> None:
        """Wait for the wish for TLS, and grant it."""
        await self.read_until(b"<starttls")
        await self.read_until(b">")
        await self.send(f"<proceed xmlns='{TLS_NS}'/>")
        await self.writer.start_tls(tls_context(leaf, is_server=True))

    async def accept(self, domain: str, leaf: Leaf, *offers: str, id_: str = "a1") -> None:
        """Let the other side come as far as the features inside TLS."""
        await self.welcome(domain, STARTTLS_FEATURE)
        await self.accept_tls(leaf)
        await self.welcome(domain, *offers, id_=id_)

    async def question(self) -> tuple[str, str, str, str]:
        """Wait for a question about a key: from, to, id, key."""
        await self.read_until(b"<db:verify" if b"<db:verify" in self.received else b"verify")
        rest = (await self.read_until(b">")).decode()
        key = (await self.read_until(b"<")).decode()[:-1]
        attrs = dict(re.findall(r"(\w+)=['\"]([^'\"]*)", rest))
        await self.read_until(b">")
        return attrs["from"], attrs["to"], attrs["id"], key

    async def say_of_key(self, question: tuple[str, str, str, str], verdict: str, id_: str = "") -> None:
        """Answer a question about a key."""
        asker, about, stream_id, _ = question
        await self.send(f"<db:verify from='{about}' to='{asker}' id='{id_ or stream_id}' type='{verdict}'/>")


Script = Callable[[HostilePeer], Awaitable[None]]


class HostileServer:
    """Listens, and has a script talk on each connection.

    Attributes:
        peers: the connections so far. called: there is one. port: of 127.0.0.1.
    """

    def __init__(self, script: Script) -> None:
        self.script = script
        self.peers: list[HostilePeer] = []
        self.called = asyncio.Event()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> "HostileServer":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for peer in self.peers:
            peer.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._talk(HostilePeer(reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _talk(self, peer: HostilePeer) -> None:
        self.peers.append(peer)
        self.called.set()
        try:
            await self.script(peer)
            await peer.read_to_end(60)
        except (EOFError, OSError, TimeoutError):
            pass
        finally:
            peer.ended.set()
            peer.close()


class LiveZone:
    """The DNS of one run, whose records count from the next question on."""

    def __init__(self, server: NameServer) -> None:
        self.server = server
        self.address = f"127.0.0.1:{server.address.port}"
        server.add("host.internet.example", "A", "127.0.0.1")

    def add(self, domain: str, s2s_port: int, *, direct_tls: bool = False) -> None:
        """Tell where a domain is served."""
        service = "_xmpps-server" if direct_tls else "_xmpp-server"
        self.server.add(f"{service}._tcp.{domain}", "SRV", f"1 1 {s2s_port} host.internet.example.")


class LiveInternet:
    """What `OurServer` needs of its surroundings: certificates, and DNS that can lie.

    Attributes:
        authority: all trust it. stranger: nobody does.
        servers: all that belong to it; who made them ends them.
    """

    def __init__(self, folder: Path, zone: LiveZone) -> None:
        self.folder = folder
        self.zone = zone
        self.servers: list[Daemon] = []
        for name in ("authority", "stranger"):
            (folder / name).mkdir()
        self.authority = make_test_ca(folder / "authority")
        self.stranger = make_test_ca(folder / "stranger")

    def certificate(self, *domains: str) -> Leaf:
        """Return a certificate that all trust."""
        return self.authority.sign(domains, file_name=domains[0])


class Ear:
    """An account that is there to hear, and keeps whatever comes."""

    def __init__(self, user: str, domain: str) -> None:
        self.inbox = Inbox()
        self.client = Client(user, PASSWORD, self.inbox, domain)
        self.jid = f"{user}@{domain}/ear"

    async def enter(self, port: int) -> "Ear":
        """Log in and become available."""
        await self.client.connect(port)
        await self.client.authenticate()
        await self.client.bind("ear")
        self.client.send("<presence/>")
        await self.settle()
        self.inbox.stanzas.clear()
        return self

    async def settle(self) -> None:
        """Return when all that the server sent before is here."""
        await self.client.ask("get", "<ping xmlns='urn:xmpp:ping'/>", self.client.domain)

    async def take(self, id_: str, timeout_s: float = WAIT_S) -> Element:
        """Wait for a stanza with that id, and take it out of what was heard."""
        async with asyncio.timeout(timeout_s):
            while True:
                for index, stanza in enumerate(self.inbox.stanzas):
                    if stanza.get("id") == id_:
                        return self.inbox.stanzas.pop(index)
                self.inbox.changed.clear()
                await self.inbox.changed.wait()

    async def came_back(self, id_: str, timeout_s: float = WAIT_S) -> str:
        """Wait for a stanza to come back, and return the condition."""
        stanza = await self.take(id_, timeout_s)
        assert stanza.get("type") == "error", stanza.attrib
        error = stanza.find(f"{{{CLIENT}}}error")
        return "" if error is None else error[0].tag.rpartition("}")[2]

    def heard(self) -> list[str]:
        """Return in short what came and was not taken."""
        return [f"{s.tag.rpartition('}')[2]} {s.get('from')} {s.get('type')} {s.get('id')}" for s in self.inbox.stanzas]


def reread(server: Any, settings: Mapping[str, Any]) -> None:
    """Change settings of a server that runs: it reads them anew (SIGHUP)."""
    server.settings |= settings
    server.write_config()
    os.kill(server.pid, signal.SIGHUP)


@asynccontextmanager
async def hostile(script: Script) -> AsyncIterator[HostileServer]:
    """Have a script talk on each connection to a port."""
    async with HostileServer(script) as server:
        yield server
