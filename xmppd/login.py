"""SASL on a client's stream (RFC 6120 §6): which mechanisms are offered, and the exchange itself."""

import binascii
from collections.abc import Coroutine
from typing import Any

from codec.element import Element
from codec.jid import JID, InvalidJID
from storage.interface import AccountRecord
from xmppd.errors import SaslError, StreamError
from xmppd.host import Host
from xmppd.sasl.mechanism import Challenge, Mechanism
from xmppd.sasl.offer import Offer

SASL_NS = "urn:ietf:params:xml:ns:xmpp-sasl"
AUTH = f"{SASL_NS} auth"
RESPONSE = f"{SASL_NS} response"
ABORT = f"{SASL_NS} abort"

MAX_FAILURES = 5
"""Failed tries on one stream; RFC 6120 §6.4.5 recommends between two and five."""


class Credentials:
    """Gives a host's accounts to the mechanisms."""

    __slots__ = ("_host",)

    def __init__(self, host: Host) -> None:
        self._host = host

    async def get(self, localpart: str) -> AccountRecord | None:
        """Return the account, or None: no such, or it is disabled."""
        record = await self._host.account_store.get(JID.of(localpart, self._host.domain))
        return None if record is None or record.disabled else record


class Login:
    """The SASL exchange of one stream; it is dropped once that has succeeded.

    Args:
        offer: the mechanisms for this stream, as advertised.
    """

    __slots__ = ("_failures", "_host", "_mechanism", "offer")

    def __init__(self, host: Host, offer: Offer) -> None:
        self._host = host
        self.offer = offer
        self._mechanism: Mechanism | None = None
        self._failures = 0

    def handle(self, element: Element, write: Any, succeeded: Any) -> Coroutine[Any, Any, None]:
        """Take <auth/>, <response/> or <abort/>.

        Args:
            write: takes elements for the client.
            succeeded: called with the account's bare JID after <success/> is written.
        """
        return self._handle(element, write, succeeded)

    async def _handle(self, element: Element, write: Any, succeeded: Any) -> None:
        try:
            result = await self._step(element)
        except SaslError as error:
            self._mechanism = None
            self._failures += 1
            self._host.metrics.logins["failed"] += 1
            write(_failure(error))
            if self._failures >= MAX_FAILURES:
                raise StreamError("policy-violation", "Too many failed logins.") from error
            return
        data = binascii.b2a_base64(result.data, newline=False).decode()
        if isinstance(result, Challenge):
            # an empty challenge is an empty element, which RFC 6120 §6.4.3 writes so
            write(Element(f"{SASL_NS} challenge", {}, (data,) if data else ()))
            return
        self._mechanism = None
        try:
            jid = JID.of(result.localpart, self._host.domain)
        except InvalidJID as error:
            raise StreamError("internal-server-error") from error
        write(Element(f"{SASL_NS} success", {}, (data,) if data else ()))
        self._host.metrics.logins["ok"] += 1
        succeeded(jid)

    async def _step(self, element: Element) -> Any:
        if element.tag == ABORT:
            raise SaslError("aborted")
        if element.tag == AUTH:
            if self._mechanism is not None:
                raise SaslError("malformed-request", "An exchange is under way.")
            self._mechanism = self.offer.build(element.get("mechanism") or "")
            if not element.text:
                # RFC 6120 §6.4.2: no initial response; the client waits for a challenge
                return Challenge(b"")
        elif self._mechanism is None:
            raise SaslError("malformed-request", "There was no <auth/>.")
        text = element.text
        try:
            data = b"" if text in ("", "=") else binascii.a2b_base64(text, strict_mode=True)
        except (binascii.Error, ValueError) as error:
            raise SaslError("incorrect-encoding") from error
        assert self._mechanism is not None
        return await self._mechanism.step(data)


def mechanisms_feature(offer: Offer) -> list[Element]:
    """Return <mechanisms/>, and beside it what channel bindings there are (XEP-0440)."""
    names = tuple(Element(f"{SASL_NS} mechanism", {}, (name,)) for name in offer.names)
    features = [Element(f"{SASL_NS} mechanisms", {}, names)]
    if offer.channel_bindings:
        ns = "urn:xmpp:sasl-cb:0"
        kinds = tuple(Element(f"{ns} channel-binding", {"type": kind}, ()) for kind in offer.channel_bindings)
        features.append(Element(f"{ns} sasl-channel-binding", {}, kinds))
    return features


def _failure(error: SaslError) -> Element:
    children: list[Element | str] = [Element(f"{SASL_NS} {error.condition}", {}, ())]
    if error.text is not None:
        children.append(Element(f"{SASL_NS} text", {}, (error.text,)))
    return Element(f"{SASL_NS} failure", {}, tuple(children))
