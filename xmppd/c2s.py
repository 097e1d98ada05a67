"""A client's stream, from its header to its end.

Where it stands is told by three things, in this order:

    host      None until the header names one of our domains
    jid       None until SASL has succeeded (the account's bare JID)
    resource  None until a resource is bound or resumed

What a stanza means then: before `jid`, only what `iq_before_login` handlers take; before `resource`, only the bind request; after
it, everything goes to the router, with `from` stamped (RFC 6120 §8.1.2.1).
"""

import functools
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from codec.binary_tables import Tables
from codec.binary_writer import BinaryWriter
from codec.element import Element
from codec.events import BadStanza, Event, StreamOpened
from codec.jid import JID, InvalidJID, prepare_domainpart, prepare_resourcepart
from codec.limits import BEFORE_LOGIN, ReaderLimits
from codec.stanza import IQ, Message, Presence, Stanza
from codec.xml_parser import ParserPool
from codec.xml_reader import USUAL_HEADERS
from xmppd import hooks, sessions
from xmppd.binary_wire import ALPN_BINARY, UNKNOWN_DICTIONARY, UPGRADE, BinaryWire
from xmppd.dispatch import answer_before_login
from xmppd.eager import run_eagerly
from xmppd.errors import StanzaError, StreamError, error_reply
from xmppd.host import Host, Shared
from xmppd.login import ABORT, AUTH, RESPONSE, Login, mechanisms_feature
from xmppd.resource import Resource
from xmppd.router import Router
from xmppd.sasl.offer import Offer, Realm
from xmppd.stream import Stream
from xmppd.stream_limits import reader_limits
from xmppd.tls import TlsStore
from xmppd.tls_engine import TlsEngine

TLS_NS = "urn:ietf:params:xml:ns:xmpp-tls"
BIND_NS = "urn:ietf:params:xml:ns:xmpp-bind"
BIND = f"{BIND_NS} bind"

ACK_AFTER_STANZAS = 5
"""We ask for an acknowledgement (XEP-0198) after so many stanzas, or within a second or two when there are fewer: a request for each one
would double the packets of a quiet chat."""

Waiting = Coroutine[Any, Any, None]


@dataclass(frozen=True, slots=True)
class Service:
    """What all client streams of a server share.

    Attributes:
        realms: what logins need, by domain.
        binary: the binary form, None where it is not offered.
        parsers: shared by all readers.
        remind: has `remind()` of a stream called within a second or so.
    """

    shared: Shared
    router: Router
    tls: TlsStore | None
    realms: Mapping[str, Realm]
    limits: ReaderLimits
    before_login: ReaderLimits
    remind: Callable[["ClientStream"], None]
    log: Any
    binary: BinaryWire | None = None
    parsers: ParserPool = field(default_factory=lambda: ParserPool(USUAL_HEADERS["jabber:client"]))


