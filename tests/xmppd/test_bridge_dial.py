"""Which servers the bridge tries, in which order, and what it asks of them before it sends anything of a client."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from codec.binary_dictionary import load_all
from codec.binary_reader import BINARY_NS
from codec.element import Element
from codec.events import Event, StreamOpened
from codec.limits import ReaderLimits
from codec.xml_reader import XmlReader
from codec.xml_writer import XmlWriter
from tests.support.ca import CertificateAuthority, make_test_ca
from xmppd.binary_wire import ALPN_BINARY
from xmppd.bridge_dial import DIRECT_SERVICE, STARTTLS_SERVICE, BridgeError, Dialer, tls_context
from xmppd.s2s.resolver import NoService, ResolverDown
from xmppd.s2s.srv import ServiceRecord

TLS_NS = "urn:ietf:params:xml:ns:xmpp-tls"
STARTTLS = Element(f"{TLS_NS} starttls")
DICT = Element(f"{BINARY_NS} dict", {"id": next(iter(load_all())).hex()})
BINARY = Element(f"{BINARY_NS} binary", {"version": "0"}, (DICT,))
HELLO = b"what follows is in frames"


class Dns:
    """Knows some records; what it does not know fails as told."""

    def __init__(self, records: dict[str, list[ServiceRecord]], otherwise: Exception | None = None) -> None:
        self.records, self.otherwise = records, otherwise
        self.asked: list[str] = []

    async def services(self, domain: str, service: str) -> list[ServiceRecord]:
        self.asked.append(f"{service}.{domain}")
        if service not in self.records and self.otherwise is not None:
            raise self.otherwise
        return self.records.get(service, [])


class Server:
    """A server that offers what it is told to, and answers as it is told to."""

    def __init__(self, authority: CertificateAuthority, name: str = "localhost", alpn: str = "") -> None:
        leaf = authority.sign([name], file_name=f"far-{name}")
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(leaf.certificate, leaf.key)
        if alpn:
            self.context.set_alpn_protocols([alpn])
        self.offers = [[STARTTLS], [BINARY]]
        self.refuses = False
        self.injects = b""
        self.connections = 0
        self.asked: list[str] = []

    @asynccontextmanager
    async def listening(self, is_direct: bool) -> AsyncIterator[int]:
        context = self.context if is_direct else None
        server = await asyncio.start_server(self._direct if is_direct else self._plain, "127.0.0.1", 0, ssl=context)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()

    async def _plain(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if await self._stream(reader, writer, self.offers[0], f"{TLS_NS} starttls", f"<proceed xmlns='{TLS_NS}'/>"):
            await writer.start_tls(self.context)
            await self._inside(reader, writer)
        writer.close()

    async def _direct(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if writer.get_extra_info("ssl_object").selected_alpn_protocol() == ALPN_BINARY:
            await self._frames(reader, writer)
        else:
            await self._inside(reader, writer)
        writer.close()

    async def _inside(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        proceed = f"<proceed xmlns='{BINARY_NS}'/>"
        if await self._stream(reader, writer, self.offers[1], f"{BINARY_NS} upgrade", proceed):
            await self._frames(reader, writer)

    async def _frames(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The client speaks first."""
        if await reader.read(1):
            writer.write(HELLO)

    async def _stream(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        offered: list[Element],
        wanted: str,
        answer: str,
    ) -> bool:
        """Return whether what is wanted was asked for, and granted."""
        xml = XmlReader(ReaderLimits())
        while data := await reader.read(4_096):
            for event in xml.feed(data):
                self._note(event)
                if isinstance(event, StreamOpened):
                    writer.write(XmlWriter().header(from_=event.to, id_="1") + XmlWriter().features(offered))
                elif isinstance(event, Element) and event.tag == wanted and not self.refuses:
                    writer.write(answer.encode() + self.injects)
                    return True
                else:
                    writer.write(b"<failure xmlns='urn:x'><no/></failure>")
                    return False
        return False

    def _note(self, event: Event) -> None:
        self.asked.append(f"to {event.to}" if isinstance(event, StreamOpened) else getattr(event, "name", "?"))


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return make_test_ca(tmp_path)


@pytest.fixture
def context(authority: CertificateAuthority) -> Iterator[ssl.SSLContext]:
    return tls_context(authority.path, False)


async def reached(dialer: Dialer) -> bytes:
    reader, writer = await dialer.connect()
    writer.write(b"?")
    said = await asyncio.wait_for(reader.readexactly(len(HELLO)), 10)
    writer.transport.abort()
    return said


def record(port: int, priority: int = 0, host: str = "localhost") -> ServiceRecord:
    return ServiceRecord(priority, 0, port, host)


async def test_alpn_agrees_without_a_word(authority: CertificateAuthority, context: ssl.SSLContext) -> None:
    server = Server(authority, alpn=ALPN_BINARY)
    async with server.listening(True) as port:
        assert await reached(Dialer("localhost", port, context)) == HELLO
    assert server.asked == []


