"""XEP-0114: Jabber Component Protocol, the accepting side. The run is told of a component's domain (`--component`)."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from xml.sax.saxutils import quoteattr

from compliance.check import MUST, Failed, NotPossible, checks_of, require, require_equal
from compliance.names import Element, text
from compliance.scene import ComponentAccess, Scene
from compliance.stream import Closed, Header, StreamReader

check = checks_of("XEP-0114")
NS = "jabber:component:accept"


class Component:
    """One connection of the component."""

    def __init__(
        self, scene: Scene, access: ComponentAccess, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    ):
        self.access = access
        self._log, self._timeout_s = scene.log, scene.target.timeout_s
        self._reader, self._writer = streams
        self._xml = StreamReader()
        self._events: list[Header | Closed | Element] = []

    async def send(self, xml: str) -> None:
        """Send text as it is."""
        self._log.add("component", "C", xml)
        self._writer.write(xml.encode())
        await self._writer.drain()

    async def next(self) -> Header | Closed | Element:
        """Return what comes next, or fail the check."""
        while not self._events:
            try:
                data = await asyncio.wait_for(self._reader.read(65_536), self._timeout_s)
            except TimeoutError:
                raise Failed("nothing came to the component") from None
            if not data:
                return Closed()
            self._log.add("component", "S", data.decode(errors="replace"))
            self._events += self._xml.feed(data)
        return self._events.pop(0)

    async def begin(self, secret: str) -> Header | Closed | Element:
        """Open the stream and shake hands; return the answer."""
        head = f"<stream:stream xmlns='{NS}' xmlns:stream='http://etherx.jabber.org/streams' to="
        await self.send(f"{head}{quoteattr(self.access.domain)}>")
        header = await self.next()
        if not isinstance(header, Header):
            raise Failed("no stream header came")
        digest = hashlib.sha1((header.attributes.get("id", "") + secret).encode(), usedforsecurity=False).hexdigest()
        await self.send(f"<handshake>{digest}</handshake>")
        return await self.next()

    async def until_end(self) -> str:
        """Return the condition of the stream error that comes, "" when the stream ends without one."""
        while True:
            event = await self.next()
            if isinstance(event, Closed):
                return ""
            if not isinstance(event, Header) and str(event.tag).endswith("}error"):
                return str(event[0].tag).rpartition("}")[2]


@contextlib.asynccontextmanager
async def connected(scene: Scene) -> AsyncIterator[Component]:
    """Connect as the component, or end the check as not possible."""
    access = scene.world.component
    if access is None:
        raise NotPossible("no component's domain was given to the run (--component)")
    streams = await asyncio.open_connection(access.host, access.port)
    try:
        yield Component(scene, access, streams)
    finally:
        streams[1].close()


@contextlib.asynccontextmanager
async def accepted(scene: Scene) -> AsyncIterator[Component]:
    """Connect and be accepted."""
    async with connected(scene) as component:
        answer = await component.begin(component.access.secret)
        require(getattr(answer, "tag", "") == f"{{{NS}}}handshake", "the handshake was not accepted")
        yield component


@check("3", MUST, "The right secret is accepted with an empty handshake.")
async def right_secret_is_accepted(scene: Scene) -> None:
    async with connected(scene) as component:
        answer = await component.begin(component.access.secret)
        require(not isinstance(answer, Closed), "the stream was closed")
        require_equal(str(answer.tag), f"{{{NS}}}handshake", "the answer")


@check("3", MUST, "A wrong secret ends the stream.")
async def wrong_secret_is_refused(scene: Scene) -> None:
    async with connected(scene) as component:
        answer = await component.begin("not the secret")
        require(isinstance(answer, Closed) or not str(answer.tag).endswith("}handshake"), "the handshake was accepted")


@check("3", MUST, "Stanzas for the component's domain reach it, and its own reach people.")
async def stanzas_go_both_ways(scene: Scene) -> None:
    async with accepted(scene) as component:
        romeo, domain = await scene.online("romeo"), component.access.domain
        await romeo.send(f"<message to='#verona@{domain}' type='chat' id='to-it'><body>hi</body></message>")
        while True:
            event = await component.next()
            if isinstance(event, Closed):
                raise Failed("the stream was closed")
            if not isinstance(event, Header) and event.get("id") == "to-it":
                break
        require_equal(event.get("from"), romeo.jid, "from")
        await component.send(
            f"<message from='#verona@{domain}' to='{romeo.jid}' type='chat' id='from-it'><body>yo</body></message>"
        )
        message = await romeo.expect("c:message", id="from-it")
        require_equal(text(message, "c:body"), "yo", "the body")


@check("3", MUST, "A component does not speak for another domain.")
async def other_domains_are_refused(scene: Scene) -> None:
    async with accepted(scene) as component:
        juliet = await scene.online("juliet")
        forged = (
            f"<message from='{scene.jid('romeo')}' to='{juliet.jid}' type='chat' id='forged'><body>x</body></message>"
        )
        await component.send(forged)
        await component.until_end()
        await juliet.roundtrip()
        juliet.refuse("c:message", id="forged", why="a component spoke for an account")
