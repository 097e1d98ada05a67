"""Packed values: the very same text comes back, or it is not packed."""

import base64
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec import binary_values as values
from codec.binary_cbor import Malformed

LIKELY = st.one_of(
    st.text(max_size=50),
    st.from_regex(r"[A-Za-z0-9+/_=-]{4,40}", fullmatch=True),
    st.from_regex(r"[0-9a-fA-F:]{4,40}", fullmatch=True),
    st.from_regex(r"[0-9]{1,40}", fullmatch=True),
    st.from_regex(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,7})?Z", fullmatch=True),
    st.uuids().map(str),
    st.uuids().map(lambda value: str(value).upper()),
)


@given(LIKELY)
def test_a_packed_text_comes_back_unchanged(text):
    packed = values.pack(text)
    if packed is not None:
        values.check(*packed)
        assert values.unpack(*packed) == text


@given(st.integers(0, values.KINDS - 1), st.binary(max_size=40))
def test_whatever_passes_the_check_can_be_unpacked(kind, data):
    try:
        values.check(kind, data)
    except Malformed:
        return
    assert isinstance(values.unpack(kind, data), str)


@pytest.mark.parametrize(
    ("text", "kind", "size"),
    [
        ("0b0b4a6c-5b5e-4b6f-9f0a-3f6c1d2e4f5a", values.UUID, 16),
        ("0B0B4A6C-5B5E-4B6F-9F0A-3F6C1D2E4F5A", values.UUID_UPPER, 16),
        ("2026-02-28T23:59:59Z", values.STAMP, 4),
        ("2026-02-28T23:59:59.123456Z", values.STAMP_US, 7),
        ("2026-02-28T23:59:59.123Z", values.STAMP_MS, 6),
        ("cf89e5bd9b95aa3e604dad41f6117234b322ca69", values.HEX, 20),
        ("CF89E5BD9B95AA3E", values.HEX_UPPER, 8),
        ("CF:89:E5:BD", values.COLONS, 4),
        ("ftG2sWK5AKdNtuMSAE2SwdKdg20=", values.BASE64, 20),
        ("vkHJpFWtGevgcbXzLivLiQ", values.BASE64URL, 16),
        ("ab-_", values.BASE64URL_PADDED, 3),
        ("1764017200000000", values.DECIMAL, 7),
    ],
)
def test_each_kind_takes_its_form(text, kind, size):
    packed = values.pack(text)
    assert packed is not None
    assert packed[0] == kind
    assert len(packed[1]) == size


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ok!",
        "２０２６-02-28T23:59:59Z",
        "٢٠٢٦-02-28T23:59:59Z",
        "2026-02-30T00:00:00Z",
        "2019-01-01T00:00:00Z",
        "2026-02-28T23:59:60Z",
        "2026-02-28T24:00:00Z",
        "0123",
        "QUJDRB==x",
        "QUJD RA=",
        "hello world",
    ],
)
def test_texts_that_would_not_come_back_stay_texts(text):
    packed = values.pack(text)
    assert packed is None or values.unpack(*packed) == text


@given(st.from_regex(r"[a-z0-9.@_-]{4,100}", fullmatch=True))
def test_dense_texts_come_back(text):
    data = values.pack_dense(text)
    assert data is not None
    assert values.unpack_dense(data) == text
    assert len(data) <= len(text) * 2 // 3 + 2


@given(st.binary(max_size=220))
def test_any_bytes_are_a_dense_text_or_refused(data):
    try:
        text = values.unpack_dense(data)
    except Malformed:
        return
    assert values.pack_dense(text) in (data, None)


@pytest.mark.parametrize("text", ["abc", "Ab.c@d", "a b c d", "x" * 400])
def test_other_texts_are_not_dense(text):
    assert values.pack_dense(text) is None


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        (values.UUID, b"short"),
        (values.DECIMAL, b""),
        (values.DECIMAL, b"\0\1"),
        (values.DECIMAL, b"x" * 17),
        (values.STAMP, b"123"),
        (values.STAMP_US, b"\xff" * 7),
        (values.HEX, b""),
        (99, b"x"),
    ],
)
def test_bytes_that_no_text_packs_to_are_malformed(kind, data):
    with pytest.raises(Malformed):
        values.check(kind, data)


def test_uuids_are_sixteen_bytes():
    assert values.pack(str(uuid.UUID(int=5)))[1] == uuid.UUID(int=5).bytes


@pytest.mark.parametrize("text", ["nonsenseZB", "nonsenseZZB", "nonsenseZ-", "nonsenseZZ_"])
def test_base64url_with_bits_to_spare_stays_text(text):
    assert values.pack(text) is None


@given(st.binary(min_size=6, max_size=40))
def test_base64url_of_any_bytes_is_packed(data):
    text = base64.urlsafe_b64encode(data).decode().rstrip("=")
    packed = values.pack(text)
    assert packed is not None and values.unpack(*packed) == text
