"""Reading one XML stream with lxml's pull parser, and keeping the log of what went over it.

Sans-IO. A client restarts its `StreamReader` whenever XMPP restarts the stream.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass, field
from typing import NamedTuple

from lxml import etree

from compliance.names import Element


class Header(NamedTuple):
    """The opening tag of a stream: its qualified name in braces form, attributes and namespaces."""

    tag: str
    attributes: dict[str, str]
    namespaces: dict[str | None, str]


class Closed(NamedTuple):
    """The stream's closing tag."""


Event = Header | Closed | Element


class StreamReader:
    """Turn the bytes of one stream into its header, its first-level elements and its end."""

    def __init__(self) -> None:
        self._parser = etree.XMLPullParser(events=("start", "end"), resolve_entities=False, huge_tree=True)
        self._depth = 0

    def feed(self, data: bytes) -> list[Event]:
        """Take the next bytes and return what they complete, in wire order.

        Raises:
            lxml.etree.XMLSyntaxError: the server sent XML that is not well-formed.
        """
        self._parser.feed(data)
        events: list[Event] = []
        for action, element in self._parser.read_events():
            if action == "start":
                self._depth += 1
                if self._depth == 1:
                    events.append(Header(str(element.tag), dict(element.attrib), dict(element.nsmap)))
                continue
            self._depth -= 1
            if self._depth == 0:
                events.append(Closed())
            elif self._depth == 1:
                events.append(_detached(element))
        return events


def _detached(element: Element) -> Element:
    """Return a copy free of the stream, and drop the elements before it (the parser still needs this one)."""
    whole = copy.deepcopy(element)
    whole.tail = None
    parent = element.getparent()
    while element.getprevious() is not None:
        del parent[0]
    return whole


@dataclass(slots=True)
class Entry:
    """One line of a traffic log: seconds since the check began, whose stream, direction and text.

    Attributes:
        way: "C" for what the client sent, "S" for what the server sent, "-" for a remark.
    """

    at_s: float
    who: str
    way: str
    text: str

    def __str__(self) -> str:
        return f"{self.at_s:7.3f} {self.who:<18} {self.way}: {self.text}"


@dataclass(slots=True)
class TrafficLog:
    """What a check's clients sent and received, in the order in which it was seen."""

    limit_chars: int = 4000  # of one entry: a check of stanza sizes sends far more than anyone would read
    entries: list[Entry] = field(default_factory=list)
    _started: float = field(default_factory=time.monotonic)

    def add(self, who: str, way: str, text: str) -> None:
        """Note one piece of traffic; long ones are cut."""
        if len(text) > self.limit_chars:
            text = f"{text[: self.limit_chars]}... ({len(text)} characters)"
        self.entries.append(Entry(time.monotonic() - self._started, who, way, text))

    def fold(self, since: int, who: str, remark: str) -> None:
        """Put one remark in the place of all entries since there were `since` of them.

        For steps that went as they should: a failure is read more easily without twelve lines of login.
        """
        del self.entries[since:]
        self.add(who, "-", remark)

    def lines(self) -> list[str]:
        """Return the log as lines of text, passwords left out."""
        return [str(entry) for entry in self.entries]
