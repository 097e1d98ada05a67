"""How `xmppd bridge` gets to its server: where it is by DNS, TLS at once or by STARTTLS, and the binary form agreed on.

    a port is named    TLS at once on it; if what answers there is no TLS, STARTTLS
    none is            the domain's _xmpps-client records, then its _xmpp-client records, each in RFC 2782's order; without any of them
                       the domain itself, port 5223 and then port 5222

The certificate must be for the name that was given, whatever host DNS leads to (RFC 6120 §13.7.2.1): DNS proves nothing. A connection without TLS
is given up before anything of a client is sent.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

from codec.binary_dictionary import load_all
from codec.binary_reader import BINARY_NS
from codec.element import Element, escape_value
from codec.events import Event, StreamBroken, StreamClosed
from codec.limits import ReaderLimits
from codec.xml_reader import XmlReader
from codec.xml_writer import STREAMS_NS
from xmppd.addresses import Address
from xmppd.binary_wire import ALPN_BINARY
from xmppd.s2s.resolver import NoService, ResolverDown
from xmppd.s2s.srv import ServiceRecord, in_order
from xmppd.tls import ALPN_XMPP_CLIENT

DIRECT_SERVICE, STARTTLS_SERVICE = "_xmpps-client._tcp", "_xmpp-client._tcp"
DIRECT_PORT, STARTTLS_PORT = 5223, 5222
TLS_NS = "urn:ietf:params:xml:ns:xmpp-tls"

ATTEMPT_S = 10.0
"""One server, from its SYN to the last word in clear XML. A phone's network may need 3 s for each of the four round trips of STARTTLS."""
MAX_ATTEMPTS = 6
READ_BYTES = 4_096

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class BridgeError(Exception):
    """The server cannot be used; one line for a person."""


class Services(Protocol):
    """What is asked of DNS: `xmppd.s2s.resolver.Resolver`."""

    async def services(self, domain: str, service: str) -> list[ServiceRecord]:
        """Return the SRV records of a service."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One way to try."""

    address: Address
    is_direct: bool

    def __str__(self) -> str:
        return f"{self.address}, {'TLS at once' if self.is_direct else 'STARTTLS'}"


class _NoTlsThere(Exception):
    """What answered does not begin with TLS; the text says how it showed."""


