"""What stanzas cost on the wire: each is written in the binary form and read back, with and without tables.

The input is lines of JSON: `category`, `xml` (one stanza or other child of a stream), `dir` and `session`; a line of the category "_ctx"
has the session's own JID in `xml` and begins that session. A line that begins with "<" is a stanza by itself, of no session.

A session in which <resume/> goes out and <resumed/> comes in goes on with the tables of the last one before it that had the same own
JID, as client and server would; the frames that say so count.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from codec import binary_frames as frames
from codec.binary_dictionary import Dictionary
from codec.binary_explain import Explained, explain
from codec.binary_head import Session
from codec.binary_reader import SM_NS, BinaryReader
from codec.binary_tables import NAME_BYTES, Claim, SeenTables, SentTables
from codec.binary_writer import BinaryWriter
from codec.element import Element, parse_element
from codec.events import BadStanza, Event
from codec.jid import JID, InvalidJID
from codec.limits import ReaderLimits
from codec.stanza import Stanza
from codec.xml_reader import USUAL_HEADERS, XmlReader

CONTEXT = "_ctx"
RESUME, RESUMED = f"{SM_NS} resume", f"{SM_NS} resumed"
LIMITS = ReaderLimits(stanza_bytes=16_777_216, depth=128, attributes=10_000, children=1_000_000)
_HEADER = USUAL_HEADERS["jabber:client"]
_own_namespace = re.compile(
    r"""(<(?:message|presence|iq)(?:\s+[^\s=>]+\s*=\s*(?:'[^']*'|"[^"]*"))*?)\s+xmlns\s*=\s*(?:'jabber:client'|"jabber:client")"""
).match


class ReportError(ValueError):
    """The input is not in the form that is read; the text says which line, and why."""


@dataclass(frozen=True, slots=True)
class Line:
    """One stanza or element that crosses the wire.

    Attributes:
        number: of the line in the input, from 1.
        connection: which connection and direction: lines with the same value share their tables.
        own: the client's own JID, None when it is not known.
        xml: as it stands in a stream: its start tag does not repeat the stream's namespace.
        event: what an XML reader makes of it.
    """

    number: int
    category: str
    connection: tuple[int, str]
    own: JID | None
    xml: bytes
    event: Stanza | Element | BadStanza


@dataclass(slots=True)
class Totals:
    """Of one category. `unequal`: how many did not come back as the XML they were, in one of the two ways."""

    stanzas: int = 0
    xml_bytes: int = 0
    stateless_bytes: int = 0
    tables_bytes: int = 0
    unequal: int = 0


class Crossing:
    """One direction of one connection in the binary form: both of its ends."""

    def __init__(self, dictionary: Dictionary, own: JID | None, has_tables: bool) -> None:
        domain = "" if own is None else own.domainpart
        self.session = Session(domain, own)
        self.writer = BinaryWriter(dictionary, self.session)
        self.reader = BinaryReader(LIMITS, Session(domain, own), {dictionary.id: dictionary})
        self.reader.feed(self.writer.header(from_=None, id_="", to=domain))
        if has_tables:
            self.writer.tables, self.reader.tables = SentTables(), SeenTables()

    def write(self, line: Line) -> bytes:
        """Return the frame. A stanza with addresses that are none goes as XML."""
        event = line.event
        if isinstance(event, BadStanza):
            return frames.frame(frames.XML, line.xml)
        return self.writer.stanza(event) if isinstance(event, Stanza) else self.writer.element(event)

    def read(self, frame: bytes) -> list[Event]:
        """Return what the other end makes of a frame."""
        return self.reader.feed(frame)


class Connections:
    """All that cross in one of the ways, by the connection and direction of their lines.

    Attributes:
        has_tables: whether they have tables, and keep them for a session that is resumed.
    """

    def __init__(self, dictionary: Dictionary, has_tables: bool) -> None:
        self._dictionary = dictionary
        self._crossings: dict[tuple[int, str], Crossing] = {}
        self._last: dict[JID, int] = {}
        self._before: dict[int, int] = {}
        self._asked: set[int] = set()
        self.has_tables = has_tables

    def crossing(self, line: Line) -> Crossing:
        """Return where a line crosses."""
        crossing = self._crossings.get(line.connection)
        if crossing is None:
            crossing = self._crossings[line.connection] = Crossing(self._dictionary, line.own, self.has_tables)
            number = line.connection[0]
            last = None if line.own is None else self._last.get(line.own)
            if line.own is not None and last != number:
                self._last[line.own] = number
                if last is not None:
                    self._before[number] = last
        return crossing

    def claim(self, line: Line) -> bytes:
        """Return what goes before a line's frame: TABLES where a session is resumed, nothing elsewhere."""
        crossing = self.crossing(line)
        number, direction = line.connection
        before = self._before.get(number)
        if not self.has_tables or before is None or not isinstance(line.event, Element):
            return b""
        if direction == "c2s" and _has(line.event, RESUME):
            self._asked.add(number)
            return crossing.writer.claim(Claim(*self._seen(before, "s2c"), bytes(NAME_BYTES)))
        if direction == "s2c" and number in self._asked and _has(line.event, RESUMED):
            claim = crossing.writer.claim(Claim(*self._seen(before, "c2s")))
            self._go_on(before, number, line)
            return claim
        return b""

    def _seen(self, number: int, direction: str) -> tuple[int, int]:
        crossing = self._crossings.get((number, direction))
        return (0, 0) if crossing is None or crossing.reader.tables is None else crossing.reader.tables.counts

    def _go_on(self, before: int, number: int, line: Line) -> None:
        for direction in ("c2s", "s2c"):
            kept = self._crossings.get((before, direction))
            if kept is not None:
                crossing = self._crossings.get((number, direction)) or Crossing(self._dictionary, line.own, True)
                self._crossings[number, direction] = crossing
                crossing.writer.tables, crossing.reader.tables = kept.writer.tables, kept.reader.tables


def _has(element: Element, tag: str) -> bool:
    """Whether an element is the one of that tag, or a login that carries it."""
    return element.tag == tag or element.find(tag) is not None


def read_lines(texts: Iterable[str]) -> Iterator[Line]:
    """Yield what the lines of an input say.

    Raises:
        ReportError: a line that is neither JSON in the form above nor one stanza.
    """
    own: dict[str, JID] = {}
    connections: dict[str, int] = {}
    for number, text in enumerate(texts, 1):
        if not text.strip():
            continue
        category, direction, session, xml = _row(number, text.strip())
        if category == CONTEXT:
            try:
                own[session] = JID.parse(xml)
            except InvalidJID as error:
                raise ReportError(f"line {number}: {error}") from None
            connections[session] = number
            continue
        event = _event(number, xml)
        found = _own_namespace(xml)
        plain = xml if found is None else found[1] + xml[found.end() :]
        connection = connections.setdefault(session, number), direction
        yield Line(number, category or event_name(event), connection, own.get(session), plain.encode(), event)


def measure(lines: Iterable[Line], dictionary: Dictionary) -> dict[str, dict[str, int]]:
    """Return the totals of all lines as "all", and those of each category by its name."""
    totals = {"all": Totals()}
    ways = Connections(dictionary, has_tables=False), Connections(dictionary, has_tables=True)
    for line in lines:
        before = _tree(line.xml)
        sizes = []
        is_equal = True
        for connections in ways:
            data = connections.claim(line) + connections.crossing(line).write(line)
            is_equal = came_back(before, connections.crossing(line).read(data)) and is_equal
            sizes.append(len(data))
        for total in (totals["all"], totals.setdefault(line.category, Totals())):
            total.stanzas += 1
            total.xml_bytes += len(line.xml)
            total.stateless_bytes += sizes[0]
            total.tables_bytes += sizes[1]
            total.unequal += not is_equal
    return {name: asdict(total) for name, total in totals.items()}


def explained(lines: Iterable[Line], dictionary: Dictionary, has_tables: bool) -> Iterator[tuple[Line, Explained]]:
    """Yield each line with its frame, told byte by byte; twice where a frame goes before that."""
    connections = Connections(dictionary, has_tables)
    for line in lines:
        claim = connections.claim(line)
        crossing = connections.crossing(line)
        if claim:
            yield line, explain(claim, dictionary, crossing.session)
        frame = crossing.write(line)
        yield line, explain(frame, dictionary, crossing.session, crossing.reader.tables)
        crossing.read(claim + frame)


def came_back(before: Element, events: list[Event]) -> bool:
    """Return whether a reader gave one event, with the same names, attributes, texts and order as the XML that was sent."""
    if len(events) != 1 or not isinstance(events[0], Stanza | Element):
        return False
    return _tree(events[0].to_xml()) == before


def event_name(event: Stanza | Element | BadStanza) -> str:
    """Return the name of the element."""
    if isinstance(event, BadStanza):
        event = event.stanza
    return event.kind if isinstance(event, Stanza) else event.name


def _row(number: int, text: str) -> tuple[str, str, str, str]:
    """Return category, direction, session and XML of a line."""
    if text.startswith("<"):
        return "", "s2c", "", text
    try:
        row = json.loads(text)
    except ValueError:
        raise ReportError(f"line {number}: neither JSON nor a stanza") from None
    if not isinstance(row, dict) or not isinstance(xml := row.get("xml"), str):
        raise ReportError(f'line {number}: no "xml" in it')
    return str(row.get("category", "")), str(row.get("dir", "s2c")), str(row.get("session", "")), xml


def _event(number: int, xml: str) -> Stanza | Element | BadStanza:
    events = XmlReader(LIMITS).feed(_HEADER + xml.encode())[1:]
    if len(events) != 1 or not isinstance(event := events[0], Stanza | Element | BadStanza):
        raise ReportError(f"line {number}: not one whole stanza or other child of a stream")
    return event


def _tree(xml: bytes) -> Element:
    (element,) = parse_element(_HEADER + xml + b"</stream:stream>", max_depth=LIMITS.depth + 2).elements()
    return element
