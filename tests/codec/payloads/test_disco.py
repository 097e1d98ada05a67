"""Service discovery: XEP-0030."""

import pytest

from codec.element import parse_element
from codec.jid import JID
from codec.payload import PayloadError
from codec.payloads.data_form import Form
from codec.payloads.disco import Identity, Info, Item, Items

INFO_XML = (
    b"<query xmlns='http://jabber.org/protocol/disco#info' node='n'>"
    b"<identity category='server' type='im' name='xmppd' xml:lang='en'/><identity category='pubsub' type='pep'/>"
    b"<feature var='urn:xmpp:ping'/><feature var='urn:xmpp:mam:2'/>"
    b"<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>urn:f</value></field></x>"
    b"</query>"
)
ITEMS_XML = (
    b"<query xmlns='http://jabber.org/protocol/disco#items'>"
    b"<item jid='conference.example.org' name='Rooms'/><item jid='a@b' node='n'/></query>"
)


def test_info_is_read_and_written():
    info = Info.from_element(parse_element(INFO_XML))
    assert info == Info(
        node="n",
        identities=(
            Identity(category="server", type="im", name="xmppd", lang="en"),
            Identity(category="pubsub", type="pep"),
        ),
        features=("urn:xmpp:ping", "urn:xmpp:mam:2"),
        forms=(Form.result("urn:f", {}),),
    )
    assert info.to_xml() == INFO_XML


def test_items_are_read_and_written():
    items = Items.from_element(parse_element(ITEMS_XML))
    assert items == Items(items=(Item(jid=JID("conference.example.org"), name="Rooms"), Item(jid=JID("a@b"), node="n")))
    assert items.to_xml() == ITEMS_XML


def test_question_is_an_empty_query():
    assert Info().to_xml() == b"<query xmlns='http://jabber.org/protocol/disco#info'/>"
    assert Items(node="n").to_xml() == b"<query xmlns='http://jabber.org/protocol/disco#items' node='n'/>"


@pytest.mark.parametrize("inside", ["<feature/>", "<identity category='a'/>", "<identity type='a'/>"])
def test_malformed_answer_is_refused(inside):
    xml = f"<query xmlns='http://jabber.org/protocol/disco#info'>{inside}</query>"
    with pytest.raises(PayloadError):
        Info.from_element(parse_element(xml.encode()))
