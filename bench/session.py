"""A whole session counted on the wire: `python -m bench.session [--explain]`.

A phone comes back: it connects, logs in by a token (XEP-0388, XEP-0484), resumes (XEP-0198) or binds anew (XEP-0386), gets one message and
acknowledges it, all against a server of ours in a process of its own. Counted are the bytes that the client writes and reads, without TLS,
and how often it waits for the server before the first stanza has come. The client sends at once whatever it knows before it hears.

    xml             direct TLS, everything in XML
    binary          direct TLS, the form agreed on by ALPN; the bytes are those inside TLS
    binary, first   the same from a client that has not had this server's features before
    binary in band  a plain connection that begins in XML and changes by <upgrade/>
"""

import argparse
import asyncio
import hashlib
import hmac
import ssl
import sys
import tempfile
import uuid
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.accounts import PASSWORD, write_accounts
from codec.binary_dictionary import Dictionary, load_all
from codec.binary_explain import explain
from codec.binary_features import SeenFeatures
from codec.binary_frames import end_of
from codec.binary_head import Session
from codec.binary_reader import BINARY_NS, BinaryReader
from codec.binary_tables import SeenTables, SentTables
from codec.binary_writer import BinaryWriter
from codec.element import Element, parse_element
from codec.events import Event, StreamOpened
from codec.jid import JID
from codec.limits import ReaderLimits
from codec.stanza import IQ, Message, Presence, Stanza
from codec.xml_reader import XmlReader
from tests.support.ca import make_test_ca
from tests.support.server import ServerProcess

DOMAIN = "localhost"
AGENT = "d4565fa7-4d72-4749-b3d3-740edbf87770"
SASL2, BIND2, FAST, SM = "urn:xmpp:sasl:2", "urn:xmpp:bind:0", "urn:xmpp:fast:0", "urn:xmpp:sm:3"
XML_HEADER = (
    f"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
    f" to='{DOMAIN}' version='1.0'>"
)
MESSAGE = (
    "<message xmlns='jabber:client' type='chat' id='{id}' to='{to}'>"
    "<body>Are you still coming to dinner at eight?</body><active xmlns='http://jabber.org/protocol/chatstates'/>"
    "<request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/>"
    "<origin-id xmlns='urn:xmpp:sid:0' id='{id}'/></message>"
)
LIMITS = ReaderLimits()
WAIT_S = 20.0
FORMS = ("xml", "binary", "binary, first", "binary in band")
WAYS = ("resume", "bind")


@dataclass(slots=True)
class Kept:
    """What a client keeps between two connections."""

    token: str = ""
    previd: str = ""
    jid: str = ""
    h: int = 0


@dataclass(slots=True)
class Count:
    """What one session cost."""

    form: str
    way: str
    sent: int = 0
    received: int = 0
    round_trips: int = 0
    up: list[bytes] = field(default_factory=list)
    down: list[bytes] = field(default_factory=list)
    jid: JID | None = None

    @property
    def all_bytes(self) -> int:
        """Both ways together."""
        return self.sent + self.received


class Connection:
    """One connection of one client, counted, in XML or in binary.

    Attributes:
        count: so far.
        session: of the binary form, None in XML.
    """

    def __init__(self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], form: str, way: str) -> None:
        self._in, self._out = streams
        self.count = Count(form, way)
        self.session: Session | None = None
        self._reader: Any = XmlReader(LIMITS)
        self._writer: Any = None
        self._events: list[Event] = []
        self._waited = False

    def speak_binary(
        self, dictionaries: Mapping[bytes, Dictionary], seen: SeenFeatures, takes_tables: bool = True
    ) -> None:
        """Speak it from the next byte on, both ways, with tables if the server takes them; `seen`: what features it had before."""
        self.session = Session(DOMAIN)
        self._reader = BinaryReader(LIMITS, self.session, dictionaries)
        self._reader.told = seen.tell(DOMAIN)
        self._writer = BinaryWriter(next(iter(dictionaries.values())), self.session, takes_tables=takes_tables)

    def header(self) -> bytes:
        """Return what begins a stream."""
        if self._writer is None:
            return XML_HEADER.encode()
        return bytes(self._writer.header(from_=None, id_="", to=DOMAIN, features=self._reader.told.hashes))

    def item(self, element: Element | Stanza) -> bytes:
        """Return an element or stanza as it goes out."""
        if isinstance(element, Stanza):
            return element.to_xml() if self._writer is None else bytes(self._writer.stanza(element))
        return element.to_xml() if self._writer is None else bytes(self._writer.element(element))

    def send(self, data: bytes) -> None:
        """Write and count."""
        self.count.sent += len(data)
        self.count.up.append(data)
        self._waited = False
        self._out.write(data)

    async def next(self) -> Event:
        """Wait for the next event; the first wait after something was sent is a round trip."""
        while not self._events:
            if not self._waited:
                self._waited = True
                self.count.round_trips += 1
            data = await asyncio.wait_for(self._in.read(65_536), WAIT_S)
            if not data:
                raise EOFError("the server has closed the connection")
            self.count.received += len(data)
            self.count.down.append(data)
            if self._writer is None:
                self._events = self._reader.feed(data)
                continue
            for at in range(len(data)):  # what one frame says may change how the next one is read
                events = self._reader.feed(data[at : at + 1])
                self._learn(events)
                self._events += events
        return self._events.pop(0)

    def _learn(self, events: list[Event]) -> None:
        """Take from a binary stream's events what its form depends on."""
        assert self.session is not None
        for event in events:
            if isinstance(event, StreamOpened) and self._reader.peer_takes_tables and self._writer.takes_tables:
                self._reader.tables, self._writer.tables = SeenTables(), SentTables()
            elif isinstance(event, Element) and event.name == "success":
                identifier = event.find(f"{SASL2} authorization-identifier")
                assert identifier is not None
                self.count.jid = JID.parse(identifier.text)
                self.session.bind(self.count.jid)

    async def until(self, name: str) -> Element:
        """Wait for a child of the stream with that name."""
        while True:
            event = await self.next()
            if isinstance(event, Element):
                if event.name == "failure" or event.tag.endswith("streams error"):
                    raise ValueError(str(event.to_xml()))
                if event.name == name:
                    return event

    async def until_message(self) -> Message:
        """Wait for a message."""
        while not isinstance(event := await self.next(), Message):
            pass
        return event

    async def until_iq(self) -> IQ:
        """Wait for an iq."""
        while not isinstance(event := await self.next(), IQ):
            pass
        return event

    async def until_presence(self) -> None:
        """Wait for a presence, as one's own comes back when one becomes available."""
        while not isinstance(await self.next(), Presence):
            pass

    def binding(self) -> bytes:
        """Return the data of tls-server-end-point, b"" on a plain connection."""
        ssl_object = self._out.get_extra_info("ssl_object")
        if ssl_object is None:
            return b""
        return hashlib.sha256(ssl_object.getpeercert(binary_form=True)).digest()

    def cut(self) -> None:
        """Drop the connection, as a tunnel does."""
        self._out.transport.abort()


