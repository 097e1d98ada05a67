"""The HTTP listener."""

import socket

import aiohttp
import pytest

from xmppd.addresses import Address
from xmppd.web.server import WebServer


async def test_it_serves_on_every_address():
    server = WebServer([Address("127.0.0.1", 0), Address("127.0.0.1", 0)])
    await server.start()
    assert len({address.port for address in server.addresses} - {0}) == 2
    async with aiohttp.ClientSession() as session:
        for address in server.addresses:
            async with session.get(f"http://{address}/") as answer:
                assert answer.status == 404
    await server.close()


async def test_without_addresses_it_serves_nothing():
    server = WebServer([])
    await server.start()
    assert server.addresses == []
    await server.close()


async def test_a_taken_address_is_named_and_nothing_stays_bound():
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as free:
        used, spare = taken.getsockname()[1], free.getsockname()[1]
        free.close()
        server = WebServer([Address("127.0.0.1", spare), Address("127.0.0.1", used)])
        with pytest.raises(OSError, match=rf"http.listen: 127.0.0.1:{used}: "):
            await server.start()
        socket.create_server(("127.0.0.1", spare)).close()


async def test_closing_frees_the_address():
    server = WebServer([Address("127.0.0.1", 0)])
    await server.start()
    port = server.addresses[0].port
    await server.close()
    socket.create_server(("127.0.0.1", port)).close()
