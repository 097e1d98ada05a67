"""Messages between binary clients, with a history kept: no XML is made of them before somebody wants XML."""

import asyncio
from typing import Any

import pytest

from codec.archived import MARK
from codec.binary_dictionary import load_all
from codec.binary_form import Part
from codec.binary_head import Session
from codec.binary_nodes import Encoder
from codec.binary_reader import BinaryReader
from codec.binary_writer import BinaryWriter
from codec.element import Element, parse_element
from codec.jid import JID
from codec.limits import ReaderLimits
from codec.stanza import IQ, Message, Presence, Stanza
from storage.interface import ArchiveQuery
from tests.support.world import World
from xmppd.binary_wire import BinaryWire
from xmppd.config import DEFAULT_MODULES

DICTIONARIES = load_all()
NEWEST = next(iter(DICTIONARIES.values()))
BIND = "urn:ietf:params:xml:ns:xmpp-bind bind"
SM = "urn:xmpp:sm:3"
MAM = "urn:xmpp:mam:2"
ID = "0b0b4a6c-5b5e-4b6f-9f0a-3f6c1d2e4f5a"
TO_JULIET = JID.parse("juliet@example.org")
PAYLOADS = (
    Element("jabber:client body", {}, ("Wherefore art thou? <I was waiting & waiting>",)),
    Element("urn:xmpp:sid:0 origin-id", {"id": ID}),
    Element("urn:xmpp:receipts request"),
    Element("urn:xmpp:chat-markers:0 markable"),
    Element("http://jabber.org/protocol/chatstates active"),
)


class Phone:
    """A client that speaks binary from the first byte on."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stream, self.connection = world.stream()
        binary = world.service.binary
        assert binary is not None
        binary.begin(self.stream, ReaderLimits())
        self.session = Session()
        self.writer = BinaryWriter(NEWEST, self.session)
        self.reader = BinaryReader(ReaderLimits(), self.session, DICTIONARIES)
        self.connection.reader = self.reader  # type: ignore[assignment]
        self.connection.events.clear()

    async def say(self, data: bytes) -> list[Any]:
        """Send bytes, and return what came back."""
        self.stream.receive(data)
        for _ in range(20):
            await asyncio.sleep(0)
        await self.world.settle()
        return self.came()

    def came(self) -> list[Any]:
        """Return and forget what has come."""
        events, self.connection.events = self.connection.events, []
        return events

    async def log_in(self, jid: str, *said: Stanza | Element) -> None:
        """Bind a resource, SASL taken as done, and say some things."""
        await self.world.account(jid)
        for _ in range(2):
            await self.say(self.writer.header(from_=None, id_="", to="example.org"))
            if self.stream.jid is None:
                self.stream._logged_in(JID.parse(jid))
                self.reader.restart()
        request = IQ.build(Element(BIND), type="set", id="b")
        [answer] = [event for event in await self.say(self.writer.stanza(request)) if isinstance(event, IQ)]
        self.session.bind(JID.parse(answer.element(BIND).elements()[0].text))
        for event in said:
            data = self.writer.stanza(event) if isinstance(event, Stanza) else self.writer.element(event)
            await self.say(data)


@pytest.fixture
async def world() -> World:
    world = await World.create(DEFAULT_MODULES)
    world.offer_binary(BinaryWire(DICTIONARIES, offers_tables=True))
    return world


@pytest.fixture
def translations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list in which each translation, to or from XML, is noted from now on."""
    noted: list[str] = []

    def note(cls: type, name: str) -> None:
        original = getattr(cls, name)

        def method(self: Any, *arguments: Any) -> Any:
            noted.append(name)
            return original(self, *arguments)

        monkeypatch.setattr(cls, name, method)

    note(Part, "write_xml")
    note(Stanza, "_write")
    note(Encoder, "part")
    return noted


async def romeo_and_juliet(world: World, *juliet_says: Stanza | Element) -> tuple[Phone, Phone]:
    enable = Element(f"{SM} enable", {"resume": "true"})
    romeo, juliet = Phone(world), Phone(world)
    await romeo.log_in("romeo@example.org", enable, Presence.build())
    await juliet.log_in("juliet@example.org", enable, Presence.build(), *juliet_says)
    return romeo, juliet


def frame_of(sender: Phone) -> bytes:
    return sender.writer.stanza(Message.build(*PAYLOADS, to=TO_JULIET, type="chat", id=ID))


