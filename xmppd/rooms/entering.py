"""Coming into a room, changing there, and leaving it (XEP-0045 §7.2, §7.6, §7.7, §7.14).

What a presence to a room means:

    type             from somebody who is there                     from somebody who is not
    none             with <x/> of muc: everything is sent again     with <x/>: enters
                     under another nickname: is renamed             without: is told that it is not there (§7.2.19)
                     else: its presence has changed
    unavailable      leaves                                         nothing
    error            it cannot be reached: is removed (§17.3)       nothing
    others           nothing                                        nothing
"""

from codec.element import Element
from codec.jid import JID
from codec.payload import PayloadError
from codec.stanza import Presence
from xmppd.errors import StanzaError, error_reply
from xmppd.rooms import presences
from xmppd.rooms.history import Wish
from xmppd.rooms.limits import (
    INVITATIONS_BURST,
    INVITATIONS_PER_S,
    MAX_ENTERING,
    MAX_PRESENCE_BYTES,
    MAX_SESSIONS_PER_ACCOUNT,
    PRESENCES_BURST,
    PRESENCES_PER_S,
)
from xmppd.rooms.markup import MUC_X, NS, cleaned, item, occupant_id, with_user_x
from xmppd.rooms.nicks import prepare
from xmppd.rooms.occupants import Occupant, Session
from xmppd.rooms.rates import Bucket
from xmppd.rooms.roles import Affiliation, Role, default_role
from xmppd.rooms.room import Room, Surroundings
from xmppd.rooms.talking import subject_message

EXTRA_FOR_ADMINS = 20
"""Admins and owners enter a full room, up to so many (§7.2.9)."""

GHOST_ERRORS = frozenset(
    (
        "gone",
        "item-not-found",
        "jid-malformed",
        "recipient-unavailable",
        "redirect",
        "remote-server-not-found",
        "remote-server-timeout",
        "service-unavailable",
    )
)
"""Errors which say that somebody is not there any more (§17.3, and what servers send in truth)."""


def take_presence(room: Room, presence: Presence) -> None:
    """Deal with a presence for a room or an occupant of it.

    Raises:
        StanzaError: it is refused.
    """
    from_ = presence.from_
    assert from_ is not None
    session = room.occupants.by_session.get(from_)
    if presence.type == "unavailable":
        room.entering.pop(from_, None)
        if session is not None:
            leave(room, session, presence)
        return
    if presence.type == "error":
        if session is not None:
            remove_ghost(room, session)
        return
    if presence.type:
        return
    if len(presence.inner) > MAX_PRESENCE_BYTES:
        raise StanzaError("policy-violation", text=f"Presence in a room has at most {MAX_PRESENCE_BYTES} bytes.")
    nick = _nick_of(presence)
    if session is None:
        if not presence.has(MUC_X):
            tell_not_there(room.world, presence)
            return
        ask_to_enter(room, presence)
    elif presence.has(MUC_X) and nick == session.occupant.nick:
        enter_again(room, session, presence)
    else:
        change(room, session, presence, nick)


def _nick_of(presence: Presence) -> str:
    assert presence.to is not None
    if not presence.to.resourcepart:
        raise StanzaError("jid-malformed", text="Choose a nickname: room@service/nickname.")
    return prepare(presence.to.resourcepart)


def tell_not_there(world: Surroundings, presence: Presence) -> None:
    """Answer presence of somebody who is not there and does not ask to enter (§7.2.19)."""
    away = Presence(presence.from_, presence.to, None, "unavailable")
    away = with_user_x(away, item(Affiliation.NONE, Role.NONE, reason="You are not in the room."), (110, 307, 333))
    world.outlet.send(away)


# entering


