"""The bridge over real sockets, a small binary server behind it."""

import asyncio
import base64
import random
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from codec.binary_dictionary import load_all
from codec.binary_head import Session
from codec.binary_reader import BinaryReader
from codec.binary_writer import BinaryWriter
from codec.element import Element
from codec.events import Event, StreamClosed, StreamOpened
from codec.limits import ReaderLimits
from tests.support.ca import CertificateAuthority, make_test_ca
from xmppd.addresses import Address
from xmppd.binary_wire import ALPN_BINARY
from xmppd.bridge import Bridge
from xmppd.bridge_dial import BridgeError, Dialer, tls_context

DICTIONARIES = load_all()
HEADER = (
    b"<?xml version='1.0'?><stream:stream to='localhost' version='1.0' xmlns='jabber:client' "
    b"xmlns:stream='http://etherx.jabber.org/streams'>"
)


def port_of(server: asyncio.Server) -> int:
    port: int = server.sockets[0].getsockname()[1]
    return port


class FarEnd:
    """A server that answers HELLO, returns every stanza as it came, and closes when asked to."""

    def __init__(self) -> None:
        self.ended = asyncio.Queue[str]()
        self.writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        session = Session()
        frames_in = BinaryReader(ReaderLimits(), session, DICTIONARIES)
        frames_out = BinaryWriter(next(iter(DICTIONARIES.values())), session)
        try:
            while data := await reader.read(65_536):
                for event in frames_in.feed(data):
                    writer.write(self.answer(event, frames_out))
                await writer.drain()
        except OSError:
            pass
        self.ended.put_nowait(session.domain)
        writer.close()

    def answer(self, event: Event, frames_out: BinaryWriter) -> bytes:
        if isinstance(event, StreamOpened):
            return frames_out.header(from_=event.to, id_="s1")
        if isinstance(event, StreamClosed):
            return frames_out.close()
        assert not isinstance(event, Element), event
        return frames_out.stanza(event)  # type: ignore[arg-type]


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return make_test_ca(tmp_path)


class Place:
    """A bridge before a far end."""

    def __init__(self, authority: CertificateAuthority, alpn: list[str]) -> None:
        self.authority = authority
        self.said: list[str] = []
        self.far = FarEnd()
        leaf = authority.sign(["localhost"], file_name="far")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(leaf.certificate, leaf.key)
        self.context.set_alpn_protocols(alpn)

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        self.server = await asyncio.start_server(self.far.serve, "127.0.0.1", 0, ssl=self.context)
        dialer = Dialer("localhost", port_of(self.server), context or tls_context(self.authority.path, False))
        self.bridge = Bridge(dialer, self.said.append)
        self.address = await self.bridge.start(Address("127.0.0.1", 0))

    async def stop(self) -> None:
        await self.bridge.close()
        self.server.close()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.address)


@pytest.fixture
async def place(authority: CertificateAuthority) -> AsyncIterator[Place]:
    place = Place(authority, [ALPN_BINARY])
    await place.start()
    yield place
    await place.stop()


async def opened(place: Place) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await place.connect()
    writer.write(HEADER)
    await reader.readuntil(b"xml:lang='en'>")
    return reader, writer


async def test_a_plain_client_talks_to_a_binary_server(place: Place) -> None:
    reader, writer = await opened(place)
    writer.write(b"<message id='1'><body>a &amp; b</body></message>")
    assert await reader.readuntil(b"</message>") == b"<message id='1'><body>a &amp; b</body></message>"
    writer.write(b"</stream:stream>")
    assert await reader.read() == b"</stream:stream>"
    writer.close()


async def test_the_end_of_one_client_ends_its_pair_alone(place: Place) -> None:
    _, first = await opened(place)
    reader, second = await opened(place)
    first.transport.abort()
    assert await asyncio.wait_for(place.far.ended.get(), 10) == "localhost"
    second.write(b"<presence id='2'/>")
    assert await reader.readuntil(b"/>") == b"<presence id='2'/>"
    assert place.far.ended.empty()
    second.close()


async def test_the_end_of_the_server_ends_the_client(place: Place) -> None:
    reader, writer = await opened(place)
    place.far.writers[0].transport.abort()
    assert await asyncio.wait_for(reader.read(), 10) == b""
    writer.close()


async def test_a_client_that_does_not_read_makes_its_own_sending_wait(place: Place) -> None:
    _, writer = await opened(place)
    stanza = b"<message><body>%b</body></message>" % base64.b64encode(random.Random(1).randbytes(8_192))
    total = 0
    with pytest.raises(TimeoutError):
        while total < 100_000_000:
            writer.write(stanza * 8)
            total += len(stanza) * 8
            await asyncio.wait_for(writer.drain(), 2)
    assert total < 100_000_000
    writer.transport.abort()
    assert await asyncio.wait_for(place.far.ended.get(), 10) == "localhost"


async def test_a_certificate_of_a_stranger_is_refused_unless_any_will_do(authority: CertificateAuthority) -> None:
    place = Place(authority, [ALPN_BINARY])
    await place.start(tls_context(None, False))
    reader, writer = await place.connect()
    assert b"remote-connection-failed" in await asyncio.wait_for(reader.read(), 10)
    assert "its certificate is not accepted" in place.said[0]
    writer.close()
    await place.stop()

    careless = Place(authority, [ALPN_BINARY])
    await careless.start(tls_context(None, True))
    _, writer = await opened(careless)
    writer.close()
    await careless.stop()


async def test_a_server_that_is_not_there_is_said_in_one_line(place: Place) -> None:
    place.server.close()
    reader, writer = await place.connect()
    assert b"remote-connection-failed" in await asyncio.wait_for(reader.read(), 10)
    assert len(place.said) == 1 and "localhost:" in place.said[0]
    writer.close()


async def test_an_address_that_is_taken_is_an_error(place: Place) -> None:
    with pytest.raises(BridgeError, match=str(place.address)):
        await Bridge(Dialer("localhost", 1, tls_context(None, True)), print).start(place.address)
