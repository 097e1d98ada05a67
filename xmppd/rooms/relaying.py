"""What goes from one occupant to another through the room: private messages, requests and their answers (XEP-0045 §7.5, §17.4).

Neither learns the other's real JID from it. Requests are passed on under an id of ours, so that the answer finds its way back. A
request to oneself is answered at once when it is a ping (XEP-0410 §3.3).
"""

from codec.stanza import IQ, Message
from xmppd.errors import StanzaError
from xmppd.rooms import entering
from xmppd.rooms.entering import GHOST_ERRORS
from xmppd.rooms.limits import MAX_RELAYED
from xmppd.rooms.markup import OCCUPANT_ID, cleaned, occupant_id_xml, with_user_x
from xmppd.rooms.occupants import Occupant, Session
from xmppd.rooms.roles import Role
from xmppd.rooms.room import Room

PING = "urn:xmpp:ping ping"
VCARD = "vcard-temp vCard"
PUBSUB = "http://jabber.org/protocol/pubsub pubsub"
FOR_ACCOUNTS = frozenset((VCARD, PUBSUB))
"""Requests that an occupant's account answers rather than its client (§17.4)."""

ERROR_TAG = "jabber:client error"
SURELY_GONE = GHOST_ERRORS - {"service-unavailable"}


def _target(room: Room, nick: str) -> Occupant:
    found = room.occupants.by_nick.get(nick)
    if found is None:
        raise StanzaError("item-not-found", text="Nobody in the room has that nickname.")
    return found


def relay_message(room: Room, session: Session | None, message: Message) -> None:
    """Pass a private message on to all clients of an occupant (§7.5).

    Raises:
        StanzaError: bad-request: it is of type groupchat; not-acceptable: the sender is not there; item-not-found: the other is not;
            forbidden: private messages are not for the sender.
    """
    assert message.to is not None
    if message.type == "groupchat":
        raise StanzaError("bad-request", text="A private message is not of type groupchat.")
    if session is None:
        raise StanzaError("not-acceptable", text="You are not in the room.")
    sender = session.occupant
    allowed = {"anyone": Role.VISITOR, "participants": Role.PARTICIPANT, "moderators": Role.MODERATOR}
    least = allowed.get(room.config.allow_pm)
    if least is None or sender.role < least:
        raise StanzaError("forbidden", text="You may not send private messages in this room.")
    target = _target(room, message.to.resourcepart)
    if not sender.talk.take(room.world.clock.monotonic()):
        raise StanzaError("policy-violation", "wait", "You send faster than this room takes it.")
    passed = with_user_x(cleaned(message, room.jid).replace(from_=sender.jid), "")
    passed = passed.adding_raw(occupant_id_xml(sender.id), OCCUPANT_ID)
    if message.id is not None:
        _remember(room, _key(message.id, target), session, message.id, target)
    main, passed = target.main, passed.replace(to=None)
    for other in list(target.sessions.values()):
        if other is main or other.resource is None:
            room.world.outlet.send(passed.replace(to=other.jid))
        else:  # the account's history has it once
            room.world.outlet.deliver(passed, other)


def _key(id_: str, target: Occupant) -> str:
    return f"{target.bare} {id_}"


def _remember(room: Room, key: str, asker: Session, id_: str, target: Occupant) -> None:
    room.relayed[key] = (asker.jid, id_, target.bare, target.jid)
    if len(room.relayed) > MAX_RELAYED:
        del room.relayed[next(iter(room.relayed))]


def take_error(room: Room, message: Message) -> None:
    """Take an error in answer to something the room sent: it goes back to who wrote it; who cannot be reached any more is removed."""
    assert message.from_ is not None
    error = message.element(ERROR_TAG)
    conditions = {child.name for child in error.elements()} if error is not None else set()
    found = room.relayed.pop(f"{message.from_.bare} {message.id}", None)
    session = room.occupants.by_session.get(message.from_)
    if found is not None:
        author = room.occupants.by_session.get(found[0])
        if author is not None:
            room.world.outlet.send(message.replace(to=author.jid, from_=found[3]))
    if session is not None and not conditions.isdisjoint(GHOST_ERRORS if found is None else SURELY_GONE):
        entering.remove_ghost(room, session)


# requests


def relay_request(room: Room, iq: IQ) -> None:
    """Pass a request on to an occupant (§17.4), or answer it: one who pings itself learns whether it is there (XEP-0410).

    Raises:
        StanzaError: not-acceptable: the asker is not there; item-not-found: the other is not.
    """
    assert iq.to is not None and iq.from_ is not None
    session = room.occupants.by_session.get(iq.from_)
    if session is None:
        raise StanzaError("not-acceptable", text="You are not in the room.")
    target = _target(room, iq.to.resourcepart)
    if target is session.occupant and iq.has(PING) and iq.type == "get":
        room.world.outlet.send(iq.reply())
        return
    if iq.id is None or len(iq.tags) != 1:
        raise StanzaError("bad-request")
    if not session.occupant.talk.take(room.world.clock.monotonic()):
        raise StanzaError("policy-violation", "wait", "You send faster than this room takes it.")
    id_ = room.world.ids.token()
    _remember(room, id_, session, iq.id, target)
    to = target.bare if iq.tags[0] in FOR_ACCOUNTS else target.main.jid
    room.world.outlet.send(iq.replace(from_=session.occupant.jid, to=to, id=id_))


def relay_answer(room: Room, iq: IQ) -> None:
    """Pass an answer back to who asked; one that nobody waits for is dropped."""
    assert iq.from_ is not None
    found = room.relayed.get(iq.id or "")
    if found is None or found[2] != iq.from_.bare:
        return
    del room.relayed[iq.id or ""]
    asker, id_, _, asked = found
    if asker in room.occupants.by_session:
        room.world.outlet.send(iq.replace(from_=asked, to=asker, id=id_))
