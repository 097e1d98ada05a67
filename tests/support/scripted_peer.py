"""A server of another domain in the test's own loop, that says over TLS what the test has it say."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from xmppd.s2s.tls import PeerEngine, PeerTls
from xmppd.tls_engine import TlsFailed

HEADER = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:server' xmlns:stream='http://etherx.jabber.org/streams'"
    b" xmlns:db='jabber:server:dialback' version='1.0' id='a1' from='theirs.example' to='ours.example'>"
)
STARTTLS = b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
EXTERNAL = b"<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>EXTERNAL</mechanism></mechanisms>"
DIALBACK = b"<dialback xmlns='urn:xmpp:features:dialback'><errors/></dialback>"
HEADER_END = b"xml:lang='en'>"
PROCEED = b"<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
SUCCESS = b"<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
REFUSAL = b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/><text>No.</text></failure>"


def features(*children: bytes) -> bytes:
    """Return the features of a stream."""
    return b"<stream:features>" + b"".join(children) + b"</stream:features>"


@dataclass
class ScriptedPeer:
    """What it says, each as bytes of a stream; b"" closes the connection there, None says nothing more.

    Attributes:
        clear: after the header in clear text. go: to the wish for TLS. inside: after the header inside TLS. login: to our login.
        heard: what came inside TLS.
    """

    tls: PeerTls
    is_direct: bool = False
    clear: bytes | None = HEADER + features(STARTTLS)
    go: bytes | None = PROCEED
    inside: bytes | None = HEADER + features(EXTERNAL, DIALBACK)
    login: bytes | None = SUCCESS
    heard: bytearray = field(default_factory=bytearray)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk on one connection."""
        try:
            if not self.is_direct:
                await reader.readuntil(HEADER_END)
                _say(writer, self.clear)
                await reader.readuntil(b"xmpp-tls'/>")
                _say(writer, self.go)
            engine = self.tls.accept(None, direct=self.is_direct)
            for ending, answer in ((HEADER_END, self.inside), (b"</auth>", self.login)):
                start = len(self.heard)
                while ending not in self.heard[start:]:
                    await self._hear(reader, writer, engine)
                if not answer:
                    _say(writer, answer)
                    continue
                engine.write(answer)
                writer.write(engine.take_output())
            while True:
                await self._hear(reader, writer, engine)
        except (asyncio.IncompleteReadError, ConnectionError, TlsFailed, asyncio.CancelledError):
            pass  # asyncio logs a handler that is cancelled with the loop as if it had broken
        finally:
            writer.close()

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, engine: PeerEngine) -> None:
        data = await reader.read(65536)
        if not data:
            raise ConnectionError
        for piece in engine.feed(data):
            self.heard += piece
        writer.write(engine.take_output())


def _say(writer: asyncio.StreamWriter, data: bytes | None) -> None:
    """Write, nothing for None; b"" ends the connection."""
    if data == b"":
        raise ConnectionError
    writer.write(data or b"")


@asynccontextmanager
async def listening(peer: ScriptedPeer) -> AsyncIterator[ScriptedPeer]:
    """Have it listen on a free port of 127.0.0.1."""
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