def element(xml: str) -> Element:
    """Return an element from XML of our own."""
    return parse_element(xml.encode(), max_depth=20)


def bind_request() -> str:
    """Return what a client asks for when it binds anew."""
    enable = f"<enable xmlns='{SM}' resume='true'/>"
    return f"<bind xmlns='{BIND2}'><tag>phone</tag><enable xmlns='urn:xmpp:carbons:2'/>{enable}</bind>"


def authenticate(mechanism: str, initial: bytes, inner: str) -> Element:
    """Return a login by SASL2."""
    return element(
        f"<authenticate xmlns='{SASL2}' mechanism='{mechanism}'><initial-response>{b64encode(initial).decode()}"
        f"</initial-response><user-agent id='{AGENT}'/>{inner}</authenticate>"
    )


def by_token(user: str, kept: Kept, binding: bytes, inner: str) -> Element:
    """Return a login by FAST."""
    hashed = hmac.digest(kept.token.encode(), b"Initiator" + binding, "sha256")
    initial = user.encode() + b"\0" + hashed
    return authenticate(mechanism(binding), initial, f"<fast xmlns='{FAST}'/>{inner}")


def mechanism(binding: bytes) -> str:
    """Return the one of FAST for a channel."""
    return "HT-SHA-256-ENDP" if binding else "HT-SHA-256-NONE"


