"""XEP-0486: MUC Avatars: a room's vCard (XEP-0054), written by its owners, with a picture whose hash the room tells.

The hash is in the room's roominfo form and, for clients that look there alone (XEP-0153), in a presence of the room itself to those who
are in it; a room without a picture sends none.
"""

import binascii
from base64 import b64decode
from hashlib import sha1

from codec.element import Element, parse_element
from codec.stanza import IQ, Presence
from storage.interface import Commit, KeyValStore, StorageError
from xmppd.component import both
from xmppd.errors import StanzaError, error_reply
from xmppd.host import Host
from xmppd.module import Module
from xmppd.modules.xep_0045_muc import RoomsModule
from xmppd.rooms.occupants import Session
from xmppd.rooms.owning import notify
from xmppd.rooms.roles import Affiliation
from xmppd.rooms.room import Room

NS = "vcard-temp"
VCARD = f"{NS} vCard"
UPDATE_NS = "vcard-temp:x:update"
MAX_PHOTOS = 4
"""Pictures in one vCard: the same one in several formats (§4.1)."""


class RoomAvatarsModule(Module, xep=486, requires=(RoomsModule,), stores={"cards": KeyValStore}):
    """Keep one vCard for each room."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        extensions = host.module(RoomsModule).extensions
        extensions.features.append(lambda _: (NS,))
        extensions.info.append(lambda room: {"muc#roominfo_avatarhash": hashes} if (hashes := hashes_of(room)) else {})
        extensions.welcome.append(_show)
        extensions.iqs["get", VCARD] = self.fetch
        extensions.iqs["set", VCARD] = self.store

    def fetch(self, room: Room, iq: IQ) -> None:
        """Return the room's vCard, an empty one when there is none (§3.3)."""
        assert iq.from_ is not None
        affiliation = room.affiliation_of(iq.from_.bare)
        if room.is_locked and affiliation is not Affiliation.OWNER:
            raise StanzaError("item-not-found")
        if affiliation is Affiliation.OUTCAST:
            raise StanzaError("forbidden")
        self.host.spawn(self._answer(room, iq))

    async def _answer(self, room: Room, iq: IQ) -> None:
        try:
            value = await self.stores["cards"].get(room.jid)
            answer: object = iq.reply(Element(VCARD) if value is None else parse_element(value))
        except StorageError:
            answer = error_reply(iq, StanzaError("internal-server-error"))
        assert isinstance(answer, IQ)
        room.world.outlet.send(answer)

    def store(self, room: Room, iq: IQ) -> Commit:
        """Keep an owner's vCard in the place of the last one, and tell those in the room (§3.1)."""
        assert iq.from_ is not None
        if room.affiliation_of(iq.from_.bare) is not Affiliation.OWNER:
            raise StanzaError("forbidden", text="That is for the room's owners.")
        card = iq.element(VCARD)
        assert card is not None
        hashes = _hashes(card)
        store: KeyValStore = self.stores["cards"]
        commit = store.set(room.jid, card.to_xml()) if card.elements() else store.delete(room.jid)
        if hashes != hashes_of(room):
            room.more["avatar"] = hashes
            if not hashes:
                del room.more["avatar"]
            commit = both(commit, room.world.keeper.save(room)) or commit
            notify(room, (104,))
            for session in room.occupants.sessions():
                _show(room, session, is_change=True)
        return commit


def _show(room: Room, session: Session, *, is_change: bool = False) -> None:
    """Tell a client the hash of the room's picture by presence (§4.2); without a picture only that there is none any more."""
    hashes = hashes_of(room)
    if hashes or is_change:
        photo = Element(f"{UPDATE_NS} photo", {}, (hashes[0],) if hashes else ())
        room.world.outlet.deliver(Presence.build(Element(f"{UPDATE_NS} x", {}, (photo,)), from_=room.jid), session)


def hashes_of(room: Room) -> list[str]:
    """Return the hashes of a room's pictures, one a format."""
    return list(room.more.get("avatar", ()))


def _hashes(card: Element) -> list[str]:
    found = []
    photos = card.find_all(f"{NS} PHOTO")
    if len(photos) > MAX_PHOTOS:
        raise StanzaError("policy-violation", text=f"At most {MAX_PHOTOS} pictures.")
    for photo in photos:
        binval = photo.find(f"{NS} BINVAL")
        if binval is None:
            continue
        try:
            data = b64decode("".join(binval.text.split()), validate=True)
        except binascii.Error as error:
            raise StanzaError("bad-request", text="A picture is not base64.") from error
        if data:
            found.append(sha1(data, usedforsecurity=False).hexdigest())
    return found
