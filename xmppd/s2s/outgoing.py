"""A stream that we open to another server: TLS, then proof of our domain, then stanzas.

    header → features → STARTTLS → header → features ┬ EXTERNAL → header → features ┬ (XEP-0198) → ready
                                                     └ dialback key → valid ────────┘

As soon as features are there inside TLS the stream is `open`: the server can be asked about keys (XEP-0220 §2.2), whether or not we
have stanzas for it. It proves our domain only when the route wants to send.
"""

import asyncio
import base64
from collections.abc import Collection
from typing import Any, Protocol

from codec.element import Element
from codec.events import StreamOpened
from codec.xml_writer import STREAMS_NS
from xmppd.errors import StreamError
from xmppd.s2s.peer import (
    BIDI_FEATURE,
    BIDI_NS,
    DIALBACK_FEATURE,
    SASL_NS,
    SM_NS,
    TLS_NS,
    PeerService,
    PeerStream,
    dialback,
)
from xmppd.stream import Waiting
from xmppd.stream_limits import max_bytes_of

FEATURES = f"{STREAMS_NS} features"
RESULT, VERIFY = "jabber:server:dialback result", "jabber:server:dialback verify"
FINAL = frozenset(
    (
        "host-gone",
        "host-unknown",
        "invalid-from",
        "not-authorized",
        "policy-violation",
        "unsupported-feature",
        "unsupported-stanza-type",
        "unsupported-version",
    )
)
"""Errors of a stream before it takes stanzas after which asking again would bring the same answer."""


class CannotTalk(Exception):
    """The server was reached, but the stream came to nothing; one line that says why.

    Attributes:
        condition: for the senders of what waits: remote-server-not-found when this is not the server of that domain,
            remote-server-timeout when it may be well later.
    """

    def __init__(self, condition: str, text: str) -> None:
        super().__init__(text)
        self.condition = condition


class Owner(Protocol):
    """What a stream that we open needs of its route."""

    @property
    def wants_to_send(self) -> bool:
        """Whether our domain is to be proven."""

    def ready(self, stream: "OutgoingStream") -> None:
        """It takes stanzas."""

    def verified(self, stream_id: str, answer: str) -> None:
        """The server says of a key: valid, invalid, or error."""

    def ended(self, stream: "OutgoingStream") -> None:
        """It is over."""