def tls_context(ca: Path | None, is_insecure: bool) -> ssl.SSLContext:
    """Return what connects to the server.

    Args:
        ca: PEM file of the authority to trust; None: the system's.
        is_insecure: take any certificate.

    Raises:
        BridgeError: the file cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    except OSError as error:
        raise BridgeError(f"{ca}: {error.strerror or error}") from None
    if is_insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols([ALPN_BINARY, ALPN_XMPP_CLIENT])
    return context


class Dialer:
    """Connects to one server, for each client anew.

    Args:
        domain: what its certificate must be for.
        port: None lets DNS say where it is.
        context: from `tls_context`.
        dns: who knows the SRV records; needed without a port.
    """

    def __init__(
        self,
        domain: str,
        port: int | None,
        context: ssl.SSLContext,
        dns: Services | None = None,
        *,
        attempt_s: float = ATTEMPT_S,
    ) -> None:
        self._domain = domain
        self._port = port
        self._context = context
        self._dns = dns
        self._attempt_s = attempt_s
        self._random = Random()

    async def connect(self) -> Streams:
        """Return a connection on which the binary form is spoken from the next byte on, HELLO first.

        Raises:
            BridgeError: with what became of each attempt, in one line.
        """
        reasons: list[str] = []
        attempts = await self._attempts()
        while attempts and len(reasons) < MAX_ATTEMPTS:
            attempt = attempts.pop(0)
            try:
                return await self._within(attempt)
            except _NoTlsThere as error:
                if self._port is not None:
                    attempts.append(Attempt(attempt.address, False))
                    continue
                reasons.append(f"{attempt}: {error}")
            except BridgeError as error:
                reasons.append(f"{attempt}: {error}")
        raise BridgeError(f"{self._domain} is not reached: {'; '.join(reasons)}")

    async def _attempts(self) -> list[Attempt]:
        if self._port is not None:
            return [Attempt(Address(self._domain, self._port), True)]
        direct, plain = [await self._records(service) for service in (DIRECT_SERVICE, STARTTLS_SERVICE)]
        if not direct and not plain:
            both = ((DIRECT_PORT, True), (STARTTLS_PORT, False))
            return [Attempt(Address(self._domain, port), is_direct) for port, is_direct in both]
        found = [(record, True) for record in direct] + [(record, False) for record in plain]
        usable = [Attempt(Address(record.host, record.port), is_direct) for record, is_direct in found if record.host]
        if not usable:
            raise BridgeError(f"{self._domain} says that it has no XMPP server")
        return usable

    async def _records(self, service: str) -> Sequence[ServiceRecord]:
        """Return records in the order to try; none where DNS has none, or does not tell: the domain itself may still be there."""
        if self._dns is None:
            return ()
        try:
            return in_order(await self._dns.services(self._domain, service), self._random)
        except (NoService, ResolverDown):
            return ()

    async def _within(self, attempt: Attempt) -> Streams:
        try:
            async with asyncio.timeout(self._attempt_s):
                return await (self._directly(attempt) if attempt.is_direct else self._by_starttls(attempt))
        except ssl.SSLCertVerificationError as error:
            raise BridgeError(f"its certificate is not accepted: {error.verify_message}") from None
        except TimeoutError:
            raise BridgeError(f"no answer within {self._attempt_s:.0f} s") from None
        except ssl.SSLError as error:
            raise BridgeError(f"no TLS: {error.reason or error}") from None
        except OSError as error:
            raise BridgeError(error.strerror or str(error) or type(error).__name__) from None

    async def _directly(self, attempt: Attempt) -> Streams:
        host, port = attempt.address
        try:
            reader, writer = await asyncio.open_connection(
                host, port, ssl=self._context, server_hostname=self._domain, ssl_handshake_timeout=self._attempt_s
            )
        except ssl.SSLCertVerificationError:
            raise
        except (ssl.SSLError, ConnectionResetError, ConnectionAbortedError) as error:
            raise _NoTlsThere(f"what answers speaks no TLS ({getattr(error, 'reason', None) or error})") from None
        return await self._agreed(reader, writer)

    async def _by_starttls(self, attempt: Attempt) -> Streams:
        loop = asyncio.get_running_loop()
        host, port = attempt.address
        transport, clear = await loop.create_connection(_Clear, host, port)
        with _aborting(transport):
            talk = _Talk(clear.read, transport.write, self._domain)
            if (await talk.features()).find(f"{TLS_NS} starttls") is None:
                raise BridgeError("it offers no STARTTLS, and nothing is sent without")
            await talk.ask(Element(f"{TLS_NS} starttls"), f"{TLS_NS} proceed", "it refuses STARTTLS")
            # another reader from here on: what came in the clear behind <proceed/> must not count as said inside TLS
            reader = asyncio.StreamReader()
            protocol = asyncio.StreamReaderProtocol(reader)
            secured = await loop.start_tls(
                transport, protocol, self._context, server_hostname=self._domain, ssl_handshake_timeout=self._attempt_s
            )
            assert secured is not None
            protocol.connection_made(secured)
        return await self._agreed(reader, asyncio.StreamWriter(secured, protocol, reader, loop))

    async def _agreed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Streams:
        """Agree on the binary form inside TLS, in band where ALPN has not."""
        if writer.get_extra_info("ssl_object").selected_alpn_protocol() == ALPN_BINARY:
            return reader, writer
        with _aborting(writer.transport):
            talk = _Talk(lambda: reader.read(READ_BYTES), writer.write, self._domain)
            offered = (await talk.features()).find(f"{BINARY_NS} binary")
            ids = [] if offered is None else [one.get("id") for one in offered.elements() if one.name == "dict"]
            known = [id_.hex() for id_ in load_all() if id_.hex() in ids]
            if not known:
                raise BridgeError(
                    "it does not speak the binary form" if offered is None else "it has no dictionary of ours"
                )
            upgrade = Element(f"{BINARY_NS} upgrade", {"version": "0", "dict": known[0]})
            await talk.ask(upgrade, f"{BINARY_NS} proceed", "it refuses the binary form")
        return reader, writer


class _Talk:
    """The beginning of a stream in XML."""

    def __init__(self, read: Callable[[], Awaitable[bytes]], write: Callable[[bytes], None], domain: str) -> None:
        self._read, self._write = read, write
        self._xml = XmlReader(ReaderLimits())
        self._events: list[Event] = []
        header = f"<stream:stream xmlns='jabber:client' xmlns:stream='{STREAMS_NS}' to='{escape_value(domain)}' version='1.0'>"
        write(f"<?xml version='1.0'?>{header}".encode())

    async def features(self) -> Element:
        """Return what the server offers."""
        return await self._next(f"{STREAMS_NS} features", "it sends no features")

    async def ask(self, request: Element, expected: str, otherwise: str) -> Element:
        """Ask for something and return the answer expected.

        Raises:
            BridgeError: `otherwise`, with what came instead.
        """
        self._write(request.to_xml())
        return await self._next(expected, otherwise)

    async def _next(self, expected: str, otherwise: str) -> Element:
        while True:
            while self._events:
                event = self._events.pop(0)
                if isinstance(event, Element):
                    if event.tag == expected:
                        return event
                    inner = [child.name for child in event.elements()]
                    raise BridgeError(f"{otherwise}: {' '.join([event.name, *inner[:1]])}")
                if isinstance(event, StreamBroken | StreamClosed):
                    raise BridgeError(f"{otherwise}: it speaks no XMPP, or ends the stream")
            data = await self._read()
            if not data:
                raise BridgeError(f"{otherwise}: it closes the connection")
            self._events = self._xml.feed(data)


class _Clear(asyncio.Protocol):
    """A connection before TLS."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[bytes] = asyncio.Queue()

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        self._arrived.put_nowait(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing comes any more."""
        self._arrived.put_nowait(b"")

    async def read(self) -> bytes:
        """Return what comes next, b"" for the end."""
        return await self._arrived.get()


@contextlib.contextmanager
def _aborting(transport: asyncio.WriteTransport) -> Iterator[None]:
    """Drop a connection when what is done with it fails."""
    try:
        yield
    except BaseException:
        transport.abort()
        raise
