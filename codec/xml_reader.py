"""Bytes of an XML stream to events, in one pass of Expat (RFC 6120 §4, §11).

Expat checks that the input is well-formed and tells where each direct child of the stream begins and ends; the payload of a
stanza is cut out of the input as bytes, and nobody builds a tree of it here.

What else is worth knowing:

* A reader has a parser only while something is half-read, borrowed from a pool (`codec/xml_parser.py`); after an unusual header it
  keeps one of its own, which `sleep()` drops.
* Expat before 2.6, and later ones with their reparse deferral off, read an unfinished tag from its start at every call. So a
  tag that comes in small pieces is held back until its ">" is there, and the bytes read again are counted.
* Expat guesses UTF-16 from the first bytes, whatever it is told: a header that holds a NUL is no UTF-8.
* A header with unusual prefixes puts the stream on a slower path that writes each payload anew with its own declarations.
"""

import re
from xml.parsers import expat

from codec.element import Element, escape_text, escape_value, parse_element
from codec.events import BadStanza, Event, StreamBroken, StreamClosed, StreamOpened
from codec.jid import JID, InvalidJID
from codec.limits import HEADER_BYTES, ReaderLimits
from codec.stanza import IQ, XML_LANG, Message, Presence, Stanza
from codec.xml_parser import Parser, ParserPool, Refused
from codec.xml_writer import DIALBACK_NS, STREAMS_NS

CLIENT_NS, SERVER_NS, COMPONENT_NS = "jabber:client", "jabber:server", "jabber:component:accept"
_KINDS: dict[str, type[Stanza]] = {"message": Message, "presence": Presence, "iq": IQ}
_START_TAG = re.compile(rb"<[^>\"']*(?:(?:\"[^\"]*\"|'[^']*')[^>\"']*)*>")
_ATTRIBUTE = re.compile(rb"([^\s=<>/\"']+)\s*=\s*(\"[^\"]*\"|'[^']*')")
_ROOT_NAME = re.compile(rb"<([^\s/>]+)")
_ENVELOPE = frozenset((b"to", b"from", b"id", b"type", b"xml:lang", b"xmlns"))
_ENVELOPE_KEYS = frozenset(("to", "from", "id", "type", XML_LANG))
_SPACE = b" \t\r\n"
USUAL_PREFIXES: dict[str, dict[str, str]] = {CLIENT_NS: {}, SERVER_NS: {"db": DIALBACK_NS}, COMPONENT_NS: {}}
"""The prefixes that a usual header declares beside `stream`, by content namespace (XEP-0220 §2.1 for servers)."""

_USUAL_SCOPES = {CLIENT_NS: b"", SERVER_NS: f" xmlns:db='{DIALBACK_NS}'".encode(), COMPONENT_NS: b""}
USUAL_HEADERS = {
    ns: f"<stream:stream xmlns='{ns}' xmlns:stream='{STREAMS_NS}'".encode() + _USUAL_SCOPES[ns] + b">"
    for ns in (CLIENT_NS, SERVER_NS, COMPONENT_NS)
}
"""What primes a parser for a stream whose header has no other prefixes."""

_NONE: list[Event] = []
_HOLD_BACK_FROM_BYTES = 1_024
_needs_parsing = re.compile(rb"[<&\r]").search
_NOT_WELL_FORMED_YET_RESTRICTED = frozenset(
    (
        expat.errors.codes[expat.errors.XML_ERROR_UNDEFINED_ENTITY],
        expat.errors.codes[expat.errors.XML_ERROR_ENTITY_DECLARED_IN_PE],
    )
)
_BAD_ENCODING = frozenset(
    (
        expat.errors.codes[expat.errors.XML_ERROR_UNKNOWN_ENCODING],
        expat.errors.codes[expat.errors.XML_ERROR_INCORRECT_ENCODING],
    )
)


class _Closed(Exception):
    """Stops Expat behind the stream's end tag."""


