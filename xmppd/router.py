"""Who gets a stanza: the domain, an account, one of its resources, or another server (RFC 6120 §10, RFC 6121 §8).

The path of a message is plain calls: a function here returns a coroutine only when an account must first be read from storage,
and then its sender's stream reads no further until that is done. What happens to a message for an account in memory
(which resources, history, copies) is the business of the modules at `message_received`.
"""

from collections.abc import Coroutine
from typing import Any

from codec.jid import JID
from codec.stanza import IQ, Message, Presence, Stanza
from storage.interface import Commit, StorageFull
from xmppd.component import Component, both
from xmppd.dispatch import answer, check_iq
from xmppd.errors import StanzaError, error_reply
from xmppd.hooks import (
    AccountEvent,
    IQEvent,
    MessageEvent,
    PresenceEvent,
    account_sends,
    iq_received,
    iq_sent,
    message_received,
    message_routed,
    message_sent,
    presence_received,
    presence_sent,
)
from xmppd.host import Host, Shared
from xmppd.module import Target
from xmppd.resource import Account, Resource

Waiting = Coroutine[Any, Any, Any]

SUBSCRIPTION_TYPES = frozenset(("subscribe", "subscribed", "unsubscribe", "unsubscribed"))
SHOWN_TYPES = frozenset(("", "unavailable", "error"))


