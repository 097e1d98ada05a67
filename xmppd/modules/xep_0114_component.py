"""XEP-0114: Jabber Component Protocol.

Lists the components below a domain, so that clients find them. The streams of components are the business of `xmppd.external`.
"""

from codec.jid import JID
from codec.payloads.disco import Item
from xmppd.hooks import DiscoItemsEvent, disco_items
from xmppd.module import Module, on


class ComponentModule(Module, xep=114):
    """Let clients find components."""

    @on(disco_items)
    def add(self, event: DiscoItemsEvent) -> None:
        """Add those whose domain is below this one."""
        if event.account is None and event.node is None:
            below = f".{self.host.domain}"
            event.items.extend(
                Item(jid=JID.parse(domain)) for domain in self.host.config.components.domains if domain.endswith(below)
            )
