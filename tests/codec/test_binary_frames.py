"""Lengths of frames."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec import binary_frames as frames
from codec.binary_cbor import Malformed


@given(st.integers(0, (1 << 32) - 1), st.binary(max_size=3))
def test_a_length_comes_back_with_its_end(n, rest):
    data = frames.varint(n)
    assert frames.read_varint(data + rest, 0) == (n, len(data))


@given(st.integers(0, (1 << 32) - 1))
def test_a_length_that_is_not_all_there_waits(n):
    data = frames.varint(n)
    for end in range(len(data)):
        assert frames.read_varint(data[:end], 0) is None


@pytest.mark.parametrize("data", ["8000", "ffffffff7f", "8080808080", "ffffffffff"])
def test_longer_or_larger_lengths_are_malformed(data):
    with pytest.raises(Malformed):
        frames.read_varint(bytes.fromhex(data), 0)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 20_000])
def test_a_frame_is_its_type_its_length_and_its_body(size):
    data = frames.frame(frames.STANZA, b"x" * size, 8)
    assert data[0] == 0x18
    assert frames.read_varint(data, 1) == (size, len(data) - size)
