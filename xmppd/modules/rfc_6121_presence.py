"""RFC 6121 §4: presence.

A presence without `to` is for all who may see it: the subscribers in the roster and the account's own resources. One with `to` is
directed: it goes to that one, who is told when the resource goes away (§4.6).

Contacts on this server that are not in memory have no resource to see it or to show; they cost nothing, and are not probed.
"""

import re
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

from codec.jid import JID
from codec.stanza import Presence
from xmppd.errors import StanzaError
from xmppd.hooks import (
    PresenceChangedEvent,
    PresenceEvent,
    RecipientsEvent,
    ResourceEvent,
    presence_changed,
    presence_received,
    presence_recipients,
    presence_sent,
    resource_ended,
)
from xmppd.host import Host
from xmppd.module import Module, on
from xmppd.modules.rfc_6121_roster import Roster, RosterModule
from xmppd.resource import Account, Resource

SHOWING = ("", "unavailable")
TYPES = frozenset((*SHOWING, "subscribe", "subscribed", "unsubscribe", "unsubscribed", "probe", "error"))
PRIORITY = "jabber:client priority"

PROBE_ID = "xmppd-probe"
"""The id of our own probes; an error that answers one is nobody's business."""
MAX_DIRECTED = 1_000
"""Entities that one resource may have sent directed presence to: rooms, mostly."""

_is_priority = re.compile(r"[ \t\r\n]*([+-]?[0-9]{1,3})[ \t\r\n]*").fullmatch
_plain_priority = re.compile(rb"<priority>([+-]?[0-9]{1,3})</priority>").search


@dataclass(slots=True)
class Directed:
    """Whom a resource has sent directed presence, and not unavailable presence since."""

    targets: dict[JID, None] = field(default_factory=dict)


