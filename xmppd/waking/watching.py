"""Who has a message already, and who only seems to.

A device sleeps on while a client that has its session, or another one that is in use, takes the message. Such a client may be gone
without our knowing: when it has not acknowledged within some seconds, the device is woken after all.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from codec.stanza import Message
from xmppd.resource import Account, Resource
from xmppd.waking.registrations import Registration

MAX_WATCHED = 200
"""Conversations that are watched for one account at once, times its devices; beyond it the oldest is woken for at once."""
AWAY = ("away", "xa", "dnd")

Woken = Callable[[Registration, Any], None]


@dataclass(slots=True)
class Sent:
    """A message on its way to clients: its archive id (0: none), and when it should have been acknowledged."""

    message: Message
    id: int
    due_s: float
    occasion: Any


@dataclass(slots=True)
class Entry:
    """What one device would be woken for: the first message of a conversation that is not acknowledged, and the newest."""

    registration: Registration
    probes: tuple[Resource, ...]
    first: Sent
    newest: Sent


@dataclass(slots=True)
class Watch:
    """What is watched for an account; `timer` runs while there is something."""

    entries: dict[tuple[str, str], Entry] = field(default_factory=dict)
    timer: Any = None

    def add(
        self, registration: Registration, conversation: str, probes: tuple[Resource, ...], sent: Sent
    ) -> Entry | None:
        """Watch a message; return an entry that there is no more room for."""
        key = (registration.key, conversation)
        entry = self.entries.get(key)
        if entry is not None:
            entry.newest, entry.probes = sent, probes
            return None
        oldest = self.entries.pop(next(iter(self.entries))) if len(self.entries) >= MAX_WATCHED else None
        self.entries[key] = Entry(registration, probes, sent, sent)
        return oldest

    def acknowledged(self, resource: Resource, id_: int) -> None:
        """Note that a client has a message."""
        gone = []
        for key, entry in self.entries.items():
            if resource in entry.probes:
                if entry.newest.id and id_ >= entry.newest.id:
                    gone.append(key)
                elif entry.first.id and id_ >= entry.first.id:
                    entry.first = entry.newest
        for key in gone:
            del self.entries[key]

    def due(self, now_s: float, lost: Resource | None = None) -> list[Entry]:
        """Take out what nobody has acknowledged in time, or what only `lost` had, a client whose connection broke."""
        found = []
        for key, entry in list(self.entries.items()):
            if lost is not None and lost not in entry.probes:
                continue
            if lost is None and entry.first.due_s > now_s:
                continue
            if any(has_taken(probe, entry.newest) for probe in entry.probes):
                del self.entries[key]
            elif lost is None and any(has_taken(probe, entry.first) for probe in entry.probes):
                entry.first = entry.newest
            else:
                del self.entries[key]
                found.append(entry)
        return found

    def next_due_s(self) -> float | None:
        """Return when to look again, None when nothing is watched."""
        return min((entry.first.due_s for entry in self.entries.values()), default=None)


def has_taken(resource: Resource, sent: Sent) -> bool:
    """Whether a client has acknowledged a message. One that has ended has not: it would have told by then."""
    acks = resource.acks
    if resource.is_ended or acks is None:
        return False
    return not any(_is_same(stanza, id_, sent) for stanza, id_ in acks.unacked)


def _is_same(stanza: Any, id_: int, sent: Sent) -> bool:
    if stanza is sent.message or (sent.id and id_ == sent.id):
        return True
    # what a room sends goes out with another `to` for each client, and stands in nobody's own history
    is_of_room = not id_ and sent.message.type == "groupchat" and sent.message.id is not None
    return is_of_room and stanza.id == sent.message.id and stanza.from_ == sent.message.from_


def session_of(account: Account, registration: Registration, agent_of: Callable[[Resource], str]) -> Resource | None:
    """Return the session of a device: that of its installation, else the one under the name it registered with."""
    if registration.agent:
        for resource in account.resources.values():
            if agent_of(resource) == registration.agent:
                return resource
    return account.resources.get(registration.resource) if registration.resource else None


def is_connected(resource: Resource) -> bool:
    """Whether a session has a connection, as far as we know."""
    return resource.stream is not None and resource.stream.is_connected


def is_inactive(resource: Resource) -> bool:
    """Whether a client says that nobody looks at it (XEP-0352)."""
    return resource.gate is not None


def is_in_use(resource: Resource) -> bool:
    """Whether somebody seems to sit before a client: it takes messages, and says neither that it is away nor inactive."""
    presence = resource.presence
    if presence is None or resource.priority < 0 or not is_connected(resource) or is_inactive(resource):
        return False
    show = presence.element("jabber:client show")
    return show is None or show.text.strip() not in AWAY
