"""Bytes of an XML stream to events, in one pass of Expat (RFC 6120 §4, §11).

Expat checks that the input is well-formed and tells where each direct child of the stream begins and ends; the payload of a
stanza is cut out of the input as bytes, and nobody builds a tree of it here.

What else is worth knowing:

* `sleep()` gives the parser (10 KiB) back while nothing is half-read; the next byte makes a new one, primed with the header.
* Expat before 2.6, and later ones with their reparse deferral off, read an unfinished tag from its start at every call. So a
  tag that comes in small pieces is held back until its ">" is there, and the bytes read again are counted.
* A header with unusual prefixes puts the stream on a slower path that writes each payload anew with its own declarations.
"""

import re
from collections.abc import Callable
from typing import Any
from xml.parsers import expat

from codec.element import Element, parse_element
from codec.events import BadStanza, Event, StreamBroken, StreamClosed, StreamOpened
from codec.jid import JID, InvalidJID
from codec.limits import HEADER_BYTES, ReaderLimits
from codec.stanza import IQ, XML_LANG, Message, Presence, Stanza, escape_attribute

STREAMS_NS = "http://etherx.jabber.org/streams"

_KINDS: dict[str, type[Stanza]] = {"message": Message, "presence": Presence, "iq": IQ}
_START_TAG = re.compile(rb"<[^>\"']*(?:(?:\"[^\"]*\"|'[^']*')[^>\"']*)*>")
_ATTRIBUTE = re.compile(rb"([^\s=<>/\"']+)\s*=\s*(\"[^\"]*\"|'[^']*')")
_ENVELOPE = frozenset((b"to", b"from", b"id", b"type", b"xml:lang", b"xmlns"))
_HOLD_BACK_FROM_BYTES = 1_024
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


class _Refused(Exception):
    """Raised inside a handler of Expat to stop it."""

    def __init__(self, condition: str, text: str | None = None) -> None:
        super().__init__(condition)
        self.condition = condition
        self.text = text


