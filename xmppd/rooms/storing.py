"""How rooms are kept: settings and what modules keep of a room as one value, people one by one, and a list of all rooms.

Values are JSON, so that an operator can read them. A room that is not persistent is not kept; it ends with its last occupant.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from codec.jid import JID
from storage.interface import Backend, Commit, KeyValStore, MapStore
from xmppd.component import both
from xmppd.rooms.configuration import RoomConfig
from xmppd.rooms.roles import Affiliation
from xmppd.rooms.room import Known, Room, Subject


class Listed:
    """What is known of a room that is not in memory."""

    __slots__ = ("creator", "is_public", "name")

    def __init__(self, name: str, is_public: bool, creator: str) -> None:
        self.name = name
        self.is_public = is_public
        self.creator = creator


class Store:
    """The rooms of one domain in storage.

    Attributes:
        listed: localpart -> what is known of each persistent room; read once, by `open`.
    """

    def __init__(self, backend: Backend, domain: JID, rooms: KeyValStore, people: MapStore, index: MapStore) -> None:
        self._backend = backend
        self._domain = domain
        self._rooms = rooms
        self._people = people
        self._index = index
        self.listed: dict[str, Listed] = {}
        self._made_by: Counter[str] = Counter()

    async def open(self) -> None:
        """Read the list of rooms."""
        for localpart, value in (await self._index.items(self._domain)).items():
            found = json.loads(value)
            self._list(localpart, Listed(found["name"], found["public"], found["creator"]))

    def _list(self, localpart: str, listed: Listed) -> None:
        if localpart not in self.listed:
            self._made_by[listed.creator] += 1
        self.listed[localpart] = listed

    async def load(self, room: Room) -> bool:
        """Fill a room with what is kept of it; False when nothing is."""
        value = await self._rooms.get(room.jid)
        if value is None:
            return False
        _read_room(room, json.loads(value))
        for jid, kept in (await self._people.items(room.jid)).items():
            room.people[JID.parse(jid)] = _read_known(json.loads(kept))
        room.people_changed()
        return True

    def save(self, room: Room) -> Commit | None:
        """Write a room's settings, subject and what modules keep of it; None when it is not kept."""
        if not room.config.is_persistent or room.is_locked or room.is_gone:
            return None
        commit = self._rooms.set(room.jid, _json(_room(room)))
        listed = Listed(room.config.name, room.config.is_public, room.creator or "")
        before = self.listed.get(room.jid.localpart)
        if before is None or (before.name, before.is_public) != (listed.name, listed.is_public):
            self._list(room.jid.localpart, listed)
            value = {"name": listed.name, "public": listed.is_public, "creator": listed.creator}
            commit = both(commit, self._index.update(self._domain, {room.jid.localpart: _json(value)})) or commit
        return commit

    def save_people(self, room: Room, jids: Iterable[JID]) -> Commit | None:
        """Write what a room knows of these; None when the room is not kept."""
        if not room.config.is_persistent or room.is_locked or room.is_gone:
            return None
        put: dict[str, bytes] = {jid: _json(_known(room.people[jid])) for jid in jids if jid in room.people}
        return self._people.update(room.jid, put, [jid for jid in jids if jid not in room.people])

    def forget(self, room: Room, *, with_history: bool) -> Commit | None:
        """Remove what is kept of a room; with its history when it is to be gone for good."""
        commit: Commit | None = None
        listed = self.listed.pop(room.jid.localpart, None)
        if listed is not None:
            self._made_by[listed.creator] -= 1
            commit = self._index.update(self._domain, {}, [room.jid.localpart])
            commit = both(commit, self._rooms.delete(room.jid))
            commit = both(commit, self._people.clear(room.jid))
        if with_history:
            commit = both(commit, self._backend.erase(room.jid))
        return commit

    async def forget_person(self, localpart: str, jid: JID) -> Commit | None:
        """Remove what a room that is not in memory knows of somebody, unless it has banned them; and that they made it."""
        room = JID.parse(f"{localpart}@{self._domain}")
        commit: Commit | None = None
        kept = await self._people.get(room, jid)
        if kept is not None and _read_known(json.loads(kept)).affiliation is not Affiliation.OUTCAST:
            commit = self._people.update(room, {}, [jid])
        if self.listed[localpart].creator == jid:
            value = await self._rooms.get(room)
            if value is not None:
                commit = both(commit, self._rooms.set(room, _json(json.loads(value) | {"creator": None})))
            commit = both(commit, self.forget_creator(localpart))
        return commit

    def forget_creator(self, localpart: str) -> Commit:
        """Let nobody have made a room."""
        listed = self.listed[localpart]
        self._made_by[listed.creator] -= 1
        self.listed[localpart] = Listed(listed.name, listed.is_public, "")
        value = {"name": listed.name, "public": listed.is_public, "creator": ""}
        return self._index.update(self._domain, {localpart: _json(value)})

    def made_by(self, creator: JID) -> int:
        """Return how many persistent rooms an account has made."""
        return self._made_by[creator]


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _room(room: Room) -> dict[str, Any]:
    value: dict[str, Any] = {"config": asdict(room.config), "creator": room.creator, "more": room.more}
    if room.subject is not None:
        subject = room.subject
        value["subject"] = {"text": subject.text, "by": subject.by, "at": subject.at.isoformat()}
    return value


def _read_room(room: Room, value: dict[str, Any]) -> None:
    known = {field.name for field in fields(RoomConfig)}
    given: dict[str, Any] = {
        name: tuple(kept) if isinstance(kept, list) else kept for name, kept in value["config"].items()
    }
    room.config = RoomConfig(**{name: kept for name, kept in given.items() if name in known})
    room.history.resize(room.config.history_length)
    room.creator = JID.parse(value["creator"]) if value.get("creator") else None
    room.more = value.get("more", {})
    subject = value.get("subject")
    if subject is not None:
        room.subject = Subject(subject["text"], JID.parse(subject["by"]), datetime.fromisoformat(subject["at"]))


def _known(known: Known) -> dict[str, Any]:
    value: dict[str, Any] = {"affiliation": known.affiliation.word}
    if known.nick:
        value["nick"] = known.nick
    if known.reason:
        value["reason"] = known.reason
    if known.more:
        value["more"] = known.more
    return value


def _read_known(value: dict[str, Any]) -> Known:
    affiliation = Affiliation[value["affiliation"].upper()]
    return Known(affiliation, value.get("nick", ""), value.get("reason", ""), value.get("more", {}))
