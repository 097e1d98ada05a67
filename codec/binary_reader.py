"""Bytes of a binary stream to events: the same events that `XmlReader` gives (docs/binary-framing.md).

The envelope of a stanza is read; what it carries is checked against the dictionary's plans and then kept as it came. Every size is
held against its limit before anything is made of it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

from codec import binary_frames as frames
from codec.binary_cbor import Malformed, read_flat
from codec.binary_dictionary import Dictionary
from codec.binary_features import HASH_BYTES, MAX_TOLD, Told
from codec.binary_head import Session
from codec.binary_plan import TooLarge, checked
from codec.binary_stanza import BodyReader, Items
from codec.binary_tables import Claim
from codec.element import Element, parse_element
from codec.events import Event, StreamBroken, StreamClosed, StreamOpened
from codec.limits import ReaderLimits
from codec.xml_reader import USUAL_HEADERS, XmlReader
from codec.xml_writer import STREAMS_NS

BINARY_NS = "urn:xmppd:binary:0"
SM_NS = "urn:xmpp:sm:3"
CSI_NS = "urn:xmpp:csi:0"
FEATURES_TAG = f"{STREAMS_NS} features"
VERSION = 0
FLAG_TABLES, FLAG_KEEPS, FLAG_FEATURES = 1, 2, 4
"""Of a HELLO: "I have tables for what you send"; "I keep them, and mine, for a session that is resumed"; "my last item tells what
features of yours I have"."""

MAX_HELLOS = 3


