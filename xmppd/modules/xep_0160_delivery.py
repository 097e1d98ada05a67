"""What has reached an account and what has not: the counting behind XEP-0160, without input or output.

Pending messages of the archive stand in the order of their ids. `unread` divides them: those up to its id are known one by one, those
above it are known only as far as they came while somebody was there, and the rest still has to be read from storage.

    up to `cursor`      has reached a resource (derived: below the first that is outstanding)
    known               has reached one, unless it is `outstanding`: on its way to one, or `lost` and waiting for another
    above `unread.to`   waits in storage, unless it is `unread.ahead` (on its way) or `unread.reached`

Without `unread` everything is known. Reading storage from `start` on goes through `take` for each message found and `passed` at the end.
"""

from dataclasses import dataclass, field
from itertools import islice

MAX_REACHED = 20_000
"""Ids above what is known that need not be given again; beyond it some may come twice. About 60 bytes each."""

MAX_HOLES = 50
"""Ids that a stored state lists, 20 bytes each: what is on its way beside newer messages that have reached somebody. Where there are
more, those newer ones come again after a restart."""

State = tuple[int, ...]
"""What is stored: an id, and ids below it in ascending order. Up to the first everything has reached somebody but the others."""


@dataclass(slots=True)
class Unread:
    """From where on storage must be read; ids of messages above it that somebody has, or has on the way."""

    to: int
    ahead: dict[int, None] = field(default_factory=dict)
    reached: set[int] = field(default_factory=set)
    newest: int = 0
    """The last message that came and found nobody."""


class Delivery:
    """Where an account stands.

    Attributes:
        outstanding: known ids that have not reached anybody, ascending.
        lost: those of them that nobody has on the way.
        unread: what is not known; None when everything is.
        top: the highest id that was ever given to a resource here.
        saved: the state as it is stored.
        is_giving: what waits is being given now.
    """

    __slots__ = ("_sought", "is_giving", "lost", "outstanding", "saved", "top", "unread")

    def __init__(self, state: State = (0,)) -> None:
        known_to, *holes = self.saved = state
        self.outstanding: dict[int, None] = dict.fromkeys(holes)
        self.lost: set[int] | None = set(holes) if holes else None
        self.unread: Unread | None = Unread(known_to)
        self.top = known_to
        self.is_giving = False
        self._sought: set[int] | None = None

    @property
    def cursor(self) -> int:
        """Up to which id everything has reached a resource."""
        return next(iter(self.outstanding)) - 1 if self.outstanding else self._known_to

    @property
    def state(self) -> State:
        """What is to be stored."""
        holes = list(islice(self.outstanding, MAX_HOLES + 1))
        if len(holes) <= MAX_HOLES:
            return (self._known_to, *holes)
        return (holes.pop() - 1, *holes)

    @property
    def _known_to(self) -> int:
        return self.top if self.unread is None else self.unread.to

    @property
    def is_waiting(self) -> bool:
        """Whether something waits, or may wait, in storage."""
        return self.unread is not None or bool(self.lost)

    def is_on_the_way(self, id_: int) -> bool:
        """Whether a resource has it and has not acknowledged it yet."""
        if id_ in self.outstanding:
            return self.lost is None or id_ not in self.lost
        return self.unread is not None and id_ in self.unread.ahead

    # while somebody is there

    def came(self, id_: int, is_on_the_way: bool) -> None:
        """Note a new message: on its way to a resource, or waiting. One that was `confirm`ed while it was handed over is not noted."""
        if id_ <= self.top:
            return
        unread = self.unread
        if is_on_the_way:
            self.top = id_
            if unread is None:
                self.outstanding[id_] = None
            else:
                unread.ahead[id_] = None
            return
        if unread is None:
            unread = self.unread = Unread(max(self.top, id_ - 1))
        unread.newest = id_

    def confirm(self, id_: int) -> None:
        """Note that a message has reached a resource."""
        if id_ > self.top:
            self.top = id_
        if id_ in self.outstanding:
            del self.outstanding[id_]
            if self.lost:
                self.lost.discard(id_)
            return
        unread = self.unread
        if unread is not None:
            unread.ahead.pop(id_, None)
            if id_ > unread.to and len(unread.reached) < MAX_REACHED:
                unread.reached.add(id_)

    def gave(self, id_: int) -> None:
        """Note that a message that waited, or may have waited, is on its way to somebody."""
        if self.lost:
            self.lost.discard(id_)
        unread = self.unread
        if unread is not None and id_ > unread.to and id_ not in unread.reached:
            unread.ahead[id_] = None
            self.top = max(self.top, id_)

    def know(self, id_: int) -> None:
        """Note that a client has everything up to an id, as it says; what is on its way to others stays so."""
        if self.lost:
            for other in [other for other in self.lost if other <= id_]:
                self.lost.discard(other)
                del self.outstanding[other]
        self.top = max(self.top, id_)
        unread = self.unread
        if unread is not None and unread.to < id_:
            self._settle([other for other in unread.ahead if other <= id_], unread)
            unread.reached = {other for other in unread.reached if other > id_}
            unread.to = id_

    def lose(self, id_: int) -> bool:
        """Note that nobody has a message on the way any more; return whether it waits now (False: it has reached somebody)."""
        if id_ in self.outstanding:
            if self.lost is None:
                self.lost = set()
            self.lost.add(id_)
            return True
        if self.unread is not None and id_ in self.unread.ahead:
            del self.unread.ahead[id_]  # storage has it, like all the rest up there
            return True
        return False

    # reading storage

    def start(self) -> int:
        """Begin to read what waits; return the id behind which it starts."""
        self._sought = set(self.lost) if self.lost else None
        places = [id_ - 1 for id_ in self._sought] if self._sought else []
        if self.unread is not None:
            places.append(self.unread.to)
        return min(places, default=self.top)

    def take(self, id_: int) -> bool:
        """Take the next message that was read; return whether it is to be given. Then it is on its way."""
        unread = self.unread
        if unread is not None and id_ > unread.to:
            unread.to = id_
            if id_ in unread.reached:
                unread.reached.discard(id_)
                return False
            is_new = id_ not in unread.ahead
            unread.ahead.pop(id_, None)
            self.outstanding[id_] = None
            self.top = max(self.top, id_)
            return is_new
        if self._sought:
            self._sought.discard(id_)
        if self.lost and id_ in self.lost:
            self.lost.discard(id_)
            return True
        return False

    def passed(self, mark: int) -> None:
        """Note that everything up to `mark` has been read: what waited and was not found is not there (its commit failed)."""
        if self._sought and self.lost:
            for id_ in self._sought & self.lost:
                self.lost.discard(id_)
                del self.outstanding[id_]
        self._sought = None
        unread = self.unread
        if unread is None:
            return
        is_all = unread.newest <= mark
        self._settle([id_ for id_ in unread.ahead if is_all or id_ <= mark], unread)
        if is_all:
            self.unread = None
        elif unread.to < mark:
            unread.to = mark
            unread.reached = {id_ for id_ in unread.reached if id_ > mark}

    def _settle(self, ids: list[int], unread: Unread) -> None:
        """Count ids that are on their way among those that are known one by one."""
        for id_ in sorted(ids):
            del unread.ahead[id_]
            self.outstanding[id_] = None
