"""The parts of an XML stream that are no stanza, as bytes (RFC 6120 §4)."""

from codec.element import Element
from codec.stanza import escape_attribute

STREAMS_NS = "http://etherx.jabber.org/streams"
STREAM_CLOSE = b"</stream:stream>"


def stream_header(
    *,
    from_: str | None,
    id_: str,
    to: str | None = None,
    lang: str = "en",
    content_ns: str = "jabber:client",
) -> bytes:
    """Return the header that answers or opens a stream (RFC 6120 §4.7), XML declaration included."""
    head = f"<?xml version='1.0'?><stream:stream xmlns='{content_ns}' xmlns:stream='{STREAMS_NS}' id='{escape_attribute(id_)}'"
    if from_ is not None:
        head += f" from='{escape_attribute(from_)}'"
    if to is not None:
        head += f" to='{escape_attribute(to)}'"
    return f"{head} version='1.0' xml:lang='{escape_attribute(lang)}'>".encode()


def stream_features(features: list[Element]) -> bytes:
    """Return <stream:features/> with these children (RFC 6120 §4.3.2)."""
    if not features:
        return b"<stream:features/>"
    return b"<stream:features>" + b"".join(feature.to_xml() for feature in features) + b"</stream:features>"


def stream_error(condition: str, text: str | None = None, app: Element | None = None) -> bytes:
    """Return <stream:error/> (RFC 6120 §4.9), `app` being a condition of another namespace; the stream must be closed after it."""
    ns = "urn:ietf:params:xml:ns:xmpp-streams"
    children = [Element(f"{ns} {condition}")]
    if text is not None:
        children.append(Element(f"{ns} text", {}, (text,)))
    if app is not None:
        children.append(app)
    return b"<stream:error>" + b"".join(child.to_xml() for child in children) + b"</stream:error>"


def stream_error_see_other_host(host: str) -> bytes:
    """Return the stream error that sends the peer to another address (RFC 6120 §4.9.3.19)."""
    ns = "urn:ietf:params:xml:ns:xmpp-streams"
    return b"<stream:error>" + Element(f"{ns} see-other-host", {}, (host,)).to_xml() + b"</stream:error>"