class PresenceModule(Module, requires=(RosterModule,)):
    """Broadcast presence, remember directed presence, send and answer probes."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._rosters = host.module(RosterModule)

    # sent by a resource

    @on(presence_sent)
    def sent(self, event: PresenceEvent) -> PresenceEvent | Coroutine[Any, Any, None] | None:
        """Take a presence that has no `to`; note whom directed presence goes to; refuse unknown types (§4.7.1)."""
        presence, resource = event.presence, event.resource
        if presence.type not in TYPES:
            raise StanzaError("bad-request", text="There is no presence of that type.")
        if presence.to is None:
            if presence.type in SHOWING:
                return self._change(resource, presence)
            if presence.type == "error":
                return None
            raise StanzaError("bad-request", text="Presence of that type needs a recipient.")
        if presence.type in SHOWING and presence.to.bare != event.account.jid:
            note_directed(resource, presence.to, is_available=not presence.type)
        return event

    async def _change(self, resource: Resource, presence: Presence) -> None:
        if resource.is_ended:
            return
        was_available = resource.presence is not None
        if presence.type == "unavailable":
            if not was_available:
                await self._end_directed(resource, presence)
                return
            resource.presence, resource.priority = None, 0
        else:
            resource.priority = priority_of(presence)
            resource.presence = presence
        await self.host.signal_waiting(presence_changed, PresenceChangedEvent(resource, was_available, presence))

    async def renew(self, resource: Resource, presence: Presence) -> None:
        """Put another broadcast presence in the place of an available resource's, and tell all who may see it."""
        if resource.presence is not None:
            await self._change(resource, presence)

    @on(presence_changed)
    async def broadcast(self, event: PresenceChangedEvent) -> None:
        """Send a presence to all who may see it (§4.2.2, §4.4.2, §4.5.2); a new resource gets all that it may see."""
        resource: Resource = event.resource
        account: Account = resource.account
        presence = event.presence
        roster = await self._rosters.roster(account)
        if presence.type == "" and resource.presence is not presence:
            return  # it is gone already, and so it was told
        recipients = roster.subscribers()
        if presence.type and resource.has_state(Directed):
            directed = resource.state(Directed).targets
            recipients += [to for to in directed if not roster.sees_us(to.bare)]
            directed.clear()
        to_own = _copy(presence, account.jid)
        for own in account.resources.values():
            if own.presence is not None or own is resource:
                own.send(to_own)
        await self._fan_out(presence, self.allowed(account, recipients), resource)
        if presence.type == "" and not event.was_available:
            await self._show_others(resource, self.allowed(account, roster.subscriptions()))

    def allowed(self, account: Account, recipients: list[str]) -> list[str]:
        """Return those of some JIDs that an account has dealings with (it may have blocked them)."""
        passed = self.host.run_filter(presence_recipients, RecipientsEvent(account, recipients))
        return [] if passed is None else passed.recipients

    async def _fan_out(self, presence: Presence, recipients: Iterable[str], resource: Resource) -> None:
        for recipient in recipients:
            to = self._reachable(recipient)
            if to is not None:
                if presence.type == "" and resource.presence is not presence:
                    return  # overtaken by another one, which must stay the last that they hear
                await self.host.send(_copy(presence, to))

    def _reachable(self, jid: str) -> JID | None:
        """Return the JID, None when it is an account of ours without resources."""
        bare = jid.partition("/")[0]
        host = self.host.shared.hosts.get(bare.rpartition("@")[2])
        if host is None:
            return JID.parse(jid)
        account = host.accounts.get(bare)  # type: ignore[call-overload]
        if account is None or not account.resources:
            return None
        return account.jid if len(bare) == len(jid) else JID.parse(jid)

    async def _show_others(self, resource: Resource, contacts: list[str]) -> None:
        """Show a new resource the account's others, and ask its contacts for their presence (§4.3.1).

        Contacts of ours answer that resource alone; others learn the bare JID, and all resources get their answer.
        """
        account = resource.account
        for own in account.available():
            if own is not resource and own.presence is not None:
                resource.send(_copy(own.presence, resource.jid))
        await self.probe(account, contacts, resource)

    async def probe(self, account: Account, contacts: Iterable[str], resource: Resource | None = None) -> None:
        """Ask contacts (bare JIDs) for their presence, for one resource or for all."""
        for contact in contacts:
            to = self._reachable(contact)
            if to is not None:
                is_ours = to.domainpart in self.host.shared.hosts
                from_ = resource.jid if resource is not None and is_ours else account.jid
                await self.host.send(Presence(to, from_, PROBE_ID, "probe"))

    async def hide(self, account: Account, matches: Callable[[JID], bool]) -> None:
        """Look unavailable to all matching JIDs that have presence of the account, directed presence included."""
        roster = await self._rosters.roster(account)
        subscribers = [jid for jid in map(JID.parse, roster.subscribers()) if matches(jid)]
        for resource in list(account.resources.values()):
            recipients: list[JID] = list(subscribers) if resource.presence is not None else []
            if resource.has_state(Directed):
                targets = resource.state(Directed).targets
                recipients += [to for to in targets if matches(to) and to.bare not in recipients]
                resource.state(Directed).targets = {to: None for to in targets if not matches(to)}
            await self._fan_out(Presence(None, resource.jid, None, "unavailable"), recipients, resource)

    async def show(self, account: Account, matches: Callable[[JID], bool]) -> None:
        """Send matching subscribers the presence of the account again, and ask matching contacts for theirs."""
        roster = await self._rosters.roster(account)
        resources = account.available()
        for resource in resources:
            if resource.presence is not None:
                recipients = [jid for jid in roster.subscribers() if matches(JID.parse(jid))]
                await self._fan_out(resource.presence, recipients, resource)
        if resources:
            await self.probe(account, [jid for jid in roster.subscriptions() if matches(JID.parse(jid))])

    # directed presence

    @on(resource_ended)
    def end_directed(self, event: ResourceEvent) -> None:
        """Tell those who got directed presence of a resource that never was available (§4.6.3, rule 3)."""
        resource: Resource = event.resource
        if resource.has_state(Directed) and resource.state(Directed).targets:
            gone = Presence(None, resource.jid, None, "unavailable")
            self.host.spawn(self._end_directed(resource, gone))

    async def _end_directed(self, resource: Resource, presence: Presence) -> None:
        if resource.has_state(Directed):
            state = resource.state(Directed)
            targets, state.targets = state.targets, {}
            await self._fan_out(presence, self.allowed(resource.account, list(targets)), resource)

    # received by an account

    @on(presence_received)
    def received(self, event: PresenceEvent) -> PresenceEvent | Coroutine[Any, Any, None] | None:
        """Answer probes; let presence pass to the account's resources (§8.5.2.1.2), and errors where they mean something."""
        presence, account = event.presence, event.account
        if presence.type == "":
            return event
        if presence.type == "unavailable":
            if presence.from_ is not None:
                _forget_directed(account, presence.from_)
            return event
        if presence.type == "probe":
            return None if presence.from_ is None else self._answer_probe(presence, presence.from_, account)
        if presence.type not in TYPES:
            raise StanzaError("bad-request")
        return event if presence.type != "error" or _is_wanted(presence, account) else None

    async def _answer_probe(self, probe: Presence, asker: JID, account: Account) -> None:
        """Answer a probe (§4.3.2)."""
        assert probe.to is not None
        roster = await self._rosters.roster(account)
        if asker.bare != account.jid and not roster.sees_us(asker.bare):
            await self.host.send(_answer_stranger(probe, asker, account))
            return
        if probe.to.resourcepart:
            await self.host.send(_mere_presence(probe.to, asker, account))
            return
        resources = account.available()
        if not resources:
            await self.host.send(Presence(asker, account.jid, probe.id, "unavailable"))
        for resource in resources:
            if resource.presence is not None:
                await self.host.send(_copy(resource.presence, asker))


