"""Envelopes: each part comes back, and own addresses cost nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.binary_cbor import Malformed, read_flat
from codec.binary_head import HeadReader, Session, attributes_of, scope_of, write_head
from codec.binary_tables import SeenTables, SentTables
from codec.jid import JID
from codec.stanza import IQ, Message, Presence
from tests.codec.binary_samples import BARE, JIDS, OWN, SHIPPED

KINDS = st.sampled_from([Message, Presence, IQ])


@given(
    KINDS,
    st.none() | JIDS,
    st.none() | JIDS,
    st.none() | st.text(st.characters(min_codepoint=32, max_codepoint=0xD000), max_size=20),
    st.sampled_from(["", "chat", "get", "normal", "odd"]),
    st.booleans(),
)
def test_an_envelope_comes_back(cls, to, from_, id_, type_, is_bare):
    dictionary = BARE if is_bare else SHIPPED
    session, sent, seen = Session("example.org", OWN), SentTables(), SeenTables()
    stanza = cls(to and JID.parse(to), from_ and JID.parse(from_), id_, type_, "en")
    for tables in ((None, None), (sent, seen), (sent, seen)):
        items = read_flat(write_head(stanza, session, tables[0], dictionary))
        back, is_good, at = HeadReader(items, session, tables[1], dictionary).read()
        assert is_good
        assert at == len(items)
        assert type(back) is cls
        assert (back.to, back.from_, back.id, back.type, back.lang) == (stanza.to, stanza.from_, id_, type_, "en")


def test_own_addresses_cost_nothing():
    session = Session("example.org", OWN)
    for to in (OWN, OWN.bare, JID.parse("example.org")):
        assert len(write_head(Message(to, None, None, "chat"), session, None, SHIPPED)) <= 4


def test_the_own_domain_is_left_out():
    near = write_head(
        Message(JID.parse("romeo@example.org"), None, None, "chat"), Session("example.org"), None, SHIPPED
    )
    far = write_head(Message(JID.parse("romeo@example.org"), None, None, "chat"), Session("example.net"), None, SHIPPED)
    assert len(near) + 5 < len(far)


def test_what_else_a_start_tag_has_comes_back():
    stanza = Message(None, None, None, "chat", scope=b" xmlns:p='urn:p' p:a='1' b=\"&#x41;&#10;'&amp;\"")
    items = read_flat(write_head(stanza, Session(), None, SHIPPED))
    back, _, _ = HeadReader(items, Session(), None, SHIPPED).read()
    assert attributes_of(back.scope) == [("xmlns:p", "urn:p"), ("p:a", "1"), ("b", "A\n'&")]
    assert scope_of(back.scope) == {"p": "urn:p"}


def test_line_ends_in_a_start_tag_are_read_as_xml_reads_them():
    assert attributes_of(b" a='x\r\ny\tz'") == [("a", "x y z")]


def test_an_address_that_is_none_makes_a_bad_stanza():
    items = [-1 - (1 | 4 << 5 | 4 << 8), "@@", "a@b"]
    stanza, is_good, at = HeadReader(items, Session(), None, SHIPPED).read()
    assert not is_good
    assert at == 3
    assert stanza.from_ == "a@b"


@pytest.mark.parametrize("items", [[], ["x"], [b"x"], [-1 - (4 << 5), -70], [-1 - (4 << 5), 64], [-1 - (1 << 11), 5]])
def test_items_that_make_no_envelope_are_malformed(items):
    with pytest.raises(Malformed):
        HeadReader(items, Session(), None, SHIPPED).read()


def test_a_session_is_bound_and_unbound():
    session = Session("example.org")
    session.bind(OWN)
    assert session.bare == OWN.bare
    session.bind(None)
    assert session.bare is None
