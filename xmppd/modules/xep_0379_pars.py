"""XEP-0379: Pre-Authenticated Roster Subscription.

A request for a subscription that carries a token which this server made for the account (XEP-0401) is answered for it at once, and a
request goes back, so that both are each other's contacts. Any other token is left to the account's clients, which may have made it.
"""

from codec.jid import JID
from codec.stanza import Presence
from storage.interface import StorageError
from xmppd.errors import StanzaError
from xmppd.hooks import Phase, PresenceEvent, presence_received
from xmppd.host import Host
from xmppd.module import Module, on
from xmppd.modules.rfc_6121_roster import FROM, PENDING_IN, PENDING_OUT, TO, RosterModule
from xmppd.modules.rfc_6121_subscription import SubscriptionModule
from xmppd.modules.xep_0077_register import HourlyLimit
from xmppd.modules.xep_0401_invites import InvitesModule
from xmppd.modules.xep_0401_tokens import Preauth

WRONG_PER_HOUR = 20
"""Wrong tokens of one sender; after that its requests are like any other, tokens or not."""


class ParsModule(Module, xep=379, requires=(RosterModule, SubscriptionModule, InvitesModule)):
    """Answer requests that carry a token of ours."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._rosters = host.module(RosterModule)
        self._invites = host.module(InvitesModule)
        self._wrong = HourlyLimit(WRONG_PER_HOUR, host.clock)

    @on(presence_received, phase=Phase.ANNOTATE)
    async def receive(self, event: PresenceEvent) -> PresenceEvent | None:
        """Answer, or let the request go its usual way (§4.1)."""
        presence = event.presence
        if presence.type != "subscribe" or presence.from_ is None or Preauth.TAG not in presence.tags:
            return event
        from_, invites = presence.from_.bare, self._invites.invites
        if from_ == event.account.jid or not self._wrong.take(from_):
            return event
        try:
            token = presence.get(Preauth)
            found = None if token is None else await invites.find(token.token, self._invites.now_s())
        except (ValueError, StorageError):
            return event
        if found is None or not found[1].subscribes or found[1].username or found[1].inviter != event.account.jid:
            return event
        self._wrong.give_back(from_)
        if await invites.take(found[0]) is None:
            return event
        is_done = False
        try:
            await self._make_contacts(event, from_)
            is_done = True
        except (StanzaError, StorageError) as error:
            self.host.log.warning("contacts_not_made", jid=str(event.account.jid), reason=str(error))
        finally:
            await invites.settle(found[0], is_used=is_done)
        return None if is_done else event

    async def _make_contacts(self, event: PresenceEvent, from_: JID) -> None:
        account = event.account
        if from_.domainpart == self.host.domain:
            await self._invites.make_contacts(account.jid, from_)  # they ask for it by the token
            return
        roster = await self._rosters.roster(account)
        self._rosters.check_room(roster, from_)
        contact = roster.get(from_)
        state = contact.state & ~PENDING_IN | FROM
        if not state & TO:
            state |= PENDING_OUT
        changed = contact._replace(state=state, is_listed=True, request=None)
        await self._rosters.durable(account, roster, from_, self._rosters.change(account, roster, from_, changed))
        await self.host.send(Presence(from_, account.jid, event.presence.id, "subscribed"))
        await self._rosters.announce(account, from_)
        if state & PENDING_OUT:
            await self.host.send(Presence(from_, account.jid, None, "subscribe"))
