"""XEP-0160: messages for absent people.

There is no separate store: a message that somebody must still get is `pending` in the archive, and an account remembers, durably,
up to which id everything has reached one of its resources, and which few below it have not (the cursor, see
`xep_0160_delivery.py`). What has reached nobody is given when a resource becomes available with a priority that is not negative, with the time it was sent (XEP-0203), unless it has
come otherwise: live, as a copy (XEP-0280), out of the history.

    waits --(a resource takes it)--> on its way --(acknowledged, or no acks)--> reached
       ^                                 |
       +------(the resource ended)-------+

The cursor is written now and then, not for each message: after a crash somebody may get again what they had, with the same
stanza-id; nobody loses anything.
"""

import asyncio
import contextlib
from dataclasses import dataclass, field

from codec.archived import read_archived, to_archive
from codec.jid import JID
from codec.payloads.delay import Delay
from codec.payloads.forwarded import with_namespace
from codec.payloads.stanza_id import StanzaId
from codec.stanza import Message, Presence
from storage.interface import ArchiveCopy, ArchivedMessage, ArchiveQuery, Commit, KeyValStore, StorageError
from xmppd.clock import time_of_id
from xmppd.errors import StanzaError
from xmppd.hooks import (
    PIE,
    BindEvent,
    DeliveredEvent,
    ExportEvent,
    HistoryEvent,
    ImportEvent,
    MessageEvent,
    Phase,
    PresenceChangedEvent,
    PresenceEvent,
    ResourceEvent,
    UndeliveredEvent,
    account_exported,
    account_imported,
    bind2_bound,
    history_given,
    message_received,
    presence_changed,
    presence_sent,
    resource_ended,
    stanza_delivered,
    stanzas_undelivered,
)
from xmppd.host import Host
from xmppd.module import Module, account_part, on
from xmppd.modules.rfc_6121_message import NOT_CONVERSATION, MessageModule, archive_id_of, best_resources
from xmppd.modules.xep_0160_delivery import Delivery, State
from xmppd.modules.xep_0313_past import Past, read_waiting
from xmppd.modules.xep_0334_hints import may_wait
from xmppd.modules.xep_0359_ids import stanza_id_xml
from xmppd.resource import Account, Resource

PAGE = 100
"""Messages read from storage at once."""

MAX_UNACKED = 1_000
MAX_UNACKED_BYTES = 1_000_000
"""A resource with so many unacknowledged stanzas gets the rest when it has acknowledged half of them."""

BURST_BYTES = 262_144
"""A client without acknowledgements gets so much before we look whether it has been taken."""

RETRY_AFTER_S = 0.2
"""How long a client that reads slowly, and acknowledges nothing, is left alone."""

MAX_PASSES = 10
"""How often what has just come is read before a resource becomes available; who sends fast must not keep it from that."""

MAX_GIVEN = 20_000
"""Ids that one resource has had before it became available and that need not be given again; beyond it some may come twice."""

SAVE_AFTER_S = 0.5
"""How long cursors wait to be written together."""


@dataclass(slots=True)
class Given:
    """What a resource has had, live or from the history, before it became available: everything up to an id, and some above it.

    Up to `history_end_id` it reads its history for itself: what stands there is not given.
    """

    known_id: int = 0
    history_end_id: int = 0
    ids: list[int] = field(default_factory=list)

    def add(self, ids: list[int]) -> None:
        """Note some ids, as long as there is room."""
        self.ids.extend(ids[: MAX_GIVEN - len(self.ids)])


