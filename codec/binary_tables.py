"""Whole values that one direction of a stream has carried before, so that a slot's number can stand for them.

The sender says explicitly what goes into which slot, so both sides agree whatever either thinks of the content. Only whole values
are compared, never parts of them, and only such as the server asserts (see docs/binary-framing.md, Security).
Nothing in the tables may outlive what the peer has surely read: `SentTable.rewind` forgets what may have been lost.

`SentTables` is a writer's, `SeenTables` a reader's. `Tables` is both of one end of a stream: what goes on when its session is
resumed on another connection (docs/binary-framing.md §5.7), and what is kept small meanwhile.
"""

from __future__ import annotations

import hashlib
from binascii import b2a_base64
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from codec.binary_cbor import Malformed, Tree, encode, read_tree
from codec.binary_frames import read_varint, varint

SLOTS = 64
"""Of each table. More gains little: 128 save half a percent of a mobile day."""

MAX_VALUE_BYTES = 256
"""Longer values are not kept: 64 of them are what a peer can make us hold."""

MAX_COUNT = 0xFFFFFFFF
"""Entries that a table may ever get: counts are numbers of 32 bits, and must not begin again while a peer may still name one."""

NAME_BYTES = 3
"""Of the name of some tables: one in 16 million of those that are mixed up goes unseen."""

V = TypeVar("V", str, bytes)


class Claim(NamedTuple):
    """What a TABLES frame says: how many entries of each of the peer's tables were read; a client names which tables it means."""

    jids: int
    values: int
    name: bytes = b""

    def write(self) -> bytes:
        """Return the frame's body."""
        return varint(self.jids) + varint(self.values) + self.name

    @classmethod
    def read(cls, body: bytes) -> Claim:
        """Return what a frame's body says.

        Raises:
            Malformed: it is none.
        """
        jids = read_varint(body, 0)
        values = None if jids is None else read_varint(body, jids[1])
        if jids is None or values is None or len(body) - values[1] not in (0, NAME_BYTES):
            raise Malformed("a claim that is none")
        return cls(jids[0], values[0], body[values[1] :])


class SentTable(Generic[V]):
    """The sender's side: which value is in which slot; the one not used for longest makes room.

    A server has one for each of its clients, so it is kept as one string of all values, searched in half a microsecond: as a dict of
    them it would take three times the memory.

    Attributes:
        count: how many values were put in since the beginning.
    """

    __slots__ = ("_last", "_numbers", "_order", "_packed", "count")

    def __init__(self) -> None:
        self._last: tuple[V, int] | None = None  # what was found last, which is often asked for again
        self._packed = b"\n"
        self._order = bytearray()
        self._numbers = bytearray()
        self.count = 0

    def __len__(self) -> int:
        return len(self._order)

    def find(self, value: V) -> int | None:
        """Return the slot of a value, which counts as used now."""
        last = self._last
        if last is not None and last[0] == value:
            return last[1]
        slot = self.peek(value)
        if slot is not None:
            self._order.remove(slot)
            self._order.append(slot)
            self._last = value, slot
        return slot

    def peek(self, value: V) -> int | None:
        """Return the slot of a value."""
        return self._slot(b"\n%b\n" % _key(value))

    def starting(self, start: V) -> int | None:
        """Return the slot of a text that starts so."""
        return self._slot(b"\n%b" % _key(start))

    def _slot(self, wanted: bytes) -> int | None:
        at = self._packed.find(wanted)
        return None if at < 0 else self._packed.count(b"\n", 0, at)

    def insert(self, value: V) -> int | None:
        """Put a value in and return its slot; None when it cannot be kept: too long, or there were too many."""
        if not value or _size(value) > MAX_VALUE_BYTES or self.count >= MAX_COUNT:
            return None
        key = _key(value)
        if b"\n" in key:
            return None
        self._last = None
        parts = self._packed[1:-1].split(b"\n") if self._order else []
        free = parts.index(b"") if b"" in parts else len(parts)
        slot = self._order.pop(0) if len(self._order) == SLOTS else free
        parts[slot : slot + 1] = [key]
        self._pack(parts)
        self._order.append(slot)
        self.count += 1
        self._note(slot, self.count)
        return slot

    def _pack(self, parts: list[bytes]) -> None:
        self._packed = b"\n%b\n" % b"\n".join(parts) if parts else b"\n"

    def _note(self, slot: int, number: int) -> None:
        numbers = self._numbers
        if slot * 4 >= len(numbers):
            numbers.extend(bytes(slot * 4 + 4 - len(numbers)))
        numbers[slot * 4 : slot * 4 + 4] = number.to_bytes(4, "big")

    def _number(self, slot: int) -> int:
        return int.from_bytes(self._numbers[slot * 4 : slot * 4 + 4], "big")

    def rewind(self, count: int) -> None:
        """Forget what was put in after the first `count`: the peer may not have it, so it says how many it has.

        Raises:
            Malformed: the peer cannot have more than were sent.
        """
        if not 0 <= count <= self.count:
            raise Malformed("a table with more entries than were sent")
        self._last = None
        self._order = bytearray([slot for slot in self._order if self._number(slot) <= count])
        parts = self._packed[1:-1].split(b"\n")
        last = max(self._order, default=-1)
        self._pack([part if slot in self._order else b"" for slot, part in enumerate(parts[: last + 1])])
        self.count = count

    def export(self) -> list[Tree]:
        """Return the table for `fill`: each slot in use, the one not used for longest first, and how many entries came after its own."""
        ages: list[Tree] = [self.count - self._number(slot) for slot in self._order]
        return [self.count, self._packed, bytes(self._order), *ages]

    def fill(self, part: list[Any]) -> None:
        """Take what `export` returned."""
        self.count, self._packed, self._order = part[0], part[1], bytearray(part[2])
        for slot, age in zip(self._order, part[3:], strict=True):
            self._note(slot, self.count - age)


