"""A server without sockets for the tests of modules: real streams, router and modules, storage in memory, a clock that tests move.

world = await World.create(["xep_0199_ping"])
romeo = await world.client("romeo@example.org/orchard")
await romeo.send("<iq type='get' id='p1' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>")
await romeo.expect("<iq type='result' id='p1' from='example.org' to='{romeo}'/>")
"""

import asyncio
from collections.abc import Coroutine, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from codec.element import Element, parse_element
from codec.events import Event, StreamBroken, StreamClosed
from codec.jid import JID
from codec.limits import ReaderLimits
from codec.stanza import Stanza
from codec.xml_reader import XmlReader
from storage.interface import AccountRecord
from storage.memory import MemoryBackend
from xmppd import sessions
from xmppd.binary_wire import BinaryWire
from xmppd.c2s import ClientStream, Service, limits_of
from xmppd.clock import Clock
from xmppd.config_sources import load_config
from xmppd.host import Host, Shared
from xmppd.loader import load
from xmppd.login import Credentials
from xmppd.logs import get_logger
from xmppd.metrics import Metrics
from xmppd.opaque_ids import OpaqueIds
from xmppd.router import Router
from xmppd.sasl.offer import Realm
from xmppd.sasl.unknown import UnknownAccounts

SECRET = b"no secret at all"

NOTHING_S = 0.05
"""How long `expect_nothing` lets the loop turn; everything here happens within a few turns."""


class FakeClock(Clock):
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
        self.seconds = 1_000.0

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return self.seconds

    def now_us(self) -> int:
        return int(self.moment.timestamp() * 1_000_000)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.moment += timedelta(seconds=seconds)
        self.seconds += seconds


class FakeConnection:
    """Takes what a stream writes, and reads it as a client would."""

    def __init__(self) -> None:
        self.stream: ClientStream | None = None
        self.reader = XmlReader(ReaderLimits(stanza_bytes=10_000_000, depth=200))
        self.events: list[Event] = []
        self.arrived = asyncio.Event()
        self.is_closing = False
        self.is_congested = False
        self.tls = None
        self.address = "127.0.0.1"
        self._is_dirty = False
        self._is_flushing = False

    def write(self, data: bytes) -> None:
        self.events.extend(self.reader.feed(data))
        self.arrived.set()
        if not self._is_flushing:
            self.wake_flush()

    def wake_flush(self) -> None:
        if not self._is_dirty:
            self._is_dirty = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        self._is_dirty = False
        self._is_flushing = True
        if self.stream is not None:
            self.stream.before_flush()
        self._is_flushing = False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def close(self) -> None:
        self.is_closing = True
        self.arrived.set()

    def abort(self) -> None:
        self.close()