def check_may_enter(room: Room, presence: Presence) -> None:
    """Raise StanzaError unless somebody may enter under the nickname that it asks for (§7.2.5 to §7.2.10)."""
    assert presence.from_ is not None
    bare = presence.from_.bare
    affiliation = room.affiliation_of(bare)
    if room.is_locked and affiliation is not Affiliation.OWNER:
        raise StanzaError("item-not-found", text="The room is being set up.")
    if affiliation is Affiliation.OUTCAST:
        raise StanzaError("forbidden", text="You are banned from this room.")
    if room.config.is_members_only and affiliation < Affiliation.MEMBER:
        raise StanzaError("registration-required", text="This room is for its members.")
    if room.config.password and affiliation is not Affiliation.OWNER and _password(presence) != room.config.password:
        raise StanzaError("not-authorized", text="The room needs a password.")
    check_nick(room, bare, _nick_of(presence))
    most = room.most_occupants + (EXTRA_FOR_ADMINS if affiliation >= Affiliation.ADMIN else 0)
    if len(room.occupants) >= most and bare not in room.occupants.by_account:
        raise StanzaError("service-unavailable", "wait", "The room is full.")
    sessions = sum(len(occupant.sessions) for occupant in room.occupants.by_account.get(bare, ()))
    if sessions >= MAX_SESSIONS_PER_ACCOUNT:
        raise StanzaError("resource-constraint", text="You are in this room with too many clients.")


def _password(presence: Presence) -> str:
    x = presence.element(MUC_X)
    found = None if x is None else x.find(f"{NS} password")
    return "" if found is None else found.text


def check_nick(room: Room, bare: JID, nick: str, renamed: Occupant | None = None) -> None:
    """Raise StanzaError when a nickname is somebody else's, or looks like it (§7.2.8).

    Args:
        renamed: who is about to give up its own nickname for this one.
    """
    for like in room.occupants.like(nick):
        if like is not renamed and (like.bare != bare or like.nick != nick):
            raise StanzaError("conflict", text="Somebody in the room has that nickname, or one that looks like it.")
    reserved = room.reserved_by(nick)
    if reserved is not None and reserved != bare:
        raise StanzaError("conflict", text="That nickname is reserved.")


def ask_to_enter(room: Room, presence: Presence) -> None:
    """Let somebody enter now, or when those before it have: how fast a room fills is limited (`limits.ENTRIES_PER_S`)."""
    assert presence.from_ is not None
    check_may_enter(room, presence)
    now_s = room.world.clock.monotonic()
    if not room.entering and room.entries.take(now_s, _cost(room)):
        enter(room, presence)
        return
    if len(room.entering) >= MAX_ENTERING:
        raise StanzaError("resource-constraint", text="Too many people want to enter at once; try again in a minute.")
    if not room.entering:
        room.world.later(room.entries.wait_s(), lambda: _enter_next(room))
    room.entering[presence.from_] = presence


def _cost(room: Room) -> float:
    return 2.0 * len(room.occupants.by_session) + 1.0


def _enter_next(room: Room) -> None:
    while room.entering and not room.is_gone:
        if not room.entries.take(room.world.clock.monotonic(), _cost(room)):
            room.world.later(room.entries.wait_s(), lambda: _enter_next(room))
            return
        presence = room.entering.pop(next(iter(room.entering)))
        try:
            check_may_enter(room, presence)
            enter(room, presence)
        except StanzaError as error:
            refuse(room.world, presence, error)
    if room.may_vanish:
        room.world.vanish(room)


def refuse(world: Surroundings, presence: Presence, error: StanzaError) -> None:
    """Tell somebody why it may not enter."""
    reply = error_reply(presence, error)
    if reply is not None:
        world.outlet.send(reply.adding(Element(MUC_X)))


def enter(room: Room, presence: Presence, codes: tuple[int, ...] = ()) -> None:
    """Let somebody in who may enter; `codes` go to it alone, besides the usual ones."""
    assert presence.from_ is not None and presence.to is not None
    nick = _nick_of(presence)
    bare = presence.from_.bare
    wish = _wish(presence)
    occupant = room.occupants.by_nick.get(nick)
    is_new = occupant is None
    if occupant is None:
        occupant = _new_occupant(room, bare, nick)
        room.occupants.add(occupant)
        room.presence_changed()
    session = Session(presence.from_, occupant, _own(room, presence), room.world.outlet.resource(presence.from_))
    room.occupants.add_session(session)
    if nick != presence.to.resourcepart:
        codes = (*codes, 210)
    welcome(room, session, codes, wish, is_new)


