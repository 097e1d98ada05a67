"""XEP-0297: Stanza Forwarding."""

import re
from dataclasses import dataclass
from datetime import datetime

from codec.element import CLIENT_NS, Element, escape_value
from codec.jid import JID
from codec.payload import Payload, any_child, child
from codec.payloads.delay import NS as DELAY_NS
from codec.payloads.delay import Delay
from codec.values import format_datetime

NS = "urn:xmpp:forward:0"

_DECLARATION = f" xmlns='{CLIENT_NS}'".encode()
_stanza_start = re.compile(rb"<(?:message|presence|iq)(?=[ />])").match


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarded(Payload, tag=(NS, "forwarded")):
    """A stanza inside another (§3.1).

    Attributes:
        delay: when the stanza was first sent.
        stanza: with its own namespace, jabber:client as a rule.
    """

    delay: Delay | None = child(Delay)
    stanza: Element = any_child(required=True)


def forwarded_xml(stanza_xml: bytes, stamp: datetime | None = None, from_: JID | None = None) -> bytes:
    """Return the <forwarded/> element around a stanza that stays bytes.

    Args:
        stanza_xml: a stanza as we write it for a stream of jabber:client, its namespace declared first or not at all.
        stamp: aware; when the stanza was first sent. None leaves the delay out.
        from_: who says so.

    Raises:
        ValueError: it does not begin as a stanza does, or a naive stamp.

    Spec: XEP-0297 §3.1, whose stanza must not fall into the namespace of what is around it.
    """
    delay = ""
    if stamp is not None:
        said_by = f" from='{escape_value(from_)}'" if from_ is not None else ""
        delay = f"<delay xmlns='{DELAY_NS}'{said_by} stamp='{format_datetime(stamp)}'/>"
    return b"<forwarded xmlns='%b'>%b%b</forwarded>" % (NS.encode(), delay.encode(), with_namespace(stanza_xml))


def with_namespace(stanza_xml: bytes) -> bytes:
    """Return a stanza of ours with jabber:client declared on it, so that it can stand in any namespace.

    Raises:
        ValueError: it does not begin as a stanza does.
    """
    start = _stanza_start(stanza_xml)
    if start is None:
        raise ValueError("not a stanza")
    end = start.end()
    if stanza_xml.startswith(_DECLARATION, end):
        return stanza_xml
    return b"%b%b%b" % (stanza_xml[:end], _DECLARATION, stanza_xml[end:])
