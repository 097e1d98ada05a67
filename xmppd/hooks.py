"""Every named point where a module may take part.

A `Filter` may change or refuse a stanza: its handlers get an event and return it, return None to end its way there (the stanza
is dealt with), or raise `StanzaError` to refuse it. A handler that breaks refuses it with internal-server-error. Handlers of
messages are plain functions; those of presence, iq and login may be coroutines.
A `Signal` only tells: a handler that breaks is logged and the rest run.

Handlers run by phase: CHECK, ANNOTATE, ARCHIVE, COPY, DELIVER, FALLBACK; within a phase in the order in which modules are loaded.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Generic, TypeVar

from codec.element import Element
from codec.jid import JID
from codec.stanza import IQ, Message, Presence, Stanza
from storage.interface import ArchiveCopy, Commit

E = TypeVar("E")

PIE = "urn:xmpp:pie:0"
"""The namespace of accounts in files (XEP-0227)."""


class Phase(IntEnum):
    """When a handler of a filter runs; the names say what belongs there."""

    CHECK = 1
    ANNOTATE = 2
    ARCHIVE = 3
    COPY = 4
    DELIVER = 5
    FALLBACK = 6


class Hook(Generic[E]):
    """A point where handlers may take part; `name` serves logs, `doc` people."""

    __slots__ = ("doc", "name")

    def __init__(self, name: str, doc: str) -> None:
        self.name = name
        self.doc = doc

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


class Filter(Hook[E]):
    """Handlers may change or refuse."""

    __slots__ = ()


class Signal(Hook[E]):
    """Handlers are told."""

    __slots__ = ()


# Events. They carry immutable stanzas; the events themselves are the notes that handlers make on the way.


@dataclass(slots=True)
class MessageEvent:
    """A message on its way through this server.

    Attributes:
        message: as it stands now; a handler that changes it puts another one here.
        sender: the `Account` it comes from, None for one from elsewhere.
        resource: the sender's `Resource`, or None.
        recipient: the local `Account` it is for, None while it is not known or when it is for elsewhere.
        id: its id in archives, given before delivery; 0 until then.
        targets: resources that get it, in the phases after DELIVER.
        copies: whose histories it goes into, written when the way is over.
        commit: what its acknowledgement waits for (promise 1), None when nothing.
        mark: 64-bit number of its origin-id and recipient, 0 without one.
        kept: the message as histories keep it, set when `copies` gets its first entry.
    """

    message: Message
    sender: Any = None
    resource: Any = None
    recipient: Any = None
    id: int = 0
    targets: tuple[Any, ...] = ()
    copies: list[ArchiveCopy] = field(default_factory=list)
    commit: Commit | None = None
    mark: int = 0
    kept: Message | None = None


@dataclass(slots=True)
class PresenceEvent:
    """A presence on its way. `account` is whose side this is; `resource` the sender's on the way out, None on the way in."""

    presence: Presence
    account: Any
    resource: Any = None


@dataclass(slots=True)
class IQEvent:
    """An iq on its way. `account` is whose side this is; `resource` the sender's on the way out, None on the way in."""

    iq: IQ
    account: Any
    resource: Any = None


@dataclass(slots=True)
class ResourceEvent:
    """Something happened to a `Resource`; `reason`: why it ended, "" otherwise."""

    resource: Any
    reason: str = ""


@dataclass(slots=True)
class PresenceChangedEvent:
    """A resource's own broadcast presence changed. `was_available` before; `resource.presence` is the new one (None: gone)."""

    resource: Any
    was_available: bool
    presence: Presence


@dataclass(slots=True)
class RecipientsEvent:
    """A presence of `account` is about to go to `recipients`, bare or full JIDs; put a shorter list there to keep it from some."""

    account: Any
    recipients: list[str]


@dataclass(slots=True)
class HistoryEvent:
    """A page of its account's history was sent to a resource.

    Attributes:
        ids: the archive ids on it, ascending.
        known_id: the resource asked for what comes after this id, in the whole history: it has everything up to it. 0: it did not.
    """

    resource: Any
    ids: list[int]
    known_id: int = 0


@dataclass(slots=True)
class DeliveredEvent:
    """A stanza has reached a resource: acknowledged (XEP-0198), or handed to the system where there are no acks."""

    resource: Any
    stanza: Stanza
    id: int


@dataclass(slots=True)
class UndeliveredEvent:
    """A resource ended with stanzas that it never acknowledged, oldest first, each with its archive id (0: none)."""

    resource: Any
    stanzas: list[tuple[Stanza, int]]


@dataclass(slots=True)
class AccountEvent:
    """An account was made, removed, or got another password."""

    jid: JID


@dataclass(slots=True)
class ClientsEvent:
    """Clients of an account lost their access (XEP-0494). `agents`: ids of their installations; `resources`: names of their sessions."""

    jid: JID
    agents: tuple[str, ...]
    resources: tuple[str, ...]


