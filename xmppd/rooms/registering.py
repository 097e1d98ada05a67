"""Becoming a member by oneself, with a nickname that nobody else may take (XEP-0045 §7.10, §7.12)."""

from dataclasses import dataclass

from codec.payload import Payload, child, child_text, flag
from codec.payloads.data_form import FORM_TYPE, Field, Form
from codec.stanza import IQ
from storage.interface import Commit
from xmppd.errors import StanzaError
from xmppd.rooms import administering
from xmppd.rooms.limits import MAX_AFFILIATIONS
from xmppd.rooms.markup import NS
from xmppd.rooms.nicks import prepare
from xmppd.rooms.roles import Affiliation
from xmppd.rooms.room import Room

REGISTER_NS = f"{NS}#register"
NICK = "muc#register_roomnick"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query(Payload, tag=("jabber:iq:register", "query")):
    """A question, the form, what was filled in, or the wish to belong no more."""

    registered: bool = flag()
    instructions: str | None = child_text()
    username: str | None = child_text()
    remove: bool = flag()
    form: Form | None = child(Form)


def _check_may_register(room: Room, affiliation: Affiliation) -> None:
    if affiliation is Affiliation.OUTCAST:
        raise StanzaError("forbidden", text="You are banned from this room.")
    if affiliation is Affiliation.NONE and (not room.config.may_register or room.config.is_members_only):
        raise StanzaError("not-allowed", text="Members are made by the room's admins.")


def show(room: Room, iq: IQ) -> IQ:
    """Tell whether the asker has a reserved nickname, or return the form with which it gets one."""
    assert iq.from_ is not None
    bare = iq.from_.bare
    _check_may_register(room, room.affiliation_of(bare))
    known = room.people.get(bare)
    if known is not None and known.nick:
        return iq.reply(Query(registered=True, username=known.nick))
    form = Form(
        type="form",
        title="Membership",
        instructions=("Choose the nickname that only you may use in this room.",),
        fields=(
            Field.of(FORM_TYPE, REGISTER_NS, type="hidden"),
            Field.of(NICK, type="text-single", label="Nickname", required=True),
        ),
    )
    return iq.reply(Query(instructions="Choose a nickname.", form=form))


def change(room: Room, iq: IQ) -> Commit | IQ:
    """Make the asker a member with a reserved nickname, or a member no more.

    Raises:
        StanzaError: bad-request: no form; conflict: the nickname is another's; not-allowed, forbidden: it may not.
    """
    assert iq.from_ is not None
    bare = iq.from_.bare
    request = iq.get(Query)
    assert request is not None
    affiliation = room.affiliation_of(bare)
    if request.remove:
        return _remove(room, iq, affiliation)
    _check_may_register(room, affiliation)
    form = request.form
    if form is None or form.type != "submit" or form.form_type != REGISTER_NS:
        raise StanzaError("bad-request", text="Submit the form with a nickname.")
    nick = prepare(form.value(NICK) or "")
    reserved = room.reserved_by(nick)
    used = [occupant for occupant in room.occupants.like(nick) if occupant.bare != bare]
    if used or reserved not in (None, bare):
        raise StanzaError("conflict", text="That nickname is somebody else's.")
    if bare not in room.people:
        if len(room.people) >= MAX_AFFILIATIONS:
            raise StanzaError("policy-violation", text=f"A room knows at most {MAX_AFFILIATIONS} people.")
        administering.set_affiliation(room, bare, Affiliation.MEMBER)
    room.reserve(bare, nick)
    return room.world.keeper.save_people(room, (bare,)) or iq.reply()


def _remove(room: Room, iq: IQ, affiliation: Affiliation) -> Commit | IQ:
    assert iq.from_ is not None
    bare = iq.from_.bare
    known = room.people.get(bare)
    if known is None or affiliation is Affiliation.OUTCAST:
        raise StanzaError("registration-required", text="You are no member.")
    if affiliation is Affiliation.MEMBER:
        administering.set_affiliation(room, bare, Affiliation.NONE)
    else:
        room.reserve(bare, "")  # an admin or owner steps down by another request
    return room.world.keeper.save_people(room, (bare,)) or iq.reply()
