"""XEP-0198: Stream Management.

Counts stanzas both ways (`xmppd.acks` does the counting, `xmppd.c2s` writes <a/> and <r/> with everything else that leaves), and lets
a client whose connection broke take its resource up again on another one: nothing is sent twice, nothing is lost.

An <a/> of ours covers only what is committed. What the client has not acknowledged when its resource ends goes back to the
modules through `hooks.stanzas_undelivered`.
"""

import asyncio
import contextlib
from dataclasses import dataclass

from codec.element import Element
from storage.interface import StorageError
from xmppd.acks import MODULO, Acks
from xmppd.errors import StreamError
from xmppd.hooks import (
    DeliveredEvent,
    FeaturesEvent,
    ResourceEvent,
    resource_ended,
    resource_hibernates,
    stanza_delivered,
    stream_features,
)
from xmppd.host import Host
from xmppd.module import Module, nonza, on
from xmppd.resource import Resource, StreamLike

NS = "urn:xmpp:sm:3"
ERRORS_NS = "urn:ietf:params:xml:ns:xmpp-stanzas"
TRUE = ("true", "1")


@dataclass(slots=True)
class Resumption:
    """What is remembered of a resource that can be resumed; `timer` runs while it has no stream."""

    token: str = ""
    max_s: int = 0
    timer: asyncio.TimerHandle | None = None


class StreamManagementModule(Module, xep=198):
    """Enable, resume and acknowledge."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._by_token: dict[str, Resource] = {}

    @on(stream_features)
    def offer(self, event: FeaturesEvent) -> None:
        """Offer it once the client has logged in (§3)."""
        if event.is_authenticated:
            event.features.append(Element(f"{NS} sm"))

    # enabling

    @nonza(f"{NS} enable")
    def enable(self, stream: StreamLike, element: Element) -> None:
        """Answer <enable/> (§3): only after binding, and once."""
        resource = stream.resource
        if resource is None or resource.acks is not None:
            stream.send_element(_failed("unexpected-request"))
            return
        resume_s = self._resume_s(element)
        token = self.host.ids.token() if resume_s else None
        resource.acks = Acks(
            token,
            lambda: _wake(resource),
            self.host.config.limits.unacknowledged_stanzas,
            lambda: self.host.spawn(self.host.shared.end_resource(resource, "policy-violation")),
        )
        attrs: dict[str, str] = {}
        if token is not None:
            self._by_token[token] = resource
            state = resource.state(Resumption)
            state.token, state.max_s = token, resume_s
            resource.keeper = self._keep
            attrs = {"id": token, "resume": "true", "max": str(resume_s)}
        stream.send_element(Element(f"{NS} enabled", attrs))

    def _resume_s(self, element: Element) -> int:
        """Return for how long the resource may be resumed; 0: not."""
        if element.get("resume") not in TRUE:
            return 0
        offered = int(self.host.config.c2s.resume_s)
        wanted = element.get("max")
        return min(int(wanted), offered) if wanted is not None and wanted.isdecimal() and len(wanted) < 10 else offered

    # counting

    @nonza(f"{NS} r")
    def asked(self, stream: StreamLike, _: Element) -> None:
        """The client asks what has arrived (§4): the answer leaves when all of it is committed."""
        acks = None if stream.resource is None else stream.resource.acks
        if acks is None:
            raise StreamError("unsupported-stanza-type")
        acks.asked_at = acks.handled
        stream.wake()

    @nonza(f"{NS} a")
    def acknowledged(self, stream: StreamLike, element: Element) -> None:
        """The client tells what has arrived (§4)."""
        resource = stream.resource
        if resource is None or resource.acks is None:
            raise StreamError("unsupported-stanza-type")
        h = _counter(element)
        if h is None:
            raise StreamError("bad-format", "<a/> needs h, a number.")
        self._take(resource, h)

    def _take(self, resource: Resource, h: int) -> None:
        acks = resource.acks
        assert acks is not None
        try:
            covered = acks.acknowledge(h)
        except ValueError as error:
            sent = acks.sent % MODULO
            raise StreamError(
                "undefined-condition",
                f"You acknowledged {h} stanzas, but I sent {sent}.",
                Element(f"{NS} handled-count-too-high", {"h": str(h), "send-count": str(sent)}),
            ) from error
        if self.host.handlers.get(stanza_delivered):
            for stanza, archive_id in covered:
                if archive_id:
                    self.host.signal(stanza_delivered, DeliveredEvent(resource, stanza, archive_id))

    # resuming

    def _keep(self, resource: Resource) -> bool:
        """The connection broke: keep the resource for as long as was promised."""
        self.host.signal(resource_hibernates, ResourceEvent(resource))
        state = resource.state(Resumption)
        state.timer = self.host.call_later(state.max_s, lambda: self.host.spawn(self._expire(resource)))
        return True

    async def _expire(self, resource: Resource) -> None:
        if resource.stream is None:
            await self.host.shared.end_resource(resource, "")

    @nonza(f"{NS} resume")
    async def resume(self, stream: StreamLike, element: Element) -> None:
        """Answer <resume/> (§5): the resource goes on with this stream; what was not acknowledged is sent again."""
        h = _counter(element)
        if stream.resource is not None or h is None:
            stream.send_element(_failed("unexpected-request" if stream.resource is not None else "bad-request"))
            return
        token = element.get("previd") or ""
        resource = self._by_token.get(token)
        if resource is None or resource.acks is None or resource.account.jid != stream.jid:
            stream.send_element(_failed("item-not-found"))
            return
        self._take(resource, h)
        old, resource.stream = resource.stream, None
        if old is not None:
            self.host.signal(resource_hibernates, ResourceEvent(resource))
            old.end("conflict", "The session was resumed on another connection.")
        state = resource.state(Resumption)
        if state.timer is not None:
            state.timer.cancel()
            state.timer = None
        await self._answer_when_durable(stream, resource)

    async def _answer_when_durable(self, stream: StreamLike, resource: Resource) -> None:
        """Send <resumed/> once all that was taken is committed, so that its h covers it, then what was not acknowledged."""
        acks = resource.acks
        assert acks is not None
        while acks.waiting and not acks.is_failed:
            with contextlib.suppress(StorageError):
                await acks.waiting[-1].commit
        if not stream.is_connected:
            self._keep(resource)
            return
        resource.stream, stream.resource = stream, resource
        acks.r_sent_at = None
        stream.send_element(Element(f"{NS} resumed", {"previd": acks.id or "", "h": str(acks.durable % MODULO)}))
        for stanza, _ in acks.unacked:
            stream.send(stanza)
        if acks.unacked:
            stream.ask_for_ack()

    @on(resource_ended)
    def forget(self, event: ResourceEvent) -> None:
        """A resource that has ended cannot be resumed."""
        resource: Resource = event.resource
        if resource.acks is not None and resource.acks.id is not None:
            self._by_token.pop(resource.acks.id, None)
        if resource.has_state(Resumption):
            timer = resource.state(Resumption).timer
            if timer is not None:
                timer.cancel()


def _wake(resource: Resource) -> None:
    """More has become durable: let the stream add its <a/>."""
    if resource.stream is not None:
        resource.stream.wake()


def _counter(element: Element) -> int | None:
    """Return h, or None when it is missing or no unsigned 32-bit number."""
    text = element.get("h") or ""
    if not text.isascii() or not text.isdecimal() or len(text) > 10:
        return None
    return int(text) if int(text) < MODULO else None


def _failed(condition: str) -> Element:
    return Element(f"{NS} failed", {}, (Element(f"{ERRORS_NS} {condition}"),))
