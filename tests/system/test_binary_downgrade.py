"""Somebody on the way who takes the binary form away: what shows it (docs/binary-framing.md, Security)."""

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from tests.support.ca import make_test_ca
from tests.support.server import ServerProcess
from tests.system.conftest import TLSFiles
from tests.system.test_sasl2 import BIND, Wire, by_token, first_login
from xmppd.binary_wire import ALPN_BINARY
from xmppd.bridge_dial import BridgeError, Dialer, tls_context

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

Change = Callable[[bytes], bytes]
FEATURE = re.compile(rb"<binary xmlns='urn:xmppd:binary:0'.*?</binary>")


@pytest.fixture(scope="module")
def stolen(tmp_path_factory: pytest.TempPathFactory) -> TLSFiles:
    """Another certificate for localhost, from an authority that the client trusts as well."""
    authority = make_test_ca(tmp_path_factory.mktemp("stolen"))
    leaf = authority.sign(["localhost"], file_name="stolen")
    return TLSFiles(authority.path, leaf.certificate, leaf.key)


@asynccontextmanager
async def in_the_middle(
    to: int, *, up: Change = bytes, down: Change = bytes, near: ssl.SSLContext | None = None, is_far_tls: bool = False
) -> AsyncIterator[int]:
    """Pass on what crosses, changed; with `near` the TLS ends here, and another one may begin."""
    far_context = ssl.create_default_context() if is_far_tls else None
    if far_context is not None:
        far_context.check_hostname, far_context.verify_mode = False, ssl.CERT_NONE
        far_context.set_alpn_protocols(["xmpp-client"])
    tasks: set[asyncio.Task[None]] = set()

    async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, change: Change) -> None:
        try:
            while data := await source.read(65_536):
                sink.write(change(data))
                await sink.drain()
        except (OSError, ssl.SSLError):
            pass
        sink.transport.abort()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", to, ssl=far_context)
        for coroutine in (pump(reader, far_writer, up), pump(far_reader, writer, down)):
            tasks.add(asyncio.create_task(coroutine))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=near)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def near_context(files: TLSFiles) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.set_alpn_protocols(["xmpp-client"])
    return context


def without_feature(data: bytes) -> bytes:
    return FEATURE.sub(b"", data)


async def test_alpn_taken_from_the_handshake_breaks_the_handshake(server: ServerProcess, tls: TLSFiles) -> None:
    name, other = ALPN_BINARY.encode(), b"xmppd-nix/0"
    seen: list[bytes] = []

    def change(data: bytes) -> bytes:
        seen.append(data)
        return data.replace(name, other)

    async with in_the_middle(server.direct_tls_port, up=change) as port:
        with pytest.raises(BridgeError):
            await Dialer("localhost", port, tls_context(tls.ca, False), attempt_s=3).connect()
    assert name in seen[0]  # it was there to be taken


async def test_the_feature_cannot_be_taken_from_what_tls_protects(server: ServerProcess, tls: TLSFiles) -> None:
    async with in_the_middle(server.c2s_port, down=without_feature) as port:
        _, writer = await Dialer("localhost", port, tls_context(tls.ca, False), attempt_s=3).connect()
        writer.transport.abort()


async def test_who_cannot_show_the_certificate_gets_no_further(
    server: ServerProcess, tls: TLSFiles, stolen: TLSFiles
) -> None:
    near = near_context(stolen)
    async with in_the_middle(server.direct_tls_port, down=without_feature, near=near, is_far_tls=True) as port:
        with pytest.raises(BridgeError, match="certificate is not accepted"):
            await Dialer("localhost", port, tls_context(tls.ca, False), attempt_s=3).connect()


async def test_even_under_a_certificate_that_is_trusted_a_client_that_insists_sends_nothing(
    server: ServerProcess, stolen: TLSFiles
) -> None:
    sent: list[bytes] = []

    def note(data: bytes) -> bytes:
        sent.append(data)
        return data

    near = near_context(stolen)
    async with in_the_middle(server.direct_tls_port, up=note, down=without_feature, near=near, is_far_tls=True) as port:
        with pytest.raises(BridgeError, match="does not speak the binary form"):
            await Dialer("localhost", port, tls_context(stolen.ca, False), attempt_s=3).connect()
    assert b"<authenticate" not in b"".join(sent) and b"<auth" not in b"".join(sent)


async def test_a_login_bound_to_the_channel_fails_through_a_trusted_middle(
    server: ServerProcess, tls: TLSFiles, stolen: TLSFiles, spare: Iterator[str]
) -> None:
    user = next(spare).partition("@")[0]
    async with Wire.open(server, tls) as wire:
        session = await first_login(wire, user, "HT-SHA-256-ENDP")
    near = near_context(stolen)
    context = ssl.create_default_context(cafile=str(stolen.ca))
    async with in_the_middle(server.direct_tls_port, down=without_feature, near=near, is_far_tls=True) as port:
        streams = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
        async with Wire(*streams) as wire:
            text = await wire.ask(by_token(session, BIND, wire.binding()), b"</failure>")
    assert "<binary" not in text and "<not-authorized" in text
