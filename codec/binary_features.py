"""Stream features that a client has had before: it tells their hashes in HELLO, and a server that would say the same again says which.

A server's features are the longest thing that a short session carries, and they change when its software does. Told are those of
the same domain alone: which servers a client uses is nobody else's business.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import NamedTuple

from codec.element import Element

HASH_BYTES = 4
"""A server has a few hundred lists of features in its life; one in 4 thousand million of their pairs is mixed up. Nobody but the server
chooses them, so there is no one to search for another pair."""

MAX_TOLD = 4
"""A stream has two lists, before login and after; twice as many for a server of two minds, as one that is being replaced."""

MAX_KEPT = 64


def hash_of(frame: bytes) -> bytes:
    """Return what a frame of features is called."""
    return hashlib.sha256(frame).digest()[:HASH_BYTES]


class Told(NamedTuple):
    """What one HELLO tells: hashes, and the features that they stand for. `seen` takes what comes in full."""

    domain: str
    hashes: tuple[bytes, ...]
    elements: tuple[Element, ...]
    seen: SeenFeatures


class SeenFeatures:
    """What a client has had from servers, over all its connections; the oldest is forgotten when there are too many."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, bytes], Element] = OrderedDict()

    def keep(self, domain: str, frame: bytes, features: Element) -> None:
        """Keep features that came in full, as the frame given."""
        key = domain, hash_of(frame)
        self._kept[key] = features
        self._kept.move_to_end(key)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)

    def tell(self, domain: str) -> Told:
        """Return what to tell a domain: the last ones that came from it."""
        found = [(hash_, element) for (of, hash_), element in self._kept.items() if of == domain][-MAX_TOLD:]
        return Told(domain, tuple(hash_ for hash_, _ in found), tuple(element for _, element in found), self)
