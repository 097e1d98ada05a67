"""Bytes of a binary stream to events: the same events that `XmlReader` gives (docs/binary-framing.md).

The envelope of a stanza is read; what it carries is checked against the dictionary's plans and then kept as it came. Every size is
held against its limit before anything is made of it.
"""

from __future__ import annotations

from collections.abc import Mapping

from codec import binary_frames as frames
from codec import binary_plan as plan_
from codec import binary_values as values
from codec.binary_cbor import Malformed, blob, integer, read_flat
from codec.binary_dictionary import Dictionary
from codec.binary_form import NOBODY, Part, PayloadForm, envelope_of
from codec.binary_head import HeadReader, Session, scope_of
from codec.binary_plan import Plan, TooLarge, checked
from codec.binary_tables import SeenTables
from codec.element import Element, parse_element
from codec.events import BadStanza, Event, StreamBroken, StreamClosed, StreamOpened
from codec.limits import ReaderLimits
from codec.stanza import Message, Stanza
from codec.xml_reader import USUAL_HEADERS, XmlReader

BINARY_NS = "urn:xmppd:binary:0"
SM_NS = "urn:xmpp:sm:3"
CSI_NS = "urn:xmpp:csi:0"
VERSION = 0
FLAG_TABLES = 1
MAX_HELLOS = 3
EXPANDS = 2
"""A packed value becomes about twice its bytes: hex just that, base64 less. A text in letters could become eight times."""


Items = list[int | str | bytes]