class SeenTable(Generic[V]):
    """The receiver's side: the value in each slot."""

    __slots__ = ("_entries", "count")

    def __init__(self) -> None:
        self._entries: list[V | None] = []
        self.count = 0

    def get(self, slot: int) -> V:
        """Return the value in a slot.

        Raises:
            Malformed: there is none.
        """
        value = self._entries[slot] if 0 <= slot < len(self._entries) else None
        if value is None:
            raise Malformed("a reference to an empty slot")
        return value

    def put(self, slot: int, value: V) -> None:
        """Put a value into the slot that the sender named.

        Raises:
            Malformed: there is no such slot, the value is too long to be kept, or there were too many.
        """
        if not 0 <= slot < SLOTS or _size(value) > MAX_VALUE_BYTES or self.count >= MAX_COUNT:
            raise Malformed("a slot that is not there, or an entry that cannot be kept")
        entries = self._entries
        if slot >= len(entries):
            entries.extend([None] * (slot + 1 - len(entries)))
        entries[slot] = value
        self.count += 1

    def export(self) -> list[Tree]:
        """Return the table for `fill`."""
        return [self.count, *[0 if entry is None else entry for entry in self._entries]]

    def fill(self, part: list[Any]) -> None:
        """Take what `export` returned."""
        self.count = part[0]
        self._entries = [None if entry == 0 else entry for entry in part[1:]]


class _Table(Protocol):
    def export(self) -> list[Tree]: ...

    def fill(self, part: list[Any]) -> None: ...


J = TypeVar("J", bound=_Table)
B = TypeVar("B", bound=_Table)


