"""The presence of occupants as others see it, and who sees it (XEP-0045 §7.2.2, §17.3).

Each is made in two forms, with the real JID and without, and a third goes to the occupant itself, with code 110.
"""

from collections.abc import Callable

from codec.stanza import Presence
from xmppd.rooms.markup import OCCUPANT_ID, item, occupant_id_xml, with_user_x
from xmppd.rooms.occupants import Occupant, Session
from xmppd.rooms.roles import Role
from xmppd.rooms.room import Room

SELF = 110

Make = Callable[[bool, bool], Presence]
"""(whether the real JID is in it, whether it goes to the occupant itself) -> a presence without `to`."""


def shown(room: Room, occupant: Occupant, sees_jid: bool) -> Presence:
    """Return an occupant's presence for those who see its real JID, or for the others; made once."""
    made = occupant.shown if sees_jid else occupant.hidden
    if made is None:
        made = available(room, occupant, sees_jid)
        if sees_jid:
            occupant.shown = made
        else:
            occupant.hidden = made
    return made


def available(
    room: Room,
    occupant: Occupant,
    sees_jid: bool,
    codes: tuple[int, ...] = (),
    reason: str = "",
    actor: str | None = None,
) -> Presence:
    """Return an occupant's presence; `reason` and `actor` (a nickname) tell why its role or affiliation has changed."""
    main = occupant.main
    source = main.presence
    made = Presence(None, occupant.jid, source.id, "", source.lang, source.inner, source.tags, source.scope)
    jid = main.jid if sees_jid else None
    made = with_user_x(made, item(occupant.affiliation, occupant.role, jid, None, actor, reason), codes)
    return _identified(room, occupant, made)


def unavailable(
    room: Room,
    occupant: Occupant,
    sees_jid: bool,
    codes: tuple[int, ...] = (),
    source: Presence | None = None,
    *,
    role: Role = Role.NONE,
    nick: str | None = None,
    reason: str = "",
    actor: str | None = None,
    session: Session | None = None,
) -> Presence:
    """Return the presence with which an occupant goes, or goes on under another `nick`.

    Args:
        source: its own last presence, whose status others get.
        session: the client whose JID is named; the main one otherwise.
    """
    made = Presence(None, occupant.jid, None, "unavailable")
    if source is not None:
        made = Presence(
            None, occupant.jid, source.id, "unavailable", source.lang, source.inner, source.tags, source.scope
        )
    jid = (session or occupant.main).jid if sees_jid else None
    made = with_user_x(made, item(occupant.affiliation, role, jid, nick, actor, reason), codes)
    return _identified(room, occupant, made)


def _identified(room: Room, occupant: Occupant, made: Presence) -> Presence:
    made = made.adding_raw(occupant_id_xml(occupant.id), OCCUPANT_ID)
    for extension in room.world.extensions.presence:
        extra = extension(room, occupant)
        if extra is not None:
            made = made.adding_raw(*extra)
    return made


def spread(room: Room, occupant: Occupant, make: Make, *, is_public: bool | None = None) -> None:
    """Send a presence of an occupant to all who see it, itself last.

    Args:
        is_public: whether others than moderators see it; None: as the settings say of its role.
    """
    if is_public is None:
        is_public = room.config.shows(occupant.role)
    all_see = room.config.is_non_anonymous
    seeing: list[Session] = []
    others: list[Session] = []
    for session in room.occupants.sessions():
        watcher = session.occupant
        if watcher is occupant:
            continue
        if watcher.role is Role.MODERATOR or (is_public and all_see):
            seeing.append(session)
        elif is_public:
            others.append(session)
    outlet = room.world.outlet
    if seeing:
        outlet.fan_out(make(True, False), seeing)
    if others:
        outlet.fan_out(make(False, False), others)
    own = make(True, True)
    for session in list(occupant.sessions.values()):
        tell(room, own, session)


def tell(room: Room, presence: Presence, session: Session) -> None:
    """Send a client its own presence; one that ends something goes through its account, which keeps count of rooms."""
    if presence.type:
        room.world.outlet.send(presence.replace(to=session.jid))
    else:
        room.world.outlet.deliver(presence, session)


def announce(
    room: Room, occupant: Occupant, self_codes: tuple[int, ...] = (), reason: str = "", actor: str | None = None
) -> None:
    """Tell all how an occupant is now."""
    occupant.changed()
    is_plain = not reason and actor is None

    def make(sees_jid: bool, is_self: bool) -> Presence:
        if is_self:
            return available(room, occupant, True, (SELF, *self_codes), reason, actor)
        return shown(room, occupant, sees_jid) if is_plain else available(room, occupant, sees_jid, (), reason, actor)

    spread(room, occupant, make)


def announce_change(room: Room, occupant: Occupant, old_role: Role, reason: str = "", actor: str | None = None) -> None:
    """Tell all that an occupant's role or affiliation has changed; to those who cannot see one of that role any more it is gone."""
    if room.config.shows(old_role) and not room.config.shows(occupant.role):
        away = unavailable(room, occupant, room.config.is_non_anonymous)
        unseeing = [
            session
            for session in room.occupants.sessions()
            if session.occupant is not occupant and session.occupant.role is not Role.MODERATOR
        ]
        room.world.outlet.fan_out(away, unseeing)
    announce(room, occupant, (), reason, actor)
    if occupant.role is Role.MODERATOR and old_role is not Role.MODERATOR and not room.config.is_non_anonymous:
        show_all(room, occupant)


def show_all(room: Room, occupant: Occupant, session: Session | None = None) -> None:
    """Send an occupant's clients (or one of them) the presence of all others, as it may see them."""
    sees_jids = room.may_see_jids(occupant)
    targets = [session] if session is not None else list(occupant.sessions.values())
    is_moderator = occupant.role is Role.MODERATOR
    for other in room.occupants:
        if other is not occupant and (is_moderator or room.config.shows(other.role)):
            room.world.outlet.fan_out(shown(room, other, sees_jids), targets)
