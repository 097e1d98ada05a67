"""Messages to all who are in a room, its subject, and what becomes of them (XEP-0045 §7.4, §7.2.15, §8.1).

A message is refused, or gets its id, goes to everybody with the same payload, and is kept: for newcomers, and in the archive.
Its acknowledgement waits for the archive (XEP-0198), its delivery does not.
"""

from hashlib import blake2b

from codec.element import Element, escape_value
from codec.jid import JID
from codec.payload import PayloadError
from codec.payloads.delay import Delay
from codec.payloads.stanza_id import NS as STANZA_ID_NS
from codec.payloads.stanza_id import OriginId, StanzaId
from codec.stanza import Message
from storage.interface import ArchiveCopy, Commit, StorageFull
from xmppd.clock import time_of_id
from xmppd.errors import StanzaError
from xmppd.rooms.limits import MAX_FAN_OUT_BYTES, MAX_SUBJECT_BYTES, RETRIES_REMEMBERED
from xmppd.rooms.markup import (
    BODY,
    OCCUPANT_ID,
    SUBJECT,
    cleaned,
    item,
    occupant_id_xml,
    with_user_x,
)
from xmppd.rooms.occupants import Occupant, Session
from xmppd.rooms.roles import Role
from xmppd.rooms.room import Room, Subject


def talk(room: Room, session: Session | None, message: Message) -> Commit | None:
    """Pass a message of an occupant on to all.

    Returns:
        What its acknowledgement waits for.

    Raises:
        StanzaError: not-acceptable: the sender is not there; forbidden: it has no voice, or may not change the subject;
            policy-violation: too fast, or too large; resource-constraint: there is no room to keep it.
    """
    if session is None:
        raise StanzaError("not-acceptable", text="You are not in the room.")
    occupant = session.occupant
    mark = _mark(room, occupant.bare, message)
    if mark in room.marks:
        before = room.marks[mark]
        if before is None or before.error is None:
            return before
    is_subject = SUBJECT in message.tags and BODY not in message.tags
    _check(room, session, message, is_subject)
    passed = _prepared(room, occupant, message)
    for extension in room.world.extensions.messages:
        extension(room, occupant, passed)
    commit = publish(room, passed, occupant, mark)
    if is_subject:
        _set_subject(room, occupant, passed)
    return commit


def _mark(room: Room, bare: JID, message: Message) -> int:
    """Return a 64-bit number that tells the sender and its origin-id; 0 without one (XEP-0359)."""
    if OriginId.TAG not in message.tags:
        return 0
    try:
        origin = message.get(OriginId)
    except PayloadError:
        return 0
    assert origin is not None
    digest = blake2b(f"{bare}\0{room.jid}\0{origin.id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True) or 1


def _check(room: Room, session: Session, message: Message, is_subject: bool) -> None:
    occupant, config = session.occupant, room.config
    if is_subject:
        if occupant.role is not Role.MODERATOR and not (
            config.participants_change_subject and occupant.role is Role.PARTICIPANT
        ):
            raise StanzaError("forbidden", text="You may not change the subject.")
        if len(message.inner) > MAX_SUBJECT_BYTES:
            raise StanzaError("policy-violation", text=f"A subject has at most {MAX_SUBJECT_BYTES} bytes.")
    elif occupant.role < Role.PARTICIPANT:
        raise StanzaError("forbidden", text="You have no voice in this room.")
    if not occupant.talk.take(room.world.clock.monotonic()):
        raise StanzaError("policy-violation", "wait", "You send faster than this room takes it.")
    most = MAX_FAN_OUT_BYTES // max(1, len(room.occupants.by_session))
    if len(message.inner) > most:
        raise StanzaError("policy-violation", text=f"With so many here, a message has at most {most} bytes.")


def _prepared(room: Room, occupant: Occupant, message: Message) -> Message:
    """Return a message as it goes on, without `to` and the room's id."""
    passed = cleaned(message, room.jid).replace(to=None, from_=occupant.jid, id=message.id or room.world.ids.token())
    return passed.adding_raw(occupant_id_xml(occupant.id), OCCUPANT_ID)


def publish(room: Room, message: Message, occupant: Occupant | None, mark: int = 0) -> Commit | None:
    """Give a message its id, keep it where rooms keep messages, and send it to all.

    Args:
        message: without `to`; of an occupant, or of the room itself (`occupant` None).

    Raises:
        StanzaError: resource-constraint: there is no room to keep it; nobody got it.
    """
    world = room.world
    id_ = world.ids.stanza_id()
    is_lasting = world.is_lasting(message)
    commit = _archive(room, message, occupant, id_, mark) if is_lasting and room.is_archived else None
    message = with_stanza_id(room, message, id_)
    if mark:
        remember(room, mark, commit)
    if is_lasting and (SUBJECT not in message.tags or BODY in message.tags):
        room.history.add(message, time_of_id(id_), id_)
    world.outlet.fan_out(message, room.occupants.sessions())
    if is_lasting:
        absent = (*room.absent_members(), *_asleep(room))
        if absent:
            world.tell_absent(room, message, absent, id_)
    return commit


def _asleep(room: Room) -> set[JID]:
    """Return whom a message reaches only when a client of theirs wakes up: it has lost its connection, or says that it is inactive."""
    return {
        session.occupant.bare
        for session in room.occupants.sessions()
        if (resource := session.resource) is not None and (resource.stream is None or resource.gate is not None)
    }


def with_stanza_id(room: Room, message: Message, id_: int) -> Message:
    """Return a message with the room's id in it (XEP-0359)."""
    text = room.world.archive_ids.text_of(id_)
    xml = f"<stanza-id xmlns='{STANZA_ID_NS}' id='{text}' by='{escape_value(room.jid)}'/>"
    return message.adding_raw(xml.encode(), StanzaId.TAG)


def _archive(room: Room, message: Message, occupant: Occupant | None, id_: int, mark: int) -> Commit:
    nick = ""
    if occupant is not None:
        nick = occupant.nick
        if room.config.is_non_anonymous:
            message = with_user_x(message, item(occupant.affiliation, occupant.role, occupant.bare))
    copy = ArchiveCopy(room.jid, room.jid, nick, False, False, True, mark)
    try:
        return room.world.archive.append(id_, message.to_xml(), (copy,))
    except StorageFull as error:
        raise StanzaError("resource-constraint", text="The server has no room to keep messages now.") from error


def remember(room: Room, mark: int, commit: Commit | None) -> None:
    """Note a message, so that it is recognised when it is sent again."""
    room.marks.pop(mark, None)
    room.marks[mark] = commit
    if len(room.marks) > RETRIES_REMEMBERED:
        del room.marks[next(iter(room.marks))]


# the subject


def _set_subject(room: Room, occupant: Occupant, message: Message) -> None:
    element = message.element(SUBJECT)
    text = "" if element is None else element.text
    room.subject = Subject(text, occupant.jid, room.world.clock.now())
    room.world.keeper.save(room)


def subject_message(room: Room) -> Message:
    """Return the subject as newcomers get it, an empty one when there is none (§7.2.15); without `to`."""
    subject = room.subject
    text = "" if subject is None else subject.text
    by = room.jid if subject is None else subject.by
    message = Message(None, by, None, "groupchat").adding(Element(SUBJECT, {}, (text,) if text else ()))
    if subject is None:
        return message
    return message.adding(Delay(from_=room.jid, stamp=subject.at))