class XmlReader:
    """Reads one direction of one stream.

    Args:
        limits: what the peer may use; `limits` may be set again at any time (more after login).
        content_ns: "jabber:client" or "jabber:server".
    """

    __slots__ = (
        "_base",
        "_broken",
        "_buffer",
        "_content_ns",
        "_events",
        "_fed",
        "_handlers",
        "_held",
        "_next_child_at",
        "_parser",
        "_prime",
        "_rescanned",
        "_scope",
        "_token_at",
        "limits",
    )

    def __init__(self, limits: ReaderLimits, content_ns: str = "jabber:client") -> None:
        self.limits = limits
        self._content_ns = content_ns
        self._prime: bytes | None = None
        self._scope: bytes | None = b""
        self._broken = False
        self._forget()

    def _forget(self) -> None:
        """Let go of the parser and of all positions, which count from a parser's birth."""
        self._parser: expat.XMLParserType | None = None
        self._buffer: bytes | bytearray = b""
        self._base = 0
        self._fed = 0
        self._held = 0
        self._token_at = 0
        self._rescanned = 0
        self._next_child_at = 0
        self._events: list[Event] = []

    def restart(self) -> None:
        """Expect a new stream header (RFC 6120 §4.3.3: after TLS and SASL). Bytes not yet read as events are dropped."""
        self._prime = None
        self._forget()

    def sleep(self) -> bool:
        """Give the parser back if nothing is half-read; return whether the reader sleeps now."""
        if self._parser is None:
            return True
        if self._prime is None or self._buffer or self._broken:
            return False
        self._forget()
        return True

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
            if self._prime is not None and data.isspace():
                return []  # a whitespace keepalive wakes nobody
            parser = self._wake()
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

    def _parse(self, parser: expat.XMLParserType, data: bytes) -> list[Event]:
        if self._held:
            data = bytes(memoryview(self._buffer)[-self._held - len(data) :])
            self._held = 0
        try:
            parser.Parse(data, False)
        except _Refused as refused:
            return self._break(refused.condition, refused.text)
        except expat.ExpatError as error:
            return self._break(_condition_of(error.code))
        except UnicodeError:
            return self._break("not-well-formed")
        finally:
            events, self._events = self._events, []
        return self._tidy(parser, events)

    def _tidy(self, parser: expat.XMLParserType, events: list[Event]) -> list[Event]:
        """Drop what has become events, and hold the rest against the limits."""
        consumed = self._next_child_at - self._base
        if consumed:
            self._buffer = self._buffer[consumed:]
            self._base = self._next_child_at
        if not self._buffer:
            self._token_at = self._fed
            return events
        token_at = parser.CurrentByteIndex
        if token_at != self._token_at:
            self._token_at, self._rescanned = max(token_at, self._base), 0
        unread = self._fed - self._token_at
        if unread > _HOLD_BACK_FROM_BYTES:
            self._rescanned += unread
        self._events = events
        if len(self._buffer) > self._limit_bytes():
            return self._break("policy-violation", "This stanza is larger than the server allows.")
        if self._rescanned > self.limits.rescan_bytes:
            return self._break("policy-violation", "A tag came in too many small pieces.")
        tail = self._buffer[self._token_at - self._base : self._token_at - self._base + 3]
        if tail[:2] == b"<?" and (self._prime is not None or self._token_at) or tail in (b"<!-", b"<!D"):
            return self._break("restricted-xml")
        self._events = []
        if self._prime is not None and self._base == self._next_child_at and self._buffer.isspace():
            self._base = self._next_child_at = self._token_at = self._fed
            self._buffer = b""
        return events

    def _break(self, condition: str, text: str | None = None) -> list[Event]:
        events = self._events
        self._forget()
        self._broken = True
        events.append(StreamBroken(condition, text))
        return events

    # the parser and its handlers

    def _wake(self) -> expat.XMLParserType:
        parser = expat.ParserCreate("UTF-8", " ")
        if hasattr(parser, "SetReparseDeferralEnabled"):
            parser.SetReparseDeferralEnabled(False)
        _install_handlers(self, parser)
        self._parser = parser
        if self._prime is not None:
            prime, self._prime = self._prime, None
            self._fed = len(prime)
            self._buffer = prime
            parser.Parse(prime, False)
            self._prime = prime
            self._buffer = b""
            self._base = self._next_child_at = self._token_at = self._fed
            self._events = []
        return parser

    def _opened(self, name: str, attrs: dict[str, str], prefixes: dict[str | None, str]) -> None:
        """The header is read: check its names, and keep what primes a new parser."""
        if name != f"{STREAMS_NS} stream":
            local = name.rpartition(" ")[2]
            raise _Refused("invalid-namespace" if local == "stream" else "bad-format")
        default = prefixes.get(None)
        others = {prefix: uri for prefix, uri in prefixes.items() if prefix not in (None, "stream", "xml")}
        usual = default == self._content_ns and prefixes.get("stream", STREAMS_NS) == STREAMS_NS
        if default != self._content_ns and self._content_ns not in others.values():
            raise _Refused("invalid-namespace")
        declared = "".join(f" xmlns:{prefix}='{escape_attribute(uri)}'" for prefix, uri in others.items())
        self._scope = declared.encode() if usual else None
        if usual and not others:
            self._prime = _USUAL_PRIME[self._content_ns]
        else:
            every = "".join(
                f" xmlns{':' + prefix if prefix else ''}='{escape_attribute(uri)}'" for prefix, uri in prefixes.items()
            )
            self._prime = f"<xmppd:stream xmlns:xmppd='{STREAMS_NS}'{every}>".encode()
        self._events.append(
            StreamOpened(attrs.get("to"), attrs.get("from"), attrs.get("id"), attrs.get("version"), attrs.get(XML_LANG))
        )

    def _child(self, name: str, attrs: dict[str, str], tags: list[str], start_at: int, end_at: int) -> None:
        """A direct child of the stream is complete: `end_at` is where its end tag begins, or where its only tag ends."""
        start, buffer = start_at - self._base, self._buffer
        if start_at != self._next_child_at and buffer[self._next_child_at - self._base : start].strip():
            raise _Refused("bad-format", "Text between stanzas.")
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
            raise _Refused("policy-violation", "This stanza is larger than the server allows.")
        self._next_child_at = self._base + end
        ns, _, local = name.rpartition(" ")
        if ns == self._content_ns and local in _KINDS:
            self._stanza(local, attrs, tags, inner, match.group())
        elif inner or match.group().count(b":") or self._scope is None:
            self._events.append(self._element(bytes(buffer[start:end])))
        else:
            self._events.append(Element(name, attrs, ()))

    def _element(self, raw: bytes) -> Element:
        """Read a child of the stream that is no stanza as a tree, in the scope of the header."""
        assert self._prime is not None
        wrapped = parse_element(self._prime + raw + b"</" + self._prime[1 : self._prime.index(b" ")] + b">")
        return next(child for child in wrapped.children if isinstance(child, Element))

    def _stanza(self, local: str, attrs: dict[str, str], tags: list[str], inner: bytes, start_tag: bytes) -> None:
        """Make the typed envelope; one that is wrong becomes a `BadStanza`."""
        cls = _KINDS[local]
        scope = self._scope
        if scope is None or not start_tag.startswith(local.encode(), 1) or start_tag[1 + len(local)] == 0x3A:
            # prefixes other than usual: write the payload anew, so that it stands on its own
            element = self._element(start_tag if not inner else start_tag + inner + _end_tag(start_tag))
            inner = b"".join(
                child.to_xml(self._content_ns) if isinstance(child, Element) else _escape_text(child)
                for child in element.children
            )
            scope = b""
        elif scope or b"xmlns:" in start_tag or len(attrs) > 5:
            scope = _needed_scope(scope, start_tag, inner)
        elif len(attrs) > sum(name in attrs for name in ("to", "from", "id", "type", XML_LANG)):
            scope = _needed_scope(scope, start_tag, inner)
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
                tuple(tags),
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
    reader = XmlReader(ReaderLimits(stanza_bytes=len(xml) + 1, depth=1_000, attributes=10_000, children=1_000_000))
    events = reader.feed(_USUAL_PRIME["jabber:client"] + xml)
    if len(events) != 2 or not isinstance(events[1], Message):
        raise ValueError("not one message")
    return events[1]


