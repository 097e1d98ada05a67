"""What tests of readers share: a stream's bytes in pieces, and events in a form that can be compared."""

from collections.abc import Callable, Iterable
from typing import Any

from codec.events import BadStanza, Event, StreamBroken
from codec.limits import ReaderLimits
from codec.stanza import Stanza
from codec.xml_reader import XmlReader

HEADER = (
    b"<?xml version='1.0'?><stream:stream to='example.org' version='1.0' xmlns='jabber:client'"
    b" xmlns:stream='http://etherx.jabber.org/streams'>"
)
AFTER = b"<presence id='after'/>"

Cut = Callable[[bytes], list[bytes]]


def whole(data: bytes) -> list[bytes]:
    return [data]


def byte_by_byte(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def in_threes(data: bytes) -> list[bytes]:
    return [data[at : at + 3] for at in range(0, len(data), 3)]


CUTS: tuple[Cut, ...] = (whole, byte_by_byte, in_threes)


def feed_all(reader: XmlReader, pieces: Iterable[bytes]) -> list[Event]:
    return [event for piece in pieces for event in reader.feed(piece)]


def opened(header: bytes = HEADER, limits: ReaderLimits | None = None, content_ns: str = "jabber:client") -> XmlReader:
    """Return a reader that has read a header."""
    reader = XmlReader(limits or ReaderLimits(), content_ns)
    assert len(reader.feed(header)) == 1
    return reader


def read(data: bytes, cut: Cut = whole, header: bytes = HEADER, limits: ReaderLimits | None = None) -> list[Any]:
    """Return what stands behind a header, as `shape` gives it.

    The data is read cut up, and once more whole with another stanza behind it, which must change nothing.
    """
    events = [shape(event) for event in feed_all(opened(header, limits), cut(data))]
    more = [shape(event) for event in opened(header, limits).feed(data + AFTER)]
    if events and isinstance(events[-1], tuple) and events[-1][0] == "broken":
        assert more == events
    else:
        assert more[: len(events)] == events
    return events


def shape(event: Event) -> Any:
    """Return an event as something that compares by value."""
    if isinstance(event, Stanza):
        stanza = (event.kind, event.to, event.from_, event.id, event.type, event.lang, event.inner, event.tags)
        return (*stanza, event.scope)
    if isinstance(event, BadStanza):
        return ("bad", event.condition, *shape(event.stanza))
    if isinstance(event, StreamBroken):
        return ("broken", event.condition)
    return event


def broken(data: bytes, cut: Cut = whole, header: bytes = HEADER, limits: ReaderLimits | None = None) -> str:
    """Return the condition with which reading this ends; nothing else may come of it."""
    events = read(data, cut, header, limits)
    assert len(events) == 1, events
    assert isinstance(events[0], tuple) and events[0][0] == "broken", events
    return str(events[0][1])
