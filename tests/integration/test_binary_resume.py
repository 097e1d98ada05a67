"""A phone in the binary form that loses its connection at any byte: each message comes once, and the tables of both ends stay alike.

The client's end is `codec.binary_translator`, the server's a whole one in memory; between them lie two queues of bytes.
"""

import asyncio
import re
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import binary_frames as frames
from codec.binary_dictionary import load_all
from codec.binary_translator import Resumable, Translator
from codec.element import Element
from codec.events import Event, StreamBroken
from codec.jid import JID
from codec.limits import ReaderLimits
from codec.stanza import Message, Stanza
from codec.xml_reader import XmlReader
from tests.support.sasl2 import BIND2, SM, account, authenticate, plain
from tests.support.world import Client, FakeConnection, World
from xmppd.binary_wire import MAX_KEPT_BYTES, BinaryWire
from xmppd.c2s import ClientStream

DICTIONARIES = load_all()
MODULES = ("rfc_6121_message", "xep_0198_sm", "xep_0388_sasl2", "xep_0386_bind2", "xep_0199_ping")
HEADER = "<stream:stream to='example.org' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
ENABLE = f"<bind xmlns='{BIND2}'><enable xmlns='{SM}' resume='true'/></bind>"
FRIENDS = tuple(f"friend{number}@example.org/phone" for number in range(3))
WRITERS = tuple(JID.parse(f"writer{number}@example.net/Conversations.{number}") for number in range(90))
OCCUPANT = "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='%064x'/>"


class Wire(FakeConnection):
    """Keeps what the server writes as bytes, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.tls = SimpleNamespace(end_point_hash=b"\x5a" * 32)  # type: ignore[assignment]
        self.out = b""

    def write(self, data: bytes) -> None:
        self.out += data
        if not self._is_flushing:
            self.wake_flush()


class Phone:
    """A stock client with stream management behind a translator.

    Attributes:
        heard: bodies of the messages that came. said: how many it has sent.
        to_server, wire.out: what is on its way.
        carried: how often its tables went on with a new connection.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.resumable = Resumable()
        self.heard: list[str] = []
        self.said = 0
        self.unacked: list[str] = []
        self.sent = self.taken = self.carried = 0
        self.token = ""
        self.is_bound = False
        self.to_server = b""

    async def connect(self, has_tables: bool = True) -> None:
        """Connect and send everything up to the request to resume; nothing of the answer is read."""
        self.wire = Wire()
        self.stream = self.wire.stream = ClientStream(self.wire, self.world.service)
        binary = self.world.service.binary
        assert binary is not None
        binary.begin(self.stream, self.world.service.before_login)
        self.stream._is_restarted = False  # as after ALPN: nothing was read before
        self.xml = XmlReader(ReaderLimits(stanza_bytes=10_000_000))
        self.translator = Translator(DICTIONARIES, self.resumable, filters_features=False)
        self.translator._writer.takes_tables = has_tables
        known = self.resumable._known.get(self.token)
        self._kept = None if known is None else known.tables
        self.is_bound = False
        self.to_server = b""
        self.say(HEADER)
        wish = f"<resume xmlns='{SM}' previd='{self.token}' h='{self.taken}'/>" if self.token else ENABLE
        self.say(authenticate("PLAIN", plain("juliet"), wish))

    def say(self, xml: str) -> None:
        output = self.translator.from_client(xml.encode())
        assert not output.to_client, output.to_client
        self.to_server += b"".join(output.to_server)

    def message(self, to: str) -> None:
        """Say something, once, whatever happens to the connection."""
        xml = f"<message to='{to}' type='chat'><body>said {self.said}</body></message>"
        self.said += 1
        self.unacked.append(xml)
        if self.is_bound:
            self.sent += 1
            self.say(xml)

    async def deliver(self, to_server: int | None = None, to_client: int | None = None, step: int = 1 << 20) -> None:
        """Let so many bytes of what is on its way arrive (None: all that there is), in pieces of `step`; the rest stays there."""
        data = self.to_server[:to_server]
        self.to_server = self.to_server[len(data) :]
        for at in range(0, len(data), step):
            self.stream.receive(data[at : at + step])
        await self.settle()
        data = self.wire.out[:to_client]
        self.wire.out = self.wire.out[len(data) :]
        for at in range(0, len(data), step):
            self._read(data[at : at + step])
        await self.world.settle()

    async def arrive(self, step: int = 1 << 20) -> None:
        """Deliver until nothing is on its way."""
        await self.settle()
        while self.to_server or self.wire.out:
            await self.deliver(step=step)

    async def settle(self) -> None:
        """Let the server do what there is to do."""
        await self.world.settle()
        while self.stream.is_busy and self.stream.connection is not None:  # noqa: ASYNC110  it works on a password
            await asyncio.sleep(0)
        await self.world.settle()

    def _read(self, data: bytes) -> None:
        output = self.translator.from_server(data)
        self.to_server += b"".join(output.to_server)
        for event in self.xml.feed(b"".join(output.to_client)):
            self._event(event)

    def _event(self, event: Event) -> None:
        assert not isinstance(event, StreamBroken), event
        if isinstance(event, Stanza):
            self.taken += 1
            body = event.element("jabber:client body")
            self.heard.append("" if body is None else f"{event.from_} {body.text}")
        elif isinstance(event, Element):
            assert event.name not in ("error", "failure"), event.to_xml()
            self._element(event)

    def _element(self, element: Element) -> None:
        for part in (
            element,
            *element.elements(),
            *(deep for child in element.elements() for deep in child.elements()),
        ):
            if part.tag == f"{SM} r":
                self.say(f"<a xmlns='{SM}' h='{self.taken}'/>")
            elif part.tag == f"{SM} a":
                self._acknowledged(int(part.get("h") or 0))
            elif part.tag == f"{SM} resumed":
                self._acknowledged(int(part.get("h") or 0))
                self.carried += self._kept is not None and self.translator._tables is self._kept
                self._bound()
            elif part.tag == f"{SM} enabled":
                self.token, self.sent, self.taken, self._h = part.get("id") or "", 0, 0, 0
                self._bound()

    def _bound(self) -> None:
        self.is_bound = True
        self.sent = self._h
        for xml in self.unacked:
            self.sent += 1
            self.say(xml)

    def _acknowledged(self, h: int) -> None:
        del self.unacked[: h - self._h]
        self._h = h

    async def lose(self) -> None:
        """Lose the connection, and everything on its way."""
        self.wire.is_closing = True
        self.wire.stream = None
        self.stream.lost()
        self.translator.close()
        self.is_bound = False
        await self.world.settle()


