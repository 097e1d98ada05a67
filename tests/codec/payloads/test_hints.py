"""Hints: XEP-0334."""

from codec.element import parse_element
from codec.payloads.hints import NO_COPY, NO_PERMANENT_STORE, NO_STORE, STORE


def test_tags_are_those_of_the_elements():
    names = ("no-permanent-store", "no-store", "no-copy", "store")
    for tag, name in zip((NO_PERMANENT_STORE, NO_STORE, NO_COPY, STORE), names, strict=True):
        assert parse_element(f"<{name} xmlns='urn:xmpp:hints'/>".encode()).tag == tag
