"""The way from one of our domains to one of others: what waits for it, the stream that carries it, and what is done when there is none.

    nothing to send     no stream; the route is dropped
    something to send   connect, unless the last failure was a moment ago: then messages wait, all else is refused at once
    connected           the queue empties into the stream as long as the stream has room
    stream lost         what has not arrived goes back to the head of the queue, and all begins anew

Messages wait at most `s2s.message_wait_s`; a domain that does not exist is refused at once. Nothing is dropped silently: what cannot
be sent goes back to its sender as an error.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from codec.element import Element
from codec.jid import JID
from codec.stanza import IQ, Message, Presence, Stanza
from storage.interface import Commit, StorageFull
from xmppd.connection import Connection, Loop
from xmppd.errors import StanzaError, error_reply
from xmppd.s2s.dial import CannotConnect, Dialled, dial
from xmppd.s2s.limits import PENDING_PER_DOMAIN, RETRY_FIRST_S, RETRY_MOST_S
from xmppd.s2s.outgoing import CannotTalk, OutgoingStream
from xmppd.s2s.peer import PeerService, PeerStream
from xmppd.s2s.queue import Entry, Queue, is_kept
from xmppd.s2s.resolver import Resolver

ASKED_FOR = frozenset(("subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe"))


@dataclass(slots=True)
class Dialling:
    """What all routes need to connect.

    Attributes:
        slots: how many more connections may be made at a time.
        is_stopping: nothing is connected any more.
        drop: forgets a route that has nothing to do.
    """

    service: PeerService
    resolver: Resolver
    loop: Loop
    slots: asyncio.Semaphore
    drop: Callable[["Route"], None]
    is_stopping: bool = False


class Route:
    """One pair of domains.

    Args:
        queue: its own.

    Attributes:
        carrier: the stream that takes its stanzas, None: there is none.
    """

    __slots__ = (
        "_attempt",
        "_dialling",
        "_failures",
        "_latest",
        "_not_before",
        "_outgoing",
        "_queue",
        "_service",
        "_timer",
        "_verifying",
        "carrier",
        "ours",
        "theirs",
    )

    def __init__(self, ours: str, theirs: str, queue: Queue, dialling: Dialling) -> None:
        self.ours, self.theirs = ours, theirs
        self._queue = queue
        self._dialling = dialling
        self._service = dialling.service
        self.carrier: PeerStream | None = None
        self._outgoing: OutgoingStream | None = None
        self._attempt: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failures = 0
        self._not_before = 0.0
        self._latest = CannotTalk("remote-server-timeout", "it has not been tried")
        self._verifying: dict[str, tuple[str, asyncio.Future[bool]]] = {}

    # stanzas

    def put(self, stanza: Stanza) -> Commit | None:
        """Take a stanza to be sent; see `Component.take`."""
        now = self._now()
        is_out_of_reach = self.carrier is None and now < self._not_before and self._failures > 1
        keeps = is_kept(stanza) and stanza.from_ is not None and bool(stanza.from_.localpart)
        keeps = keeps and self.ours in self._service.shared.hosts
        if is_out_of_reach and not isinstance(stanza, Message):
            raise StanzaError(self._latest.condition, text=self._text(self._latest))
        if not self._queue.has_room(stanza):
            raise StanzaError("resource-constraint", text=f"Too much waits to be sent to {self.theirs}.")
        id_ = self._service.shared.ids.stanza_id() if keeps else 0
        try:
            commit = self._queue.put(Entry(stanza, id_, now + self._service.shared.config.s2s.message_wait_s))
        except StorageFull as error:
            raise StanzaError("resource-constraint", text="The server has no room to keep messages now.") from error
        self.pump()
        return commit

    def pump(self) -> None:
        """Hand what waits to the stream, as far as it has room; connect when there is no stream."""
        stream = self.carrier
        if stream is None:
            if self._queue:
                self._connect_soon()
            return
        while self._queue and stream.has_room:
            entry = self._queue.take()
            if stream.max_bytes is not None and len(entry.stanza.to_xml()) > stream.max_bytes:
                self._give_back(
                    [entry], StanzaError("policy-violation", text=f"{self.theirs} takes no stanza so large.")
                )
            else:
                stream.transmit(entry)

    def arrived(self, entries: list[Entry]) -> None:
        """The other server has these."""
        if entries:
            self._failures = 0
            self._queue.forget([entry.id for entry in entries])

    def let_go(self, stream: PeerStream, entries: list[Entry]) -> None:
        """The stream carries no more; these may not have arrived: requests are answered with an error, all else is sent again."""
        if self.carrier is stream:
            self.carrier = None
        self._queue.put_back([entry for entry in entries if not _is_request(entry.stanza)])
        self._latest = CannotTalk("remote-server-timeout", "the connection was lost")
        self._bounce([entry for entry in entries if _is_request(entry.stanza)], self._latest)
        if entries:
            self._wait_longer()  # one that always hangs up on us is not called again and again
        else:
            self._failures = 0
        if not self._dialling.is_stopping:
            self._expire()
            self.pump()
            self._rest()

    def carry(self, stream: PeerStream) -> None:
        """Have a stream take what is to be sent, whichever side opened it."""
        if self.carrier is not None or stream.is_given_up:
            return
        self.carrier = stream
        stream.routes.append(self)
        self._not_before = 0.0
        self.pump()

    def ask_ping(self, stream: PeerStream) -> None:
        """Have the peer answer a ping: then it has what was sent before (see `peer`)."""
        host = self._service.shared.hosts.get(self.ours)
        sent = stream.pinged.sent
        if host is None:
            stream.confirm(sent)
            return
        shared = self._service.shared
        ping = IQ.build(
            Element("urn:xmpp:ping ping"),
            to=JID.parse(self.theirs),
            from_=JID.parse(self.ours),
            type="get",
            id=f"s2s-{shared.ids.token()}",
        )

        async def ask() -> None:
            with contextlib.suppress(TimeoutError):
                await host.request(ping, shared.config.s2s.answer_timeout_s, send=stream.send)
                stream.confirm(sent)

        shared.spawn(ask())

    # keys

    async def verify(self, stream_id: str, key: str) -> bool:
        """Ask the domain's server whether a key is its own.

        Raises:
            StanzaError: it cannot be asked.
        """
        known = self._verifying.get(stream_id)
        if known is None and len(self._verifying) >= PENDING_PER_DOMAIN:
            raise StanzaError("resource-constraint")
        if self._outgoing is None and self._now() < self._not_before:
            raise StanzaError(self._latest.condition, text=self._text(self._latest))
        future = known[1] if known else asyncio.get_running_loop().create_future()
        self._verifying[stream_id] = (key, future)
        try:
            async with asyncio.timeout(self._service.shared.config.s2s.connect_timeout_s):
                if self._outgoing is not None and self._outgoing.is_usable:
                    self._outgoing.ask_about(stream_id, key)
                else:
                    self._connect_soon()
                return await asyncio.shield(future)
        except TimeoutError as error:
            raise StanzaError("remote-server-timeout") from error
        finally:
            self._verifying.pop(stream_id, None)
            self._rest()

    def verified(self, stream_id: str, answer: str) -> None:
        """The domain's server says of a key: valid, invalid, or error."""
        _, future = self._verifying.get(stream_id, ("", None))
        if future is not None and not future.done():
            if answer == "error":
                future.set_exception(StanzaError("item-not-found"))
            else:
                future.set_result(answer == "valid")

    # connecting

    @property
    def wants_to_send(self) -> bool:
        """Whether our domain is to be proven on the stream that we open."""
        return self.carrier is None and bool(self._queue)

    def _connect_soon(self) -> None:
        if self._dialling.is_stopping or self._is_blocked:
            return
        if self._outgoing is not None:
            self._outgoing.prove()
        elif self._attempt is None:
            wait_s = self._not_before - self._now()
            if wait_s <= 0:
                self._attempt = asyncio.get_running_loop().create_task(self._connect())
                self._attempt.add_done_callback(self._attempted)
            elif self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(wait_s, self._retry)

    def _retry(self) -> None:
        self._timer = None
        if self.carrier is None:
            self._expire()
        if self._verifying or (self._queue and self.carrier is None):
            self._connect_soon()
        self._rest()

    def _attempted(self, task: asyncio.Task[None]) -> None:
        self._attempt = None
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self.pump()
        elif isinstance(error, CannotTalk | CannotConnect):
            self._failed(error if isinstance(error, CannotTalk) else CannotTalk(error.condition, str(error)))
        else:
            self._service.log.error("s2s_connect_broke", theirs=self.theirs, exc_info=error)
            self._failed(CannotTalk("remote-server-timeout", "it cannot be reached"))

    async def _connect(self) -> None:
        """Try one server of the domain after the other, until one talks."""
        settings = self._service.shared.config.s2s
        refusal: CannotTalk | None = None
        # Strangers whose keys are asked about have bounds of their own: what our people send does not queue behind them.
        async with self._dialling.slots if self._queue else contextlib.nullcontext():
            try:
                async with asyncio.timeout(settings.connect_timeout_s):
                    attempts = dial(
                        self._dialling.resolver,
                        self.theirs,
                        attempt_timeout_s=settings.connect_timeout_s / 3,
                        total_timeout_s=settings.connect_timeout_s,
                    )
                    async with contextlib.aclosing(attempts):
                        async for dialled in attempts:
                            try:
                                await self._talk(dialled)
                            except CannotTalk as error:
                                refusal = error
                            else:
                                return
            except TimeoutError:
                refusal = refusal or CannotTalk("remote-server-timeout", "it does not answer in time")
        raise refusal or CannotTalk("remote-server-timeout", "none of its servers can be reached")

    async def _talk(self, dialled: Dialled) -> None:
        """Open a stream on a connected socket; return when it is usable, and ready if something is to be sent."""
        tls, loop = self._service.tls, self._dialling.loop
        is_direct = dialled.target.is_direct_tls
        if is_direct and tls is None:
            dialled.sock.close()
            raise CannotTalk("remote-server-not-found", "it takes TLS alone, and there is no certificate here")
        streams: list[OutgoingStream] = []

        def make_stream(connection: Connection) -> OutgoingStream:
            stream = OutgoingStream(connection, self._service, self, self.ours, self.theirs, is_direct)
            streams.append(stream)
            return stream

        make_engine = (lambda _: tls.connect(self.ours, self.theirs, direct=True)) if is_direct else None
        await asyncio.get_running_loop().create_connection(
            lambda: Connection(loop, make_stream, make_engine, False, lambda _: lambda: None), sock=dialled.sock
        )
        (stream,) = streams
        self._outgoing = stream
        try:
            await stream.outcome
        except BaseException:
            if self._outgoing is stream:
                self._outgoing = None
            if stream.connection is not None:
                stream.connection.abort()
            raise
        if self._outgoing is stream:
            for stream_id, (key, future) in self._verifying.items():
                if not future.done():
                    stream.ask_about(stream_id, key)

    def ready(self, stream: OutgoingStream) -> None:
        """The stream that we opened takes stanzas."""
        self.carry(stream)

    def ended(self, stream: OutgoingStream) -> None:
        """The stream that we opened is over."""
        if self._outgoing is stream:
            self._outgoing = None
            for _, future in self._verifying.values():
                if stream.is_usable and not future.done():
                    future.set_exception(StanzaError("remote-server-timeout"))
            if self._attempt is None and not self._dialling.is_stopping:
                self.pump()
            self._rest()

    def _failed(self, error: CannotTalk) -> None:
        """Nobody can be reached: refuse what cannot wait, and try again later for the rest."""
        self._latest = error
        self._wait_longer()
        self._service.log.info("s2s_failed", theirs=self.theirs, ours=self.ours, reason=str(error))
        for _, future in self._verifying.values():
            if not future.done():
                future.set_exception(StanzaError(error.condition, text=self._text(error)))
        if self.carrier is None:
            entries = self._queue.take_all()
            stays = [entry for entry in entries if self._may_wait(entry.stanza, error)]
            self._queue.put_back(stays)
            self._bounce([entry for entry in entries if not self._may_wait(entry.stanza, error)], error)
            self._expire()
            if self._queue:
                self._connect_soon()
        self._rest()

    def _may_wait(self, stanza: Stanza, error: CannotTalk) -> bool:
        """Whether it waits for the next attempt: messages, and answers for one more, as nobody is told that they were lost."""
        if error.condition == "remote-server-not-found":
            return False
        return isinstance(stanza, Message) or (
            isinstance(stanza, IQ) and not _is_request(stanza) and self._failures <= 1
        )

    def _wait_longer(self) -> None:
        wait_s = min(RETRY_MOST_S, RETRY_FIRST_S * 2**self._failures)
        self._failures = min(self._failures + 1, 30)
        self._not_before = self._now() + wait_s * random.uniform(0.75, 1.25)

    def _expire(self) -> None:
        self._bounce(self._queue.take_due(self._now()), self._latest)

    def _bounce(self, entries: list[Entry], error: CannotTalk) -> None:
        self._give_back(entries, StanzaError(error.condition, text=self._text(error)))

    def _give_back(self, entries: list[Entry], error: StanzaError) -> None:
        """Give stanzas back to their senders, and forget them."""
        for entry in entries:
            if _is_answered(entry.stanza):
                reply = error_reply(entry.stanza, error)
                waiting = None if reply is None or reply.to is None else self._service.shared.route(reply)
                if waiting is not None:
                    self._service.shared.spawn(waiting)
        self._queue.forget([entry.id for entry in entries])

    def _text(self, error: CannotTalk) -> str:
        return f"{self.theirs}: {error}."

    # life

    def tick(self) -> None:
        """Called every few seconds: give back what has waited too long, or is for a domain that was blocked meanwhile."""
        if self.carrier is None:
            if self._is_blocked:
                error = StanzaError("policy-violation", text=f"This server does not talk to {self.theirs} any more.")
                self._give_back(self._queue.take_all(), error)
            self._expire()
            self._rest()

    @property
    def _is_blocked(self) -> bool:
        return not self._service.policy.allows(self.theirs)

    def _rest(self) -> None:
        """Be forgotten when there is nothing to do, and nothing to remember of the last failure."""
        is_idle = self.carrier is None and self._outgoing is None and self._attempt is None and self._timer is None
        if is_idle and not self._queue and not self._verifying and self._now() >= self._not_before:
            self._dialling.drop(self)

    async def load(self) -> None:
        """Take what was stored before the start of this process."""
        unreadable = await self._queue.load(self._now() + self._service.shared.config.s2s.message_wait_s)
        if unreadable:
            self._service.log.error("s2s_queue_unreadable", theirs=self.theirs, ours=self.ours, keys=unreadable)
        self.pump()

    async def close(self) -> None:
        """Let go of everything; messages stay in storage."""
        if self._timer is not None:
            self._timer.cancel()
        if self._attempt is not None:
            self._attempt.cancel()
            await asyncio.gather(self._attempt, return_exceptions=True)

    def describe(self) -> dict[str, Any]:
        """Return how it stands, for operators."""
        return {
            "ours": self.ours,
            "theirs": self.theirs,
            "is_connected": self.carrier is not None,
            "waiting": len(self._queue),
            "failure": str(self._latest) if self._now() < self._not_before else None,
        }

    def _now(self) -> float:
        return self._service.shared.clock.monotonic()


def _is_request(stanza: Stanza) -> bool:
    return isinstance(stanza, IQ) and stanza.type in ("get", "set")


def _is_answered(stanza: Stanza) -> bool:
    """Whether its sender is told that it could not be sent: of presence only who was asked for, or named by a full JID (rooms)."""
    if not isinstance(stanza, Presence):
        return True
    return stanza.type in ASKED_FOR or (not stanza.type and stanza.to is not None and bool(stanza.to.resourcepart))
