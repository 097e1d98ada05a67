"""A room: what it is and who belongs to it. What happens in it is in the files beside this one.

A room is in memory while somebody is in it, and for a while after. One that is being read from storage has a `queue`: what comes for
it meanwhile waits there, in order.
"""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from codec.jid import JID
from codec.payloads.disco import Items
from codec.stanza import IQ, Message, Presence, Stanza
from storage.interface import ArchiveStore, Commit
from xmppd.clock import Clock, Ids
from xmppd.config import RoomsConfig
from xmppd.opaque_ids import OpaqueIds
from xmppd.rooms.configuration import RoomConfig
from xmppd.rooms.history import History
from xmppd.rooms.limits import ENTRIES_BURST, ENTRIES_PER_S
from xmppd.rooms.nicks import keys_of
from xmppd.rooms.occupants import Occupant, Occupants, Session
from xmppd.rooms.outlet import Outlet
from xmppd.rooms.rates import Bucket
from xmppd.rooms.roles import Affiliation, Role

RoomIQ = Callable[["Room", IQ], "IQ | Commit | None"]


@dataclass(slots=True)
class Known:
    """Somebody whom a room knows: a bare JID, or a domain that is banned.

    Attributes:
        nick: its reserved nickname, "" for none. reason: why it is what it is.
        more: what modules keep of it (its hats).
    """

    affiliation: Affiliation
    nick: str = ""
    reason: str = ""
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subject:
    """A subject: who set it (an occupant JID), when, and the message's text."""

    text: str
    by: JID
    at: datetime


class Keeper(Protocol):
    """Where rooms are kept (`storing.Store`)."""

    def save(self, room: "Room") -> Commit | None:
        """Write a room's settings, subject and what modules keep of it; None when it is not kept."""

    def save_people(self, room: "Room", jids: Iterable[JID]) -> Commit | None:
        """Write what a room knows of these; None when the room is not kept."""

    def forget(self, room: "Room", *, with_history: bool) -> Commit | None:
        """Remove what is kept of a room, with its history or without; None when nothing is."""


@dataclass(slots=True)
class Extensions:
    """What modules add to every room.

    Attributes:
        features: called with a room: what its disco#info lists besides.
        iqs: (type, payload's tag) -> who answers such a request to a room: the answer, what an empty answer waits for, or None when it
            comes later.
        presence: called with (room, occupant): XML that its presence carries, with the tag of it, or None.
        info: called with a room: more values of its roominfo form.
        messages: called with (room, occupant, message) before a message to all is passed on.
        welcome: called with (room, session) when a client has entered, before it gets the history.
        nodes: called with (room, asker's bare JID, node): disco#items of that node, None where it is not known.
    """

    features: list[Callable[["Room"], Iterable[str]]] = field(default_factory=list)
    iqs: dict[tuple[str, str], RoomIQ] = field(default_factory=dict)
    presence: list[Callable[["Room", Occupant], tuple[bytes, str] | None]] = field(default_factory=list)
    info: list[Callable[["Room"], dict[str, Any]]] = field(default_factory=list)
    messages: list[Callable[["Room", Occupant, Message], None]] = field(default_factory=list)
    welcome: list[Callable[["Room", Session], None]] = field(default_factory=list)
    nodes: list[Callable[["Room", JID, str], Items | None]] = field(default_factory=list)


@dataclass(slots=True)
class Surroundings:
    """What rooms need of the server.

    Attributes:
        domain: of the rooms. secret: behind occupant ids.
        may_archive: whether the server keeps messages at all.
        is_lasting: whether a message is worth keeping, its type aside.
        is_admin: whether a bare JID is an administrator of the server, who owns every room.
        tell_absent: called with (room, message, members who are not there, archive id).
        is_ours: whether a domain is a virtual host of this server.
        vanish: called when a room is to be forgotten.
    """

    domain: JID
    secret: bytes
    settings: RoomsConfig
    clock: Clock
    ids: Ids
    archive: ArchiveStore
    archive_ids: OpaqueIds
    outlet: Outlet
    keeper: Keeper
    may_archive: bool
    is_lasting: Callable[[Message], bool]
    is_admin: Callable[[JID], bool]
    is_ours: Callable[[str], bool]
    tell_absent: Callable[["Room", Message, tuple[JID, ...], int], None]
    vanish: Callable[["Room"], Commit | None]
    later: Callable[[float, Callable[[], None]], object]
    extensions: Extensions = field(default_factory=Extensions)


