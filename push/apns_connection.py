"""HTTP/2 to Apple: aioapns' connections and pool, with what goes wrong in them put right.

aioapns 4.0 by itself waits for ever for an answer without a body, a reset stream and no answer; gives back no flow-control credit, so that
error answers stop after 1213 of them; loses requests that do not fit the window; fails with a raw error after GOAWAY; and makes a
provider token for each connection, of which Apple allows one in 20 minutes. docs/decisions/0016-push-gateways.md has the figures.
"""

import asyncio
import contextlib
import ssl
from dataclasses import dataclass, field

from aioapns.connection import APNsBaseClientProtocol, APNsBaseConnectionPool, APNsTLSClientProtocol
from aioapns.exceptions import ConnectionClosed, ConnectionError
from h2.connection import ConnectionState
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import NoAvailableStreamIDError, ProtocolError

MAX_ANSWER_BYTES = 8_192
"""Apple's answers have less than 100."""
CONNECT_TIMEOUT_S = 10.0
CREDIT_BYTES = 16_384


class Lost(Exception):
    """There is no answer, and the notification may have been taken; the text is a word for metrics."""


@dataclass(slots=True)
class Answer:
    """What came back on a stream."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


class ApnsConnection(APNsTLSClientProtocol):
    """One HTTP/2 connection; requests are told apart by their streams."""

    INACTIVITY_TIME = 900  # Apple asks for connections that last

    def __init__(self, pool: "ApnsPool") -> None:
        super().__init__("", pool.loop, pool.discard_connection, None)  # type: ignore[arg-type]
        self._streams: dict[int, tuple[Answer, asyncio.Future[Answer]]] = {}
        self._window = asyncio.Event()
        self._is_gone = False
        self._heard = 0

    @property
    def is_busy(self) -> bool:
        """Whether nothing more can be begun here."""
        is_closed = self._is_gone or self.conn.state_machine.state is ConnectionState.CLOSED
        return is_closed or bool(super().is_busy)

    async def post(self, headers: list[tuple[str, str]], body: bytes) -> Answer:
        """Send a request and return its answer. Raises Lost; when cancelled, the stream is reset."""
        await self.free_channels.acquire()
        # From here to the last byte nothing else runs unless the window is full, so streams begin in the order of their numbers.
        try:
            stream_id = await self._begin(headers, body)
        except BaseException:
            self.free_channels.release()
            raise
        answer, future = Answer(), self.loop.create_future()
        self._streams[stream_id] = (answer, future)
        heard = self._heard
        self.flush()
        try:
            await future
        finally:
            if self._streams.pop(stream_id, None) is not None:  # cancelled: nobody waits for the rest
                self._reset(stream_id)
                self.free_channels.release()
                if self._heard == heard:  # not a word in all the time: the way there is dead, without an end
                    self.give_up("silent")
        return answer

    async def _begin(self, headers: list[tuple[str, str]], body: bytes) -> int:
        while not self._is_gone and self.conn.outbound_flow_control_window < len(body):
            self._window.clear()
            await self._window.wait()
        if self._is_gone or self.conn.state_machine.state is ConnectionState.CLOSED:
            raise Lost("connection-lost")
        try:
            stream_id: int = self.conn.get_next_available_stream_id()
            self.conn.send_headers(stream_id, headers)
            self.conn.send_data(stream_id, body, end_stream=True)
        except (ProtocolError, NoAvailableStreamIDError) as error:
            self.give_up("protocol")
            raise Lost("protocol") from error
        return stream_id

    def _reset(self, stream_id: int) -> None:
        if not self._is_gone:
            with contextlib.suppress(ProtocolError):
                self.conn.reset_stream(stream_id, ErrorCodes.CANCEL)
                self.flush()

    # what the peer says

    def data_received(self, data: bytes) -> None:
        """Take bytes; a peer that does not speak HTTP/2 is left."""
        try:
            events = self.conn.receive_data(data)
            self._heard += len(events)
            for event in events:
                self._take(event)
        except ProtocolError:
            self.give_up("protocol")
        else:
            if not self._is_gone:
                self.flush()

    def _take(self, event: Event) -> None:
        if isinstance(event, ResponseReceived):
            self._take_headers(event)
        elif isinstance(event, DataReceived):
            entry = self._streams.get(event.stream_id)
            if entry is not None and len(entry[0].body) < MAX_ANSWER_BYTES:
                entry[0].body.extend(event.data)
            if event.flow_controlled_length:
                self.conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            self._end(event.stream_id, None)
        elif isinstance(event, StreamReset):
            self._end(event.stream_id, Lost("stream-reset"))
        elif isinstance(event, RemoteSettingsChanged):
            self.on_remote_settings_changed(event.changed_settings)  # type: ignore[arg-type]
            self._window.set()
        elif isinstance(event, WindowUpdated):
            self._window.set()
        elif isinstance(event, ConnectionTerminated):
            self.give_up("goaway")

    def _take_headers(self, event: ResponseReceived) -> None:
        entry = self._streams.get(event.stream_id)
        if entry is None:
            return
        headers = {bytes(name).decode("latin-1"): bytes(value).decode("latin-1") for name, value in event.headers or ()}
        status = headers.get(":status", "")
        entry[0].status = int(status) if status.isascii() and status.isdigit() else 0
        entry[0].headers = headers

    def _end(self, stream_id: int, error: Lost | None) -> None:
        entry = self._streams.pop(stream_id, None)
        if entry is None:
            return
        self.free_channels.release()
        answer, future = entry
        if future.done():
            return
        if error is None:
            future.set_result(answer)
        else:
            future.set_exception(error)

    def give_up(self, reason: str) -> None:
        """Fail what is under way, and close."""
        self._is_gone = True
        self._window.set()
        for stream_id in list(self._streams):
            self._end(stream_id, Lost(reason))
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail what is under way; the pool forgets this connection."""
        self.give_up("connection-lost")
        super().connection_lost(exc)


class ApnsPool(APNsBaseConnectionPool):
    """Connections to one endpoint. Make it on a running loop."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, max_connections: int) -> None:
        super().__init__(max_connections=max_connections)
        self._host, self._port, self._context = host, port, context

    async def create_connection(self) -> ApnsConnection:
        """Connect with TLS."""
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            _, connection = await self.loop.create_connection(
                lambda: ApnsConnection(self), self._host, self._port, ssl=self._context
            )
        return connection

    def discard_connection(self, connection: APNsBaseClientProtocol) -> None:
        """Forget a connection, which may have been lost before it was in use."""
        if connection in self.connections:
            self.connections.remove(connection)

    async def post(self, headers: list[tuple[str, str]], body: bytes) -> Answer:
        """Send a request on a connection that has room. Raises Lost."""
        try:
            connection = await self.acquire()
        except ConnectionError as error:
            raise Lost("connect") from error
        assert isinstance(connection, ApnsConnection)
        try:
            return await connection.post(headers, body)
        except ConnectionClosed as error:  # while it waited for a stream
            raise Lost("connection-lost") from error

    def close(self) -> None:
        """Fail what is under way and close all connections."""
        for connection in list(self.connections):
            assert isinstance(connection, ApnsConnection)
            connection.give_up("closed")
