"""Stanza ids: XEP-0359."""

import pytest

from codec.element import parse_element
from codec.jid import JID
from codec.payload import PayloadError
from codec.payloads.stanza_id import OriginId, StanzaId


def test_ids_are_read_and_written():
    for value, xml in (
        (StanzaId(id="1", by=JID("a@b")), b"<stanza-id xmlns='urn:xmpp:sid:0' id='1' by='a@b'/>"),
        (OriginId(id="x"), b"<origin-id xmlns='urn:xmpp:sid:0' id='x'/>"),
    ):
        assert value.to_xml() == xml
        assert type(value).from_element(parse_element(xml)) == value


@pytest.mark.parametrize("attributes", ["", "id='1'", "by='a@b'", "id='1' by='@'"])
def test_malformed_stanza_id_is_refused(attributes):
    with pytest.raises(PayloadError):
        StanzaId.from_element(parse_element(f"<stanza-id xmlns='urn:xmpp:sid:0' {attributes}/>".encode()))


def test_origin_id_without_id_is_refused():
    with pytest.raises(PayloadError):
        OriginId.from_element(parse_element(b"<origin-id xmlns='urn:xmpp:sid:0'/>"))
