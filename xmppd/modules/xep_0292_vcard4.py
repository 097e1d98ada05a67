"""XEP-0292: vCard4 over XMPP, and the vCards of XEP-0054 made of it.

There is one truth: the item at the node `urn:xmpp:vcard4`. The fields that vcard-temp has as well are put into an answer to an old
client when it asks, if it may read the node, and become the item when an old client writes them. What only vcard-temp has stays where
it was; what only vCard4 has survives a change by an old client.
"""

from dataclasses import dataclass

from codec.element import Element
from codec.payload import Payload, any_children
from codec.stanza import IQ
from xmppd.errors import StanzaError
from xmppd.hooks import CardEvent, card_given, card_kept
from xmppd.host import Host
from xmppd.module import Module, Target, iq_get, iq_set, on
from xmppd.modules.xep_0054_vcard import VCardModule
from xmppd.modules.xep_0060_pubsub import PubSubModule
from xmppd.modules.xep_0163_pep import PepModule
from xmppd.modules.xep_0292_conversion import (
    CARD4,
    CONVERTED,
    CONVERTED4,
    NS4,
    TEMP_NS,
    others_than,
    to_temp,
    to_vcard4,
)
from xmppd.pubsub.config import OPEN

NODE = "urn:xmpp:vcard4"
CURRENT = "current"
NEW_NODE = {"access_model": OPEN}
"""How the node is made when an old client writes the first card: the whole world may read vCards of XEP-0054."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VCard4(Payload, tag=(NS4, "vcard")):
    """A vCard4, or the question for one, which is empty."""

    fields: tuple[Element, ...] = any_children()


class VCard4Module(
    Module,
    xep=292,
    account_features=(NS4,),
    requires=(VCardModule, PubSubModule, PepModule),
    open_to_others=True,
):
    """Give and take vCard4s by iq, and keep both forms the same."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._pubsub = host.module(PubSubModule)

    @iq_get(VCard4, to=(Target.ACCOUNT,))
    async def fetch(self, iq: IQ) -> Element:
        """Return an account's vCard4 to one who may read the node."""
        assert iq.to is not None and iq.from_ is not None
        account = await self.host.load_account(iq.to)
        found = None if account is None else await self._pubsub.last_for(account, NODE, iq.from_)
        if found is None or found[1].tag != CARD4:
            raise StanzaError("item-not-found")
        return found[1]

    @iq_set(VCard4, to=(Target.ACCOUNT,))
    async def store(self, iq: IQ) -> None:
        """Publish a vCard4."""
        assert iq.to is not None and iq.from_ is not None
        if iq.from_.bare != iq.to:
            raise StanzaError("forbidden")
        card = iq.element(CARD4)
        assert card is not None
        await self._pubsub.publish(self.host.accounts[iq.to], NODE, card, CURRENT)

    @on(card_given)
    async def give(self, event: CardEvent) -> CardEvent:
        """Put the fields of the vCard4 in the place of those that vcard-temp has of them."""
        last = await self._pubsub.last(event.account, NODE)
        if last is None or last[1].tag != CARD4:
            return event
        others = others_than(event.card, CONVERTED, TEMP_NS)
        may_read = await self._pubsub.last_for(event.account, NODE, event.asker) is not None
        event.card = to_temp(last[1], others) if may_read else Element(event.card.tag, {}, others)
        return event

    @on(card_kept)
    async def keep(self, event: CardEvent) -> CardEvent:
        """Make the vCard4 of what an old client wrote, and keep in vcard-temp only what vCard4 does not have."""
        account = event.account
        last = await self._pubsub.last(account, NODE)
        before = last[1] if last is not None and last[1].tag == CARD4 else Element(CARD4)
        fields = tuple(field for field in event.card.elements() if field.ns == TEMP_NS and field.name in CONVERTED)
        old = Element(event.card.tag, {}, fields)
        card = to_vcard4(old, others_than(before, CONVERTED4, NS4))
        if last is not None and not card.children:
            await self._pubsub.retract(account, NODE, [last[0]])
        elif card.children and to_temp(card) != to_temp(before):
            place = await self._pubsub.place(account)
            await self._pubsub.publish(account, NODE, card, CURRENT, {} if place.nodes.get(NODE) else NEW_NODE)
        event.card = Element(event.card.tag, event.card.attrs, others_than(event.card, CONVERTED, TEMP_NS))
        return event