class Room:
    """One room.

    Attributes:
        jid: its bare JID. config: its settings.
        people: bare JID (or banned domain) -> what it knows of it.
        is_locked: it was just made and awaits its settings (§10.1): nobody else gets in.
        is_gone: it was destroyed.
        creator: who made it.
        marks: of messages lately sent -> what their acknowledgement waits for, None for those read back.
        relayed: id under which a request was passed on -> (asker's full JID, its id, bare JID of who was asked, the
            occupant JID under which it was).
        entering: those who wait to enter, in order.
        more: what modules keep of it, as JSON holds it.
    """

    def __init__(self, jid: JID, config: RoomConfig, world: Surroundings, creator: JID | None = None) -> None:
        self.jid = jid
        self.config = config
        self.world = world
        self.creator = creator
        self.people: dict[JID, Known] = {}
        self.occupants = Occupants()
        self.subject: Subject | None = None
        self.history = History(jid, config.history_length)
        self.is_locked = False
        self.is_gone = False
        self.queue: deque[tuple[Stanza, Commit]] | None = None
        self.marks: dict[int, Commit | None] = {}
        self.relayed: dict[str, tuple[JID, str, JID, JID]] = {}
        self.entering: dict[JID, Presence] = {}
        self.entries = Bucket(ENTRIES_PER_S, ENTRIES_BURST, world.clock.monotonic())
        self.queries = 0
        self.more: dict[str, Any] = {}
        self._absent: tuple[JID, ...] | None = None
        self._reserved: dict[str, JID] | None = None

    # who is what

    def affiliation_of(self, bare: JID) -> Affiliation:
        """Return what somebody is to the room; administrators of the server own every room, and a banned domain bans all of it."""
        if self.world.is_admin(bare):
            return Affiliation.OWNER
        known = self.people.get(bare)
        if known is not None:
            return known.affiliation
        banned = self.people.get(JID.parse(bare.domainpart))
        return Affiliation.NONE if banned is None else banned.affiliation

    def with_affiliation(self, affiliation: Affiliation) -> list[tuple[JID, Known]]:
        """Return those who have an affiliation."""
        return [(jid, known) for jid, known in self.people.items() if known.affiliation is affiliation]

    def owners(self) -> list[JID]:
        """Return the room's own owners."""
        return [jid for jid, _ in self.with_affiliation(Affiliation.OWNER)]

    def reserved_by(self, nick: str) -> JID | None:
        """Return who has reserved a nickname, or one that counts as the same."""
        if self._reserved is None:
            self._reserved = {
                key: jid for jid, known in self.people.items() if known.nick for key in keys_of(known.nick)
            }
        return next((self._reserved[key] for key in keys_of(nick) if key in self._reserved), None)

    def reserve(self, bare: JID, nick: str) -> None:
        """Reserve a nickname for somebody the room knows, in the place of the last one; "" reserves none."""
        self.people[bare].nick = nick
        self._reserved = None

    def set_affiliation(self, bare: JID, affiliation: Affiliation, reason: str = "") -> None:
        """Give somebody an affiliation; who has none and no reserved nickname is forgotten."""
        known = self.people.get(bare)
        if affiliation is Affiliation.NONE:
            self.people.pop(bare, None)
        elif known is None:
            self.people[bare] = Known(affiliation, "", reason)
        else:
            known.affiliation, known.reason = affiliation, reason
            if affiliation is Affiliation.OUTCAST:
                known.nick = ""
        self.people_changed()

    # those who are not there

    def people_changed(self) -> None:
        """Who belongs to the room has changed."""
        self._absent = None
        self._reserved = None

    def presence_changed(self) -> None:
        """Who is there has changed."""
        self._absent = None

    def absent_members(self) -> tuple[JID, ...]:
        """Return the members with an account on this server who are not in the room."""
        if self._absent is None:
            present, is_ours = self.occupants.by_account, self.world.is_ours
            self._absent = tuple(
                jid
                for jid, known in self.people.items()
                if known.affiliation >= Affiliation.MEMBER and jid not in present and is_ours(jid.domainpart)
            )
        return self._absent

    @property
    def is_archived(self) -> bool:
        """Whether its messages are kept in an archive."""
        return self.config.is_archived and self.world.may_archive

    # limits

    @property
    def most_occupants(self) -> int:
        """How many may be in it; admins and owners are let in beyond that."""
        return self.config.max_occupants or self.world.settings.max_occupants

    def may_see_jids(self, occupant: Occupant) -> bool:
        """Whether an occupant sees real JIDs."""
        return self.config.is_non_anonymous or occupant.role is Role.MODERATOR

    @property
    def may_vanish(self) -> bool:
        """Whether it is to be forgotten: nobody is in it, and it is not to stay."""
        return not self.occupants.by_session and not self.entering and (not self.config.is_persistent or self.is_locked)
