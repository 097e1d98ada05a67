"""The plugin for slixmpp against a transport that only keeps what is written."""

import asyncio
from typing import Any

import pytest
from slixmpp import ClientXMPP

from codec.binary_head import Session
from codec.binary_reader import BinaryReader
from codec.binary_writer import BinaryWriter
from codec.element import Element
from codec.events import Event, StreamOpened
from codec.limits import ReaderLimits
from codec.slixmpp_binary import ALPN, BinaryWire, Transport, enable
from tests.codec.binary_samples import DICTIONARIES, SHIPPED


class FakeTLS:
    """The TLS of a connection that agreed on one protocol."""

    def __init__(self, agreed: str | None) -> None:
        self.agreed = agreed

    def selected_alpn_protocol(self) -> str | None:
        return self.agreed

    def getpeercert(self, binary: bool) -> bytes:
        return b"certificate"


class FakeTransport:
    """Keeps what is written."""

    def __init__(self, agreed: str | None) -> None:
        self.written = b""
        self.tls = FakeTLS(agreed)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self.tls if name == "ssl_object" else default

    def write(self, data: bytes) -> None:
        self.written += data

    def take(self) -> bytes:
        written, self.written = self.written, b""
        return written


@pytest.fixture
async def client() -> ClientXMPP:
    client = ClientXMPP("juliet@example.org", "secret")
    client._current_connection_attempt = asyncio.get_running_loop().create_future()
    return client


class Line:
    """A client that is connected, and the server's end."""

    def __init__(self, client: ClientXMPP, agreed: str | None = ALPN[0]) -> None:
        self.client = client
        self.wire: BinaryWire = enable(client)
        self.transport = FakeTransport(agreed)
        session = Session()
        self.reader = BinaryReader(ReaderLimits(), session, DICTIONARIES)
        self.writer = BinaryWriter(SHIPPED, session)
        client.connection_made(self.transport)  # type: ignore[arg-type]

    def read(self) -> list[Event]:
        return self.reader.feed(self.transport.take())

    def hear(self, data: bytes) -> None:
        self.client.data_received(data)


async def test_a_client_asks_for_the_form_by_alpn_over_direct_tls_alone(client: ClientXMPP) -> None:
    enable(client)
    assert (client.enable_direct_tls, client.enable_starttls, client.enable_plaintext) == (True, False, False)
    assert client.get_ssl_context() is client.ssl_context


async def test_its_header_goes_out_as_hello(client: ClientXMPP) -> None:
    line = Line(client)
    assert line.wire.is_active
    [opened] = line.read()
    assert isinstance(opened, StreamOpened) and opened.to == "example.org"
    assert line.wire.bytes_sent > 0


async def test_what_it_sends_and_gets_is_translated(client: ClientXMPP) -> None:
    line = Line(client)
    line.read()
    line.hear(line.writer.header(from_="example.org", id_="s1"))
    assert client.stream_id == "s1" or client.xml_depth == 1
    client.send_raw("<r xmlns='urn:xmpp:sm:3'/>")
    assert line.read() == [Element("urn:xmpp:sm:3 r")]
    line.hear(line.writer.element(Element("urn:example:x x")))
    assert client.xml_depth == 1


async def test_what_the_client_is_told_while_it_writes_comes_after(client: ClientXMPP) -> None:
    line = Line(client)
    line.hear(line.writer.header(from_="example.org", id_="s1"))
    heard: list[bytes] = []
    line.wire._data_received = heard.append  # type: ignore[assignment]
    client.send_raw("<resume xmlns='urn:xmpp:sm:3' previd='unknown' h='0'/>")
    assert heard == []
    await asyncio.sleep(0)
    assert b"item-not-found" in heard[0]


@pytest.mark.parametrize("agreed", [None, "xmpp-client"])
async def test_a_server_without_the_form_is_spoken_to_in_xml(client: ClientXMPP, agreed: str | None) -> None:
    line = Line(client, agreed)
    assert not line.wire.is_active
    assert line.transport.take().startswith(b"<stream:stream")
    line.hear(b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='x'>")
    assert client.xml_depth == 1


async def test_the_end_of_a_connection_ends_its_translation(client: ClientXMPP) -> None:
    line = Line(client)
    client.connection_lost(None)
    assert not line.wire.is_active
    line.wire._write(b"<presence/>")
    assert client.transport is None


def test_a_transport_passes_on_everything_but_writing() -> None:
    real, written = FakeTransport(None), list[bytes]()
    transport = Transport(real, written.append)
    transport.write(b"x")
    assert written == [b"x"] and real.written == b""
    assert transport.take() == b""
