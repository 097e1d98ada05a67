"""The subset of CBOR: what it writes any decoder reads, and what it reads is written in one way only."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec import binary_cbor as cbor

LEAVES = st.one_of(st.integers(-(1 << 32), (1 << 32) - 1), st.text(max_size=40), st.binary(max_size=300))
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=5), max_leaves=20)


@given(TREES)
def test_a_general_decoder_reads_what_is_written(tree):
    assert cbor2.loads(cbor.encode(tree)) == tree


@given(TREES)
def test_what_is_written_is_canonical(tree):
    assert cbor.encode(tree) == cbor2.dumps(tree, canonical=True)


@given(st.lists(TREES, max_size=5))
def test_a_sequence_comes_back(trees):
    assert cbor.read_tree(b"".join(map(cbor.encode, trees)), 20) == trees


@given(st.lists(LEAVES, max_size=8))
def test_a_flat_sequence_comes_back(items):
    assert cbor.read_flat(b"".join(map(cbor.encode, items))) == items


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_refused_and_only_canonical_ones_are_read(data):
    try:
        trees = cbor.read_tree(data, 8)
    except cbor.Malformed:
        return
    assert b"".join(map(cbor.encode, trees)) == data


@pytest.mark.parametrize(
    "data",
    [
        "1800",  # 0 in two bytes
        "190001",
        "1a00000001",
        "1b0000000000000001",
        "5800",
        "7801" + "61",
        "c0",  # a tag
        "d81c81d81d00",  # a list that holds itself
        "c24901000000000000000000",  # a big number
        "f6",
        "f97e00",
        "a0",
        "9fff",
        "5f41004100ff",
        "61ff",  # no UTF-8
        "62c080",
        "64eda080",  # a surrogate, and an end inside a text
        "42ff",
        "1a0000",
        "9affffffff",
        "5affffffff00",
    ],
)
def test_everything_else_is_malformed(data):
    with pytest.raises(cbor.Malformed):
        cbor.read_tree(bytes.fromhex(data), 8)
    with pytest.raises(cbor.Malformed):
        cbor.read_flat(bytes.fromhex(data))


def test_arrays_are_read_as_deep_as_allowed_and_no_deeper():
    assert cbor.read_tree(b"\x81" * 8 + b"\x00", 8) == [[[[[[[[[0]]]]]]]]]
    with pytest.raises(cbor.Malformed):
        cbor.read_tree(b"\x81" * 9 + b"\x00", 8)


def test_a_number_that_no_frame_holds_is_not_written():
    with pytest.raises(ValueError):
        cbor.integer(1 << 32)


def test_arrays_and_texts_are_put_together_from_parts():
    assert cbor.array([cbor.integer(1), cbor.text("a")]) == cbor2.dumps([1, "a"])
    assert cbor.texts(["a", "é"]) == cbor2.dumps("a") + cbor2.dumps("é")
    assert cbor.blob(b"x" * 300) == cbor2.dumps(b"x" * 300)
    assert cbor.item_at(cbor2.dumps([1, [2]]) + b"\x00", 0, 3) == ([1, [2]], 4)