def _wish(presence: Presence) -> Wish | None:
    x = presence.element(MUC_X)
    found = None if x is None else x.find(Wish.TAG)
    if found is None:
        return None
    try:
        return Wish.from_element(found)
    except PayloadError as error:
        raise StanzaError("bad-request", text=str(error)) from error


def _own(room: Room, presence: Presence) -> Presence:
    return cleaned(presence, room.jid).replace(to=None, from_=None)


def _new_occupant(room: Room, bare: JID, nick: str) -> Occupant:
    world = room.world
    affiliation, now_s = room.affiliation_of(bare), world.clock.monotonic()
    buckets = (
        Bucket(world.settings.messages_per_s, world.settings.messages_burst, now_s),
        Bucket(PRESENCES_PER_S, PRESENCES_BURST, now_s),
        Bucket(INVITATIONS_PER_S, INVITATIONS_BURST, now_s),
    )
    role = default_role(affiliation, room.config.is_moderated)
    return Occupant(
        bare,
        nick,
        room.jid.with_resource(nick),
        occupant_id(world.secret, room.jid, bare),
        affiliation,
        role,
        buckets,
    )


def welcome(room: Room, session: Session, codes: tuple[int, ...], wish: Wish | None, is_new: bool) -> None:
    """Send what a newcomer gets, in its order (§7.1): the others, itself, history, subject."""
    occupant, outlet = session.occupant, room.world.outlet
    presences.show_all(room, occupant, session)
    if room.config.is_non_anonymous:
        codes = (*codes, 100)
    if room.is_archived:
        codes = (*codes, 170)
    own = presences.available(room, occupant, True, (presences.SELF, *codes))
    others = [other for other in occupant.sessions.values() if other is not session]

    def make(sees_jid: bool, is_self: bool) -> Presence:
        return own if is_self else presences.shown(room, occupant, sees_jid)

    if is_new:
        presences.spread(room, occupant, make)
    else:
        if others:
            presences.announce(room, occupant)
        outlet.deliver(own, session)
    for extension in room.world.extensions.welcome:
        extension(room, session)
    for message in room.history.select(wish, room.world.clock.now()):
        outlet.deliver(message, session)
    outlet.deliver(subject_message(room), session)


def enter_again(room: Room, session: Session, presence: Presence) -> None:
    """Send everything again to one who is there and asks to enter: it has lost what it knew (§17.3, rule 3)."""
    wish = _wish(presence)
    _check_pace(room, session.occupant)
    has_changed = _update(room, session, presence)
    welcome(room, session, (), wish, is_new=has_changed)


def _check_pace(room: Room, occupant: Occupant) -> None:
    if not occupant.moves.take(room.world.clock.monotonic()):
        raise StanzaError("policy-violation", "wait", "You change your presence too often.")


def _update(room: Room, session: Session, presence: Presence) -> bool:
    """Keep a client's new presence; return whether it is another one than before."""
    before = session.presence
    session.presence = _own(room, presence)
    session.resource = room.world.outlet.resource(session.jid)
    occupant = session.occupant
    occupant.sessions[session.jid] = occupant.sessions.pop(session.jid)
    occupant.changed()
    return before.inner != session.presence.inner


# changing


def change(room: Room, session: Session, presence: Presence, nick: str) -> None:
    """Take another presence, or another nickname, of somebody who is there (§7.6, §7.7)."""
    occupant = session.occupant
    _check_pace(room, occupant)
    if nick != occupant.nick:
        check_nick(room, occupant.bare, nick, occupant if len(occupant.sessions) == 1 else None)
        rename(room, session, presence, nick)
        return
    _update(room, session, presence)
    presences.announce(room, occupant)


