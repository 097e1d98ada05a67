"""What waits to be sent to one domain, in order, within bounds; messages of our accounts wait in storage too.

A message is stored before its sender is told that we have it, and removed once the other server has it: neither our end nor theirs
loses it (promise 1). Presence and requests are of the moment and are kept in memory alone.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from codec.stanza import Message, Stanza
from codec.xml_reader import read_stanza
from storage.interface import Commit, MapStore

STANZA_BYTES = 500
"""What a stanza here costs beside its payload."""

OWNER_PREFIX = "s2s "
"""Of the owners under which queues are stored: "s2s OURS THEIRS"."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A stanza that waits.

    Attributes:
        id: under which it is stored, 0: it is not.
        until: `Clock.monotonic` at which its time is over.
    """

    stanza: Stanza
    id: int
    until: float

    def is_of(self, ours: str, theirs: str) -> bool:
        """Whether it goes from the one domain to the other."""
        from_, to = self.stanza.from_, self.stanza.to
        return from_ is not None and to is not None and from_.domainpart == ours and to.domainpart == theirs


class Budget:
    """Bytes that all queues share; `left` may go below zero by what was stored before the start."""

    __slots__ = ("left",)

    def __init__(self, bytes_: int) -> None:
        self.left = bytes_


class Queue:
    """One pair of domains.

    Args:
        owner: under which it is stored.
        store: holds messages, by id.
        budget: shared with the other queues.
        max_stanzas, max_bytes: what may wait here.
    """

    __slots__ = ("_budget", "_bytes", "_entries", "_max_bytes", "_max_stanzas", "_owner", "_store")

    def __init__(self, owner: str, store: MapStore, budget: Budget, max_stanzas: int, max_bytes: int) -> None:
        self._owner = owner
        self._store = store
        self._budget = budget
        self._max_stanzas = max_stanzas
        self._max_bytes = max_bytes
        self._entries: deque[Entry] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def has_room(self, stanza: Stanza) -> bool:
        """Whether one more stanza may wait."""
        size = _size(stanza)
        return (
            len(self._entries) < self._max_stanzas
            and self._bytes + size <= self._max_bytes
            and size <= self._budget.left
        )

    def put(self, entry: Entry) -> Commit | None:
        """Add a stanza at the end; store it if it has an id, and return the commit of that.

        Raises:
            StorageFull: it cannot be stored, and was not added.
        """
        commit = None
        if entry.id:
            commit = self._store.update(self._owner, {_key(entry.id): entry.stanza.to_xml()})
        self._add(entry)
        return commit

    def put_back(self, entries: list[Entry]) -> None:
        """Put stanzas that were taken out before all others again, oldest first; they are still stored."""
        for entry in reversed(entries):
            self._entries.appendleft(entry)
            self._count(entry, 1)

    def take(self) -> Entry:
        """Take the oldest one out of memory; it stays in storage until `forget`."""
        entry = self._entries.popleft()
        self._count(entry, -1)
        return entry

    def take_due(self, now: float) -> list[Entry]:
        """Take out those whose time is over."""
        due = [entry for entry in self._entries if entry.until <= now]
        if due:
            left = [entry for entry in self._entries if entry.until > now]
            self.take_all()
            self.put_back(left)
        return due

    def take_all(self) -> list[Entry]:
        """Take out all."""
        entries = list(self._entries)
        self._entries.clear()
        for entry in entries:
            self._count(entry, -1)
        return entries

    def forget(self, ids: list[int]) -> None:
        """Remove from storage what the other server has, or what its sender was told of."""
        keys = [_key(id_) for id_ in ids if id_]
        if keys:
            self._store.update(self._owner, {}, keys)

    async def load(self, until: float) -> list[str]:
        """Read what was stored before the start of this process; return the keys of what cannot be read, which stays stored."""
        unreadable = []
        for key, xml in (await self._store.items(self._owner)).items():
            try:
                self._add(Entry(read_stanza(xml), int(key, 16), until))
            except ValueError:
                unreadable.append(key)
        return unreadable

    def _add(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._count(entry, 1)

    def _count(self, entry: Entry, sign: int) -> None:
        size = _size(entry.stanza) * sign
        self._bytes += size
        self._budget.left -= size


def is_kept(stanza: Stanza) -> bool:
    """Whether a stanza is stored while it waits: a message that says something and is no answer that went wrong."""
    return isinstance(stanza, Message) and stanza.type != "error" and bool(stanza.tags)


def owner_of(ours: str, theirs: str) -> str:
    """Return the owner under which the queue of a pair of domains is stored."""
    return f"{OWNER_PREFIX}{ours} {theirs}"


def pair_of(owner: str) -> tuple[str, str]:
    """Return the pair of an owner that `owner_of` made."""
    _, ours, theirs = owner.split(" ")
    return ours, theirs


def _size(stanza: Stanza) -> int:
    return len(stanza.inner) + STANZA_BYTES


def _key(id_: int) -> str:
    return f"{id_:016x}"
