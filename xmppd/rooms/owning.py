"""What owners do: settings, and the end of a room (XEP-0045 §10.1, §10.2, §10.9)."""

from dataclasses import dataclass

from codec.element import escape_text, escape_value
from codec.jid import JID
from codec.payload import Payload, attr, child, child_text
from codec.payloads.data_form import Form
from codec.stanza import IQ, Message
from storage.interface import Commit
from xmppd.component import both
from xmppd.errors import StanzaError
from xmppd.rooms import entering
from xmppd.rooms.configuration import NS as CONFIG_NS
from xmppd.rooms.configuration import RoomConfig, form_of, read_form, status_codes
from xmppd.rooms.limits import MAX_TEXT_CHARS
from xmppd.rooms.markup import NS, with_user_x
from xmppd.rooms.roles import Affiliation
from xmppd.rooms.room import Room

OWNER_NS = f"{NS}#owner"
NOW_FOR_MEMBERS = 322


@dataclass(frozen=True, slots=True, kw_only=True)
class Destroy(Payload, tag=(OWNER_NS, "destroy")):
    """The end of a room: where people may go instead, with what password, and why."""

    jid: JID | None = attr(parse=JID.parse)
    reason: str | None = child_text()
    password: str | None = child_text()


@dataclass(frozen=True, slots=True, kw_only=True)
class Query(Payload, tag=(OWNER_NS, "query")):
    """A question for the form of settings, the form, or the end."""

    form: Form | None = child(Form)
    destroy: Destroy | None = child(Destroy)


def _check_owner(room: Room, iq: IQ) -> None:
    assert iq.from_ is not None
    if room.affiliation_of(iq.from_.bare) is not Affiliation.OWNER:
        raise StanzaError("forbidden", text="That is for the room's owners.")


def show(room: Room, iq: IQ) -> IQ:
    """Return the form with the room's settings (§10.2)."""
    _check_owner(room, iq)
    return iq.reply(Query(form=form_of(room.config)))


def change(room: Room, iq: IQ) -> Commit | IQ:
    """Change the settings, or destroy the room.

    Raises:
        StanzaError: forbidden: the asker is no owner; others: the form is not acceptable, and nothing has changed.
    """
    _check_owner(room, iq)
    query = iq.get(Query)
    assert query is not None
    if query.destroy is not None:
        return destroy(room, query.destroy) or iq.reply()
    form = query.form
    if form is None or form.type not in ("submit", "cancel"):
        raise StanzaError("bad-request", text="Submit the form, cancel it, or destroy the room.")
    if form.type == "cancel":
        if room.is_locked:
            destroy(room, Destroy())
        return iq.reply()
    if form.fields and form.form_type not in (CONFIG_NS, None):
        raise StanzaError("bad-request", text="That is another form.")
    config = read_form(form, room.config, room.world.settings.max_occupants)
    return configure(room, config) or iq.reply()


def configure(room: Room, config: RoomConfig) -> Commit | None:
    """Give a room other settings, tell those in it, and unlock it; returns what the answer waits for."""
    old, was_locked = room.config, room.is_locked
    room.config, room.is_locked = config, False
    room.history.resize(config.history_length)
    commit = _keep(room, old, was_locked)
    for occupant in room.occupants:
        occupant.changed()
    codes = status_codes(old, config)
    if codes and not was_locked:
        notify(room, codes)
    if config.is_members_only and not old.is_members_only:
        for occupant in room.occupants:
            if occupant.affiliation < Affiliation.MEMBER:
                entering.remove(room, occupant, (NOW_FOR_MEMBERS,))
    if room.may_vanish and not room.is_gone:
        room.world.vanish(room)
    return commit


def _keep(room: Room, old: RoomConfig, was_locked: bool) -> Commit | None:
    keeper = room.world.keeper
    if not room.config.is_persistent:
        return keeper.forget(room, with_history=False) if old.is_persistent else None
    commit = keeper.save(room)
    if was_locked or not old.is_persistent:
        commit = both(commit, keeper.save_people(room, list(room.people)))
    return commit


def notify(room: Room, codes: tuple[int, ...]) -> None:
    """Tell those in the room that it is not as it was (§10.2.1)."""
    message = with_user_x(Message(None, room.jid, room.world.ids.token(), "groupchat"), "", codes)
    room.world.outlet.fan_out(message, room.occupants.sessions())


def destroy(room: Room, end: Destroy) -> Commit | None:
    """End a room: everybody is sent away, and nothing of it is kept (§10.9)."""
    where = f" jid='{escape_value(end.jid)}'" if end.jid is not None else ""
    inner = ""
    if end.password:
        inner += f"<password>{escape_text(end.password[:MAX_TEXT_CHARS])}</password>"
    if end.reason:
        inner += f"<reason>{escape_text(end.reason[:MAX_TEXT_CHARS])}</reason>"
    entering.empty(room, f"<destroy{where}>{inner}</destroy>")
    return room.world.vanish(room)