@dataclass(slots=True)
class RegistrationEvent:
    """A stranger wants to make an account (XEP-0077).

    Attributes:
        jid: of the account, None while they only ask what to fill in.
        is_allowed: at first whether everybody may; a handler changes it.
        invite: a note of whoever let them in by an invitation (XEP-0445).
        is_done: at the end: the account was made.
    """

    stream: Any
    jid: JID | None
    is_allowed: bool
    invite: Any = None
    is_done: bool = False


@dataclass(slots=True)
class FeaturesEvent:
    """The features a stream is about to offer: append to `features`. `stream.is_secure`, `stream.resource`, ... tell where it stands."""

    stream: Any
    features: list[Element]
    is_authenticated: bool


@dataclass(slots=True)
class DiscoEvent:
    """What disco#info (XEP-0030) says of the domain (`account` None) or of an account: add to it.

    For a node the lists are empty at first: whoever knows the node fills them, and they stay empty where nobody does.
    Whoever knows it and will not tell `asker` sets `error` to a condition of RFC 6120 §8.3.3.
    """

    account: Any
    node: str | None
    features: list[str]
    identities: list[Any]
    forms: list[Any]
    asker: JID | None = None
    error: str | None = None


@dataclass(slots=True)
class DiscoItemsEvent:
    """What disco#items (XEP-0030) lists under the domain or an account: add to it. Whoever knows the node sets `is_known`."""

    account: Any
    node: str | None
    items: list[Any]
    asker: JID | None = None
    is_known: bool = False


@dataclass(slots=True)
class AccessEvent:
    """Whether `asker` may learn what an account tells those who see its presence: whoever knows that it may sets `is_allowed`."""

    account: Any
    asker: JID
    is_allowed: bool = False


@dataclass(slots=True)
class BlockedEvent:
    """An account has blocked somebody (XEP-0191). `account`: its bare JID; `request`: the <block/> as it was sent."""

    account: JID
    request: Element


@dataclass(slots=True)
class CardEvent:
    """An account's vCard (XEP-0054) is given to `asker`, or kept for them: a handler puts another element into `card`."""

    account: Any
    asker: JID
    card: Element


@dataclass(slots=True)
class PrivateEvent:
    """An element of an account's private storage (XEP-0049) is given or kept: a handler puts another of the same tag into `element`."""

    account: Any
    element: Element


@dataclass(slots=True)
class NodeEvent:
    """Something changed at a node of an account (XEP-0060), and is written. `change`: what (`xmppd.pubsub.service.Change`)."""

    account: Any
    change: Any


@dataclass(slots=True)
class AbsentEvent:
    """A message that is worth keeping was sent to a room.

    Attributes:
        room: its bare JID. message: as occupants got it, without `to`; `from_` is who wrote it, as the room shows them.
        absent: bare JIDs of people with an account on this server: members of whom no client is in the room, and those of whom one
            is there and asleep (hibernating or inactive).
        id: its archive id; it is in the room's archive where the room has one.
    """

    room: JID
    message: Message
    absent: tuple[JID, ...]
    id: int


@dataclass(frozen=True, slots=True)
class UserAgent:
    """What a client says of itself when it logs in by XEP-0388; all may be "", and nothing of it goes to others.

    Attributes:
        id: UUID of the installation, in lower case, which stays the same from login to login; nobody has checked it.
        software, device: for people, cut short.
    """

    id: str = ""
    software: str = ""
    device: str = ""


@dataclass(slots=True)
class InlineEvent:
    """What XEP-0388's <inline/> is about to offer on a stream: append to `features`; what stands beside it goes to `beside`."""

    stream: Any
    features: list[Element] = field(default_factory=list)
    beside: list[Element] = field(default_factory=list)


@dataclass(slots=True)
class MechanismEvent:
    """A login by a mechanism that is not among those that the stream offers to everybody.

    Attributes:
        request: the <authenticate/> element. name: the mechanism that it asks for.
        mechanism: an attempt by it (`sasl.mechanism.Mechanism`); whoever knows the name puts it there.
    """

    stream: Any
    request: Element
    agent: UserAgent
    name: str
    mechanism: Any = None


@dataclass(slots=True)
class TasksEvent:
    """A client has proven who it is by XEP-0388: what is left to do before it is in.

    Attributes:
        jid, mechanism, request: as in `AuthenticatedEvent`.
        tasks: of `sasl.mechanism.Task`, done one after the other; append to it.
    """

    stream: Any
    jid: JID
    mechanism: str
    request: Element
    tasks: list[Any] = field(default_factory=list)


