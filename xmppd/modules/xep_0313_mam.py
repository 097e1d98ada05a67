"""XEP-0313: Message Archive Management.

What is kept: at ARCHIVE each side of a message that keeps it adds its copy to the event, and when the message's way is over they are
written at once, the message itself but once. Its acknowledgement waits for that (promise 1), its delivery does not.

What is read: a page of the asking account's own history, by the form and the RSM of `xep_0313_query.py`.
"""

from codec.archived import to_archive
from codec.element import Element
from codec.jid import JID
from codec.payloads.hints import NO_PERMANENT_STORE
from codec.payloads.stanza_id import StanzaId
from codec.stanza import IQ, Message
from storage.interface import ArchiveCopy, ArchivedMessage, ArchiveQuery, StorageFull
from xmppd.clock import ID_SHIFT_BITS, time_of_id
from xmppd.errors import StanzaError
from xmppd.hooks import (
    PIE,
    BindEvent,
    DiscoEvent,
    ExportEvent,
    HistoryEvent,
    ImportEvent,
    MessageEvent,
    Phase,
    account_exported,
    account_imported,
    bind2_requested,
    disco_info,
    history_given,
    message_received,
    message_routed,
    message_sent,
)
from xmppd.host import Host
from xmppd.module import Module, Target, iq_get, iq_set, on
from xmppd.modules.xep_0313_past import Past, read_result
from xmppd.modules.xep_0313_query import (
    NS,
    RESULT,
    Fin,
    Metadata,
    MetadataRequest,
    Query,
    fin_of,
    form_of_fields,
    known_id,
    metadata_of,
    read_query,
    required_ids,
    result_inner,
    results_of,
)
from xmppd.modules.xep_0334_hints import may_wait
from xmppd.modules.xep_0359_ids import StanzaIdsModule, stanza_id_xml
from xmppd.modules.xep_0441_mam_prefs import ArchivePrefsModule, Choice
from xmppd.resource import Account, Resource

EXPORT_PAGE = 500
"""Messages read at once for a file."""
PRUNE_EVERY_S = 3_600.0
WAITING_DAYS = 90
"""Without histories, how long a message waits for somebody who does not come."""