class OutgoingStream(PeerStream):
    """The side that calls.

    Attributes:
        is_usable: features came, inside TLS where that is required: keys can be asked about.
        is_ready: our domain is proven.
        outcome: done when it is usable, and ready where that is wanted; its exception is a CannotTalk.
    """

    __slots__ = (
        "_features",
        "_is_ended",
        "_is_external",
        "_login_at",
        "_owner",
        "_refusal",
        "_stage",
        "_stream_id",
        "is_ready",
        "is_usable",
        "outcome",
    )

    def __init__(
        self, connection: Any, service: PeerService, owner: Owner, ours: str, theirs: str, is_direct: bool
    ) -> None:
        super().__init__(connection, service)
        self.ours, self.theirs = ours, theirs
        self._owner = owner
        self._stage = "begun"
        self._stream_id = ""
        self._features: Element = Element(FEATURES)
        self._is_external = False
        self._is_ended = False
        self._login_at = connection.loop.seconds
        self._refusal: CannotTalk | None = None
        self.is_usable = False
        self.is_ready = False
        self.outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.outcome.add_done_callback(lambda done: done.cancelled() or done.exception())  # seen, whoever waits
        if not is_direct:
            self._begin()

    def _begin(self) -> None:
        self.send_header(None, self.theirs)

    def secured(self) -> None:
        """The TLS handshake is complete."""
        self._begin()

    # header and features

    def opened(self, header: StreamOpened) -> Waiting | None:
        """Take the server's header (RFC 6120 §4.7)."""
        if (header.version or "0.9").partition(".")[0] != "1":
            raise self._give_in(
                "remote-server-not-found", "it speaks a version of XMPP before 1.0", "unsupported-version"
            )
        self._stream_id = header.id or ""
        return None

    def negotiate(self, element: Element) -> Waiting | None:
        """Take what is no stanza: features, and the answers of TLS, login and dialback."""
        tag = element.tag
        if tag == FEATURES:
            self._featured(element)
        elif tag == f"{TLS_NS} proceed" and self._stage == "tls":
            self._start_tls()
        elif tag == f"{TLS_NS} failure":
            raise self._give_in("remote-server-timeout", "it refuses TLS")
        elif tag == f"{SASL_NS} success" and self._stage == "external":
            self._is_external = True
            self._stage = "proven"
            self.restart()
            self._begin()
        elif tag == f"{SASL_NS} failure" and self._stage == "external":
            self._try_dialback(f"it refuses our certificate ({_condition(element)})")
        elif tag == RESULT and element.get("type") and self._stage == "dialback":
            self._judged(element)
        elif tag == VERIFY and element.get("type"):
            self._owner.verified(element.get("id") or "", element.get("type") or "")
        elif tag in (f"{SM_NS} enabled", f"{SM_NS} failed") and self._stage == "enabling":
            if element.name == "enabled":
                self.manage()
            self._ready()
        else:
            raise StreamError("unsupported-stanza-type")
        return None

    def _featured(self, features: Element) -> None:
        self._features = features
        self.max_bytes = max_bytes_of(features)
        if self._stage == "proven":
            self._enable()
            return
        terms = self.service.policy.terms(self.theirs)
        if not self.is_secure:
            if self.service.tls is not None and features.find(f"{TLS_NS} starttls") is not None:
                self._stage = "tls"
                self.send_element(Element(f"{TLS_NS} starttls"))
                return
            if terms.requires_tls:
                raise self._give_in("remote-server-not-found", "it offers no TLS", "policy-violation")
        doubt = self.doubt(self.theirs)
        if doubt is not None and (terms.pins or not terms.takes_dialback):
            raise self._give_in(
                "remote-server-not-found", f"its certificate does not prove it: {doubt}", "policy-violation"
            )
        self.is_usable = True
        self.prove()

    def _start_tls(self) -> None:
        tls, ours, theirs = self.service.tls, self.ours, self.theirs
        self._stage = "begun"
        self.connection.start_tls(lambda _: tls.connect(ours, theirs, direct=False))
        self.restart()

    # proof

    def prove(self) -> None:
        """Prove our domain, if the route wants to send; otherwise the stream waits as it is."""
        if not self.is_usable or self._stage in ("external", "dialback", "proven", "enabling", "ready"):
            return
        if not self._owner.wants_to_send:
            self._settle()
            return
        self._login_at = self.connection.loop.seconds
        features = self._features
        if self.service.uses_bidi and features.find(f"{BIDI_FEATURE} bidi") is not None:
            self.send_element(Element(f"{BIDI_NS} bidi"))
            self.heard.add((self.theirs, self.ours))  # it was found by DNS, and by its certificate where that counts
        # Certificates are for both or for none: a server that takes ours and cannot show its own would prove nothing at all.
        doubt = self.doubt(self.theirs)
        if doubt is not None:
            self._try_dialback(f"its certificate does not prove it: {doubt}")
        elif self._takes_external() and self.service.policy.terms(self.theirs).takes_certificate:
            self._stage = "external"
            authzid = base64.b64encode(self.ours.encode()).decode()
            self.send_element(Element(f"{SASL_NS} auth", {"mechanism": "EXTERNAL"}, (authzid,)))
        else:
            self._try_dialback("it does not take our certificate")

    def _takes_external(self) -> bool:
        mechanisms = self._features.find(f"{SASL_NS} mechanisms")
        return mechanisms is not None and any(child.text == "EXTERNAL" for child in mechanisms.elements())

    def _try_dialback(self, otherwise: str) -> None:
        if not self.service.policy.terms(self.theirs).takes_dialback:
            raise self._give_in("remote-server-not-found", otherwise)
        # Who offers neither may be one that never tells; who offers certificates alone means that.
        if self._takes_external() and self._features.find(f"{DIALBACK_FEATURE} dialback") is None:
            raise self._give_in("remote-server-not-found", f"{otherwise}, and it does not do dialback")
        self._stage = "dialback"
        key = self.service.keys.make(self.theirs, self.ours, self._stream_id)
        self.send_element(dialback("result", self.ours, self.theirs, key=key))

    def _judged(self, result: Element) -> None:
        if result.get("type") == "valid":
            self._stage = "proven"
            self._enable()
        elif result.get("type") == "invalid":
            raise self._give_in("remote-server-not-found", "it does not believe that we are who we are (dialback)")
        else:
            raise self._give_in("remote-server-timeout", f"it cannot find out who we are ({_condition(result)})")

    def _enable(self) -> None:
        self.reader.limits = self.service.limits
        if self._features.find(f"{SM_NS} sm") is not None:
            self._stage = "enabling"
            self.send_element(Element(f"{SM_NS} enable"))
        else:
            self._ready()

    def _ready(self) -> None:
        self._stage = "ready"
        self.is_ready = True
        self.service.log.info(
            "s2s_out",
            theirs=self.theirs,
            ours=self.ours,
            address=self.address,
            by_certificate=self._is_external,
            is_managed=self.is_managed,
        )
        self._settle()
        self._owner.ready(self)

    # asking about keys

    def ask_about(self, stream_id: str, key: str) -> None:
        """Ask whether a key is the server's own (XEP-0220 §2.2.1)."""
        self._used_at = self.connection.loop.seconds
        self.send_element(dialback("verify", self.ours, self.theirs, {"id": stream_id}, key))

    # the end

    def _settle(self) -> None:
        if not self.outcome.done():
            self.outcome.set_result(None)

    def _give_in(self, condition: str, text: str, stream_condition: str = "undefined-condition") -> StreamError:
        """Note why it came to nothing, and return the error that ends the stream."""
        self._refusal = CannotTalk(condition, text)
        return StreamError(stream_condition, f"This server does not go on: {text}.")

    def refused(self, condition: str) -> None:
        """The peer ends the stream with this error."""
        name = "remote-server-not-found" if condition in FINAL else "remote-server-timeout"
        self._refusal = self._refusal or CannotTalk(name, f"it ended the stream: {condition}")

    def gave_up(self) -> None:
        """It has ended."""
        if self._is_ended:
            return
        self._is_ended = True
        if not self.outcome.done():
            self.outcome.set_exception(self._refusal or CannotTalk("remote-server-timeout", "it closed the connection"))
        self._owner.ended(self)

    @property
    def certified(self) -> Collection[str]:
        """Domains for which the peer's certificate is what counts: without it this stream would not be."""
        return () if self.service.policy.terms(self.theirs).takes_dialback else (self.theirs,)

    @property
    def is_asking(self) -> bool:
        """Whether its login is under way."""
        return self._stage in ("external", "dialback", "proven", "enabling")

    def tick(self, idle_s: int, age_s: int) -> None:
        """Called every few seconds; see `PeerStream.tick`."""
        login_s = self.connection.loop.seconds - self._login_at
        if (not self.is_usable or self.is_asking) and login_s > self.service.shared.config.s2s.login_timeout_s:
            self.end("connection-timeout")
            return
        super().tick(idle_s, age_s)


def _condition(element: Element) -> str:
    """Return the condition that an answer names, wherever it stands in it."""
    for child in element.elements():
        found = next((grandchild.name for grandchild in child.elements() if grandchild.name != "text"), child.name)
        if found != "text":
            return found
    return "no reason given"
