"""XEP-0313 in rooms: the archive of a room, for those who may enter it.

What is kept is the business of `xmppd/rooms/talking.py`: each lasting message once, under the room's bare JID. What is read is a page of
that, asked for as one's own history is. Who wrote a message is told by its occupant JID and id; the real JID is in the archive only
where everybody saw it when the message was sent, and is cut off where not everybody may see it now.
"""

from dataclasses import replace

from codec.element import Element
from codec.jid import JID
from codec.payload import PayloadError
from codec.stanza import IQ, Message
from storage.interface import ArchivedMessage, StorageError
from xmppd.errors import StanzaError, error_reply
from xmppd.host import Host
from xmppd.module import Module
from xmppd.modules.xep_0045_muc import RoomsModule
from xmppd.modules.xep_0313_query import (
    NS,
    RESULT,
    MetadataRequest,
    Query,
    fin_of,
    form_of_fields,
    metadata_of,
    read_query,
    required_ids,
    results_of,
)
from xmppd.rooms.limits import MAX_ARCHIVE_QUERIES
from xmppd.rooms.markup import without_last_user_x
from xmppd.rooms.roles import Affiliation
from xmppd.rooms.room import Room


class RoomArchiveModule(Module, xep=313, requires=(RoomsModule,)):
    """Give rooms' messages back page by page."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        extensions = host.module(RoomsModule).extensions
        extensions.features.append(lambda room: (NS, f"{NS}#extended") if room.is_archived else ())
        extensions.iqs["get", Query.TAG] = self.describe
        extensions.iqs["set", Query.TAG] = self.query
        extensions.iqs["get", MetadataRequest.TAG] = self.metadata

    def describe(self, room: Room, iq: IQ) -> IQ:
        """Return the fields of the query's form (§4.1.5)."""
        check_may_read(room, iq)
        return iq.reply(form_of_fields())

    def query(self, room: Room, iq: IQ) -> None:
        """Send a page of results, then say what it was (§4.2)."""
        check_may_read(room, iq)
        request = iq.get(Query)
        assert request is not None
        read_query(request, self.host.config.archive.page_max, self.host.archive_ids)
        self._start(room)
        self.host.spawn(self._answer(room, iq, request))

    def metadata(self, room: Room, iq: IQ) -> None:
        """Tell the first and the last message's id and time (#extended)."""
        check_may_read(room, iq)
        self._start(room)
        self.host.spawn(self._answer(room, iq, None))

    def _start(self, room: Room) -> None:
        if room.queries >= MAX_ARCHIVE_QUERIES:
            raise StanzaError("resource-constraint", text="Too many read this archive now; try again in a moment.")
        room.queries += 1

    async def _answer(self, room: Room, iq: IQ, request: Query | None) -> None:
        try:
            # the client may name an id that it has just got and that is not committed yet
            await self.host.backend.flush()
            answer = iq.reply(await self._page(room, iq, request) if request else await self._metadata(room))
        except StanzaError as error:
            answer = _refusal(iq, error)
        except (StorageError, PayloadError):
            self.host.log.exception("room_archive_broke", room=room.jid)
            answer = _refusal(iq, StanzaError("internal-server-error"))
        finally:
            room.queries -= 1
        room.world.outlet.send(answer)

    async def _page(self, room: Room, iq: IQ, request: Query) -> Element:
        ids = self.host.archive_ids
        query = read_query(request, self.host.config.archive.page_max, ids)
        for id_ in required_ids(request, ids):
            if id_ is None or not await self.host.archive.has(room.jid, id_):
                raise StanzaError("item-not-found", text="This archive holds no message of that id.")
        page = await self.host.archive.query(room.jid, query)
        if not query.want_total:
            self._send(room, iq, request, page.messages)
        return fin_of(request, page, ids).to_element()

    def _send(self, room: Room, iq: IQ, request: Query, messages: list[ArchivedMessage]) -> None:
        assert iq.from_ is not None
        if not may_see_authors(room, iq.from_.bare):
            messages = [replace(message, stanza=without_last_user_x(message.stanza)) for message in messages]
        resource = room.world.outlet.resource(iq.from_)
        for _, inner in results_of(request, messages, self.host.archive_ids):
            result = Message(iq.from_, room.jid, None, "normal", None, inner, (RESULT,))
            if resource is not None:
                resource.send(result)
            else:
                room.world.outlet.send(result)

    async def _metadata(self, room: Room) -> Element:
        return metadata_of(await self.host.archive.bounds(room.jid), self.host.archive_ids).to_element()


def check_may_read(room: Room, iq: IQ) -> None:
    """Raise StanzaError unless the asker may read a room's archive: who may enter may, and needs no password when it belongs to the room."""
    assert iq.from_ is not None
    bare = iq.from_.bare
    affiliation = room.affiliation_of(bare)
    is_inside = bare in room.occupants.by_account
    if room.is_locked and affiliation is not Affiliation.OWNER:
        raise StanzaError("item-not-found", text="There is no such room.")
    if not room.is_archived:
        raise StanzaError("service-unavailable", text="This room keeps no archive.")
    if affiliation is Affiliation.OUTCAST:
        raise StanzaError("forbidden")
    is_closed = room.config.is_members_only or bool(room.config.password)
    if is_closed and affiliation < Affiliation.MEMBER and not (is_inside and not room.config.is_members_only):
        raise StanzaError("forbidden", text="This archive is for those who may enter the room.")


def may_see_authors(room: Room, bare: JID) -> bool:
    """Whether somebody sees real JIDs in the archive: everybody where the room is not anonymous, else its admins."""
    return room.config.is_non_anonymous or room.affiliation_of(bare) >= Affiliation.ADMIN


def _refusal(iq: IQ, error: StanzaError) -> IQ:
    reply = error_reply(iq, error)
    assert isinstance(reply, IQ), "a request may always be answered"
    return reply
