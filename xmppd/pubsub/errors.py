"""The errors of XEP-0060: a condition of RFC 6120 with one of the document's own inside."""

from codec.element import Element
from codec.payloads.pubsub import NS_ERRORS
from xmppd.errors import StanzaError


def pubsub_error(
    condition: str,
    own: str = "",
    *,
    feature: str | None = None,
    type_: str | None = None,
    text: str | None = None,
) -> StanzaError:
    """Return an error to raise.

    Args:
        condition: RFC 6120's. own: XEP-0060's, "" for none. feature: what is not supported, with `own` "unsupported".
    """
    attrs = {} if feature is None else {"feature": feature}
    return StanzaError(condition, type_, text, Element(f"{NS_ERRORS} {own}", attrs) if own else None)


def unsupported(feature: str) -> StanzaError:
    """Return the error for what we do not do."""
    return pubsub_error("feature-not-implemented", "unsupported", feature=feature)


def no_node() -> StanzaError:
    """Return the error for a node that is not there."""
    return StanzaError("item-not-found", text="There is no such node.")


def name_of(node: str | None) -> str:
    """Return the name of the node that a request must name.

    Raises:
        StanzaError: it names none.
    """
    if not node:
        raise pubsub_error("bad-request", "nodeid-required", text="Name a node.")
    return node