async def kept(world: World, owner: str) -> list[bytes]:
    page = await world.shared.backend.archive.query(owner, ArchiveQuery())
    return [message.stanza for message in page.messages]


@pytest.mark.parametrize("juliet_says", [(), (Element("urn:xmpp:csi:0 inactive"),)])
async def test_a_message_passes_and_is_kept_with_no_xml_made(
    world: World, juliet_says: tuple[Element, ...], translations: list[str]
) -> None:
    romeo, juliet = await romeo_and_juliet(world, *juliet_says)
    frame = frame_of(romeo)
    translations.clear()
    await romeo.say(frame + romeo.writer.ack_request())
    [message] = [event for event in juliet.came() if isinstance(event, Message)]
    assert translations == []
    assert (message.from_, message.id, message.tags[-1]) == (romeo.session.jid, ID, "urn:xmpp:sid:0 stanza-id")
    assert message.elements()[: len(PAYLOADS)] == PAYLOADS
    for owner in ("romeo@example.org", "juliet@example.org"):
        [data] = await kept(world, owner)
        assert data.startswith(MARK + NEWEST.id) and len(data) < 120


async def test_a_retry_is_recognised_by_the_origin_id(world: World) -> None:
    romeo, juliet = await romeo_and_juliet(world)
    await romeo.say(frame_of(romeo))
    assert [event for event in juliet.came() if isinstance(event, Message)]
    await romeo.say(frame_of(romeo))
    assert not [event for event in juliet.came() if isinstance(event, Message)]
    assert len(await kept(world, "juliet@example.org")) == 1


async def test_an_xml_client_reads_what_a_binary_one_sent(world: World) -> None:
    romeo, _ = await romeo_and_juliet(world)
    await romeo.say(frame_of(romeo))
    stock = await world.client("juliet@example.org/stock")
    await stock.drain()
    await stock.send(f"<iq type='set' id='q'><query xmlns='{MAM}' queryid='1'/></iq>")
    result, fin = await stock.drain()
    assert fin.type == "result"
    forwarded = result.elements()[0].find("urn:xmpp:forward:0 forwarded")
    message = forwarded.find("jabber:client message")
    assert message.attrs == {"from": romeo.session.jid, "to": TO_JULIET, "id": ID, "type": "chat"}
    assert message.elements() == PAYLOADS


async def test_a_binary_client_reads_its_history(world: World) -> None:
    romeo, _ = await romeo_and_juliet(world)
    await romeo.say(frame_of(romeo))
    query = IQ.build(Element(f"{MAM} query", {"queryid": "1"}), type="set", id="q")
    [result, _] = [event for event in await romeo.say(romeo.writer.stanza(query)) if isinstance(event, Stanza)]
    message = result.elements()[0].find("urn:xmpp:forward:0 forwarded").find("jabber:client message")
    assert message.elements() == PAYLOADS


@pytest.mark.parametrize("is_binary", [False, True])
async def test_who_was_absent_gets_it_in_the_form_they_speak(world: World, is_binary: bool) -> None:
    romeo = Phone(world)
    await world.account("juliet@example.org")
    await romeo.log_in("romeo@example.org", Presence.build())
    await romeo.say(frame_of(romeo))
    if is_binary:
        juliet = Phone(world)
        await juliet.log_in("juliet@example.org")
        events = await juliet.say(juliet.writer.stanza(Presence.build()))
    else:
        stock = await world.client("juliet@example.org/stock")
        await stock.send("<presence/>")
        events = await stock.drain()
    [message] = [event for event in events if isinstance(event, Message)]
    assert message.elements()[: len(PAYLOADS)] == PAYLOADS
    assert [child.tag for child in message.elements()[len(PAYLOADS) :]] == [
        "urn:xmpp:delay delay",
        "urn:xmpp:sid:0 stanza-id",
    ]


async def test_what_an_xml_client_sends_is_kept_as_xml(world: World) -> None:
    _, juliet = await romeo_and_juliet(world)
    stock = await world.client("romeo@example.org/stock")
    await stock.send("<message to='juliet@example.org' type='chat' id='m'><body>Hi &lt;there></body></message>")
    [message] = [event for event in juliet.came() if isinstance(event, Message)]
    assert message.elements()[0] == Element("jabber:client body", {}, ("Hi <there>",))
    [data] = await kept(world, "juliet@example.org")
    assert parse_element(data).attrs["from"] == stock.jid
