"""What the wire carries: `python -m bench.wire [FILE…] [--cpu] [--markdown]`.

Bytes by kind of stanza for XML, XML under zlib (XEP-0138) and zstd streams, a WhatsApp-like encoding, and the binary form, stateless and
with tables; CPU for each way, and memory for each connection.

A FILE holds JSON lines {"category", "xml", "dir", "session"} and such of the category "_ctx" with the session's own JID; without one
our own generator is measured, with seeds that the dictionary was not trained on.
"""

import argparse
import collections
import itertools
import json
import re
import time
import timeit
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

from codec.archived import to_archive
from codec.binary_dictionary import Dictionary, load, shipped
from codec.binary_head import Session
from codec.binary_reader import BinaryReader
from codec.binary_tables import NAME_BYTES, Claim, SeenTables, SentTables, Tables
from codec.binary_writer import BinaryWriter
from codec.element import Element, parse_element
from codec.events import Event
from codec.jid import JID
from codec.limits import ReaderLimits
from codec.payloads.stanza_id import StanzaId
from codec.stanza import Message, Stanza
from codec.train.stanzas import Generator
from codec.xml_reader import USUAL_HEADERS, XmlReader
from xmppd.modules.xep_0359_ids import stanza_id_xml
from xmppd.opaque_ids import OpaqueIds

LIMITS = ReaderLimits(stanza_bytes=4_000_000, depth=64, attributes=1_000, children=100_000)
FORMS = ("xml", "zlib stream", "zstd stream", "whatsapp-like", "stateless", "tables", "tables kept")
OWN_SEEDS = range(9_000, 9_006)


@dataclass
class Line:
    """One stanza or element that crosses the wire."""

    category: str
    direction: str
    xml: str
    event: Stanza | Element


@dataclass
class Connection:
    """What crosses one connection; it resumes the one before when it begins so and the JID is the same."""

    own: JID
    lines: list[Line] = field(default_factory=list)

    @property
    def resumes(self) -> bool:
        return any("<resumed" in line.xml or "<resume " in line.xml for line in self.lines[:3])


def read(paths: list[Path]) -> list[Connection]:
    """Return the connections of files, or of our own generator."""
    found: list[Connection] = []
    for category, direction, xml in _rows(paths):
        if category == "_ctx":
            found.append(Connection(JID.parse(xml)))
            continue
        events = XmlReader(LIMITS).feed(USUAL_HEADERS["jabber:client"] + xml.encode())[1:]
        if len(events) == 1 and isinstance(events[0], Stanza | Element):
            plain = xml.replace(" xmlns='jabber:client'", "", 1) if isinstance(events[0], Stanza) else xml
            found[-1].lines.append(Line(category, direction, plain, events[0]))
    return found


def _rows(paths: list[Path]) -> Iterator[tuple[str, str, str]]:
    for path in paths:
        for text in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(text)
            yield row["category"], row.get("dir", "s2c"), row["xml"]
    if not paths:
        for seed in OWN_SEEDS:
            world = Generator(seed)
            yield "_ctx", "", world.me
            yield from world.lines()


class Encodings:
    """The state of each form on one direction of one connection."""

    def __init__(self, own: JID, dictionary: Dictionary, kept: SentTables | None) -> None:
        self.zlib = zlib.compressobj()
        parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=17)
        self.zstd = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
        self.writers = []
        for tables in (None, SentTables(), kept if kept is not None else SentTables()):
            writer = BinaryWriter(dictionary, Session(own.domainpart, own))
            writer.tables = tables
            self.writers.append(writer)

    def sizes(self, line: Line) -> list[int]:
        data = line.xml.encode()
        sizes = [len(data)]
        sizes.append(len(self.zlib.compress(data) + self.zlib.flush(zlib.Z_SYNC_FLUSH)))
        sizes.append(len(self.zstd.compress(data) + self.zstd.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)))
        sizes.append(whatsapp_like(line.event))
        return sizes + [len(written(writer, line.event)) for writer in self.writers]


