"""Components that are programs of their own (XEP-0114): the handshake, stanzas both ways, and what is refused."""

import hashlib

import pytest

from codec.element import Element
from codec.events import Event, StreamBroken, StreamOpened
from codec.limits import ReaderLimits
from codec.stanza import IQ, Message, Stanza
from codec.xml_reader import XmlReader
from tests.support.world import FakeConnection, World
from xmppd.external import HANDSHAKE, ComponentStream, Externals

NS = "jabber:component:accept"
ERRORS_NS = "urn:ietf:params:xml:ns:xmpp-streams"
MODULES = (
    "rfc_6121_message",
    "rfc_6121_roster",
    "rfc_6121_presence",
    "xep_0199_ping",
    "xep_0030_disco",
    "xep_0114_component",
)


class Gateway:
    """A component, as far as it is connected."""

    def __init__(self, world: World, externals: Externals, domain: str = "irc.example.org") -> None:
        self.world = world
        self.connection = FakeConnection()
        self.connection.reader = XmlReader(ReaderLimits(), NS)
        self.stream: ComponentStream = externals.make_stream(self.connection)
        self.connection.stream = self.stream  # type: ignore[assignment]
        self.stream.receive(
            f"<stream:stream xmlns='{NS}' xmlns:stream='http://etherx.jabber.org/streams' to='{domain}'>".encode()
        )

    async def send(self, xml: str) -> None:
        self.stream.receive(xml.encode())
        await self.world.settle()

    async def shake_hands(self, secret: str = "s3cret") -> None:
        header = self.connection.events.pop(0)
        assert isinstance(header, StreamOpened)
        digest = hashlib.sha1(f"{header.id}{secret}".encode()).hexdigest()
        await self.send(f"<handshake>{digest}</handshake>")

    def next(self) -> Event:
        return self.connection.events.pop(0)

    def condition(self) -> str:
        """The stream error that came."""
        errors = [event for event in self.connection.events if isinstance(event, Element) and event.name == "error"]
        (error,) = errors
        return next(
            child.name for child in error.elements() if child.tag.startswith(ERRORS_NS) and child.name != "text"
        )


@pytest.fixture
async def world() -> World:
    settings = {"components.listen": ["127.0.0.1:0"]}
    return await World.create(MODULES, settings=settings)


@pytest.fixture
def externals(world: World) -> Externals:
    return Externals(world.shared, world.router, {"irc.example.org": "s3cret"})


async def test_handshake_with_the_secret_is_answered_and_stanzas_go_both_ways(
    world: World, externals: Externals
) -> None:
    gateway = Gateway(world, externals)
    await gateway.shake_hands()
    assert gateway.next() == Element(HANDSHAKE)
    romeo = await world.client("romeo@example.org/orchard", "<presence/>")
    await romeo.send("<message to='#verona@irc.example.org' type='chat'><body>hi</body></message>")
    message = gateway.next()
    assert isinstance(message, Message) and message.from_ == romeo.jid and message.tags == ("jabber:client body",)
    await gateway.send("<message from='#verona@irc.example.org/nick' to='romeo@example.org'><body>yo</body></message>")
    await romeo.expect("<message from='#verona@irc.example.org/nick' to='romeo@example.org'><body>yo</body></message>")
    await gateway.send(
        "<iq from='irc.example.org' to='example.org' id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>"
    )
    answer = gateway.next()
    assert isinstance(answer, IQ) and (answer.type, answer.id, answer.to) == ("result", "1", "irc.example.org")


async def test_a_request_without_payload_is_answered_with_an_error(world: World, externals: Externals) -> None:
    gateway = Gateway(world, externals)
    await gateway.shake_hands()
    gateway.next()
    await gateway.send("<iq from='irc.example.org' to='example.org' id='1' type='get'/>")
    answer = gateway.next()
    assert isinstance(answer, IQ) and answer.type == "error"