def rename(room: Room, session: Session, presence: Presence, nick: str) -> None:
    """Give somebody another nickname: gone under the old one with code 303, there under the new one (§7.6).

    Of an account with several clients only the one that asked goes on under it.
    """
    occupant = session.occupant
    if len(occupant.sessions) > 1 or room.occupants.by_nick.get(nick) is not None:
        _part(room, session, presence, nick)
        return

    def make(sees_jid: bool, is_self: bool) -> Presence:
        codes = (303, presences.SELF) if is_self else (303,)
        return presences.unavailable(room, occupant, sees_jid, codes, role=occupant.role, nick=nick)

    presences.spread(room, occupant, make)
    room.occupants.rename(occupant, nick, room.jid.with_resource(nick))
    _update(room, session, presence)
    is_modified = presence.to is not None and presence.to.resourcepart != nick
    presences.announce(room, occupant, (210,) if is_modified else ())


def _part(room: Room, session: Session, presence: Presence, nick: str) -> None:
    """Let one client of an occupant with several go on under another nickname."""
    occupant = session.occupant
    away = presences.unavailable(
        room, occupant, True, (303, presences.SELF), role=occupant.role, nick=nick, session=session
    )
    presences.tell(room, away, session)
    if len(occupant.sessions) == 1:
        _gone(room, occupant, session, None, ())
    else:
        room.occupants.remove_session(session)
        presences.announce(room, occupant)
    enter(room, presence)


# leaving


def leave(
    room: Room, session: Session, presence: Presence | None = None, codes: tuple[int, ...] = (), reason: str = ""
) -> None:
    """Let a client go; when it was the occupant's last, the others see the occupant go (§7.14)."""
    occupant = session.occupant
    source = None if presence is None or len(presence.inner) > MAX_PRESENCE_BYTES else _own(room, presence)
    own = presences.unavailable(room, occupant, True, (presences.SELF, *codes), source, reason=reason, session=session)
    presences.tell(room, own, session)
    if len(occupant.sessions) > 1:
        room.occupants.remove_session(session)
        presences.announce(room, occupant)
    else:
        _gone(room, occupant, session, source, codes, reason)
    if room.may_vanish:
        room.world.vanish(room)


def _gone(
    room: Room, occupant: Occupant, session: Session, source: Presence | None, codes: tuple[int, ...], reason: str = ""
) -> None:
    was_public = room.config.shows(occupant.role)
    made = {sees: presences.unavailable(room, occupant, sees, codes, source, reason=reason) for sees in (True, False)}
    room.occupants.remove(occupant)
    room.presence_changed()
    occupant.sessions.clear()
    presences.spread(room, occupant, lambda sees_jid, _: made[sees_jid], is_public=was_public)


def remove_ghost(room: Room, session: Session) -> None:
    """Remove a client that cannot be reached (§14.1)."""
    leave(room, session, None, (333,))


def remove(room: Room, occupant: Occupant, codes: tuple[int, ...], reason: str = "", actor: str | None = None) -> None:
    """Remove an occupant with all its clients: kicked, banned, no member any more."""
    was_public = room.config.shows(occupant.role)

    def make(sees_jid: bool, is_self: bool) -> Presence:
        given = (presences.SELF, *codes) if is_self else codes
        return presences.unavailable(room, occupant, sees_jid, given, reason=reason, actor=actor)

    presences.spread(room, occupant, make, is_public=was_public)
    room.occupants.remove(occupant)
    room.presence_changed()
    if room.may_vanish:
        room.world.vanish(room)


def empty(room: Room, inner: str, codes: tuple[int, ...] = ()) -> None:
    """Send everybody away at once: one presence to each, about itself alone (§10.9, §14.2). `inner` stands in its <x/>."""
    sessions = room.occupants.sessions()
    room.occupants = type(room.occupants)()
    room.presence_changed()
    entering, room.entering = room.entering, {}
    for session in sessions:
        away = Presence(session.jid, session.occupant.jid, None, "unavailable")
        away = with_user_x(away, item(Affiliation.NONE, Role.NONE) + inner, (presences.SELF, *codes))
        room.world.outlet.send(away)
    for presence in entering.values():
        refuse(room.world, presence, StanzaError("item-not-found"))
