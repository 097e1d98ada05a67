"""Servers that talk to each other in memory: a scripted peer on a fake connection, and whole federations over socket pairs.

net = Net(monkeypatch)
ours, theirs = await net.island("example.org"), await net.island("verona.example")   # two of our servers, joined
wire = ours.called()                                                                 # a stream that a script has opened to us
wire.say(header("verona.example", "example.org"))
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from codec.element import Element
from codec.events import Event, StreamClosed
from codec.limits import ReaderLimits
from codec.stanza import Stanza
from codec.xml_reader import SERVER_NS, XmlReader
from storage.memory import MemoryBackend
from tests.support.chat import MESSAGES
from tests.support.transport import Log
from tests.support.world import Client, FakeConnection, World
from xmppd.connection import Connection, Loop
from xmppd.s2s import route
from xmppd.s2s.dial import Dialled
from xmppd.s2s.federation import Federation
from xmppd.s2s.identity import PeerCertificate
from xmppd.s2s.incoming import IncomingStream
from xmppd.s2s.outgoing import OutgoingStream
from xmppd.s2s.resolver import Target

OURS, THEIRS = "example.org", "verona.example"
ROMEO, JULIET = "romeo@example.org", "juliet@verona.example"
TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
DIALBACK = "jabber:server:dialback"
BIDI = "urn:xmpp:bidi"
SM = "urn:xmpp:sm:3"
PING = "xep_0199_ping"
FINGERPRINT = "ab" * 32
LONG_AFTER = datetime(2030, 1, 1, tzinfo=UTC)
STARTTLS = f"<starttls xmlns='{TLS}'/>"
AUTH = f"<auth xmlns='{SASL}' mechanism='EXTERNAL'>=</auth>"
ASKS_BIDI = f"<bidi xmlns='{BIDI}'/>"
ENABLE = f"<enable xmlns='{SM}'/>"


def certificate(*domains: str, not_after: datetime = LONG_AFTER, fault: str | None = None) -> PeerCertificate:
    """Return a certificate of these domains, `fault`: why no authority vouches for it."""
    return PeerCertificate(b"", fault, not_after, FINGERPRINT, hosts=domains)


def header(
    from_: str | None = THEIRS, to: str | None = OURS, version: str | None = "1.0", id_: str | None = None
) -> str:
    """Return the header of a stream between servers."""
    attrs = {"from": from_, "to": to, "version": version, "id": id_}
    text = "".join(f" {name}='{value}'" for name, value in attrs.items() if value is not None)
    return (
        f"<stream:stream{text} xmlns='jabber:server' xmlns:db='{DIALBACK}'"
        " xmlns:stream='http://etherx.jabber.org/streams'>"
    )


def claim(key: str = "k1", from_: str = THEIRS, to: str = OURS) -> str:
    """Return a dialback key as it is shown."""
    return f"<db:result from='{from_}' to='{to}'>{key}</db:result>"


def message(
    id_: object, from_: str = f"{JULIET}/balcony", to: str = ROMEO, body: str = "hi", type_: str = "chat"
) -> str:
    """Return a message."""
    return f"<message from='{from_}' to='{to}' id='{id_}' type='{type_}'><body>{body}</body></message>"


def presence(type_: str, from_: str = JULIET, to: str = ROMEO) -> str:
    """Return a presence."""
    return f"<presence from='{from_}' to='{to}' type='{type_}'/>"


def ping(id_: str, from_: str = f"{JULIET}/balcony", to: str = OURS) -> str:
    """Return a ping."""
    return f"<iq from='{from_}' to='{to}' id='{id_}' type='get'><ping xmlns='urn:xmpp:ping'/></iq>"


class Wire(FakeConnection):
    """The connection of a stream with a server that a test plays.

    Attributes:
        shown: the certificate that the peer shows, None: none.
        engines: what STARTTLS was to be done with.
    """

    def __init__(self, loop: Loop, shown: PeerCertificate | None = None) -> None:
        super().__init__()
        self.stream: Any = None
        self.loop = loop
        self.shown = shown
        self.engines: list[Any] = []
        self.is_throttled = False
        self.reader = XmlReader(ReaderLimits(stanza_bytes=10_000_000, depth=200), SERVER_NS)
        self.has_begun = False

    def write(self, data: bytes) -> None:
        if self.is_closing:
            return
        if b"<stream:stream" in data[:80]:
            if self.has_begun:
                self.reader.restart()
            self.has_begun = True
        super().write(data)

    def start_tls(self, make_engine: Callable[[Any], Any]) -> None:
        self.engines.append(make_engine(None))
        self.tls = SimpleNamespace(peer=self.shown)  # type: ignore[assignment]

    def throttle(self) -> None:
        self.is_throttled = True

    def lose(self) -> None:
        """Have the connection break."""
        self.is_closing = True
        stream, self.stream = self.stream, None
        if stream is not None:
            stream.lost()

    # the test's side

    def say(self, *texts: str) -> list[Event]:
        """Say something, and return what is answered at once."""
        for text in texts:
            self.stream.receive(text.encode())
        return self.take()

    async def ask(self, *texts: str) -> list[Event]:
        """Say something, and return what is answered when all has been dealt with."""
        for text in texts:
            if self.stream is not None:
                self.stream.receive(text.encode())
            await turns(12)
        return self.take()

    def take(self) -> list[Event]:
        """Return what came since the last time."""
        events, self.events = self.events, []
        return events

    @property
    def condition(self) -> str:
        """The condition of the stream error that ended the stream, which is all that came."""
        assert self.is_closing
        error, closed = self.events[-2:]
        assert isinstance(closed, StreamClosed) and isinstance(error, Element) and error.name == "error", self.events
        return error.elements()[0].name


class Island:
    """One of our servers, without sockets of its own.

    Attributes:
        reminders: what is to be reminded.
    """

    def __init__(self, world: World, tls: Any) -> None:
        self.world = world
        self.reminders: set[Any] = set()
        self.loop = Loop(asyncio.get_running_loop().call_soon, Log(), 4_000_000, 0)
        resolver: Any = None
        secret = b"of " + self.domain.encode()
        self.federation = Federation(world.shared, world.router, tls, secret, self.loop, resolver, self.reminders.add)

    @property
    def domain(self) -> str:
        """Its first virtual host."""
        return next(iter(self.world.shared.hosts))

    def called(self, shown: PeerCertificate | None = None) -> Wire:
        """Return the connection of a stream that somebody has opened; nothing is said yet."""
        wire = Wire(self.loop, shown)
        wire.stream = IncomingStream(wire, self.federation.service)
        return wire

    def greeted(self, shown: PeerCertificate | None = None, from_: str = THEIRS) -> Wire:
        """Return a stream inside TLS, with headers exchanged."""
        wire = self.called(shown)
        wire.say(header(from_), STARTTLS)
        wire.say(header(from_))
        return wire

    def proven(self, *asks: str, shown: PeerCertificate | None = None, from_: str = THEIRS) -> Wire:
        """Return a stream that has logged in by certificate; `asks` is said before that."""
        wire = self.greeted(shown or certificate(from_), from_)
        wire.say(*asks, AUTH)
        wire.say(header(from_))
        return wire

    async def client(self, jid: str) -> Client:
        """Return an available client; `jid` is a full one."""
        return await self.world.client(jid, "<presence/>")

    async def second(self, count: int = 1) -> None:
        """Have seconds pass, as `Server` does: reminders are due, and all are looked at."""
        for _ in range(count):
            self.loop.tick()
            self.world.clock.advance(1)
            due = list(self.reminders)
            self.reminders.clear()
            for stream in due:
                stream.remind()
            for connection in list(self.loop.connections):
                connection.tick(self.loop.seconds, 60)
            self.federation.tick()
            await turns(3)

    def cut(self) -> None:
        """Break all its connections."""
        for connection in list(self.loop.connections):
            connection.abort()

    def stored(self) -> list[bytes]:
        """Return what its queues have in storage, in order."""
        maps = self.world.shared.backend.map("s2s.queue").maps  # type: ignore[attr-defined]
        return [xml for _, items in sorted(maps.items()) for _, xml in sorted(items.items())]

    def routes(self) -> list[Any]:
        """Return its routes."""
        return list(self.federation._routes.values())


class FakeEngine:
    """TLS without secrets: both sides say whose certificate they have, nothing else."""

    def __init__(self, net: "Net", own: str, is_first: bool) -> None:
        self.peer: PeerCertificate | None = None
        self.is_established = self.is_closed_by_peer = False
        self._net = net
        self._buffer = b""
        self._is_first = is_first
        self._own = own
        self._out = f"{own}\n".encode() if is_first else b""

    def feed(self, data: bytes) -> list[bytes]:
        if self.is_established:
            return [data]
        self._buffer += data
        name, found, rest = self._buffer.partition(b"\n")
        if not found:
            return []
        self.is_established = True
        self.peer = self._net.certificates.get(name.decode())
        if not self._is_first:
            self._out += f"{self._own}\n".encode()
        return [rest] if rest else []

    def write(self, data: bytes) -> None:
        self._out += data

    def take_output(self) -> bytes:
        data, self._out = self._out, b""
        return data

    def shutdown(self) -> None: ...


class FakeTls:
    """Takes the place of `PeerTls`; `own`: the name of the certificate."""

    def __init__(self, net: "Net", own: str) -> None:
        self.net, self.own = net, own

    def accept(self, domain: str | None, *, direct: bool) -> FakeEngine:
        return FakeEngine(self.net, self.own, False)

    def connect(self, ours: str, theirs: str, *, direct: bool) -> FakeEngine:
        return FakeEngine(self.net, self.own, True)


class Net:
    """Takes the place of DNS and TCP.

    Attributes:
        certificates: by the name of who has it.
        down: domain -> the error that reaching it brings, or an event to wait for first.
        dialled: which domains, in order.
    """

    def __init__(self, monkeypatch: Any) -> None:
        self.certificates: dict[str, PeerCertificate] = {}
        self.islands: dict[str, Island] = {}
        self.down: dict[str, Exception | asyncio.Event] = {}
        self.dialled: list[str] = []
        monkeypatch.setattr(route, "dial", self.dial)

    async def island(
        self,
        *domains: str,
        settings: dict[str, Any] | None = None,
        backend: MemoryBackend | None = None,
        has_certificate: bool = True,
    ) -> Island:
        """Return a server of these domains; federated with the others."""
        world = await World.create((PING, *MESSAGES), domains, settings, backend)
        if has_certificate:
            self.certificates[domains[0]] = certificate(*domains)
        island = Island(world, FakeTls(self, domains[0]))
        for domain in domains:
            self.islands[domain] = island
        await island.federation.start()
        return island

    async def dial(self, resolver: object, domain: str, **_: Any) -> AsyncIterator[Dialled]:
        """Yield one connection to the server of a domain."""
        self.dialled.append(domain)
        answer = self.down.get(domain)
        if isinstance(answer, asyncio.Event):
            await answer.wait()
        elif answer is not None:
            raise answer
        sock, other = socket.socketpair()
        sock.setblocking(False)
        other.setblocking(False)
        island = self.islands[domain]
        await asyncio.get_running_loop().create_connection(
            lambda: Connection(island.loop, island.federation.make_incoming, None, False, lambda _: lambda: None),
            sock=other,
        )
        yield Dialled(sock, Target(domain, 5269, False), "192.0.2.1")

    async def quiet(self) -> None:
        """Let the loop turn until nothing moves any more."""
        still, last = 0, -1
        while still < 15:
            await asyncio.sleep(0)
            moved = sum(island.loop.bytes_received + island.loop.bytes_sent for island in self.islands.values())
            still, last = (still + 1, last) if moved == last else (0, moved)

    async def close(self) -> None:
        """End all."""
        for island in {id(island): island for island in self.islands.values()}.values():
            await island.federation.stop()
            island.cut()
            for task in list(island.world.tasks):
                task.cancel()
        await turns(5)


class LoopTimers:
    """Takes the place of the event loop's `call_later`: what is due is called when a test has time pass."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now = 0.0
        self.timers: list[SimpleNamespace] = []
        loop.call_later = self.call_later  # type: ignore[method-assign,assignment]

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None) -> Any:
        timer = SimpleNamespace(at=self.now + delay, delay=delay, run=lambda: callback(*args), is_cancelled=False)
        timer.cancel = lambda: setattr(timer, "is_cancelled", True)
        self.timers.append(timer)
        return timer

    @property
    def delays(self) -> list[float]:
        """The delays of those that wait, the first first."""
        return [timer.delay for timer in sorted(self.timers, key=lambda timer: timer.at) if not timer.is_cancelled]

    async def advance(self, seconds: float, *islands: Island) -> None:
        """Have time pass, for these servers too."""
        self.now += seconds
        for island in islands:
            island.world.clock.advance(seconds)
        due = [timer for timer in self.timers if timer.at <= self.now]
        self.timers = [timer for timer in self.timers if timer.at > self.now]
        for timer in due:
            if not timer.is_cancelled:
                timer.run()
        await turns(5)


class Owner:
    """Takes the place of the route of a stream that we open."""

    def __init__(self, wants_to_send: bool = True) -> None:
        self.wants_to_send = wants_to_send
        self.told: list[Any] = []

    def ready(self, stream: OutgoingStream) -> None:
        self.told.append("ready")

    def verified(self, stream_id: str, answer: str) -> None:
        self.told.append((stream_id, answer))

    def ended(self, stream: OutgoingStream) -> None:
        self.told.append("ended")


async def turns(count: int) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def until(condition: Callable[[], object], timeout_s: float = 5) -> None:
    """Let the loop turn until something is so."""
    async with asyncio.timeout(timeout_s):
        while not condition():  # noqa: ASYNC110  the turns of the loop are what a test waits for
            await asyncio.sleep(0)


def ids(events: list[Event]) -> list[str | None]:
    """Return the ids of the stanzas among events."""
    return [event.id for event in events if isinstance(event, Stanza)]


def names(events: list[Event]) -> list[str]:
    """Return what events are: the name of an element or a stanza, or of the event's class."""
    return [
        event.name if isinstance(event, Element) else event.kind if isinstance(event, Stanza) else type(event).__name__
        for event in events
    ]
