"""A stream with another server, whichever side opened it: stanzas both ways, and what is known to have arrived.

A *pair* is (their domain, our domain). Which pairs a stream may bring stanzas for is proven stanza by stanza's addresses against
`heard`; which it may carry is the business of a `Route`, which hands it stanzas by `transmit` and hears of them again:

    managed (XEP-0198)    the peer acknowledges; what it has not acknowledged when the stream ends goes back to the route
    not managed           messages that are stored count as arrived once the peer has answered a ping sent behind them, for a
                          server takes the stanzas of a stream in order; all others count as arrived when they are written
"""

from collections import Counter
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from codec.element import Element
from codec.events import BadStanza, Event
from codec.limits import ReaderLimits
from codec.stanza import Stanza
from codec.xml_parser import ParserPool
from codec.xml_reader import SERVER_NS, USUAL_HEADERS
from codec.xml_writer import STREAMS_NS
from xmppd.acks import MODULO, Acks, counter_of
from xmppd.acks import NS as SM_NS
from xmppd.errors import StreamError
from xmppd.host import Shared
from xmppd.router import Router
from xmppd.s2s.identity import PeerCertificate
from xmppd.s2s.keys import DialbackKeys
from xmppd.s2s.limits import BUSY_TIMES
from xmppd.s2s.policy import Policy
from xmppd.s2s.queue import Entry
from xmppd.stream import Stream, Waiting

TLS_NS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL_NS = "urn:ietf:params:xml:ns:xmpp-sasl"
BIDI_NS, BIDI_FEATURE = "urn:xmpp:bidi", "urn:xmpp:features:bidi"
DIALBACK_FEATURE = "urn:xmpp:features:dialback"
ERROR = f"{STREAMS_NS} error"

Pair = tuple[str, str]


class RouteLike(Protocol):
    """What a stream needs of the route whose stanzas it carries."""

    ours: str
    theirs: str

    def arrived(self, entries: list[Entry]) -> None:
        """The peer has these."""

    def let_go(self, stream: "PeerStream", entries: list[Entry]) -> None:
        """The stream carries no more; of what it was given, these have not arrived for sure."""

    def pump(self) -> None:
        """There is room for more."""

    def ask_ping(self, stream: "PeerStream") -> None:
        """Have the peer answer a ping, and say so by `PeerStream.confirm`."""


class FederationLike(Protocol):
    """What a stream needs of the whole."""

    def is_ours(self, domain: str) -> bool:
        """Whether a virtual host or a component of this server has that domain."""

    def offer(self, ours: str, theirs: str, stream: "PeerStream") -> None:
        """A stream that the other server opened may carry ours too (XEP-0288)."""

    async def ask(self, ours: str, theirs: str, stream_id: str, key: str) -> bool:
        """Ask the server of a domain whether a key is its own (XEP-0220 §2.3). Raises StanzaError when it cannot be asked."""

    def is_too_fast(self, domain: str, stanzas_per_s: int) -> bool:
        """Count a stanza of a domain; whether it has sent more than that in this second."""


@dataclass(slots=True)
class PeerService:
    """What all streams with other servers share.

    Attributes:
        tls: None: there is no certificate, and no TLS.
        uses_bidi: whether XEP-0288 is offered and asked for.
        waiting, waiting_by: how many domains are being asked about keys, in all and by the address that claims them.
        remind: has `remind()` of a stream called within a second or so.
    """

    shared: Shared
    router: Router
    policy: Policy
    keys: DialbackKeys
    tls: Any
    limits: ReaderLimits
    before_login: ReaderLimits
    uses_bidi: bool
    idle_s: float
    remind: Callable[["PeerStream"], None]
    log: Any
    federation: FederationLike
    parsers: ParserPool = field(default_factory=lambda: ParserPool(USUAL_HEADERS[SERVER_NS]))
    waiting: int = 0
    waiting_by: Counter[str] = field(default_factory=Counter)