async def test_direct_tls_without_alpn_agrees_in_band(authority: CertificateAuthority, context: ssl.SSLContext) -> None:
    server = Server(authority, alpn="xmpp-client")
    async with server.listening(True) as port:
        assert await reached(Dialer("localhost", port, context)) == HELLO
    assert server.asked == ["to localhost", "upgrade"]


async def test_starttls_is_tried_where_no_tls_answers(authority: CertificateAuthority, context: ssl.SSLContext) -> None:
    server = Server(authority)
    async with server.listening(False) as port:
        assert await reached(Dialer("localhost", port, context)) == HELLO
    assert server.asked[-4:] == ["to localhost", "starttls", "to localhost", "upgrade"]


async def test_what_came_in_the_clear_behind_proceed_is_not_taken_for_the_servers_word(
    authority: CertificateAuthority, context: ssl.SSLContext
) -> None:
    server = Server(authority)
    server.injects = b"<stream:features><evil xmlns='urn:x'/></stream:features>"
    async with server.listening(False) as port:
        try:
            assert await reached(Dialer("localhost", port, context)) == HELLO
        except BridgeError as error:  # it came late, and TLS finds no TLS in it
            assert "TLS" in str(error)


async def test_direct_records_come_first_then_those_of_starttls_in_their_order(
    authority: CertificateAuthority, context: ssl.SSLContext
) -> None:
    broken, last = Server(authority), Server(authority)
    broken.refuses = True
    async with broken.listening(False) as first_port, last.listening(False) as second_port:
        records = {DIRECT_SERVICE: [record(1)], STARTTLS_SERVICE: [record(second_port, 20), record(first_port, 10)]}
        dns = Dns(records)
        assert await reached(Dialer("localhost", None, context, dns)) == HELLO
    assert broken.connections == last.connections == 1
    assert dns.asked == ["_xmpps-client._tcp.localhost", "_xmpp-client._tcp.localhost"]


@pytest.mark.parametrize("otherwise", [None, NoService("no"), ResolverDown("silent")])
async def test_without_records_the_domain_itself_is_tried(context: ssl.SSLContext, otherwise: Exception | None) -> None:
    dialer = Dialer("localhost", None, context, Dns({}, otherwise))
    attempts = [str(attempt) for attempt in await dialer._attempts()]
    assert attempts == ["localhost:5223, TLS at once", "localhost:5222, STARTTLS"]


async def test_a_domain_that_says_it_has_no_service_is_believed(context: ssl.SSLContext) -> None:
    dns = Dns({DIRECT_SERVICE: [record(1, host="")], STARTTLS_SERVICE: [record(1, host="")]})
    with pytest.raises(BridgeError, match="has no XMPP server"):
        await Dialer("localhost", None, context, dns).connect()


@pytest.mark.parametrize("is_direct", [True, False])
async def test_the_certificate_must_be_for_the_domain_not_for_its_host(
    authority: CertificateAuthority, context: ssl.SSLContext, is_direct: bool
) -> None:
    server = Server(authority)
    async with server.listening(is_direct) as port:
        service = DIRECT_SERVICE if is_direct else STARTTLS_SERVICE
        with pytest.raises(BridgeError, match=r"certificate is not accepted.*example.org"):
            await Dialer("example.org", None, context, Dns({service: [record(port)]})).connect()
    domain = Server(authority, "example.org")
    async with domain.listening(is_direct) as port:
        assert await reached(Dialer("example.org", None, context, Dns({service: [record(port)]}))) == HELLO


@pytest.mark.parametrize(
    ("offers", "refuses", "words"),
    [
        ([[], [BINARY]], False, "it offers no STARTTLS, and nothing is sent without"),
        ([[STARTTLS], []], False, "it does not speak the binary form"),
        ([[STARTTLS], [Element(f"{BINARY_NS} binary")]], False, "it has no dictionary of ours"),
        ([[STARTTLS], [BINARY]], True, "it refuses STARTTLS: failure no"),
    ],
)
async def test_a_server_that_will_not_do_is_said_in_one_line(
    authority: CertificateAuthority, context: ssl.SSLContext, offers: list[list[Element]], refuses: bool, words: str
) -> None:
    server = Server(authority)
    server.offers, server.refuses = offers, refuses
    async with server.listening(False) as port:
        with pytest.raises(BridgeError) as caught:
            await Dialer("localhost", None, context, Dns({STARTTLS_SERVICE: [record(port)]})).connect()
    text = str(caught.value)
    assert text == f"localhost is not reached: localhost:{port}, STARTTLS: {words}"


async def test_a_server_that_says_nothing_is_given_up(context: ssl.SSLContext) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    dns = Dns({STARTTLS_SERVICE: [record(port)]})
    with pytest.raises(BridgeError, match="no answer within"):
        await Dialer("localhost", None, context, dns, attempt_s=0.2).connect()
    server.close()
