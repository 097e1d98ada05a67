"""How much a peer may ask of the parser, each limit with its reason."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReaderLimits:
    """Sizes and depths that one stream may use.

    Attributes:
        stanza_bytes: one stanza or other direct child of the stream. 10,000 is what RFC 6120 §13.12 makes the least for any
            stanza; it is all that a stranger gets before login. 262,144 holds avatars and big rosters.
        depth: nested elements, the stream not counted. Real stanzas stay below 12; forms in pubsub in carbons reach 14.
        attributes: of one element. Real ones stay below 10.
        children: direct children of one stanza. Each costs us a string; the longest real ones are disco answers in the hundreds.
        rescan_bytes: how much of one unfinished tag Expat may read again because it came in pieces. A tag of 64 KiB in
            segments of 1,400 bytes costs 1.5 MB; 16 MB is about 20 ms of CPU.
    """

    stanza_bytes: int = 262_144
    depth: int = 64
    attributes: int = 256
    children: int = 2_000
    rescan_bytes: int = 16_777_216


HEADER_BYTES = 10_000
"""A stream header: as much as any stanza before login."""

BEFORE_LOGIN = ReaderLimits(stanza_bytes=10_000, depth=16, attributes=32, children=64)
