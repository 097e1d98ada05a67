"""What is told of a node."""

from codec.element import Element, parse_element
from codec.payloads.data_form import Form
from codec.payloads.pubsub import NS_EVENT
from xmppd.pubsub import event


def expected(inner: str) -> Element:
    return parse_element(f"<event xmlns='{NS_EVENT}'>{inner}</event>".encode())


def test_item_is_told_with_its_payload_or_without() -> None:
    payload = Element("urn:p p")
    whole = expected("<items node='n'><item id='i'><p xmlns='urn:p'/></item></items>")
    assert event.published("n", "i", "", payload) == whole
    assert event.published("n", "i", "", None) == expected("<items node='n'><item id='i'/></items>")


def test_publisher_is_told_where_it_is_not_the_owner() -> None:
    found = event.published("n", "i", "juliet@example.org", None)
    assert found == expected("<items node='n'><item id='i' publisher='juliet@example.org'/></items>")


def test_what_goes_is_told() -> None:
    assert event.retracted("n", ["a", "b"]) == expected("<items node='n'><retract id='a'/><retract id='b'/></items>")
    assert event.purged("n") == expected("<purge node='n'/>")
    assert event.deleted("n") == expected("<delete node='n'/>")


def test_configuration_is_told_with_its_form_or_without() -> None:
    assert event.configured("n", None) == expected("<configuration node='n'/>")
    form = "<x xmlns='jabber:x:data' type='result'/>"
    assert event.configured("n", Form(type="result")) == expected(f"<configuration node='n'>{form}</configuration>")


def test_state_of_a_subscription_is_told() -> None:
    found = event.subscribed("n", "a@b", "subscribed")
    assert found == expected("<subscription node='n' jid='a@b' subscription='subscribed'/>")
