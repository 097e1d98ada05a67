"""Helpers of checks of publish-subscribe."""

from lxml import etree

from compliance.publishing import NODE_CONFIG, form, ids_of, new_node, own_condition, payload, told_ids

PUBSUB = "http://jabber.org/protocol/pubsub"


def iq(inner):
    return etree.fromstring(f"<iq xmlns='jabber:client'>{inner}</iq>")


def test_form_has_its_type_and_fields():
    found = etree.fromstring(form(NODE_CONFIG, {"title": "a & b"}))
    assert [(field.get("var"), field[0].text) for field in found] == [
        ("FORM_TYPE", NODE_CONFIG),
        ("pubsub#title", "a & b"),
    ]


def test_no_two_nodes_are_the_same():
    assert new_node() != new_node()


def test_payload_is_one_element():
    assert etree.fromstring(payload("<")).text == "<"


def test_own_condition_stands_beside_the_general_one():
    stanzas = "urn:ietf:params:xml:ns:xmpp-stanzas"
    error = f"<error><conflict xmlns='{stanzas}'/><precondition-not-met xmlns='{PUBSUB}#errors'/></error>"
    assert own_condition(iq(error)) == "precondition-not-met"
    assert own_condition(iq(f"<error><conflict xmlns='{stanzas}'/></error>")) is None
    assert own_condition(iq("")) is None


def test_ids_are_those_of_the_items():
    inner = f"<pubsub xmlns='{PUBSUB}'><items node='n'><item id='a'/><item id='b'/></items></pubsub>"
    assert ids_of(iq(inner)) == ["a", "b"]
    event = f"<event xmlns='{PUBSUB}#event'><items node='n'><item id='a'/><retract id='b'/></items></event>"
    assert told_ids(iq(event)) == ["a"]
