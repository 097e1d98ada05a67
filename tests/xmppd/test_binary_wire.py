"""A client's stream in the binary form: how it comes to speak it, and that nothing else changes."""

import asyncio
import json
from pathlib import Path
from typing import Any, cast

import pytest

from codec import binary_dictionary
from codec.binary_dictionary import Dictionary, load_all
from codec.binary_features import SeenFeatures
from codec.binary_head import Session
from codec.binary_reader import BINARY_NS, BinaryReader
from codec.binary_tables import Claim, SeenTables, Tables
from codec.binary_writer import BinaryWriter
from codec.element import Element, parse_element
from codec.events import StreamBroken, StreamClosed, StreamOpened
from codec.jid import JID
from codec.limits import ReaderLimits
from codec.stanza import IQ, Message, Stanza
from tests.support.world import FakeConnection, World
from xmppd.binary_wire import BinaryWire
from xmppd.c2s import ClientStream

DICTIONARIES = load_all()
NEWEST = next(iter(DICTIONARIES.values()))
BIND = "urn:ietf:params:xml:ns:xmpp-bind bind"
PING = Element("urn:xmpp:ping ping")


class BinaryClient:
    """The other end of a stream that is about to speak binary."""

    def __init__(self, stream: ClientStream, connection: FakeConnection) -> None:
        self.stream = stream
        self.connection = connection
        self.session = Session()
        self.reader = BinaryReader(ReaderLimits(), self.session, DICTIONARIES)
        self.writer = BinaryWriter(NEWEST, self.session)
        connection.reader = self.reader  # type: ignore[assignment]
        connection.events.clear()

    async def say(self, data: bytes) -> list[Any]:
        """Send bytes, and return what came back."""
        self.stream.receive(data)
        for _ in range(20):
            await asyncio.sleep(0)
        events, self.connection.events = self.connection.events, []
        return events

    async def hello(self, domain: str = "example.org") -> list[Any]:
        return await self.say(self.writer.header(from_=None, id_="", to=domain))

    async def send(self, stanza: Stanza) -> list[Any]:
        return await self.say(self.writer.stanza(stanza))

    async def log_in(self, jid: JID) -> JID:
        """Bind, SASL taken as done."""
        await self.hello()
        self.stream._logged_in(jid)
        self.reader.restart()
        await self.hello()
        request = IQ.build(Element(BIND), type="set", id="b")
        [answer] = [event for event in await self.send(request) if isinstance(event, IQ)]
        found = answer.element(BIND)
        assert found is not None
        full = JID.parse(found.elements()[0].text)
        self.session.bind(full)
        return full


@pytest.fixture
async def world() -> World:
    world = await World.create(["rfc_6121_message", "xep_0199_ping", "xep_0198_sm"])
    world.offer_binary(BinaryWire(DICTIONARIES, offers_tables=True))
    return world


async def upgraded(world: World, request: str = "") -> BinaryClient:
    """Return a client whose stream began in XML and has been told to proceed."""
    stream, connection = world.stream()
    connection.events.clear()
    stream.receive((request or f"<upgrade xmlns='{BINARY_NS}' version='0' dict='{NEWEST.id.hex()}'/>").encode())
    [answer] = connection.events
    assert answer == Element(f"{BINARY_NS} proceed")
    return BinaryClient(stream, connection)


async def test_streams_that_may_log_in_offer_it_with_every_dictionary(world: World) -> None:
    _, connection = world.stream()
    features = connection.events[-1]
    assert isinstance(features, Element)
    binary = features.find(f"{BINARY_NS} binary")
    assert binary is not None and binary.get("version") == "0"
    assert [child.get("id") for child in binary.elements()] == [id_.hex() for id_ in DICTIONARIES]


async def test_after_the_upgrade_hello_is_answered_with_hello_and_features(world: World) -> None:
    client = await upgraded(world)
    opened, features = await client.hello()
    assert isinstance(opened, StreamOpened) and opened.from_ == "example.org"
    assert features.tag == "http://etherx.jabber.org/streams features"
    assert features.find(f"{BINARY_NS} binary") is None


async def test_features_are_made_for_each_dictionary_by_itself(world: World) -> None:
    tables = json.loads((Path(binary_dictionary.__file__).parent / "dictionaries" / "0001.json").read_bytes())
    tables["values"].reverse()
    other = Dictionary(json.dumps(tables).encode())
    both = {NEWEST.id: NEWEST, other.id: other}
    world.offer_binary(BinaryWire(both, offers_tables=False))
    _, expected = await (await upgraded(world)).hello()
    client = await upgraded(world, f"<upgrade xmlns='{BINARY_NS}' dict='{other.id.hex()}'/>")
    client.reader = client.connection.reader = BinaryReader(ReaderLimits(), client.session, both)  # type: ignore[assignment]
    client.writer.dictionary = other
    _, features = await client.hello()
    assert features == expected