class Client:
    """A client with a bound resource, or one that has only logged in (`resource` None).

    Attributes:
        features: <stream:features/> of a client that has only logged in.
    """

    def __init__(self, world: "World", stream: ClientStream, connection: FakeConnection) -> None:
        self.world = world
        self.stream = stream
        self.connection = connection
        self.features: Element | None = None
        self.resource = stream.resource
        self.jid = JID.parse("nobody@invalid") if stream.resource is None else stream.resource.jid

    def __str__(self) -> str:
        return self.jid

    async def send(self, *xml: str) -> None:
        """Send stanzas or other children of the stream, and let the server work until it has dealt with them."""
        for text in xml:
            self.stream.receive(text.encode())
            await self.world.settle()
            while self.stream.is_busy:  # noqa: ASYNC110  the turns of the loop are what a test waits for
                await asyncio.sleep(0)
        await self.world.settle()

    async def next(self, timeout_s: float = 2) -> Event:
        """Return the next thing that came: a stanza, an Element, StreamClosed ..."""
        async with asyncio.timeout(timeout_s):
            while not self.connection.events:
                self.connection.arrived.clear()
                await self.connection.arrived.wait()
        return self.connection.events.pop(0)

    async def next_stanza(self, timeout_s: float = 2) -> Any:
        """Return the next stanza; acknowledgements and their requests are passed over."""
        while True:
            event = await self.next(timeout_s)
            if isinstance(event, Stanza):
                return event
            if isinstance(event, StreamBroken | StreamClosed):
                raise AssertionError(f"{self}: the stream ended: {event}")

    async def expect(self, xml: str) -> Any:
        """Check that the next stanza equals this one (attribute order, prefixes and quotes do not count); return it.

        `{name}` stands for `world.names[name]`: each client under its localpart. An attribute or text that is "*" equals anything.
        """
        stanza = await self.next_stanza()
        expected = parse_element(xml.format(**self.world.names).encode())
        actual = parse_element(stanza.to_xml())
        problem = difference(expected, actual)
        assert problem is None, f"{self} got\n  {stanza.to_xml().decode()}\nnot\n  {xml}\n({problem})"
        return stanza

    async def expect_nothing(self) -> None:
        """Check that no stanza comes."""
        await self.world.settle()
        await asyncio.sleep(NOTHING_S)
        stanzas = [event for event in self.connection.events if isinstance(event, Stanza)]
        assert not stanzas, f"{self} got {[stanza.to_xml().decode() for stanza in stanzas]}"

    async def drain(self) -> list[Any]:
        """Return and forget every stanza that has come."""
        await self.world.settle()
        events, self.connection.events = self.connection.events, []
        return [event for event in events if isinstance(event, Stanza)]

    async def disconnect(self) -> None:
        """Lose the connection, as when the cable is cut."""
        self.connection.is_closing = True
        self.connection.stream = None
        self.stream.lost()
        await self.world.settle()

    async def close(self) -> None:
        """Close the stream as a client does that says goodbye."""
        self.stream.receive(b"</stream:stream>")
        await self.disconnect()


