"""One connection to a server of another domain, opened as our server would and closed before any stanza: what is seen on the way."""

import asyncio
import base64
import os
import socket
from dataclasses import dataclass

from codec.element import Element
from codec.events import StreamBroken, StreamClosed, StreamOpened
from codec.limits import BEFORE_LOGIN
from codec.xml_reader import XmlReader
from codec.xml_writer import STREAMS_NS, XmlWriter
from xmppd.s2s.identity import PeerCertificate, shown
from xmppd.s2s.tls import PeerEngine, PeerTls
from xmppd.tls_engine import TlsFailed

SERVER_NS = "jabber:server"
TLS_NS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL_NS = "urn:ietf:params:xml:ns:xmpp-sasl"
FEATURES, ERROR = f"{STREAMS_NS} features", f"{STREAMS_NS} error"
READ_BYTES = 65_536
# What may come before the stream's features, or between two answers, from a peer that only keeps us busy.
MAX_EVENTS = 64


class ProbeFailed(Exception):
    """It does not go on; one line that says why."""


@dataclass(slots=True)
class Seen:
    """What one connection has shown, as far as it came.

    Attributes:
        address: the IP address and port.
        problem: one line on why it ended early; None when it came as far as wanted.
        stage: what it was at then: connection, TLS, stream, login.
        version, cipher: of TLS; None when it did not come to that.
        certificate: the server's; None when it has shown none.
        features: of the stream inside TLS; None when it did not come to that.
        login: what the server said to our certificate: "success", or its condition; None when it was not asked.
    """

    address: str
    problem: str | None = None
    stage: str = "connection"
    version: str | None = None
    cipher: str | None = None
    certificate: PeerCertificate | None = None
    features: Element | None = None
    login: str | None = None

    @property
    def offers_external(self) -> bool:
        """Whether a login with our certificate is offered."""
        mechanisms = None if self.features is None else self.features.find(f"{SASL_NS} mechanisms")
        return mechanisms is not None and any(child.text == "EXTERNAL" for child in mechanisms.elements())

    def offers(self, tag: str) -> bool:
        """Whether the features have a child "namespace name"."""
        return self.features is not None and self.features.find(tag) is not None


async def probe(
    tls: PeerTls, ours: str, theirs: str, address: tuple[str, int], *, is_direct: bool, log_in: bool, timeout_s: float
) -> Seen:
    """Connect, open a stream, go into TLS, and log in by certificate where that is offered and wanted.

    Args:
        ours, theirs: prepared domains: who we say we are, and whom we ask for.
        address: IP address and port.
        is_direct: TLS starts at once there (XEP-0368).
        log_in: False stops at the features.
        timeout_s: for all of it.
    """
    seen = Seen(f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}")
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.get_running_loop().sock_connect(sock, address)
            await _Probe(seen, sock, tls, ours, theirs).run(is_direct, log_in)
    except TimeoutError:
        seen.problem = f"no answer within {timeout_s:g} s"
    except TlsFailed as error:
        seen.problem = f"TLS failed: {error}"
    except ProbeFailed as error:
        seen.problem = str(error)
    except OSError as error:
        seen.problem = os.strerror(error.errno).lower() if error.errno else str(error)
    finally:
        sock.close()
    return seen


