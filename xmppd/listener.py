"""Listening sockets, and who is let in: a limit of connections by address."""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from typing import Any

from xmppd.addresses import Address
from xmppd.connection import Connection, Loop, MakeEngine

BACKLOG = 4_096
"""Connections that the kernel may hold for us: everybody comes back at once after a restart."""


class Doorkeeper:
    """Counts connections by address.

    Args:
        limit: how many one address may have; 0: no limit. Loopback is not counted: a proxy there speaks for many.
    """

    __slots__ = ("_counts", "_limit")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._counts: dict[str, int] = {}

    def admit(self, address: str) -> Callable[[], None] | None:
        """Return what to call when a connection from this address ends, or None: it has as many as it may have."""
        key = _network_of(address)
        if not self._limit or key is None:
            return _nothing
        count = self._counts.get(key, 0)
        if count >= self._limit:
            return None
        self._counts[key] = count + 1
        return lambda: self._leave(key)

    def _leave(self, key: str) -> None:
        self._counts[key] -= 1
        if not self._counts[key]:
            del self._counts[key]


def _nothing() -> None:
    """A connection that is not counted has ended."""


def _network_of(address: str) -> str | None:
    """Return what counts as one address: an IPv4 address, or the /64 of an IPv6 one; None for loopback and no address."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:
            return _network_of(str(ip.ipv4_mapped))
        return None if ip.is_loopback else str(ipaddress.ip_network((ip, 64), strict=False))
    return None if ip.is_loopback else str(ip)


async def listen(
    address: Address,
    *,
    loop: Loop,
    make_stream: Callable[[Connection], Any],
    make_engine: MakeEngine | None,
    expects_proxy_header: bool,
    doorkeeper: Doorkeeper,
) -> asyncio.Server:
    """Listen on an address (TCP); `make_engine`: TLS from the first byte (XEP-0368), None: in plain text at first.

    Raises:
        OSError: the address cannot be had.
    """

    def connection() -> Connection:
        return Connection(loop, make_stream, make_engine, expects_proxy_header, doorkeeper.admit)

    running = asyncio.get_running_loop()
    infos = await running.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, where = infos[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # [::] means IPv4 too, as operators expect
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address.host == "::" else 1)
        listener.bind(where)
        return await running.create_server(connection, sock=listener, backlog=BACKLOG)
    except BaseException:
        listener.close()
        raise