class XmlReader:
    """Reads one direction of one stream.

    Args:
        limits: what the peer may use; `limits` may be set again at any time (more after login).
        content_ns: "jabber:client", "jabber:server" or "jabber:component:accept".
        pool: of parsers for that content namespace, shared with other readers; None makes one of its own.
    """

    __slots__ = (
        "_base",
        "_broken",
        "_buffer",
        "_content_ns",
        "_events",
        "_fed",
        "_held",
        "_next_child_at",
        "_parser",
        "_pool",
        "_prime",
        "_rescanned",
        "_scope",
        "_token_at",
        "limits",
    )

    def __init__(self, limits: ReaderLimits, content_ns: str = "jabber:client", pool: ParserPool | None = None) -> None:
        self.limits = limits
        self._pool = pool or ParserPool(USUAL_HEADERS[content_ns])
        self._content_ns = content_ns
        self._prime: bytes | None = None
        self._scope: bytes | None = b""
        self._broken = False
        self._forget()

    def _forget(self) -> None:
        """Let go of the parser and of all positions, which count from that parser's birth."""
        self._parser: Parser | None = None
        self._buffer: bytes | bytearray = b""
        self._base = 0
        self._fed = 0
        self._held = 0
        self._token_at = 0
        self._rescanned = 0
        self._next_child_at = 0
        self._events: list[Event] = _NONE

    def _drop_parser(self) -> None:
        """Let go of the parser, and free it."""
        parser = self._parser
        self._forget()
        if parser is not None:
            parser.close()

    def restart(self) -> None:
        """Expect a new stream header (RFC 6120 §4.3.3: after TLS and SASL). Bytes not yet read as events are dropped."""
        self._prime = None
        self._drop_parser()

    def close(self) -> None:
        """Read no more; what is half-read is dropped."""
        self._broken = True
        self._drop_parser()

    def sleep(self) -> bool:
        """Drop a parser of our own if nothing is half-read; return whether we hold none now."""
        if self._parser is not None and self._prime is not None and not self._buffer:
            self._drop_parser()
        return self._parser is None

    @property
    def pending_bytes(self) -> int:
        """How many bytes of an unfinished stanza are kept."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes of the stream and return the events they complete.

        Args:
            data: zero or more bytes, cut anywhere, even inside a UTF-8 character.

        Returns:
            Events in wire order. A stanza is reported by the very call that brings its last byte. `StreamBroken`, always last,
            carries not-well-formed, restricted-xml, invalid-namespace, unsupported-encoding or policy-violation.

        Spec: RFC 6120 §4.9.3, §11.1, §13.12.
        """
        if self._broken or not data:
            return []
        parser = self._parser
        if parser is None:
            if self._prime is None:
                return self._first(data)
            if data[0] <= 0x20 and not data.strip(_SPACE):
                return []  # a whitespace keepalive needs no parser
            parser = self._borrow()
        return self._feed(parser, data)

    def _first(self, data: bytes) -> list[Event]:
        """Read the first bytes of a stream: usually a whole header, letter by letter what another client has sent before."""
        known = self._pool.headers.get(data)
        if known is not None:
            self._prime, self._scope = USUAL_HEADERS[self._content_ns], _USUAL_SCOPES[self._content_ns]
            return [known]
        events = self._feed(self._borrow(), data)
        if self._parser is None and len(events) == 1 and isinstance(events[0], StreamOpened):
            self._pool.remember(data, events[0])
        return events

    def _feed(self, parser: Parser, data: bytes) -> list[Event]:
        if self._buffer:
            if not isinstance(self._buffer, bytearray):
                self._buffer = bytearray(self._buffer)
            self._buffer += data
        else:
            self._buffer = data
        self._fed += len(data)
        pending = self._fed - self._held - self._token_at
        if pending > _HOLD_BACK_FROM_BYTES and b">" not in data and self._token_at < self._fed - len(data):
            self._held += len(data)
            if len(self._buffer) > self._limit_bytes():
                return self._break("policy-violation", "This stanza is larger than the server allows.")
            return []
        return self._parse(parser, data)

    def _limit_bytes(self) -> int:
        return HEADER_BYTES if self._prime is None else self.limits.stanza_bytes

    def _parse(self, parser: Parser, data: bytes) -> list[Event]:
        if self._held:
            data = bytes(memoryview(self._buffer)[-self._held - len(data) :])
            self._held = 0
        self._events = []
        try:
            parser.expat.Parse(data, False)
        except _Closed:
            events = self._events
            self.close()
            return events
        except Refused as refused:
            return self._break(refused.condition, refused.text)
        except expat.ExpatError as error:
            return self._break(_condition_of(error.code))
        except ValueError:
            return self._break("not-well-formed")  # a name or namespace that cannot be written again
        events, self._events = self._events, _NONE
        return self._tidy(parser, events)

    def _tidy(self, parser: Parser, events: list[Event]) -> list[Event]:
        """Drop what has become events, and hold the rest against the limits."""
        consumed = self._next_child_at - self._base
        if consumed:
            self._buffer = self._buffer[consumed:]
            self._base = self._next_child_at
        if self._prime is not None and self._buffer and self._buffer[0] != 0x3C:
            self._skip_space()
        buffer = self._buffer
        if not buffer:
            self._let_go(parser)
            return events
        if self._prime is not None and buffer[0] != 0x3C:
            return self._break("bad-format", "Text between stanzas.", events)
        if consumed and self._fed > ParserPool.RETIRE_AFTER_BYTES:
            self._drop_parser()
            return [*events, *self.feed(bytes(buffer))]  # a peer that is always half-way through a stanza
        token_at = parser.expat.CurrentByteIndex
        if token_at != self._token_at:
            self._token_at, self._rescanned = max(token_at, self._base), 0
        unread = self._fed - self._token_at
        if unread > _HOLD_BACK_FROM_BYTES:
            self._rescanned += unread
        if len(buffer) > self._limit_bytes():
            return self._break("policy-violation", "This stanza is larger than the server allows.", events)
        if self._rescanned > self.limits.rescan_bytes:
            return self._break("policy-violation", "A tag came in too many small pieces.", events)
        tail = buffer[self._token_at - self._base : self._token_at - self._base + 3]
        if (tail[:2] == b"<?" and (self._prime is not None or self._token_at)) or tail in (b"<!-", b"<!D"):
            return self._break("restricted-xml", None, events)
        return events

    def _skip_space(self) -> None:
        """Drop white space between stanzas; it belongs to none."""
        size = len(self._buffer)
        self._buffer = self._buffer.lstrip(_SPACE)
        self._base += size - len(self._buffer)
        self._next_child_at = self._base

    def _break(self, condition: str, text: str | None = None, events: list[Event] | None = None) -> list[Event]:
        before = self._events if events is None else events
        self.close()
        return [*before, StreamBroken(condition, text)]

    # the parser, and what it tells

    def _borrow(self) -> Parser:
        """Get a parser that stands where this stream stands: before its header, or between two stanzas."""
        if self._prime is None:
            parser = Parser()
        elif self._prime is USUAL_HEADERS[self._content_ns]:
            parser = self._pool.take()
        else:
            parser = Parser()
            parser.prime(self._prime)
        parser.target = self
        self._parser = parser
        self._base = self._fed = self._next_child_at = self._token_at = parser.fed_bytes
        return parser

    def _let_go(self, parser: Parser) -> None:
        """Nothing is half-read: give the parser back, unless it knows things of this stream's header."""
        if self._prime is USUAL_HEADERS[self._content_ns]:
            parser.fed_bytes = self._fed
            self._forget()
            self._pool.give(parser)
        elif self._fed > ParserPool.RETIRE_AFTER_BYTES:
            self._drop_parser()
        else:
            self._base = self._next_child_at = self._token_at = self._fed

    def on_close(self, at: int) -> None:
        """The stream's end tag was read; nothing may follow."""
        self._check_between(at)
        self._events.append(StreamClosed())
        raise _Closed

    def on_header(self, name: str, attrs: dict[str, str], prefixes: dict[str | None, str], at: int) -> None:
        """The header is read: check its names, and keep what primes another parser."""
        if name != f"{STREAMS_NS} stream":
            local = name.rpartition(" ")[2]
            raise Refused("invalid-namespace" if local == "stream" else "bad-format")
        if b"\0" in self._buffer:
            raise Refused("unsupported-encoding")
        match = _START_TAG.match(self._buffer, at - self._base)
        assert match is not None, "Expat accepted it as a tag"
        if match.end() > HEADER_BYTES or len(prefixes) > self.limits.attributes:
            raise Refused("policy-violation", "This stream header is larger than the server allows.")
        default = prefixes.get(None)
        others = {prefix: uri for prefix, uri in prefixes.items() if prefix not in (None, "stream", "xml")}
        usual = default == self._content_ns and prefixes.get("stream", STREAMS_NS) == STREAMS_NS
        if default != self._content_ns and self._content_ns not in others.values():
            raise Refused("invalid-namespace")
        declared = "".join(f" xmlns:{prefix}='{escape_value(uri)}'" for prefix, uri in others.items())
        self._scope = declared.encode() if usual else None
        if usual and others == USUAL_PREFIXES[self._content_ns]:
            self._prime = USUAL_HEADERS[self._content_ns]
        else:
            every = "".join(
                f" xmlns{':' + prefix if prefix else ''}='{escape_value(uri)}'" for prefix, uri in prefixes.items()
            )
            # the peer's own name for it, which its end tag will have too
            self._prime = b"<%b%b>" % (_name_of(match.group()), every.encode())
        self._events.append(
            StreamOpened(attrs.get("to"), attrs.get("from"), attrs.get("id"), attrs.get("version"), attrs.get(XML_LANG))
        )
        self._next_child_at = self._base + match.end()

    def _check_between(self, at: int) -> None:
        """Refuse anything but white space between the last child of the stream and a position."""
        if at != self._next_child_at and self._buffer[self._next_child_at - self._base : at - self._base].strip(_SPACE):
            raise Refused("bad-format", "Text between stanzas.")

    def on_child(self, name: str, attrs: dict[str, str], tags: list[str], start_at: int, end_at: int) -> None:
        """A direct child of the stream is complete: `end_at` is where its end tag begins, or where its only tag ends."""
        if start_at != self._next_child_at:
            self._check_between(start_at)
        start, buffer = start_at - self._base, self._buffer
        match = _START_TAG.match(buffer, start)
        assert match is not None, "Expat accepted it as a tag"
        inner_at = match.end()
        if buffer[inner_at - 2] == 0x2F:
            end, inner = inner_at, b""
        else:
            inner_end = end_at - self._base
            end = buffer.index(b">", inner_end) + 1
            inner = bytes(buffer[inner_at:inner_end])
        if end - start > self.limits.stanza_bytes:
            raise Refused("policy-violation", "This stanza is larger than the server allows.")
        self._next_child_at = self._base + end
        ns, _, local = name.rpartition(" ")
        if ns == self._content_ns and local in _KINDS:
            start_tag = match.group()
            scope = self._scope
            if scope is None or not start_tag.startswith(local.encode(), 1) or start_tag[1 + len(local)] == 0x3A:
                inner, scope = self._written_anew(bytes(buffer[start:end])), b""
            elif scope or b"xmlns:" in start_tag or not _ENVELOPE_KEYS.issuperset(attrs):
                scope = _needed_scope(scope, start_tag, inner)
            if ns != CLIENT_NS:
                if ns.encode() in inner or ns.encode() in scope:
                    inner, scope = self._written_anew(bytes(buffer[start:end])), b""
                tags = [_content_tag(tag, ns) for tag in tags]
            self._stanza(_KINDS[local], attrs, tuple(tags), inner, scope)
        elif inner and _needs_parsing(inner) is None:
            self._events.append(Element(name, attrs, (inner.decode(),)))
        elif inner:
            self._events.append(self._element(bytes(buffer[start:end])))
        else:
            self._events.append(Element(name, attrs, ()))

    def _element(self, raw: bytes) -> Element:
        """Read a child of the stream as a tree, in the scope of the header."""
        assert self._prime is not None
        end = b"</%b>" % _name_of(self._prime)
        wrapped = parse_element(self._prime + raw + end, max_depth=self.limits.depth + 1)
        return next(child for child in wrapped.children if isinstance(child, Element))

    def _written_anew(self, raw: bytes) -> bytes:
        """Return the payload of a stanza that has prefixes other than usual so that it stands on its own."""
        return b"".join(
            child.to_xml(self._content_ns) if isinstance(child, Element) else escape_text(child).encode()
            for child in self._element(raw).children
        )

    def _stanza(
        self, cls: type[Stanza], attrs: dict[str, str], tags: tuple[str, ...], inner: bytes, scope: bytes
    ) -> None:
        """Make the typed envelope; one that is wrong becomes a `BadStanza`."""
        get = attrs.get
        type_ = get("type", cls.default_type)
        try:
            to, from_ = get("to"), get("from")
            stanza = cls(
                None if to is None else JID.parse(to),
                None if from_ is None else JID.parse(from_),
                get("id"),
                type_,
                get(XML_LANG),
                inner,
                tags,
                scope,
            )
        except InvalidJID:
            self._events.append(BadStanza(cls(None, None, get("id"), type_), "jid-malformed"))
            return
        self._events.append(stanza)


