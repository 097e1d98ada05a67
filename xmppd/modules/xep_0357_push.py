"""XEP-0357: Push Notifications, and who is woken of what.

A client names its own app server (<enable/>), or hands in its device token directly (`xep_0357_devices.py`); both are registrations.
What is worth waking for is the table in `xmppd/waking/rules.py`; who sleeps is decided here, device by device:

    its session is                      it is woken
    gone, or lost its connection        at once
    connected, whoever looks at it      when it has not acknowledged within push.unacknowledged_s
    (no XEP-0198)                       not: it has got the message, as far as anybody can know
    gone, but another one is in use     when that one has not acknowledged either (unless the account wants no such quiet); of calls at once

The notification is written before the message's copies are, in the same turn: whoever has an acknowledgement of the message can rely on
it (storage writes in the order of its calls).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from codec.element import Element
from codec.jid import JID, InvalidJID
from codec.payload import Payload, any_children, attr
from codec.stanza import IQ, Message
from storage.interface import Commit
from xmppd.component import both
from xmppd.errors import StanzaError
from xmppd.hooks import (
    AbsentEvent,
    AccountEvent,
    ClientsEvent,
    DeliveredEvent,
    MessageEvent,
    NodeEvent,
    Phase,
    PresenceChangedEvent,
    PresenceEvent,
    ResourceEvent,
    account_deleted,
    clients_ended,
    message_received,
    message_sent,
    node_changed,
    presence_changed,
    presence_received,
    resource_active,
    resource_ended,
    resource_hibernates,
    room_message_for_absent,
    stanza_delivered,
)
from xmppd.host import Host
from xmppd.module import Module, Target, account_part, iq_set, on
from xmppd.modules.rfc_6121_roster import FROM, PENDING_IN, RosterModule
from xmppd.modules.xep_0045_muc import RoomsModule
from xmppd.modules.xep_0386_bind2 import Installation
from xmppd.modules.xep_0402_bookmarks import NS as BOOKMARKS
from xmppd.resource import Account, Resource
from xmppd.waking.app_servers import NS, PUBSUB
from xmppd.waking.content import Occasion, notification_of
from xmppd.waking.registering import Registering
from xmppd.waking.registrar import Registrar, Wakings
from xmppd.waking.registrations import APP_SERVER, Mode, Registration
from xmppd.waking.rules import Verdict, is_read_sign, judge, mentions
from xmppd.waking.settings import mode_of_bookmark
from xmppd.waking.watching import Sent, Watch, is_connected, is_in_use, session_of

FORM_TAG = "jabber:x:data x"
PUBLISH_OPTIONS = "http://jabber.org/protocol/pubsub#publish-options"
AFFILIATION = f"{PUBSUB} affiliation"
MAX_NODE_CHARS = 1_000
MAX_OPTIONS_BYTES = 4_000
"""Of what a client has us keep, and send with each notification; real ones have some 200."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Enable(Payload, tag=(NS, "enable")):
    """<enable/> (§5): an app server, a node there, and what to send with each notification."""

    jid: str = attr(required=True)
    node: str = attr(default="")
    children: tuple[Element, ...] = any_children()


@dataclass(frozen=True, slots=True, kw_only=True)
class Disable(Payload, tag=(NS, "disable")):
    """<disable/> (§6): without a node, all that there are at an app server."""

    jid: str = attr(required=True)
    node: str | None = attr()


