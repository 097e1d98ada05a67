"""A DNS server in the test's own loop, on UDP and TCP: it says what the test gives it, counts questions, and can be made to misbehave."""

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import cast

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from xmppd.addresses import Address

SOA = "ns.invalid. root.invalid. 1 3600 600 86400 {minimum}"


class NameServer:
    """Records by name and type; what is not there does not exist.

    Attributes:
        asked: how often each (name, type) was asked for, in presentation form: ("_xmpp-server._tcp.a.example", "SRV").
        transports: "udp" or "tcp" for each question, in order.
        negative_ttl: the minimum of the SOA record that comes with every "no"; None for no such record.
        next_question: released by every question.
        held: names whose questions wait until `release` is called.
        silent, broken: names that are not answered, or with SERVFAIL.
        silent_by: transports by which nothing is answered.
        forged: an answer with another id, that says no, is sent before every one by UDP, instead of it by TCP.
    """

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, str]] = Counter()
        self.transports: list[str] = []
        self.negative_ttl: int | None = 60
        self.held: set[str] = set()
        self.silent: set[str] = set()
        self.broken: set[str] = set()
        self.silent_by: set[str] = set()
        self.forged = False
        self.next_question, self._released = asyncio.Semaphore(0), asyncio.Event()
        self.address = Address("127.0.0.1", 0)
        self._records: dict[tuple[str, str], tuple[int, list[str]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, name: str, kind: str, *texts: str, ttl: int = 300) -> None:
        """Give a name records of a type; an empty answer when there are none."""
        self._records[(name.lower(), kind)] = (ttl, list(texts))

    def clear(self) -> None:
        """Forget every record."""
        self._records.clear()

    def release(self) -> None:
        """Answer what was held."""
        self.held.clear()
        self._released.set()

    @property
    def questions(self) -> int:
        """How many have come."""
        return self.asked.total()

    async def answer(self, wire: bytes, transport: str) -> bytes | None:
        """Return the answer to a message, None to be silent."""
        query = dns.message.from_wire(wire)
        question = query.question[0]
        name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
        self.asked[(name, kind)] += 1
        self.transports.append(transport)
        self.next_question.release()
        if name in self.held:
            await self._released.wait()
        if name in self.silent or transport in self.silent_by:
            return None
        response = dns.message.make_response(query, our_payload=1232)
        response.flags |= dns.flags.RA
        if name in self.broken:
            response.set_rcode(dns.rcode.SERVFAIL)
            return response.to_wire()
        self._fill(response, name, kind)
        answer = response.to_wire(max_size=65535)
        if transport == "udp" and len(answer) > 1232:
            response = dns.message.make_response(query, our_payload=1232)
            response.flags |= dns.flags.TC
            answer = response.to_wire()
        return answer

    def _fill(self, response: dns.message.Message, name: str, kind: str) -> None:
        """Put records in, along aliases as a resolver would, and the SOA record of a "no"."""
        for _ in range(64):
            ttl, texts = self._records.get((name, kind), (0, []))
            if texts:
                response.answer.append(dns.rrset.from_text_list(f"{name}.", ttl, "IN", kind, texts))
                return
            alias = self._records.get((name, "CNAME"))
            if alias is None:
                break
            response.answer.append(dns.rrset.from_text_list(f"{name}.", alias[0], "IN", "CNAME", alias[1]))
            name = alias[1][0].rstrip(".").lower()
        if not any(known == name for known, _ in self._records):
            response.set_rcode(dns.rcode.NXDOMAIN)
        if self.negative_ttl is not None:
            text = SOA.format(minimum=self.negative_ttl)
            response.authority.append(dns.rrset.from_text(f"{name.rpartition('.')[2]}.", 86400, "IN", "SOA", text))

    def spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        """Run something that ends with the server."""
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer on one connection."""
        try:
            while True:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                question = await reader.readexactly(length)
                answer = await self.answer(question, "tcp")
                if answer is not None:
                    answer = forged(question) if self.forged else answer
                    writer.write(struct.pack("!H", len(answer)) + answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def end(self) -> None:
        """Give up what is under way."""
        for task in list(self._tasks):
            task.cancel()


def forged(question: bytes) -> bytes:
    """Return a "no" with another id than the question's."""
    response = dns.message.make_response(dns.message.from_wire(question))
    response.id ^= 1
    response.set_rcode(dns.rcode.NXDOMAIN)
    return response.to_wire()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self.server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.server.spawn(self._answer(data, addr))

    async def _answer(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = await self.server.answer(data, "udp")
        if self.server.forged:
            self.transport.sendto(forged(data), addr)
        if answer is not None:
            self.transport.sendto(answer, addr)


@asynccontextmanager
async def name_server(records: Iterable[tuple[str, ...]] = ()) -> AsyncIterator[NameServer]:
    """Run one on a free port of 127.0.0.1.

    Args:
        records: ("xmpp.a.example", "A", "127.0.0.2"), as for `add`.
    """
    server = NameServer()
    for name, kind, *texts in records:
        server.add(name, kind, *texts)
    loop = asyncio.get_running_loop()
    tcp = await asyncio.start_server(server.serve_tcp, "127.0.0.1", 0)
    port = tcp.sockets[0].getsockname()[1]
    udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(server), local_addr=("127.0.0.1", port))
    server.address = Address("127.0.0.1", port)
    try:
        yield server
    finally:
        server.end()
        udp.close()
        tcp.close()
