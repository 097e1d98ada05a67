"""What a reader makes of the bytes of a stream, whichever form they have on the wire.

An event is one of: `StreamOpened`, a stanza (`Message`, `Presence`, `IQ`), `BadStanza`, an `Element` (any other direct child of the
stream: features, acks, SASL), `StreamClosed`, and, as the last one ever, `StreamBroken`.
"""

from dataclasses import dataclass
from typing import TypeAlias

from codec.element import Element
from codec.stanza import Stanza


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The stream header (RFC 6120 §4.7). Absent attributes are None; nothing in it has been checked yet."""

    to: str | None = None
    from_: str | None = None
    id: str | None = None
    version: str | None = None
    lang: str | None = None


@dataclass(frozen=True, slots=True)
class StreamClosed:
    """The peer closed its stream; more stanzas from it are not allowed."""


@dataclass(frozen=True, slots=True)
class StreamBroken:
    """The input cannot be read on: `condition` is the stream error to send (RFC 6120 §4.9.3). No more calls after it."""

    condition: str
    text: str | None = None


@dataclass(frozen=True, slots=True)
class BadStanza:
    """A stanza whose envelope is wrong; `condition` is the stanza error it deserves. `stanza` has neither `to` nor `from_`."""

    stanza: Stanza
    condition: str


Event: TypeAlias = StreamOpened | Stanza | BadStanza | Element | StreamClosed | StreamBroken
