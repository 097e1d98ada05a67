"""Forwarding: XEP-0297."""

from datetime import UTC, datetime

import pytest

from codec.element import Element, parse_element
from codec.jid import JID
from codec.payload import PayloadError
from codec.payloads.delay import Delay
from codec.payloads.forwarded import Forwarded, forwarded_xml, with_namespace

STAMP = datetime(2026, 11, 24, 19, 30, tzinfo=UTC)
MESSAGE = b"<message to='a@b' id='&gt;'><body>hi</body><x xmlns='urn:x'/></message>"
DECLARED = MESSAGE.replace(b"<message", b"<message xmlns='jabber:client'")


def test_stanza_inside_is_in_its_own_namespace():
    for stanza_xml in (MESSAGE, DECLARED):
        xml = forwarded_xml(stanza_xml, STAMP, JID("a@b"))
        assert xml == (
            b"<forwarded xmlns='urn:xmpp:forward:0'>"
            b"<delay xmlns='urn:xmpp:delay' from='a@b' stamp='2026-11-24T19:30:00Z'/>" + DECLARED + b"</forwarded>"
        )


def test_bytes_and_payload_say_the_same():
    forwarded = Forwarded(delay=Delay(from_=JID("a@b"), stamp=STAMP), stanza=parse_element(MESSAGE))
    assert forwarded.to_xml() == forwarded_xml(MESSAGE, STAMP, JID("a@b"))
    assert Forwarded.from_element(parse_element(forwarded.to_xml())) == forwarded
    assert Forwarded(stanza=parse_element(MESSAGE)).to_xml() == forwarded_xml(MESSAGE)


@pytest.mark.parametrize("stanza_xml", [b"<message/>", b"<presence>x</presence>", b"<iq id='1' type='get'/>"])
def test_each_kind_of_stanza_can_be_forwarded(stanza_xml):
    assert Forwarded.from_element(parse_element(forwarded_xml(stanza_xml))).stanza == parse_element(stanza_xml)


@pytest.mark.parametrize("data", [b"", b"<body/>", b"<messages/>", b" <message/>", b"<message", b"text"])
def test_what_is_no_stanza_is_not_forwarded(data):
    with pytest.raises(ValueError, match="not a stanza"):
        with_namespace(data)


def test_jid_is_escaped():
    xml = forwarded_xml(b"<iq/>", STAMP, JID("a@b/'&<"))
    assert Forwarded.from_element(parse_element(xml)).delay == Delay(from_=JID("a@b/'&<"), stamp=STAMP)


def test_forwarded_without_a_stanza_is_refused():
    with pytest.raises(PayloadError):
        Forwarded.from_element(Element("urn:xmpp:forward:0 forwarded"))
