"""The component that has a domain's rooms: finds the room that a stanza is for, makes new ones, lets old ones go.

Rooms that are kept but not in memory are read when something comes for them; what comes meanwhile waits in the room's queue.
"""

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from codec.element import parse_element
from codec.jid import JID
from codec.stanza import Message, Presence, Stanza
from storage.interface import ArchiveQuery, Commit, StorageError
from xmppd.clock import ID_SHIFT_BITS, time_of_id
from xmppd.errors import StanzaError, error_reply
from xmppd.rooms import entering, requests, talking
from xmppd.rooms.configuration import RoomConfig
from xmppd.rooms.dispatching import take
from xmppd.rooms.limits import CACHED_ROOMS, MAX_QUEUED, RETRIES_REMEMBERED, RETRIES_US
from xmppd.rooms.markup import BODY, MUC_X, RETRACTED, SUBJECT
from xmppd.rooms.roles import Affiliation
from xmppd.rooms.room import Room, Surroundings
from xmppd.rooms.storing import Store


class RoomService:
    """The rooms of one domain; a `Component`.

    Attributes:
        rooms: localpart -> those in memory.
    """

    def __init__(
        self, world: Surroundings, store: Store, spawn: Callable[[Coroutine[Any, Any, None]], object], log: Any
    ) -> None:
        self.world = world
        self.store = store
        self.rooms: dict[str, Room] = {}
        self._spawn = spawn
        self._log = log
        self._is_closed = False

    # what comes

    def take(self, stanza: Stanza) -> Commit | None:
        """Take a stanza for the domain, a room or an occupant; see `xmppd.component.Component`."""
        to, from_ = stanza.to, stanza.from_
        assert to is not None
        if from_ is None:
            raise StanzaError("bad-request", text="Nobody is named as the sender.")
        if self._is_closed:
            return None
        try:
            if not to.localpart:
                requests.take_for_service(self, stanza)
                return None
            room = self.rooms.get(to.localpart)
            if room is None and to.localpart in self.store.listed:
                room = self._wake(to)
            if room is None:
                self._for_nobody(stanza)
                return None
            if room.queue is not None:
                return self._wait(room, stanza)
            return take(room, stanza)
        except StanzaError as error:
            if not isinstance(stanza, Presence):
                raise
            entering.refuse(self.world, stanza, error)
            return None

    def _wait(self, room: Room, stanza: Stanza) -> Commit:
        assert room.queue is not None
        if len(room.queue) >= MAX_QUEUED:
            raise StanzaError("resource-constraint", text="The room is being opened; try again in a moment.")
        commit = Commit()
        room.queue.append((stanza, commit))
        return commit

    def _for_nobody(self, stanza: Stanza) -> None:
        """Deal with what is for a room that does not exist."""
        assert stanza.to is not None and stanza.from_ is not None
        if isinstance(stanza, Presence):
            if stanza.type:
                return
            if stanza.has(MUC_X):
                self._make(stanza)
                return
            entering.tell_not_there(self.world, stanza)
        elif stanza.type not in ("error", "result"):
            raise StanzaError("item-not-found", text="There is no such room.")

    # making rooms

    def _make(self, presence: Presence) -> None:
        """Make a room for whoever enters one that does not exist (§10.1)."""
        assert presence.to is not None and presence.from_ is not None
        creator = presence.from_.bare
        self._check_may_make(creator)
        room = self.create(presence.to.bare, creator)
        room.is_locked = True
        try:
            entering.check_may_enter(room, presence)
            entering.enter(room, presence, (201,))
        except StanzaError:
            self.vanish(room)
            raise
        self._log.info("room_made", room=room.jid)

    def _check_may_make(self, creator: JID) -> None:
        world, settings = self.world, self.world.settings
        if world.is_admin(creator):
            return
        if settings.create == "admins" or (settings.create == "local" and not world.is_ours(creator.domainpart)):
            raise StanzaError("not-allowed", text="You may not make rooms here.")
        most = settings.max_rooms_per_account
        temporary = sum(
            room.creator == creator and room.jid.localpart not in self.store.listed for room in self.rooms.values()
        )
        if most and self.store.made_by(creator) + temporary >= most:
            raise StanzaError("not-allowed", text="You have as many rooms as this server lets one account make.")

    def create(self, jid: JID, creator: JID) -> Room:
        """Return a new room, owned by its creator; it is not kept yet."""
        settings = self.world.settings
        config = RoomConfig(history_length=settings.history, is_archived=settings.archive and self.world.may_archive)
        room = Room(jid, config, self.world, creator)
        room.set_affiliation(creator, Affiliation.OWNER)
        self.store.forget(room, with_history=True)  # of a temporary one of that name which a crash has ended
        self.rooms[jid.localpart] = room
        return room

    def vanish(self, room: Room) -> Commit | None:
        """Forget a room for good: nobody is in it and it is not to stay, or it was destroyed; returns when that is kept."""
        if self.rooms.get(room.jid.localpart) is room:
            del self.rooms[room.jid.localpart]
        room.is_gone = True
        self._log.info("room_gone", room=room.jid)
        return self.store.forget(room, with_history=True)

    # reading rooms

    def _wake(self, to: JID) -> Room:
        """Begin to read a room; what comes for it waits."""
        room = Room(to.bare, RoomConfig(), self.world)
        room.queue = deque()
        self._make_space()
        self.rooms[to.localpart] = room
        self._spawn(self._read(room))
        return room

    def _make_space(self) -> None:
        """Let rooms that are kept and empty leave memory when there are many."""
        if len(self.rooms) < CACHED_ROOMS:
            return
        for localpart, room in list(self.rooms.items()):
            if not room.occupants.by_session and room.queue is None and not room.entering and not room.queries:
                del self.rooms[localpart]
            if len(self.rooms) < CACHED_ROOMS:
                return

    async def _read(self, room: Room) -> None:
        error: StorageError | None = None
        try:
            if not await self.store.load(room):
                raise StorageError(f"{room.jid} is listed and not kept")
            await self._read_messages(room)
        except StorageError as found:
            error = found
            self._log.error("room_not_read", room=room.jid, reason=str(found))
            del self.rooms[room.jid.localpart]
        queue, room.queue = room.queue, None
        for stanza, commit in queue or ():
            if error is not None:
                self._refuse(stanza, StanzaError("internal-server-error"))
                commit.finish()
            else:
                self._take_late(room, stanza, commit)

    async def _read_messages(self, room: Room) -> None:
        """Read the last messages and the marks of those lately sent."""
        world = self.world
        if not room.is_archived:
            return
        if room.config.history_length:
            query = ArchiveQuery(limit=room.config.history_length, newest_first=True)
            for kept in (await world.archive.query(room.jid, query)).messages:
                message = talking.with_stanza_id(room, message_of(kept.stanza), kept.id)
                if BODY in message.tags or not (SUBJECT in message.tags or RETRACTED in message.tags):
                    room.history.add(message, time_of_id(kept.id), kept.id)
        since_id = (world.clock.now_us() - RETRIES_US) << ID_SHIFT_BITS
        marks = await world.archive.recent_marks(room.jid, since_id, RETRIES_REMEMBERED)
        room.marks = dict.fromkeys(sorted(marks, key=marks.__getitem__))

    def _take_late(self, room: Room, stanza: Stanza, commit: Commit) -> None:
        try:
            result = self.take(stanza) if room.is_gone else take(room, stanza)
        except StanzaError as error:
            self._refuse(stanza, error)
            commit.finish()
            return
        if result is None:
            commit.finish()
        else:
            result.add_done_callback(lambda done: commit.finish(done.error))

    def _refuse(self, stanza: Stanza, error: StanzaError) -> None:
        if isinstance(stanza, Presence):
            entering.refuse(self.world, stanza, error)
            return
        reply = error_reply(stanza, error)
        if reply is not None:
            self.world.outlet.send(reply)

    async def forget_person(self, jid: JID) -> None:
        """Forget, in all rooms, somebody whose account is erased: affiliation, nickname, that they made it. Bans stay.

        Raises:
            StorageError: it could not be written.
        """
        commits: list[Commit | None] = []
        for localpart in list(self.store.listed):
            room = self.rooms.get(localpart)
            if room is None or room.queue is not None:
                commits.append(await self.store.forget_person(localpart, jid))
            else:
                commits += self._forget_in(room, jid)
        for commit in commits:
            if commit is not None:
                await commit

    def _forget_in(self, room: Room, jid: JID) -> list[Commit | None]:
        commits: list[Commit | None] = []
        known = room.people.get(jid)
        if known is not None and known.affiliation is not Affiliation.OUTCAST:
            del room.people[jid]
            room.people_changed()
            commits.append(self.store.save_people(room, [jid]))
        if room.creator == jid:
            room.creator = None
            commits += [self.store.save(room), self.store.forget_creator(room.jid.localpart)]
        return commits

    def close(self) -> None:
        """Tell all occupants that the service ends (§14.2), and take nothing more: everybody is about to leave every room."""
        self._is_closed = True
        for room in list(self.rooms.values()):
            entering.empty(room, "", (332,))
            if room.may_vanish:
                self.vanish(room)


def message_of(xml: bytes) -> Message:
    """Return a message as an archive keeps it."""
    element = parse_element(xml)
    from_, id_ = element.get("from"), element.get("id")
    message = Message(None, None if from_ is None else JID.parse(from_), id_, element.get("type") or "normal")
    lang = element.get("http://www.w3.org/XML/1998/namespace lang")
    if lang is not None:
        message = message.replace(lang=lang)
    return message.adding(*element.elements())
