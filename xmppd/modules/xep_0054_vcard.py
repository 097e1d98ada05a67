"""XEP-0054: vcard-temp.

A vCard is kept as it came, but for what other modules keep of it elsewhere (`hooks.card_kept`), and give back (`hooks.card_given`).
The whole world may read it; only its owner's clients write it.
"""

from dataclasses import dataclass

from codec.element import Element, parse_element
from codec.payload import Payload, any_children
from codec.stanza import IQ
from storage.interface import KeyValStore
from xmppd.errors import StanzaError
from xmppd.hooks import CardEvent, card_given, card_kept
from xmppd.module import Module, Target, iq_get, iq_set

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
        account = self.host.accounts[iq.to]
        event = await self.host.run_filter_waiting(card_kept, CardEvent(account, iq.from_, card))
        if event is not None and event.card.elements():
            await self.stores["cards"].set(iq.to, event.card.to_xml())
        else:
            await self.stores["cards"].delete(iq.to)


def _is_own(iq: IQ) -> bool:
    """Whether the account's own client asks."""
    return iq.from_ is not None and iq.from_.bare == iq.to
