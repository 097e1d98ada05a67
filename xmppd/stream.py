"""One XML stream as its receiving entity sees it: header, features, errors, restart, close (RFC 6120 §4).

No socket and no event loop here: bytes come in by `receive`, what is to be sent goes to `connection.write`. What the events of a
stream mean is the business of a subclass: `c2s.ClientStream`.

A handler that must wait is a coroutine; until it is done the stream is busy: nothing is read, and what had already been read
waits, so that stanzas take effect in the order in which they were sent.
"""

import secrets
from collections.abc import Coroutine, Sequence
from typing import Any

from codec.element import Element
from codec.events import Event, StreamBroken, StreamClosed, StreamOpened
from codec.jid import JID
from codec.limits import ReaderLimits
from codec.stanza import Stanza
from codec.xml_parser import ParserPool
from codec.xml_reader import XmlReader
from codec.xml_writer import XmlWriter
from xmppd.eager import Spawn, run_eagerly
from xmppd.errors import StreamError

Waiting = Coroutine[Any, Any, None]


class Stream:
    """One stream on one connection.

    Attributes:
        connection: where bytes go; None when it is lost.
        is_busy: a coroutine works on a stanza.
        reader, writer: the form that the stream has on the wire.
        is_open: our header was sent and our closing tag was not.
    """

    __slots__ = (
        "_arrived",
        "_backlog",
        "_is_restarted",
        "_spawn",
        "connection",
        "is_busy",
        "is_open",
        "reader",
        "session",
        "writer",
    )

    def __init__(
        self, connection: Any, limits: ReaderLimits, spawn: Spawn, pool: ParserPool, content_ns: str = "jabber:client"
    ) -> None:
        self.connection = connection
        self.reader: Any = XmlReader(limits, content_ns, pool)
        self.writer: Any = XmlWriter(content_ns)
        self.is_busy = False
        self.is_open = False
        self.session: Any = None
        self._spawn = spawn
        self._is_restarted = False
        self._backlog: Sequence[Event] = ()
        self._arrived: list[bytes] | None = None

    # what a subclass decides

    def opened(self, header: StreamOpened) -> Waiting | None:
        """The peer's header came."""
        raise NotImplementedError

    def handle(self, event: Event) -> Waiting | None:
        """A stanza or another child of the stream came."""
        raise NotImplementedError

    def domain(self) -> str:
        """Return the name that our header bears."""
        raise NotImplementedError

    def log_broken(self) -> None:
        """Log the exception being handled."""
        raise NotImplementedError

    # bytes in

    def receive(self, data: bytes) -> None:
        """Take the next bytes of the stream, cut anywhere."""
        if self.is_busy:
            if self._arrived is None:
                self._arrived = []
            self._arrived.append(data)
            return
        self._run(self.reader.feed(data))

    def _run(self, events: Sequence[Event]) -> None:
        for index, event in enumerate(events):
            if self.connection is None or self.connection.is_closing:
                return
            try:
                waiting = self._step(event)
            except StreamError as error:
                self.end(error.condition, error.text, error.app)
                return
            except Exception:  # noqa: BLE001  the connection loop: one stream ends, the rest go on
                self.log_broken()
                self.end("internal-server-error")
                return
            if waiting is not None and not self._finish(waiting):
                self._backlog = () if self._is_restarted else events[index + 1 :]
                self._is_restarted = False
                return
            if self._is_restarted:
                self._is_restarted = False
                return

    def _step(self, event: Event) -> Waiting | None:
        kind = event.__class__
        if kind is StreamOpened:
            return self.opened(event)  # type: ignore[arg-type]
        if kind is StreamBroken:
            raise StreamError(event.condition, event.text)  # type: ignore[union-attr]
        if kind is StreamClosed:
            self.close()
            return None
        return self.handle(event)

    def _finish(self, waiting: Waiting) -> bool:
        """Run a coroutine as far as it goes; False when it goes on by itself, and the stream is busy until it is done."""
        if run_eagerly(self._guarded(waiting), self._go_on_after):
            return True
        self.is_busy = True
        if self.connection is not None:
            self.connection.pause_reading()
        return False

    async def _guarded(self, waiting: Waiting) -> None:
        try:
            await waiting
        except StreamError as error:
            self.end(error.condition, error.text, error.app)
        except Exception:  # noqa: BLE001  as above
            self.log_broken()
            self.end("internal-server-error")

    def _go_on_after(self, rest: Waiting) -> None:
        async def finish() -> None:
            await rest
            self.is_busy = False
            self._go_on()

        self._spawn(finish())

    def _go_on(self) -> None:
        """The stanza that waited is dealt with: take those behind it."""
        if self.connection is None:
            return
        self.connection.resume_reading()
        self._is_restarted = False
        backlog, self._backlog = self._backlog, ()
        self._run(backlog)
        while self._arrived and not self.is_busy:
            self._run(self.reader.feed(self._arrived.pop(0)))

    # bytes out

    def write(self, data: bytes) -> None:
        """Put bytes into the connection's outbox; nothing happens when it is lost."""
        if self.connection is not None:
            self.connection.write(data)

    def send(self, stanza: Stanza) -> None:
        """Send a stanza in this stream's form."""
        if self.connection is not None:
            self.connection.write(self.writer.stanza(stanza))

    def send_element(self, element: Element) -> None:
        """Send a direct child of the stream that is no stanza."""
        self.write(self.writer.element(element))

    def wake(self) -> None:
        """Have the outbox looked at, and acknowledgements added, at the end of this turn of the event loop."""
        if self.connection is not None:
            self.connection.wake_flush()

    @property
    def is_connected(self) -> bool:
        """Whether its connection stands."""
        return self.connection is not None and not self.connection.is_closing

    @property
    def is_congested(self) -> bool:
        """Whether its client reads more slowly than we write: what need not be sent now should wait."""
        return self.connection is not None and self.connection.is_congested

    def send_header(self, id_: str | None, to: str | None = None) -> None:
        """Send our stream header."""
        self.is_open = True
        self.write(self.writer.header(from_=self.domain() or None, id_=id_, to=to))

    def change_form(self, reader: Any, writer: Any, session: Any) -> None:
        """Speak another form of the stream from the next byte on; what came behind the bytes already read is dropped.

        Args:
            session: what both forms' ends know of the client; `told` keeps it right.
        """
        self.reader.close()
        self.reader, self.writer, self.session = reader, writer, session
        self._is_restarted = True
        self._backlog = ()
        self._arrived = None
        self.is_open = False

    def told(self, jid: JID) -> None:
        """The client has been told its full JID: a form may leave it out from here on."""
        if self.session is not None:
            self.session.bind(jid)

    def restart(self) -> None:
        """Expect a new header from the peer; whatever it sent before that is dropped (RFC 6120 §4.3.3, §5.4.3.3)."""
        self.reader.restart()
        self._is_restarted = True
        self._backlog = ()
        self._arrived = None
        self.is_open = False

    def end(self, condition: str, text: str | None = None, app: Element | None = None) -> None:
        """Send a stream error and close (RFC 6120 §4.9.1.1); `app`: a condition of another namespace beside it."""
        if self.connection is None or self.connection.is_closing:
            return
        if not self.is_open:
            self.send_header(self.new_id())
        self.ending(condition)
        self.write(self.writer.error(condition, text, app))
        self.close()

    def close(self) -> None:
        """Close our side of the stream and the connection (RFC 6120 §4.4)."""
        if self.connection is None or self.connection.is_closing:
            return
        if self.is_open:
            self.is_open = False
            self.write(self.writer.close())
        self.connection.close()

    def new_id(self) -> str:
        """Return a stream id that nobody can guess (RFC 6120 §4.7.3)."""
        return secrets.token_urlsafe(12)

    def ending(self, condition: str) -> None:
        """A stream error is about to be sent."""

    def drained(self) -> None:
        """What waited for the system to take it has left."""
