"""XEP-0160: messages for absent people.

There is no separate store: a message that somebody must still get is `pending` in the archive, and an account remembers, durably,
up to which id everything has reached one of its resources (the cursor). What lies above the cursor is given when a resource
becomes available, with the time it was sent (XEP-0203), unless the resource has it from the history already.

    pending --(a resource takes it)--> outstanding --(acknowledged, or no acks)--> reached
       ^                                    |
       +---------(the resource ended)-------+

The cursor is written now and then, not for each message: after a crash somebody may get again what they had, with the same
stanza-id; nobody loses anything.
"""

from dataclasses import dataclass, field

from codec.jid import JID
from codec.payloads.delay import Delay
from codec.payloads.stanza_id import StanzaId
from codec.stanza import Message
from codec.xml_reader import read_stanza
from storage.interface import ArchiveCopy, ArchivedMessage, KeyValStore, StorageError, StorageFull
from xmppd.clock import time_of_id
from xmppd.errors import StanzaError
from xmppd.hooks import (
    DeliveredEvent,
    HistoryEvent,
    MessageEvent,
    Phase,
    PresenceChangedEvent,
    PresenceEvent,
    ResourceEvent,
    UndeliveredEvent,
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
from xmppd.modules.rfc_6121_message import MessageModule, best_resources
from xmppd.modules.xep_0334_hints import is_storable
from xmppd.modules.xep_0359_ids import stanza_id_xml
from xmppd.resource import Account, Resource

PAGE = 100
"""Messages read from storage at once."""

MAX_UNACKED = 1_000
"""A resource with so many unacknowledged stanzas gets the rest when it has acknowledged some."""

MAX_GIVEN = 20_000
"""Ids above the cursor that a resource has from the history and that need not be given again; beyond it some may come twice."""

MAX_OUTSTANDING = 20_000
"""Messages of one account on the way or waiting beside its resources, some 100 bytes each."""

SAVE_AFTER_S = 0.5
"""How long cursors wait to be written together."""


@dataclass(slots=True)
class Delivery:
    """Where an account with resources stands.

    Attributes:
        cursor: everything up to this id has reached a resource.
        outstanding: id -> whether a resource has it on the way, ascending; False: nobody does, it waits.
        reached: ids above the cursor that were confirmed out of turn, or are known from the history.
        top: the highest id that was ever outstanding or reached here.
        is_synced: what waited when the account came has been read.
    """

    cursor: int
    outstanding: dict[int, bool] = field(default_factory=dict)
    reached: set[int] = field(default_factory=set)
    top: int = 0
    saved: int = 0
    is_synced: bool = False
    is_giving: bool = False

    def confirm(self, id_: int) -> None:
        """An id has reached a resource."""
        self.outstanding.pop(id_, None)
        self.top = max(self.top, id_)
        if not self.is_synced:
            if len(self.reached) < MAX_GIVEN:
                self.reached.add(id_)
            return
        self.advance()

    def know(self, id_: int) -> None:
        """A resource says that it has everything up to an id of its history."""
        if id_ > self.cursor:
            self.cursor = id_
            self.top = max(self.top, id_)
            self.outstanding = {
                other: on_the_way for other, on_the_way in self.outstanding.items() if on_the_way or other > id_
            }

    def advance(self) -> None:
        """Move the cursor up to the first id that has not reached anybody."""
        cursor = next(iter(self.outstanding)) - 1 if self.outstanding else self.top
        self.cursor = max(self.cursor, cursor)


class OfflineModule(
    Module, xep=160, features=("msgoffline",), requires=(MessageModule,), stores={"cursor": KeyValStore}
):
    """Keep track of what has reached an account, and give it the rest."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._dirty: dict[JID, Delivery] = {}

    @account_part(Delivery, lazy=True)
    async def load(self, account: Account) -> Delivery:
        """Read an account's cursor."""
        waiting = self._dirty.get(account.jid)
        await self.host.backend.flush()
        stored = await self.stores["cursor"].get(account.jid)
        cursor = max(int(stored) if stored is not None else 0, waiting.cursor if waiting is not None else 0)
        return Delivery(cursor, saved=cursor)

    # what comes

    @on(message_received, phase=Phase.FALLBACK)
    def note(self, event: MessageEvent) -> MessageEvent:
        """Note a message that is on its way to resources, or waits beside resources that cannot take it."""
        account: Account = event.recipient
        delivery: Delivery | None = account.loaded_part(Delivery)
        pending = any(copy.pending and copy.owner == account.jid for copy in event.copies)
        if pending:
            if delivery is not None:
                self._note(account, delivery, event.id, bool(event.targets))
        elif not event.targets and event.message.type in ("chat", "normal") and _wants_answer(event.message):
            raise StanzaError("service-unavailable", text="Nobody is there, and this message is not to be kept.")
        return event

    def _note(self, account: Account, delivery: Delivery, id_: int, is_on_the_way: bool) -> None:
        if id_ in delivery.reached or id_ <= delivery.cursor:
            return  # handed over while it was routed
        delivery.outstanding[id_] = is_on_the_way
        delivery.top = max(delivery.top, id_)
        if len(delivery.outstanding) > MAX_OUTSTANDING:
            # somebody stays connected and takes nothing: storage remembers for us
            self._save_soon(account.jid, delivery)
            account.drop_part(Delivery)

    @on(stanza_delivered)
    def confirm(self, event: DeliveredEvent) -> None:
        """A resource has a message."""
        account: Account = event.resource.account
        delivery = account.loaded_part(Delivery)
        if delivery is None:
            event.resource.state(Given).ids.append(event.id)
            return
        delivery.confirm(event.id)
        self._save_soon(account.jid, delivery)
        if not delivery.is_synced and not delivery.is_giving and self._has_room(event.resource):
            self.host.spawn(self._give_more(event.resource, delivery))

    @on(history_given)
    def given(self, event: HistoryEvent) -> None:
        """A resource has read part of its history: that need not be given again."""
        account: Account = event.resource.account
        delivery = account.loaded_part(Delivery)
        if delivery is None:
            given = event.resource.state(Given)
            given.known_id = max(given.known_id, event.known_id)
            given.ids.extend(event.ids[: MAX_GIVEN - len(given.ids)])
            return
        delivery.know(event.known_id)
        for id_ in event.ids:
            if id_ > delivery.cursor and not delivery.outstanding.get(id_, False):
                delivery.confirm(id_)
        self._save_soon(account.jid, delivery)

    # who comes

    @on(presence_sent, phase=Phase.CHECK)
    async def arrive(self, event: PresenceEvent) -> PresenceEvent:
        """Before a resource becomes available: give it what waits, so that nothing newer comes first."""
        resource: Resource = event.resource
        presence = event.presence
        if (
            resource.presence is None
            and presence.type == ""
            and presence.to is None
            and not _is_negative(presence.element)
        ):
            delivery = await resource.account.load_part(Delivery)
            if resource.has_state(Given):
                given = resource.state(Given)
                delivery.know(given.known_id)
                for id_ in given.ids:
                    if id_ > delivery.cursor:
                        delivery.confirm(id_)
                given.ids.clear()
            await self._give(resource, delivery)
        return event

    @on(presence_changed)
    async def check(self, event: PresenceChangedEvent) -> None:
        """After a resource became available: what came in the meantime and found nobody."""
        delivery: Delivery | None = event.resource.account.loaded_part(Delivery)
        if event.was_available or event.resource.presence is None or delivery is None:
            return
        if any(not on_the_way for on_the_way in delivery.outstanding.values()):
            await self._give(event.resource, delivery)

    async def _give_more(self, resource: Resource, delivery: Delivery) -> None:
        if not resource.is_ended and resource.presence is not None:
            await self._give(resource, delivery)

    async def _give(self, resource: Resource, delivery: Delivery) -> None:
        """Give a resource everything above the cursor that nobody has on the way."""
        if delivery.is_giving:
            return
        delivery.is_giving = True
        try:
            after_id = delivery.cursor
            while self._has_room(resource):
                await self.host.backend.flush()
                page = await self.host.archive.pending(resource.account.jid, after_id, PAGE)
                for message in page:
                    after_id = message.id
                    if message.id in delivery.reached or delivery.outstanding.get(message.id, False):
                        continue
                    self._give_one(resource, delivery, message)
                # older than what came live: ids must ascend again
                delivery.outstanding = dict(sorted(delivery.outstanding.items()))
                if not page:
                    self._synced(resource.account.jid, delivery)
                    return
            delivery.is_synced = False  # the rest when there is room
        finally:
            delivery.is_giving = False

    def _synced(self, jid: JID, delivery: Delivery) -> None:
        delivery.is_synced = True
        delivery.reached.clear()
        delivery.advance()
        self._save_soon(jid, delivery)

    def _give_one(self, resource: Resource, delivery: Delivery, message: ArchivedMessage) -> None:
        delivery.outstanding[message.id] = True
        delivery.top = max(delivery.top, message.id)
        stanza = read_stanza(message.stanza)
        delay = Delay(from_=self.host.domain, stamp=time_of_id(message.id))
        stanza = stanza.adding(delay)
        stanza = stanza.adding_raw(stanza_id_xml(resource.account.jid, str(message.id)), StanzaId.TAG)
        resource.send(stanza, message.id)

    def _has_room(self, resource: Resource) -> bool:
        return not resource.is_ended and (resource.acks is None or len(resource.acks.unacked) < MAX_UNACKED)

    # who goes

    @on(stanzas_undelivered)
    def give_back(self, event: UndeliveredEvent) -> None:
        """What a resource had on the way waits again, unless another one has got it now."""
        account: Account = event.resource.account
        delivery = account.loaded_part(Delivery)
        others = best_resources(account)
        for stanza, id_ in event.stanzas:
            if id_ and delivery is not None and id_ in delivery.outstanding and not others:
                delivery.outstanding[id_] = False
            elif (
                not id_
                and not others
                and isinstance(stanza, Message)
                and is_storable(stanza)
                and stanza.from_ is not None
            ):
                self._keep(account, stanza, stanza.from_)

    def _keep(self, account: Account, message: Message, from_: JID) -> None:
        """Keep a message of an account without a history, which only its lost resource had."""
        if message.has(Delay.TAG) or from_.bare == account.jid:
            return
        copy = ArchiveCopy(account.jid, from_.bare, from_.resourcepart, pending=True, visible=False)
        try:
            self.host.archive.append(self.host.ids.stanza_id(), message.to_xml(), [copy])
        except StorageFull:
            self.host.log.warning("message_not_kept", owner=str(account.jid), reason="storage is full")

    @on(resource_ended)
    def leave(self, event: ResourceEvent) -> None:
        """With the last resource the account's state leaves memory: the cursor says it all."""
        account: Account = event.resource.account
        delivery = account.loaded_part(Delivery)
        if delivery is not None and not account.resources:
            self._save_soon(account.jid, delivery)
            account.drop_part(Delivery)

    # the cursor on disk

    def _save_soon(self, jid: JID, delivery: Delivery) -> None:
        if delivery.cursor == delivery.saved:
            return
        if not self._dirty:
            self.host.call_later(SAVE_AFTER_S, self._save)
        self._dirty[jid] = delivery

    def _save(self) -> None:
        """Write all cursors that have moved."""
        dirty, self._dirty = self._dirty, {}
        for jid, delivery in dirty.items():
            try:
                self.stores["cursor"].set(jid, str(delivery.cursor).encode())
            except StorageError:
                continue  # an older cursor repeats something, it loses nothing
            delivery.saved = delivery.cursor


@dataclass(slots=True)
class Given:
    """What a resource has of its history before it becomes available for the first time: everything up to an id, and some above it."""

    known_id: int = 0
    ids: list[int] = field(default_factory=list)


def _is_negative(element: object) -> bool:
    """Whether the presence at hand has a negative priority: such a resource gets no messages for the account (RFC 6121 §8.5.2.1.1)."""
    priority = element("jabber:client priority")  # type: ignore[operator]
    return priority is not None and priority.text.strip().startswith("-")


def _wants_answer(message: Message) -> bool:
    """Whether it has a body, so that its sender wonders what became of it; a lone chat state just passes."""
    return "jabber:client body" in message.tags