class World:
    """Some virtual hosts with modules, and their clients."""

    def __init__(self, shared: Shared, router: Router, clock: FakeClock, tasks: set[asyncio.Task[None]]) -> None:
        self.shared = shared
        self.router = router
        self.clock = clock
        self.tasks = tasks
        self.names: dict[str, str] = {}
        before, after = limits_of(shared.config)
        self.reminders: list[ClientStream] = []
        realms = {
            domain: Realm(
                (credentials := Credentials(host)),
                UnknownAccounts(SECRET, domain),
                shared.password_work,
                credentials.take_password,
            )
            for domain, host in shared.hosts.items()
        }
        self.service = Service(shared, router, None, realms, after, before, self.reminders.append, get_logger("test"))

    @classmethod
    async def create(
        cls,
        modules: Iterable[str],
        domains: Iterable[str] = ("example.org",),
        settings: dict[str, Any] | None = None,
        backend: MemoryBackend | None = None,
    ) -> "World":
        """Put a server together; `settings` maps "section.key" to values."""
        given = {"server.domains": list(domains), "c2s.require_tls": False, "c2s.listen": [], **(settings or {})}
        config = load_config(None, [f"{key}={_toml(value)}" for key, value in given.items()], {})
        backend = backend or MemoryBackend()
        await backend.open()
        clock = FakeClock()
        shared = Shared(config, backend, clock, Metrics())
        tasks: set[asyncio.Task[None]] = set()

        def spawn(coroutine: Coroutine[Any, Any, None]) -> None:
            task = asyncio.get_running_loop().create_task(coroutine)
            tasks.add(task)
            task.add_done_callback(tasks.discard)

        shared.spawn = spawn
        shared.archive_ids = OpaqueIds(b"the same in every world of tests")
        shared.end_resource = sessions.end
        router = Router(shared)
        names = tuple(modules)
        for domain in domains:
            shared.hosts[domain] = Host(domain, shared)
        for host in shared.hosts.values():
            await load(host, names)
        return cls(shared, router, clock, tasks)

    def offer_binary(self, binary: BinaryWire) -> None:
        """Have streams that begin from now on offer the binary form."""
        self.service = replace(self.service, binary=binary)

    def host(self, domain: str = "example.org") -> Host:
        """Return a virtual host."""
        return self.shared.hosts[domain]

    async def account(self, jid: str) -> None:
        """Make an account if it is not there."""
        if await self.shared.backend.accounts.get(jid) is None:
            await self.shared.backend.accounts.create(AccountRecord(jid, {}))

    async def login(self, jid: str) -> Client:
        """Return a client whose stream is logged in and has no resource yet; `jid` is a bare JID."""
        bare = JID.parse(jid)
        await self.account(bare)
        stream, connection = self.stream(bare.domainpart)
        stream._logged_in(bare)
        connection.reader.restart()
        connection.events.clear()
        stream.receive(_header(bare.domainpart))
        client = Client(self, stream, connection)
        client.features = next(event for event in connection.events if isinstance(event, Element))
        connection.events.clear()
        return client

    def stranger(self, domain: str = "example.org", address: str = "127.0.0.1") -> Client:
        """Return a client that has not logged in, with the features of its stream."""
        stream, connection = self.stream(domain, address)
        client = Client(self, stream, connection)
        client.features = next(event for event in connection.events if isinstance(event, Element))
        connection.events.clear()
        return client

    def stream(self, domain: str = "example.org", address: str = "127.0.0.1") -> tuple[ClientStream, FakeConnection]:
        """Return a new stream that has seen the client's header and sent its features, and its connection."""
        connection = FakeConnection()
        connection.address = address
        stream = connection.stream = ClientStream(connection, self.service)
        stream.receive(_header(domain))
        return stream, connection

    async def client(self, jid: str, presence: str | None = None) -> Client:
        """Return a client bound under a full JID; `presence`, if given, is sent and what it brings is drained."""
        full = JID.parse(jid)
        stream, connection = await self._bound(full)
        client = Client(self, stream, connection)
        self.names[full.localpart] = client.jid
        if presence is not None:
            await client.send(presence)
            await client.drain()
        return client

    async def _bound(self, full: JID) -> tuple[ClientStream, FakeConnection]:
        client = await self.login(full.bare)
        bind = f"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{full.resourcepart}</resource></bind>"
        await client.send(f"<iq type='set' id='bind'>{bind}</iq>")
        client.connection.events.clear()
        assert client.stream.resource is not None
        return client.stream, client.connection

    async def settle(self) -> None:
        """Let the loop turn until nothing is under way."""
        for _ in range(3):
            await asyncio.sleep(0)
        while any(not task.done() for task in self.tasks if not getattr(task, "is_background", False)):
            before = len(self.tasks)
            await asyncio.sleep(0)
            if before == len(self.tasks) and all(_waits_for_ever(task) for task in self.tasks):
                break


def _waits_for_ever(task: asyncio.Task[None]) -> bool:
    """Whether a task waits for something that only the test can bring (a timer, a client's answer)."""
    waiter = getattr(task, "_fut_waiter", None)
    return waiter is not None and not waiter.done()


def _header(domain: str) -> bytes:
    return (
        f"<stream:stream to='{domain}' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
    ).encode()


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {_toml(item)}' for key, item in value.items()) + "}"
    return str(value) if isinstance(value, int | float) else f'"{value}"'


def difference(expected: Element, actual: Element) -> str | None:
    """Return in words how two elements differ, None when they are equal; "*" in the first equals anything."""
    if expected.tag != actual.tag:
        return f"{actual.tag!r} instead of {expected.tag!r}"
    for name in {*expected.attrs, *actual.attrs}:
        want, got = expected.get(name), actual.get(name)
        if want != got and not (want == "*" and got is not None):
            return f"{expected.name}: {name}={got!r} instead of {want!r}"
    if expected.text.strip() not in ("*", actual.text.strip()):
        return f"{expected.name}: text {actual.text!r} instead of {expected.text!r}"
    wanted, found = expected.elements(), actual.elements()
    if len(wanted) != len(found):
        return (
            f"{expected.name}: children {[child.tag for child in found]} instead of {[child.tag for child in wanted]}"
        )
    return next((problem for pair in zip(wanted, found, strict=True) if (problem := difference(*pair))), None)
