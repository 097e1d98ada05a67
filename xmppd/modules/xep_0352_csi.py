"""XEP-0352: Client State Indication.

A client that says it is inactive is spared what nobody looks at: presence and chat states (the last one of each full JID), and
events of pubsub. They wait in the resource's gate, in order. Whatever else comes, and the client becoming active, brings out
first what waits, so that the order stays as it was; but a chat state that the message itself makes old is not sent any more.
What stands in a history never waits.
"""

import functools
from dataclasses import dataclass, field

from codec.element import Element
from codec.stanza import Message, Presence, Stanza
from xmppd.hooks import (
    BindEvent,
    BindInlineEvent,
    FeaturesEvent,
    ResourceEvent,
    bind2_bound,
    bind2_inline,
    resource_active,
    resource_ended,
    resource_hibernates,
    stream_features,
)
from xmppd.module import Module, nonza, on
from xmppd.resource import Resource, StreamLike

NS = "urn:xmpp:csi:0"

MAX_HELD_STANZAS = 200
MAX_HELD_BYTES = 262_144
"""What may wait for one client, as large as the largest stanza; beyond either number all of it is sent."""

BODY = "jabber:client body"
EVENT = "http://jabber.org/protocol/pubsub#event event"
MUC_USER_NS = "http://jabber.org/protocol/muc#user"
FORWARDED = "urn:xmpp:forward:0 forwarded"
CARBONS = frozenset(("urn:xmpp:carbons:2 received", "urn:xmpp:carbons:2 sent"))
CHAT_STATES = frozenset(
    f"http://jabber.org/protocol/chatstates {state}" for state in ("active", "composing", "gone", "inactive", "paused")
)
BESIDE_CHAT_STATES = frozenset(
    (
        "jabber:client thread",
        "urn:xmpp:hints no-copy",
        "urn:xmpp:hints no-permanent-store",
        "urn:xmpp:hints no-store",
        "urn:xmpp:sid:0 origin-id",
        "urn:xmpp:sid:0 stanza-id",
    )
)


@dataclass(slots=True)
class Held:
    """What waits for one inactive client.

    Attributes:
        stream: the one on which it said so: its state does not outlive its stream (§5).
        stanzas: in the order in which they go out; a presence under the full JID it is from, a chat state under that and a word,
            others under a number.
    """

    stream: StreamLike | None = None
    stanzas: dict[object, Stanza] = field(default_factory=dict)
    size_bytes: int = 0
    count: int = 0

    def add(self, stanza: Stanza) -> None:
        """Put a stanza behind those that wait; a presence or chat state goes in the place of the sender's last one."""
        if isinstance(stanza, Presence):
            key: object = stanza.from_
        elif _is_chat_state_alone(stanza.tags):
            key = _state_key(stanza)
        else:
            self.count += 1
            key = self.count
        self.drop(key)
        self.stanzas[key] = stanza
        self.size_bytes += stanza.size_bytes

    def drop(self, key: object) -> None:
        """Forget what waits under a key, if anything."""
        replaced = self.stanzas.pop(key, None)
        if replaced is not None:
            self.size_bytes -= replaced.size_bytes

    @property
    def is_full(self) -> bool:
        """Whether no more may wait."""
        return len(self.stanzas) >= MAX_HELD_STANZAS or self.size_bytes >= MAX_HELD_BYTES