@pytest.mark.parametrize("secret", ["", "S3cret", "s3cret "])
async def test_wrong_secret_is_refused(world: World, externals: Externals, secret: str) -> None:
    gateway = Gateway(world, externals)
    await gateway.shake_hands(secret)
    assert gateway.condition() == "not-authorized" and gateway.connection.is_closing
    assert externals.by_domain["irc.example.org"].stream is None


@pytest.mark.parametrize("domain", ["", "example.org", "other.example.org", "@"])
async def test_domain_that_is_not_configured_is_unknown(world: World, externals: Externals, domain: str) -> None:
    assert Gateway(world, externals, domain).condition() == "host-unknown"


@pytest.mark.parametrize(
    ("xml", "condition"),
    [
        ("<message from='irc.example.org' to='romeo@example.org'/>", "not-authorized"),
        ("<other/>", "not-authorized"),
    ],
)
async def test_nothing_is_heard_before_the_handshake(
    world: World, externals: Externals, xml: str, condition: str
) -> None:
    gateway = Gateway(world, externals)
    await gateway.send(xml)
    assert gateway.condition() == condition


@pytest.mark.parametrize(
    ("xml", "condition"),
    [
        ("<message from='romeo@example.org' to='juliet@example.org'/>", "invalid-from"),
        ("<message from='x.irc.example.org' to='juliet@example.org'/>", "invalid-from"),
        ("<message to='juliet@example.org'/>", "improper-addressing"),
        ("<message from='irc.example.org'/>", "improper-addressing"),
        ("<message from='irc.example.org' to='@'/>", "improper-addressing"),
        ("<handshake>again</handshake>", "unsupported-stanza-type"),
    ],
)
async def test_component_speaks_for_its_own_domain_alone(
    world: World, externals: Externals, xml: str, condition: str
) -> None:
    gateway = Gateway(world, externals)
    await gateway.shake_hands()
    await gateway.send(xml)
    assert gateway.condition() == condition


async def test_who_is_not_connected_gets_nothing_and_the_sender_is_told(world: World, externals: Externals) -> None:
    romeo = await world.client("romeo@example.org/orchard", "<presence/>")
    for _ in range(2):
        await romeo.send("<message to='irc.example.org' id='1'><body>hi</body></message>")
        error = await romeo.next_stanza()
        assert error.type == "error" and b"service-unavailable" in error.inner and b"wait" in error.inner
        gateway = Gateway(world, externals)
        await gateway.shake_hands()
        gateway.stream.lost()


async def test_second_connection_takes_over_from_the_first(world: World, externals: Externals) -> None:
    first, second = Gateway(world, externals), Gateway(world, externals)
    await first.shake_hands()
    await second.shake_hands()
    assert first.condition() == "conflict"
    first.stream.lost()
    romeo = await world.client("romeo@example.org/orchard", "<presence/>")
    await romeo.send("<presence to='irc.example.org'/>")
    assert second.next() == Element(HANDSHAKE) and isinstance(second.next(), Stanza)


async def test_one_that_does_not_read_is_refused_more(world: World, externals: Externals) -> None:
    gateway = Gateway(world, externals)
    await gateway.shake_hands()
    gateway.connection.is_congested = True
    romeo = await world.client("romeo@example.org/orchard", "<presence/>")
    await romeo.send("<message to='irc.example.org' id='1'><body>hi</body></message>")
    assert b"resource-constraint" in (await romeo.next_stanza()).inner


async def test_silence_before_the_handshake_ends_the_stream(world: World, externals: Externals) -> None:
    gateway = Gateway(world, externals)
    gateway.stream.tick(31, 31)
    assert gateway.condition() == "connection-timeout"
    proven = Gateway(world, externals)
    await proven.shake_hands()
    proven.stream.tick(10_000, 10_000)
    assert not proven.connection.is_closing


async def test_too_large_a_stanza_breaks_the_stream(world: World, externals: Externals) -> None:
    gateway = Gateway(world, externals)
    await gateway.send("<handshake>" + "x" * 11_000)
    assert gateway.condition() == "policy-violation" and not any(
        isinstance(e, StreamBroken) for e in gateway.connection.events
    )