class BinaryReader:
    """Reads one direction of one binary stream.

    Args:
        limits: as for `XmlReader`; may be set again at any time.
        session: what both ends know; shared with the stream's writer.
        dictionaries: by id, those that the peer may choose from.
        content_ns: "jabber:client" or "jabber:server".

    Attributes:
        dictionary: the one that the peer's HELLO named; None before.
        tables: set them where we announced that we take them.
        peer_takes_tables: what the HELLO said.
    """

    __slots__ = (
        "_acked",
        "_broken",
        "_buffer",
        "_content_ns",
        "_dictionaries",
        "_hellos",
        "_is_open",
        "dictionary",
        "limits",
        "peer_takes_tables",
        "session",
        "tables",
    )

    def __init__(
        self,
        limits: ReaderLimits,
        session: Session,
        dictionaries: Mapping[bytes, Dictionary],
        content_ns: str = "jabber:client",
    ) -> None:
        self.limits = limits
        self.session = session
        self._dictionaries = dictionaries
        self._content_ns = content_ns
        self.dictionary: Dictionary | None = None
        self.tables: SeenTables | None = None
        self.peer_takes_tables = False
        self._buffer = b""
        self._broken = False
        self._hellos = 0
        self.restart()

    def restart(self) -> None:
        """Expect another HELLO; bytes not yet read as events are dropped."""
        self._buffer = b""
        self._is_open = False
        self._acked = 0

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
        assert self.dictionary is not None
        if kind == frames.ELEMENT:
            events.append(self._element(flags, body, self.dictionary))
            return
        events.append(self._stanza(flags & frames.SIZE_MASK, body, self.dictionary))
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
        names = [checked(item) if type(item) is str else "" for item in items[3:7]]
        to, from_, id_, lang = [*names, *[""] * (4 - len(names))]
        dictionary = self._dictionaries.get(items[2])
        if dictionary is None:
            events.append(Element(f"{BINARY_NS} unknown-dictionary", {"id": items[2].hex()}))
            return
        self.dictionary = dictionary
        self.peer_takes_tables = bool(items[1] & FLAG_TABLES)
        self._is_open = True
        if not self.session.domain:
            self.session.domain = to or from_
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

    def _unpack(self, size_class: int, body: bytes, dictionary: Dictionary) -> tuple[Items, Items | None, bytes]:
        """Return the items in the clear, and those of the compressed part and its bytes if there is one."""
        if not size_class:
            return read_flat(body), None, b""
        if size_class >= len(frames.SIZE_CLASSES):
            raise Malformed("an unknown size class")
        if frames.SIZE_CLASSES[size_class - 1] >= self.limits.stanza_bytes:
            raise TooLarge("a stanza larger than the server allows")
        length = frames.read_varint(body, 0)
        if length is None or length[1] + length[0] > len(body):
            raise Malformed("a frame whose first part has no end")
        start = length[1] + length[0]
        block = body[start:]
        return read_flat(body[length[1] : start]), read_flat(dictionary.decompress(size_class, block)), block

    def _stanza(self, size_class: int, body: bytes, dictionary: Dictionary) -> Event:
        items, packed, block = self._unpack(size_class, body, dictionary)
        stanza, is_good, at = HeadReader(items, self.session, self.tables, dictionary).read()
        scope = scope_of(stanza.scope) if stanza.scope else {}
        if packed is None:
            main, added = self._part(items, at, scope, dictionary), None
        else:
            main = self._part(packed, 0, scope, dictionary)
            added = self._part(items, at, scope, dictionary)
            _share_blobs(main, added)
        uses = self._check(main, added, stanza)
        if not is_good:
            return BadStanza(type(stanza)(None, None, stanza.id, stanza.type), "jid-malformed")
        if main.plans or (added is not None and added.plans):
            form = PayloadForm(dictionary, main, envelope_of(stanza), None if packed is None else (size_class, block))
            if added is not None and (added.plans or added.blobs):
                form.added = added
            form.uses = uses
            stanza.forms = {dictionary.id: form}
            stanza._inner = None
            stanza.tags = form.tags()
        return stanza

    def _element(self, size_class: int, body: bytes, dictionary: Dictionary) -> Element:
        items, packed, _ = self._unpack(size_class, body, dictionary)
        if packed is None:
            main, added = self._part(items, 0, {}, dictionary), None
        else:
            main = self._part(packed, 0, {}, dictionary)
            added = self._part(items, 0, {}, dictionary)
            _share_blobs(main, added)
        self._check(main, added, Message(None, None, None, ""))
        form = PayloadForm(dictionary, main, NOBODY)
        form.added = added
        try:
            return parse_element(form.inner(), max_depth=self.limits.depth)
        except ValueError:
            raise Malformed("not one element") from None

    def _part(self, items: Items, at: int, scope: Mapping[str, str], dictionary: Dictionary) -> Part:
        """Read trees, texts and packed values from there to the end."""
        plans: list[Plan] = []
        trees: list[bytes] = []
        end = len(items)
        while at < end:
            item = items[at]
            if type(item) is not int or item < -1:
                break
            if item >= 0:
                plans.append(dictionary.chunk_plan(item))
                trees.append(integer(item))
                at += 1
                continue
            tree = items[at + 1] if at + 1 < end else None
            if type(tree) is not bytes:
                raise Malformed("a run that is not there")
            plans.append(dictionary.plan(tree, scope))
            trees.append(b"\x20" + blob(tree))
            at += 2
        first = at
        while at < end and type(items[at]) is str:
            at += 1
        texts: list[str] = items[first:at]  # type: ignore[assignment]
        return Part(b"".join(trees), tuple(plans), texts, self._values(items, at) if at < end else [])

    def _values(self, items: Items, at: int) -> list[bytes]:
        """Read the packed values, those that stand in the tables among them."""
        found: list[bytes] = []
        tables = self.tables
        while at < len(items):
            item = items[at]
            at += 1
            if type(item) is bytes:
                found.append(item)
                continue
            if type(item) is not int or tables is None:
                raise Malformed("something that is no packed value")
            if item > -66:
                found.append(tables.values.get(-2 - item))
                continue
            value = items[at] if at < len(items) else None
            at += 1
            if type(value) is not bytes:
                raise Malformed("an entry that is no packed value")
            tables.values.put(-66 - item, value)
            found.append(value)
        return found

    def _check(self, main: Part, added: Part | None, stanza: Stanza) -> int:
        """Hold a payload against the limits and the values that it has; return what it refers to in the envelope."""
        limits = self.limits
        uses = size = children = 0
        for part in (main,) if added is None else (main, added):
            wanted = at = 0
            blobs = part.blobs
            for plan in part.plans:
                if plan.depth >= limits.depth or plan.attributes > limits.attributes:
                    raise TooLarge("elements nested too deep, or with too many attributes")
                uses |= plan.uses
                size += plan.size
                children += len(plan.tags)
                wanted += plan.text_count
                for index, kind in plan.checked_kinds:
                    if at + index < len(blobs):
                        values.check(kind, blobs[at + index])
                at += len(plan.kinds)
            if at != len(blobs) or wanted != len(part.texts):
                raise Malformed("more or fewer values than the tree asks for")
            for value in blobs:
                size += len(value) * EXPANDS
                if not value:
                    raise Malformed("an empty packed value")
            if wanted:
                joined = "".join(part.texts)
                size += len(checked(joined))
        if size > limits.stanza_bytes or children > limits.children:
            raise TooLarge("a stanza larger than the server allows, or with too many children")
        if uses:
            _check_references(uses, stanza)
        return uses


def _share_blobs(main: Part, added: Part) -> None:
    """The packed values of a compressed part stand in the clear, before those of what was added."""
    if main.blobs:
        raise Malformed("packed values within the compressed part")
    count = sum([len(plan.kinds) for plan in main.plans])
    main.blobs, added.blobs = added.blobs[:count], added.blobs[count:]


def _check_references(uses: int, stanza: Stanza) -> None:
    if (
        (uses & plan_.USES_ID and stanza.id is None)
        or (uses & (plan_.USES_TO | plan_.USES_TO_BARE) and stanza.to is None)
        or (uses & (plan_.USES_FROM | plan_.USES_FROM_BARE) and stanza.from_ is None)
    ):
        raise Malformed("a reference to what the envelope does not hold")
