"""Pages of items."""

import pytest

from codec.payloads.rsm import Set
from xmppd.errors import StanzaError
from xmppd.pubsub.pages import page_of

IDS = ["e", "d", "c", "b", "a"]


@pytest.mark.parametrize(
    ("rsm", "found", "index"),
    [
        (None, "edcba", 0),
        (Set(max=2), "ed", 0),
        (Set(max=2, after="d"), "cb", 2),
        (Set(max=2, after="a"), "", 5),
        (Set(max=2, before="c"), "ed", 0),
        (Set(max=1, before="c"), "d", 1),
        (Set(max=2, before=""), "ba", 3),
        (Set(max=2, index=1), "dc", 1),
        (Set(max=2, index=7), "", 7),
        (Set(max=0), "", 0),
    ],
)
def test_page_is_the_one_that_was_asked_for(rsm: Set | None, found: str, index: int) -> None:
    page = page_of(IDS, rsm)
    assert "".join(page.ids) == found and page.index == index and page.count == 5


def test_no_page_is_larger_than_the_limit() -> None:
    assert page_of(IDS, Set(max=4), most=3).ids == ("e", "d", "c")
    assert page_of(IDS, None, most=3).ids == ("e", "d", "c")


def test_id_that_is_not_there_begins_no_page() -> None:
    for rsm in (Set(after="x"), Set(before="x")):
        with pytest.raises(StanzaError) as caught:
            page_of(IDS, rsm)
        assert caught.value.condition == "item-not-found"


def test_page_tells_where_it_is() -> None:
    rsm = page_of(IDS, Set(max=2, after="e")).rsm
    assert rsm.first is not None and (rsm.first.id, rsm.first.index, rsm.last, rsm.count) == ("d", 1, "c", 5)
    assert page_of([], None).rsm == Set(count=0)


def test_page_that_is_cut_knows_that_it_is_not_all() -> None:
    assert page_of(IDS, None).is_all
    assert not page_of(IDS, None).first(4).is_all
