"""XEP-0445: Pre-Authenticated In-Band Registration.

    stranger: <preauth token/> --> it is good --> XEP-0077, as if registration were open --> inviter and invited are contacts

A token is used up once the account is there. Whoever guesses gets few tries an hour.
"""

from dataclasses import dataclass

from codec.element import Element
from codec.jid import JID
from codec.stanza import IQ
from storage.interface import StorageError
from xmppd.errors import StanzaError
from xmppd.hooks import (
    FeaturesEvent,
    RegistrationEvent,
    registration_asked,
    registration_ended,
    stream_features,
)
from xmppd.host import Host
from xmppd.module import Module, iq_before_login, on
from xmppd.modules.xep_0077_register import HourlyLimit, RegisterModule
from xmppd.modules.xep_0401_invites import InvitesModule
from xmppd.modules.xep_0401_tokens import Invite, Preauth
from xmppd.resource import StreamLike

FEATURE = "urn:xmpp:ibr-token:0 register"
WRONG_PER_HOUR = 20
"""Wrong tokens from one address; a person mistypes one now and then, and none of 130 bits is guessed in a life."""
MAX_STREAMS = 10_000
"""Streams that have shown a token; beyond that the oldest must show it again."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A use of an invitation, taken for one registration."""

    key: str
    invite: Invite


class PreauthModule(Module, xep=445, requires=(RegisterModule, InvitesModule)):
    """Let those register who have a token."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._invites = host.module(InvitesModule)
        self._wrong = HourlyLimit(WRONG_PER_HOUR, host.clock)
        self._shown: dict[StreamLike, str] = {}

    @on(stream_features)
    def offer(self, event: FeaturesEvent) -> None:
        """Tell strangers that tokens are taken (§3)."""
        if not event.is_authenticated:
            event.features.append(Element(FEATURE))

    @iq_before_login("set", Preauth)
    async def show(self, stream: StreamLike, iq: IQ) -> None:
        """Look at a token (§4).

        Raises:
            StanzaError: item-not-found; resource-constraint: too many wrong ones came from the address.
        """
        assert isinstance(iq.payload, Preauth)
        if not self._wrong.take(stream.address):
            raise StanzaError("resource-constraint", text="Too many wrong tokens came from your address; try later.")
        found = await self._invites.invites.find(iq.payload.token, self._invites.now_s())
        if found is None or not found[1].registers:
            self.host.log.info("invitation_unknown", address=stream.address)
            raise StanzaError("item-not-found", text="The token is wrong, used, or too old.")
        self._wrong.give_back(stream.address)
        self._shown = {old: key for old, key in self._shown.items() if old.is_connected and old is not stream}
        if len(self._shown) >= MAX_STREAMS:
            del self._shown[next(iter(self._shown))]
        self._shown[stream] = found[0]

    @on(registration_asked)
    async def allow(self, event: RegistrationEvent) -> RegistrationEvent:
        """Let whoever has shown a token register, and nobody else by a name that is reserved (§5)."""
        key = self._shown.get(event.stream, "")
        if event.jid is None:
            event.is_allowed = event.is_allowed or bool(key)
            return event
        reserved_for = await self._invites.invites.reserved_for(event.jid.localpart, self._invites.now_s())
        if reserved_for and reserved_for != key:
            raise StanzaError("conflict")
        if not key:
            return event
        invite = await self._invites.invites.take(key)
        if invite is None:
            del self._shown[event.stream]
            return event
        if invite.username and invite.username != event.jid.localpart:
            await self._invites.invites.settle(key, is_used=False)
            raise StanzaError("not-acceptable", text=f"The invitation is for {invite.username}.")
        event.is_allowed, event.invite = True, Taken(key, invite)
        return event

    @on(registration_ended)
    async def redeem(self, event: RegistrationEvent) -> None:
        """Use the token up, and make contacts of both (XEP-0401 §5.5)."""
        taken: Taken | None = event.invite
        if taken is None:
            return
        await self._invites.invites.settle(taken.key, is_used=event.is_done)
        if not event.is_done or event.jid is None:
            return
        self._shown.pop(event.stream, None)
        invite = taken.invite
        self.host.log.info("invitation_used", inviter=invite.inviter, jid=str(event.jid))
        if invite.subscribes and invite.inviter:
            try:
                await self._invites.make_contacts(JID.parse(invite.inviter), event.jid)
            except (StanzaError, StorageError) as error:
                self.host.log.warning("contacts_not_made", jid=str(event.jid), reason=str(error))
