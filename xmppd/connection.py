"""One socket of a client: bytes in and out, TLS, timeouts, back-pressure.

Bytes that arrive go through TLS, if any, to the stream. Bytes to send gather in an outbox and leave at the end of the turn of
the event loop, in one piece for each socket, however many stanzas they are.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from xmppd.proxy_protocol import ProxyError, ProxyHeader
from xmppd.tls_engine import TlsFailed, TlsWorkspace


class StreamLike(Protocol):
    """What a connection needs of the stream on it."""

    def receive(self, data: bytes) -> None:
        """Take the next bytes."""

    def before_flush(self) -> None:
        """The outbox is about to leave: last chance to add to it."""

    def secured(self) -> None:
        """The TLS handshake is complete."""

    def drained(self) -> None:
        """What waited for the system to take it has left."""

    def lost(self) -> None:
        """The connection is gone."""


class Engine(Protocol):
    """What a connection needs of TLS (`xmppd.tls_engine.TlsEngine`)."""

    is_established: bool
    is_closed_by_peer: bool

    def feed(self, data: bytes) -> list[bytes]:
        """Take ciphertext, return plaintext. Raises TlsFailed."""

    def write(self, data: bytes) -> None:
        """Take plaintext."""

    def take_output(self) -> bytes:
        """Return the ciphertext for the peer."""

    def shutdown(self) -> None:
        """Say that nothing follows."""


MakeEngine = Callable[[TlsWorkspace], Engine]


class Loop:
    """What all connections of a server share: the outboxes to flush, and the count of seconds by which idleness is told.

    Attributes:
        seconds: counts up about once a second while the server runs.
        max_outbox_bytes: above it a client that does not read is cut off.
        max_bytes_per_s: above it a client is not read until the next second; 0: no limit.
        bytes_received, bytes_sent: totals.
    """

    __slots__ = (
        "_call_soon",
        "_dirty",
        "_last_closed",
        "_throttled",
        "bytes_received",
        "bytes_sent",
        "connections",
        "log",
        "max_bytes_per_s",
        "max_outbox_bytes",
        "seconds",
        "tls_workspace",
    )

    def __init__(self, call_soon: Callable[..., object], log: Any, max_outbox_bytes: int, max_bytes_per_s: int) -> None:
        self._call_soon = call_soon
        self._dirty: list[Connection] = []
        self._throttled: list[Connection] = []
        self._last_closed: asyncio.Future[None] | None = None
        self.log = log
        self.max_outbox_bytes = max_outbox_bytes
        self.max_bytes_per_s = max_bytes_per_s
        self.tls_workspace = TlsWorkspace()
        self.connections: set[Connection] = set()
        self.seconds = 0
        self.bytes_received = 0
        self.bytes_sent = 0

    def flush_soon(self, connection: "Connection") -> None:
        """Have a connection's outbox leave at the end of this turn of the event loop."""
        if not self._dirty:
            self._call_soon(self._flush)
        self._dirty.append(connection)

    async def all_closed(self) -> None:
        """Return when no connection is left."""
        while self.connections:
            self._last_closed = asyncio.get_running_loop().create_future()
            await self._last_closed

    def closed(self, connection: "Connection") -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if self._last_closed is not None and not self.connections and not self._last_closed.done():
            self._last_closed.set_result(None)

    def tick(self) -> None:
        """A second has passed."""
        self.seconds += 1
        throttled, self._throttled = self._throttled, []
        for connection in throttled:
            connection.let_read()

    def throttle(self, connection: "Connection") -> None:
        """Read no more from a connection in this second."""
        self._throttled.append(connection)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        flushed = 0
        try:
            for connection in dirty:
                flushed += 1
                connection.flush()
        finally:
            for connection in dirty[flushed:]:  # one broke, which the event loop logs: the others have their turn
                self.flush_soon(connection)


CLOSE_TIMEOUT_S = 15
"""How long a peer has to read the last that we said before it is cut off."""

HIGH_WATER_BYTES = 262_144
"""Above it we read no more from a client whose own outbox does not empty: it must not ask faster than it takes."""