async def test_features_that_the_client_has_told_of_come_as_one_byte(world: World) -> None:
    seen = SeenFeatures()
    for is_again in (False, True):
        client = await upgraded(world)
        client.reader.told = seen.tell("example.org")
        hello = client.writer.header(from_=None, id_="", to="example.org", features=client.reader.told.hashes)
        assert bool(client.reader.told.hashes) is is_again
        _, features = await client.say(hello)
        assert features.find("urn:ietf:params:xml:ns:xmpp-sasl mechanisms") is not None
        assert (client.stream.writer.peer_features != ()) is is_again


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (f"<upgrade xmlns='{BINARY_NS}' version='7' dict='{NEWEST.id.hex()}'/>", "unsupported-version"),
        (f"<upgrade xmlns='{BINARY_NS}' version='0' dict='0123456789abcdef'/>", "unknown-dictionary"),
        (f"<upgrade xmlns='{BINARY_NS}' dict='no hex'/>", "unknown-dictionary"),
        (f"<upgrade xmlns='{BINARY_NS}'/>", "unknown-dictionary"),
    ],
)
async def test_what_we_do_not_have_is_refused_and_the_stream_goes_on_in_xml(
    world: World, request_: str, reason: str
) -> None:
    stream, connection = world.stream()
    connection.events.clear()
    stream.receive(request_.encode())
    assert connection.events == [Element(f"{BINARY_NS} failure", {}, (Element(f"{BINARY_NS} {reason}"),))]
    stream._logged_in(JID.parse("romeo@example.org"))
    connection.reader.restart()
    stream.receive(
        b"<stream:stream to='example.org' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
    )
    assert isinstance(connection.events[-2], StreamOpened)


async def test_a_binary_client_binds_and_its_requests_are_answered(world: World) -> None:
    await world.account("romeo@example.org")
    client = await upgraded(world)
    full = await client.log_in(JID.parse("romeo@example.org"))
    assert full.bare == "romeo@example.org"
    [answer] = await client.send(IQ.build(PING, to=JID.parse("example.org"), type="get", id="p1"))
    assert (answer.type, answer.id, answer.from_, answer.to) == ("result", "p1", "example.org", full)


async def test_binary_and_xml_clients_chat(world: World) -> None:
    juliet = await world.client("juliet@example.org/balcony")
    await world.account("romeo@example.org")
    client = await upgraded(world)
    full = await client.log_in(JID.parse("romeo@example.org"))
    body = Element("jabber:client body", {}, ("Wherefore <art> thou?",))
    await client.send(Message.build(body, to=juliet.jid, type="chat", id="m1"))
    message = await juliet.next_stanza()
    assert (message.from_, message.id, message.element("jabber:client body")) == (full, "m1", body)
    await juliet.send(f"<message to='{full}' type='chat' id='m2'><body>Here &amp; now</body></message>")
    [answer] = await client.say(b"")
    assert answer.from_ == juliet.jid
    assert parse_element(answer.to_xml()).elements()[0].text == "Here & now"


async def test_acknowledgements_are_frames_of_a_byte_or_two(world: World) -> None:
    await world.account("romeo@example.org")
    client = await upgraded(world)
    await client.log_in(JID.parse("romeo@example.org"))
    await client.say(client.writer.element(Element("urn:xmpp:sm:3 enable", {"resume": "true"})))
    await client.send(IQ.build(PING, to=JID.parse("example.org"), type="get", id="p1"))
    request = client.writer.ack_request()
    assert len(request) == 1
    events = await client.say(request)
    assert Element("urn:xmpp:sm:3 a", {"h": "1"}) in events


async def test_a_hello_with_an_unknown_dictionary_is_told_which_there_are(world: World) -> None:
    client = await upgraded(world)
    hello = client.writer.header(from_=None, id_="", to="example.org").replace(NEWEST.id, b"12345678")
    [retry] = await client.say(hello)
    assert retry.tag == f"{BINARY_NS} retry"
    assert [child.get("id") for child in retry.elements()] == [id_.hex() for id_ in DICTIONARIES]
    opened, _ = await client.hello()
    assert isinstance(opened, StreamOpened)


@pytest.mark.parametrize("garbage", [b"\x10\x01\x00", b"\xff\xff\xff\xff", b"<stream:stream>", b"\x40\x00"])
async def test_garbage_ends_the_stream_with_an_error_in_frames(world: World, garbage: bytes) -> None:
    client = await upgraded(world)
    events = await client.say(garbage)
    assert client.connection.is_closing
    assert not any(isinstance(event, StreamBroken) for event in events)
    assert events[-2].tag == "http://etherx.jabber.org/streams error" and isinstance(events[-1], StreamClosed)


