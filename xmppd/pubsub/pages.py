"""Which items of a node are asked for (XEP-0060 §6.5): the newest first, by number, by id, or by page (XEP-0059)."""

from collections.abc import Sequence
from dataclasses import dataclass

from codec.payloads.rsm import First, Set
from xmppd.errors import StanzaError
from xmppd.pubsub.limits import PAGE_ITEMS


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list.

    Attributes:
        ids: which. index: of the first of them in the whole. count: of the whole.
    """

    ids: tuple[str, ...]
    index: int
    count: int

    def first(self, number: int) -> "Page":
        """Return a page of its first ones."""
        return Page(self.ids[:number], self.index, self.count)

    @property
    def is_all(self) -> bool:
        """Whether nothing is left out."""
        return len(self.ids) == self.count

    @property
    def rsm(self) -> Set:
        """What is said of it."""
        if not self.ids:
            return Set(count=self.count)
        return Set(first=First(index=self.index, id=self.ids[0]), last=self.ids[-1], count=self.count)


def page_of(ids: Sequence[str], rsm: Set | None, most: int = PAGE_ITEMS) -> Page:
    """Return the page that is asked for.

    Raises:
        StanzaError: item-not-found: it is to begin or end at an id that is not there.
    """
    rsm = rsm or Set()
    size = min(most, most if rsm.max is None else rsm.max)
    count = len(ids)
    if rsm.index is not None:
        start = rsm.index
    elif rsm.after:
        start = _find(ids, rsm.after) + 1
    elif rsm.before is not None:
        end = _find(ids, rsm.before) if rsm.before else count
        start = max(0, end - size)
        size = end - start
    else:
        start = 0
    return Page(tuple(ids[start : start + size]), start, count)


def _find(ids: Sequence[str], id_: str) -> int:
    try:
        return ids.index(id_)
    except ValueError as error:
        raise StanzaError("item-not-found", text="There is no such item to begin at.") from error
