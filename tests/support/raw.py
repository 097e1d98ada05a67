"""Sockets that say whatever a test wants, and clients that stop behaving once they are logged in."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from xml.etree.ElementTree import Element

from bench.accounts import PASSWORD
from bench.client import CLIENT, Client

STREAMS = "http://etherx.jabber.org/streams"
HEADER = f"<?xml version='1.0'?><stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAMS}' to='localhost' version='1.0'>"
TIMEOUT_S = 15.0


class Raw:
    """A connection without any manners of its own."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.received = b""

    @classmethod
    async def connect(cls, port: int) -> "Raw":
        """Connect to that port of 127.0.0.1."""
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def send(self, data: bytes | str) -> None:
        """Write it in a packet of its own; a connection that the other side closed is no error."""
        try:
            self.writer.write(data.encode() if isinstance(data, str) else data)
            await self.writer.drain()
        except ConnectionError:
            pass

    async def read_until(self, words: bytes, timeout_s: float = TIMEOUT_S) -> bytes:
        """Read until `words` came, and return all that came so far; what follows the words stays for the next call.

        Raises:
            EOFError: the connection ended before.
        """
        async with asyncio.timeout(timeout_s):
            while words not in self.received:
                more = await self._read()
                if not more:
                    raise EOFError(f"{words!r} did not come, but {self.received[-500:]!r}")
        got, found, self.received = self.received.partition(words)
        return got + found

    async def read_to_end(self, timeout_s: float = TIMEOUT_S) -> bytes:
        """Read until the other side closes, and return it."""
        async with asyncio.timeout(timeout_s):
            while await self._read():
                pass
        return self.received

    async def _read(self) -> bytes:
        try:
            more = await self.reader.read(65536)
        except ConnectionError:
            return b""
        self.received += more
        return more

    async def open_stream(self) -> bytes:
        """Send a stream header, and return what came up to the features' end."""
        await self.send(HEADER)
        return await self.read_until(b"</stream:features>")

    async def stream_error(self, timeout_s: float = TIMEOUT_S) -> str:
        """Wait for the end of the connection and return the condition of the stream error before it, "" for none."""
        return condition_of(await self.read_to_end(timeout_s))

    def close(self) -> None:
        """Drop the connection."""
        self.writer.transport.abort()

    async def __aenter__(self) -> "Raw":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()


def condition_of(data: bytes) -> str:
    """Return the condition of the stream error in what a server sent, "" for none."""
    found = re.search(rb"<stream:error[^>]*>\s*<([a-z-]+)", data)
    return found.group(1).decode() if found else ""


class Inbox:
    """Keeps what a client receives, to be waited for."""

    def __init__(self) -> None:
        self.stanzas: list[Element] = []
        self.acknowledged: list[str] = []
        self.changed = asyncio.Event()

    def on_stanza(self, stanza: Element) -> None:
        """Keep a stanza."""
        self.stanzas.append(stanza)
        self.changed.set()

    def on_acknowledged(self, stanza: str) -> None:
        """Keep a stanza of ours that the server answers for."""
        self.acknowledged.append(stanza)
        self.changed.set()


class Guest(Client):
    """A client of a spare account on plain TCP, logged in properly; after that it may do as it likes."""

    def __init__(self, jid: str) -> None:
        self.inbox = Inbox()
        super().__init__(jid.partition("@")[0], PASSWORD, self.inbox)

    async def enter(self, port: int, *, managed: bool = False, presence: bool = True) -> "Guest":
        """Log in, bind, and become available."""
        await self.connect(port)
        await self.authenticate()
        await self.bind()
        if managed:
            await self.enable()
        if presence:
            self.send("<presence/>")
            await self.ping()
        return self

    def send_bytes(self, data: bytes) -> None:
        """Send bytes as they are."""
        if self.transport is not None:
            self.transport.write(data)

    async def ping(self) -> None:
        """Return when the server has answered a ping, so all before it is done with."""
        await self.ask("get", "<ping xmlns='urn:xmpp:ping'/>", "localhost")

    async def stream_error(self) -> str:
        """Wait for a stream error and the end of the connection; return its condition."""
        error = await self.next_nonza()
        await asyncio.wait_for(self.closed, TIMEOUT_S)
        return error[0].tag.rpartition("}")[2] if error.tag == f"{{{STREAMS}}}error" else error.tag

    async def wait_message(self, body: str) -> Element:
        """Wait for a message with that body, and return it."""
        return await self.wait_stanza(lambda s: s.findtext(f"{{{CLIENT}}}body") == body)

    async def wait_error(self, id_: str) -> str:
        """Wait for the error that answers a stanza, and return its condition."""
        stanza = await self.wait_stanza(lambda s: s.get("id") == id_ and s.get("type") == "error")
        error = stanza.find(f"{{{CLIENT}}}error")
        return "" if error is None else error[0].tag.rpartition("}")[2]

    async def wait_stanza(self, wanted: Callable[[Element], bool], timeout_s: float = TIMEOUT_S) -> Element:
        """Wait for a stanza for which `wanted` holds, and return it."""
        async with asyncio.timeout(timeout_s):
            while True:
                for stanza in self.inbox.stanzas:
                    if wanted(stanza):
                        return stanza
                self.inbox.changed.clear()
                await self.inbox.changed.wait()


class Bystander:
    """Asks the server for a sign of life all the while; whoever uses it learns whether somebody was kept waiting.

    async with Bystander(guest):
        ...attack...
    """

    PACE_S = 0.05

    def __init__(self, guest: Guest, patience_s: float = 2.0) -> None:
        self.guest = guest
        self.patience_s = patience_s
        self.longest_s = 0.0
        self.answers = 0
        self._stop = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Bystander":
        self._task = asyncio.create_task(self._ask_on())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        self._stop.set()
        assert self._task is not None
        await self._task
        if kind is None:
            await self.guest.ping()
            assert self.longest_s < self.patience_s, f"another client waited {self.longest_s:.2f} s for an answer"

    async def _ask_on(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._stop.is_set():
            asked = loop.time()
            await self.guest.ping()
            self.longest_s = max(self.longest_s, loop.time() - asked)
            self.answers += 1
            try:
                await asyncio.wait_for(self._stop.wait(), self.PACE_S)
            except TimeoutError:
                continue


def memory_bytes(pid: int) -> int:
    """Return the memory of a process that is its own, swapped or not (PSS)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no Pss of {pid}")