def written(writer: BinaryWriter, event: Stanza | Element) -> bytes:
    """Return an event as it goes out."""
    return writer.stanza(event) if isinstance(event, Stanza) else writer.element(event)


WHATSAPP_WORDS = frozenset(
    [
        "message",
        "presence",
        "iq",
        "to",
        "from",
        "id",
        "type",
        "chat",
        "groupchat",
        "get",
        "set",
        "result",
        "error",
        "body",
        "query",
        "item",
        "jid",
        "name",
        "subscription",
        "both",
        "composing",
        "paused",
        "active",
        "received",
        "displayed",
        "xmlns",
        "urn:xmpp:ping",
        "ping",
        "urn:xmpp:receipts",
        "jabber:iq:roster",
        "available",
        "unavailable",
        "participant",
        "admin",
        "read",
        "status",
        "text",
        "count",
        "value",
        "media",
        "picture",
        "image",
        "jpeg",
        "notification",
        "offline",
        "stream:features",
    ]
)
"""A token list such as WhatsApp's: names of its own protocol, few of XMPP's."""


def whatsapp_like(event: Stanza | Element) -> int:
    """Return the bytes of a tree of lists: a byte for a known word, packed nibbles or hex, JID pairs, else length and text."""

    def text(value: str) -> int:
        if value in WHATSAPP_WORDS:
            return 1
        if re.fullmatch(r"[0-9.-]{1,254}|[0-9A-F]{1,254}", value):
            return 2 + (len(value) + 1) // 2
        size = len(value.encode())
        return size + (2 if size < 256 else 4)

    def value(data: str) -> int:
        local, at, domain = data.partition("@")
        return 1 + text(local) + text(domain) if at else text(data)

    def node(element: Element, default: str) -> int:
        size = 2 + text(element.name) + sum(text(key) + value(data) for key, data in element.attrs.items())
        if element.ns != default:
            size += 1 + text(element.ns)
        children = element.children
        if len(children) == 1 and isinstance(children[0], str):
            return size + text(children[0])
        return (
            size
            + (2 if children else 0)
            + sum(text(child) if isinstance(child, str) else node(child, element.ns) for child in children)
        )

    tree = parse_element(event.to_xml()) if isinstance(event, Stanza) else event
    return 3 + node(tree, "jabber:client" if isinstance(event, Stanza) else "")


def measure(connections: list[Connection], dictionary: Dictionary) -> tuple[dict[str, list[int]], dict[str, int]]:
    """Return for each category the bytes of each form, and how many there were."""
    totals: dict[str, list[int]] = collections.defaultdict(lambda: [0] * len(FORMS))
    counts: dict[str, int] = collections.Counter()
    kept: dict[str, SentTables | None] = {}
    before: JID | None = None
    for connection in connections:
        if before != connection.own or not connection.resumes:
            kept = {}
        before = connection.own
        ways = {way: Encodings(connection.own, dictionary, kept.get(way)) for way in ("c2s", "s2c", "s2s", "<", ">")}
        for line in connection.lines:
            for index, size in enumerate(ways[line.direction].sizes(line)):
                totals[line.category][index] += size
            totals[line.category][-1] += claim_bytes(line, kept)
            counts[line.category] += 1
        kept = {way: encodings.writers[2].tables for way, encodings in ways.items()}
    return totals, counts


def claim_bytes(line: Line, kept: dict[str, SentTables | None]) -> int:
    """Return what the frame before a line takes that says how much of the other direction's tables was read; 0 where there is none."""
    other = {"resume": "s2c", "resumed": "c2s"}.get(line.event.name if isinstance(line.event, Element) else "")
    tables = kept.get(other or "")
    if tables is None:
        return 0
    name = bytes(NAME_BYTES) if other == "s2c" else b""
    return 2 + len(Claim(tables.jids.count, tables.values.count, name).write())


