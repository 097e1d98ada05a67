"""Expat with our handlers, and a pool of such parsers.

A parser takes 10 KiB and 10 µs to make, and between two stanzas nothing in it belongs to its stream: after the usual header one
is like another. So a reader borrows one while it has something half-read, and thousands of streams share a few. Expat remembers each
name it has seen for as long as the parser lives; a parser is thrown away before a peer's made-up names can add up.
"""

from collections.abc import Callable
from typing import Any, Protocol
from xml.parsers import expat

from codec.limits import ReaderLimits

_HANDLERS = (
    "StartElementHandler",
    "EndElementHandler",
    "StartNamespaceDeclHandler",
    "XmlDeclHandler",
    "StartDoctypeDeclHandler",
    "CommentHandler",
    "ProcessingInstructionHandler",
    "EntityDeclHandler",
)


class Refused(Exception):
    """Raised inside a handler of Expat to stop it: `condition` is the stream error."""

    def __init__(self, condition: str, text: str | None = None) -> None:
        super().__init__(condition)
        self.condition = condition
        self.text = text


class Target(Protocol):
    """Who learns what a parser finds."""

    limits: ReaderLimits

    def on_header(self, name: str, attrs: dict[str, str], prefixes: dict[str | None, str], at: int) -> None:
        """The stream header's tag begins at that position, counted from the parser's birth."""

    def on_child(self, name: str, attrs: dict[str, str], tags: list[str], start_at: int, end_at: int) -> None:
        """A direct child of the stream is complete: `end_at` is where its end tag begins, or where its only tag ends."""

    def on_close(self, at: int) -> None:
        """The stream's end tag, which begins at that position, was read."""


class Parser:
    """One Expat parser.

    Attributes:
        target: who is told; set by whoever borrows it.
        fed_bytes: how much it was given since its birth.
        expat: the parser itself.
        is_primed: the header was read.
    """

    __slots__ = ("expat", "fed_bytes", "is_primed", "target")

    def __init__(self) -> None:
        self.target: Target | None = None
        self.fed_bytes = 0
        self.is_primed = False
        # no dictionary of names: it would double what made-up ones cost, and looking up takes longer than it saves
        self.expat = expat.ParserCreate("UTF-8", " ", None)
        if hasattr(self.expat, "SetReparseDeferralEnabled"):
            self.expat.SetReparseDeferralEnabled(False)
        _install_handlers(self, self.expat)

    def prime(self, header: bytes) -> None:
        """Read a header that is known, and tell nobody."""
        self.expat.Parse(header, False)
        self.fed_bytes = len(header)

    def close(self) -> None:
        """Let go of the handlers, which hold the parser that holds them: it is freed at once, not when garbage is collected."""
        self.target = None
        for name in _HANDLERS:
            setattr(self.expat, name, None)


class ParserPool:
    """Parsers that have read the usual header of one content namespace and stand between two stanzas.

    Args:
        header: what primes a new one.

    Attributes:
        headers: the bytes of usual headers that were read before -> the event that each of them is.
    """

    MAX_IDLE = 8
    RETIRE_AFTER_BYTES = 65_536
    """So much of made-up names costs 0.8 MB of memory; a new parser after each 65,536 bytes costs nothing that can be measured."""

    MAX_HEADERS = 256
    """Clients send a handful of different headers to each domain."""
    MAX_HEADER_BYTES = 512

    __slots__ = ("_header", "_idle", "headers")

    def __init__(self, header: bytes) -> None:
        self._header = header
        self._idle: list[Parser] = []
        self.headers: dict[bytes, Any] = {}

    def remember(self, header: bytes, event: Any) -> None:
        """Note what a usual header, these bytes and no more, was read as: the next stream that sends it needs no parser."""
        if len(header) <= self.MAX_HEADER_BYTES:
            self.headers[header] = event
            if len(self.headers) > self.MAX_HEADERS:
                del self.headers[next(iter(self.headers))]

    def take(self) -> Parser:
        """Return a parser that stands between two stanzas."""
        if self._idle:
            return self._idle.pop()
        parser = Parser()
        parser.prime(self._header)
        return parser

    def give(self, parser: Parser) -> None:
        """Take one back that stands between two stanzas again."""
        parser.target = None
        if parser.fed_bytes < self.RETIRE_AFTER_BYTES and len(self._idle) < self.MAX_IDLE:
            self._idle.append(parser)
        else:
            parser.close()

    def close(self) -> None:
        """Let go of the idle parsers; new ones are made when somebody asks."""
        while self._idle:
            self._idle.pop().close()


def _refuse(*_: Any) -> None:
    raise Refused("restricted-xml")


def _check_declaration(version: str, encoding: str | None, standalone: int) -> None:
    if version != "1.0" or (encoding is not None and encoding.upper() not in ("UTF-8", "UTF8")):
        raise Refused("unsupported-encoding" if encoding is not None else "not-well-formed")


def _install_handlers(owner: Parser, parser: expat.XMLParserType) -> None:
    """Give Expat its handlers: closures, since these run for every element and locals are the quickest to reach."""
    depth = 0
    start_at = 0
    child_name = ""
    child_attrs: dict[str, str] = {}
    tags: list[str] = []
    prefixes: dict[str | None, str] = {}
    limits = ReaderLimits()
    max_attributes = limits.attributes

    def start(name: str, attrs: dict[str, str]) -> None:
        nonlocal depth, start_at, child_name, child_attrs, tags, limits, max_attributes
        depth += 1
        if depth > 3:
            if depth - 1 > limits.depth:
                raise Refused("policy-violation", "Elements are nested too deep.")
        elif depth == 3:
            tags.append(name)
            if len(tags) > limits.children:
                raise Refused("policy-violation", "Too many children.")
        elif depth == 2:
            start_at = parser.CurrentByteIndex
            child_name, child_attrs, tags = name, attrs, []
            limits = owner.target.limits  # type: ignore[union-attr]
            max_attributes = limits.attributes
        else:
            parser.StartNamespaceDeclHandler = None
            owner.is_primed = True
            if owner.target is not None:
                owner.target.on_header(name, attrs, prefixes, parser.CurrentByteIndex)
            return
        if len(attrs) > max_attributes:
            raise Refused("policy-violation", "Too many attributes.")

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        if depth == 1:
            owner.target.on_child(child_name, child_attrs, tags, start_at, parser.CurrentByteIndex)  # type: ignore[union-attr]
        elif depth == 0:
            owner.target.on_close(parser.CurrentByteIndex)  # type: ignore[union-attr]

    def declared(prefix: str | None, uri: str) -> None:
        prefixes[prefix] = uri or ""

    refusing: Callable[..., Any] = _refuse
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.StartNamespaceDeclHandler = declared
    parser.XmlDeclHandler = _check_declaration
    parser.StartDoctypeDeclHandler = refusing
    parser.CommentHandler = refusing
    parser.ProcessingInstructionHandler = refusing
    parser.EntityDeclHandler = refusing
