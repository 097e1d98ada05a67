"""Who is in a room: occupants by nickname, by account and by client.

An occupant is one account under one nickname; it may be there with several clients at once (XEP-0045 §7.2.8), each a session.
"""

from collections.abc import Iterator

from codec.jid import JID
from codec.stanza import Presence
from xmppd.resource import Resource
from xmppd.rooms.nicks import keys_of
from xmppd.rooms.rates import Bucket
from xmppd.rooms.roles import Affiliation, Role


class Session:
    """One client in a room.

    Attributes:
        jid: its full JID. occupant: whose it is.
        presence: what it sent last, cleaned of what rooms say themselves.
        resource: the client itself, when it is one of this server.
    """

    __slots__ = ("jid", "occupant", "presence", "resource")

    def __init__(self, jid: JID, occupant: "Occupant", presence: Presence, resource: Resource | None) -> None:
        self.jid = jid
        self.occupant = occupant
        self.presence = presence
        self.resource = resource


class Occupant:
    """Somebody in a room.

    Attributes:
        bare: the real bare JID. nick: the nickname. jid: the occupant JID.
        id: as others see it (XEP-0421).
        sessions: by full JID; the one that spoke of itself last is the last.
        talk, moves, calls: how fast it may go on with messages, presence, invitations.
        affiliation, role: as they are now.
        shown, hidden: its presence as others see it, with and without the real JID; None until somebody needs it.
    """

    __slots__ = (
        "affiliation",
        "bare",
        "calls",
        "hidden",
        "id",
        "jid",
        "moves",
        "nick",
        "role",
        "sessions",
        "shown",
        "talk",
    )

    def __init__(
        self, bare: JID, nick: str, jid: JID, id_: str, affiliation: Affiliation, role: Role, buckets: tuple[Bucket, Bucket, Bucket]
    ) -> None:  # fmt: skip
        self.bare = bare
        self.nick = nick
        self.jid = jid
        self.id = id_
        self.affiliation = affiliation
        self.role = role
        self.sessions: dict[JID, Session] = {}
        self.talk, self.moves, self.calls = buckets
        self.shown: Presence | None = None
        self.hidden: Presence | None = None

    @property
    def main(self) -> Session:
        """The session whose presence others see."""
        return next(reversed(self.sessions.values()))

    def changed(self) -> None:
        """Its presence is another one now."""
        self.shown = self.hidden = None


class Occupants:
    """All who are in one room.

    Attributes:
        by_session: full JID -> `Session`, in the order in which they came.
        by_account: bare JID -> its occupants.
        by_nick: exact nickname -> `Occupant`.
    """

    __slots__ = ("_by_key", "by_account", "by_nick", "by_session")

    def __init__(self) -> None:
        self.by_session: dict[JID, Session] = {}
        self.by_account: dict[JID, list[Occupant]] = {}
        self.by_nick: dict[str, Occupant] = {}
        self._by_key: dict[str, Occupant] = {}

    def __len__(self) -> int:
        return len(self.by_nick)

    def __iter__(self) -> Iterator[Occupant]:
        return iter(list(self.by_nick.values()))

    def sessions(self) -> list[Session]:
        """Return every client in the room, as a list that stays as it is."""
        return list(self.by_session.values())

    def like(self, nick: str) -> list[Occupant]:
        """Return those who have a nickname that counts as the same as this one."""
        found = [self._by_key[key] for key in keys_of(nick) if key in self._by_key]
        return list(dict.fromkeys(found))

    def add(self, occupant: Occupant) -> None:
        """Let somebody in; the nickname must be free."""
        self.by_nick[occupant.nick] = occupant
        self.by_account.setdefault(occupant.bare, []).append(occupant)
        for key in keys_of(occupant.nick):
            self._by_key.setdefault(key, occupant)

    def remove(self, occupant: Occupant) -> None:
        """Let somebody out with all sessions."""
        self._free(occupant)
        others = self.by_account[occupant.bare]
        others.remove(occupant)
        if not others:
            del self.by_account[occupant.bare]
        for jid in occupant.sessions:
            del self.by_session[jid]

    def _free(self, occupant: Occupant) -> None:
        del self.by_nick[occupant.nick]
        for key in keys_of(occupant.nick):
            if self._by_key.get(key) is occupant:
                del self._by_key[key]

    def rename(self, occupant: Occupant, nick: str, jid: JID) -> None:
        """Give somebody another nickname, which must be free."""
        self._free(occupant)
        occupant.nick, occupant.jid = nick, jid
        self.by_nick[nick] = occupant
        for key in keys_of(nick):
            self._by_key.setdefault(key, occupant)
        occupant.changed()

    def add_session(self, session: Session) -> None:
        """Note a client of an occupant."""
        session.occupant.sessions[session.jid] = session
        self.by_session[session.jid] = session
        session.occupant.changed()

    def remove_session(self, session: Session) -> None:
        """Note that a client of an occupant has gone while others of it stay."""
        del session.occupant.sessions[session.jid]
        del self.by_session[session.jid]
        session.occupant.changed()
