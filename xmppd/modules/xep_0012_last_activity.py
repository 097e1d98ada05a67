"""XEP-0012: Last Activity.

When an account was last there, and with what words it left; for how long the server has been running. Of an account only those
learn it who see its presence. A question to a resource goes to the client, which knows how long its user has been idle.
"""

import json
from dataclasses import dataclass

from codec.payload import Payload, attr, text
from codec.stanza import IQ, Presence
from codec.values import int_between
from storage.interface import KeyValStore, StorageError
from xmppd.errors import StanzaError
from xmppd.hooks import IQEvent, Phase, PresenceChangedEvent, iq_received, presence_changed
from xmppd.module import Module, Target, iq_get, on
from xmppd.modules.rfc_6121_roster import Roster, RosterModule
from xmppd.resource import Account

NS = "jabber:iq:last"
MAX_STATUS_CHARS = 1_000
"""What is kept of the words with which somebody left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LastActivity(Payload, tag=(NS, "query")):
    """The question, or the answer (§2): seconds since then, and the status of that moment."""

    seconds: int | None = attr(parse=int_between(0, 2**63 - 1))
    status: str = text()


class LastActivityModule(
    Module,
    xep=12,
    features=(NS,),
    account_features=(NS,),
    requires=(RosterModule,),
    stores={"last": KeyValStore},
    open_to_others=True,
):
    """Note when accounts leave, and answer."""

    @iq_get(LastActivity, to=(Target.DOMAIN,))
    def uptime(self, iq: IQ) -> LastActivity:
        """Tell for how long the server has been running (§5)."""
        return LastActivity(seconds=self._seconds_since(self.host.shared.started_at.timestamp()))

    @iq_get(LastActivity, to=(Target.ACCOUNT,))
    async def last(self, iq: IQ) -> LastActivity:
        """Tell when the account was last there (§3); 0 seconds while it is."""
        assert iq.to is not None and iq.from_ is not None
        account = self.host.accounts[iq.to]
        if not await self.host.may_see(account, iq.from_):
            raise StanzaError("forbidden")
        if account.resources:
            return LastActivity(seconds=0)
        await self.host.backend.flush()  # it may have left a moment ago
        stored = await self.stores["last"].get(account.jid)
        if stored is None:
            raise StanzaError("item-not-found", text="It has not been there yet.")
        value = json.loads(stored)
        return LastActivity(seconds=self._seconds_since(value["at"]), status=value["status"])

    def _seconds_since(self, timestamp: float) -> int:
        return max(0, int(self.host.clock.now().timestamp() - timestamp))

    @on(iq_received, phase=Phase.CHECK)
    def guard(self, event: IQEvent) -> IQEvent:
        """Let only those ask a resource who see the account's presence (§4)."""
        iq = event.iq
        if iq.type == "get" and LastActivity.TAG in iq.tags and iq.to is not None and iq.to.resourcepart:
            asker = iq.from_
            roster = event.account.loaded_part(Roster)
            is_own = asker is not None and asker.bare == event.account.jid
            if not is_own and (asker is None or roster is None or not roster.sees_us(asker.bare)):
                raise StanzaError("forbidden")
        return event

    @on(presence_changed)
    def note(self, event: PresenceChangedEvent) -> None:
        """Keep when the last available resource of an account left."""
        account: Account = event.resource.account
        if event.resource.presence is not None or account.available():
            return
        value = {"at": int(self.host.clock.now().timestamp()), "status": _status(event.presence)}
        try:
            self.stores["last"].set(account.jid, json.dumps(value, ensure_ascii=False).encode())
        except StorageError as error:
            self.host.log.warning("last_activity_not_kept", jid=str(account.jid), error=str(error))


def _status(presence: Presence) -> str:
    element = presence.element("jabber:client status")
    return "" if element is None else element.text[:MAX_STATUS_CHARS]