@dataclass(slots=True)
class AuthenticatedEvent:
    """A client has proven who it is by XEP-0388; what else its request asks for is done now.

    Attributes:
        jid: the account's bare JID. mechanism: how it was proven.
        request: the <authenticate/> element.
        resource: the `Resource` that the stream has got, None as yet.
        is_resumed: it is one that goes on, so no features follow.
        answers: what <success/> carries; append to it.
        afterwards: called without arguments when <success/> has been written.
    """

    stream: Any
    jid: JID
    mechanism: str
    request: Element
    agent: UserAgent
    resource: Any = None
    is_resumed: bool = False
    answers: list[Element] = field(default_factory=list)
    afterwards: list[Callable[[], None]] = field(default_factory=list)


@dataclass(slots=True)
class BindInlineEvent:
    """What XEP-0386's <inline/> is about to offer on a stream: append disco features to `features`."""

    stream: Any
    features: list[str] = field(default_factory=list)


@dataclass(slots=True)
class BindEvent:
    """A resource is bound by XEP-0386.

    Attributes:
        account: whose. request: the <bind/> element.
        resource: None until it is bound.
        answers: what <bound/> carries; append to it.
        history_end_id: the last archive id of the account's history, 0 when it is empty or there is none; the client is told, and
            reads for itself what it has missed up to it.
    """

    stream: Any
    account: Any
    request: Element
    resource: Any = None
    answers: list[Element] = field(default_factory=list)
    history_end_id: int = 0


@dataclass(slots=True)
class ExportEvent:
    """An account leaves for a file (XEP-0227): add what is kept of it to its <user/>.

    Attributes:
        jid: its bare JID. account: it itself.
        write: takes XML that stands where `PIE` is the default namespace.
    """

    jid: JID
    account: Any
    write: Callable[[bytes], None]

    def add(self, element: Element) -> None:
        """Add one element."""
        self.write(element.to_xml(PIE))


@dataclass(slots=True)
class ImportEvent:
    """An account comes out of a file (XEP-0227), one element after another: whoever keeps such an element does so, and says so.

    Attributes:
        jid: its bare JID. account: it itself, as yet closed to logins.
        element: a child of its <user/>, or of a list in there (messages, items).
        within: what is around it inside <user/>, without its other children; the list's own tag last.
        is_taken: somebody keeps it.
        problems: what could not be kept of it, a line for the operator each.
        commits: what must be done before the account counts as there.
    """

    jid: JID
    account: Any
    element: Element
    within: tuple[Element, ...] = ()
    is_taken: bool = False
    problems: list[str] = field(default_factory=list)
    commits: list[Awaitable[None]] = field(default_factory=list)


message_sent: Filter[MessageEvent] = Filter(
    "message_sent", "A message from a resource of a local account, before it is routed; not waiting."
)
message_received: Filter[MessageEvent] = Filter(
    "message_received",
    "A message for a local account; DELIVER hands it to resources, FALLBACK deals with none being there; not waiting.",
)
message_routed: Filter[MessageEvent] = Filter(
    "message_routed",
    "The way of a message is over, delivered or refused; what it left behind (`copies`) is written here; not waiting.",
)
presence_sent: Filter[PresenceEvent] = Filter(
    "presence_sent", "A presence from a resource of a local account; may wait."
)
presence_recipients: Filter[RecipientsEvent] = Filter(
    "presence_recipients", "An account's own presence is about to be sent to those who may see it; not waiting."
)
presence_received: Filter[PresenceEvent] = Filter("presence_received", "A presence for a local account; may wait.")
iq_sent: Filter[IQEvent] = Filter(
    "iq_sent", "An iq from a resource of a local account, before it is routed; not waiting."
)
iq_received: Filter[IQEvent] = Filter(
    "iq_received", "An iq for a full JID of a local account, before it is delivered; not waiting."
)