class ClientStateModule(Module, xep=352):
    """Hold back what an inactive client need not see at once."""

    @on(stream_features)
    def offer(self, event: FeaturesEvent) -> None:
        """Offer it once the client has logged in (§4)."""
        if event.is_authenticated:
            event.features.append(Element(f"{NS} csi"))

    @on(bind2_inline)
    def offer_inline(self, event: BindInlineEvent) -> None:
        """Let a session begin inactive (XEP-0386 §3.2)."""
        event.features.append(NS)

    @on(bind2_bound)
    def begin(self, event: BindEvent) -> None:
        """Begin inactive where the client says so; it is active otherwise."""
        if event.request.find(f"{NS} inactive") is not None:
            _close(event.resource, event.stream)

    @nonza(f"{NS} inactive")
    def became_inactive(self, stream: StreamLike, _: Element) -> None:
        """Begin to hold back. Before a resource is bound there is nothing to hold."""
        if stream.resource is not None:
            _close(stream.resource, stream)

    @nonza(f"{NS} active")
    def became_active(self, stream: StreamLike, _: Element) -> None:
        """Send what waits, and hold nothing back any more."""
        if stream.resource is not None:
            _open(stream.resource)
            self.host.signal(resource_active, ResourceEvent(stream.resource))

    @on(resource_hibernates)
    def lost_connection(self, event: ResourceEvent) -> None:
        """Count what waits as sent, so that it is kept with all else that the client gets when it resumes (XEP-0198)."""
        _open(event.resource)

    @on(resource_ended)
    def ended(self, event: ResourceEvent) -> None:
        """Nobody will see what waits; a new session is told of presence anew."""
        event.resource.gate = None


def _close(resource: Resource, stream: StreamLike) -> None:
    resource.state(Held).stream = stream
    resource.gate = functools.partial(_gate, resource)


def _gate(resource: Resource, stanza: Stanza, archive_id: int) -> bool:
    """Keep a stanza back (True), or let it and all that waits pass."""
    held = resource.state(Held)
    if resource.stream is not held.stream:
        _open(resource)  # it was resumed on another stream, where it is active
    elif not archive_id and can_wait(stanza):
        held.add(stanza)
        if held.is_full:
            _send_held(resource)
        return True
    else:
        if isinstance(stanza, Message) and BODY in stanza.tags:
            held.drop(_state_key(stanza))  # whoever was typing has sent it
        _send_held(resource)
    return False


def _open(resource: Resource) -> None:
    if resource.gate is not None:
        resource.gate = None
        _send_held(resource)


def _send_held(resource: Resource) -> None:
    held = resource.state(Held)
    stanzas, held.stanzas, held.size_bytes = held.stanzas, {}, 0
    for stanza in stanzas.values():
        resource.transmit(stanza)


def can_wait(stanza: Stanza) -> bool:
    """Whether a stanza is worth nothing to a client that nobody looks at."""
    if isinstance(stanza, Presence):
        return stanza.type in ("", "unavailable") and not _is_own_in_room(stanza)
    if not isinstance(stanza, Message) or stanza.type == "error":
        return False
    if not CARBONS.isdisjoint(stanza.tags):
        return _carries_chat_state(stanza)
    if EVENT in stanza.tags:
        return BODY not in stanza.tags
    return _is_chat_state_alone(stanza.tags)


def _is_own_in_room(presence: Presence) -> bool:
    """Whether it tells the client about itself in a room: it has joined, or was thrown out (XEP-0045 §7.2.2)."""
    about = presence.element(f"{MUC_USER_NS} x")
    return about is not None and any(status.get("code") == "110" for status in about.find_all(f"{MUC_USER_NS} status"))


def _state_key(stanza: Stanza) -> object:
    return stanza.from_, "chat state"


def _is_chat_state_alone(tags: tuple[str, ...]) -> bool:
    return not CHAT_STATES.isdisjoint(tags) and all(tag in CHAT_STATES or tag in BESIDE_CHAT_STATES for tag in tags)


def _carries_chat_state(carbon: Message) -> bool:
    """Whether a copy (XEP-0280) is one of a chat state alone."""
    if b"<body" in carbon.inner:
        return False  # most are, and need not be parsed
    for wrapper in carbon.elements():
        forwarded = wrapper.find(FORWARDED)
        message = None if forwarded is None else forwarded.find("jabber:client message")
        if message is None or not _is_chat_state_alone(tuple(child.tag for child in message.elements())):
            return False
    return True
