"""XEP-0198: Stream Management.

Counts stanzas both ways (`xmppd.acks` does the counting, `xmppd.c2s` writes <a/> and <r/> with everything else that leaves), and lets
a client whose connection broke take its resource up again on another one: nothing is sent twice, nothing is lost.

An <a/> of ours covers only what is committed. What the client has not acknowledged when its resource ends goes back to the
modules through `hooks.stanzas_undelivered`.
"""

import asyncio
import functools
from dataclasses import dataclass

from codec.element import Element
from codec.jid import JID
from storage.interface import Commit
from xmppd.acks import MODULO, NS, Acks, counter_of
from xmppd.errors import StreamError
from xmppd.hooks import (
    AuthenticatedEvent,
    BindEvent,
    BindInlineEvent,
    DeliveredEvent,
    FeaturesEvent,
    InlineEvent,
    Phase,
    ResourceEvent,
    bind2_bound,
    bind2_inline,
    resource_ended,
    resource_hibernates,
    sasl2_authenticated,
    sasl2_inline,
    stanza_delivered,
    stream_features,
)
from xmppd.host import Host
from xmppd.module import Module, nonza, on
from xmppd.resource import Resource, StreamLike

ERRORS_NS = "urn:ietf:params:xml:ns:xmpp-stanzas"
TRUE = ("true", "1")

MAX_REMEMBERED = 1_000
"""Ended resources of which we can still say how much their client had sent, some 500 bytes each."""


