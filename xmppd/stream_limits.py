"""What a stream's other side may send, as XEP-0478 writes it: for streams of clients and of servers."""

from codec.element import Element

LIMITS_NS = "urn:xmpp:stream-limits:0"
LIMITS = f"{LIMITS_NS} limits"


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
