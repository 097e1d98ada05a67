"""Letter tables: texts in half their size, and every string of bits is some text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.binary_dictionary import load
from codec.binary_letters import END, MAX_BITS, code_lengths

TABLES = load("0001").tables.letters
LATIN = TABLES[0]


@given(st.text(alphabet=st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=80))
def test_a_text_of_the_table_comes_back(text):
    data = LATIN.pack(text)
    assert data is not None
    assert LATIN.unpack(data) == text


@given(st.binary(max_size=200), st.integers(0, len(TABLES) - 1))
def test_every_string_of_bits_is_some_text(data, index):
    text = TABLES[index].unpack(data)
    assert END not in text
    assert len(text) <= len(data) * 8


def test_what_people_write_goes_in_little_more_than_half():
    text = "Could you tell me when the next train leaves? I would like to be home before ten."
    assert len(LATIN.pack(text)) < 0.6 * len(text)


def test_other_letters_are_not_in_the_table():
    assert LATIN.pack("好") is None
    assert LATIN.pack("x" * 2_000) is None


@given(st.dictionaries(st.text(min_size=1, max_size=1), st.floats(1e-9, 1e6), min_size=2, max_size=60))
def test_the_code_is_complete_and_short_enough(weights):
    lengths = code_lengths(weights)
    assert max(lengths.values()) <= MAX_BITS
    assert sum(2.0**-size for size in lengths.values()) == 1.0


@pytest.mark.parametrize("table", TABLES)
def test_no_letter_hides_in_what_fills_up_the_last_byte(table):
    for codes in table._codes.values():
        assert set(codes[END]) == {"1"}
        assert len(codes[END]) >= 8
