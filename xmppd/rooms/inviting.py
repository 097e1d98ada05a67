"""Messages to the room itself: invitations through it, declines, and requests for voice (XEP-0045 §7.8.2, §7.13, §8.6)."""

from codec.element import Element, escape_text, escape_value
from codec.jid import JID, InvalidJID
from codec.payloads.data_form import FORM_TYPE, Field, Form
from codec.stanza import Message
from xmppd.errors import StanzaError
from xmppd.rooms import presences
from xmppd.rooms.limits import MAX_TEXT_CHARS
from xmppd.rooms.markup import NS, USER_NS, USER_X, with_user_x
from xmppd.rooms.occupants import Occupant, Session
from xmppd.rooms.roles import Affiliation, Role
from xmppd.rooms.room import Room

REQUEST_NS = f"{NS}#request"
MAX_INVITED = 20
"""People in one message with invitations."""


def take_message(room: Room, session: Session | None, message: Message) -> None:
    """Deal with a message to the room that is not of type groupchat.

    Raises:
        StanzaError: bad-request: it is nothing that rooms take.
    """
    form = message.get(Form)
    if form is not None and form.type == "submit" and form.form_type == REQUEST_NS:
        take_voice(room, session, form)
        return
    x = message.element(USER_X)
    invites = () if x is None else x.find_all(f"{USER_NS} invite")
    declines = () if x is None else x.find_all(f"{USER_NS} decline")
    if invites:
        invite(room, session, message, invites)
    elif declines:
        decline(room, message, declines[0])
    else:
        raise StanzaError("bad-request", text="A message to all in the room is of type groupchat.")


def _reason(element: Element) -> str:
    found = element.find(f"{USER_NS} reason")
    text = "" if found is None else found.text
    if len(text) > MAX_TEXT_CHARS:
        raise StanzaError("policy-violation", text=f"A reason has at most {MAX_TEXT_CHARS} characters.")
    return f"<reason>{escape_text(text)}</reason>" if text else ""


def _jid(element: Element) -> JID:
    try:
        return JID.parse(element.get("to") or "")
    except InvalidJID as error:
        raise StanzaError("jid-malformed", text=str(error)) from error


# invitations


def invite(room: Room, session: Session | None, message: Message, invites: tuple[Element, ...]) -> None:
    """Invite people in an occupant's name (§7.8.2); into a room for members that makes them members, which is for admins to do.

    Raises:
        StanzaError: forbidden: the sender is not there, or may not invite.
    """
    if session is None:
        raise StanzaError("forbidden", text="You are not in the room.")
    sender = session.occupant
    _check_may_invite(room, sender)
    if len(invites) > MAX_INVITED:
        raise StanzaError("policy-violation", text=f"At most {MAX_INVITED} people at once.")
    wanted = [(_jid(element), element) for element in invites]
    for _ in wanted:
        if not sender.calls.take(room.world.clock.monotonic()):
            raise StanzaError("policy-violation", "wait", "You invite too many people.")
    for jid, element in wanted:
        if room.affiliation_of(jid.bare) is Affiliation.OUTCAST:
            raise StanzaError("not-allowed", text="That one is banned from the room.")
        if room.config.is_members_only and room.affiliation_of(jid.bare) is Affiliation.NONE:
            room.set_affiliation(jid.bare, Affiliation.MEMBER)
            room.world.keeper.save_people(room, (jid.bare,))
        thread = element.find(f"{USER_NS} continue")
        more = "" if thread is None else thread.to_xml(USER_NS).decode()
        send_invitation(room, jid, sender.bare, _reason(element) + more, message.id, session)


def _check_may_invite(room: Room, sender: Occupant) -> None:
    if room.config.is_members_only:
        if sender.affiliation < Affiliation.ADMIN:
            raise StanzaError("forbidden", text="Only admins invite into this room.")
    elif not room.config.allow_invites and sender.role is not Role.MODERATOR:
        raise StanzaError("forbidden", text="You may not invite people into this room.")


