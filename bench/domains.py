"""Thousands of other domains at once: one message to each, and one from each; how long, how much memory, and that none is lost.

    python -m bench.domains --n 2000

Every domain d0.sim.example, d1.sim.example, … has its SRV records in a DNS server of this program, and is served by it, over direct
TLS with one certificate; proof is SASL EXTERNAL both ways, and they acknowledge by XEP-0198. One account of ours sends a message to each domain in one go, then each
domain opens a stream of its own to us and sends one to the account. One JSON line is printed; the exit status is 0 only if all arrived.
"""

import argparse
import asyncio
import json
import ssl
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element as Tree

from bench.accounts import PASSWORD, write_accounts
from bench.client import CLIENT, Client
from codec.element import Element
from codec.events import StreamOpened
from codec.jid import JID
from codec.limits import ReaderLimits
from codec.stanza import Message
from codec.xml_reader import XmlReader
from codec.xml_writer import XmlWriter
from tests.support.ca import CertificateAuthority, make_test_ca
from tests.support.daemon import free_ports, raise_file_limit
from tests.support.name_server import name_server
from tests.support.raw import memory_bytes
from tests.support.server import ServerProcess

OURS = "ours.example"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
SM = "urn:xmpp:sm:3"
AUTH = Element(f"{SASL} auth", {"mechanism": "EXTERNAL"}, ("=",))
MECHANISMS = Element(f"{SASL} mechanisms", {}, (Element(f"{SASL} mechanism", {}, ("EXTERNAL",)),))
PATIENCE_S = 120.0


class Inbox:
    """Counts messages, and tells when all have come."""

    def __init__(self, wanted: int) -> None:
        self.wanted = wanted
        self.times: dict[str, int] = {}
        self.is_full = asyncio.Event()

    def count(self, id_: str | None) -> None:
        """Take one message."""
        key = id_ or ""
        self.times[key] = self.times.get(key, 0) + 1
        if len(self.times) == self.wanted:
            self.is_full.set()

    # what `bench.client` wants of a handler

    def on_stanza(self, stanza: Tree) -> None:
        """Count a message that the account got."""
        if stanza.tag == f"{{{CLIENT}}}message":
            self.count(stanza.get("id"))

    def on_acknowledged(self, stanza: str) -> None:
        """Nothing is managed here."""


class Domain(asyncio.Protocol):
    """One connection of a simulated domain: with `name` it was opened by it, else by our server."""

    def __init__(self, inbox: Inbox, name: str = "") -> None:
        self.inbox = inbox
        self.name = name
        self.is_caller = bool(name)
        self.is_proven = False
        self.handled = 0
        self.reader = XmlReader(ReaderLimits(), "jabber:server")
        self.writer = XmlWriter("jabber:server")
        self.sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: Any = None

    def connection_made(self, transport: Any) -> None:
        """TLS is up."""
        self.transport = transport
        if self.is_caller:
            self._open()

    def connection_lost(self, exc: Exception | None) -> None:
        """The stream has ended."""
        if not self.sent.done():
            self.sent.set_exception(ConnectionError(f"{self.name}: the stream ended before the message was sent"))
            self.sent.exception()

    def _open(self) -> None:
        self.transport.write(self.writer.header(from_=self.name, id_=None, to=OURS))

    def data_received(self, data: bytes) -> None:
        """Play the other server."""
        for event in self.reader.feed(data):
            if isinstance(event, StreamOpened) and not self.is_caller:
                self.name = event.to or self.name
                features = [Element(f"{SM} sm")] if self.is_proven else [MECHANISMS]
                header = self.writer.header(from_=self.name, id_="1", to=OURS)
                self.transport.write(header + self.writer.features(features))
            elif isinstance(event, Element):
                self._nonza(event)
            elif isinstance(event, Message):
                self.handled += 1
                self.inbox.count(event.id)

    def _nonza(self, element: Element) -> None:
        if element.name == "auth":
            self.is_proven = True
            self.transport.write(self.writer.element(Element(f"{SASL} success")))
            self.reader.restart()
        elif element.name == "enable":
            self.transport.write(self.writer.element(Element(f"{SM} enabled")))
        elif element.name == "r":
            self.transport.write(self.writer.ack(self.handled))
        elif element.name == "success":
            self.is_proven = True
            self.reader.restart()
            self._open()
        elif element.name == "features" and self.is_caller:
            if self.is_proven:
                self._send()
            else:
                self.transport.write(self.writer.element(AUTH))

    def _send(self) -> None:
        body = Element("jabber:client body", {}, (f"from {self.name}",))
        message = Message.build(
            body, to=JID.parse(f"romeo@{OURS}"), from_=JID.parse(f"juliet@{self.name}"), type="chat", id=self.name
        )
        self.transport.write(self.writer.stanza(message))
        if not self.sent.done():
            self.sent.set_result(None)


