"""What `xmppd bridge` does: clients connect here in plain XML, and their streams cross to the server in the binary form.

Each client has a connection of its own to the server (`xmppd.bridge_dial`). Both directions wait for each other's buffers, so a
slow end makes the other one wait; when one end goes, the other end of that pair goes too, and no other.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from codec.binary_dictionary import load_all
from codec.binary_translator import Output, Resumable, Translator
from codec.xml_parser import ParserPool
from codec.xml_reader import USUAL_HEADERS
from codec.xml_writer import XmlWriter
from xmppd.addresses import Address
from xmppd.bridge_dial import BridgeError
from xmppd.wire_live import Crossed, Mirrors, Watched

READ_BYTES = 65_536
CLOSE_S = 5.0

Say = Callable[[str], None]


class Dial(Protocol):
    """What connects to the server: `xmppd.bridge_dial.Dialer`."""

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a connection on which HELLO is next; raises BridgeError."""


class Bridge:
    """Listens for clients.

    Args:
        dialer: connects to the server, once for each client.
        say: takes one line for a person.
        watch: takes each frame that crosses, told byte by byte.
    """

    def __init__(self, dialer: Dial, say: Say, watch: Callable[[Crossed], None] | None = None) -> None:
        self._dialer = dialer
        self._say = say
        self._watch = watch
        self._mirrors = Mirrors()
        self._dictionaries = load_all()
        self._resumable = Resumable()
        self._pool = ParserPool(USUAL_HEADERS["jabber:client"])
        self._listener: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    async def start(self, listen: Address) -> Address:
        """Listen; return where.

        Raises:
            BridgeError: the address cannot be had.
        """
        try:
            self._listener = await asyncio.start_server(self._accept, listen.host, listen.port)
        except OSError as error:
            raise BridgeError(f"{listen}: {error.strerror or error}") from None
        host, port = self._listener.sockets[0].getsockname()[:2]
        return Address(host, port)

    async def close(self) -> None:
        """End every pair, and listen no more."""
        if self._listener is not None:
            self._listener.close()
        for task in self._clients:
            task.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self._pool.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            await self._serve(reader, writer)
        except asyncio.CancelledError:
            pass  # by close(); asyncio would report it
        finally:
            self._clients.discard(task)
            await _close(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await self._dialer.connect()
        except BridgeError as error:
            self._say(str(error))
            xml = XmlWriter()
            parts = (xml.header(from_=None, id_=""), xml.error("remote-connection-failed", str(error)), xml.close())
            writer.write(b"".join(parts))
            return
        plain = Translator(self._dictionaries, self._resumable, self._pool)
        translator = plain if self._watch is None else Watched(plain, self._dictionaries, self._mirrors, self._watch)

        async def pump(source: asyncio.StreamReader, translate: Callable[[bytes], Output]) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(READ_BYTES):
                    output = translate(data)
                    far_writer.writelines(output.to_server)
                    writer.writelines(output.to_client)
                    await far_writer.drain()
                    await writer.drain()
                    if output.is_over:
                        return

        try:
            await _until_first(pump(reader, translator.from_client), pump(far_reader, translator.from_server))
        finally:
            translator.close()
            await _close(far_writer)


async def _until_first(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run them until one of them ends, and cancel the others."""
    tasks = [asyncio.ensure_future(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _close(writer: asyncio.StreamWriter) -> None:
    """Close a connection when what is written has gone out; one that does not take it is dropped."""
    writer.close()
    try:
        async with asyncio.timeout(CLOSE_S):
            await writer.wait_closed()
    except TimeoutError:
        writer.transport.abort()
    except OSError:
        pass


async def run(bridge: Bridge, listen: Address, say: Say) -> None:
    """Bridge until SIGTERM or SIGINT.

    Raises:
        BridgeError: the address cannot be had.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    address = await bridge.start(listen)
    say(f"clients connect to {address}, without TLS")
    try:
        await stop.wait()
    finally:
        await bridge.close()
