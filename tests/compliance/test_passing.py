import pytest
from lxml import etree

from compliance import passing
from compliance.check import Failed

PAYLOAD = "<x xmlns='urn:x' a='1'><y>z</y></x>"


def message(inner: str):
    return etree.fromstring(f"<message xmlns='jabber:client'><body>b</body>{inner}</message>")


@pytest.mark.parametrize(
    "inner", [PAYLOAD, "<p:x xmlns:p='urn:x' a='1'><p:y>z</p:y></p:x>", f"<x xmlns='urn:x'/>{PAYLOAD}"]
)
def test_a_payload_that_arrived_as_it_was_is_found(inner):
    passing.require_inside(message(inner), PAYLOAD, "on arrival")


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<x xmlns='urn:x'><y>z</y></x>",
        "<x xmlns='urn:x' a='1'/>",
        "<x xmlns='urn:x' a='1'><y>other</y></x>",
        "<x xmlns='urn:x' a='1'><y>z</y><y>z</y></x>",
        "<x xmlns='urn:other' a='1'><y>z</y></x>",
    ],
)
def test_a_payload_that_is_gone_or_changed_fails_the_check(inner):
    with pytest.raises(Failed, match="on arrival"):
        passing.require_inside(message(inner), PAYLOAD, "on arrival")