def read_stanza(xml: bytes) -> Message:
    """Read one message as `Stanza.to_xml` wrote it, trusting what is ours.

    Raises:
        ValueError: it is no complete message.
    """
    limits = ReaderLimits(stanza_bytes=len(xml) + 1, depth=1_000, attributes=10_000, children=1_000_000)
    header = USUAL_HEADERS["jabber:client"]
    pool = ParserPool(header)
    reader = XmlReader(limits, pool=pool)
    reader._prime = header  # as if it had been read
    events = reader.feed(xml)
    is_complete = not reader.pending_bytes
    reader.close()
    pool.close()
    if len(events) != 1 or not isinstance(events[0], Message) or not is_complete:
        raise ValueError("not one message")
    return events[0]


def _condition_of(code: int) -> str:
    if code in _NOT_WELL_FORMED_YET_RESTRICTED:
        return "restricted-xml"
    if code in _BAD_ENCODING:
        return "unsupported-encoding"
    return "not-well-formed"


def _name_of(start_tag: bytes) -> bytes:
    match = _ROOT_NAME.match(start_tag)
    assert match is not None
    return match.group(1)


def _content_tag(tag: str, content_ns: str) -> str:
    """Return the tag that a child of a stanza has on a client's stream: unprefixed names mean the same on all."""
    ns, _, local = tag.rpartition(" ")
    return f"{CLIENT_NS} {local}" if ns == content_ns else tag


def _needed_scope(header_scope: bytes, start_tag: bytes, inner: bytes) -> bytes:
    """Return the raw text that the start tag of a stanza needs beside its envelope.

    Its own declarations and unknown attributes stay; a declaration of the stream header comes along when its prefix occurs.
    """
    parts = []
    own = {name: value for name, value in _ATTRIBUTE.findall(start_tag) if name not in _ENVELOPE}
    for name, value in _ATTRIBUTE.findall(header_scope):
        prefix = name.partition(b":")[2] + b":"
        if name not in own and (prefix in inner or any(known.startswith(prefix) for known in own)):
            parts.append(b" %b=%b" % (name, value))
    parts.extend(b" %b=%b" % item for item in own.items())
    return b"".join(parts)