class ArchiveModule(
    Module,
    xep=313,
    features=(NS, f"{NS}#extended"),  # of accounts alone says §7, but Profanity 0.13 asks the domain
    requires=(ArchivePrefsModule, StanzaIdsModule),
):
    """Keep messages, and give them back page by page."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._ids = host.module(StanzaIdsModule)
        self._is_enabled = host.config.archive.enabled
        self._past = Past(host.archive)
        if not self._is_enabled:
            self.account_features = ()  # nobody has a history: ids in messages must not be taken for its (§3.5)

    async def start(self) -> None:
        """Forget, from time to time, what is too old to be kept."""
        if self.host is next(iter(self.host.shared.hosts.values())):
            self._prune()

    def _prune(self) -> None:
        days = self.host.config.archive.expire_days if self._is_enabled else WAITING_DAYS
        if days:
            before_us = self.host.clock.now_us() - days * 86_400_000_000
            self.host.archive.prune(max(0, before_us) << ID_SHIFT_BITS)
        self.host.call_later(PRUNE_EVERY_S, self._prune)

    @on(disco_info)
    def offer(self, event: DiscoEvent) -> None:
        """Offer histories on the accounts that have them (§7); where there are none, ids in messages must not be taken for theirs."""
        if self._is_enabled and event.account is not None and event.node is None:
            event.features.extend((NS, f"{NS}#extended", f"{NS}#groupchat-field"))

    # keeping

    @on(message_sent, phase=Phase.ARCHIVE)
    def keep_sent(self, event: MessageEvent) -> MessageEvent:
        """Add the sender's copy."""
        message = event.message
        if not may_wait(message):
            return event
        event.kept = message
        account: Account = event.sender
        peer = account.jid if message.to is None else message.to
        if self._is_visible(message, account, peer):
            self._check_room()
            event.copies.append(ArchiveCopy(account.jid, peer.bare, peer.resourcepart, True, False, True, event.mark))
        return event

    @on(message_received, phase=Phase.ARCHIVE)
    def keep_received(self, event: MessageEvent) -> MessageEvent:
        """Add the recipient's copy, and tell the recipient its id."""
        message = event.message
        if event.kept is None and (event.sender is not None or not may_wait(message)):
            return event
        event.kept = message
        account: Account = event.recipient
        peer = account.jid if message.from_ is None else message.from_
        is_visible = self._is_visible(message, account, peer)
        # whoever has a history catches up from it; for others only what nobody took must wait
        is_pending = is_visible or not event.targets
        if not is_pending:
            return event
        self._check_room()
        if event.sender is account:
            event.copies[:] = [
                ArchiveCopy(account.jid, peer.bare, peer.resourcepart, True, is_pending, is_visible, event.mark)
            ]
        else:
            event.copies.append(
                ArchiveCopy(account.jid, peer.bare, peer.resourcepart, False, is_pending, is_visible, 0)
            )
        if is_visible:
            if message.is_xml:
                message.to_xml()  # what histories keep: the recipient's is made of it
            event.message = message.adding_raw(
                stanza_id_xml(account.jid, self.host.archive_ids.text_of(event.id)), StanzaId.TAG
            )
        return event

    def _is_visible(self, message: Message, account: Account, peer: JID) -> bool:
        """Whether an account's history shows a message that may wait."""
        return self._is_enabled and NO_PERMANENT_STORE not in message.tags and account.part(Choice).keeps(peer)

    def _check_room(self) -> None:
        """Refuse a message before it is delivered rather than after."""
        if self.host.backend.is_full:
            raise StanzaError(
                "resource-constraint", text="The server has no room to keep messages now; try again later."
            )

    @on(message_routed, phase=Phase.ARCHIVE)
    def write(self, event: MessageEvent) -> MessageEvent:
        """Write the message and its copies.

        A sender without a history gets one that no query shows, where a retry must be recognised after a crash (XEP-0359).
        """
        assert event.kept is not None
        if event.mark and event.copies[0].owner != event.sender.jid:
            sender, to = event.sender.jid, event.message.to
            event.copies.append(
                ArchiveCopy(sender, sender if to is None else to.bare, "", True, False, False, event.mark)
            )
        try:
            commit = self.host.archive.append(event.id, to_archive(event.kept), event.copies)
        except StorageFull as error:
            raise StanzaError("resource-constraint", text="The server has no room to keep messages now.") from error
        event.commit = commit
        self.host.metrics.archive_messages += 1
        if event.mark:
            self._ids.remember(event.sender, event.mark, commit)
        return event

    # files (XEP-0227)

    @on(account_exported)
    async def export(self, event: ExportEvent) -> ExportEvent:
        """Write the whole history, the oldest first (§4.11 there)."""
        after_id, page = 0, await self.host.archive.query(event.jid, ArchiveQuery(limit=EXPORT_PAGE))
        if page.messages:
            event.write(f"<archive xmlns='{PIE}#mam'>".encode())
            while page.messages:
                for message in page.messages:
                    id_ = self.host.archive_ids.text_of(message.id)
                    event.write(result_inner(f"<result xmlns='{NS}'", id_, message, time_of_id(message.id)))
                after_id = page.messages[-1].id
                page = await self.host.archive.query(event.jid, ArchiveQuery(after_id=after_id, limit=EXPORT_PAGE))
            event.write(b"</archive>")
        return event

    @on(account_imported)
    async def take(self, event: ImportEvent) -> ImportEvent:
        """Keep a message of a history, at the time at which it was sent."""
        if len(event.within) != 1 or event.within[0].tag != f"{PIE}#mam archive":
            return event
        event.is_taken = True
        if self._is_enabled:
            event.commits.append(self._past.keep(event.jid, *read_result(event.element, event.jid)))
        return event

    # reading

    @iq_get(Query, to=(Target.ACCOUNT,))
    def describe(self, iq: IQ) -> Element:
        """Return the fields of the query's form (§4.1.5)."""
        return form_of_fields()

    @iq_set(Query, to=(Target.ACCOUNT,))
    async def query(self, iq: IQ) -> Fin:
        """Send a page of results, then say what it was (§4.2)."""
        request = iq.payload
        assert isinstance(request, Query) and iq.to is not None and iq.from_ is not None
        owner = iq.to.bare
        resource = self.host.resource(iq.from_)
        if resource is None:
            raise StanzaError("not-allowed")
        query = read_query(request, self.host.config.archive.page_max, self.host.archive_ids)
        await self.host.backend.flush()  # the client may name an id that it has just got and that is not committed yet
        await self._require(owner, request)
        page = await self.host.archive.query(owner, query)
        if not query.want_total:
            self._send(resource, owner, request, page.messages)
            self.host.signal(
                history_given, HistoryEvent(resource, [message.id for message in page.messages], known_id(query))
            )
        return fin_of(request, page, self.host.archive_ids)

    async def _require(self, owner: JID, request: Query) -> None:
        """Refuse ids that the history does not hold (§4.3.2.1)."""
        for id_ in required_ids(request, self.host.archive_ids):
            if id_ is None or not await self.host.archive.has(owner, id_):
                raise StanzaError("item-not-found", text="This history holds no message of that id.")

    def _send(self, resource: Resource, owner: JID, request: Query, messages: list[ArchivedMessage]) -> None:
        for message, inner in results_of(request, messages, self.host.archive_ids):
            result = Message(resource.jid, owner, None, "normal", None, inner, (RESULT,))
            # a message that the owner got counts as given once this arrives (XEP-0160)
            is_sent = message.outgoing and message.peer != owner
            resource.send(result, 0 if is_sent else message.id)

    @iq_get(MetadataRequest, to=(Target.ACCOUNT,))
    async def metadata(self, iq: IQ) -> Metadata:
        """Return the first and the last message's id and time (#extended)."""
        assert iq.to is not None
        return metadata_of(await self._bounds(iq.to.bare), self.host.archive_ids)

    @on(bind2_requested)
    async def tell(self, event: BindEvent) -> None:
        """Tell a client that binds by XEP-0386 how far the history goes, so that it need not ask."""
        if self._is_enabled:
            account: Account = event.account
            bounds = await self._bounds(account.jid)
            event.history_end_id = 0 if bounds is None else bounds[1]
            event.answers.append(metadata_of(bounds, self.host.archive_ids).to_element())

    async def _bounds(self, owner: JID) -> tuple[int, int] | None:
        await self.host.backend.flush()
        return await self.host.archive.bounds(owner)
