"""The feature of XEP-0478, written and read."""

from types import SimpleNamespace

import pytest

from codec.element import Element
from xmppd.stream_limits import LIMITS_NS, limits_feature, max_bytes_of, reader_limits


def features(*children: Element) -> Element:
    return Element("http://etherx.jabber.org/streams features", {}, children)


def test_limits_are_told_and_understood() -> None:
    told = limits_feature(262_144, 600)
    assert [(child.name, child.text) for child in told.elements()] == [("max-bytes", "262144"), ("idle-seconds", "600")]
    assert max_bytes_of(features(told)) == 262_144


def test_silence_that_does_not_matter_is_not_told() -> None:
    assert [child.name for child in limits_feature(10_000, 0).elements()] == ["max-bytes"]


@pytest.mark.parametrize("text", ["", "-1", "1.5", "many", "٣", "9" * 16])
def test_what_is_no_number_is_no_limit(text: str) -> None:
    limits = Element(f"{LIMITS_NS} limits", {}, (Element(f"{LIMITS_NS} max-bytes", {}, (text,)),))
    assert max_bytes_of(features(limits)) is None and max_bytes_of(features()) is None


def test_a_proven_peer_may_send_what_the_settings_say() -> None:
    settings = SimpleNamespace(stanza_bytes=50_000, depth=20, attributes=30, children=40)
    limits = reader_limits(settings)
    assert (limits.stanza_bytes, limits.depth, limits.attributes, limits.children) == (50_000, 20, 30, 40)
