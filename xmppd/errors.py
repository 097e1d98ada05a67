"""What goes wrong, in the RFCs' words: stanza errors, stream errors, SASL failures."""

from codec.element import Element
from codec.payload import Payload
from codec.stanza import ERROR_TAG, Stanza

STANZAS_NS = "urn:ietf:params:xml:ns:xmpp-stanzas"

# RFC 6120 §8.3.3: the error type that goes with each condition unless the raiser knows better
_TYPES = {
    "bad-request": "modify",
    "conflict": "cancel",
    "feature-not-implemented": "cancel",
    "forbidden": "auth",
    "gone": "cancel",
    "internal-server-error": "cancel",
    "item-not-found": "cancel",
    "jid-malformed": "modify",
    "not-acceptable": "modify",
    "not-allowed": "cancel",
    "not-authorized": "auth",
    "policy-violation": "modify",
    "recipient-unavailable": "wait",
    "redirect": "modify",
    "registration-required": "auth",
    "remote-server-not-found": "cancel",
    "remote-server-timeout": "wait",
    "resource-constraint": "wait",
    "service-unavailable": "cancel",
    "subscription-required": "auth",
    "undefined-condition": "cancel",
    "unexpected-request": "wait",
}


class StanzaError(Exception):
    """A stanza cannot be dealt with; its sender gets the condition (RFC 6120 §8.3).

    Args:
        condition: one of RFC 6120 §8.3.3.
        type_: auth, cancel, continue, modify or wait; None takes the RFC's usual one.
        text: for people, in English, or None.
        app: an application-specific condition (RFC 6120 §8.3.4), or None.
    """

    def __init__(
        self,
        condition: str,
        type_: str | None = None,
        text: str | None = None,
        app: Element | Payload | None = None,
    ) -> None:
        super().__init__(condition if text is None else f"{condition}: {text}")
        self.condition = condition
        self.type = type_ or _TYPES[condition]
        self.text = text
        self.app = app

    def to_element(self) -> Element:
        """Return the <error/> child."""
        children: list[Element | str] = [Element(f"{STANZAS_NS} {self.condition}", {}, ())]
        if self.text is not None:
            children.append(Element(f"{STANZAS_NS} text", {}, (self.text,)))
        if self.app is not None:
            children.append(self.app.to_element() if isinstance(self.app, Payload) else self.app)
        return Element(ERROR_TAG, {"type": self.type}, tuple(children))


class StreamError(Exception):
    """The stream cannot go on; the peer gets the condition (RFC 6120 §4.9) and the connection is closed.

    Args:
        app: an application-specific condition (RFC 6120 §4.9.4), or None.
    """

    def __init__(self, condition: str, text: str | None = None, app: Element | None = None) -> None:
        super().__init__(condition if text is None else f"{condition}: {text}")
        self.condition = condition
        self.text = text
        self.app = app


class SaslError(Exception):
    """An authentication failed; the client gets the condition (RFC 6120 §6.5) and may try again."""

    def __init__(self, condition: str, text: str | None = None) -> None:
        super().__init__(condition if text is None else f"{condition}: {text}")
        self.condition = condition
        self.text = text


def error_reply(stanza: Stanza, error: StanzaError) -> Stanza | None:
    """Return the error that goes back to a stanza's sender, from whom it was addressed to.

    None when none may be sent: the stanza is itself an error or the result of an iq (RFC 6120 §8.3.1).
    """
    if stanza.type == "error" or (stanza.kind == "iq" and stanza.type == "result"):
        return None
    return type(stanza)(stanza.from_, stanza.to, stanza.id, "error").adding(error.to_element())
