"""What a stanza to a room is, and which file deals with it.

message  groupchat, to the room        talking
         groupchat, to an occupant     refused
         other, to an occupant         relaying
         other, to the room            inviting (invitations, declines, requests for voice)
         error                         somebody may be gone: relaying
presence                               entering
iq       to the room                   requests
         to an occupant, or an answer  relaying
"""

from codec.payload import PayloadError
from codec.stanza import IQ, Message, Presence, Stanza
from storage.interface import Commit
from xmppd.errors import StanzaError
from xmppd.rooms import entering, inviting, relaying, requests, talking
from xmppd.rooms.roles import Affiliation
from xmppd.rooms.room import Room


def take(room: Room, stanza: Stanza) -> Commit | None:
    """Deal with a stanza for a room or one of its occupants.

    Returns:
        What its acknowledgement waits for.

    Raises:
        StanzaError: it is refused.
    """
    try:
        return _take(room, stanza)
    except PayloadError as error:
        raise StanzaError("bad-request", text=str(error)) from error


def _take(room: Room, stanza: Stanza) -> Commit | None:
    assert stanza.to is not None and stanza.from_ is not None
    is_to_occupant = bool(stanza.to.resourcepart)
    if isinstance(stanza, Message):
        return _message(room, stanza, is_to_occupant)
    if isinstance(stanza, Presence):
        if not stanza.from_.resourcepart and stanza.type not in ("unavailable", "error"):
            raise StanzaError("jid-malformed", text="Rooms are entered from a full JID.")
        entering.take_presence(room, stanza)
        return None
    assert isinstance(stanza, IQ)
    if stanza.type in ("result", "error"):
        relaying.relay_answer(room, stanza)
    elif is_to_occupant:
        relaying.relay_request(room, stanza)
    else:
        requests.take_request(room, stanza)
    return None


def _message(room: Room, message: Message, is_to_occupant: bool) -> Commit | None:
    assert message.from_ is not None
    if message.type == "error":
        relaying.take_error(room, message)
        return None
    session = room.occupants.by_session.get(message.from_)
    if room.is_locked and session is None and room.affiliation_of(message.from_.bare) is not Affiliation.OWNER:
        raise StanzaError("item-not-found", text="There is no such room.")
    if is_to_occupant:
        relaying.relay_message(room, session, message)
        return None
    if message.type == "groupchat":
        return talking.talk(room, session, message)
    inviting.take_message(room, session, message)
    return None
