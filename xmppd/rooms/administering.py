"""Roles and affiliations by request (XEP-0045 §8.2 to §8.5, §9, §10.3 to §10.8).

All changes of one request are looked at before the first is made: a request is done whole or not at all.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from codec.jid import JID
from codec.payload import Payload, attr, child_text, children
from codec.stanza import IQ
from storage.interface import Commit
from xmppd.errors import StanzaError
from xmppd.rooms import entering, inviting, presences
from xmppd.rooms.limits import MAX_AFFILIATIONS, MAX_ITEMS, MAX_TEXT_CHARS
from xmppd.rooms.markup import NS
from xmppd.rooms.occupants import Occupant
from xmppd.rooms.roles import (
    Affiliation,
    Role,
    affiliation_of,
    check_affiliation_change,
    check_role_change,
    role_after,
    role_of,
)
from xmppd.rooms.room import Room

ADMIN_NS = f"{NS}#admin"
KICKED, BANNED, NO_MEMBER = 307, 301, 321


@dataclass(frozen=True, slots=True, kw_only=True)
class Item(Payload, tag=(ADMIN_NS, "item")):
    """One person: which list is asked for, who is on it, or what is to become of it."""

    affiliation: str | None = attr()
    role: str | None = attr()
    jid: JID | None = attr(parse=JID.parse)
    nick: str | None = attr()
    reason: str | None = child_text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Query(Payload, tag=(ADMIN_NS, "query")):
    """A question for a list, the list, or changes to one."""

    items: tuple[Item, ...] = children(Item)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: its bare JID, what it is to the room, and how it is there (None: it is not)."""

    bare: JID
    affiliation: Affiliation
    occupant: Occupant | None

    @property
    def role(self) -> Role:
        """Its role in the room."""
        return Role.NONE if self.occupant is None else self.occupant.role

    @property
    def nick(self) -> str | None:
        """Its nickname, as others are told who did something."""
        return None if self.occupant is None else self.occupant.nick


def actor_of(room: Room, iq: IQ) -> Actor:
    """Return who sent a request."""
    assert iq.from_ is not None
    session = room.occupants.by_session.get(iq.from_)
    return Actor(iq.from_.bare, room.affiliation_of(iq.from_.bare), None if session is None else session.occupant)


def _read(iq: IQ) -> Query:
    query = iq.get(Query)
    assert query is not None
    if not query.items or len(query.items) > MAX_ITEMS:
        raise StanzaError("bad-request", text=f"From 1 to {MAX_ITEMS} items.")
    return query


# lists


def show(room: Room, iq: IQ) -> IQ:
    """Return a list of people by role or affiliation.

    Raises:
        StanzaError: forbidden: it is not for the asker; bad-request: no list, or two.
    """
    asked = _read(iq).items[0]
    actor = actor_of(room, iq)
    if (asked.role is None) == (asked.affiliation is None):
        raise StanzaError("bad-request", text="Ask for one role or one affiliation.")
    if asked.role is not None:
        role = role_of(asked.role)
        if actor.role is not Role.MODERATOR and actor.affiliation < Affiliation.ADMIN:
            raise StanzaError("forbidden")
        found = [_item_of(occupant) for occupant in room.occupants if occupant.role is role]
    else:
        affiliation = affiliation_of(asked.affiliation)
        _check_may_see(room, actor, affiliation)
        found = [
            Item(affiliation=affiliation.word, jid=jid, nick=known.nick or None, reason=known.reason or None)
            for jid, known in room.with_affiliation(affiliation)
        ]
    return iq.reply(Query(items=tuple(found)))


def _item_of(occupant: Occupant) -> Item:
    return Item(
        affiliation=occupant.affiliation.word, role=occupant.role.word, jid=occupant.main.jid, nick=occupant.nick
    )


def _check_may_see(room: Room, actor: Actor, affiliation: Affiliation) -> None:
    """Lists are for admins; where everybody sees real JIDs, members and those whom the settings name see all but the outcasts (§7.11)."""
    if actor.affiliation >= Affiliation.ADMIN:
        return
    is_open = room.config.is_non_anonymous or actor.role is Role.MODERATOR
    belongs = actor.affiliation is Affiliation.MEMBER or actor.role.word in room.config.member_list
    if affiliation < Affiliation.MEMBER or not is_open or not belongs:
        raise StanzaError("forbidden")


# changes


