"""XEP-0388: Extensible SASL Profile (SASL2).

Another way to log in than RFC 6120's, on the same streams and with the same mechanisms: no restart of the stream after it, and what a
client wants next can stand in the request itself.

    <authenticate/> --> <challenge/> <--> <response/> --> <success/> and features
          |                  |                       \\--> <failure/>
          \\-- no challenge --+--> <success/> or <failure/>
                              \\--> <continue/> --> <next/> --> <task-data/> <--> <task-data/> ... <success/>

Other modules take part at `hooks.sasl2_inline` (what may be asked for), `sasl2_mechanism` (mechanisms of their own), `sasl2_tasks`
(what is left to do before <success/>, as XEP-0480 has it) and `sasl2_authenticated` (doing what was asked for).
"""

import binascii
import re
from dataclasses import dataclass

from codec.element import Element
from codec.jid import JID
from xmppd.errors import SaslError, StanzaError, StreamError
from xmppd.hooks import (
    AuthenticatedEvent,
    FeaturesEvent,
    InlineEvent,
    MechanismEvent,
    TasksEvent,
    UserAgent,
    sasl2_authenticated,
    sasl2_inline,
    sasl2_mechanism,
    sasl2_tasks,
    stream_features,
)
from xmppd.module import Module, nonza, on
from xmppd.resource import StreamLike
from xmppd.sasl.mechanism import Challenge, Success, Task

NS = "urn:xmpp:sasl:2"
CONDITIONS_NS = "urn:ietf:params:xml:ns:xmpp-sasl"
AUTHENTICATE = f"{NS} authenticate"
RESPONSE = f"{NS} response"
ABORT = f"{NS} abort"
NEXT = f"{NS} next"
TASK_DATA = f"{NS} task-data"

EXPECTED = frozenset((RESPONSE, ABORT))
"""What may come while a challenge is out (§2.4)."""

MAX_AGENT_CHARS = 100
"""Of what a client calls its software and device; the rest is dropped."""

UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is remembered of a request while its exchange goes on."""

    request: Element
    agent: UserAgent
    mechanism: str


@dataclass(slots=True)
class Proven:
    """A client that has proven who it is, and has something to do before it is in.

    Attributes:
        data: what the mechanism says at its end; b"" once it has been sent.
        tasks: those that are left; the first one is offered or under way.
    """

    attempt: Attempt
    jid: JID
    data: bytes
    tasks: list[Task]


class Sasl2Module(Module, xep=388):
    """Log in, and do with it whatever the request asks for."""

    @on(stream_features)
    def offer(self, event: FeaturesEvent) -> None:
        """Offer it where a login is possible at all: inside TLS, unless that is not required (§3)."""
        if event.is_authenticated or event.stream.login is None:
            return
        inline = InlineEvent(event.stream)
        self.host.signal(sasl2_inline, inline)
        children = [Element(f"{NS} mechanism", {}, (name,)) for name in event.stream.login.offer.names]
        if inline.features:
            children.append(Element(f"{NS} inline", {}, tuple(inline.features)))
        event.features.append(Element(f"{NS} authentication", {}, (*children, *inline.beside)))

    @nonza(AUTHENTICATE, is_early=True)
    async def authenticate(self, stream: StreamLike, element: Element) -> None:
        """Begin an exchange (§2.3).

        Raises:
            StreamError: policy-violation: the client is logged in already (§4.8), or must not log in here.
        """
        login = stream.login
        if login is None:
            raise StreamError("policy-violation", "This stream takes no login now.")
        try:
            attempt = Attempt(element, _agent(element), element.get("mechanism") or "")
            login.begin(NS, self._mechanism(stream, attempt))
            login.notes, login.expects = attempt, EXPECTED
            initial = element.find(f"{NS} initial-response")
            if initial is None:
                result = Challenge(b"")  # every mechanism of ours begins with the client
            else:
                result = await login.step(NS, _decode(initial))
        except SaslError as error:
            self._fail(stream, error)
            return
        await self._answer(stream, attempt, result)

    def _mechanism(self, stream: StreamLike, attempt: Attempt) -> object:
        event = MechanismEvent(stream, attempt.request, attempt.agent, attempt.mechanism)
        if attempt.mechanism not in stream.login.offer.names:
            self.host.signal(sasl2_mechanism, event)
        return event.mechanism or stream.login.offer.build(attempt.mechanism)

    @nonza(RESPONSE, is_early=True)
    async def respond(self, stream: StreamLike, element: Element) -> None:
        """Go on with an exchange (§2.5)."""
        login = stream.login
        if login is None:
            raise StreamError("policy-violation", "This stream takes no login now.")
        attempt = login.notes
        try:
            result = await login.step(NS, _decode(element))
        except SaslError as error:
            self._fail(stream, error)
            return
        await self._answer(stream, attempt, result)

    @nonza(ABORT, is_early=True)
    def abort(self, stream: StreamLike, _: Element) -> None:
        """End an exchange because the client wants so (§4.5)."""
        if stream.login is None:
            raise StreamError("policy-violation", "This stream takes no login now.")
        self._fail(stream, SaslError("aborted"))

    async def _answer(self, stream: StreamLike, attempt: Attempt, result: Challenge | Success) -> None:
        if isinstance(result, Challenge):
            stream.send_element(Element(f"{NS} challenge", {}, _text(result.data)))
            return
        jid: JID = stream.login.jid_of(result)
        if not stream.is_connected:
            return
        if stream.claimed is not None and stream.claimed != jid:
            self._fail(stream, SaslError("invalid-authzid", "The stream's header names another account."))
            return
        tasks = TasksEvent(stream, jid, attempt.mechanism, attempt.request)
        await self.host.signal_waiting(sasl2_tasks, tasks)
        await self._go_on(stream, Proven(attempt, jid, result.data, tasks.tasks))

    async def _go_on(self, stream: StreamLike, proven: Proven) -> None:
        """Ask for the next task, or let the client in when none is left."""
        if not stream.is_connected:
            return
        if not proven.tasks:
            await self._let_in(stream, proven)
            return
        stream.login.hold(NS, frozenset((NEXT, ABORT)), proven)
        children = [Element(f"{NS} additional-data", {}, _text(proven.data))] if proven.data else []
        proven.data = b""
        children.append(Element(f"{NS} tasks", {}, (Element(f"{NS} task", {}, (proven.tasks[0].name,)),)))
        stream.send_element(Element(f"{NS} continue", {}, tuple(children)))

    @nonza(NEXT, is_early=True)
    async def begin_task(self, stream: StreamLike, element: Element) -> None:
        """Begin the task that the client was asked for (§2.6.3)."""
        proven = self._proven(stream)
        if element.get("task") != proven.tasks[0].name:
            self._fail(stream, SaslError("malformed-request", "That task was not asked for."))
            return
        await self._task_step(stream, proven, None)

    @nonza(TASK_DATA, is_early=True)
    async def take_task_data(self, stream: StreamLike, element: Element) -> None:
        """Go on with a task (§2.6.3)."""
        await self._task_step(stream, self._proven(stream), element)

    def _proven(self, stream: StreamLike) -> Proven:
        proven = None if stream.login is None else stream.login.notes
        if not isinstance(proven, Proven):
            raise StreamError("policy-violation", "No task was asked for.")
        return proven

    async def _task_step(self, stream: StreamLike, proven: Proven, element: Element | None) -> None:
        try:
            data = await proven.tasks[0].step(element)
        except SaslError as error:
            self._fail(stream, error)
            return
        if data is None:
            proven.tasks.pop(0)
            await self._go_on(stream, proven)
            return
        stream.login.hold(NS, frozenset((TASK_DATA, ABORT)), proven)
        stream.send_element(Element(TASK_DATA, {}, (data,)))

    async def _let_in(self, stream: StreamLike, proven: Proven) -> None:
        """Do what else was asked for, and say that it succeeded."""
        attempt = proven.attempt
        try:
            event = AuthenticatedEvent(stream, proven.jid, attempt.mechanism, attempt.request, attempt.agent)
            done = await self.host.run_filter_waiting(sasl2_authenticated, event)
        except SaslError as error:
            self._fail(stream, error)
            return
        except StanzaError as error:
            self._fail(stream, SaslError("temporary-auth-failure", error.text))
            return
        if done is not None and stream.is_connected:
            self._succeed(stream, done, proven.data)

    def _succeed(self, stream: StreamLike, event: AuthenticatedEvent, data: bytes) -> None:
        """Say that it succeeded (§2.6.1). A stream that was resumed goes on at once, without features (XEP-0198 §9.2)."""
        stream.login.succeeded()
        stream.enter(event.jid)
        children = [Element(f"{NS} additional-data", {}, _text(data))] if data else []
        identifier = event.jid if event.resource is None else event.resource.jid
        children.append(Element(f"{NS} authorization-identifier", {}, (identifier,)))
        if event.is_resumed:
            stream.take_up()
        stream.send_element(Element(f"{NS} success", {}, (*children, *event.answers)))
        if event.resource is not None:
            stream.told(event.resource.jid)
        if not event.is_resumed:
            stream.send_features()
        for act in event.afterwards:
            act()
        self.host.log.debug("logged_in", jid=str(identifier), software=event.agent.software)

    def _fail(self, stream: StreamLike, error: SaslError) -> None:
        """Say that it failed (§2.6.2); the client may try again, a few times."""
        login = stream.login
        login.failed()
        children = [Element(f"{CONDITIONS_NS} {error.condition}")]
        if error.text is not None:
            children.append(Element(f"{NS} text", {}, (error.text,)))
        stream.send_element(Element(f"{NS} failure", {}, tuple(children)))
        login.check_failures()


def _agent(request: Element) -> UserAgent:
    """Return what a client says of itself; an id that is no UUID counts as none (§2.3)."""
    agent = request.find(f"{NS} user-agent")
    if agent is None:
        return UserAgent()
    id_ = agent.get("id") or ""
    return UserAgent(
        id_.lower() if UUID.fullmatch(id_) else "",
        _short(agent.find(f"{NS} software")),
        _short(agent.find(f"{NS} device")),
    )


def _short(element: Element | None) -> str:
    return "" if element is None else element.text.strip()[:MAX_AGENT_CHARS]


def _decode(element: Element) -> bytes:
    """Return the bytes of an element's base64; white space around it does no harm (§2.2 has examples with it)."""
    try:
        return binascii.a2b_base64(element.text.strip(), strict_mode=True)
    except ValueError as error:
        raise SaslError("incorrect-encoding") from error


def _text(data: bytes) -> tuple[str, ...]:
    return (binascii.b2a_base64(data, newline=False).decode(),) if data else ()
