"""Result sets: XEP-0059."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.element import parse_element
from codec.payload import PayloadError
from codec.payloads.rsm import First, Set

COUNTS = st.none() | st.integers(0, 2**63 - 1)
IDS = st.none() | st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=5)
SETS = st.builds(
    Set,
    max=COUNTS,
    after=IDS,
    before=IDS,
    index=COUNTS,
    count=COUNTS,
    last=IDS,
    first=st.none() | st.builds(First, index=COUNTS, id=IDS.map(lambda text: text or "")),
)


def read(inside):
    return Set.from_element(parse_element(f"<set xmlns='http://jabber.org/protocol/rsm'>{inside}</set>".encode()))


@given(SETS)
def test_set_survives_writing_and_reading(value):
    assert Set.from_element(parse_element(value.to_xml())) == value


def test_empty_before_asks_for_the_last_page_and_no_before_does_not():
    assert read("<max>10</max><before/>") == Set(max=10, before="")
    assert read("<before/>").asks_last_page
    assert not read("<before>x</before>").asks_last_page
    assert not read("<max>10</max>").asks_last_page
    assert Set(before="").to_xml() == b"<set xmlns='http://jabber.org/protocol/rsm'><before/></set>"


def test_max_of_zero_asks_for_the_count_alone():
    assert read("<max>0</max>").asks_count_only
    assert not read("<max>1</max>").asks_count_only
    assert not read("").asks_count_only


def test_page_of_an_answer_is_written():
    page = Set(first=First(index=0, id="a"), last="b", count=800)
    assert page.to_xml().decode() == (
        "<set xmlns='http://jabber.org/protocol/rsm'><count>800</count><first index='0'>a</first><last>b</last></set>"
    )


@pytest.mark.parametrize("inside", ["<max/>", "<max>-1</max>", "<max>ten</max>", "<index>99999999999999999999</index>"])
def test_malformed_numbers_are_refused(inside):
    with pytest.raises(PayloadError):
        read(inside)