class Scene:
    """A server, an account that comes and goes, and one that writes to it."""

    def __init__(self, server: ServerProcess, ca: Path) -> None:
        self.server = server
        self.dictionaries = load_all()
        self.seen = SeenFeatures()
        self._ca = ca

    @asynccontextmanager
    async def connect(self, form: str, way: str) -> Any:
        """Connect as the form wants it."""
        alpn = ["xmppd-bin/0"] if form.startswith("binary") else ["xmpp-client"]
        connection = Connection(await self._open(form == "binary in band", alpn), form, way)
        if form in ("binary", "binary, first"):
            connection.speak_binary(self.dictionaries, self.seen)
        try:
            yield connection
        finally:
            connection.cut()

    async def _open(self, is_plain: bool, alpn: list[str]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if is_plain:
            return await asyncio.open_connection("127.0.0.1", self.server.c2s_port)
        context = ssl.create_default_context(cafile=str(self._ca))
        context.set_alpn_protocols(alpn)
        return await asyncio.open_connection(
            "127.0.0.1", self.server.direct_tls_port, ssl=context, server_hostname=DOMAIN
        )

    async def first_login(self, user: str, is_bound: bool, requests: Sequence[str] = ()) -> Kept:
        """Log in by password over TLS, take a token, become available, ask (iqs that are answered with a result), and be cut off."""
        async with self.connect("xml", "") as wire:
            binding = wire.binding() if is_bound else b""
            token = f"<request-token xmlns='{FAST}' mechanism='{mechanism(binding)}'/>"
            request = authenticate("PLAIN", f"\0{user}\0{PASSWORD}".encode(), bind_request() + token)
            wire.send(wire.header() + wire.item(request) + b"<presence/>")
            success = await wire.until("success")
            kept = Kept()
            given, bound = success.find(f"{FAST} token"), success.find(f"{BIND2} bound")
            identifier = success.find(f"{SASL2} authorization-identifier")
            assert given is not None and bound is not None and identifier is not None
            enabled = bound.find(f"{SM} enabled")
            assert enabled is not None
            kept.token, kept.previd, kept.jid = given.get("token") or "", enabled.get("id") or "", identifier.text
            await wire.until_presence()
            kept.h = 1  # its own presence
            for request in requests:
                wire.send(request.encode())
                answer = await wire.until_iq()
                assert answer.type == "result", answer.to_xml()
                kept.h += 1
            return kept

    async def write_to(self, jid: str) -> None:
        """Have another account write to the one that is away, and wait until the server has it."""
        async with self.connect("xml", "") as wire:
            wire.send(wire.header() + wire.item(authenticate("PLAIN", f"\0u1\0{PASSWORD}".encode(), bind_request())))
            await wire.until("success")
            wire.send(MESSAGE.format(to=jid, id=uuid.uuid4()).encode() + f"<r xmlns='{SM}'/>".encode())
            await wire.until("a")

    async def come_back(self, form: str, way: str) -> Count:
        """Count one session."""
        kept = await self.first_login("u0", form != "binary in band")
        if way == "resume":
            await self.write_to(kept.jid)
        async with self.connect(form, way) as wire:
            count: Count = wire.count
            if form == "binary in band":
                wire.send(
                    wire.header()
                    + Element(f"{BINARY_NS} upgrade", {"dict": next(iter(self.dictionaries)).hex()}).to_xml()
                )
                await wire.until("proceed")
                wire.speak_binary(self.dictionaries, self.seen)
            inner = bind_request()
            if way == "resume":
                inner = f"<resume xmlns='{SM}' previd='{kept.previd}' h='{kept.h}'/>"
            first = b"" if way == "resume" else wire.item(Presence(None, None, None, ""))
            wire.send(wire.header() + wire.item(by_token("u0", kept, wire.binding(), inner)) + first)
            await self._receive(wire, kept)
            return count

    async def _receive(self, wire: Connection, kept: Kept) -> None:
        await wire.until("success")
        if wire.count.way == "bind":
            await self.write_to(kept.jid)
        await wire.until_message()
        trips = wire.count.round_trips
        await wire.until("r")
        kept.h += 1 if wire.count.way == "resume" else 2
        wire.send(wire.item(Element(f"{SM} a", {"h": str(kept.h)})))
        wire.count.round_trips = trips


def frames_of(data: bytes) -> Iterator[bytes]:
    """Cut whole frames."""
    while data:
        end = end_of(data)
        yield data[:end]
        data = data[end:] if end is not None else b""


def told(count: Count, dictionary: Dictionary) -> Iterator[str]:
    """Yield what the bytes of a session are for."""
    session = Session(DOMAIN, count.jid)
    for name, pieces in (("up", count.up), ("down", count.down)):
        data = b"".join(pieces)
        yield f"{count.form}, {count.way}, {name}: {len(data)} bytes"
        if count.form not in ("binary", "binary, first"):
            yield data.decode(errors="backslashreplace")
            continue
        tables = SeenTables()
        for frame in frames_of(data):
            shown = explain(frame, dictionary, session, tables)
            yield f"  {shown.size_bytes:5} {shown.kind}"
            for part in shown.fields:
                yield f"    {part.size_bytes:5} {part.name:14} {part.value[:300]}"


async def measure(folder: Path) -> tuple[list[Count], Dictionary]:
    """Run every session once against a server of its own."""
    authority = make_test_ca(folder)
    leaf = authority.sign([DOMAIN], file_name="server")
    await write_accounts(folder / "server" / "data" / "xmppd.db", ("u0", "u1"))
    server = ServerProcess(
        folder / "server", settings={"c2s.require_tls": False}, certificate=leaf.certificate, key=leaf.key
    )
    await asyncio.to_thread(server.start)
    counts: list[Count] = []
    try:
        scene = Scene(server, authority.path)
        for way in WAYS:
            for form in FORMS:
                scene.seen = SeenFeatures()
                if form != "binary, first":
                    await scene.come_back(form, "bind")  # it is not there for the first time
                counts.append(await scene.come_back(form, way))
    finally:
        await asyncio.to_thread(server.close)
    return counts, next(iter(scene.dictionaries.values()))


def main(arguments: list[str] | None = None) -> int:
    """Measure and print a table of Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--explain", action="store_true", help="show what the bytes are for, too")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-session-") as folder:
        counts, dictionary = asyncio.run(measure(Path(folder)))
    plain = {count.way: count.all_bytes for count in counts if count.form == "xml"}
    print("| session | up | down | both | of XML | round trips before the first stanza |\n|---|---|---|---|---|---|")
    for count in counts:
        share = f"{100 * count.all_bytes / plain[count.way]:.1f} %"
        row = (f"{count.way}, {count.form}", count.sent, count.received, count.all_bytes, share, count.round_trips)
        print("| " + " | ".join(str(cell) for cell in row) + " |")
    for count in counts if options.explain else ():
        print(*told(count, dictionary), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