class ClientStream(Stream):
    """A stream of one client.

    Attributes:
        host, jid, resource: see above.
        login: its SASL exchanges, None while it may not log in: before TLS, and after login.
        claimed: the bare JID that the client's header names itself by (RFC 6120 §4.7.1), not proven; None when it does not.
        is_final: the client or we closed it on purpose, so that it cannot be resumed.
        tables: of the binary form, None where it has none.
    """

    __slots__ = ("_asked_alive", "claimed", "host", "is_final", "jid", "login", "resource", "service", "tables")

    def __init__(self, connection: Any, service: Service) -> None:
        super().__init__(connection, service.before_login, service.shared.spawn, service.parsers)
        self.service = service
        self.host: Host | None = None
        self.jid: JID | None = None
        self.resource: Resource | None = None
        self.is_final = False
        self.login: Login | None = None
        self.claimed: JID | None = None
        self.tables: Tables | None = None
        self._asked_alive = False

    @property
    def is_secure(self) -> bool:
        """Whether TLS protects it."""
        return self.connection is not None and self.connection.tls is not None

    @property
    def address(self) -> str:
        """The client's IP address."""
        return self.connection.address if self.connection is not None else ""

    def domain(self) -> str:
        """Return the domain that our header bears."""
        if self.host is not None:
            return self.host.domain
        return next(iter(self.service.shared.hosts))

    def send(self, stanza: Stanza) -> None:
        """Send a stanza in this stream's form."""
        self.service.shared.metrics.stanzas_sent[stanza.kind] += 1
        super().send(stanza)

    # header and features

    def opened(self, header: StreamOpened) -> Waiting | None:
        """Answer the client's header with ours and the features (RFC 6120 §4.3, §4.7)."""
        id_ = self.new_id()
        if self.service.binary is not None and isinstance(self.writer, BinaryWriter):
            self.tables = self.service.binary.opened(self.reader, self.writer, self.tables, id_)
        host = self._find_host(header.to)
        if host is not None and self.host is None:
            self.host = host
        self.send_header(id_)
        if host is None or host is not self.host:
            raise StreamError("host-unknown")
        if (header.version or "0.9").partition(".")[0] != "1":
            raise StreamError("unsupported-version")
        self.claimed = _claimed(header.from_, host)
        self.send_features()
        return None

    def _find_host(self, to: str | None) -> Host | None:
        hosts = self.service.shared.hosts
        if to is None:
            # RFC 6120 §4.7.2 wants `to`; where there is but one domain nothing is in doubt
            return next(iter(hosts.values())) if len(hosts) == 1 else None
        try:
            return hosts.get(prepare_domainpart(to))
        except InvalidJID:
            return None

    def send_features(self) -> None:
        """Send the features that the stream has now (RFC 6120 §4.3.2).

        What they are depends on where the stream stands alone, so that the bytes are made once for each such point.
        """
        host = self.host
        assert host is not None
        is_secure, is_authenticated = self.is_secure, self.jid is not None
        mechanisms: tuple[str, ...] = ()
        if not is_authenticated and self._may_log_in(host):
            self.login = Login(host, self._offer(host))
            mechanisms = self.login.offer.names
        writer = self.writer
        form = writer.dictionary.id if isinstance(writer, BinaryWriter) else b""
        point = (is_secure, is_authenticated, self.resource is not None, mechanisms, form)
        features = host.stream_features.get(point)
        if features is None:
            features = host.stream_features[point] = writer.features(self._features(host))
        self.write(writer.recalled(features) if isinstance(writer, BinaryWriter) else features)

    def _may_log_in(self, host: Host) -> bool:
        return self.is_secure or not host.config.c2s.require_tls

    def _features(self, host: Host) -> list[Element]:
        features: list[Element] = []
        if self.jid is None:
            if not self.is_secure and self.service.tls is not None:
                required = (Element(f"{TLS_NS} required", {}, ()),) if host.config.c2s.require_tls else ()
                features.append(Element(f"{TLS_NS} starttls", {}, required))
            if self.login is not None:
                features.extend(mechanisms_feature(self.login.offer))
                if self.service.binary is not None and not isinstance(self.writer, BinaryWriter):
                    features.append(self.service.binary.feature)
        elif self.resource is None:
            features.append(Element(BIND, {}, ()))
        if self._may_log_in(host):
            host.signal(hooks.stream_features, hooks.FeaturesEvent(self, features, self.jid is not None))
        return features

    def _offer(self, host: Host) -> Offer:
        tls = self.connection.tls
        end_point_hash = None if tls is None else tls.end_point_hash
        return Offer(self.service.realms[host.domain], is_encrypted=tls is not None, end_point_hash=end_point_hash)

    # what comes

    def handle(self, event: Event) -> Waiting | None:
        """Take a stanza or another child of the stream."""
        if isinstance(event, Stanza):
            resource = self.resource
            if resource is None:
                return self._unbound_stanza(event)
            return self._stanza(event, resource)
        if isinstance(event, Element):
            return self._nonza(event)
        assert isinstance(event, BadStanza)
        if self.resource is None:
            raise StreamError("not-authorized")
        reply = error_reply(event.stanza, StanzaError(event.condition))
        if reply is not None:
            self.resource.send(reply.replace(from_=self.resource.account.jid))
        if self.resource.acks is not None:
            self.resource.acks.took(None)
        return None

    def _stanza(self, stanza: Stanza, resource: Resource) -> Waiting | None:
        from_ = stanza.from_
        if from_ is not None and from_ != resource.jid and from_ != resource.account.jid:
            raise StreamError("invalid-from")
        # nobody else has seen it yet: the one place where a stanza is written to
        stanza.from_ = resource.jid
        router, metrics = self.service.router, self.service.shared.metrics
        if isinstance(stanza, Message):
            metrics.stanzas_received["message"] += 1
            result = router.message(resource, stanza)
            if isinstance(result, Coroutine):
                return self._count_after(result, resource)
            if resource.acks is not None:
                resource.acks.took(result)
            return None
        if isinstance(stanza, IQ):
            metrics.stanzas_received["iq"] += 1
            waiting = router.iq(resource, stanza)
        else:
            assert isinstance(stanza, Presence)
            metrics.stanzas_received["presence"] += 1
            waiting = router.presence(resource, stanza)
        if waiting is not None:
            return self._count_after(waiting, resource)
        if resource.acks is not None:
            resource.acks.took(None)
        return None

    async def _count_after(self, waiting: Coroutine[Any, Any, Any], resource: Resource) -> None:
        if resource.acks is None:
            await waiting
        else:
            await resource.acks.count_after(waiting)

    def _unbound_stanza(self, stanza: Stanza) -> Waiting | None:
        if self.host is None or not isinstance(stanza, IQ):
            raise StreamError("not-authorized")
        if self.jid is None:
            self._check_exchange("")
            if not (self.is_secure or not self.host.config.c2s.require_tls):
                raise StreamError("policy-violation", "TLS comes first.")
            return self._before_login(self.host, stanza)
        if stanza.type == "set" and stanza.tags == (BIND,):
            return self._bind(self.host, self.jid, stanza)
        raise StreamError("not-authorized", "A resource must be bound first.")

    async def _before_login(self, host: Host, iq: IQ) -> None:
        reply = await answer_before_login(host, self, iq)
        if reply is None:
            raise StreamError("not-authorized")
        self.send(reply)

    async def _bind(self, host: Host, jid: JID, iq: IQ) -> None:
        """Bind a resource (RFC 6120 §7)."""
        request = iq.element(BIND)
        wanted = None if request is None else request.find(f"{BIND_NS} resource")
        try:
            if not iq.id:
                raise StanzaError("bad-request")
            resourcepart = prepare_resourcepart(wanted.text) if wanted is not None and wanted.text else self.new_id()
            resource = await self.bind(host, jid, resourcepart)
        except InvalidJID as error:
            self._answer(iq, StanzaError("bad-request", text=str(error)))
            return
        except StanzaError as error:
            self._answer(iq, error)
            return
        self.send(iq.reply(Element(BIND, {}, (Element(f"{BIND_NS} jid", {}, (resource.jid,)),))))
        self.told(resource.jid)

    async def bind(self, host: Host, jid: JID, resourcepart: str) -> Resource:
        """Bind a resource to this stream. Once it is bound, what is sent to it comes here: there is no waiting after that.

        Raises:
            StanzaError: see `sessions.bind`.
            StreamError: not-authorized: the account is no more.
        """
        account = await host.load_account(jid)
        if account is None:
            raise StreamError("not-authorized", "The account was removed.")
        self.resource = resource = await sessions.bind(account, resourcepart, self)
        if self.connection is None:  # lost meanwhile: `lost` found no resource to end
            await sessions.end(resource)
        self.service.log.debug("resource_bound", jid=str(resource.jid))
        return resource

    def _answer(self, iq: IQ, error: StanzaError) -> None:
        reply = error_reply(iq, error)
        if reply is not None:
            self.send(reply)

    def _nonza(self, element: Element) -> Waiting | None:
        tag = element.tag
        binary = self.service.binary
        if binary is not None and tag == UNKNOWN_DICTIONARY:
            self.write(binary.retry(self.writer))
            return None
        if self.host is None:
            raise StreamError("not-authorized")
        if self.jid is None:
            self._check_exchange(tag)
        if tag == f"{TLS_NS} starttls":
            return self._start_tls()
        if tag == UPGRADE and binary is not None:
            if self.jid is not None or not self._may_log_in(self.host) or isinstance(self.writer, BinaryWriter):
                raise StreamError("policy-violation", "The form of a stream changes before login, inside TLS.")
            binary.upgrade(self, element, self.service.before_login)
            return None
        if tag in (AUTH, RESPONSE, ABORT):
            if self.jid is not None or self.login is None:
                raise StreamError("policy-violation", "This stream takes no login now.")
            return self.login.handle(element, self.send_element, self._logged_in)
        handler = self.host.nonza_handlers.get(tag)
        if handler is not None:
            if self.jid is None and tag not in self.host.early_nonzas:
                raise StreamError("not-authorized")
            result: Waiting | None = handler(self, element)
            return result
        raise StreamError("unsupported-stanza-type" if self.jid is not None else "not-authorized")

    def _check_exchange(self, tag: str) -> None:
        """Refuse what does not belong into a login that is under way, where its profile is strict (XEP-0388 §2.4)."""
        if self.login is not None and self.login.expects is not None and tag not in self.login.expects:
            raise StreamError("policy-violation", "A login is under way.")

    def _start_tls(self) -> None:
        """Answer <starttls/> (RFC 6120 §5.4.2); what came behind it in plain text is dropped."""
        if self.is_secure or self.service.tls is None or self.jid is not None or self.host is None:
            self.send_element(Element(f"{TLS_NS} failure"))
            self.close()
            return
        self.send_element(Element(f"{TLS_NS} proceed"))
        self.connection.start_tls(functools.partial(TlsEngine, self.service.tls.context_for(self.host.domain)))
        self.restart()

    def secured(self) -> None:
        """The TLS handshake is complete; it may have agreed on the binary form (ALPN)."""
        binary = self.service.binary
        if binary is not None and self.host is None and self.connection.tls.alpn == ALPN_BINARY:
            binary.begin(self, self.service.before_login)
            self._is_restarted = False  # nothing was read before

    def _logged_in(self, jid: JID) -> None:
        self.enter(jid)
        self.restart()

    def enter(self, jid: JID) -> None:
        """The client has proven that it is the account `jid`: from here on the stream is its."""
        self.jid = jid
        self.login = None
        self.reader.limits = self.service.limits

    # the connection's side

    def before_flush(self) -> None:
        """Add acknowledgements, and requests for them, to what is about to leave."""
        resource = self.resource
        if resource is None or resource.acks is None or resource.stream is not self or not self.is_open:
            return
        acks = resource.acks
        if acks.is_failed:
            self.end("internal-server-error", "The server could not keep what you sent; send it again.")
            return
        h = acks.answer_due()
        if h is not None:
            self.write(self.writer.ack(h))
        if acks.r_sent_at is None and acks.unacked:
            if len(acks.unacked) >= ACK_AFTER_STANZAS:
                self.ask_for_ack()
            else:
                self.service.remind(self)

    def ask_for_ack(self) -> None:
        """Send <r/> (XEP-0198 §4)."""
        resource = self.resource
        if resource is not None and resource.acks is not None and resource.acks.r_sent_at is None:
            resource.acks.r_sent_at = resource.acks.sent
            self.write(self.writer.ack_request())

    def remind(self) -> None:
        """Something sent some time ago has not been acknowledged: ask."""
        resource = self.resource
        if resource is not None and resource.acks is not None and resource.acks.unacked and self.connection is not None:
            self.ask_for_ack()

    def tick(self, idle_s: int, age_s: int) -> None:
        """Called every few seconds: `idle_s` since bytes last came, `age_s` since the connection was made."""
        config = self.service.shared.config.c2s
        if self.resource is None and age_s > config.login_timeout_s:
            self.end("connection-timeout", "The login took too long.")
            return
        if config.idle_sleep_s and idle_s >= config.idle_sleep_s:
            self.reader.sleep()
            if self.tables is not None:
                self.tables.sleep()
        if not config.keepalive_s or self.resource is None or idle_s < config.keepalive_s:
            self._asked_alive = False
        elif not self._asked_alive:
            self._asked_alive = True
            self._ask_alive(self.resource)
        elif idle_s >= config.keepalive_s + config.keepalive_timeout_s:
            self.service.log.debug("client_silent", jid=str(self.resource.jid), idle_s=idle_s)
            self.connection.abort()

    def _ask_alive(self, resource: Resource) -> None:
        if resource.acks is not None:
            resource.acks.r_sent_at = resource.acks.sent
            self.write(self.writer.ack_request())
        else:
            ping = IQ.build(
                Element("urn:xmpp:ping ping", {}, ()),
                to=resource.jid,
                from_=resource.account.host.domain,
                type="get",
                id=self.new_id(),
            )
            self.send(ping)

    def close(self) -> None:
        """Close for good: what is closed on purpose cannot be resumed, and nothing that comes now counts as delivered."""
        self._finish_for_good()
        super().close()
        self._leave()

    def _finish_for_good(self) -> None:
        """Tell the client, before an error or the end tag, what it need not send again (XEP-0198 §4)."""
        resource, was_final = self.resource, self.is_final
        self.is_final = True
        if was_final or not self.is_open or resource is None or resource.acks is None or resource.stream is not self:
            return
        if not resource.acks.is_failed:
            resource.acks.asked_at = None
            self.write(self.writer.ack(resource.acks.h))

    def _leave(self) -> None:
        """The resource ends, or waits to be resumed."""
        resource, self.resource = self.resource, None
        if resource is None or resource.stream is not self:
            return
        self.hand_over(resource)
        resource.stream = None
        if self.is_final or resource.keeper is None or not resource.keeper(resource):
            run_eagerly(sessions.end(resource), self.service.shared.spawn)

    def hand_over(self, resource: Resource) -> None:
        """Leave to a resource what its next stream may go on with; nothing of it is used here any more."""
        tables, self.tables = self.tables, None
        if tables is None or self.service.binary is None:
            return
        kept = self.service.binary.part(self.reader, self.writer, tables)
        # those that are there are of the stream before, which this one never came to take up
        if resource.tables is None and not self.is_final:
            resource.tables = kept

    def take_up(self) -> None:
        """What is sent next tells the client that its session goes on with this stream: so do its tables, if it asked for that."""
        resource = self.resource
        if resource is None or resource.tables is None:
            return
        kept, resource.tables = resource.tables, None
        if self.tables is None or self.service.binary is None:
            return
        claim = self.service.binary.go_on(self.reader, self.writer, kept)
        if claim is not None:
            self.tables = kept
            self.write(claim)

    def ending(self, condition: str) -> None:
        """A stream error is about to be sent."""
        self._finish_for_good()
        self.service.shared.metrics.count_stream_error(condition)
        self.service.log.info("stream_error", condition=condition, address=self.address, jid=str(self.jid or ""))

    def lost(self) -> None:
        """The connection is gone: the resource ends, or waits to be resumed."""
        self.connection = None
        self.reader.close()
        self._leave()

    def log_broken(self) -> None:
        """Log the exception being handled."""
        self.service.log.exception("stream_broke", address=self.address, jid=str(self.jid or ""))


def _claimed(from_: str | None, host: Host) -> JID | None:
    """Return the bare JID that a header's `from` names.

    Raises:
        StreamError: invalid-from: it belongs to another domain than the one the client wants to log in to (XEP-0388 §2.1).
    """
    if not from_:
        return None
    try:
        jid = JID.parse(from_)
    except InvalidJID:
        return None
    if jid.domainpart != host.domain:
        raise StreamError("invalid-from")
    return jid.bare if jid.localpart else None


def limits_of(config: Any) -> tuple[ReaderLimits, ReaderLimits]:
    """Return the reader's limits from the settings: before login, and after."""
    limits = config.limits
    before = ReaderLimits(
        stanza_bytes=limits.stanza_bytes_before_login,
        depth=BEFORE_LOGIN.depth,
        attributes=BEFORE_LOGIN.attributes,
        children=BEFORE_LOGIN.children,
    )
    return before, reader_limits(limits)
