"""Accounts in memory and their bound resources.

An `Account` is in memory while it has resources, and for a while after; what modules keep of it are its parts. A `Resource` is
one bound full JID. Its stream may break and another take its place (XEP-0198): `stream` is None meanwhile.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar, cast

from codec.binary_tables import Tables
from codec.element import Element
from codec.jid import JID
from codec.stanza import Presence, Stanza
from xmppd.acks import Acks

T = TypeVar("T")


class StreamLike(Protocol):
    """What modules and resources may ask of a client's stream."""

    resource: "Resource | None"
    jid: JID | None
    login: Any
    """Its SASL exchanges (`xmppd.login.Login`), None while it may not log in."""
    claimed: JID | None
    """The bare JID that its header names, not proven."""

    @property
    def is_secure(self) -> bool:
        """Whether TLS protects it."""

    @property
    def is_connected(self) -> bool:
        """Whether its connection stands."""

    @property
    def is_congested(self) -> bool:
        """Whether its client reads more slowly than we write: what need not be sent now should wait."""

    @property
    def address(self) -> str:
        """The client's IP address, "" when not known."""

    def send(self, stanza: Stanza) -> None:
        """Send a stanza past all counting: `Resource.send` is what to use. It leaves with everything else of this turn of the loop."""

    def send_element(self, element: Element) -> None:
        """Send a direct child of the stream that is no stanza."""

    def told(self, jid: JID) -> None:
        """The client has been told its full JID."""

    def take_up(self) -> None:
        """What is sent next tells the client that its session is resumed on this stream."""

    def hand_over(self, resource: "Resource") -> None:
        """The resource goes on with another stream."""

    def wake(self) -> None:
        """Have the outbox looked at, and acknowledgements added, at the end of this turn of the event loop."""

    def ask_for_ack(self) -> None:
        """Send <r/> (XEP-0198)."""

    def end(self, condition: str, text: str | None = None, app: Element | None = None) -> None:
        """Send a stream error and close."""

    def close(self) -> None:
        """Close without an error."""

    # for those who log in by another profile than RFC 6120's

    def enter(self, jid: JID) -> None:
        """The client has proven that it is the account `jid`."""

    async def bind(self, host: Any, jid: JID, resourcepart: str) -> "Resource":
        """Bind a resource to this stream; no waiting after that. Raises StanzaError or StreamError."""

    def send_features(self) -> None:
        """Send the features that the stream has now."""


class Account:
    """A local account in memory.

    Attributes:
        jid: its bare JID. host: its `Host`.
        resources: resourcepart -> `Resource`, hibernating ones included.
        may_send: `hooks.account_sends` has been signalled since it was loaded.
    """

    __slots__ = ("_load", "_parts", "host", "jid", "may_send", "resources")

    def __init__(self, jid: JID, host: Any, load_part: Callable[["Account", type], Awaitable[Any]]) -> None:
        self.jid = jid
        self.host = host
        self.resources: dict[str, Resource] = {}
        self.may_send = False
        self._parts: dict[type, Any] = {}
        self._load = load_part

    def part(self, cls: type[T]) -> T:
        """Return what a module keeps of this account (loaded with the account)."""
        return self._parts[cls]  # type: ignore[no-any-return]

    def loaded_part(self, cls: type[T]) -> T | None:
        """Return a lazy part if it has been loaded, else None."""
        return self._parts.get(cls)

    async def load_part(self, cls: type[T]) -> T:
        """Return a lazy part, loading it at the first call."""
        part = self._parts.get(cls)
        if part is None:
            part = await self._load(self, cls)
            part = self._parts.setdefault(cls, part)  # another call may have been quicker
        return cast(T, part)

    def set_part(self, part: object) -> None:
        """Put a part in the place of the one of its class."""
        self._parts[type(part)] = part

    def drop_part(self, cls: type) -> None:
        """Forget a lazy part; it is loaded anew when next asked for."""
        self._parts.pop(cls, None)

    def available(self) -> list["Resource"]:
        """Return the available resources (RFC 6121 §4.2.1)."""
        return [resource for resource in self.resources.values() if resource.presence is not None]

    def __repr__(self) -> str:
        return f"<Account {self.jid} {list(self.resources)}>"


class Resource:
    """A bound resource.

    Attributes:
        jid: its full JID.
        presence: its last broadcast presence, None when not available.
        priority: of that presence (RFC 6121 §4.7.2.3).
        is_interested: it asked for the roster (RFC 6121 §2.2).
        stream: where its stanzas go, None while it hibernates or has ended.
        acks: its XEP-0198 state, None when not enabled.
        gate: takes a stanza on its way out and returns True when it keeps it back (XEP-0352), else None.
        on_delivered: called with (resource, stanza, archive id) for each stanza that has an archive id.
        keeper: asked when its connection is lost whether it stays (XEP-0198); None: it does not.
        is_ended: it is gone for good.
        tables: of the binary form of its last stream, asleep while it waits for the next one; None when that had none.
    """

    __slots__ = (
        "_states",
        "account",
        "acks",
        "gate",
        "is_ended",
        "is_interested",
        "jid",
        "keeper",
        "on_delivered",
        "presence",
        "priority",
        "stream",
        "tables",
    )

    def __init__(
        self,
        jid: JID,
        account: Account,
        stream: StreamLike,
        on_delivered: Callable[["Resource", Stanza, int], None],
    ) -> None:
        self.jid = jid
        self.account = account
        self.stream: StreamLike | None = stream
        self.presence: Presence | None = None
        self.priority = 0
        self.is_interested = False
        self.acks: Acks | None = None
        self.gate: Callable[[Stanza, int], bool] | None = None
        self.on_delivered = on_delivered
        self.keeper: Callable[[Resource], bool] | None = None
        self.is_ended = False
        self.tables: Tables | None = None
        self._states: dict[type, Any] | None = None

    @property
    def is_available(self) -> bool:
        """Whether it has sent available presence (RFC 6121 §4.2)."""
        return self.presence is not None

    def state(self, cls: type[T]) -> T:
        """Return what the module that owns `cls` remembers of this resource; made without arguments at first use."""
        if self._states is None:
            self._states = {}
        state = self._states.get(cls)
        if state is None:
            state = self._states[cls] = cls()
        return cast(T, state)

    def has_state(self, cls: type) -> bool:
        """Whether `state(cls)` has been made."""
        return self._states is not None and cls in self._states

    def send(self, stanza: Stanza, archive_id: int = 0) -> None:
        """Hand a stanza to the client: now, or when it resumes. `archive_id` 0: it stands in no history."""
        gate = self.gate
        if gate is None or not gate(stanza, archive_id):
            self.transmit(stanza, archive_id)

    def transmit(self, stanza: Stanza, archive_id: int = 0) -> None:
        """Hand a stanza to the client past the gate."""
        if self.is_ended:
            return
        acks = self.acks
        if acks is not None:
            acks.keep(stanza, archive_id)
        stream = self.stream
        if stream is not None:
            stream.send(stanza)
            if acks is None and archive_id:
                self.on_delivered(self, stanza, archive_id)

    def __repr__(self) -> str:
        return f"<Resource {self.jid} available={self.is_available}>"
