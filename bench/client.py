"""A small fast XMPP client on plain TCP for load and kill runs: SCRAM-SHA-1, binding, XEP-0198 and XEP-0313.

It speaks to loopback alone and trusts the server to write XML as servers do. What comes in is an ElementTree element
with tags like "{jabber:client}message".
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from xml.etree.ElementTree import Element, ParseError, XMLPullParser
from xml.sax.saxutils import quoteattr

from bench.scram import Scram

CLIENT = "jabber:client"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
SM = "urn:xmpp:sm:3"
MAM = "urn:xmpp:mam:2"
RSM = "http://jabber.org/protocol/rsm"
SID = "urn:xmpp:sid:0"
FORWARD = "urn:xmpp:forward:0"
STANZAS = frozenset(f"{{{CLIENT}}}{name}" for name in ("message", "presence", "iq"))

WAIT_S = 30.0


class Disconnected(ConnectionError):
    """The stream ended."""


class Refused(Exception):
    """The server said no; the text has its answer."""


@dataclass(slots=True)
class ManagedState:
    """What a client keeps of a managed stream (XEP-0198), over its connections."""

    id: str = ""
    received: int = 0
    acknowledged: int = 0
    unacknowledged: deque[str] = field(default_factory=deque)


class Handler(Protocol):
    """Who is told of stanzas that nobody asked for, and of acknowledgements."""

    def on_stanza(self, stanza: Element) -> None:
        """Take a message, presence or iq."""

    def on_acknowledged(self, stanza: str) -> None:
        """Take a stanza of ours, as it was sent, that the server now answers for."""


class Client(asyncio.Protocol):
    """One connection of one account; a new one is made to connect again, with the `state` of the old."""

    def __init__(
        self, user: str, password: str, handler: Handler, domain: str = "localhost", state: ManagedState | None = None
    ) -> None:
        self.user = user
        self.password = password
        self.domain = domain
        self.handler = handler
        self.state = state or ManagedState()
        self.jid = ""
        self.is_managed = False
        self.transport: asyncio.Transport | None = None
        self.closed = asyncio.get_running_loop().create_future()
        self._parser = XMLPullParser(("start", "end"))
        self._depth = 0
        self._root: Element | None = None
        self._nonzas: deque[Element] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._answers: dict[str, asyncio.Future[Element]] = {}
        self._next_id = 0

    @property
    def bare(self) -> str:
        """The account."""
        return f"{self.user}@{self.domain}"

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell all who wait that nothing comes any more."""
        self.transport = None
        if not self.closed.done():
            self.closed.set_result(None)
        for future in (self._waiter, *self._answers.values()):
            if future is not None and not future.done():
                future.set_exception(Disconnected(self.bare))
                future.exception()

    def data_received(self, data: bytes) -> None:
        """Parse, and hand on each element that is complete."""
        try:
            self._parser.feed(data)
            for kind, element in self._parser.read_events():
                if kind == "start":
                    if self._depth == 0:
                        self._root = element
                    self._depth += 1
                    continue
                self._depth -= 1
                if self._depth == 1:
                    self._element(element)
                    if self._root is not None:
                        self._root.clear()
                elif self._depth == 0 and self.transport is not None:
                    self.transport.close()
        except ParseError:
            self.cut()

    def _element(self, element: Element) -> None:
        if element.tag in STANZAS:
            if self.is_managed:
                self.state.received += 1
            if element.tag.endswith("}iq") and (waiting := self._answers.pop(element.get("id", ""), None)):
                if not waiting.done():
                    waiting.set_result(element)
            else:
                self.handler.on_stanza(element)
        elif element.tag == f"{{{SM}}}a":
            self.acknowledge(int(element.get("h", "0")))
        elif element.tag == f"{{{SM}}}r":
            self.write(f"<a xmlns='{SM}' h='{self.state.received}'/>")
        else:
            if element.tag == f"{{{SM}}}enabled":
                self.is_managed = True  # here, since stanzas that count may follow in the same read
            self._nonzas.append(element)
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(None)

    # Writing and waiting

    def write(self, text: str) -> None:
        """Send text as it is; nothing happens when the connection is gone."""
        if self.transport is not None:
            self.transport.write(text.encode())

    async def next_nonza(self) -> Element:
        """Wait for the next element that is not a stanza."""
        while not self._nonzas:
            if self.transport is None:
                raise Disconnected(self.bare)
            self._waiter = asyncio.get_running_loop().create_future()
            await asyncio.wait_for(self._waiter, WAIT_S)
        return self._nonzas.popleft()

    async def ask(self, type_: str, payload: str, to: str = "") -> Element:
        """Send an iq and return the answer, of type result; raises Refused for an error."""
        self._next_id += 1
        id_ = f"q{self._next_id}"
        answer: asyncio.Future[Element] = asyncio.get_running_loop().create_future()
        self._answers[id_] = answer
        target = f" to={quoteattr(to)}" if to else ""
        self.send(f"<iq type='{type_}' id='{id_}'{target}>{payload}</iq>", count=self.is_managed)
        if self.transport is None:
            raise Disconnected(self.bare)
        iq = await asyncio.wait_for(answer, WAIT_S)
        if iq.get("type") == "error":
            raise Refused(" ".join(e.tag for e in iq.iter() if "stanzas" in e.tag))
        return iq

    def send(self, stanza: str, *, count: bool = True) -> None:
        """Send a stanza; it waits to be acknowledged when the stream is managed and `count` says so."""
        if count:
            self.state.unacknowledged.append(stanza)
        self.write(stanza)

    def request_acknowledgement(self) -> None:
        """Ask what the server has taken."""
        if self.is_managed:
            self.write(f"<r xmlns='{SM}'/>")

    def acknowledge(self, count: int) -> None:
        """Take the server's word for all stanzas up to that count."""
        while self.state.acknowledged != count and self.state.unacknowledged:
            self.state.acknowledged = (self.state.acknowledged + 1) % 2**32
            self.handler.on_acknowledged(self.state.unacknowledged.popleft())

    # Getting in

    async def connect(self, port: int, address: str = "127.0.0.1") -> None:
        """Open the connection; raises OSError."""
        await asyncio.get_running_loop().create_connection(lambda: self, address, port)

    async def open_stream(self) -> Element:
        """Open a stream, the first or a new one on the same connection, and return its features."""
        self._parser, self._depth = XMLPullParser(("start", "end")), 0
        self.write(
            f"<?xml version='1.0'?><stream:stream xmlns='{CLIENT}' xmlns:stream='http://etherx.jabber.org/streams'"
            f" to='{self.domain}' version='1.0'>"
        )
        features = await self.next_nonza()
        if not features.tag.endswith("}features"):
            raise Refused(features.tag)
        return features

    async def authenticate(self) -> Element:
        """Log in by SCRAM-SHA-1 and return the features of the stream that follows."""
        await self.open_stream()
        scram = Scram("sha1", self.user, self.password)
        self.write(f"<auth xmlns='{SASL}' mechanism='SCRAM-SHA-1'>{scram.first()}</auth>")
        challenge = await self._expect(f"{{{SASL}}}challenge")
        self.write(f"<response xmlns='{SASL}'>{scram.answer(challenge.text or '')}</response>")
        success = await self._expect(f"{{{SASL}}}success")
        scram.check(success.text or "")
        return await self.open_stream()

    async def _expect(self, tag: str) -> Element:
        got = await self.next_nonza()
        if got.tag != tag:
            raise Refused(f"{got.tag} {[child.tag for child in got]}")
        return got

    async def bind(self, resource: str = "") -> None:
        """Bind a resource."""
        inner = f"<resource>{resource}</resource>" if resource else ""
        iq = await self.ask("set", f"<bind xmlns='{BIND}'>{inner}</bind>")
        self.jid = iq.findtext(f"{{{BIND}}}bind/{{{BIND}}}jid") or ""

    async def enable(self) -> None:
        """Turn stream management on; what an older stream left unacknowledged stays with the caller."""
        self.state = ManagedState()
        self.write(f"<enable xmlns='{SM}' resume='true'/>")
        enabled = await self._expect(f"{{{SM}}}enabled")
        self.state.id = enabled.get("id", "")

    async def resume(self) -> bool:
        """Try to resume the stream of `state`: True when it goes on, with what was unacknowledged sent again."""
        self.write(f"<resume xmlns='{SM}' previd={quoteattr(self.state.id)} h='{self.state.received}'/>")
        self.is_managed = True  # stanzas may follow <resumed/> in the same read, and count
        answer = await self.next_nonza()
        resumed = answer.tag == f"{{{SM}}}resumed"
        self.is_managed = resumed
        if "h" in answer.attrib:
            self.acknowledge(int(answer.get("h", "0")))
        if resumed:
            for stanza in self.state.unacknowledged:
                self.write(stanza)
        return resumed

    def cut(self) -> None:
        """Drop the connection at once."""
        if self.transport is not None:
            self.transport.abort()

    async def leave(self) -> None:
        """Close the stream, wait for the server to do so too, then drop the connection."""
        self.write("</stream:stream>")
        try:
            await asyncio.wait_for(asyncio.shield(self.closed), 5.0)
        except TimeoutError:
            self.cut()

    # The archive

    async def archive(self, take: Callable[[str, Element], None], after: str = "", page: int = 100) -> int:
        """Read the account's own archive from a stanza id on (empty: from its start), page by page.

        Args:
            take: called with the archive's id and the message of each result, in order.

        Returns:
            How many results there were. Results go to `take` alone, not to the handler.

        Raises:
            Refused: item-not-found when the server has no such id.
        """
        taken = 0
        handler, query_id = self.handler, f"{id(take):x}"
        last = after

        def one(result: Element) -> None:
            nonlocal taken, last
            message = result.find(f"{{{FORWARD}}}forwarded/{{{CLIENT}}}message")
            last = result.get("id", "")
            taken += 1
            if message is not None:
                take(last, message)

        self.handler = _ResultCatcher(handler, query_id, one)
        try:
            while True:
                before = taken
                rsm = f"<set xmlns='{RSM}'><max>{page}</max>" + (f"<after>{last}</after>" if last else "") + "</set>"
                fin = await self.ask("set", f"<query xmlns='{MAM}' queryid='{query_id}'>{rsm}</query>")
                done = fin.find(f"{{{MAM}}}fin")
                if done is None or done.get("complete") == "true" or taken == before:
                    return taken
        finally:
            self.handler = handler


class _ResultCatcher:
    """Takes the results of one archive query, and hands all else on."""

    def __init__(self, next_: Handler, query_id: str, take: Callable[[Element], None]) -> None:
        self.next = next_
        self.query_id = query_id
        self.take = take

    def on_stanza(self, stanza: Element) -> None:
        """Take a result, or hand the stanza on."""
        result = stanza.find(f"{{{MAM}}}result")
        if result is not None and result.get("queryid") == self.query_id:
            self.take(result)
        else:
            self.next.on_stanza(stanza)

    def on_acknowledged(self, stanza: str) -> None:
        """Hand it on."""
        self.next.on_acknowledged(stanza)
