"""What the tests of messages share: the modules, clients that count as XEP-0198 asks, and timers that tests move.

world = await make_world(*MESSAGES)
timers = Timers(world)
juliet = await Phone.login(world, "juliet@example.org/balcony")
await juliet.cut()
await timers.advance(600)
"""

from collections.abc import Callable, Iterable
from typing import Any

from codec.element import Element
from codec.events import StreamBroken, StreamClosed
from codec.payload import PayloadError
from codec.payloads.delay import Delay
from codec.payloads.stanza_id import StanzaId
from codec.stanza import Message, Presence, Stanza
from tests.support.world import Client, World

SM = "urn:xmpp:sm:3"
MAM = "urn:xmpp:mam:2"
CARBONS = "urn:xmpp:carbons:2"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"

MESSAGES = (
    "rfc_6121_message",
    "rfc_6121_roster",
    "rfc_6121_presence",
    "xep_0160_offline",
    "xep_0198_sm",
    "xep_0280_carbons",
    "xep_0313_mam",
    "xep_0334_hints",
    "xep_0359_ids",
    "xep_0441_mam_prefs",
)
"""The modules on a message's way."""


class Timer:
    """What `Timers.call_later` returns."""

    def __init__(self, due_s: float, callback: Callable[[], object]) -> None:
        self.due_s = due_s
        self.callback = callback
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Timers:
    """Takes the place of `Host.call_later` in every host of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.now_s = 0.0
        self._timers: list[Timer] = []
        for host in world.shared.hosts.values():
            host.call_later = self.call_later  # type: ignore[method-assign,assignment]

    def call_later(self, delay_s: float, callback: Callable[[], object]) -> Timer:
        """Remember a callback."""
        timer = Timer(self.now_s + delay_s, callback)
        self._timers.append(timer)
        return timer

    @property
    def running(self) -> list[Timer]:
        """Those that are still to come, the next one first."""
        return sorted((timer for timer in self._timers if not timer.is_cancelled), key=lambda timer: timer.due_s)

    async def advance(self, seconds: float) -> None:
        """Let time pass: what is due is called, in order."""
        end_s = self.now_s + seconds
        while self.running and self.running[0].due_s <= end_s:
            timer = self.running[0]
            self._timers.remove(timer)
            self._move_to(timer.due_s)
            timer.callback()
            await self.world.settle()
        self._move_to(end_s)
        await self.world.settle()

    def _move_to(self, moment_s: float) -> None:
        self.world.clock.advance(moment_s - self.now_s)
        self.now_s = moment_s


class Phone:
    """A client that has enabled stream management: it takes what comes, counts it, and can be cut off and resume.

    Attributes:
        received: every stanza that came, oldest first, over all its streams.
        h: how many of them it has counted since it enabled stream management.
        token: the id to resume with, "" where that was not offered.
    """

    def __init__(self, world: World, client: Client) -> None:
        self.world = world
        self.client = client
        self.jid = client.jid
        self.received: list[Any] = []
        self.nonzas: list[Element] = []
        self.h = 0
        self.token = ""

    def __str__(self) -> str:
        return self.jid

    @classmethod
    async def login(
        cls, world: World, jid: str, presence: str | None = "<presence/>", resume: str = " resume='true'"
    ) -> "Phone":
        """Bind, enable stream management, and send a presence unless it is None."""
        phone = cls(world, await world.client(jid))
        await phone.enable(resume)
        if presence is not None:
            await phone.send(presence)
        return phone

    async def enable(self, attrs: str) -> None:
        """Send <enable/> with these attributes."""
        await self.client.send(f"<enable xmlns='{SM}'{attrs}/>")
        self.take()
        enabled = self.nonzas.pop()
        assert enabled.tag == f"{SM} enabled", enabled
        self.token = enabled.get("id") or ""
        self.received.clear()
        self.h = 0

    def take(self) -> list[Any]:
        """Read what has come; return the stanzas that are new."""
        events, self.client.connection.events = self.client.connection.events, []
        new: list[Any] = []
        for event in events:
            if isinstance(event, Stanza):
                new.append(event)
            elif isinstance(event, Element):
                self.nonzas.append(event)
        self.received += new
        self.h += len(new)
        return new

    async def send(self, *xml: str) -> list[Any]:
        """Send, and return the stanzas that came up to when the server was done."""
        await self.client.send(*xml)
        return self.take()

    def push(self, xml: str) -> None:
        """Send, and wait for nothing."""
        self.client.stream.receive(xml.encode())

    async def ack(self, h: int | None = None) -> None:
        """Acknowledge everything that came, or just `h`."""
        self.take()
        await self.send(f"<a xmlns='{SM}' h='{self.h if h is None else h}'/>")

    async def handled(self) -> int | None:
        """Ask for an acknowledgement; return its h, None when none came."""
        self.take()
        self.nonzas.clear()
        self.push(f"<r xmlns='{SM}'/>")
        await self.world.settle()
        self.take()
        found = [element for element in self.nonzas if element.tag == f"{SM} a"]
        return int(found[-1].get("h") or "") if found else None

    async def messages(self) -> list[Any]:
        """Return the messages that came since this was last asked, and forget all that came."""
        await self.world.settle()
        self.take()
        received, self.received = self.received, []
        return [stanza for stanza in received if isinstance(stanza, Message)]

    async def cut(self) -> None:
        """Lose the connection; what lies unread on it is lost."""
        await self.client.disconnect()
        self.client.connection.events.clear()

    async def resume(self, h: int | None = None) -> Element | None:
        """Connect anew and ask to resume; return the answer, None while there is none."""
        self.client = await self.world.login(self.jid.bare)
        self.nonzas.clear()
        self.push(resume_xml(self.token, self.h if h is None else h))
        await self.world.settle()
        self.take()
        return next((element for element in self.nonzas if element.name in ("resumed", "failed")), None)

    @property
    def resource(self) -> Any:
        """The server's side of it, None when it has ended."""
        return self.world.host(self.jid.domainpart).resource(self.jid)


