"""Delay: XEP-0203."""

from datetime import UTC, datetime

import pytest

from codec.element import parse_element
from codec.jid import JID
from codec.payload import PayloadError
from codec.payloads.delay import Delay


def test_delay_is_read_and_written():
    xml = b"<delay xmlns='urn:xmpp:delay' from='example.org' stamp='2026-11-24T19:30:00Z'>Offline</delay>"
    delay = Delay.from_element(parse_element(xml))
    assert delay == Delay(from_=JID("example.org"), stamp=datetime(2026, 11, 24, 19, 30, tzinfo=UTC), reason="Offline")
    assert delay.to_xml() == xml


def test_delay_needs_nothing_but_its_stamp():
    delay = Delay.from_element(parse_element(b"<delay xmlns='urn:xmpp:delay' stamp='2026-11-24T19:30:00Z'/>"))
    assert (delay.from_, delay.reason) == (None, "")


@pytest.mark.parametrize("attributes", ["", "stamp='yesterday'", "stamp='2026-11-24T19:30:00Z' from='@'"])
def test_malformed_delay_is_refused(attributes):
    with pytest.raises(PayloadError):
        Delay.from_element(parse_element(f"<delay xmlns='urn:xmpp:delay' {attributes}/>".encode()))
