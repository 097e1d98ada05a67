"""XEP-0059: Result Set Management."""

from dataclasses import dataclass

from codec.payload import Payload, attr, child, child_text, text
from codec.values import int_between

NS = "http://jabber.org/protocol/rsm"

_parse_count = int_between(0, 2**63 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class First(Payload, tag=(NS, "first")):
    """The first item of a page.

    Attributes:
        index: how many items of the whole result come before it, or None when unknown.
        id: what `before` takes.
    """

    index: int | None = attr(parse=_parse_count)
    id: str = text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Set(Payload, tag=(NS, "set")):
    """Which page is asked for, or which page this is.

    Attributes:
        max: the most items on the page; 0 asks for the count alone (§2.7).
        after: the page that follows this id.
        before: the page that comes before this id; "" asks for the last page (§2.5), None is no such wish.
        index: the page that begins at this item, from 0 (§2.6).
        count: items in the whole result.
        first, last: of this page; None when it is empty.
    """

    max: int | None = child_text(parse=_parse_count)
    after: str | None = child_text()
    before: str | None = child_text()
    index: int | None = child_text(parse=_parse_count)
    count: int | None = child_text(parse=_parse_count)
    first: First | None = child(First)
    last: str | None = child_text()

    @property
    def asks_last_page(self) -> bool:
        """`before` is there and empty."""
        return self.before == ""

    @property
    def asks_count_only(self) -> bool:
        """`max` is 0."""
        return self.max == 0
