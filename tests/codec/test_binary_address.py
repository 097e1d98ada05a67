"""Addresses in a frame."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.binary_address import RESOURCE, literal, split, unpack_resource, whole
from codec.binary_cbor import Malformed, read_flat
from codec.jid import JID
from tests.codec.binary_samples import SHIPPED

RESOURCES = SHIPPED.tables.resources
TEXTS = st.sampled_from(["Conversations.", "gajim.", "phone-", "", "Monal-iOS."])


@given(
    TEXTS,
    st.one_of(
        st.from_regex("[A-Za-z0-9_-]{1,12}", fullmatch=True),
        st.uuids().map(str),
        st.binary(min_size=1, max_size=9).map(bytes.hex),
    ),
    st.sampled_from(["example.org", "x.net"]),
)
def test_an_address_comes_back(prefix, rest, domain):
    jid = JID.parse(f"romeo@example.org/{prefix}{rest}")
    items = read_flat(literal(jid, domain, RESOURCES))
    back = (
        whole(items[0], domain)
        if len(items) == 1
        else split(items[0] - RESOURCE, items[1], items[2], domain, RESOURCES)
    )
    assert back == jid


@pytest.mark.parametrize(
    "text", ["example.org", "romeo@example.org", "Röslein@example.org", "a@b/c d", "a@b/@/x", "xn--bcher-kva.example"]
)
def test_other_addresses_come_back(text):
    jid = JID.parse(text)
    items = read_flat(literal(jid, "example.org", RESOURCES))
    back = (
        whole(items[0], "example.org")
        if len(items) == 1
        else split(items[0] - RESOURCE, items[1], items[2], "example.org", RESOURCES)
    )
    assert back == jid


def test_a_usual_address_is_less_than_half_its_length():
    jid = JID.parse("fatima.yamamoto@movim.example/Conversations.o8AT")
    assert len(literal(jid, "example.org", RESOURCES)) < len(jid) * 0.6


def test_parts_that_make_no_address_are_malformed():
    with pytest.raises(Malformed):
        split(4 * 500, "a@b", "c", "", RESOURCES)
    with pytest.raises(Malformed):
        split(0, 5, "c", "", RESOURCES)
    with pytest.raises(Malformed):
        unpack_resource(0, b"x")
    with pytest.raises(Malformed):
        unpack_resource(2, b"x")
    with pytest.raises(Malformed):
        unpack_resource(1, 7)