def send_invitation(
    room: Room, to: JID, by: JID, inner: str = "", id_: str | None = None, session: Session | None = None
) -> None:
    """Send an invitation, with the room's password; its error goes to the client that invited."""
    invitation = f"<invite from='{escape_value(by)}'>{inner}</invite>"
    if room.config.password:
        invitation += f"<password>{escape_text(room.config.password)}</password>"
    id_ = id_ or room.world.ids.token()
    if session is not None:
        room.relayed[f"{to.bare} {id_}"] = (session.jid, id_, to.bare, room.jid)
    message = with_user_x(Message(to, room.jid, id_, "normal"), invitation)
    room.world.outlet.send(message)


def decline(room: Room, message: Message, element: Element) -> None:
    """Tell who invited that the other will not come (§7.8.2); only those who are in the room are told anything.

    Raises:
        StanzaError: item-not-found: that one is not there.
    """
    assert message.from_ is not None
    to = _jid(element)
    if to.bare == room.jid:
        inviter = room.occupants.by_nick.get(to.resourcepart)
    else:
        inviter = next(iter(room.occupants.by_account.get(to.bare, ())), None)
    if inviter is None:
        raise StanzaError("item-not-found", text="That one is not in the room.")
    answer = f"<decline from='{escape_value(message.from_.bare)}'>{_reason(element)}</decline>"
    for jid in list(inviter.sessions):
        room.world.outlet.send(with_user_x(Message(jid, room.jid, message.id, "normal"), answer))


# voice


def take_voice(room: Room, session: Session | None, form: Form) -> None:
    """Take a request for voice from a visitor, or a moderator's answer to one (§7.13, §8.6).

    Raises:
        StanzaError: forbidden: who is no moderator answers, or nobody may ask.
    """
    if session is None:
        raise StanzaError("not-acceptable", text="You are not in the room.")
    occupant = session.occupant
    if form.boolean("muc#request_allow") is not None:
        _answer_request(room, occupant, form)
        return
    if not room.config.allow_voice_requests:
        raise StanzaError("forbidden", text="Nobody asks for voice in this room.")
    if occupant.role is not Role.VISITOR:
        return  # it has what it asks for
    if not occupant.calls.take(room.world.clock.monotonic()):
        raise StanzaError("policy-violation", "wait", "You ask too often.")
    question = _question(session)
    for other in room.occupants:
        if other.role is Role.MODERATOR:
            for jid in list(other.sessions):
                room.world.outlet.send(question.replace(to=jid, from_=room.jid, id=room.world.ids.token()))


def _question(session: Session) -> Message:
    occupant = session.occupant
    fields = (
        Field.of(FORM_TYPE, REQUEST_NS, type="hidden"),
        Field.of("muc#role", "participant", type="list-single", label="Requested role"),
        Field.of("muc#jid", session.jid, type="jid-single", label="Address"),
        Field.of("muc#roomnick", occupant.nick, type="text-single", label="Nickname"),
        Field.of("muc#request_allow", False, type="boolean", label="Give voice to this person?"),
    )
    form = Form(
        type="form", title="Request for voice", instructions=("Say whether this visitor may speak.",), fields=fields
    )
    return Message(None, None, None, "normal").adding(form)


def _answer_request(room: Room, moderator: Occupant, form: Form) -> None:
    if moderator.role is not Role.MODERATOR:
        raise StanzaError("forbidden")
    nick = form.value("muc#roomnick")
    visitor = room.occupants.by_nick.get(nick or "")
    if not form.boolean("muc#request_allow") or visitor is None or visitor.role is not Role.VISITOR:
        return
    if form.value("muc#role") not in (None, Role.PARTICIPANT.word):
        raise StanzaError("bad-request", text="Voice makes a participant.")
    old, visitor.role = visitor.role, Role.PARTICIPANT
    presences.announce_change(room, visitor, old)
