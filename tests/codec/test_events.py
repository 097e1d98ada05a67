"""What a reader makes of a stream's bytes, as values."""

import dataclasses
from typing import get_args

import pytest

from codec.element import Element
from codec.events import BadStanza, Event, StreamBroken, StreamClosed, StreamOpened
from codec.stanza import Message, Stanza


def test_every_kind_of_event_is_in_the_type():
    assert set(get_args(Event)) == {StreamOpened, Stanza, BadStanza, Element, StreamClosed, StreamBroken}


def test_absent_attributes_of_a_header_are_none():
    assert StreamOpened() == StreamOpened(None, None, None, None, None)


def test_events_compare_by_value():
    assert StreamClosed() == StreamClosed()
    assert StreamBroken("not-well-formed") == StreamBroken("not-well-formed", None)
    assert StreamBroken("not-well-formed") != StreamBroken("restricted-xml")
    assert StreamOpened("example.org") != StreamOpened("example.com")


@pytest.mark.parametrize(
    "event", [StreamOpened(), StreamClosed(), StreamBroken("x"), BadStanza(Message.build(), "bad-request")]
)
def test_events_do_not_change(event):
    field = dataclasses.fields(event)[0].name if dataclasses.fields(event) else "anything"
    with pytest.raises((dataclasses.FrozenInstanceError, TypeError)):
        setattr(event, field, None)