def print_bytes(totals: dict[str, list[int]], counts: dict[str, int]) -> None:
    """Print a row for each category and one for all."""
    print("| category | count | XML mean |", " | ".join(f"{name} %" for name in FORMS[1:]), "|")
    print("|---|---|---|", "---|" * (len(FORMS) - 1), sep="")
    every = [sum(row[index] for row in totals.values()) for index in range(len(FORMS))]
    rows = sorted(totals.items(), key=lambda item: -item[1][0])
    for name, row in [*rows, ("**all**", every)]:
        count = counts.get(name) or sum(counts.values())
        shares = " | ".join(f"{100 * size / row[0]:.1f}" for size in row[1:])
        print(f"| {name} | {count} | {row[0] / count:.0f} | {shares} |")


CHAT = (
    b"<message to='juliet.capulet@example.org' id='0b0b4a6c-5b5e-4b6f-9f0a-3f6c1d2e4f5a' type='chat'><body>Wherefore art thou, Romeo?"
    b" I was waiting for you here.</body><origin-id xmlns='urn:xmpp:sid:0' id='0b0b4a6c-5b5e-4b6f-9f0a-3f6c1d2e4f5a'/><request"
    b" xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/><active xmlns='http://jabber.org/protocol/chatstates'/>"
    b"</message>"
)
ROMEO = JID.parse("romeo@example.org/orchard")
JULIET = JID.parse("juliet.capulet@example.org/balcony")


def one(events: list[Event]) -> Stanza:
    """Return the only event, which is a stanza."""
    (event,) = events
    assert isinstance(event, Stanza)
    return event


def chats(count: int) -> list[bytes]:
    """Return chat stanzas of which no two have the same id or text."""
    return [
        CHAT.replace(b"0b0b4a6c", b"%08x" % (n * 0x9E3779B1 & 0xFFFFFFFF)).replace(b"here", b"%d" % n)
        for n in range(count)
    ]


class Passing:
    """A chat stanza on each way through a server: many different ones in turn, so that nothing is read twice.

    Each way is read, stamped and written for another client; with a history the recipient's copy gets a <stanza-id/>, and what
    histories keep is made.
    """

    def __init__(self, dictionary: Dictionary) -> None:
        self.xml = XmlReader(ReaderLimits())
        self.xml.feed(USUAL_HEADERS["jabber:client"])
        session = Session("example.org", ROMEO)
        sender = BinaryWriter(dictionary, session)
        self.reader = BinaryReader(ReaderLimits(), session, {dictionary.id: dictionary})
        self.reader.feed(sender.header(from_=None, id_="", to="example.org"))
        texts = chats(500)
        frames = [sender.stanza(one(self.xml.feed(text))) for text in texts]
        self.frame_bytes = len(frames[0])
        self.texts, self.frames = itertools.cycle(texts), itertools.cycle(frames)
        ids = OpaqueIds(bytes(32))
        by = JULIET.bare
        self.stanza_ids = itertools.cycle([stanza_id_xml(by, ids.text_of(n << 20)) for n in range(1, 500)])
        self.out = BinaryWriter(dictionary, Session("example.org", JULIET))
        self.with_tables = BinaryWriter(dictionary, Session("example.org", JULIET))
        self.with_tables.tables = SentTables()

    def from_xml(self) -> Stanza:
        """Read the next as XML."""
        return one(self.xml.feed(next(self.texts))).replace(from_=ROMEO)

    def from_binary(self) -> Stanza:
        """Read the next as a frame."""
        return one(self.reader.feed(next(self.frames))).replace(from_=ROMEO)

    def archived(self, stanza: Stanza) -> Stanza:
        """Do what a history costs; return the recipient's copy."""
        assert isinstance(stanza, Message)
        to_archive(stanza)
        return stanza.adding_raw(next(self.stanza_ids), StanzaId.TAG)

    def ways(self) -> dict[str, Callable[[], object]]:
        """Return each way by its name."""
        out, from_xml, from_binary = self.out.stanza, self.from_xml, self.from_binary
        many = from_binary()
        out(many)
        many.to_xml()
        return {
            "XML to XML": lambda: from_xml().to_xml(),
            "binary to binary, stateless": lambda: out(from_binary()),
            "binary to binary, with tables": lambda: self.with_tables.stanza(from_binary()),
            "XML to XML, with a history": lambda: self.archived(from_xml()).to_xml(),
            "binary to binary, with a history": lambda: out(self.archived(from_binary())),
            "XML to binary": lambda: out(from_xml()),
            "binary to XML": lambda: from_binary().to_xml(),
            "each further recipient, XML": lambda: many.replace(to=JULIET).to_xml(),
            "each further recipient, binary": lambda: out(many.replace(to=JULIET)),
        }


