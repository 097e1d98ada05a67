"""XEP-0054: vcard-temp.

A vCard is kept as it came, but for what other modules keep of it elsewhere (`hooks.card_kept`), and give back (`hooks.card_given`).
The whole world may read it; only its owner's clients write it.
"""

from dataclasses import dataclass

from codec.element import Element, parse_element
from codec.jid import JID
from codec.payload import Payload, any_children
from codec.stanza import IQ
from storage.interface import KeyValStore
from xmppd.errors import StanzaError
from xmppd.hooks import CardEvent, ExportEvent, ImportEvent, account_exported, account_imported, card_given, card_kept
from xmppd.module import Module, Target, iq_get, iq_set, on
from xmppd.resource import Account

NS = "vcard-temp"


@dataclass(frozen=True, slots=True, kw_only=True)
class VCard(Payload, tag=(NS, "vCard")):
    """A vCard, or the question for one, which is empty; we look at nothing in it."""

    fields: tuple[Element, ...] = any_children()


class VCardModule(
    Module, xep=54, features=(NS,), account_features=(NS,), stores={"cards": KeyValStore}, open_to_others=True
):
    """Keep one vCard for each account. How large it may be is said by the limit of a stanza."""

    @iq_get(VCard, to=(Target.ACCOUNT,))
    async def fetch(self, iq: IQ) -> Element:
        """Return the account's vCard; to its owner an empty one when there is none (§3.1).

        Others then get service-unavailable, as for an account that does not exist (§3.3).
        """
        assert iq.to is not None and iq.from_ is not None
        value = await self.stores["cards"].get(iq.to)
        card = Element(VCard.TAG) if value is None else parse_element(value)
        account = await self.host.load_account(iq.to)
        event = await self.host.run_filter_waiting(card_given, CardEvent(account, iq.from_, card))
        if event is None or not (event.card.children or _is_own(iq)):
            raise StanzaError("service-unavailable")
        return event.card

    @iq_set(VCard, to=(Target.ACCOUNT,))
    async def store(self, iq: IQ) -> None:
        """Keep the whole vCard in the place of the last one (§3.2)."""
        if not _is_own(iq):
            raise StanzaError("forbidden")
        card = iq.element(VCard.TAG)
        assert card is not None and iq.to is not None and iq.from_ is not None
        await self._keep(self.host.accounts[iq.to], iq.from_, card)

    async def _keep(self, account: Account, from_: JID, card: Element) -> None:
        event = await self.host.run_filter_waiting(card_kept, CardEvent(account, from_, card))
        if event is not None and event.card.elements():
            await self.stores["cards"].set(account.jid, event.card.to_xml())
        else:
            await self.stores["cards"].delete(account.jid)

    @on(account_exported)
    async def export(self, event: ExportEvent) -> ExportEvent:
        """Write the vCard as its owner gets it (XEP-0227 §4.7)."""
        value = await self.stores["cards"].get(event.jid)
        card = Element(VCard.TAG) if value is None else parse_element(value)
        given = await self.host.run_filter_waiting(card_given, CardEvent(event.account, event.jid, card))
        if given is not None and given.card.children:
            event.add(given.card)
        return event

    @on(account_imported)
    async def take(self, event: ImportEvent) -> ImportEvent:
        """Keep the vCard as if a client had stored it."""
        if event.element.tag == VCard.TAG and not event.within:
            event.is_taken = True
            await self._keep(event.account, event.jid, event.element)
        return event


def _is_own(iq: IQ) -> bool:
    """Whether the account's own client asks."""
    return iq.from_ is not None and iq.from_.bare == iq.to