_USUAL_PRIME = {
    ns: f"<stream:stream xmlns='{ns}' xmlns:stream='{STREAMS_NS}'>".encode()
    for ns in ("jabber:client", "jabber:server")
}


def _condition_of(code: int) -> str:
    if code in _NOT_WELL_FORMED_YET_RESTRICTED:
        return "restricted-xml"
    if code in _BAD_ENCODING:
        return "unsupported-encoding"
    return "not-well-formed"


def _end_tag(start_tag: bytes) -> bytes:
    name = re.match(rb"<([^\s/>]+)", start_tag)
    assert name is not None
    return b"</" + name.group(1) + b">"


def _escape_text(text: str) -> bytes:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").encode()


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


def _install_handlers(reader: XmlReader, parser: expat.XMLParserType) -> None:
    """Give Expat its handlers: closures, since these run for every element and locals are the quickest to reach."""
    depth = 0
    start_at = 0
    child_name = ""
    child_attrs: dict[str, str] = {}
    tags: list[str] = []
    prefixes: dict[str | None, str] = {}
    limits = reader.limits
    max_attributes = limits.attributes

    def start(name: str, attrs: dict[str, str]) -> None:
        nonlocal depth, start_at, child_name, child_attrs, tags, limits, max_attributes
        depth += 1
        if len(attrs) > max_attributes:
            raise _Refused("policy-violation", "Too many attributes.")
        if depth > 3:
            if depth - 1 > limits.depth:
                raise _Refused("policy-violation", "Elements are nested too deep.")
        elif depth == 3:
            tags.append(name)
            if len(tags) > limits.children:
                raise _Refused("policy-violation", "Too many children.")
        elif depth == 2:
            start_at = parser.CurrentByteIndex
            child_name, child_attrs, tags = name, attrs, []
            limits = reader.limits
            max_attributes = limits.attributes
        else:
            parser.StartNamespaceDeclHandler = None
            if reader._prime is None:
                reader._opened(name, attrs, prefixes)
                reader._next_child_at = _after_tag(reader, parser.CurrentByteIndex)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        if depth == 1:
            reader._child(child_name, child_attrs, tags, start_at, parser.CurrentByteIndex)
        elif depth == 0:
            reader._events.append(StreamClosed())
            reader._next_child_at = reader._fed

    def declared(prefix: str | None, uri: str) -> None:
        prefixes[prefix] = uri or ""

    def refuse(*_: Any) -> None:
        raise _Refused("restricted-xml")

    def declaration(version: str, encoding: str | None, standalone: int) -> None:
        if version != "1.0" or (encoding is not None and encoding.upper() not in ("UTF-8", "UTF8")):
            raise _Refused("unsupported-encoding" if encoding is not None else "not-well-formed")

    refusing: Callable[..., Any] = refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartNamespaceDeclHandler = declared
    parser.XmlDeclHandler = declaration
    parser.StartDoctypeDeclHandler = refusing
    parser.CommentHandler = refusing
    parser.ProcessingInstructionHandler = refusing
    parser.EntityDeclHandler = refusing


def _after_tag(reader: XmlReader, at: int) -> int:
    """Return the position after the tag that begins at `at`, both counted from the parser's birth."""
    match = _START_TAG.match(reader._buffer, at - reader._base)
    return at if match is None else reader._base + match.end()