class Connection(asyncio.Protocol):
    """One socket.

    Attributes:
        stream: what reads it. address: the peer's, as the PROXY header says where one is expected.
        tls: its engine, None on plain text.
        active_at: `loop.seconds` when bytes last came.
        opened_at: `loop.seconds` at the beginning.
    """

    __slots__ = (
        "_is_closing",
        "_is_dirty",
        "_is_reading_stopped",
        "_is_throttled",
        "_make_engine",
        "_make_stream",
        "_outbox",
        "_proxy",
        "_release",
        "_second_bytes",
        "active_at",
        "address",
        "loop",
        "opened_at",
        "stream",
        "tls",
        "transport",
    )

    def __init__(
        self,
        loop: Loop,
        make_stream: Callable[["Connection"], StreamLike],
        make_engine: MakeEngine | None,
        expects_proxy_header: bool,
        admit: Callable[[str], Callable[[], None] | None],
    ) -> None:
        self.loop = loop
        self._make_stream: Callable[[Connection], StreamLike] | None = make_stream
        self._make_engine = make_engine
        self._proxy = ProxyHeader() if expects_proxy_header else None
        self._release: Any = admit
        self.stream: Any = None
        self.transport: Any = None
        self.tls: Any = None
        self.address = ""
        self._outbox: list[bytes] = []
        self._is_dirty = False
        self._is_closing = False
        self._is_reading_stopped = False
        self._is_throttled = False
        self._second_bytes = 0
        self.active_at = self.opened_at = loop.seconds

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A socket was accepted."""
        self.transport = transport
        self.loop.connections.add(self)
        peer = transport.get_extra_info("peername")
        self.address = peer[0] if isinstance(peer, tuple) else ""
        if self._proxy is None:
            self._begin()

    def _begin(self) -> None:
        admit, self._release = self._release, None
        release = admit(self.address)
        if release is None:
            self.abort()
            return
        self._release = release
        assert self._make_stream is not None
        try:
            self.stream = self._make_stream(self)
            if self._make_engine is not None:
                self._use_tls(self._make_engine)
        except BaseException:
            self._release = None
            release()
            self.abort()  # nobody would ever look at it again
            raise
        self._make_stream = self._make_engine = None

    def data_received(self, data: bytes) -> None:
        """Bytes came: PROXY header, TLS records, or the stream's."""
        loop = self.loop
        size = len(data)
        loop.bytes_received += size
        if self.active_at != loop.seconds:
            self.active_at = loop.seconds
            self._second_bytes = 0
        self._second_bytes += size
        if self._second_bytes > loop.max_bytes_per_s > 0:
            self.throttle()
        if self._proxy is not None:
            rest = self._read_proxy_header(data)
            if rest is None:
                return
            data = rest
        if self._is_closing:
            return
        if self.tls is None:
            self.stream.receive(data)
        else:
            self._receive_tls(data)

    def _read_proxy_header(self, data: bytes) -> bytes | None:
        assert self._proxy is not None
        try:
            found = self._proxy.feed(data)
        except ProxyError as error:
            self.loop.log.warning("proxy_header_refused", address=self.address, reason=str(error))
            self.abort()
            return None
        if found is None:
            return None
        source, rest = found
        self._proxy = None
        if source is not None:
            self.address = source[0]
        self._begin()
        return rest if rest and not self._is_closing else None

    def _receive_tls(self, data: bytes) -> None:
        assert self.tls is not None
        was_ready = self.tls.is_established
        try:
            for plain in self.tls.feed(data):
                if not was_ready:
                    was_ready = True
                    self.stream.secured()
                self.stream.receive(plain)
                if self._is_closing:
                    break
        except TlsFailed as error:
            self.loop.log.info("tls_failed", address=self.address, reason=str(error))
            self._send_tls_output()
            self.abort()
            return
        if self.tls.is_established and not was_ready:
            self.stream.secured()
        self._send_tls_output()
        if self.tls.is_closed_by_peer:
            self.close()

    def _send_tls_output(self) -> None:
        assert self.tls is not None
        output = self.tls.take_output()
        if output and not self.transport.is_closing():
            self.loop.bytes_sent += len(output)
            self.transport.write(output)

    def eof_received(self) -> bool:
        """The peer sends no more: the connection is closed."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """The socket is gone."""
        self._is_closing = True
        self.loop.closed(self)
        release, self._release = self._release, None
        stream, self.stream = self.stream, None
        if release is not None and stream is not None:
            release()
        self.tls = None
        self._outbox = []
        if stream is not None:
            stream.lost()

    # the stream's side

    def start_tls(self, make_engine: MakeEngine) -> None:
        """Speak TLS from the next byte on (RFC 6120 §5); what is in the outbox leaves before it in plain text."""
        self.flush()
        self._use_tls(make_engine)

    def _use_tls(self, make_engine: MakeEngine) -> None:
        self.tls = make_engine(self.loop.tls_workspace)
        self._send_tls_output()  # a client speaks first

    def write(self, data: bytes) -> None:
        """Put bytes into the outbox; nothing happens once it is closed."""
        if self._is_closing:
            return
        self._outbox.append(data)
        if not self._is_dirty:
            self._is_dirty = True
            self.loop.flush_soon(self)

    def wake_flush(self) -> None:
        """Have `before_flush` called at the end of this turn, even with an empty outbox."""
        if not self._is_dirty:
            self._is_dirty = True
            self.loop.flush_soon(self)

    def flush(self) -> None:
        """Send what is in the outbox now."""
        self._is_dirty = True  # what the stream adds leaves right below, not in another turn
        try:
            if self.stream is not None:
                self.stream.before_flush()
        finally:
            self._is_dirty = False
        self._send_outbox()

    def _send_outbox(self) -> None:
        outbox = self._outbox
        if not outbox or self.transport is None or self.transport.is_closing():
            return
        self._outbox = []
        data = outbox[0] if len(outbox) == 1 else b"".join(outbox)
        if self.tls is not None:
            try:
                self.tls.write(data)
            except (TlsFailed, RuntimeError):
                self.abort()  # no handshake yet, or broken: nothing can be said
                return
            data = self.tls.take_output()
        self.loop.bytes_sent += len(data)
        self.transport.write(data)
        waiting = self.transport.get_write_buffer_size()
        if waiting > HIGH_WATER_BYTES:
            self._hold(waiting)

    def _hold(self, waiting: int) -> None:
        if waiting > self.loop.max_outbox_bytes:
            self.loop.log.info("client_does_not_read", address=self.address, outbox_bytes=waiting)
            self.abort()
        elif not self._is_reading_stopped:
            self._is_reading_stopped = True
            self.transport.pause_reading()

    def pause_writing(self) -> None:
        """The system takes no more for now; `flush` looks at how much waits."""

    def resume_writing(self) -> None:
        """What waited has left."""
        if self._is_reading_stopped:
            self._is_reading_stopped = False
            if self.stream is not None and not self.stream.is_busy:
                self.resume_reading()
        if self.stream is not None:
            self.stream.drained()

    def throttle(self) -> None:
        """Read no more in this second: the peer sends too much."""
        if not self._is_throttled and not self._is_closing:
            self._is_throttled = True
            self.transport.pause_reading()
            self.loop.throttle(self)

    def let_read(self) -> None:
        """The second in which it sent too much is over."""
        self._is_throttled = False
        self._second_bytes = 0
        if self.stream is not None and not self.stream.is_busy:
            self.resume_reading()

    def tick(self, now: int, login_timeout_s: float) -> None:
        """Called every few seconds; `now` is `loop.seconds`."""
        if self._is_closing:
            if now - self.active_at > CLOSE_TIMEOUT_S:
                self.abort()  # it does not even read that we have closed
        elif self.stream is not None:
            self.stream.tick(now - self.active_at, now - self.opened_at)
        elif now - self.opened_at > login_timeout_s:
            self.abort()  # no PROXY header

    def pause_reading(self) -> None:
        """Read no more until `resume_reading`."""
        if not self._is_closing:
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on, unless the outbox, or the next second, is what we wait for."""
        if not self._is_closing and not self._is_reading_stopped and not self._is_throttled:
            self.transport.resume_reading()

    @property
    def is_congested(self) -> bool:
        """Whether a good deal waits for the system to take it."""
        return self._is_reading_stopped

    @property
    def is_closing(self) -> bool:
        """Whether it is closed or about to be."""
        return self._is_closing

    def close(self) -> None:
        """Send what is in the outbox, then close."""
        if self._is_closing:
            return
        self._is_closing = True  # first: whatever else wants to close, or to write, comes too late
        self.active_at = self.loop.seconds
        self._send_outbox()
        if self.tls is not None and self.tls.is_established:
            self.tls.shutdown()
            self._send_tls_output()
        self.transport.close()

    def abort(self) -> None:
        """Close at once; what is in the outbox is lost."""
        self._is_closing = True
        if self.transport is not None:
            self.transport.abort()