class OfflineModule(
    Module, xep=160, features=("msgoffline",), requires=(MessageModule,), stores={"cursor": KeyValStore}
):
    """Keep track of what has reached an account, and give it the rest."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._past = Past(host.archive)
        self._dirty: dict[JID, Delivery] = {}
        self._unstored: dict[JID, State] = {}
        """Cursors that were written and are not committed yet, or could not be."""

    @account_part(Delivery, lazy=True)
    async def load(self, account: Account) -> Delivery:
        """Read an account's cursor, and look what its resources have had, or have on the way, without presence."""
        stored = await self.stores["cursor"].get(account.jid)
        state = self._unstored.get(account.jid) or (tuple(map(int, stored.split(b","))) if stored else (0,))
        delivery = Delivery(state)
        for resource in account.resources.values():
            if resource.has_state(Given):
                given = resource.state(Given)
                delivery.know(given.known_id)
                for id_ in given.ids:
                    delivery.confirm(id_)
                given.ids.clear()
        for id_ in sorted(_on_the_way(account)):
            delivery.gave(id_)
        return delivery

    # files (XEP-0227)

    @on(account_exported)
    async def export(self, event: ExportEvent) -> ExportEvent:
        """Write what waits, the oldest first, with the time at which it came (§4.5 there)."""
        jid = event.jid
        stored = await self.stores["cursor"].get(jid)
        known_to, *holes = map(int, stored.split(b",")) if stored else (0,)
        after_id = min((known_to, *holes)) - 1 if holes else known_to
        is_open = False
        while page := await self.host.archive.pending(jid, after_id, PAGE):
            for message in page:
                if message.id > known_to or message.id in holes:
                    stanza = _waiting(message, self.host.domain)
                    event.write(b"" if is_open else b"<offline-messages>")
                    event.write(with_namespace(stanza.to_xml()))
                    is_open = True
            after_id = page[-1].id
        event.write(b"</offline-messages>" if is_open else b"")
        return event

    @on(account_imported)
    async def take(self, event: ImportEvent) -> ImportEvent:
        """Let a message wait that no history shows: what histories show comes by itself."""
        if len(event.within) == 1 and event.within[0].tag == f"{PIE} offline-messages":
            event.is_taken = True
            message, moment = read_waiting(event.element, event.jid)
            peer = message.from_ or event.jid
            copy = ArchiveCopy(event.jid, peer.bare, peer.resourcepart, pending=True, visible=False)
            event.commits.append(self._past.keep(event.jid, message, moment or self.host.clock.now(), copy))
        return event

    # what comes

    @on(message_received, phase=Phase.FALLBACK)
    def note(self, event: MessageEvent) -> MessageEvent:
        """Note a message that is on its way to resources, or waits beside resources that cannot take it."""
        account: Account = event.recipient
        id_ = archive_id_of(event)
        if id_:
            delivery: Delivery | None = account.loaded_part(Delivery)
            if delivery is not None:
                delivery.came(id_, bool(event.targets))
        elif not event.targets and _wants_answer(event.message):
            raise StanzaError("service-unavailable", text="Nobody is there, and this message is not to be kept.")
        return event

    @on(stanza_delivered)
    def confirm(self, event: DeliveredEvent) -> None:
        """A resource has a message."""
        account: Account = event.resource.account
        delivery = account.loaded_part(Delivery)
        if delivery is None:
            event.resource.state(Given).add([event.id])
            return
        delivery.confirm(event.id)
        self._save_soon(account.jid, delivery)
        if delivery.is_waiting and not delivery.is_giving:
            self._give_more(account, delivery)

    @on(history_given)
    def given(self, event: HistoryEvent) -> None:
        """A page of its history is on its way to a resource: that need not be given again, unless the resource ends without it."""
        resource: Resource = event.resource
        if resource.is_ended:
            return
        delivery = resource.account.loaded_part(Delivery)
        known_id = min(event.known_id, self.host.ids.stanza_id())  # a client cannot have what is still to come
        if delivery is None:
            given = resource.state(Given)
            given.known_id = max(given.known_id, known_id)
            return
        delivery.know(known_id)
        if resource.acks is not None:
            for id_ in event.ids:
                delivery.gave(id_)
        self._save_soon(resource.account.jid, delivery)

    @on(bind2_bound)
    def bound(self, event: BindEvent) -> None:
        """A client that binds by XEP-0386 fetches what it has missed (§3.2 there)."""
        event.resource.state(Given).history_end_id = event.history_end_id

    # who comes

    @on(presence_sent, phase=Phase.CHECK)
    async def arrive(self, event: PresenceEvent) -> PresenceEvent:
        """Before a resource may get the account's messages: give it what waits, so that nothing newer comes first."""
        resource: Resource = event.resource
        presence = event.presence
        if presence.type == "" and presence.to is None and not _takes(resource) and not _is_negative(presence):
            delivery = await resource.account.load_part(Delivery)
            for _ in range(MAX_PASSES):
                if delivery.is_giving or not delivery.is_waiting or not _has_room(resource, 1):
                    break
                await self._give(resource, delivery)
        return event

    @on(presence_changed)
    async def check(self, event: PresenceChangedEvent) -> None:
        """After a resource became available: what came in the meantime and found nobody."""
        resource: Resource = event.resource
        delivery: Delivery | None = resource.account.loaded_part(Delivery)
        if delivery is not None and delivery.is_waiting and not delivery.is_giving and _takes(resource):
            await self._give(resource, delivery)

    # giving

    def _give_more(self, account: Account, delivery: Delivery) -> None:
        """Go on giving what waits, if there is a resource with room for a good deal of it."""
        taker = _with_room(account, 2)
        if taker is not None:
            delivery.is_giving = True
            self.host.spawn(self._give(taker, delivery))

    async def _give(self, resource: Resource, delivery: Delivery) -> None:
        """Give what waits to a resource, and what then still waits to whoever is there and has room."""
        delivery.is_giving = True
        try:
            taker: Resource | None = resource
            while taker is not None and not taker.is_ended:
                await self._pass(taker, delivery)
                is_over = not delivery.is_waiting or not _is_current(delivery, resource.account)
                taker = None if is_over else _with_room(resource.account, 1)
        finally:
            delivery.is_giving = False

    async def _pass(self, resource: Resource, delivery: Delivery) -> None:
        """Read through what waits, once, and give it to a resource as far as it has room.

        What comes meanwhile to somebody absent is left for the next time.
        """
        jid = resource.account.jid
        after_id = delivery.start()
        burst_bytes = 0
        mark = self.host.ids.stanza_id()
        await self.host.backend.flush()
        while after_id < mark:
            page = await self.host.archive.pending(jid, after_id, PAGE)
            fetched = await self._fetched(resource, page)
            if not _is_current(delivery, resource.account):
                return
            for message in page:
                burst_bytes += len(message.stanza)
                if burst_bytes > BURST_BYTES:
                    burst_bytes = 0
                    await asyncio.sleep(0)  # what was given leaves, as far as it can
                if not _has_room(resource, 1):
                    self._retry_later(resource, delivery)
                    return
                after_id = message.id
                if delivery.take(after_id):
                    if after_id in fetched:
                        delivery.confirm(after_id)
                    else:
                        self._give_one(resource, message)
            if not page:
                break
        if _is_current(delivery, resource.account):
            delivery.passed(mark)
            self._save_soon(jid, delivery)

    def _retry_later(self, resource: Resource, delivery: Delivery) -> None:
        """Nobody tells when a client without acknowledgements has room again."""
        if resource.acks is None and not resource.is_ended:
            self.host.call_later(RETRY_AFTER_S, lambda: self._go_on(resource, delivery))

    def _go_on(self, resource: Resource, delivery: Delivery) -> None:
        if resource.is_ended or delivery.is_giving or not delivery.is_waiting:
            return  # whoever gives looks again
        if _has_room(resource, 1):
            self._give_more(resource.account, delivery)
        else:
            self._retry_later(resource, delivery)

    async def _fetched(self, resource: Resource, page: list[ArchivedMessage]) -> set[int]:
        """Return which of these messages a resource fetches from its history; what only waits, and stands in none, it cannot."""
        end_id = resource.state(Given).history_end_id if resource.has_state(Given) else 0
        ids = tuple(message.id for message in page if message.id <= end_id)
        if not ids:
            return set()
        found = await self.host.archive.query(resource.account.jid, ArchiveQuery(ids=ids, limit=len(ids)))
        return {message.id for message in found.messages}

    def _give_one(self, resource: Resource, message: ArchivedMessage) -> None:
        stanza = _waiting(message, self.host.domain)
        stanza = stanza.adding_raw(
            stanza_id_xml(resource.account.jid, self.host.archive_ids.text_of(message.id)), StanzaId.TAG
        )
        resource.send(stanza, message.id)

    # who goes

    @on(stanzas_undelivered)
    async def give_back(self, event: UndeliveredEvent) -> None:
        """What a resource had on the way waits again, unless it has reached another one or is on its way there."""
        account: Account = event.resource.account
        delivery = account.loaded_part(Delivery)
        if delivery is not None:
            ids = {id_ for _, id_ in event.stanzas if id_} - _on_the_way(account)
            lost = [id_ for id_ in ids if delivery.lose(id_)]
            if lost and not delivery.is_giving:
                self._give_more(account, delivery)
        if not best_resources(account):
            await self._keep_all(account, event)

    async def _keep_all(self, account: Account, event: UndeliveredEvent) -> None:
        """Keep what stands in no history and only the lost resource had."""
        commits = []
        for stanza, id_ in event.stanzas:
            from_ = stanza.from_
            # from the bare JID come copies and pages of the history, which are nobody's messages
            if not id_ and isinstance(stanza, Message) and may_wait(stanza) and from_ not in (None, account.jid):
                try:
                    commits.append(self._keep(account, stanza, from_))
                except StorageError as error:
                    self.host.log.warning("message_not_kept", owner=str(account.jid), reason=str(error))
        for commit in commits:
            with contextlib.suppress(StorageError):
                await commit

    def _keep(self, account: Account, message: Message, from_: JID) -> Commit:
        id_ = self.host.ids.stanza_id()
        copy = ArchiveCopy(account.jid, from_.bare, from_.resourcepart, pending=True, visible=False)
        commit = self.host.archive.append(id_, to_archive(message), [copy])
        delivery = account.loaded_part(Delivery)
        if delivery is not None:
            delivery.came(id_, is_on_the_way=False)
        return commit

    @on(resource_ended)
    def leave(self, event: ResourceEvent) -> None:
        """With the last resource the account's state leaves memory: the cursor says it all."""
        account: Account = event.resource.account
        delivery = account.loaded_part(Delivery)
        if delivery is not None and not account.resources:
            self._dirty.pop(account.jid, None)
            self._save(account.jid, delivery)
            account.drop_part(Delivery)

    # the cursor on disk

    async def stop(self) -> None:
        """Write the cursors that have moved."""
        self._save_all()

    def _save_soon(self, jid: JID, delivery: Delivery) -> None:
        if not self._dirty:
            self.host.call_later(SAVE_AFTER_S, self._save_all)
        self._dirty[jid] = delivery

    def _save_all(self) -> None:
        """Write all cursors that have moved, and those that could not be written before."""
        dirty, self._dirty = self._dirty, {}
        for jid, state in list(self._unstored.items()):
            self._write(jid, state)
        for jid, delivery in dirty.items():
            self._save(jid, delivery)

    def _save(self, jid: JID, delivery: Delivery) -> None:
        state = delivery.state
        if state != delivery.saved:
            delivery.saved = state
            self._write(jid, state)

    def _write(self, jid: JID, state: State) -> None:
        self._unstored[jid] = state
        with contextlib.suppress(StorageError):  # an older cursor repeats something, it loses nothing
            commit = self.stores["cursor"].set(jid, ",".join(map(str, state)).encode())
            commit.add_done_callback(lambda done: self._written(jid, state, done))

    def _written(self, jid: JID, state: State, commit: Commit) -> None:
        if commit.error is None and self._unstored.get(jid) == state:
            del self._unstored[jid]


