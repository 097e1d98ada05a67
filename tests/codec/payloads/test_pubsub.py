"""XEP-0060's payloads."""

import pytest

from codec.element import parse_element
from codec.payload import PayloadError
from codec.payloads.pubsub import NS, Items, Owner, PubSub


def read(inner: str) -> PubSub:
    return PubSub.from_element(parse_element(f"<pubsub xmlns='{NS}'>{inner}</pubsub>".encode()))


def test_item_is_published_with_its_payload_and_options() -> None:
    request = read(
        "<publish node='n'><item id='i'><a xmlns='urn:a'/></item></publish>"
        "<publish-options><x xmlns='jabber:x:data' type='submit'/></publish-options>"
    )
    assert request.publish is not None and request.publish.node == "n"
    assert [(item.id, [child.tag for child in item.payload]) for item in request.publish.items] == [("i", ["urn:a a"])]
    assert request.publish_options is not None and request.publish_options.form is not None


def test_what_is_missing_is_none_so_that_it_can_have_an_error_of_its_own() -> None:
    request = read("<items/><retract/><subscribe/><unsubscribe/><create/>")
    assert request.items == Items()
    assert request.retract is not None and request.retract.node is None and request.retract.notify is False
    assert request.subscribe is not None and request.subscribe.jid is None
    assert request.create is not None and request.create.node is None


@pytest.mark.parametrize(
    "inner",
    [
        "<items node='n' max_items='-1'/>",
        "<items node='n' max_items='many'/>",
        "<retract node='n' notify='perhaps'/>",
        "<subscribe node='n' jid='@'/>",
        "<publish-options><x xmlns='jabber:x:data' type='thing'/></publish-options>",
    ],
)
def test_value_that_cannot_be_read_is_an_error(inner: str) -> None:
    with pytest.raises(PayloadError):
        read(inner)


def test_owners_request_is_another_payload() -> None:
    xml = f"<pubsub xmlns='{NS}#owner'><affiliations node='n'><affiliation jid='a@b' affiliation='member'/></affiliations></pubsub>"
    request = Owner.from_element(parse_element(xml.encode()))
    assert request.affiliations is not None
    assert [(one.jid, one.affiliation) for one in request.affiliations.items] == [("a@b", "member")]
    assert parse_element(request.to_xml()) == parse_element(xml.encode())