class Town:
    """The world, the phone, and whoever it chats with."""

    def __init__(self, world: World, phone: Phone, friends: list[Client]) -> None:
        self.world = world
        self.phone = phone
        self.friends = friends
        self.told: list[str] = []
        self.resource: Any = None

    @classmethod
    async def build(cls, offers_tables: bool = True) -> "Town":
        world = await World.create(MODULES)
        world.offer_binary(BinaryWire(DICTIONARIES, offers_tables))
        await account(world, "juliet@example.org")
        town = cls(world, Phone(world), [await world.client(jid) for jid in FRIENDS])
        await town.phone.connect()
        await town.phone.arrive()
        assert town.phone.is_bound
        town.resource = town.phone.stream.resource
        return town

    def tell(self, writer: int) -> None:
        """Someone from elsewhere writes to the phone."""
        text = f"told {len(self.told)}"
        jid = WRITERS[writer]
        self.told.append(f"{jid} {text}")
        body = Element("jabber:client body", {}, (text,))
        occupant = Element("urn:xmpp:occupant-id:0 occupant-id", {"id": f"{writer * 7919:064x}"})
        self.resource.send(Message.build(body, occupant, from_=jid, to=self.resource.jid, type="groupchat"))

    async def check(self) -> None:
        """Everything came, once, in order and from whom it was."""
        assert self.phone.heard == self.told
        heard = []
        for friend in self.friends:
            heard += [re.findall(r"said \d+", stanza.to_xml().decode())[0] for stanza in await friend.drain()]
        assert sorted(heard, key=lambda text: int(text[5:])) == [f"said {n}" for n in range(self.phone.said)]