def print_cpu(dictionary: Dictionary) -> None:
    """Print the CPU time of a chat stanza on each way; the ways take turns, and the least of nine rounds counts."""
    passing = Passing(dictionary)
    ways = passing.ways()
    best = dict.fromkeys(ways, 1.0)
    for _ in range(9):
        for name, way in ways.items():
            best[name] = min(best[name], timeit.timeit(way, number=2_000, timer=time.process_time) / 2_000)
    print(f"\n| a chat stanza ({len(CHAT)} bytes of XML, a frame of {passing.frame_bytes}) | µs of CPU |\n|---|---|")
    for name, seconds in best.items():
        print(f"| {name} | {seconds * 1e6:.1f} |")


def print_memory(dictionary: Dictionary, connections: list[Connection]) -> None:
    """Print what a connection takes: both directions of the binary form, with and without tables that are full of real values."""
    print("\n| memory of a connection | KiB |\n|---|---|")
    cases = (
        ("reader, writer, session", False, False),
        ("with tables", True, False),
        ("with tables, asleep", True, True),
    )
    for name, has_tables, is_asleep in cases:
        tracemalloc.start()
        before = tracemalloc.get_traced_memory()[0]
        pairs = []
        for connection in connections[:8]:
            session = Session(connection.own.domainpart, connection.own)
            reader = BinaryReader(ReaderLimits(), session, {dictionary.id: dictionary})
            writer = BinaryWriter(dictionary, session)
            if has_tables:
                tables = Tables("s1")
                writer.tables, reader.tables = tables.sent, tables.seen
                _fill(writer.tables, reader.tables, connection)
                if is_asleep:
                    tables.sleep()
            pairs.append((reader, writer))
        taken = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        print(f"| {name} | {taken / len(pairs) / 1024:.1f} |")


def _fill(sent: SentTables, seen: SeenTables, connection: Connection) -> None:
    """Put in what such a connection has: every address and hash a string of its own, as from a socket."""
    for line in connection.lines:
        stanza = line.event
        if not isinstance(stanza, Stanza):
            continue
        jid = stanza.from_ if line.direction == "s2c" else stanza.to
        if jid is None:
            continue
        text = str(jid)[:1] + str(jid)[1:]
        if line.direction == "s2c" and sent.jids.find(text) is None:
            sent.jids.insert(text)
            sent.values.insert(text.encode()[:20].ljust(20))
        elif line.direction == "c2s":
            seen.jids.put(seen.jids.count % 64, text)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.wire", description=__doc__)
    parser.add_argument("file", nargs="*", type=Path)
    parser.add_argument("--cpu", action="store_true", help="measure CPU and memory as well")
    parser.add_argument("--dictionary", default=shipped()[-1], help="name of a shipped dictionary")
    options = parser.parse_args()
    dictionary = load(options.dictionary)
    connections = read(options.file)
    print_bytes(*measure(connections, dictionary))
    if options.cpu:
        print_cpu(dictionary)
        print_memory(dictionary, connections)


if __name__ == "__main__":
    main()
