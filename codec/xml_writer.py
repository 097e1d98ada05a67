"""What goes out on an XML stream, as bytes (RFC 6120 §4)."""

from codec.element import Element, escape_text, escape_value, parse_children
from codec.stanza import Stanza

STREAMS_NS = "http://etherx.jabber.org/streams"
DIALBACK_NS = "jabber:server:dialback"
ERRORS_NS = "urn:ietf:params:xml:ns:xmpp-streams"


class XmlWriter:
    """Writes one direction of a stream; it keeps nothing, so that all streams may share one.

    Args:
        content_ns: "jabber:client", "jabber:server" or "jabber:component:accept".
    """

    __slots__ = ("_content_ns", "_is_client")

    def __init__(self, content_ns: str = "jabber:client") -> None:
        self._content_ns = content_ns
        self._is_client = content_ns == "jabber:client"

    def header(self, *, from_: str | None, id_: str | None, to: str | None = None, lang: str = "en") -> bytes:
        """Return the header that answers or opens a stream (RFC 6120 §4.7), XML declaration included.

        Args:
            id_: of the stream; None: we open it, and the peer gives it one.
        """
        head = f"<?xml version='1.0'?><stream:stream xmlns='{self._content_ns}' xmlns:stream='{STREAMS_NS}'"
        if self._content_ns == "jabber:server":
            head += f" xmlns:db='{DIALBACK_NS}'"
        if id_ is not None:
            head += f" id='{escape_value(id_)}'"
        if from_ is not None:
            head += f" from='{escape_value(from_)}'"
        if to is not None:
            head += f" to='{escape_value(to)}'"
        return f"{head} version='1.0' xml:lang='{escape_value(lang)}'>".encode()

    def features(self, features: list[Element]) -> bytes:
        """Return <stream:features/> with these children (RFC 6120 §4.3.2)."""
        if not features:
            return b"<stream:features/>"
        inner = b"".join(feature.to_xml(self._content_ns) for feature in features)
        return b"<stream:features>%b</stream:features>" % inner

    def stanza(self, stanza: Stanza) -> bytes:
        """Return a stanza; its bytes are made once, however many streams they go to."""
        if not self._is_client and b"jabber:client" in stanza.inner:
            return _unqualified(stanza).to_xml()
        return stanza.to_xml()

    def element(self, element: Element) -> bytes:
        """Return any other child of the stream."""
        if self._content_ns == "jabber:server" and element.tag.startswith(f"{DIALBACK_NS} "):
            return _dialback(element)
        return element.to_xml(self._content_ns)

    def ack(self, h: int) -> bytes:
        """Return <a/> (XEP-0198 §4)."""
        return b"<a xmlns='urn:xmpp:sm:3' h='%d'/>" % h

    def ack_request(self) -> bytes:
        """Return <r/> (XEP-0198 §4)."""
        return b"<r xmlns='urn:xmpp:sm:3'/>"

    def error(self, condition: str, text: str | None = None, app: Element | None = None) -> bytes:
        """Return <stream:error/> (RFC 6120 §4.9), `app` being a condition of another namespace; the stream must be closed after it.

        The condition see-other-host carries `text` as its own: the address to go to (§4.9.3.19).
        """
        children = error_children(condition, text, app)
        return b"<stream:error>" + b"".join(child.to_xml() for child in children) + b"</stream:error>"

    def close(self) -> bytes:
        """Return the end tag of the stream (RFC 6120 §4.4)."""
        return b"</stream:stream>"


def _dialback(element: Element) -> bytes:
    """Return an element of XEP-0220 with the prefix of the stream's header: there are servers that know it by that alone."""
    attrs = "".join(f" {name}='{escape_value(value)}'" for name, value in element.attrs.items())
    inner = "".join(
        child.to_xml().decode() if isinstance(child, Element) else escape_text(child) for child in element.children
    )
    return f"<db:{element.name}{attrs}>{inner}</db:{element.name}>".encode()


def _unqualified(stanza: Stanza) -> Stanza:
    """Return a stanza whose children name the content namespace nowhere, so that they are in that of any stream."""
    inner = b"".join(
        child.to_xml() if isinstance(child, Element) else escape_text(child).encode()
        for child in parse_children(stanza.inner, stanza.scope)
    )
    return type(stanza)(stanza.to, stanza.from_, stanza.id, stanza.type, stanza.lang, inner, stanza.tags)


def error_children(condition: str, text: str | None, app: Element | None) -> tuple[Element, ...]:
    """Return what a <stream:error/> holds, whichever form it is written in; see `XmlWriter.error`."""
    if condition == "see-other-host":
        children = [Element(f"{ERRORS_NS} {condition}", {}, (text or "",))]
    else:
        children = [Element(f"{ERRORS_NS} {condition}")]
        if text is not None:
            children.append(Element(f"{ERRORS_NS} text", {}, (text,)))
    if app is not None:
        children.append(app)
    return tuple(children)