def contexts(authority: CertificateAuthority) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the context of the domains as servers, and as clients."""
    leaf = authority.sign(["sim.example", "*.sim.example"], file_name="sim")
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    client = ssl.create_default_context(cafile=str(authority.path))
    for context in (server, client):
        context.load_cert_chain(leaf.certificate, leaf.key)
        context.set_alpn_protocols(["xmpp-server"])
    return server, client


def records(n: int, port: int) -> list[tuple[str, str, str]]:
    """Return the DNS records of the domains."""
    found = [
        (f"_xmpps-server._tcp.d{number}.sim.example", "SRV", f"1 1 {port} host.sim.example.") for number in range(n)
    ]
    return [*found, ("host.sim.example", "A", "127.0.0.1")]


@asynccontextmanager
async def scene(folder: Path, n: int, inbox: Inbox) -> AsyncIterator[tuple[ServerProcess, int, ssl.SSLContext]]:
    """Run the domains, their DNS, and our server; yield that, its port for servers, and the context of the domains."""
    authority = make_test_ca(folder)
    server_context, client_context = contexts(authority)
    leaf = authority.sign([OURS])
    running = asyncio.get_running_loop()
    listener = await running.create_server(lambda: Domain(inbox), "127.0.0.1", 0, ssl=server_context, backlog=4096)
    async with listener, name_server(records(n, listener.sockets[0].getsockname()[1])) as dns:
        (port,) = free_ports(1)
        settings = {
            "c2s.require_tls": False,
            "c2s.direct_tls": [],
            "s2s.direct_tls": [f"127.0.0.1:{port}"],
            "s2s.resolver": str(dns.address),
            "tls.ca_file": str(authority.path),
            "log.level": "warning",
        }
        await write_accounts(folder / "server" / "data" / "xmppd.db", ["romeo"], OURS)
        server = ServerProcess(folder / "server", [OURS], settings, certificate=leaf.certificate, key=leaf.key)
        await asyncio.to_thread(server.start)
        try:
            yield server, port, client_context
        finally:
            await asyncio.to_thread(server.close)


async def send_from_all(n: int, port: int, context: ssl.SSLContext, at_once: int) -> None:
    """Have each domain open a stream and send a message; the streams stay."""
    turns = asyncio.Semaphore(at_once)

    async def send(number: int) -> None:
        async with turns:
            inbox = Inbox(0)
            _, domain = await asyncio.get_running_loop().create_connection(
                lambda: Domain(inbox, f"d{number}.sim.example"), "127.0.0.1", port, ssl=context, server_hostname=OURS
            )
            await domain.sent

    await asyncio.gather(*(send(number) for number in range(n)))


async def peak_of(server: ServerProcess, found: list[int]) -> None:
    """Look at the server's memory now and then, until cancelled."""
    while True:
        found.append(memory_bytes(server.pid))
        await asyncio.sleep(0.25)


async def measure(folder: Path, n: int) -> dict[str, Any]:
    """Run it all; return the figures."""
    theirs, ours = Inbox(n), Inbox(n)
    async with scene(folder, n, theirs) as (server, port, context):
        romeo = Client("romeo", PASSWORD, ours, OURS)
        await romeo.connect(server.c2s_port)
        await romeo.authenticate()
        await romeo.bind()
        romeo.send("<presence/>", count=False)
        before, sizes = memory_bytes(server.pid), [0]
        watch = asyncio.get_running_loop().create_task(peak_of(server, sizes))
        result: dict[str, Any] = {"domains": n, "before_mib": _mib(before)}
        for name, inbox in (("out", theirs), ("in", ours)):
            cpu, began = server.cpu_seconds(), time.perf_counter()
            if name == "out":
                for number in range(n):
                    to = f"juliet@d{number}.sim.example"
                    romeo.send(
                        f"<message to='{to}' id='{number}' type='chat'><body>hello</body></message>", count=False
                    )
            else:
                await send_from_all(n, port, context, 200)
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await inbox.is_full.wait()
            except TimeoutError:
                pass
            result |= {
                f"{name}_s": round(time.perf_counter() - began, 2),
                f"{name}_cpu_s": round(server.cpu_seconds() - cpu, 2),
                f"{name}_lost": n - len(inbox.times),
                f"{name}_doubled": sum(times - 1 for times in inbox.times.values()),
                f"{name}_mib": _mib(memory_bytes(server.pid)),
            }
        watch.cancel()
        return result | {"peak_mib": _mib(max(sizes))}


def _mib(bytes_: int) -> float:
    return round(bytes_ / 2**20, 1)


def main(arguments: list[str] | None = None) -> int:
    """Run the program; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n", type=int, default=2_000, help="how many domains")
    options = parser.parse_args(arguments)
    raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="xmppd-domains-") as folder:
        result = asyncio.run(measure(Path(folder), options.n))
    print(json.dumps(result))
    return 0 if not any(result[name] for name in ("out_lost", "in_lost", "out_doubled", "in_doubled")) else 1


if __name__ == "__main__":
    sys.exit(main())