class PeerStream(Stream):
    """One stream.

    Attributes:
        ours, theirs: the domains of its header; "" until they are known.
        heard: pairs whose stanzas it may bring.
        routes: who has it carry stanzas.
        acks: counts both ways, from <enable/> on where there is one. is_managed: by XEP-0198.
        pinged: counts what is sent, and stored, while it is not managed.
        is_given_up: it carries no more.
        max_bytes: how large a stanza the peer takes (XEP-0478), None where it does not say.
    """

    __slots__ = (
        "_asked_at",
        "_has_ended",
        "_last_asked_at",
        "_pinged_at",
        "_used_at",
        "acks",
        "heard",
        "is_given_up",
        "is_managed",
        "max_bytes",
        "ours",
        "pinged",
        "routes",
        "service",
        "theirs",
    )

    def __init__(self, connection: Any, service: PeerService) -> None:
        super().__init__(connection, service.before_login, service.shared.spawn, service.parsers, SERVER_NS)
        self.service = service
        self.ours = self.theirs = ""
        self.heard: set[Pair] = set()
        self.routes: list[RouteLike] = []
        self.is_managed = False
        self.is_given_up = False
        self._has_ended = False
        self.max_bytes: int | None = None
        self._used_at = connection.loop.seconds
        self._asked_at: int | None = None
        self._pinged_at: int | None = None
        self._last_asked_at = -1
        self.acks = self._new_acks()
        self.pinged = self._new_acks()

    def _new_acks(self) -> Acks:
        return Acks(None, self._progress, self.service.shared.config.s2s.queue_stanzas, self._overflow)

    def manage(self) -> None:
        """Count by XEP-0198 from here on, both ways (§3)."""
        self.is_managed = True
        self.acks = self._new_acks()

    @property
    def is_secure(self) -> bool:
        """Whether TLS protects it."""
        return self.connection is not None and self.connection.tls is not None

    @property
    def certificate(self) -> PeerCertificate | None:
        """The peer's certificate, None without TLS or when it has shown none."""
        found: PeerCertificate | None = self.connection.tls.peer if self.is_secure else None
        return found

    def doubt(self, domain: str) -> str | None:
        """Return in one line why the peer's certificate does not prove a domain, None when it does."""
        certificate = self.certificate
        if certificate is None:
            return "it has shown no certificate"
        return certificate.verdict(domain, self.service.policy.terms(domain).pins, self.service.shared.clock.now())

    @property
    def address(self) -> str:
        """The peer's IP address."""
        return self.connection.address if self.connection is not None else ""

    def domain(self) -> str:
        """Return the domain that our header bears."""
        return self.ours or next(iter(self.service.shared.hosts))

    # what comes

    def handle(self, event: Event) -> Waiting | None:
        """Take a stanza or another child of the stream."""
        if isinstance(event, Stanza):
            return self._stanza(event)
        if isinstance(event, BadStanza):
            raise StreamError("improper-addressing", "An address of this stanza is no JID.")
        assert isinstance(event, Element)
        if event.tag == ERROR:
            self._told_error(event)
            return None
        if event.tag in (f"{SM_NS} r", f"{SM_NS} a") and self.is_managed:
            self._managed(event)
            return None
        return self.negotiate(event)

    def negotiate(self, element: Element) -> Waiting | None:
        """Take a child of the stream that is neither stanza nor error nor acknowledgement."""
        raise NotImplementedError

    def _told_error(self, error: Element) -> None:
        condition = next((child.name for child in error.elements() if child.name != "text"), "undefined-condition")
        self.service.log.info("s2s_error_received", ours=self.ours, theirs=self.theirs, condition=condition)
        self.refused(condition)
        self.close()

    def refused(self, condition: str) -> None:
        """The peer ends the stream with this error."""

    def _stanza(self, stanza: Stanza) -> Waiting | None:
        from_, to = stanza.from_, stanza.to
        if from_ is None or to is None:
            raise StreamError("improper-addressing", "Between servers a stanza has both addresses.")
        if not self.heard:
            raise StreamError("not-authorized", "A domain is proven before its stanzas are sent.")
        if (from_.domainpart, to.domainpart) not in self.heard:
            if not self.service.federation.is_ours(to.domainpart):
                raise StreamError("host-unknown")
            raise StreamError("invalid-from", "This stream does not speak for that domain to this one.")
        self._meter(from_.domainpart)
        self.service.shared.metrics.stanzas_received[stanza.kind] += 1
        result = self.service.router.from_elsewhere(stanza)
        if isinstance(result, Coroutine):
            return self.acks.count_after(result)
        self.acks.took(result)
        return None

    def _meter(self, domain: str) -> None:
        rate = self.service.policy.terms(domain).stanzas_per_s
        if rate and self.service.federation.is_too_fast(domain, rate):
            self.connection.throttle()

    # XEP-0198

    def _managed(self, element: Element) -> None:
        if element.name == "r":
            self.acks.ask()
            self.wake()
            return
        h = counter_of(element)
        if h is None:
            raise StreamError("bad-format", "<a/> needs h, a number.")
        self._asked_at = None
        covered = self.acks.take(h)
        # What was sent before <enable/> it has too: it takes a stream in order.
        self._pinged_at = None
        self._acked([*self.pinged.acknowledge(self.pinged.sent % MODULO), *covered])
        if self.acks.unacked:
            self.wake()  # and is asked about the rest: what it has and has not told of would be sent again after a crash of ours

    def confirm(self, sent: int) -> None:
        """The peer has everything up to the stanza that was the `sent`-th of `pinged`."""
        if not self.is_given_up:
            self._pinged_at = None
            self._acked(self.pinged.acknowledge(max(sent, self.pinged.acked) % MODULO))

    def _acked(self, covered: list[tuple[Stanza, Any]]) -> None:
        for route in self.routes:
            route.arrived(_entries_of(route, covered))
            route.pump()

    def _progress(self) -> None:
        """More of what the peer has sent is committed: its acknowledgement may leave. Or it failed: the peer must send it again."""
        self.wake()

    def _overflow(self) -> None:
        self.end("resource-constraint", "Too much of what was sent here is not acknowledged.")

    # what leaves

    @property
    def has_room(self) -> bool:
        """Whether more may be handed to it now."""
        stanzas = len(self.acks.unacked) + len(self.pinged.unacked)
        size = max(self.acks.size_bytes, self.pinged.size_bytes)
        is_full = stanzas >= self.acks.limit // 2 or size >= self.acks.max_bytes // 2
        return self.is_connected and not self.is_congested and not is_full

    def transmit(self, entry: Entry) -> None:
        """Send a stanza; its route hears of it again by `arrived` or `let_go`."""
        self._used_at = self.connection.loop.seconds
        self.service.shared.metrics.stanzas_sent[entry.stanza.kind] += 1
        if self.is_managed:
            self.acks.keep(entry.stanza, entry)
        elif entry.id:
            self.pinged.keep(entry.stanza, entry)
        self.send(entry.stanza)

    def before_flush(self) -> None:
        """Add acknowledgements, and requests for them, to what is about to leave."""
        acks = self.acks
        if not self.is_open or self.is_given_up:
            return
        if acks.is_failed:
            self.end("internal-server-error", "The server could not keep what you sent; send it again.")
            return
        if self.is_managed and acks.answer_due() is not None:
            self.write(self.writer.ack(self.acks.h))
        if self.is_managed or self._has_not_asked_lately:
            self.remind()
        if acks.unacked or self.pinged.unacked:
            self.service.remind(self)

    @property
    def _has_not_asked_lately(self) -> bool:
        return bool(self._last_asked_at < self.connection.loop.seconds)

    def remind(self) -> None:
        """Something that was sent has not been acknowledged: ask."""
        if not self.is_connected or not self.is_open:
            return
        if self.is_managed:
            # Never a ping: the peer would count it, and <a/> tells of all that was sent.
            if (self.acks.unacked or self.pinged.unacked) and self._asked_at is None:
                self._ask()
        elif self.pinged.unacked and self._pinged_at is None:
            self._pinged_at = self._last_asked_at = self.connection.loop.seconds
            for route in self.routes:
                route.ask_ping(self)

    def _ask(self) -> None:
        self._asked_at = self._last_asked_at = self.connection.loop.seconds
        self.write(self.writer.ack_request())

    def drained(self) -> None:
        """What waited for the system to take it has left: there is room for more."""
        for route in self.routes:
            route.pump()

    # time, and the end

    def tick(self, idle_s: int, age_s: int) -> None:
        """Called every few seconds; see `c2s.ClientStream.tick`."""
        loop = self.connection.loop
        asked_at = [at for at in (self._asked_at, self._pinged_at) if at is not None]
        patience_s = self.service.shared.config.s2s.answer_timeout_s
        waited_s = loop.seconds - min(asked_at, default=loop.seconds)
        if min(waited_s, idle_s) > patience_s or waited_s > patience_s * BUSY_TIMES:
            self.service.log.info("s2s_silent", ours=self.ours, theirs=self.theirs)
            self.connection.abort()
            return
        if not all(map(self.service.policy.allows, {self.theirs, *(theirs for theirs, _ in self.heard)} - {""})):
            self.end("policy-violation", "This server does not talk to that domain any more.")
            return
        if self._has_expired():
            self.end("reset", "Your certificate has expired.")
            return
        is_idle = min(idle_s, loop.seconds - self._used_at) >= self.service.idle_s > 0
        if is_idle and not self.acks.unacked and not self.pinged.unacked and not self.is_asking:
            self.close()
        self.reader.sleep()

    def _has_expired(self) -> bool:
        """Whether a domain rests on a certificate whose time is over; where it is pinned its dates do not count."""
        certificate = self.certificate
        if certificate is None or not certificate.is_expired(self.service.shared.clock.now()):
            return False
        return any(not self.service.policy.terms(domain).pins for domain in self.certified)

    @property
    def certified(self) -> Collection[str]:
        """Domains that rest on the peer's certificate."""
        return ()

    @property
    def is_asking(self) -> bool:
        """Whether it waits for an answer of the peer that is no stanza."""
        return False

    def ending(self, condition: str) -> None:
        """A stream error is about to be sent."""
        self._last_ack()
        self._has_ended = True
        self.service.shared.metrics.count_stream_error(condition)
        self.service.log.info(
            "s2s_error", condition=condition, ours=self.ours, theirs=self.theirs, address=self.address
        )

    def _last_ack(self) -> None:
        if self.is_managed and self.is_open and not self.acks.is_failed and not self.is_given_up:
            self.write(self.writer.ack(self.acks.h))

    def close(self) -> None:
        """Close our side of the stream and the connection."""
        if self.is_connected and not self._has_ended:
            self._last_ack()
        super().close()
        self._give_up()

    def lost(self) -> None:
        """The connection is gone: what has not arrived goes back to its routes."""
        self.connection = None
        self.reader.close()
        self._give_up()

    def _give_up(self) -> None:
        if self.is_given_up:
            return
        self.is_given_up = True
        left = [*self.pinged.give_up(), *self.acks.give_up()]
        routes, self.routes = self.routes, []
        for route in routes:
            route.let_go(self, _entries_of(route, left))
        self.gave_up()

    def gave_up(self) -> None:
        """It has ended."""

    def log_broken(self) -> None:
        """Log the exception being handled."""
        self.service.log.exception("s2s_stream_broke", ours=self.ours, theirs=self.theirs, address=self.address)


def _entries_of(route: RouteLike, kept: list[tuple[Stanza, Any]]) -> list[Entry]:
    """Return those of a stream's stanzas that one of its routes has handed to it."""
    return [entry for _, entry in kept if entry.is_of(route.ours, route.theirs)]


def sm_enabled() -> Element:
    """Return the answer to <enable/>: streams of servers are not resumed, what was not acknowledged is sent again."""
    return Element(f"{SM_NS} enabled")


def dialback(name: str, from_: str, to: str, attrs: Mapping[str, str] | None = None, key: str = "") -> Element:
    """Return a <db:result/> or <db:verify/> (XEP-0220 §2)."""
    children = (key,) if key else ()
    return Element(f"jabber:server:dialback {name}", {"from": from_, "to": to, **(attrs or {})}, children)
