"""Our own stanzas: well-formed, and the same for the same seed."""

from codec.events import BadStanza, StreamBroken
from codec.limits import ReaderLimits
from codec.train.stanzas import Generator
from codec.xml_reader import USUAL_HEADERS, XmlReader


def test_every_line_is_one_stanza_or_element():
    for _, direction, xml in Generator(1).lines():
        events = XmlReader(ReaderLimits()).feed(USUAL_HEADERS["jabber:client"] + xml.encode())
        assert len(events) == 2, xml
        assert not isinstance(events[1], StreamBroken | BadStanza), xml
        assert direction in ("s2c", "c2s")


def test_the_same_seed_gives_the_same_lines():
    assert list(Generator(3).lines()) == list(Generator(3).lines())
    assert list(Generator(3).lines()) != list(Generator(4).lines())
