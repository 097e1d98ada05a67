"""What a room keeps ready for newcomers (XEP-0045 §7.2.13, §7.2.14)."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from codec.jid import JID
from codec.payload import Payload, attr
from codec.payloads.delay import Delay
from codec.stanza import Message
from codec.values import int_between, parse_datetime

NS = "http://jabber.org/protocol/muc"
_count = int_between(0, 2**31 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish(Payload, tag=(NS, "history")):
    """What a newcomer wants: at most so many characters, messages, seconds back, or since a moment; all that is given holds."""

    maxchars: int | None = attr(parse=_count)
    maxstanzas: int | None = attr(parse=_count)
    seconds: int | None = attr(parse=_count)
    since: datetime | None = attr(parse=parse_datetime)


class Entry:
    """One message; `delayed` is what newcomers get, without `to`."""

    __slots__ = ("at", "delayed", "id", "size")

    def __init__(self, message: Message, at: datetime, id_: int, room: JID) -> None:
        self.delayed = message.adding(Delay(from_=room, stamp=at))
        self.at = at
        self.id = id_
        self.size = len(self.delayed.inner)


class History:
    """The last messages of a room."""

    __slots__ = ("_entries", "_room")

    def __init__(self, room: JID, length: int) -> None:
        self._room = room
        self._entries: deque[Entry] = deque(maxlen=length)

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, id_: int) -> bool:
        """Whether a message of that archive id is among them."""
        return any(entry.id == id_ for entry in self._entries)

    def resize(self, length: int) -> None:
        """Keep that many from now on."""
        self._entries = deque(self._entries, maxlen=length)

    def add(self, message: Message, at: datetime, id_: int) -> None:
        """Keep a message as occupants got it, `to` aside."""
        if self._entries.maxlen:
            self._entries.append(Entry(message, at, id_, self._room))

    def remove(self, id_: int) -> None:
        """Forget a message by its archive id."""
        if id_ not in self:
            return
        self._entries = deque((entry for entry in self._entries if entry.id != id_), maxlen=self._entries.maxlen)

    def select(self, wish: Wish | None, now: datetime) -> list[Message]:
        """Return what a newcomer gets, oldest first."""
        wish = wish or Wish()
        oldest = wish.since
        if wish.seconds is not None:
            back = now - timedelta(seconds=min(wish.seconds, 10**9))
            oldest = back if oldest is None else max(oldest, back)
        found: list[Message] = []
        chars = 0
        for entry in reversed(self._entries):
            chars += entry.size
            if oldest is not None and entry.at < oldest:
                break
            if wish.maxstanzas is not None and len(found) >= wish.maxstanzas:
                break
            if wish.maxchars is not None and chars > wish.maxchars:
                break
            found.append(entry.delayed)
        found.reverse()
        return found