def _copy(presence: Presence, to: JID) -> Presence:
    """Return a presence with another `to`; it may go to thousands, so this is `replace` without its loops."""
    return Presence(
        to,
        presence.from_,
        presence.id,
        presence.type,
        presence.lang,
        presence.inner,
        presence.tags,
        presence.scope,
    )


def _is_wanted(error: Presence, account: Account) -> bool:
    """Whether an error is for a resource, or says why a contact cannot be reached; answers to our own probes are for nobody."""
    if error.to is not None and error.to.resourcepart:
        return True
    roster = account.loaded_part(Roster)
    return error.id != PROBE_ID and roster is not None and error.from_ is not None and error.from_.bare in roster


def _mere_presence(jid: JID, asker: JID, account: Account) -> Presence:
    """Return whether a resource is available, and nothing more of it."""
    resource = account.resources.get(jid.resourcepart)
    is_available = resource is not None and resource.presence is not None
    return Presence(asker, jid, None, "" if is_available else "unavailable")


def _answer_stranger(probe: Presence, asker: JID, account: Account) -> Presence:
    """Return what one learns who is no subscriber: something only where directed presence was sent (§4.6.6)."""
    assert probe.to is not None
    resource = account.resources.get(probe.to.resourcepart)
    if resource is not None and resource.has_state(Directed):
        targets = resource.state(Directed).targets
        if asker in targets or asker.bare in targets:
            return Presence(asker, resource.jid, None, "")
    return Presence(asker.bare, account.jid, probe.id, "unsubscribed")


def note_directed(resource: Resource, to: JID, is_available: bool) -> None:
    """Remember whom a resource sent directed presence.

    Raises:
        StanzaError: policy-violation: it has sent it to too many.
    """
    if not is_available:
        if resource.has_state(Directed):
            resource.state(Directed).targets.pop(to, None)
        return
    targets = resource.state(Directed).targets
    if len(targets) >= MAX_DIRECTED and to not in targets:
        raise StanzaError("policy-violation", text=f"Directed presence goes to at most {MAX_DIRECTED} entities.")
    targets[to] = None


def _forget_directed(account: Account, from_: JID) -> None:
    """One who sends unavailable presence need not be told when a resource goes away (§4.6.1)."""
    for resource in account.resources.values():
        if resource.has_state(Directed):
            resource.state(Directed).targets.pop(from_, None)


def priority_of(presence: Presence) -> int:
    """Return the priority of an available presence (§4.7.2.3); 0 where it has none.

    Raises:
        StanzaError: bad-request: it is no integer from -128 to 127, or stands there twice.
    """
    count = presence.tags.count(PRIORITY)
    if count == 0:
        return 0
    if count > 1:
        raise StanzaError("bad-request", text="There is one priority at most.")
    inner = presence.inner
    plain = _plain_priority(inner) if inner.count(b"<priority") == 1 else None
    if plain is not None:
        value = int(plain.group(1))
    else:
        element = presence.element(PRIORITY)
        found = None if element is None else _is_priority(element.text)
        if found is None:
            raise StanzaError("bad-request", text="A priority is an integer.")
        value = int(found.group(1))
    if not -128 <= value <= 127:
        raise StanzaError("bad-request", text="A priority is from -128 to 127.")
    return value
