"""A stream that another server has opened: how it proves which domain it speaks for, and what it may do then.

Two ways lead to a proven pair (their domain, our domain):

    certificate  SASL EXTERNAL (XEP-0178), or a dialback key sent over TLS whose certificate names the domain: no call back is needed
    dialback     the key is shown to the domain's own server, which is found by DNS (XEP-0220); several pairs may share a stream

Until one is proven the stream brings nothing. It may be asked about our own keys at any time.
"""

import base64
import binascii
from collections.abc import Collection

from codec.element import Element
from codec.events import StreamOpened
from codec.jid import InvalidJID, prepare_domainpart
from xmppd.errors import StanzaError, StreamError
from xmppd.s2s.limits import PAIRS_PER_STREAM, PENDING_IN_ALL, PENDING_PER_ADDRESS, PENDING_PER_STREAM, UNPROVEN_S
from xmppd.s2s.peer import (
    BIDI_FEATURE,
    BIDI_NS,
    DIALBACK_FEATURE,
    SASL_NS,
    SM_NS,
    TLS_NS,
    Pair,
    PeerService,
    PeerStream,
    dialback,
    sm_enabled,
)
from xmppd.stream import Waiting
from xmppd.stream_limits import limits_feature

RESULT, VERIFY = "jabber:server:dialback result", "jabber:server:dialback verify"


