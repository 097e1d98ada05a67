"""How questions reach DNS servers: dnspython's resolver, with an end to what an answer by TCP may have.

The loop stands still while an answer is read, 1.4 µs for each byte: the 64 KiB that TCP allows would be 90 ms, for one name of a
stranger's zone. No honest answer to our questions is a tenth of that.
"""

import asyncio
import struct
from typing import Any

import dns.asyncresolver
import dns.exception
import dns.message
import dns.nameserver
import dns.query

from xmppd.addresses import Address

UDP_BYTES = 1_232
"""What an answer by UDP may have: one datagram that no network divides (the value of the DNS flag day of 2020)."""
TCP_BYTES = 8_192
"""The same by TCP: about 200 SRV records, read in 12 ms."""


class BoundedNameserver(dns.nameserver.Do53Nameserver):
    """A DNS server whose answers by TCP are refused when they are longer than `TCP_BYTES`."""

    async def async_query(
        self,
        request: dns.message.QueryMessage,
        timeout: float,  # noqa: ASYNC109, dnspython calls it so
        source: str | None,
        source_port: int,
        max_size: bool,
        backend: Any,
        one_rr_per_rrset: bool = False,
        ignore_trailing: bool = False,
    ) -> dns.message.Message:
        """Ask by UDP; by TCP when `max_size` says that there is more than UDP carries.

        Raises:
            dns.exception.DNSException, OSError, EOFError: there is no answer, or none that can be used.
        """
        if not max_size:
            return await super().async_query(
                request, timeout, source, source_port, max_size, backend, one_rr_per_rrset, ignore_trailing
            )
        try:
            async with asyncio.timeout(timeout):
                wire = await self._by_tcp(request.to_wire())
        except TimeoutError:
            raise dns.exception.Timeout(timeout=timeout) from None  # type: ignore[no-untyped-call]
        answer = dns.message.from_wire(wire)
        if not request.is_response(answer):
            raise dns.query.BadResponse
        return answer

    async def _by_tcp(self, question: bytes) -> bytes:
        """Return what is answered to one message (RFC 1035 §4.2.2)."""
        reader, writer = await asyncio.open_connection(self.address, self.port)
        try:
            writer.write(struct.pack("!H", len(question)) + question)
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            if length > TCP_BYTES:
                raise dns.exception.FormError(f"an answer of {length} bytes")  # type: ignore[no-untyped-call]
            return await reader.readexactly(length)
        finally:
            writer.close()


def stub_resolver(server: Address | None, try_s: float) -> dns.asyncresolver.Resolver:
    """Return what asks a DNS server, and remembers nothing.

    Args:
        server: this address and port alone; None for the servers of /etc/resolv.conf.
        try_s: how long one datagram is waited for.

    Raises:
        dns.resolver.NoResolverConfiguration: /etc/resolv.conf names no server.
    """
    stub = dns.asyncresolver.Resolver(configure=server is None)
    known = [(server.host, server.port)] if server else [(str(address), stub.port) for address in stub.nameservers]
    stub.nameservers = [BoundedNameserver(*one) for one in known]
    stub.cache = None
    stub.timeout = try_s
    stub.use_edns(0, payload=UDP_BYTES)
    return stub