class _Both(Generic[J, B]):
    """A table of JIDs and one of values; asleep, they are bytes until someone asks for one of them."""

    __slots__ = ("_asleep", "_awake")

    def __init__(self) -> None:
        self._asleep = b""
        self._awake: tuple[J, B] | None = self._empty()

    def _empty(self) -> tuple[J, B]:
        raise NotImplementedError

    @property
    def jids(self) -> J:
        """The table of the envelope's addresses."""
        return (self._awake or self._wake())[0]

    @property
    def values(self) -> B:
        """The table of packed values."""
        return (self._awake or self._wake())[1]

    def _wake(self) -> tuple[J, B]:
        awake = self._awake = self._empty()
        for table, part in zip(awake, _parts(self._asleep), strict=True):
            table.fill(part)
        self._asleep = b""
        return awake

    def sleep(self) -> int:
        """Take as little memory as can be until they are used again; return how many bytes that is."""
        if self._awake is not None:
            self._asleep, self._awake = self.export(), None
        return len(self._asleep)

    def export(self) -> bytes:
        """Return the tables as bytes, for a session that goes on elsewhere."""
        return self._asleep if self._awake is None else encode([table.export() for table in self._awake])

    def _restore(self, data: bytes) -> None:
        try:
            self._asleep = data
            self._wake()
        except (ValueError, TypeError, IndexError):
            raise Malformed("not what was exported") from None


class SentTables(_Both[SentTable[str], SentTable[bytes]]):
    """What a writer keeps: JIDs of the envelope, and packed values."""

    __slots__ = ()

    def _empty(self) -> tuple[SentTable[str], SentTable[bytes]]:
        return SentTable(), SentTable()

    def rewind(self, jids: int, values: int) -> None:
        """Go on, over a resumed session, with what the peer says it has (see `SentTable.rewind`)."""
        self.jids.rewind(jids)
        self.values.rewind(values)

    @classmethod
    def restore(cls, data: bytes) -> SentTables:
        """Return what `export` wrote.

        Raises:
            Malformed: it was not written by it.
        """
        tables = cls()
        tables._restore(data)
        return tables


class SeenTables(_Both[SeenTable[str], SeenTable[bytes]]):
    """What a reader keeps: the peer's `SentTables`."""

    __slots__ = ()

    def _empty(self) -> tuple[SeenTable[str], SeenTable[bytes]]:
        return SeenTable(), SeenTable()

    @property
    def counts(self) -> tuple[int, int]:
        """How many values came in: what the peer's `rewind` needs when a session is resumed."""
        return self.jids.count, self.values.count

    @classmethod
    def restore(cls, data: bytes) -> SeenTables:
        """Return what `export` wrote.

        Raises:
            Malformed: it was not written by it.
        """
        tables = cls()
        tables._restore(data)
        return tables


class Tables:
    """Both directions of one end of a stream.

    Attributes:
        name: says which tables a client means that wants to go on with some; made of the id of the server's HELLO with which these
            began, and the same on both ends. Empty where that had none: such tables are not kept.
    """

    __slots__ = ("name", "seen", "sent")

    def __init__(self, stream_id: str) -> None:
        self.name = hashlib.sha256(stream_id.encode()).digest()[:NAME_BYTES] if stream_id else b""
        self.sent = SentTables()
        self.seen = SeenTables()

    def sleep(self) -> int:
        """Take as little memory as can be until they are used again; return how many bytes that is."""
        return self.sent.sleep() + self.seen.sleep()

    def request(self) -> Claim:
        """Return what a client says that wants to go on with these."""
        return Claim(*self.seen.counts, self.name)

    def answer(self) -> Claim:
        """Return what a server says that goes on with these."""
        return Claim(*self.seen.counts)

    def go_on(self, claim: Claim) -> None:
        """Forget what the peer may not have: it says how much it has.

        Raises:
            Malformed: the peer names other tables, or has more than was sent; these are of no use any more.
        """
        if claim.name and claim.name != self.name:
            raise Malformed("tables of another name")
        self.sent.rewind(claim.jids, claim.values)


def _key(value: str | bytes) -> bytes:
    """Return a value as bytes without a line feed, which no address has either."""
    return value.encode() if isinstance(value, str) else b2a_base64(value, newline=False)


def _size(value: str | bytes) -> int:
    """Return how many bytes a value takes on the wire."""
    return len(value) if isinstance(value, bytes) or value.isascii() else len(value.encode())


def _parts(data: bytes) -> list[list[Tree]]:
    read = read_tree(data, 3)
    if len(read) != 1 or not isinstance(read[0], list) or len(read[0]) != 2:
        raise Malformed("not what was exported")
    return [part for part in read[0] if isinstance(part, list) and part]