SHARES = st.integers(0, 100)
ROUNDS = st.lists(
    st.tuples(
        st.lists(st.integers(0, len(WRITERS) - 1), max_size=25),
        st.lists(st.integers(0, len(FRIENDS) - 1), max_size=4),
        st.tuples(SHARES, SHARES),
        st.sampled_from(["resumed", "resumed", "resumed", "answer lost", "without tables"]),
        st.tuples(SHARES, SHARES),
    ),
    min_size=1,
    max_size=6,
)


async def live(rounds: list[Any], step: int) -> Phone:
    """Go through some connections; return the phone after everything has arrived."""
    town = await Town.build()
    phone = town.phone
    for told, said, shares, kind, answer_shares in rounds:
        for writer in told:
            town.tell(writer)
        for friend in said:
            phone.message(FRIENDS[friend])
        await phone.deliver(*cut(phone, shares), step)
        await phone.lose()
        if kind == "answer lost":
            await phone.connect()
            for writer in told[:3]:
                town.tell(writer)
            await phone.deliver(to_client=0)
            await phone.deliver(*cut(phone, answer_shares), step)
            await phone.lose()
        await phone.connect(has_tables=kind != "without tables")
        await phone.arrive(step)
        assert phone.is_bound
    await phone.arrive(step)
    await town.check()
    return phone


def cut(phone: Phone, shares: tuple[int, int]) -> tuple[int, int]:
    """Return how many bytes arrive, of so many percent of what is on its way."""
    return len(phone.to_server) * shares[0] // 100, len(phone.wire.out) * shares[1] // 100


@settings(max_examples=40, deadline=None)
@given(ROUNDS, st.sampled_from([1, 5, 1 << 20]))
def test_whatever_is_lost_on_the_wire_each_message_comes_once_and_is_read_right(rounds: list[Any], step: int) -> None:
    asyncio.run(live(rounds, step))


async def resume(town: Town) -> bytes:
    """Lose the connection and resume; return what the phone sent for that."""
    await town.phone.lose()
    await town.phone.connect()
    sent = town.phone.to_server
    await town.phone.arrive()
    assert town.phone.is_bound
    return sent


def has_claim(data: bytes) -> bool:
    """Return whether there is a TABLES frame among some frames."""
    at = 0
    while at < len(data):
        if data[at] >> 4 == frames.TABLES:
            return True
        length = frames.read_varint(data, at + 1)
        assert length is not None
        at = length[0] + length[1] if data[at] >> 4 in frames.HAS_BODY else at + 1
    return False


async def test_a_writer_costs_a_slot_after_a_resume_too() -> None:
    town = await Town.build()
    town.tell(1)
    first = len(town.phone.wire.out)
    await town.phone.arrive()
    town.tell(1)
    again = len(town.phone.wire.out)
    await town.phone.arrive()
    assert has_claim(await resume(town))
    town.tell(1)
    assert len(town.phone.wire.out) == again < first - 40
    await town.phone.arrive()
    await town.check()
    assert town.phone.carried == 1


async def test_what_came_in_before_the_cut_but_not_out_is_said_in_full() -> None:
    town = await Town.build()
    town.tell(1)
    await town.phone.arrive()
    town.tell(2)
    await resume(town)
    town.tell(1)
    town.tell(2)
    await town.phone.arrive()
    await town.check()
    assert town.phone.carried == 1


async def test_the_tables_last_over_many_resumes() -> None:
    town = await Town.build()
    for writer in range(70):
        town.tell(writer)
        await town.phone.arrive()
        if writer % 7 == 0:
            await resume(town)
    await town.check()
    assert town.phone.carried == 10


async def test_a_lost_answer_does_not_lose_the_tables() -> None:
    town = await Town.build()
    town.tell(1)
    await town.phone.arrive()
    await town.phone.lose()
    await town.phone.connect()
    await town.phone.deliver(to_client=0)
    assert len(town.phone.wire.out) > 20
    await resume(town)
    assert town.phone.carried == 1
    town.tell(1)
    await town.phone.arrive()
    await town.check()


