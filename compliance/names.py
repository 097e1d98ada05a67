"""Namespaces by short prefix, and finding elements by them.

The suite writes paths as `"carbons:received/forward:forwarded/c:message"`; the prefixes are
those of `PREFIXES`. Elements are lxml's: `compliance` must read any server's XML with a
parser that shares nothing with the one under test.
"""

from __future__ import annotations

from lxml import etree

Element = etree._Element

PREFIXES = {
    "avatar": "urn:xmpp:avatar:metadata",
    "avatardata": "urn:xmpp:avatar:data",
    "bind": "urn:ietf:params:xml:ns:xmpp-bind",
    "bind2": "urn:xmpp:bind:0",
    "blocked": "urn:xmpp:blocking:errors",
    "blocking": "urn:xmpp:blocking",
    "bookmarks": "urn:xmpp:bookmarks:1",
    "c": "jabber:client",
    "cam": "urn:xmpp:cam:0",
    "caps": "http://jabber.org/protocol/caps",
    "carbons": "urn:xmpp:carbons:2",
    "cb": "urn:xmpp:sasl-cb:0",
    "chatstates": "http://jabber.org/protocol/chatstates",
    "commands": "http://jabber.org/protocol/commands",
    "conference": "jabber:x:conference",
    "csi": "urn:xmpp:csi:0",
    "data": "jabber:x:data",
    "delay": "urn:xmpp:delay",
    "disco": "http://jabber.org/protocol/disco#info",
    "event": "http://jabber.org/protocol/pubsub#event",
    "extdisco": "urn:xmpp:extdisco:2",
    "fast": "urn:xmpp:fast:0",
    "forward": "urn:xmpp:forward:0",
    "hats": "urn:xmpp:hats:0",
    "hints": "urn:xmpp:hints",
    "ibrtoken": "urn:xmpp:ibr-token:0",
    "items": "http://jabber.org/protocol/disco#items",
    "last": "jabber:iq:last",
    "mam": "urn:xmpp:mam:2",
    "moderate": "urn:xmpp:message-moderate:1",
    "muc": "http://jabber.org/protocol/muc",
    "mucadmin": "http://jabber.org/protocol/muc#admin",
    "mucowner": "http://jabber.org/protocol/muc#owner",
    "mucuser": "http://jabber.org/protocol/muc#user",
    "occupantid": "urn:xmpp:occupant-id:0",
    "oldbookmarks": "storage:bookmarks",
    "owner": "http://jabber.org/protocol/pubsub#owner",
    "pars": "urn:xmpp:pars:0",
    "preapproval": "urn:xmpp:features:pre-approval",
    "private": "jabber:iq:private",
    "pserrors": "http://jabber.org/protocol/pubsub#errors",
    "pubsub": "http://jabber.org/protocol/pubsub",
    "reg": "jabber:iq:register",
    "regfeature": "http://jabber.org/features/iq-register",
    "reporting": "urn:xmpp:reporting:1",
    "retract": "urn:xmpp:message-retract:1",
    "roster": "jabber:iq:roster",
    "rosterver": "urn:xmpp:features:rosterver",
    "rsm": "http://jabber.org/protocol/rsm",
    "sasl": "urn:ietf:params:xml:ns:xmpp-sasl",
    "sasl2": "urn:xmpp:sasl:2",
    "scramupgrade": "urn:xmpp:scram-upgrade:0",
    "session": "urn:ietf:params:xml:ns:xmpp-session",
    "sid": "urn:xmpp:sid:0",
    "sm": "urn:xmpp:sm:3",
    "stanzas": "urn:ietf:params:xml:ns:xmpp-stanzas",
    "stream": "http://etherx.jabber.org/streams",
    "streams": "urn:ietf:params:xml:ns:xmpp-streams",
    "sync": "urn:example:compliance:sync",
    "time": "urn:xmpp:time",
    "tls": "urn:ietf:params:xml:ns:xmpp-tls",
    "update": "vcard-temp:x:update",
    "upgrade": "urn:xmpp:sasl:upgrade:0",
    "vcard": "vcard-temp",
    "vcard4": "urn:ietf:params:xml:ns:vcard-4.0",
    "version": "jabber:iq:version",
}
XML_LANG = "{http://www.w3.org/XML/1998/namespace}lang"


def clark(name: str) -> str:
    """Turn `"ping:ping"` into `"{urn:xmpp:ping}ping"`; a name in braces already is returned as it is."""
    if name.startswith("{"):
        return name
    prefix, _, local = name.partition(":")
    return f"{{{PREFIXES[prefix]}}}{local}"


def find(element: Element, path: str) -> Element | None:
    """Return the first element at `path` below `element`, or None. Steps are `prefix:name`, joined by `/`."""
    return element.find(path, PREFIXES)


def find_all(element: Element, path: str) -> list[Element]:
    """Return every element at `path` below `element`, in document order."""
    return element.findall(path, PREFIXES)


def text(element: Element, path: str) -> str | None:
    """Return the text at `path`: "" for an empty element, None when there is no such element."""
    found = find(element, path)
    return None if found is None else (found.text or "")


def condition(element: Element) -> str | None:
    """Return the defined condition of a stanza error, a stream error, `<failure/>` or `<failed/>`.

    Args:
        element: the stanza of type error, or the `<stream:error/>`, SASL `<failure/>` or
            stream-management `<failed/>` itself.

    Returns:
        The local name of the condition element, such as "item-not-found"; None when there is none.
    """
    error = find(element, "c:error")
    holder = element if error is None else error
    spaces = {PREFIXES["stanzas"], PREFIXES["streams"], PREFIXES["sasl"]}
    for child in holder:
        name = etree.QName(child)
        if name.namespace in spaces and name.localname != "text":
            return str(name.localname)
    return None


def bare(jid: str | None) -> str:
    """Return the bare form of a JID's text; "" for None."""
    return (jid or "").partition("/")[0]


def show(element: Element) -> str:
    """Return the element as XML text, for a log or a message."""
    return etree.tostring(element, encoding="unicode")
