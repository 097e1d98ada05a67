"""A small XMPP client for tests: it says exactly what it is told to, and remembers all that it hears.

Nothing runs in the background. Bytes are read while somebody waits for something; what came and was
not waited for stays in `inbox`, in order. Every wait has a deadline.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import secrets
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from xml.sax.saxutils import quoteattr

from lxml import etree

from compliance import sasl
from compliance.check import Failed
from compliance.names import PREFIXES, Element, bare, clark, condition, find, find_all, show
from compliance.stream import Closed, Event, Header, StreamReader, TrafficLog

STREAM_OPEN = (
    "<?xml version='1.0'?><stream:stream to={to} version='1.0' xml:lang='en' "
    "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
)
STANZAS = tuple(clark(name) for name in ("c:message", "c:presence", "c:iq"))
Where = Callable[[Element], object]


class AuthenticationFailed(Exception):
    """The server answered `<failure/>`; `condition` is its defined condition, None when it names none."""

    def __init__(self, condition: str | None) -> None:
        super().__init__(condition)
        self.condition = condition


@dataclass(frozen=True, slots=True)
class Account:
    """An account that the run may use: bare JID and password."""

    jid: str
    password: str

    @property
    def username(self) -> str:
        """The localpart."""
        return self.jid.partition("@")[0]


@dataclass(frozen=True, slots=True)
class Target:
    """The server under test.

    Attributes:
        host, port: where its client port is.
        domain: the XMPP domain to ask for.
        direct_tls_port: port for TLS from the first byte (XEP-0368), None when there is none to test.
        ca_file: trust anchors; None for the system's.
        insecure: accept any certificate.
        timeout_s: how long to wait for anything the server should send.
    """

    host: str
    port: int
    domain: str
    direct_tls_port: int | None = None
    ca_file: str | None = None
    insecure: bool = False
    timeout_s: float = 5.0

    def tls_context(self, *, alpn: tuple[str, ...] = (), newest: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """Return a context that trusts what the run was told to trust."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if self.insecure:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if newest is not None:
            context.maximum_version = newest
        return context