def _waiting(message: ArchivedMessage, domain: JID) -> Message:
    """Return a message that waited with the time at which it came."""
    return read_archived(message.stanza).adding(Delay(from_=domain, stamp=time_of_id(message.id)))


def _is_current(delivery: Delivery, account: Account) -> bool:
    """Whether it still tells where the account stands: all its resources may have ended, and others come, while we waited."""
    return account.loaded_part(Delivery) is delivery


def _takes(resource: Resource) -> bool:
    """Whether a resource gets the account's messages."""
    return resource.presence is not None and resource.priority >= 0


def _is_negative(presence: Presence) -> bool:
    """Whether the presence at hand has a negative priority: such a resource gets no messages for the account (RFC 6121 §8.5.2.1.1)."""
    priority = presence.element("jabber:client priority")
    try:
        return priority is not None and int(priority.text) < 0
    except ValueError:
        return False  # it is refused for that


def _has_room(resource: Resource, part: int) -> bool:
    """Whether a resource has fewer unacknowledged stanzas than that part (1: all, 2: half) of what it may have."""
    acks, stream = resource.acks, resource.stream
    if resource.is_ended:
        return False
    if acks is None:
        return stream is not None and not stream.is_congested
    return len(acks.unacked) < MAX_UNACKED // part and acks.size_bytes < MAX_UNACKED_BYTES // part


def _with_room(account: Account, part: int) -> Resource | None:
    """Return the resource that gets more of what waits, None when there is none."""
    return next((resource for resource in best_resources(account) if _has_room(resource, part)), None)


def _on_the_way(account: Account) -> set[int]:
    """Return the ids that some resource has not acknowledged yet."""
    unacked = [resource.acks.unacked for resource in account.resources.values() if resource.acks is not None]
    return {id_ for stanzas in unacked for _, id_ in stanzas if id_}


def _wants_answer(message: Message) -> bool:
    """Whether it is a message with a body, so that its sender wonders what became of it; a lone chat state just passes."""
    return message.type not in NOT_CONVERSATION and "jabber:client body" in message.tags
