"""XEP-0425: Moderated Message Retraction, and the tombstones of XEP-0424 in the archives of rooms.

A moderator has a message taken back; its author does so by itself (XEP-0424). In both cases it is not given to newcomers any more, and
in the archive something stands in its place that says when and by whom it was taken back.
"""

from dataclasses import dataclass

from codec.element import Element, parse_element
from codec.payload import Payload, attr, child_text, flag
from codec.stanza import IQ, Message
from codec.values import format_datetime
from storage.interface import ArchiveQuery, Commit, StorageError
from xmppd.errors import StanzaError, error_reply
from xmppd.host import Host
from xmppd.module import Module
from xmppd.modules.xep_0045_muc import RoomsModule
from xmppd.rooms import talking
from xmppd.rooms.administering import Actor, actor_of
from xmppd.rooms.limits import MAX_TEXT_CHARS
from xmppd.rooms.markup import OCCUPANT_ID, OCCUPANT_ID_NS
from xmppd.rooms.occupants import Occupant
from xmppd.rooms.roles import Role
from xmppd.rooms.room import Room

NS = "urn:xmpp:message-moderate:1"
RETRACT_NS = "urn:xmpp:message-retract:1"
RETRACT = f"{RETRACT_NS} retract"
FEATURES = (NS, RETRACT_NS, f"{RETRACT_NS}#tombstone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moderate(Payload, tag=(NS, "moderate")):
    """A moderator's wish: what is to be taken back, by the room's id of it, and why."""

    id: str = attr(required=True)
    retract: bool = flag(ns=RETRACT_NS)
    reason: str | None = child_text()


class ModerationModule(Module, xep=425, requires=(RoomsModule,)):
    """Take messages back."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        extensions = host.module(RoomsModule).extensions
        extensions.features.append(lambda _: FEATURES)
        extensions.iqs["set", Moderate.TAG] = self.moderate
        extensions.messages.append(self.retracted)

    # by a moderator

    def moderate(self, room: Room, iq: IQ) -> None:
        """Take a message back for a moderator (§3).

        Raises:
            StanzaError: forbidden: the asker is no moderator; bad-request: it wants something else than to take back.
        """
        request = iq.get(Moderate)
        assert request is not None
        actor = actor_of(room, iq)
        if actor.role is not Role.MODERATOR or actor.occupant is None:
            raise StanzaError("forbidden", text="That is for the room's moderators.")
        if not request.retract:
            raise StanzaError("bad-request", text="Messages can be taken back, and nothing else.")
        self.host.spawn(self._answer(room, iq, request, actor))

    async def _answer(self, room: Room, iq: IQ, request: Moderate, actor: Actor) -> None:
        answer: object
        try:
            await self._moderate(room, request, actor)
            answer = iq.reply()
        except StanzaError as error:
            answer = error_reply(iq, error)
        except StorageError:
            self.host.log.exception("moderation_broke", room=room.jid)
            answer = error_reply(iq, StanzaError("internal-server-error"))
        assert isinstance(answer, IQ)
        room.world.outlet.send(answer)

    async def _moderate(self, room: Room, request: Moderate, actor: Actor) -> None:
        id_ = self.host.archive_ids.id_of(request.id)
        kept = None if id_ is None else await self._kept(room, id_)
        if id_ is None or (kept is None and id_ not in room.history):
            raise StanzaError("item-not-found", text="The room has no message of that id.")
        assert actor.occupant is not None
        moderated = _moderated(actor.occupant)
        reason = (request.reason or "")[:MAX_TEXT_CHARS]
        inner = (moderated, *([Element(f"{RETRACT_NS} reason", {}, (reason,))] if reason else []))
        notice = Message(None, room.jid, self.host.ids.token(), "groupchat")
        notice = notice.adding(Element(RETRACT, {"id": request.id}, inner))
        room.history.remove(id_)
        commits: list[Commit | None] = [talking.publish(room, notice, None)]
        if kept is not None:
            commits.append(self._bury(id_, kept, notice.id or "", inner))
        for commit in commits:
            if commit is not None:
                await commit

    async def _kept(self, room: Room, id_: int) -> Element | None:
        """Return a message of the room's archive."""
        await self.host.backend.flush()
        page = await self.host.archive.query(room.jid, ArchiveQuery(ids=(id_,), limit=1))
        return parse_element(page.messages[0].stanza) if page.messages else None

    def _bury(self, id_: int, kept: Element, retraction_id: str, inner: tuple[Element, ...]) -> Commit:
        """Put a tombstone in the place of a message (XEP-0424 §4): who wrote it stays, what it said goes."""
        stamp = format_datetime(self.host.clock.now())
        stone = Element(f"{RETRACT_NS} retracted", {"id": retraction_id, "stamp": stamp}, inner)
        author = tuple(child for child in kept.elements() if child.tag == OCCUPANT_ID)
        return self.host.archive.replace_stanza(id_, Element(kept.tag, kept.attrs, (*author, stone)).to_xml())

    # by its author

    def retracted(self, room: Room, occupant: Occupant, message: Message) -> None:
        """An author takes a message of its own back (XEP-0424): what it asks clients to do, the archive does too."""
        retract = message.element(RETRACT)
        id_ = None if retract is None else self.host.archive_ids.id_of(retract.get("id"))
        if id_ is not None:
            self.host.spawn(self._take_back(room, occupant.id, message.id or "", id_))

    async def _take_back(self, room: Room, author_id: str, retraction_id: str, id_: int) -> None:
        try:
            kept = await self._kept(room, id_)
            if kept is not None and author_id == _author(kept):
                room.history.remove(id_)
                await self._bury(id_, kept, retraction_id, ())
        except StorageError:
            self.host.log.exception("retraction_broke", room=room.jid)


def _author(kept: Element) -> str | None:
    found = kept.find_all(OCCUPANT_ID)
    return found[-1].get("id") if found else None


def _moderated(moderator: Occupant) -> Element:
    who = Element(f"{OCCUPANT_ID_NS} occupant-id", {"id": moderator.id})
    return Element(f"{NS} moderated", {"by": moderator.jid}, (who,))