async def test_a_stream_cannot_be_upgraded_twice_or_after_login(world: World) -> None:
    client = await world.client("romeo@example.org/orchard")
    await client.send(f"<upgrade xmlns='{BINARY_NS}' dict='{NEWEST.id.hex()}'/>")
    assert client.connection.is_closing


async def enabled(world: World, keeps: bool = True) -> BinaryClient:
    """Return a bound client with tables whose session can be resumed."""
    await world.account("romeo@example.org")
    client = await upgraded(world)
    client.writer.takes_tables = True
    if not keeps:
        flags = client.writer.header(from_=None, id_="", to="example.org")[3:4]
        assert flags == b"\x03"
        header = client.writer.header
        client.writer = cast(Any, WithoutKeeping(client.writer, header))
    await client.log_in(JID.parse("romeo@example.org"))
    client.reader.tables = SeenTables()
    await client.say(client.writer.element(Element("urn:xmpp:sm:3 enable", {"resume": "true"})))
    return client


class WithoutKeeping:
    """A writer whose HELLO says that it takes tables and does not keep them."""

    def __init__(self, writer: BinaryWriter, header: Any) -> None:
        self._writer = writer
        self._header = header

    def __getattr__(self, name: str) -> Any:
        return getattr(self._writer, name)

    def header(self, **values: Any) -> bytes:
        hello: bytes = self._header(**values)
        return hello[:3] + b"\x01" + hello[4:]


async def lose(client: BinaryClient) -> None:
    client.connection.is_closing = True
    client.connection.stream = None
    client.stream.lost()


async def test_a_session_that_waits_keeps_its_tables_asleep(world: World) -> None:
    client = await enabled(world)
    resource, tables = client.stream.resource, client.stream.tables
    assert resource is not None and tables is not None and resource.tables is None
    await lose(client)
    assert resource.tables is tables and tables.sent._awake is None
    assert client.stream.writer.tables is None and client.stream.reader.tables is None


async def test_a_stream_that_ends_before_it_could_go_on_leaves_the_tables_as_they_were(world: World) -> None:
    client = await enabled(world)
    resource, tables = client.stream.resource, client.stream.tables
    assert resource is not None
    await lose(client)
    other = await upgraded(world)
    other.writer.takes_tables = True
    await other.hello()
    other.stream.resource, resource.stream = resource, other.stream
    await lose(other)
    assert other.stream.tables is None and resource.tables is tables


async def test_tables_that_the_client_does_not_keep_are_not_kept_for_it(world: World) -> None:
    client = await enabled(world, keeps=False)
    resource = client.stream.resource
    assert resource is not None and client.stream.tables is not None
    await lose(client)
    assert resource.stream is None and not resource.is_ended and resource.tables is None


async def test_a_session_that_was_closed_leaves_no_tables(world: World) -> None:
    client = await enabled(world)
    resource = client.stream.resource
    assert resource is not None
    await client.say(client.writer.close())
    assert resource.is_ended and resource.tables is None


async def test_a_second_header_does_not_begin_other_tables(world: World) -> None:
    await world.account("romeo@example.org")
    client = await upgraded(world)
    client.writer.takes_tables = True
    await client.hello()
    tables = client.stream.tables
    client.stream._logged_in(JID.parse("romeo@example.org"))
    client.reader.restart()
    await client.hello()
    assert tables is not None and client.stream.tables is tables and client.stream.writer.tables is tables.sent


def wire_with_tables() -> tuple[BinaryWire, BinaryReader, BinaryWriter, Tables]:
    """Return a stream's two halves and the tables that its session had."""
    session = Session("example.org")
    reader = BinaryReader(ReaderLimits(), session, DICTIONARIES)
    kept = Tables("before")
    kept.sent.jids.insert("romeo@example.org")
    kept.seen.values.put(0, b"value")
    return BinaryWire(DICTIONARIES, offers_tables=True), reader, BinaryWriter(NEWEST, session), kept


@pytest.mark.parametrize(
    "claim",
    [None, Claim(1, 0), Claim(1, 0, Tables("other").name), Claim(2, 0, Tables("before").name)],
    ids=["none", "no name", "another name", "more than was sent"],
)
def test_a_claim_that_does_not_fit_leaves_a_stream_with_its_own_tables(claim: Claim | None) -> None:
    wire, reader, writer, kept = wire_with_tables()
    reader.claim = claim
    assert wire.go_on(reader, writer, kept) is None
    assert writer.tables is None and reader.tables is None and reader.claim is None


def test_a_claim_that_fits_is_answered_with_what_was_read() -> None:
    wire, reader, writer, kept = wire_with_tables()
    reader.claim = Claim(0, 0, kept.name)
    assert wire.go_on(reader, writer, kept) == writer.claim(Claim(0, 1))
    assert writer.tables is kept.sent and reader.tables is kept.seen
    assert kept.sent.jids.find("romeo@example.org") is None