class _Probe:
    """The connection while it lasts."""

    def __init__(self, seen: Seen, sock: socket.socket, tls: PeerTls, ours: str, theirs: str) -> None:
        self._seen = seen
        self._sock = sock
        self._tls = tls
        self._ours, self._theirs = ours, theirs
        self._engine: PeerEngine | None = None
        self._reader = XmlReader(BEFORE_LOGIN, SERVER_NS)
        self._writer = XmlWriter(SERVER_NS)
        self._waiting: list[object] = []

    async def run(self, is_direct: bool, log_in: bool) -> None:
        seen = self._seen
        if not is_direct:
            await self._start_tls()
        seen.stage = "TLS"
        await self._shake_hands(is_direct)
        seen.stage = "stream"
        seen.features = await self._open()
        if log_in and seen.offers_external:
            seen.stage = "login"
            seen.login = await self._log_in()
        await self._send(b"</stream:stream>")

    async def _start_tls(self) -> None:
        self._seen.stage = "stream"
        features = await self._open()
        if features.find(f"{TLS_NS} starttls") is None:
            raise ProbeFailed("it offers no TLS")
        await self._send(self._writer.element(Element(f"{TLS_NS} starttls")))
        if (await self._next()).tag != f"{TLS_NS} proceed":
            raise ProbeFailed("it refuses TLS")
        if self._waiting:
            raise ProbeFailed("more comes in clear text behind its consent to TLS: somebody is in between")

    async def _shake_hands(self, is_direct: bool) -> None:
        engine = self._tls.connect(self._ours, self._theirs, direct=is_direct)
        self._reader.restart()
        try:
            while not engine.is_established:
                await asyncio.get_running_loop().sock_sendall(self._sock, engine.take_output())
                engine.feed(await self._received())
        finally:
            alert = engine.take_output()
            if alert:
                await asyncio.get_running_loop().sock_sendall(self._sock, alert)
        self._engine = engine
        self._seen.version, self._seen.cipher, self._seen.certificate = engine.version, engine.cipher, engine.peer

    async def _open(self) -> Element:
        """Send a header, and return the features."""
        await self._send(self._writer.header(from_=self._ours, to=self._theirs, id_=None))
        features = await self._next()
        if features.tag != FEATURES:
            raise ProbeFailed(f"it sends {shown(features.name)} where its features belong")
        return features

    async def _log_in(self) -> str:
        authzid = base64.b64encode(self._ours.encode()).decode()
        await self._send(self._writer.element(Element(f"{SASL_NS} auth", {"mechanism": "EXTERNAL"}, (authzid,))))
        answer = await self._next()
        if answer.tag == f"{SASL_NS} success":
            return "success"
        if answer.tag != f"{SASL_NS} failure":
            raise ProbeFailed(f"it answers our login with {shown(answer.name)}")
        return next((shown(child.name) for child in answer.elements() if child.name != "text"), "no reason given")

    async def _next(self) -> Element:
        """Return the next child of the stream."""
        for _ in range(MAX_EVENTS):
            while not self._waiting:
                data = await self._received()
                pieces = [data] if self._engine is None else self._engine.feed(data)
                self._waiting += [event for piece in pieces for event in self._reader.feed(piece)]
            event = self._waiting.pop(0)
            if isinstance(event, Element):
                if event.tag == ERROR:
                    raise ProbeFailed(f"it ends the stream: {_told(event)}")
                return event
            if isinstance(event, StreamOpened):
                if (event.version or "0").partition(".")[0] != "1":
                    raise ProbeFailed("it speaks a version of XMPP before 1.0")
            elif isinstance(event, StreamClosed):
                raise ProbeFailed("it closes the stream")
            elif isinstance(event, StreamBroken):
                raise ProbeFailed(f"what it sends is no XMPP ({event.condition})")
        raise ProbeFailed("it sends much, but nothing that belongs there")

    async def _received(self) -> bytes:
        data = await asyncio.get_running_loop().sock_recv(self._sock, READ_BYTES)
        if not data:
            raise ProbeFailed("it closes the connection")
        return data

    async def _send(self, data: bytes) -> None:
        if self._engine is not None:
            self._engine.write(data)
            data = self._engine.take_output()
        await asyncio.get_running_loop().sock_sendall(self._sock, data)


def _told(error: Element) -> str:
    """Return the condition of a stream error, with its text."""
    condition = next((child.name for child in error.elements() if child.name != "text"), "no reason given")
    text = next((child.text for child in error.elements() if child.name == "text"), "")
    return shown(condition) + (f" ({shown(text)})" if text else "")
