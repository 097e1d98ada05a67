"""XEP-0030: Service Discovery, for the domain and the accounts on it.

What there is to tell comes from the loaded modules: their `features` and `account_features`, and what they add at
`hooks.disco_info` and `hooks.disco_items`. The forms in an answer are those of XEP-0128.
"""

from codec.jid import JID
from codec.payloads.disco import NS_INFO, NS_ITEMS, Identity, Info, Items
from codec.stanza import IQ
from xmppd.errors import StanzaError
from xmppd.hooks import DiscoEvent, DiscoItemsEvent, disco_info, disco_items, disco_node_asked
from xmppd.module import Module, Target, iq_get
from xmppd.resource import Account

FEATURES = (NS_INFO, NS_ITEMS)

SERVER = Identity(category="server", type="im", name="xmppd")
ACCOUNT = Identity(category="account", type="registered")


class DiscoModule(Module, xep=30, features=FEATURES, account_features=FEATURES, open_to_others=True):
    """Answer disco#info and disco#items.

    Of an account only those learn anything who see its presence; for others it looks as if it did not exist (§8).
    """

    def info(self, account: Account | None = None, node: str | None = None, asker: JID | None = None) -> Info:
        """Return what the domain (`account` None), an account, or a node of either is.

        Args:
            asker: who wants to know; None for ourselves (XEP-0115).

        Raises:
            StanzaError: item-not-found: nobody knows the node; or what whoever knows it has to say to this asker.
        """
        event = DiscoEvent(account, node, [], [], [], asker)
        if node is None:
            event.identities.append(SERVER if account is None else ACCOUNT)
            for module in self.host.modules.values():
                event.features.extend(module.features if account is None else module.account_features)
        self.host.signal(disco_info, event)
        if event.error is not None:
            raise StanzaError(event.error)
        if not event.identities and not event.features:
            raise StanzaError("item-not-found")
        return Info(
            node=node,
            identities=tuple(event.identities),
            features=tuple(sorted(set(event.features))),
            forms=tuple(event.forms),
        )

    @iq_get(Info, to=(Target.DOMAIN, Target.ACCOUNT))
    async def answer_info(self, iq: IQ) -> Info:
        """Tell what the domain or account is and can do (§3)."""
        assert isinstance(iq.payload, Info)
        account, node = await self._account(iq), iq.payload.node
        if node is not None:
            await self.host.signal_waiting(disco_node_asked, DiscoEvent(account, node, [], [], [], iq.from_))
        return self.info(account, node, iq.from_)

    @iq_get(Items, to=(Target.DOMAIN, Target.ACCOUNT))
    async def answer_items(self, iq: IQ) -> Items:
        """Tell what belongs to the domain or account (§4)."""
        assert isinstance(iq.payload, Items)
        node = iq.payload.node
        event = DiscoItemsEvent(await self._account(iq), node, [], iq.from_, is_known=node is None)
        await self.host.signal_waiting(disco_items, event)
        if not event.is_known:
            raise StanzaError("item-not-found")
        return Items(node=node, items=tuple(event.items))

    async def _account(self, iq: IQ) -> Account | None:
        """Return the account that is asked, None when it is the domain."""
        assert iq.to is not None and iq.from_ is not None
        if not iq.to.localpart:
            return None
        account = self.host.accounts.get(iq.to)
        if account is None or not await self.host.may_see(account, iq.from_):
            raise StanzaError("service-unavailable")
        return account