resource_bound: Signal[ResourceEvent] = Signal("resource_bound", "A resource is bound (RFC 6120 §7).")
resource_hibernates: Signal[ResourceEvent] = Signal(
    "resource_hibernates", "A resource lost its connection and waits to be resumed (XEP-0198)."
)
resource_active: Signal[ResourceEvent] = Signal(
    "resource_active", "A client says that somebody looks at it again (XEP-0352); not waiting."
)
resource_ended: Signal[ResourceEvent] = Signal(
    "resource_ended", "A resource is gone for good; its presence has been unavailable before."
)
presence_changed: Signal[PresenceChangedEvent] = Signal(
    "presence_changed", "A resource sent a broadcast presence, or ended while available; may wait."
)
stanza_delivered: Signal[DeliveredEvent] = Signal(
    "stanza_delivered", "A stanza with an archive id has reached a resource; not waiting."
)
stanzas_undelivered: Signal[UndeliveredEvent] = Signal(
    "stanzas_undelivered", "A resource ended with unacknowledged stanzas; may wait."
)
history_given: Signal[HistoryEvent] = Signal(
    "history_given", "A resource got a page of its history (XEP-0313); not waiting."
)
server_stops: Signal[None] = Signal(
    "server_stops", "The server stops: streams are about to be closed, one after another; not waiting."
)
room_message_for_absent: Signal[AbsentEvent] = Signal(
    "room_message_for_absent", "A room (XEP-0045) has members who are not there to see what was just said; not waiting."
)
account_sends: Signal[AccountEvent] = Signal(
    "account_sends", "An account is about to send its first message since it was loaded into memory; may wait."
)
clients_ended: Signal[ClientsEvent] = Signal(
    "clients_ended", "Clients of an account lose their tokens and sessions (XEP-0494); may wait."
)
registration_asked: Filter[RegistrationEvent] = Filter(
    "registration_asked", "A stranger asks for an account, or how to get one: whether they may; may wait."
)
registration_ended: Signal[RegistrationEvent] = Signal(
    "registration_ended", "What `registration_asked` let pass with a JID was done or has failed; may wait."
)
account_created: Signal[AccountEvent] = Signal("account_created", "An account was made by this server.")
account_deleted: Signal[AccountEvent] = Signal(
    "account_deleted", "An account is being removed: tell its contacts; may wait."
)

account_exported: Filter[ExportEvent] = Filter(
    "account_exported", "An account is being written into a file; may wait. Nothing goes on when a handler breaks."
)
account_imported: Filter[ImportEvent] = Filter(
    "account_imported",
    "Something of an account was read from a file; may wait. A StanzaError refuses this element alone.",
)

presence_access: Signal[AccessEvent] = Signal(
    "presence_access", "Somebody asks what only those may know who see an account's presence; may wait."
)

card_given: Filter[CardEvent] = Filter(
    "card_given", "An account's vCard, the empty one when there is none, is about to be sent to somebody; may wait."
)
card_kept: Filter[CardEvent] = Filter("card_kept", "An account's vCard is about to be kept; may wait.")
private_given: Filter[PrivateEvent] = Filter(
    "private_given", "An element of private storage, the empty one when there is none, is about to be sent; may wait."
)
private_kept: Filter[PrivateEvent] = Filter(
    "private_kept",
    "An element of private storage is about to be kept; one without attributes and children frees its place; may wait.",
)

jids_blocked: Signal[BlockedEvent] = Signal(
    "jids_blocked", "An account has blocked somebody, and it is written; may wait."
)

node_changed: Signal[NodeEvent] = Signal(
    "node_changed", "Something was published at a node of an account, or its items or itself went; may wait."
)

sasl2_inline: Signal[InlineEvent] = Signal(
    "sasl2_inline", "What can be asked for together with a login by XEP-0388 is about to be offered; not waiting."
)
sasl2_mechanism: Signal[MechanismEvent] = Signal(
    "sasl2_mechanism", "A login by XEP-0388 asks for a mechanism that only a module knows; not waiting."
)
sasl2_tasks: Signal[TasksEvent] = Signal(
    "sasl2_tasks",
    "A client has proven who it is by XEP-0388: the time to ask for more before it is in; may wait.",
)
sasl2_authenticated: Filter[AuthenticatedEvent] = Filter(
    "sasl2_authenticated",
    "A login by XEP-0388 has succeeded, and <success/> is about to be sent. CHECK: what needs no resource and may wait; COPY: a "
    "resource is resumed; DELIVER: one is bound where there is none yet. Whoever gives the stream a resource must not wait after "
    "that, nor may anybody behind it: what is sent to the resource would come before <success/>. None: the stream has ended.",
)
bind2_inline: Signal[BindInlineEvent] = Signal(
    "bind2_inline", "What can be asked for together with binding by XEP-0386 is about to be offered; not waiting."
)
bind2_requested: Signal[BindEvent] = Signal(
    "bind2_requested", "A resource is about to be bound by XEP-0386: the time to read what the answer needs; may wait."
)
bind2_bound: Signal[BindEvent] = Signal(
    "bind2_bound", "A resource has been bound by XEP-0386, and <bound/> is about to be sent; not waiting."
)

stream_features: Signal[FeaturesEvent] = Signal(
    "stream_features",
    "Stream features are about to be sent: they may depend on whether the stream is secure, logged in, bound and on its mechanisms, on "
    "nothing else, for they are remembered by that; not waiting.",
)
disco_info: Signal[DiscoEvent] = Signal("disco_info", "disco#info is being answered; not waiting.")
disco_node_asked: Signal[DiscoEvent] = Signal(
    "disco_node_asked",
    "disco#info of a node is about to be answered: the time to read what the answer needs; may wait.",
)
disco_items: Signal[DiscoItemsEvent] = Signal("disco_items", "disco#items is being answered; may wait.")

Handler = Callable[[Any], Any]
