"""Listening sockets, and who is let in. These tests open loopback sockets."""

import asyncio
import contextlib
import socket
from functools import partial
from types import SimpleNamespace

import pytest

from tests.support.ca import make_test_ca
from tests.support.transport import Log
from xmppd.addresses import Address
from xmppd.connection import Loop
from xmppd.listener import Doorkeeper, listen
from xmppd.tls import TlsStore
from xmppd.tls_engine import TlsEngine

# who is let in


def test_address_has_as_many_connections_as_it_may():
    doorkeeper = Doorkeeper(2)
    leave = doorkeeper.admit("192.0.2.1")
    assert doorkeeper.admit("192.0.2.1") is not None
    assert doorkeeper.admit("192.0.2.1") is None
    assert doorkeeper.admit("192.0.2.2") is not None
    leave()
    assert doorkeeper.admit("192.0.2.1") is not None
    assert doorkeeper.admit("192.0.2.1") is None


def test_addresses_that_have_left_are_forgotten():
    doorkeeper = Doorkeeper(2)
    for number in range(100):
        doorkeeper.admit(f"192.0.2.{number}")()
    assert doorkeeper._counts == {}


def test_network_of_one_customer_counts_as_one_address():
    doorkeeper = Doorkeeper(1)
    assert doorkeeper.admit("2001:db8:0:1::1") is not None
    assert doorkeeper.admit("2001:db8:0:1:ffff::2") is None
    assert doorkeeper.admit("2001:db8:0:2::1") is not None


def test_mapped_address_counts_as_the_one_it_is():
    doorkeeper = Doorkeeper(1)
    assert doorkeeper.admit("::ffff:192.0.2.1") is not None
    assert doorkeeper.admit("192.0.2.1") is None


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "", "not an address"])
def test_loopback_and_no_address_are_not_counted(address):
    doorkeeper = Doorkeeper(1)
    for _ in range(3):
        doorkeeper.admit(address)()


def test_zone_of_an_address_does_not_count():
    doorkeeper = Doorkeeper(1)
    assert doorkeeper.admit("fe80::1%eth0") is not None
    assert doorkeeper.admit("fe80::2%eth1") is None


def test_no_limit_lets_everybody_in():
    doorkeeper = Doorkeeper(0)
    for _ in range(100):
        assert doorkeeper.admit("192.0.2.1") is not None


# sockets


class Echo:
    """A stream that says back what it hears, and for whom."""

    is_busy = False

    def __init__(self, connection) -> None:
        self.connection = connection

    def receive(self, data):
        self.connection.write(self.connection.address.encode() + b":" + data)

    def before_flush(self): ...

    def secured(self): ...

    def lost(self): ...


@pytest.fixture
async def serve():
    servers = []

    async def start(host="127.0.0.1", port=0, **options):
        loop = Loop(asyncio.get_running_loop().call_soon, Log(), 1_000_000, 0)
        settings = {"make_engine": None, "expects_proxy_header": False, "doorkeeper": Doorkeeper(0)}
        server = await listen(Address(host, port), loop=loop, make_stream=Echo, **{**settings, **options})
        servers.append(server)
        return server.sockets[0].getsockname()[1]

    yield start
    for server in servers:
        server.close()


def has_ipv6():
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


async def say(port, data, host="127.0.0.1", **options):
    """Connect, say something, and return the first answer, b"" when the server closes instead."""
    reader, writer = await asyncio.open_connection(host, port, **options)
    writer.write(data)
    answer = await reader.read(1_000)
    writer.close()
    return answer


async def test_connection_reaches_its_stream(serve):
    assert await say(await serve(), b"hi") == b"127.0.0.1:hi"


async def test_proxy_header_is_read_where_one_is_expected(serve):
    port = await serve(expects_proxy_header=True)
    assert await say(port, b"PROXY TCP4 203.0.113.9 192.0.2.1 1 2\r\nhi") == b"203.0.113.9:hi"
    assert await say(port, b"hi there, no header") == b""


async def test_address_that_has_too_many_is_closed_at_once(serve):
    port = await serve(expects_proxy_header=True, doorkeeper=Doorkeeper(1))
    first = b"PROXY TCP4 203.0.113.9 192.0.2.1 1 2\r\nhi"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(first)
    assert await reader.read(100) == b"203.0.113.9:hi"
    with contextlib.suppress(ConnectionResetError):
        assert await say(port, first) == b""
    writer.close()


async def test_direct_tls_speaks_tls_from_the_first_byte(serve, tmp_path):
    authority = make_test_ca(tmp_path)
    leaf = authority.sign(["example.org"])
    tls = TlsStore(SimpleNamespace(certificate=leaf.certificate, key=leaf.key, domains={}))
    port = await serve(make_engine=partial(TlsEngine, tls.context_for(direct=True)))
    context = authority.client_context()
    context.set_alpn_protocols(["xmpp-client"])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="example.org")
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "xmpp-client"
    writer.write(b"hi")
    assert await reader.read(100) == b"127.0.0.1:hi"
    writer.close()


@pytest.mark.parametrize(("host", "takes_ipv4"), [("::", True), ("::1", False)])
async def test_every_address_of_ipv6_means_those_of_ipv4_too(serve, host, takes_ipv4):
    if not has_ipv6():
        return  # a machine without IPv6 has nothing to say about it
    port = await serve(host)
    assert await say(port, b"hi", "::1") == b"::1:hi"
    if takes_ipv4:
        assert (await say(port, b"hi")).endswith(b"127.0.0.1:hi")
    else:
        with pytest.raises(OSError):
            await say(port, b"hi")


async def test_address_that_is_taken_is_an_error(serve):
    port = await serve()
    with pytest.raises(OSError):
        await serve(port=port)