async def test_a_session_is_taken_over_from_a_connection_that_still_stands() -> None:
    town = await Town.build()
    town.tell(1)
    await town.phone.arrive()
    old = town.phone.stream
    late = town.phone.translator._writer.stanza(Message.build(to=JID.parse("late@example.net/x"), type="chat"))
    await town.phone.connect()
    await town.phone.arrive()
    assert town.phone.is_bound and town.phone.carried == 1
    tables = town.phone.stream.tables
    assert tables is not None
    counts = tables.seen.counts
    old.receive(late)
    assert tables.seen.counts == counts
    town.tell(1)
    await town.phone.arrive()
    await town.check()


async def test_after_a_connection_without_tables_there_are_none_to_go_on_with() -> None:
    town = await Town.build()
    town.tell(1)
    await town.phone.arrive()
    await town.phone.lose()
    await town.phone.connect(has_tables=False)
    await town.phone.arrive()
    assert town.phone.is_bound and town.resource.tables is None
    assert not has_claim(await resume(town))
    town.tell(1)
    await town.phone.arrive()
    await town.check()


async def test_tables_of_another_connection_are_not_mixed_up_with_these() -> None:
    """Another program of the same user resumed in between, with tables of its own."""
    town = await Town.build()
    town.tell(1)
    await town.phone.arrive()
    mine, town.phone.resumable = town.phone.resumable, Resumable()
    assert not has_claim(await resume(town))
    town.tell(2)
    town.tell(3)
    await town.phone.arrive()
    town.phone.resumable = mine
    assert has_claim(await resume(town))
    assert town.phone.carried == 0
    town.tell(1)
    town.tell(2)
    await town.phone.arrive()
    await town.check()


async def test_a_session_that_is_gone_takes_its_tables_along() -> None:
    town = await Town.build()
    town.tell(1)
    await town.phone.arrive()
    await town.phone.lose()
    resource = town.resource
    assert resource.tables is not None
    await town.world.shared.end_resource(resource, "")
    assert resource.tables is None
    await town.phone.connect()
    await town.phone.arrive()
    assert not town.phone.is_bound and town.phone.carried == 0


async def test_a_server_that_was_started_anew_knows_nothing_and_says_so() -> None:
    town = await Town.build()
    town.tell(1)
    await town.phone.arrive()
    await town.phone.lose()
    other = await Town.build()
    town.phone.world = other.world
    await town.phone.connect()
    assert has_claim(town.phone.to_server)
    await town.phone.arrive()
    assert not town.phone.is_bound and town.phone.carried == 0


async def test_a_sleeping_session_keeps_bytes_and_no_more_than_it_may() -> None:
    town = await Town.build()
    for writer in range(90):
        town.tell(writer)
    await town.phone.arrive()
    tables = town.phone.stream.tables
    assert tables is not None
    await town.phone.lose()
    kept = town.resource.tables
    assert kept is tables and kept.sent._awake is None and kept.sleep() < MAX_KEPT_BYTES
    assert town.phone.stream.writer.tables is None and town.phone.stream.reader.tables is None


async def test_tables_larger_than_a_phone_fills_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xmppd.binary_wire.MAX_KEPT_BYTES", 100)
    town = await Town.build()
    for writer in range(20):
        town.tell(writer)
    await town.phone.arrive()
    await town.phone.lose()
    assert town.resource.tables is None
    await resume(town)
    assert town.phone.carried == 0
    town.tell(1)
    await town.phone.arrive()
    await town.check()


async def test_a_server_that_offers_no_tables_is_asked_for_none() -> None:
    town = await Town.build(offers_tables=False)
    town.tell(1)
    await town.phone.arrive()
    assert not has_claim(await resume(town))
    await town.check()


async def test_an_idle_connection_sleeps_too_and_goes_on() -> None:
    town = await Town.build()
    town.tell(1)
    await town.phone.arrive()
    tables = town.phone.stream.tables
    assert tables is not None
    town.phone.stream.tick(10_000_000, 10_000_000)
    assert tables.sent._awake is None and tables.seen._awake is None
    town.phone.wire.is_closing = False
    town.tell(1)
    await town.phone.arrive()
    await town.check()