def resume_xml(token: str, h: int) -> str:
    """Return <resume/>."""
    return f"<resume xmlns='{SM}' previd='{token}' h='{h}'/>"


def stream_error(client: Client) -> Element | None:
    """Return the stream error that a client got, None when there is none."""
    for event in client.connection.events:
        if isinstance(event, Element) and event.name == "error":
            return event
    return None


def is_closed(client: Client) -> bool:
    """Whether the server has closed the stream."""
    return client.connection.is_closing or any(
        isinstance(event, StreamClosed | StreamBroken) for event in client.connection.events
    )


def conditions(element: Element) -> list[str]:
    """Return the names of an error's children."""
    return [child.name for child in element.elements()]


def condition(stanza: Any) -> str:
    """Return the condition of a stanza error."""
    error = stanza.element("jabber:client error")
    assert stanza.type == "error" and error is not None, stanza.to_xml()
    return next(child.name for child in error.elements() if child.name != "text")


def body(message: Any) -> str:
    """Return a message's body, "" without one."""
    element = message.element("jabber:client body")
    return "" if element is None else element.text


def bodies(stanzas: Iterable[Any]) -> list[str]:
    """Return the bodies of messages; other stanzas are passed over."""
    return [body(stanza) for stanza in stanzas if isinstance(stanza, Message) and stanza.type != "error"]


def stanza_id(message: Any, by: str) -> str | None:
    """Return the id that `by` gave to a message; there is one at most."""
    found = [
        element.get("id") for element in message.elements() if element.tag == StanzaId.TAG and element.get("by") == by
    ]
    assert len(found) <= 1, message.to_xml()
    return found[0] if found else None


def delay_of(message: Any) -> Delay | None:
    """Return when a message was sent, None where it does not say."""
    try:
        delay: Delay | None = message.get(Delay)
    except PayloadError:
        return None
    return delay


def presences(stanzas: Iterable[Any]) -> list[Any]:
    """Return the presences among stanzas."""
    return [stanza for stanza in stanzas if isinstance(stanza, Presence)]


def chat(to: object, text: str, more: str = "", type_: str = "chat", id_: str = "") -> str:
    """Return a message with a body."""
    id_attr = f" id='{id_}'" if id_ else ""
    return f"<message to='{to}' type='{type_}'{id_attr}><body>{text}</body>{more}</message>"


def origin(id_: str) -> str:
    """Return <origin-id/>."""
    return f"<origin-id xmlns='urn:xmpp:sid:0' id='{id_}'/>"