class PushModule(Module, xep=357, account_features=(NS,)):
    """Keep registrations, and wake.

    Attributes:
        registering: adds and removes registrations. registrar: where they are kept.
    """

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.registrar = Registrar(host.backend) if host.shared.push is None else host.shared.push.registrar
        self.registering = Registering(host, self.registrar, _agent_of)

    async def start(self) -> None:
        """Read which accounts have devices, and hear of those that are no more."""
        await self.registrar.open(self.host.domain)
        push = self.host.shared.push
        if push is not None:
            push.on_removed = self.removed

    def removed(self, owner: str, key: str) -> None:
        """Forget a device that is dead; it is gone from storage."""
        jid = JID.parse(owner)
        host: Host | None = self.host.shared.hosts.get(jid.domainpart)
        account = None if host is None else host.accounts.get(jid)
        if account is not None:
            account.part(Wakings).registrations.pop(key, None)

    @account_part(Wakings)
    async def load(self, account: Account) -> Wakings:
        """Load what is kept of an account."""
        return await self.registrar.load(account.jid)

    @on(account_deleted)
    def forget(self, event: AccountEvent) -> None:
        """All of it goes with the account."""
        self.registrar.forget(event.jid)
        account = self.host.accounts.get(event.jid)
        if account is not None:
            account.set_part(Wakings())

    # registrations of app servers

    @iq_set(Enable, to=(Target.ACCOUNT,))
    async def enable(self, iq: IQ) -> None:
        """Publish to an app server from now on (§5)."""
        request = iq.payload
        assert isinstance(request, Enable)
        jid = self._app_server(request.jid)
        form = next((one for one in request.children if one.tag == FORM_TAG), None)
        options = "" if form is None else _options(form)
        if len(request.node) > MAX_NODE_CHARS:
            raise StanzaError("policy-violation", text=f"A node's name has at most {MAX_NODE_CHARS} characters.")
        await self.registering.add(
            iq, Registration(key="", gateway=APP_SERVER, token=jid, node=request.node, options=options, name=jid)
        )

    def _app_server(self, text: str) -> JID:
        """Return the address of an app server that may be named."""
        try:
            jid = JID.parse(text)
        except InvalidJID as error:
            raise StanzaError("jid-malformed", text="That is no address of an app server.") from error
        allowed = self.host.config.push.app_servers
        if jid.domainpart in self.host.shared.hosts or (allowed and jid.domainpart not in allowed):
            raise StanzaError("not-allowed", text="This server does not publish to that app server.")
        return jid

    @iq_set(Disable, to=(Target.ACCOUNT,))
    async def disable(self, iq: IQ) -> None:
        """Publish to an app server no more (§6)."""
        request = iq.payload
        assert isinstance(request, Disable) and iq.from_ is not None
        try:
            jid = JID.parse(request.jid)
        except InvalidJID as error:
            raise StanzaError("jid-malformed") from error
        account = await self.registering.account(iq.from_.bare)
        await self.registering.remove(account, _of_app_server(account, jid, request.node))

    @on(message_received, phase=Phase.CHECK)
    def told_off(self, event: MessageEvent) -> MessageEvent:
        """An app server takes no more of an account (§8): that is as good as an error."""
        message, account = event.message, event.recipient
        if f"{PUBSUB} pubsub" in message.tags and message.from_ is not None and account.part(Wakings).registrations:
            element = message.element(f"{PUBSUB} pubsub")
            affiliation = None if element is None else element.find(AFFILIATION)
            if element is not None and affiliation is not None and affiliation.get("affiliation") == "none":
                keys = _of_app_server(account, message.from_, element.get("node"))
                if keys:
                    self.host.spawn(self._remove(account, keys))
        return event

    async def _remove(self, account: Account, keys: list[str]) -> None:
        await self.registering.remove(account, keys)

    @on(clients_ended)
    async def revoked(self, event: ClientsEvent) -> None:
        """Whoever may not come back is not woken."""
        account = await self.registering.account(event.jid)
        keys = [
            one.key
            for one in account.part(Wakings).registrations.values()
            if one.agent in event.agents or (not one.agent and one.resource in event.resources)
        ]
        await self.registering.remove(account, keys)

    # what happens

    @on(message_received, phase=Phase.FALLBACK)
    def received(self, event: MessageEvent) -> MessageEvent:
        """A message was delivered, or waits: wake whom it has not reached."""
        account: Account = event.recipient
        wakings = account.part(Wakings)
        if not wakings.registrations or event.sender is account or event.message.from_ is None:
            return event
        verdict = judge(event.message)
        if verdict is not Verdict.NOTHING:
            kept = self._message(account, wakings, event.message, verdict, event.id)
            if kept is not None:
                event.commit = both(event.commit, kept)
        return event

    @on(room_message_for_absent)
    def said_in_room(self, event: AbsentEvent) -> None:
        """Something was said in a room in which members are absent, or asleep."""
        verdict = judge(event.message)
        if verdict is Verdict.NOTHING:
            return
        for jid in event.absent:
            if not self.registrar.has_devices(jid):
                continue
            host: Host | None = self.host.shared.hosts.get(jid.domainpart)
            module = None if host is None else host.modules.get(PushModule)
            if host is None or module is None:
                continue
            account = host.accounts.get(jid)
            if account is not None:
                module.room_message(account, event, verdict)
            else:
                host.spawn(module.load_and_wake(jid, event, verdict))

    async def load_and_wake(self, jid: JID, event: AbsentEvent, verdict: Verdict) -> None:
        """Wake somebody whose account is not in memory."""
        account = await self.host.load_account(jid)
        if account is not None:
            self.room_message(account, event, verdict)

    def room_message(self, account: Account, event: AbsentEvent, verdict: Verdict) -> None:
        """Wake a member of a room."""
        self._message(account, account.part(Wakings), event.message, verdict, event.id)

    @on(presence_received, phase=Phase.CHECK)
    async def asked(self, event: PresenceEvent) -> PresenceEvent:
        """Somebody asks to see an account's presence; who has asked before, or may see it already, wakes nobody."""
        presence, account = event.presence, event.account
        wakings, from_ = account.part(Wakings), presence.from_
        if presence.type != "subscribe" or not wakings.registrations or from_ is None or from_.bare == account.jid:
            return event
        rosters = self.host.modules.get(RosterModule)
        contacts = (await rosters.roster(account)).contacts if rosters is not None else {}
        contact = contacts.get(from_.bare)
        if contact is not None and (contact.state & (FROM | PENDING_IN) or contact.approved):
            return event
        if not any(is_in_use(one) for one in account.resources.values()):
            requests = 1 + sum(bool(one.state & PENDING_IN) for one in contacts.values())
            occasion = Occasion(from_.bare, from_.bare, requests=requests, count=wakings.count, kind="subscription")
            self._wake(account, wakings, self._sleeping(account, wakings), occasion)
        return event

    def _message(
        self, account: Account, wakings: Wakings, message: Message, verdict: Verdict, id_: int
    ) -> Commit | None:
        """Wake an account's devices of a message, now or when nobody acknowledges it; return what is being written."""
        assert message.from_ is not None
        if not self._is_wanted(account, wakings, message, verdict):
            return None
        conversation = message.from_.bare
        is_call = verdict is Verdict.CALL
        sender = message.from_ if message.type == "groupchat" else conversation
        text = self.host.archive_ids.text_of(id_) if id_ else ""
        occasion = Occasion(conversation, sender, text, message, is_call=is_call, kind="call" if is_call else "message")
        due_s = self.host.clock.monotonic() + self.host.config.push.unacknowledged_s
        sent = Sent(message, id_, due_s, occasion)
        return self._wake_or_watch(account, wakings, sent)

    def _is_wanted(self, account: Account, wakings: Wakings, message: Message, verdict: Verdict) -> bool:
        settings, push = wakings.settings, self.host.config.push
        assert message.from_ is not None
        mode: Mode | None = settings.chats.get(message.from_.bare)
        if mode == "never":
            return False
        if verdict is Verdict.HEADLINE:
            return push.headlines if settings.headlines is None else settings.headlines
        if verdict is Verdict.ROOM:
            mode = mode or settings.rooms or push.rooms
            if mode == "on-mention":
                return mentions(message, account.jid, self._names(account.jid, message.from_.bare))
            return mode == "always"
        return True

    def _names(self, jid: JID, room: JID) -> tuple[str, ...]:
        """Return what somebody is called in a room: by a reserved nickname, and by their address."""
        for host in self.host.shared.hosts.values():
            rooms = host.modules.get(RoomsModule)
            if rooms is not None and rooms.domain == room.domainpart and rooms.service is not None:
                found = rooms.service.rooms.get(room.localpart)
                known = None if found is None else found.people.get(jid)
                return (jid.localpart, known.nick) if known is not None else (jid.localpart,)
        return (jid.localpart,)

    # who sleeps

    def _wake_or_watch(self, account: Account, wakings: Wakings, sent: Sent) -> Commit | None:
        quiet = self.host.config.push.quiet_in_use if wakings.settings.quiet is None else wakings.settings.quiet
        is_call = sent.occasion.is_call
        in_use = [one for one in account.resources.values() if is_in_use(one)] if quiet and not is_call else []
        now: list[Registration] = []
        for registration in list(wakings.registrations.values()):
            session = session_of(account, registration, _agent_of)
            if session is not None and is_connected(session):
                self._watch(account, wakings, registration, (session,), sent)
            elif in_use:
                self._watch(account, wakings, registration, tuple(in_use), sent)
            else:
                now.append(registration)
        if not now:
            return None
        return self._wake(account, wakings, now, self._counted(account, wakings, sent))

    def _sleeping(self, account: Account, wakings: Wakings) -> list[Registration]:
        """Return the devices that have no connection."""
        found = []
        for registration in wakings.registrations.values():
            session = session_of(account, registration, _agent_of)
            if session is None or not is_connected(session):
                found.append(registration)
        return found

    def _watch(
        self,
        account: Account,
        wakings: Wakings,
        registration: Registration,
        probes: tuple[Resource, ...],
        sent: Sent,
    ) -> None:
        if any(probe.acks is None for probe in probes):
            return  # it has it, as far as anybody can know
        watch = wakings.watched
        if not isinstance(watch, Watch):
            watch = wakings.watched = Watch()
        left = watch.add(registration, sent.occasion.conversation, probes, sent)
        if left is not None:
            self._wake(account, wakings, [left.registration], self._counted(account, wakings, left.newest))
        self._look_later(account, wakings, watch)

    def _look_later(self, account: Account, wakings: Wakings, watch: Watch) -> None:
        due_s = watch.next_due_s()
        if watch.timer is None and due_s is not None:
            wait_s = max(0.0, due_s - self.host.clock.monotonic())
            watch.timer = self.host.call_later(wait_s, lambda: self._look(account, wakings, watch))

    def _look(self, account: Account, wakings: Wakings, watch: Watch, lost: Resource | None = None) -> None:
        """Wake for what nobody has acknowledged in time, or what only a client had that has lost its connection."""
        if lost is None:
            watch.timer = None
        for entry in watch.due(self.host.clock.monotonic() + 0.001, lost):
            if entry.registration.key in wakings.registrations:
                self._wake(account, wakings, [entry.registration], self._counted(account, wakings, entry.newest))
        self._look_later(account, wakings, watch)

    @on(stanza_delivered)
    def delivered(self, event: DeliveredEvent) -> None:
        """A client has a message: nobody needs to be woken for it."""
        watch = event.resource.account.part(Wakings).watched
        if isinstance(watch, Watch) and watch.entries:
            watch.acknowledged(event.resource, event.id)

    @on(resource_hibernates)
    def lost_connection(self, event: ResourceEvent) -> None:
        """What was on its way to a client does not arrive: do not wait for the time."""
        self._gone(event.resource)

    @on(resource_ended)
    def ended(self, event: ResourceEvent) -> None:
        """The same where it is gone for good."""
        self._gone(event.resource)

    def _gone(self, resource: Resource) -> None:
        account = resource.account
        wakings = account.part(Wakings)
        if isinstance(wakings.watched, Watch) and wakings.watched.entries:
            self._look(account, wakings, wakings.watched, lost=resource)

    # waking

    def _counted(self, account: Account, wakings: Wakings, sent: Sent) -> Occasion:
        """Count a message as unread, once, and return the occasion with the number."""
        occasion: Occasion = sent.occasion
        if not sent.id or sent.id > wakings.counted_id:
            wakings.counted_id = max(wakings.counted_id, sent.id)
            if not occasion.is_call:
                number = wakings.unread.get(occasion.conversation, 0) + 1
                wakings.unread[occasion.conversation] = number
                self.registrar.count(account.jid, occasion.conversation, number)
        return replace(occasion, count=wakings.count)

    def _wake(
        self, account: Account, wakings: Wakings, registrations: Iterable[Registration], occasion: Occasion
    ) -> Commit | None:
        """Put notifications into the outbox; what is returned is done when they are on disk, or could not be written."""
        push = self.host.shared.push
        if push is None:
            return None
        content = wakings.settings.content or self.host.config.push.content
        kept: Commit | None = None
        for registration in registrations:
            put = push.put(notification_of(occasion, account.jid, registration, content))
            if put is not None:
                kept = both(kept, _without_error(put))
        return kept

    # who looks

    @on(resource_active)
    def active(self, event: ResourceEvent) -> None:
        """Somebody looks at a client: nothing is unread."""
        self._read_all(event.resource)

    @on(presence_changed)
    def came(self, event: PresenceChangedEvent) -> None:
        """The same when a client becomes available that is in use."""
        if event.resource.presence is not None and is_in_use(event.resource):
            self._read_all(event.resource)

    def _read_all(self, resource: Resource) -> None:
        wakings = resource.account.part(Wakings)
        if wakings.unread:
            self.registrar.read(resource.account.jid, wakings.unread)
            wakings.unread.clear()

    @on(message_sent, phase=Phase.COPY)
    def sent(self, event: MessageEvent) -> MessageEvent:
        """Whoever answers, or marks as read, has read that conversation."""
        to = event.message.to
        unread = event.sender.part(Wakings).unread
        if unread and to is not None and to.bare in unread and is_read_sign(event.message):
            del unread[to.bare]
            self.registrar.read(event.sender.jid, (to.bare,))
        return event

    @on(node_changed)
    async def follow(self, event: NodeEvent) -> None:
        """Take the rules that clients keep with their bookmarks (XEP-0492)."""
        change, account = event.change, event.account
        if change.node.name != BOOKMARKS:
            return
        settings = account.part(Wakings).settings
        for id_ in change.ids:
            mode = None if change.payload is None else mode_of_bookmark(change.payload)
            if settings.chats.get(id_) != mode:
                settings = settings.with_chat(id_, mode)
        await self.registering.keep_settings(account, settings)