class Client:
    """One connection to the server under test, with all its steps in the caller's hands."""

    def __init__(self, name: str, target: Target, account: Account | None, log: TrafficLog) -> None:
        """Make a client that is not connected.

        Args:
            name: how the traffic log calls it.
            target: the server under test.
            account: whose password `login` uses; None for checks that never log in.
            log: where its traffic is written.
        """
        self.name, self.target, self.account, self.log = name, target, account, log
        self.jid = ""
        self.header: Header | None = None
        self.features: Element | None = None
        self.inbox: list[Element] = []
        self.stanzas_received = 0  # message, presence and iq since the count was last set to 0 (XEP-0198 §4)
        self.closed = False  # the server sent its closing tag
        self.lost = False  # the connection is gone
        self._events = StreamReader()
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    # -- the connection

    async def connect(
        self, *, direct_tls: bool = False, alpn: tuple[str, ...] = (), newest: ssl.TLSVersion | None = None
    ) -> None:
        """Open the TCP connection, with TLS at once for a direct TLS port."""
        port = self.target.direct_tls_port if direct_tls else self.target.port
        tls = self.target.tls_context(alpn=alpn, newest=newest) if direct_tls else None
        name = self.target.domain if direct_tls else None
        self.log.add(self.name, "-", f"connecting to {self.target.host}:{port}{' with TLS' if direct_tls else ''}")
        try:
            async with asyncio.timeout(self.target.timeout_s):
                self._reader, self._writer = await asyncio.open_connection(
                    self.target.host, port, ssl=tls, server_hostname=name
                )
        except (OSError, TimeoutError) as error:
            raise Failed(f"cannot connect to {self.target.host}:{port}: {error or 'timeout'}") from error
        self.lost = self.closed = False

    @property
    def tls(self) -> ssl.SSLObject | None:
        """The ssl object of the connection; None before TLS."""
        return None if self._writer is None else self._writer.get_extra_info("ssl_object")

    async def open_stream(self, header: str | None = None) -> Header:
        """Send a stream header (ours when None) and return the server's."""
        self._events = StreamReader()
        self.header = None
        await self.send(STREAM_OPEN.format(to=quoteattr(self.target.domain)) if header is None else header)
        await self._read_until(lambda: self.header is not None, "the server's stream header")
        assert self.header is not None
        return self.header

    async def read_features(self) -> Element:
        """Wait for the stream features and return them."""
        self.features = await self.expect("stream:features")
        return self.features

    async def start_tls(self, *, newest: ssl.TLSVersion | None = None) -> None:
        """Negotiate STARTTLS and open the stream anew; leaves `features` as they are inside TLS."""
        await self.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        await self.expect("tls:proceed")
        await self.handshake(newest=newest)
        await self.open_stream()
        await self.read_features()

    async def handshake(self, *, newest: ssl.TLSVersion | None = None) -> None:
        """Do the TLS handshake on the open connection."""
        assert self._writer is not None
        context = self.target.tls_context(newest=newest)
        try:
            async with asyncio.timeout(self.target.timeout_s):
                await self._writer.start_tls(context, server_hostname=self.target.domain)
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            raise Failed(f"the TLS handshake failed: {error or 'timeout'}") from error

    async def start(self, *, newest: ssl.TLSVersion | None = None) -> None:
        """Connect and go as far as the features that offer SASL: TLS by STARTTLS when the server offers it."""
        await self.connect()
        await self.open_stream()
        features = await self.read_features()
        if find(features, "tls:starttls") is not None:
            await self.start_tls(newest=newest)

    def mechanisms(self) -> list[str]:
        """Return the SASL mechanisms of the features read last."""
        if self.features is None:
            return []
        return [(el.text or "").strip() for el in find_all(self.features, "sasl:mechanisms/sasl:mechanism")]

    def bindings(self) -> list[str]:
        """Return the channel-binding types that the features announce (XEP-0440)."""
        if self.features is None:
            return []
        kinds = find_all(self.features, "cb:sasl-channel-binding/cb:channel-binding")
        return [kind.get("type", "") for kind in kinds]

    # -- logging in

    async def authenticate(self, mechanism: str | None = None, *, password: str | None = None) -> None:
        """Log in with the account's password, or another; the stream is not yet restarted.

        Raises:
            AuthenticationFailed: the server said no.
            Failed: the exchange itself went wrong.
        """
        assert self.account is not None
        exchange = self._mechanism(mechanism, self.account.password if password is None else password)
        encoded = base64.b64encode(exchange.first()).decode()
        opening = f"<auth xmlns='{PREFIXES['sasl']}' mechanism='{exchange.name}'>"
        await self.send(f"{opening}{encoded}</auth>", shown=f"{opening}[left out]</auth>")
        while True:
            answer = await self.expect("*", where=lambda el: etree.QName(el).namespace == PREFIXES["sasl"])
            given = (answer.text or "").strip()
            kind, data = etree.QName(answer).localname, b"" if given == "=" else base64.b64decode(given)
            if kind == "failure":
                raise AuthenticationFailed(condition(answer))
            try:
                if kind == "success":
                    exchange.verify(data)
                    return
                # A server may send its signature as a last challenge, with nothing in <success/> (RFC 6120 §6.3.10).
                last = data.startswith(b"v=")
                reply = b"" if last else exchange.answer(data)
                if last:
                    exchange.verify(data)
                    exchange = sasl.Plain("", "")  # its proof is checked; whatever <success/> holds is no proof
            except (sasl.SaslError, ValueError) as error:
                raise Failed(f"{exchange.name}: {error}") from error
            await self.send(f"<response xmlns='{PREFIXES['sasl']}'>{base64.b64encode(reply).decode()}</response>")

    def _mechanism(self, wanted: str | None, password: str) -> sasl.Plain | sasl.Scram:
        assert self.account is not None
        offered = self.mechanisms()
        for name in (wanted,) if wanted else sasl.PREFERRED:
            if name not in offered and not wanted:
                continue
            if name == "PLAIN":
                return sasl.Plain(self.account.username, password)
            if not name.endswith("-PLUS"):
                return sasl.Scram(name, self.account.username, password)
            binding = self._binding()
            if binding is not None:
                return sasl.Scram(name, self.account.username, password, binding=binding)
        raise Failed(f"no SASL mechanism in common; the server offers {', '.join(offered) or 'none'}")

    def _binding(self) -> tuple[str, bytes] | None:
        """Return a channel binding that both sides have; without XEP-0440, tls-unique as RFC 5802 has it."""
        if self.tls is None:
            return None
        for kind in self.bindings() or ["tls-unique"]:
            data = sasl.channel_binding(self.tls, kind)
            if data is not None:
                return kind, data
        return None

    async def login(self, *, resource: str | None = None, mechanism: str | None = None) -> None:
        """Go from nothing to a bound resource; its full JID is then in `jid`. The log gets one line when all is well."""
        before = len(self.log.entries)
        await self.start()
        await self.enter(resource=resource, mechanism=mechanism)
        self.log.fold(before, self.name, f"logged in as {self.jid} with {self.tls.version() if self.tls else 'no TLS'}")

    async def enter(self, *, resource: str | None = None, mechanism: str | None = None) -> None:
        """Authenticate and bind on a stream that stands where `start` left it."""
        try:
            await self.authenticate(mechanism)
        except AuthenticationFailed as error:
            raise Failed(f"login of {self.account and self.account.jid} failed: {error.condition}") from error
        await self.open_stream()
        await self.read_features()
        await self.bind(resource)

    async def bind(self, resource: str | None = None) -> None:
        """Bind a resource: the one asked for, a fresh one for None, the server's choice for ""."""
        wanted = f"compliance-{secrets.token_hex(4)}" if resource is None else resource
        inner = f"<resource>{wanted}</resource>" if wanted else ""
        reply = await self.iq("set", f"<bind xmlns='{PREFIXES['bind']}'>{inner}</bind>")
        jid = find(reply, "bind:bind/bind:jid")
        if reply.get("type") != "result" or jid is None or not jid.text:
            raise Failed(f"binding a resource failed: {condition(reply)}")
        self.jid = jid.text
        self.stanzas_received = 0

    @property
    def bare(self) -> str:
        """The bare JID."""
        return bare(self.jid)

    # -- sending

    async def send(self, xml: str | bytes, *, shown: str | None = None) -> None:
        """Send text as it is; the log gets `shown` instead when the text holds a password.

        A connection that is gone already is noticed by the next wait, not here.
        """
        data = xml.encode() if isinstance(xml, str) else xml
        self.log.add(self.name, "C", data.decode(errors="backslashreplace") if shown is None else shown)
        if self._writer is None:
            raise Failed("not connected")
        try:
            async with asyncio.timeout(self.target.timeout_s):
                self._writer.write(data)
                await self._writer.drain()
        except TimeoutError as error:
            raise Failed("the server stopped reading") from error
        except OSError as error:
            self.log.add(self.name, "-", f"sending failed: {error}")

    async def iq(self, type_: str, payload: str, *, to: str | None = None) -> Element:
        """Send a request and return the answer, be it a result or an error."""
        id_ = secrets.token_hex(6)
        address = f" to={quoteattr(to)}" if to else ""
        await self.send(f"<iq type='{type_}' id='{id_}'{address}>{payload}</iq>")
        return await self.expect("c:iq", id=id_, where=lambda el: el.get("type") in ("result", "error"))

    async def ask(self, type_: str, payload: str, *, to: str | None = None) -> Element:
        """Send a request that must succeed and return the result."""
        reply = await self.iq(type_, payload, to=to)
        if reply.get("type") != "result":
            raise Failed(f"the request {payload} was refused with {condition(reply)}")
        return reply

    async def roundtrip(self) -> None:
        """Wait until the server has answered something: it has then dealt with all we sent before."""
        await self.iq("get", "<ping xmlns='urn:xmpp:ping'/>", to=self.target.domain)

    # -- receiving

    async def expect(
        self, path: str, *, where: Where | None = None, within_s: float | None = None, **attributes: str
    ) -> Element:
        """Return, and take out of the inbox, the first element that fits; wait for it when none has come yet.

        Args:
            path: the element, as "c:message" or "*"; a longer one, "c:message/c:body", asks for a child as well.
            where: further condition on the element.
            within_s: how long to wait, instead of the target's `timeout_s`.
            attributes: attributes the element must have; a trailing underscore is dropped (`from_`).
                The value "" asks for an attribute that is absent or empty.

        Raises:
            Failed: it did not come in time, or the stream ended first.
        """
        fits = _matcher(path, where, attributes)
        found: list[Element] = []

        def arrived() -> bool:
            found.extend(el for el in self.inbox if fits(el))
            return bool(found)

        wanted = _describe(path, attributes)
        await self._read_until(arrived, wanted, within_s)
        self.inbox.remove(found[0])
        return found[0]

    def unread(self, path: str, *, where: Where | None = None, **attributes: str) -> list[Element]:
        """Return what fits among what came and nobody waited for (see `expect` for the arguments)."""
        fits = _matcher(path, where, attributes)
        return [el for el in self.inbox if fits(el)]

    def refuse(self, path: str, *, why: str, where: Where | None = None, **attributes: str) -> None:
        """Fail the check if something that fits is in the inbox. Call it behind a barrier (`Scene.settle`)."""
        unwanted = self.unread(path, where=where, **attributes)
        if unwanted:
            raise Failed(f"{why}: {self.name} got {show(unwanted[0])}")

    async def expect_stream_error(self, *conditions: str) -> str | None:
        """Wait for a stream error, then for the end of the stream; return its condition.

        Raises:
            Failed: there was none, or its condition is not among `conditions` (when any are given).
        """
        error = await self.expect("stream:error")
        seen = condition(error)
        if conditions and seen not in conditions:
            raise Failed(f"the stream error is {seen!r}, wanted {' or '.join(conditions)}")
        await self.expect_end()
        return seen

    async def expect_end(self) -> None:
        """Wait until the server closes the stream or the connection."""
        await self._read_until(lambda: self.closed or self.lost, "the end of the stream", ended_is_fine=True)

    async def _read_until(
        self, done: Callable[[], bool], wanted: str, within_s: float | None = None, *, ended_is_fine: bool = False
    ) -> None:
        limit_s = self.target.timeout_s if within_s is None else within_s
        try:
            async with asyncio.timeout(limit_s):
                while not done():
                    if self.lost or (self.closed and not ended_is_fine):
                        raise Failed(f"{wanted} did not come: {self._how_it_ended()}")
                    await self._read()
        except TimeoutError as error:
            raise Failed(f"{wanted} did not come to {self.name} within {limit_s:g} s") from error

    async def _read(self) -> None:
        if self._reader is None:
            raise Failed("not connected")
        try:
            data = await self._reader.read(65536)
        except OSError as error:
            self.log.add(self.name, "-", f"the connection broke: {error}")
            data = b""
        if not data:
            self.log.add(self.name, "-", "the server closed the connection")
            self.lost = True
            return
        self.log.add(self.name, "S", data.decode(errors="backslashreplace"))
        try:
            events = self._events.feed(data)
        except etree.XMLSyntaxError as error:
            raise Failed(f"the server's XML is not well-formed: {error}") from error
        for event in events:
            self._take(event)

    def _take(self, event: Event) -> None:
        if isinstance(event, Header):
            self.header = event
        elif isinstance(event, Closed):
            self.closed = True
        else:
            self.inbox.append(event)
            self.stanzas_received += event.tag in STANZAS

    def _how_it_ended(self) -> str:
        errors = self.unread("stream:error")
        said = f" with the stream error {condition(errors[0])}" if errors else ""
        return f"the server ended {self.name}'s stream{said}"

    # -- leaving

    async def close(self) -> None:
        """Close the stream in good order, then the connection."""
        if self._writer is not None and not self.lost and not self.closed and self.header is not None:
            with contextlib.suppress(Failed):
                await self.send("</stream:stream>")
                await self.expect_end()
        self.abort()

    def abort(self) -> None:
        """Cut the connection with nothing said, as a lost network does."""
        if self._writer is not None:
            self._writer.transport.abort()
            self.log.add(self.name, "-", "connection cut")
        self.lost = True
        self._writer = None


def _matcher(path: str, where: Where | None, attributes: dict[str, str]) -> Callable[[Element], bool]:
    head, _, below = path.partition("/")
    tag = None if head == "*" else clark(head)

    def fits(element: Element) -> bool:
        if tag is not None and element.tag != tag:
            return False
        if below and find(element, below) is None:
            return False
        if any((element.get(name.rstrip("_")) or "") != value for name, value in attributes.items()):
            return False
        return where is None or bool(where(element))

    return fits


def _describe(path: str, attributes: dict[str, str]) -> str:
    named = "".join(f" {name.rstrip('_')}={value!r}" for name, value in attributes.items())
    return f"<{path}{named}>"
