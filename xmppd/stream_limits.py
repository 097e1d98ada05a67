"""What a stream's other side may send, from the settings, and as XEP-0478 writes it: for streams of clients, servers and components."""

from typing import Any

from codec.element import Element
from codec.limits import ReaderLimits

LIMITS_NS = "urn:xmpp:stream-limits:0"
LIMITS = f"{LIMITS_NS} limits"


def reader_limits(limits: Any) -> ReaderLimits:
    """Return what a peer that is proven may send, by `[limits]` of the settings."""
    return ReaderLimits(
        stanza_bytes=limits.stanza_bytes, depth=limits.depth, attributes=limits.attributes, children=limits.children
    )


def limits_feature(stanza_bytes: int, idle_s: float) -> Element:
    """Return the feature that tells them.

    Args:
        stanza_bytes: how large one stanza may be.
        idle_s: after which silence the stream is closed; 0: it is not.
    """
    children = [Element(f"{LIMITS_NS} max-bytes", {}, (str(stanza_bytes),))]
    if idle_s:
        children.append(Element(f"{LIMITS_NS} idle-seconds", {}, (str(int(idle_s)),)))
    return Element(LIMITS, {}, tuple(children))


def max_bytes_of(features: Element) -> int | None:
    """Return how large a stanza the peer takes, None where it does not say, or says what is no number."""
    limits = features.find(LIMITS)
    told = None if limits is None else limits.find(f"{LIMITS_NS} max-bytes")
    text = "" if told is None else told.text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None