def change(room: Room, iq: IQ) -> Commit | IQ:
    """Change roles or affiliations.

    Returns:
        What the answer waits for, or the answer.

    Raises:
        StanzaError: one of the changes is not allowed (`roles`), and none is made.
    """
    query, actor = _read(iq), actor_of(room, iq)
    if len({item.role is not None for item in query.items}) > 1 or any(
        (item.role is None) == (item.affiliation is None) for item in query.items
    ):
        raise StanzaError("bad-request", text="Change roles or affiliations, not both.")
    if query.items[0].role is not None:
        _change_roles(room, actor, query.items)
        return iq.reply()
    return _change_affiliations(room, actor, query.items) or iq.reply()


def _change_roles(room: Room, actor: Actor, items: Iterable[Item]) -> None:
    changes: list[tuple[Occupant, Role, str]] = []
    for item in items:
        if item.nick is None:
            raise StanzaError("bad-request", text="Roles are given by nickname.")
        occupant = room.occupants.by_nick.get(item.nick)
        if occupant is None:
            raise StanzaError("item-not-found", text="Nobody in the room has that nickname.")
        new = role_of(item.role)
        is_self = occupant is actor.occupant
        check_role_change(actor.affiliation, actor.role, occupant.affiliation, occupant.role, new, is_self)
        changes.append((occupant, new, _short(item.reason)))
    for occupant, new, reason in changes:
        if new is Role.NONE:
            entering.remove(room, occupant, (KICKED,), reason, actor.nick)
        elif new is not occupant.role:
            old, occupant.role = occupant.role, new
            presences.announce_change(room, occupant, old, reason, actor.nick)


def _short(reason: str | None) -> str:
    return (reason or "")[:MAX_TEXT_CHARS]


def _change_affiliations(room: Room, actor: Actor, items: Iterable[Item]) -> Commit | None:
    changes: list[tuple[JID, Affiliation, str]] = []
    owners = set(room.owners())
    for item in items:
        jid, new = _person(room, item), affiliation_of(item.affiliation)
        check_affiliation_change(actor.affiliation, room.affiliation_of(jid), new, jid == actor.bare)
        if not jid.localpart and new not in (Affiliation.OUTCAST, Affiliation.NONE):
            raise StanzaError("not-acceptable", text="A whole domain can only be banned.")
        if new is Affiliation.OWNER:
            owners.add(jid)
        else:
            owners.discard(jid)
        changes.append((jid, new, _short(item.reason)))
    if not owners and room.owners():
        raise StanzaError("conflict", text="A room keeps one owner at least.")
    added = sum(new is not Affiliation.NONE and jid not in room.people for jid, new, _ in changes)
    if len(room.people) + added > MAX_AFFILIATIONS:
        raise StanzaError("policy-violation", text=f"A room knows at most {MAX_AFFILIATIONS} people.")
    for jid, new, reason in changes:
        set_affiliation(room, jid, new, reason, actor)
    return room.world.keeper.save_people(room, [jid for jid, _, _ in changes])


def _person(room: Room, item: Item) -> JID:
    if item.jid is not None:
        return item.jid.bare
    occupant = room.occupants.by_nick.get(item.nick or "")
    if occupant is None:
        raise StanzaError(
            "bad-request" if item.nick is None else "item-not-found", text="Affiliations are given by JID."
        )
    return occupant.bare


def set_affiliation(room: Room, jid: JID, new: Affiliation, reason: str = "", actor: Actor | None = None) -> None:
    """Give somebody an affiliation, and tell those in the room what becomes of it there (§9.1 to §9.4)."""
    before = room.affiliation_of(jid)
    room.set_affiliation(jid, new, reason)
    nick = None if actor is None else actor.nick
    concerned = [
        occupant
        for occupant in room.occupants
        if occupant.bare == jid or (not jid.localpart and occupant.bare.domainpart == jid.domainpart)
    ]
    for occupant in concerned:
        _apply(room, occupant, reason, nick)
    if (
        new >= Affiliation.MEMBER > before
        and room.config.is_members_only
        and actor is not None
        and not concerned
        and jid.localpart
    ):
        inviting.send_invitation(room, jid, actor.bare)  # §9.3: so that it learns of it


def _apply(room: Room, occupant: Occupant, reason: str, actor: str | None) -> None:
    before, old_role = occupant.affiliation, occupant.role
    now = room.affiliation_of(occupant.bare)
    if now is before:
        return
    occupant.affiliation = now
    role = role_after(before, now, old_role, room.config.is_moderated, room.config.is_members_only)
    if role is Role.NONE:
        code = BANNED if now is Affiliation.OUTCAST else NO_MEMBER
        entering.remove(room, occupant, (code,), reason, actor)
        return
    occupant.role = role
    presences.announce_change(room, occupant, old_role, reason, actor)