class BinaryReader(BodyReader):
    """Reads one direction of one binary stream.

    Args:
        limits: as for `XmlReader`; may be set again at any time.
        session: what both ends know; shared with the stream's writer.
        dictionaries: by id, those that the peer may choose from.
        content_ns: "jabber:client" or "jabber:server".

    Attributes:
        dictionary: the one that the peer's HELLO named; None before.
        tables: set them where we announced that we take them.
        peer_takes_tables, peer_keeps_tables: what the HELLO said.
        claim: what the last TABLES frame said; None when none came.
        told: what our HELLO told of the peer's features, on a client's side.
        peer_features: the hashes of ours that the peer's HELLO told.
    """

    __slots__ = (
        "_acked",
        "_broken",
        "_buffer",
        "_content_ns",
        "_dictionaries",
        "_hellos",
        "_is_open",
        "claim",
        "peer_features",
        "peer_keeps_tables",
        "peer_takes_tables",
        "told",
    )

    def __init__(
        self,
        limits: ReaderLimits,
        session: Session,
        dictionaries: Mapping[bytes, Dictionary],
        content_ns: str = "jabber:client",
    ) -> None:
        super().__init__(limits, session)
        self._dictionaries = dictionaries
        self._content_ns = content_ns
        self.peer_takes_tables = self.peer_keeps_tables = False
        self.told: Told | None = None
        self.peer_features: tuple[bytes, ...] = ()
        self._buffer = b""
        self._broken = False
        self._hellos = 0
        self.restart()

    def restart(self) -> None:
        """Expect another HELLO; bytes not yet read as events are dropped."""
        self._buffer = b""
        self._is_open = False
        self._acked = 0
        self.claim: Claim | None = None

    def close(self) -> None:
        """Read no more; what is half-read is dropped."""
        self._broken = True
        self._buffer = b""

    def sleep(self) -> bool:
        """Return whether nothing is half-read; there is nothing to drop."""
        return not self._buffer

    @property
    def pending_bytes(self) -> int:
        """How many bytes of an unfinished frame are kept."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes of the stream and return the events they complete.

        Returns:
            Events in wire order, a `StreamBroken` always last: not-well-formed for what is no frame or names what is not there,
            policy-violation for what passes a limit, bad-format for frames before HELLO, unsupported-version.
        """
        if self._broken:
            return []
        buffer = self._buffer + data if self._buffer else data
        events: list[Event] = []
        at = 0
        try:
            while at < len(buffer):
                end = self._frame(buffer, at, events)
                if end == at:
                    break
                at = end
                if self._broken:
                    return events
        except TooLarge as error:
            return self._break("policy-violation", error, events)
        except Malformed as error:
            return self._break("not-well-formed" if self._is_open else "bad-format", error, events)
        self._buffer = buffer[at:] if at else buffer
        return events

    def _break(self, condition: str, error: Exception, events: list[Event]) -> list[Event]:
        self._broken = True
        self._buffer = b""
        return [*events, StreamBroken(condition, f"{str(error)[:1].upper()}{str(error)[1:]}.")]

    def _frame(self, buffer: bytes, at: int, events: list[Event]) -> int:
        """Read the frame at that position; return where it ends, or the position itself when it is not all there."""
        first = buffer[at]
        kind, flags = first >> 4, first & 0x0F
        if flags & ~frames.KNOWN_FLAGS.get(kind, 0):
            raise Malformed("a frame with unknown flags")
        if kind in frames.HAS_BODY:
            length = frames.read_varint(buffer, at + 1)
            if length is None:
                return at
            size, start = length
            if size > (self.limits.stanza_bytes if self._is_open else frames.HELLO_BYTES):
                raise TooLarge("a frame larger than the server allows")
            end = start + size
            if end > len(buffer):
                return at
            self._body(kind, flags, buffer[start:end], events)
            return end
        if not self._is_open and kind != frames.PING:
            raise Malformed("a frame before HELLO")
        if kind == frames.ACK:
            count = frames.read_varint(buffer, at + 1)
            if count is None:
                return at
            self._acked = (self._acked + count[0]) & 0xFFFFFFFF
            events.append(Element(f"{SM_NS} a", {"h": str(self._acked)}))
            return count[1]
        self._bare(kind, flags, events)
        return at + 1

    def _bare(self, kind: int, flags: int, events: list[Event]) -> None:
        if kind == frames.ACK_REQUEST:
            events.append(Element(f"{SM_NS} r"))
        elif kind == frames.CSI:
            events.append(Element(f"{CSI_NS} {'active' if flags else 'inactive'}"))
        elif kind == frames.CLOSE:
            self._broken = True
            self._buffer = b""
            events.append(StreamClosed())
        elif kind == frames.FEATURES:
            if self.told is None or flags >= len(self.told.elements):
                raise Malformed("features that we have not told")
            events.append(self.told.elements[flags])
        elif kind != frames.PING:
            raise Malformed("an unknown kind of frame")

    def _body(self, kind: int, flags: int, body: bytes, events: list[Event]) -> None:
        if kind == frames.HELLO:
            self._hello(read_flat(body), events)
            return
        if kind == frames.RETRY:
            ids = [Element(f"{BINARY_NS} dict", {"id": item.hex()}) for item in read_flat(body) if type(item) is bytes]
            events.append(Element(f"{BINARY_NS} retry", {}, tuple(ids)))
            return
        if not self._is_open:
            raise Malformed("a frame before HELLO")
        if kind == frames.XML:
            self._xml(body, events)
            return
        if kind == frames.TABLES:
            self.claim = Claim.read(body)
            return
        if kind == frames.ELEMENT:
            element = self._element(flags, body)
            if self.told is not None and element.tag == FEATURES_TAG:
                self.told.seen.keep(self.told.domain, frames.frame(kind, body, flags), element)
            events.append(element)
            return
        events.append(self.read_stanza(flags & frames.SIZE_MASK, body))
        if flags & frames.FLAG_ACK_REQUEST:
            events.append(Element(f"{SM_NS} r"))

    def _hello(self, items: Items, events: list[Event]) -> None:
        self._hellos += 1
        if self._is_open or self._hellos > MAX_HELLOS:
            raise Malformed("a HELLO too many")
        if len(items) < 3 or type(items[0]) is not int or type(items[1]) is not int or type(items[2]) is not bytes:
            raise Malformed("a HELLO that is none")
        if items[0] != VERSION:
            self._broken = True
            events.append(StreamBroken("unsupported-version"))
            return
        if items[1] & FLAG_FEATURES:
            self.peer_features = _told(items.pop() if len(items) > 3 else 0)
        names = [checked(item) if type(item) is str else "" for item in items[3:7]]
        to, from_, id_, lang = [*names, *[""] * (4 - len(names))]
        dictionary = self._dictionaries.get(items[2])
        if dictionary is None:
            events.append(Element(f"{BINARY_NS} unknown-dictionary", {"id": items[2].hex()}))
            return
        self.dictionary = dictionary
        self.peer_takes_tables = bool(items[1] & FLAG_TABLES)
        self.peer_keeps_tables = self.peer_takes_tables and bool(items[1] & FLAG_KEEPS)
        self._is_open = True
        if not self.session.domain:
            self.session.domain = sys.intern(to or from_)  # thousands have the same
        if not to and not from_:
            from_ = self.session.domain  # an answer from whom we have addressed
        events.append(StreamOpened(to or None, from_ or None, id_ or None, "1.0", lang or "en"))

    def _xml(self, body: bytes, events: list[Event]) -> None:
        read = XmlReader(self.limits, self._content_ns).feed(USUAL_HEADERS[self._content_ns] + body)[1:]
        if len(read) != 1 or isinstance(read[0], StreamBroken | StreamClosed):
            if read and isinstance(read[0], StreamBroken):
                self._broken = True
                events.append(read[0])
                return
            raise Malformed("not one element")
        events.append(read[0])

    def _element(self, size_class: int, body: bytes) -> Element:
        form = self.read_element(size_class, body)
        try:
            return parse_element(form.inner(), max_depth=self.limits.depth)
        except ValueError:
            raise Malformed("not one element") from None


def _told(item: int | str | bytes) -> tuple[bytes, ...]:
    """Return the hashes of features that a HELLO tells."""
    if type(item) is not bytes or len(item) % HASH_BYTES or len(item) > MAX_TOLD * HASH_BYTES:
        raise Malformed("hashes of features that are none")
    return tuple([item[at : at + HASH_BYTES] for at in range(0, len(item), HASH_BYTES)])