class IncomingStream(PeerStream):
    """The side that was called.

    Attributes:
        stream_id: of the present header.
    """

    __slots__ = ("_asked_about", "_certified", "_is_bidi", "stream_id")

    def __init__(self, connection: object, service: PeerService) -> None:
        super().__init__(connection, service)
        self.stream_id = ""
        self._certified: set[str] = set()
        self._is_bidi = False
        self._asked_about: set[Pair] = set()

    # header and features

    def opened(self, header: StreamOpened) -> Waiting | None:
        """Answer the header with ours and the features (RFC 6120 §4.3, §4.7)."""
        ours, theirs = _domain(header.to), _domain(header.from_)
        is_known = self.service.federation.is_ours(ours)
        if self.heard and (ours, theirs) != (self.ours, self.theirs):
            raise StreamError("invalid-from", "A stream that is restarted stays between the same domains.")
        self.ours, self.theirs = ours if is_known else "", theirs
        self.stream_id = self.new_id()
        self.send_header(self.stream_id, theirs or None)
        if not is_known:
            raise StreamError("host-unknown")
        if theirs and not self.service.policy.allows(theirs):
            raise StreamError("policy-violation", "This server does not talk to that domain.")
        if (header.version or "0.9").partition(".")[0] != "1":
            raise StreamError("unsupported-version")
        self.write(self.writer.features(self._features()))
        for pair in self.heard:  # logged in by SASL: what is ours may follow now, not before (XEP-0288 §2.2)
            self._offer(pair)
        return None

    def _features(self) -> list[Element]:
        features: list[Element] = []
        terms = self.service.policy.terms(self.theirs)
        if not self.is_secure and self.service.tls is not None:
            required = (Element(f"{TLS_NS} required"),) if terms.requires_tls else ()
            features.append(Element(f"{TLS_NS} starttls", {}, required))
        if self._may_prove():
            if not self.heard:
                if self._offers_external():
                    mechanism = Element(f"{SASL_NS} mechanism", {}, ("EXTERNAL",))
                    features.append(Element(f"{SASL_NS} mechanisms", {}, (mechanism,)))
                if self.service.uses_bidi:
                    features.append(Element(f"{BIDI_FEATURE} bidi"))
            features.append(Element(f"{DIALBACK_FEATURE} dialback", {}, (Element(f"{DIALBACK_FEATURE} errors"),)))
            features.append(Element(f"{SM_NS} sm"))
        features.append(limits_feature(self.service.limits.stanza_bytes, self.service.idle_s))
        return features

    def _may_prove(self) -> bool:
        return self.is_secure or not self.service.policy.terms(self.theirs).requires_tls

    def _offers_external(self) -> bool:
        """Whether the certificate proves the domain that the header names: only then EXTERNAL can succeed (XEP-0178 §3)."""
        terms = self.service.policy.terms(self.theirs)
        return bool(self.theirs) and terms.takes_certificate and self.doubt(self.theirs) is None

    def secured(self) -> None:
        """The TLS handshake is complete."""

    # what it asks

    def negotiate(self, element: Element) -> Waiting | None:
        """Take what is no stanza: TLS, login, dialback, what the stream can do besides."""
        tag = element.tag
        if not self.ours:
            raise StreamError("not-authorized")
        if tag == f"{TLS_NS} starttls":
            self._start_tls()
        elif tag == f"{SASL_NS} auth":
            self._log_in(element)
        elif tag == RESULT:
            self._claim(element)
        elif tag == VERIFY:
            self._confirm_key(element)
        elif tag == f"{BIDI_NS} bidi":
            if self.heard or not self.service.uses_bidi or not self._may_prove():
                raise StreamError("policy-violation", "Both directions are asked for before the domain is proven.")
            self._is_bidi = True
        elif tag == f"{SM_NS} enable":
            self._enable()
        else:
            raise StreamError("unsupported-stanza-type" if self.heard else "not-authorized")
        return None

    def _start_tls(self) -> None:
        if self.is_secure or self.service.tls is None or self.heard:
            self.send_element(Element(f"{TLS_NS} failure"))
            self.close()
            return
        self.send_element(Element(f"{TLS_NS} proceed"))
        tls, ours = self.service.tls, self.ours
        self._is_bidi = False  # what was said in plain text counts no more (RFC 6120 §5.4.3.3)
        self.connection.start_tls(lambda _: tls.accept(ours, direct=False))
        self.restart()

    def _log_in(self, element: Element) -> None:
        """Take SASL EXTERNAL (XEP-0178 §3): the certificate speaks; the text may name the domain once more."""
        if self.heard or not self._may_prove():
            raise StreamError("policy-violation", "This stream takes no login now.")
        if element.get("mechanism") != "EXTERNAL" or not self.service.policy.terms(self.theirs).takes_certificate:
            self._fail("invalid-mechanism")
            return
        named = _decoded(element.text)
        if named is None:
            self._fail("incorrect-encoding")
        elif named and _domain(named) != self.theirs:
            self._fail("invalid-authzid")
        elif not self.theirs or self.service.federation.is_ours(self.theirs) or self.doubt(self.theirs) is not None:
            self._fail("not-authorized")
        else:
            self.send_element(Element(f"{SASL_NS} success"))
            self._certified.add(self.theirs)
            self._prove((self.theirs, self.ours))
            self.restart()

    def _fail(self, condition: str) -> None:
        self.service.log.info("s2s_login_failed", theirs=self.theirs, ours=self.ours, condition=condition)
        self.send_element(Element(f"{SASL_NS} failure", {}, (Element(f"{SASL_NS} {condition}"),)))

    def _prove(self, pair: Pair) -> None:
        theirs, ours = pair
        self.heard.add(pair)
        self.reader.limits = self.service.limits
        by_certificate = theirs in self._certified
        self.service.log.info("s2s_in", theirs=theirs, ours=ours, address=self.address, by_certificate=by_certificate)

    def _offer(self, pair: Pair) -> None:
        theirs, ours = pair
        if self._is_bidi:
            self.service.federation.offer(ours, theirs, self)

    # dialback

    def _claim(self, element: Element) -> None:
        """Take <db:result/>: a key that shows that the peer speaks for a domain (XEP-0220 §2.1.1)."""
        theirs, ours = _domain(element.get("from")), _domain(element.get("to"))
        pair = (theirs, ours)
        if not theirs or not ours or element.get("type"):
            raise StreamError("improper-addressing")
        if not self._may_prove():
            raise StreamError("policy-violation", "TLS comes first.")
        refusal = self._why_not(pair)
        if refusal is not None:
            self._answer(pair, refusal)
        elif pair in self.heard:
            self._answer(pair, None)
        elif pair not in self._asked_about:
            terms = self.service.policy.terms(theirs)
            if terms.takes_certificate and self.doubt(theirs) is None:
                self._certified.add(theirs)
                self._claimed(pair, None)
                return
            self._asked_about.add(pair)
            self.service.waiting += 1
            self.service.waiting_by[self.address] += 1
            self.service.shared.spawn(self._ask_about(pair, element.text, self.address))

    def _why_not(self, pair: Pair) -> StanzaError | None:
        theirs, ours = pair
        if not self.service.federation.is_ours(ours):
            return StanzaError("item-not-found")
        if self.service.federation.is_ours(theirs):
            return StanzaError("not-allowed", text="That domain is ours.")
        if not self.service.policy.allows(theirs):
            return StanzaError("policy-violation")
        terms = self.service.policy.terms(theirs)
        if terms.requires_tls and not self.is_secure:  # the header may have named another domain, or none
            return StanzaError("policy-violation", text="TLS comes first.")
        if (not terms.takes_dialback or terms.pins) and self.doubt(theirs) is not None:
            return StanzaError("not-authorized", text=f"The certificate is what counts here: {self.doubt(theirs)}.")
        if len(self._asked_about) >= PENDING_PER_STREAM or self._is_crowded():
            return StanzaError("resource-constraint")
        if len(self.heard) >= PAIRS_PER_STREAM and pair not in self.heard:
            return StanzaError("resource-constraint", text="This stream speaks for enough domains.")
        return None

    def _is_crowded(self) -> bool:
        """Whether no more can be asked about for whoever has this address."""
        waiting = self.service.waiting
        is_greedy = self.service.waiting_by[self.address] >= PENDING_PER_ADDRESS
        return waiting >= PENDING_IN_ALL or (is_greedy and waiting >= PENDING_IN_ALL // 2)

    async def _ask_about(self, pair: Pair, key: str, address: str) -> None:
        theirs, ours = pair
        stream_id = self.stream_id
        refusal: StanzaError | None = None
        try:
            is_right = await self.service.federation.ask(ours, theirs, stream_id, key)
            if not is_right:
                refusal = StanzaError("forbidden")
        except StanzaError as error:
            refusal = error
        finally:
            self.service.waiting -= 1
            self.service.waiting_by[address] -= 1
            if not self.service.waiting_by[address]:
                del self.service.waiting_by[address]
            self._asked_about.discard(pair)
        if self.is_connected and self.stream_id == stream_id:
            self._claimed(pair, refusal)

    def _claimed(self, pair: Pair, refusal: StanzaError | None) -> None:
        """Tell the peer what came of it, first: with XEP-0288 stanzas follow at once. A wrong key ends a stream that brings nothing else."""
        self._answer(pair, refusal)
        if refusal is None:
            self._prove(pair)
            self._offer(pair)
            return
        self.service.log.info(
            "s2s_key_refused", theirs=pair[0], ours=pair[1], reason=str(refusal), address=self.address
        )
        if refusal.condition == "forbidden" and not self.heard and not self._asked_about:
            self.close()

    def _answer(self, pair: Pair, refusal: StanzaError | None) -> None:
        theirs, ours = pair
        if refusal is None:
            self.send_element(dialback("result", ours, theirs, {"type": "valid"}))
        elif refusal.condition == "forbidden":
            self.send_element(dialback("result", ours, theirs, {"type": "invalid"}))
        else:
            element = dialback("result", ours, theirs, {"type": "error"})
            self.send_element(Element(element.tag, element.attrs, (refusal.to_element(),)))

    def _confirm_key(self, element: Element) -> None:
        """Take <db:verify/>: another server asks whether a key is ours (XEP-0220 §2.2.2)."""
        theirs, ours, id_ = _domain(element.get("from")), _domain(element.get("to")), element.get("id") or ""
        if not theirs or not ours or not id_ or element.get("type"):
            raise StreamError("improper-addressing")
        self._used_at = self.connection.loop.seconds
        if not self.service.federation.is_ours(ours):
            answer = dialback("verify", ours, theirs, {"id": id_, "type": "error"})
            answer = Element(answer.tag, answer.attrs, (StanzaError("item-not-found").to_element(),))
        else:
            is_right = self.service.keys.is_ours(element.text, theirs, ours, id_)
            answer = dialback("verify", ours, theirs, {"id": id_, "type": "valid" if is_right else "invalid"})
        self.send_element(answer)

    # XEP-0198

    def _enable(self) -> None:
        if not self.heard or self.is_managed:
            condition = Element("urn:ietf:params:xml:ns:xmpp-stanzas unexpected-request")
            self.send_element(Element(f"{SM_NS} failed", {}, (condition,)))
            return
        self.send_element(sm_enabled())
        self.manage()

    # time

    @property
    def certified(self) -> Collection[str]:
        """Domains that the peer's certificate has proven."""
        return self._certified

    @property
    def is_asking(self) -> bool:
        """Whether a domain that it claims is being asked."""
        return bool(self._asked_about)

    def tick(self, idle_s: int, age_s: int) -> None:
        """Called every few seconds; `age_s` since it was opened. One that only asks about keys may do so for a while."""
        if not self.heard:
            # Counted from its last question, not from its last byte: spaces now and then are no reason to wait.
            silent_s = self.connection.loop.seconds - self._used_at
            if silent_s > self.service.shared.config.s2s.login_timeout_s or age_s > UNPROVEN_S:
                self.end("connection-timeout", "No domain was proven.")
                return
        super().tick(idle_s, age_s)


def _domain(text: str | None) -> str:
    """Return a domain, prepared; "" when there is none or it is none."""
    try:
        return prepare_domainpart(text) if text else ""
    except InvalidJID:
        return ""


def _decoded(text: str) -> str | None:
    """Return what a SASL message holds, "" for "=" and nothing; None when it is not base64 of UTF-8."""
    if text in ("", "="):
        return ""
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
