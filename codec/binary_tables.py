"""Whole values that one direction of a stream has carried before, so that a slot's number can stand for them.

The sender says explicitly what goes into which slot, so both sides agree whatever either thinks of the content. Only whole values
are compared, never parts of them, and only such as the server asserts (see docs/binary-framing.md, Security).
Nothing in the tables may outlive what the peer has surely read: `SentTable.rewind` forgets what may have been lost.
"""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from codec.binary_cbor import Malformed, Tree, encode, read_tree

SLOTS = 64
"""Of each table. More gains little: 128 save half a percent of a mobile day."""

MAX_VALUE_BYTES = 256
"""Longer values are not kept: 64 of them are what a peer can make us hold."""

V = TypeVar("V", str, bytes)


class SentTable(Generic[V]):
    """The sender's side: which value is in which slot; the one not used for longest makes room.

    Attributes:
        count: how many values were put in since the beginning.
    """

    __slots__ = ("_numbers", "_slots", "_spare", "count")

    def __init__(self) -> None:
        self._slots: dict[V, int] = {}
        self._spare: list[int] = []
        self._numbers = bytearray(SLOTS * 4)
        self.count = 0

    def find(self, value: V) -> int | None:
        """Return the slot of a value, which counts as used now."""
        slot = self._slots.pop(value, None)
        if slot is not None:
            self._slots[value] = slot
        return slot

    def values(self) -> dict[V, int]:
        """Return every value with its slot, the one not used for longest first."""
        return self._slots

    def insert(self, value: V) -> int | None:
        """Put a value in and return its slot; None when it is too long to be kept."""
        if len(value) > MAX_VALUE_BYTES:
            return None
        slots = self._slots
        if not self._spare and len(slots) == SLOTS:
            self._spare.append(slots.pop(next(iter(slots))))
        slot = self._spare.pop() if self._spare else len(slots)
        slots[value] = slot
        self.count += 1
        self._numbers[slot * 4 : slot * 4 + 4] = (self.count & 0xFFFFFFFF).to_bytes(4, "big")
        return slot

    def rewind(self, count: int) -> None:
        """Forget what was put in after the first `count`: the peer may not have it, so it says how many it has.

        Raises:
            Malformed: the peer cannot have more than were sent.
        """
        if not 0 <= count <= self.count:
            raise Malformed("a table with more entries than were sent")
        numbers = self._numbers
        self._slots = {
            value: slot
            for value, slot in self._slots.items()
            if int.from_bytes(numbers[slot * 4 : slot * 4 + 4], "big") <= count
        }
        self._keep_spare()
        self.count = count

    def fill(self, part: list[Any]) -> None:
        """Take what `SentTables.export` wrote of a table."""
        self.count, numbers = part[0], part[1]
        self._numbers = bytearray(numbers)
        self._slots = dict(zip(part[2::2], part[3::2], strict=True))
        self._keep_spare()

    def _keep_spare(self) -> None:
        used = set(self._slots.values())
        self._spare = [slot for slot in range(SLOTS - 1, -1, -1) if slot not in used]


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
            Malformed: there is no such slot, or the value is too long to be kept.
        """
        if not 0 <= slot < SLOTS or len(value) > MAX_VALUE_BYTES:
            raise Malformed("a slot that is not there, or a value too long for one")
        entries = self._entries
        if slot >= len(entries):
            entries.extend([None] * (slot + 1 - len(entries)))
        entries[slot] = value
        self.count += 1

    def fill(self, part: list[Any]) -> None:
        """Take what `SeenTables.export` wrote of a table."""
        self.count = part[0]
        self._entries = [None if entry == 0 else entry for entry in part[1:]]


class SentTables:
    """What a writer keeps: JIDs of the envelope, and packed values."""

    __slots__ = ("jids", "values")

    def __init__(self) -> None:
        self.jids: SentTable[str] = SentTable()
        self.values: SentTable[bytes] = SentTable()

    def rewind(self, jids: int, values: int) -> None:
        """Go on, over a resumed session, with what the peer says it has (see `SentTable.rewind`)."""
        self.jids.rewind(jids)
        self.values.rewind(values)

    def export(self) -> bytes:
        """Return the tables as bytes, for a session that goes on elsewhere."""
        parts: list[Tree] = []
        for table in (self.jids, self.values):
            parts.append([table.count & 0xFFFFFFFF, bytes(table._numbers), *_flat(table.values())])
        return encode(parts)

    @classmethod
    def restore(cls, data: bytes) -> SentTables:
        """Return what `export` wrote.

        Raises:
            Malformed: it was not written by it.
        """
        tables = cls()
        jids, values = _parts(data)
        tables.jids.fill(jids)
        tables.values.fill(values)
        return tables


class SeenTables:
    """What a reader keeps: the peer's `SentTables`."""

    __slots__ = ("jids", "values")

    def __init__(self) -> None:
        self.jids: SeenTable[str] = SeenTable()
        self.values: SeenTable[bytes] = SeenTable()

    @property
    def counts(self) -> tuple[int, int]:
        """How many values came in: what the peer's `rewind` needs when a session is resumed."""
        return self.jids.count, self.values.count

    def export(self) -> bytes:
        """Return the tables as bytes, for a session that goes on elsewhere."""
        parts: list[Tree] = []
        for table in (self.jids, self.values):
            parts.append([table.count, *[0 if entry is None else entry for entry in table._entries]])
        return encode(parts)

    @classmethod
    def restore(cls, data: bytes) -> SeenTables:
        """Return what `export` wrote.

        Raises:
            Malformed: it was not written by it.
        """
        tables = cls()
        jids, values = _parts(data)
        tables.jids.fill(jids)
        tables.values.fill(values)
        return tables


def _flat(slots: dict[str, int] | dict[bytes, int]) -> list[Tree]:
    flat: list[Tree] = []
    for value, slot in slots.items():
        flat += [value, slot]
    return flat


def _parts(data: bytes) -> list[list[Tree]]:
    read = read_tree(data, 3)
    if len(read) != 1 or not isinstance(read[0], list) or len(read[0]) != 2:
        raise Malformed("not what was exported")
    return [part for part in read[0] if isinstance(part, list) and part]