def _without_error(put: Any) -> Commit:
    """Return when a notification is written, or could not be: its message does not fail for it."""
    done = Commit()
    put.add_done_callback(lambda _: done.finish())
    return done


def _agent_of(resource: Resource) -> str:
    return resource.state(Installation).id if resource.has_state(Installation) else ""


def _of_app_server(account: Account, jid: JID, node: str | None) -> list[str]:
    """Return the keys of what is registered at an app server; `node` None: at any node."""
    return [
        one.key
        for one in account.part(Wakings).registrations.values()
        if one.gateway == APP_SERVER and one.token == jid and node in (None, one.node)
    ]


def _options(form: Element) -> str:
    """Return the publish options as they are kept (§5): clients leave out the type of the form, so it is not read as one."""
    fields = form.find_all("jabber:x:data field")
    value = next((one.find("jabber:x:data value") for one in fields if one.get("var") == "FORM_TYPE"), None)
    if value is None or value.text.strip() != PUBLISH_OPTIONS:
        raise StanzaError("bad-request", text=f"The form is not of {PUBLISH_OPTIONS}.")
    if form.get("type") is None:
        form = Element(form.tag, {**form.attrs, "type": "submit"}, form.children)
    xml = form.to_xml()
    if len(xml) > MAX_OPTIONS_BYTES:
        raise StanzaError("policy-violation", text=f"The form has at most {MAX_OPTIONS_BYTES} bytes.")
    return xml.decode()
