"""SASL on a client's stream: which mechanisms are offered, the exchange whatever its profile, and RFC 6120's profile (§6)."""

import binascii
from collections.abc import Coroutine
from typing import Any

from codec.element import Element
from codec.jid import JID, InvalidJID
from storage.interface import AccountRecord
from xmppd import accounts
from xmppd.errors import SaslError, StreamError
from xmppd.host import Host
from xmppd.sasl.keys import HASHES
from xmppd.sasl.mechanism import Challenge, Mechanism, Success
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

    def take_password(self, record: AccountRecord, password: str) -> None:
        """Make the keys that an account lacks, beside everything else: it has just shown its password."""
        if set(HASHES) - set(record.keys):
            self._host.spawn(accounts.complete_keys(self._host, record, password))


class Login:
    """The SASL exchanges of one stream, whichever profile they are made by: RFC 6120's here, or another of a module (XEP-0388).

    One exchange at a time; failures are counted together. It is dropped once one has succeeded.

    Args:
        offer: the mechanisms for this stream, as advertised.

    Attributes:
        profile: namespace of the profile whose exchange is under way, "" when none is.
        expects: the tags of what alone may come now, None when anything may.
        notes: what the profile remembers of the exchange under way.
    """

    __slots__ = ("_failures", "_host", "_mechanism", "expects", "notes", "offer", "profile")

    def __init__(self, host: Host, offer: Offer) -> None:
        self._host = host
        self.offer = offer
        self._mechanism: Mechanism | None = None
        self._failures = 0
        self.profile = ""
        self.expects: frozenset[str] | None = None
        self.notes: Any = None

    # for every profile

    def begin(self, profile: str, mechanism: Mechanism) -> None:
        """Begin an exchange.

        Raises:
            SaslError: malformed-request: another one is under way.
        """
        if self._mechanism is not None:
            raise SaslError("malformed-request", "An exchange is under way.")
        self._mechanism = mechanism
        self.profile = profile

    async def step(self, profile: str, data: bytes) -> Challenge | Success:
        """Take what the client sent, out of its base64.

        Raises:
            SaslError: it has failed, or this profile began no exchange; call `failed` then.
        """
        if self._mechanism is None or self.profile != profile:
            raise SaslError("malformed-request", "No exchange was begun.")
        result = await self._mechanism.step(data)
        if isinstance(result, Success):
            self._reset()
        return result

    def hold(self, profile: str, expects: frozenset[str], notes: Any) -> None:
        """Keep an exchange of that profile open though the mechanism has done its part."""
        self.profile, self.expects, self.notes = profile, expects, notes

    def failed(self) -> None:
        """Count a failure, and forget the exchange."""
        self._reset()
        self._failures += 1
        self._host.metrics.logins["failed"] += 1

    def check_failures(self) -> None:
        """End a stream on which too many tries have failed; call it when the client has been told.

        Raises:
            StreamError: policy-violation.
        """
        if self._failures >= MAX_FAILURES:
            raise StreamError("policy-violation", "Too many failed logins.")

    def succeeded(self) -> None:
        """Count a success."""
        self._host.metrics.logins["ok"] += 1

    def jid_of(self, result: Success) -> JID:
        """Return the bare JID of the account that has proven itself.

        Raises:
            StreamError: internal-server-error: it cannot be one.
        """
        try:
            return JID.of(result.localpart, self._host.domain)
        except InvalidJID as error:
            raise StreamError("internal-server-error") from error

    def _reset(self) -> None:
        self._mechanism = None
        self.profile = ""
        self.expects = None
        self.notes = None

    # RFC 6120's profile

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
            self.failed()
            write(_failure(error))
            self.check_failures()
            return
        data = binascii.b2a_base64(result.data, newline=False).decode()
        if isinstance(result, Challenge):
            # an empty challenge is an empty element, which RFC 6120 §6.4.3 writes so
            write(Element(f"{SASL_NS} challenge", {}, (data,) if data else ()))
            return
        jid = self.jid_of(result)
        self.succeeded()
        write(Element(f"{SASL_NS} success", {}, (data,) if data else ()))
        succeeded(jid)

    async def _step(self, element: Element) -> Challenge | Success:
        if element.tag == ABORT:
            raise SaslError("aborted")
        if element.tag == AUTH:
            self.begin(SASL_NS, self.offer.build(element.get("mechanism") or ""))
            if not element.text:
                # RFC 6120 §6.4.2: no initial response; the client waits for a challenge
                return Challenge(b"")
        text = element.text
        return await self.step(SASL_NS, b"" if text in ("", "=") else decode_base64(text))


def decode_base64(text: str) -> bytes:
    """Return the bytes of a client's base64.

    Raises:
        SaslError: incorrect-encoding.
    """
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except ValueError as error:  # binascii.Error, and text that is not ASCII
        raise SaslError("incorrect-encoding") from error


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