class Router:
    """Sends stanzas to where they belong.

    Attributes:
        hosts: domain -> `Host`, the domains served here.
    """

    def __init__(self, shared: Shared) -> None:
        self.hosts = shared.hosts
        self._shared = shared
        shared.route = self.route

    # from a client of ours

    def message(self, resource: Resource, message: Message) -> Commit | Waiting | None:
        """Route a message that a resource sent; `from_` is its full JID.

        Returns:
            What the acknowledgement must wait for, or None; or a coroutine that returns one of these.
        """
        account = resource.account
        if not account.may_send:
            return self._first_message(resource, message)
        to = message.to
        bare = account.jid if to is None else to.bare
        host = self.hosts.get(bare.domainpart)
        recipient: Account | None = None
        if host is not None and bare.localpart:
            recipient = host.accounts.get(bare)
            if recipient is None:
                return self._message_after_load(resource, message, host, bare)
        return self._message(resource, message, bare, host, recipient)

    async def _first_message(self, resource: Resource, message: Message) -> Commit | None:
        account = resource.account
        await account.host.signal_waiting(account_sends, AccountEvent(account.jid))
        account.may_send = True
        result = self.message(resource, message)
        return await result if isinstance(result, Coroutine) else result

    async def _message_after_load(self, resource: Resource, message: Message, host: Host, bare: JID) -> Commit | None:
        recipient = await host.load_account(bare)
        return self._message(resource, message, bare, host, recipient)

    def _message(
        self, resource: Resource, message: Message, bare: JID, host: Host | None, recipient: Account | None
    ) -> Commit | None:
        own_host: Host = resource.account.host
        event: MessageEvent = MessageEvent(message, resource.account, resource, recipient)
        try:
            passed = own_host.run_filter(message_sent, event)
            if passed is not None:
                event = passed
                self._deliver_message(event, bare, host, recipient)
        except StanzaError as error:
            self._refuse(event.message, error, resource)
        taken = event.commit
        if event.copies:
            try:
                own_host.run_filter(message_routed, event)
            except StanzaError as error:
                self._refuse(event.message, error, resource)
        return both(taken, event.commit)

    def _deliver_message(self, event: MessageEvent, bare: JID, host: Host | None, recipient: Account | None) -> None:
        if host is None:
            event.commit = self._component(bare.domainpart).take(event.message)
            return
        if recipient is None:
            # RFC 6121 §8.1, §8.5.1: no such account, or the domain itself, which takes no messages
            raise StanzaError("service-unavailable")
        host.run_filter(message_received, event)

    def _component(self, domain: str) -> Component:
        """Return who takes what is for a domain that is no host of ours.

        Raises:
            StanzaError: remote-server-not-found: nobody does.
        """
        component = self._shared.components.find(domain)
        if component is None:
            raise StanzaError("remote-server-not-found")
        return component

    def _pass_on(self, stanza: Stanza, resource: Resource | None = None) -> None:
        """Hand a stanza to the component that has its domain."""
        assert stanza.to is not None
        try:
            self._component(stanza.to.domainpart).take(stanza)
        except StanzaError as error:
            self._refuse(stanza, error, resource)

    def _refuse(self, stanza: Stanza, error: StanzaError, resource: Resource | None) -> None:
        reply = error_reply(stanza, error)
        if reply is None:
            return
        if resource is not None:
            if reply.from_ is None:
                reply = reply.replace(from_=resource.account.jid)
            resource.send(reply)
        else:
            self._spawn(self.route(reply))

    def _spawn(self, waiting: Waiting | None) -> None:
        if waiting is not None:
            self._shared.spawn(waiting)

    async def presence(self, resource: Resource, presence: Presence) -> None:
        """Route a presence that a resource sent; `from_` is its full JID."""
        host: Host = resource.account.host
        try:
            event = await host.run_filter_waiting(presence_sent, PresenceEvent(presence, resource.account, resource))
            if event is not None and event.presence.to is not None:
                await self._presence_on(event.presence)
        except StanzaError as error:
            self._refuse(presence, error, resource)
        except StorageFull:
            self._refuse(presence, StanzaError("resource-constraint"), resource)

    def iq(self, resource: Resource, iq: IQ) -> Waiting | None:
        """Route an iq that a resource sent; `from_` is its full JID."""
        account = resource.account
        host: Host = account.host
        try:
            check_iq(iq)
            event = host.run_filter(iq_sent, IQEvent(iq, account, resource))
            if event is None:
                return None
        except StanzaError as error:
            self._refuse(iq, error, resource)
            return None
        iq = event.iq
        if iq.to is None or iq.to == account.jid:
            if iq.type in ("result", "error"):
                host.take_answer(iq)
                return None
            return self._answer_own(resource, iq if iq.to is not None else iq.replace(to=account.jid), iq.to is None)
        return self._iq_on(iq, resource)

    async def _answer_own(self, resource: Resource, iq: IQ, hide_from: bool) -> None:
        reply = await answer(resource.account.host, iq, Target.ACCOUNT, is_own=True)
        resource.send(reply.replace(from_=None) if hide_from else reply)

    # from anywhere

    def route(self, stanza: Stanza) -> Waiting | None:
        """Send a stanza on by its `to`, whoever made it: a module, another account, another server."""
        if stanza.to is None:
            raise ValueError("a stanza without `to` can be routed for its sender alone")
        if isinstance(stanza, Message):
            result = self.message_from_elsewhere(stanza)
            return _without_result(result) if isinstance(result, Coroutine) else None
        if isinstance(stanza, Presence):
            return self._presence_on(stanza)
        assert isinstance(stanza, IQ)
        return self._iq_on(stanza, None)

    def from_elsewhere(self, stanza: Stanza) -> Commit | Waiting | None:
        """Send on what another server or a component brings, its addresses checked; returns what `message` does."""
        if isinstance(stanza, Message):
            return self.message_from_elsewhere(stanza)
        if isinstance(stanza, IQ):
            try:
                check_iq(stanza)
            except StanzaError as error:
                self._refuse(stanza, error, None)
                return None
        return self.route(stanza)

    def message_from_elsewhere(self, message: Message) -> Commit | Waiting | None:
        """Send a message on by its `to`; returns what `message` does."""
        assert message.to is not None
        host = self.hosts.get(message.to.domainpart)
        if host is None:
            self._pass_on(message)
            return None
        if not message.to.localpart:
            return None
        recipient = host.accounts.get(message.to.bare)
        if recipient is None:
            return self._message_in_after_load(message, host, message.to.bare)
        return self._message_in(message, host, recipient)

    async def _message_in_after_load(self, message: Message, host: Host, bare: JID) -> Commit | None:
        return self._message_in(message, host, await host.load_account(bare))

    def _message_in(self, message: Message, host: Host, recipient: Account | None) -> Commit | None:
        event = MessageEvent(message, None, None, recipient)
        try:
            if recipient is None:
                raise StanzaError("service-unavailable")
            host.run_filter(message_received, event)
            taken = event.commit
            if event.copies:
                host.run_filter(message_routed, event)
                event.commit = both(taken, event.commit)
        except StanzaError as error:
            self._refuse(message, error, None)
        return event.commit

    async def _presence_on(self, presence: Presence) -> None:
        """Deliver a presence to the account or resource it is for (RFC 6121 §8.5)."""
        to = presence.to
        assert to is not None
        host = self.hosts.get(to.domainpart)
        if host is None:
            # without federation nobody minds that somebody elsewhere cannot see it
            if presence.type not in SHOWN_TYPES or self._shared.components.find(to.domainpart) is not None:
                self._pass_on(presence)
            return
        if not to.localpart:
            return
        account = host.accounts.get(to.bare)
        if account is None:
            if presence.type not in SUBSCRIPTION_TYPES and presence.type != "probe":
                return  # nobody is there to see it
            account = await host.load_account(to.bare)
            if account is None:
                if presence.type == "probe" and presence.from_ is not None:
                    # RFC 6121 §4.3.2: as for a contact who does not share presence
                    await self._presence_on(Presence(presence.from_, to.bare, None, "unsubscribed"))
                return  # §8.5.1: silence, so that nobody learns who has an account here
        try:
            event = await host.run_filter_waiting(presence_received, PresenceEvent(presence, account))
        except StanzaError as error:
            self._refuse(presence, error, None)
            return
        if event is not None:
            deliver_presence(event.presence, account)

    def _iq_on(self, iq: IQ, resource: Resource | None) -> Waiting | None:
        """Deliver an iq to a full JID, or have it answered for the domain or an account."""
        assert iq.to is not None
        host = self.hosts.get(iq.to.domainpart)
        if host is None:
            self._pass_on(iq, resource)
            return None
        if not iq.to.resourcepart:
            if iq.type in ("result", "error"):
                host.take_answer(iq)
                return None
            return self._answer_on(iq, host, resource)
        account = host.accounts.get(iq.to.bare)
        target = None if account is None else account.resources.get(iq.to.resourcepart)
        if target is None:
            self._refuse(iq, StanzaError("service-unavailable"), resource)
            return None
        try:
            event = host.run_filter(iq_received, IQEvent(iq, account))
            if event is not None:
                target.send(event.iq)
        except StanzaError as error:
            self._refuse(iq, error, resource)
        return None

    async def _answer_on(self, iq: IQ, host: Host, resource: Resource | None) -> None:
        assert iq.to is not None
        if iq.to.localpart:
            account = await host.load_account(iq.to)
            if account is None:
                self._refuse(iq, StanzaError("service-unavailable"), resource)
                return
            target = Target.ACCOUNT
        else:
            target = Target.DOMAIN
        try:
            if target is Target.ACCOUNT and host.run_filter(iq_received, IQEvent(iq, account)) is None:
                return
        except StanzaError as error:
            self._refuse(iq, error, resource)
            return
        reply = await answer(host, iq, target, is_own=False)
        if resource is not None:
            resource.send(reply)
        else:
            self._spawn(self.route(reply))


async def _without_result(waiting: Waiting) -> None:
    await waiting


def deliver_presence(presence: Presence, account: Account) -> None:
    """Hand a presence to one resource, or to every available one (RFC 6121 §8.5.2.1.2, §8.5.3.2)."""
    assert presence.to is not None
    if presence.to.resourcepart:
        resource = account.resources.get(presence.to.resourcepart)
        if resource is not None:
            resource.send(presence)
        return
    for resource in account.resources.values():
        if resource.presence is not None:
            resource.send(presence)