@dataclass(slots=True)
class Resumption:
    """What is remembered of a resource that can be resumed; `timer` runs while it has no stream."""

    token: str = ""
    max_s: int = 0
    timer: asyncio.TimerHandle | None = None

    def stop_timer(self) -> None:
        """It has a stream, or has ended."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class StreamManagementModule(Module, xep=198):
    """Enable, resume and acknowledge."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._by_token: dict[str, Resource] = {}
        self._ended: dict[str, tuple[JID, Acks]] = {}

    @on(stream_features)
    def offer(self, event: FeaturesEvent) -> None:
        """Offer it once the client has logged in (§3)."""
        if event.is_authenticated:
            event.features.append(Element(f"{NS} sm"))

    @on(sasl2_inline)
    def offer_resuming_inline(self, event: InlineEvent) -> None:
        """Offer to resume within a login (§9.2)."""
        if int(self.host.config.c2s.resume_s):
            event.features.append(Element(f"{NS} sm"))

    @on(bind2_inline)
    def offer_enabling_inline(self, event: BindInlineEvent) -> None:
        """Offer to enable it within binding (§9.1)."""
        event.features.append(NS)

    # enabling

    @nonza(f"{NS} enable")
    def enable(self, stream: StreamLike, element: Element) -> None:
        """Answer <enable/> (§3): only after binding, and once."""
        stream.send_element(self._enable(stream.resource, element))

    @on(bind2_bound)
    def enable_inline(self, event: BindEvent) -> None:
        """Answer <enable/> within <bind/> (§9.1)."""
        element = event.request.find(f"{NS} enable")
        if element is not None:
            event.answers.append(self._enable(event.resource, element))

    def _enable(self, resource: Resource | None, element: Element) -> Element:
        if resource is None or resource.acks is not None:
            return _failed("unexpected-request")
        resume_s = self._resume_s(element)
        token = self.host.ids.token() if resume_s else None
        resource.acks = Acks(
            token,
            lambda: self._progress(resource),
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
        return Element(f"{NS} enabled", attrs)

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
        acks.ask()
        stream.wake()

    @nonza(f"{NS} a")
    def acknowledged(self, stream: StreamLike, element: Element) -> None:
        """The client tells what has arrived (§4)."""
        resource = stream.resource
        if resource is None or resource.acks is None:
            raise StreamError("unsupported-stanza-type")
        h = counter_of(element)
        if h is None:
            raise StreamError("bad-format", "<a/> needs h, a number.")
        self._take(resource, h)

    def _take(self, resource: Resource, h: int) -> None:
        acks = resource.acks
        assert acks is not None
        covered = acks.take(h)
        if self.host.handlers.get(stanza_delivered):
            for stanza, archive_id in covered:
                if archive_id:
                    self.host.signal(stanza_delivered, DeliveredEvent(resource, stanza, archive_id))

    # resuming

    def _keep(self, resource: Resource) -> bool:
        """The connection broke: keep the resource for as long as was promised."""
        self.host.signal(resource_hibernates, ResourceEvent(resource))
        state = resource.state(Resumption)
        state.stop_timer()
        state.timer = self.host.call_later(state.max_s, lambda: self._expire(resource))
        return True

    def _expire(self, resource: Resource) -> None:
        if resource.stream is None:
            self.host.spawn(self.host.shared.end_resource(resource, ""))

    @nonza(f"{NS} resume")
    async def resume(self, stream: StreamLike, element: Element) -> None:
        """Answer <resume/> (§5): the resource goes on with this stream; what was not acknowledged is sent again."""
        if stream.jid is None:
            raise StreamError("not-authorized")
        answer = await self._resume(stream, stream.jid, element)
        is_resumed = stream.resource is not None and answer.name == "resumed"
        if is_resumed:
            stream.take_up()
        stream.send_element(answer)
        if stream.resource is not None and is_resumed:
            stream.told(stream.resource.jid)
            self._send_again(stream, stream.resource)

    @on(sasl2_authenticated, phase=Phase.COPY)
    async def resume_inline(self, event: AuthenticatedEvent) -> AuthenticatedEvent | None:
        """Answer <resume/> within a login (§9.2), before anything is bound."""
        element = event.request.find(f"{NS} resume")
        if element is None:
            return event
        stream: StreamLike = event.stream
        try:
            answer = await self._resume(stream, event.jid, element)
        except StreamError as error:
            stream.end(error.condition, error.text, error.app)
            return None
        if not stream.is_connected:
            return None  # it goes on waiting for its client, which must not lose it to a new resource
        event.answers.append(answer)
        resource = stream.resource
        if resource is not None:
            event.resource, event.is_resumed = resource, True
            event.afterwards.append(lambda: self._send_again(stream, resource))
        return event

    async def _resume(self, stream: StreamLike, jid: JID, element: Element) -> Element:
        """Give a stream the resource that it asks for, and return the answer.

        It waits until all that was taken is committed, so that h in the answer covers it. The resource may end meanwhile, or go on
        with another stream.
        """
        h = counter_of(element)
        if stream.resource is not None or h is None:
            return _failed("unexpected-request" if stream.resource is not None else "bad-request")
        if not int(self.host.config.c2s.resume_s):
            return _failed("feature-not-implemented")
        token = element.get("previd") or ""
        resource = self._by_token.get(token)
        if resource is not None and resource.acks is not None and resource.account.jid == jid:
            self._take(resource, h)
            self._part(resource)
            await _settled(resource.acks)
            if resource.acks.size_bytes > self.host.config.limits.outbox_bytes // 2:
                # sent at once it would look as if the client did not read, and break the connection, each time anew
                await self.host.shared.end_resource(resource, "")
            if not resource.is_ended and not resource.acks.is_failed:
                return self._go_on(resource, resource.acks, stream)
        return await self._refusal(jid, token)

    async def _refusal(self, jid: JID, token: str) -> Element:
        """Return that the resource is gone; where we remember how much it had sent, that too."""
        ended = self._ended.get(token)
        if ended is None or ended[0] != jid:
            return _failed("item-not-found")
        await _settled(ended[1])
        return _failed("item-not-found", ended[1].durable % MODULO)

    def _part(self, resource: Resource) -> None:
        """Close the stream that a resource still has: it goes on with another one."""
        old, resource.stream = resource.stream, None
        if old is not None:
            old.hand_over(resource)
            self._keep(resource)
            old.end("conflict", "The session was resumed on another connection.")

    def _go_on(self, resource: Resource, acks: Acks, stream: StreamLike) -> Element:
        if not stream.is_connected:
            return _failed("recipient-unavailable")  # nobody reads it, and the resource's timer runs
        self._part(resource)
        resource.state(Resumption).stop_timer()
        resource.stream, stream.resource = stream, resource
        acks.r_sent_at = None
        acks.asked_at = None
        return Element(f"{NS} resumed", {"previd": acks.id or "", "h": str(acks.durable % MODULO)})

    def _send_again(self, stream: StreamLike, resource: Resource) -> None:
        assert resource.acks is not None
        for stanza, _ in resource.acks.unacked:
            stream.send(stanza)
        if resource.acks.unacked:
            stream.ask_for_ack()

    @on(resource_ended)
    def forget(self, event: ResourceEvent) -> None:
        """A resource that has ended cannot be resumed."""
        resource: Resource = event.resource
        if resource.acks is not None and resource.acks.id is not None:
            self._by_token.pop(resource.acks.id, None)
            self._ended[resource.acks.id] = (resource.account.jid, resource.acks)
            if len(self._ended) > MAX_REMEMBERED:
                del self._ended[next(iter(self._ended))]
        if resource.has_state(Resumption):
            resource.state(Resumption).stop_timer()

    def _progress(self, resource: Resource) -> None:
        """More has become durable: let the stream add its <a/>. Or it failed: the resource ends, its client sends it again."""
        if resource.stream is not None:
            resource.stream.wake()
        elif resource.acks is not None and resource.acks.is_failed:
            self.host.spawn(self.host.shared.end_resource(resource, ""))


async def _settled(acks: Acks) -> None:
    """Return when everything that a client has sent is committed, or some of it has failed."""
    while acks.waiting and not acks.is_failed:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        acks.waiting[0].commit.add_done_callback(functools.partial(_wake, future))
        await future


def _wake(future: "asyncio.Future[None]", _: Commit) -> None:
    if not future.done():
        future.set_result(None)


def _failed(condition: str, h: int | None = None) -> Element:
    attrs = {} if h is None else {"h": str(h)}
    return Element(f"{NS} failed", attrs, (Element(f"{ERRORS_NS} {condition}"),))
