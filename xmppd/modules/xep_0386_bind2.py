"""XEP-0386: Bind 2.

A resource bound within a login by XEP-0388, with whatever the client wants of its session, in one step. Its name is the client's tag, a
slash, and letters that stay the same for the same installation, so that a client that comes back takes the place of what it left.

Other modules take part at `hooks.bind2_inline`, `bind2_requested` and `bind2_bound`. Messages that waited for the account are not
sent to such a client: it is told how far the history goes and reads it for itself (XEP-0313, XEP-0160).
"""

import base64
import hmac
from dataclasses import dataclass

from codec.element import Element
from codec.jid import JID, InvalidJID, prepare_resourcepart
from storage.interface import KeyValStore
from xmppd.errors import StanzaError, StreamError
from xmppd.hooks import (
    AuthenticatedEvent,
    BindEvent,
    BindInlineEvent,
    InlineEvent,
    Phase,
    bind2_bound,
    bind2_inline,
    bind2_requested,
    sasl2_authenticated,
    sasl2_inline,
)
from xmppd.host import Host
from xmppd.module import Module, on
from xmppd.resource import Account

NS = "urn:xmpp:bind:0"
BIND = f"{NS} bind"
NAME_BYTES = 9
"""Of the hash that makes a resource's name: 12 characters, for an account has few clients."""


@dataclass(slots=True)
class Installation:
    """Which installation of a client a resource belongs to: the id of its <user-agent/>, "" for none."""

    id: str = ""


class Bind2Module(Module, xep=386, stores={"secret": KeyValStore}):
    """Bind within a login."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._secret = b""

    async def start(self) -> None:
        """Have the secret behind the resources' names, the same after a restart."""
        store = self.stores["secret"]
        secret = await store.get(self.host.domain)
        if secret is None:
            secret = (self.host.ids.token() + self.host.ids.token()).encode()
            await store.set(self.host.domain, secret)
        self._secret = secret

    @on(sasl2_inline)
    def offer(self, event: InlineEvent) -> None:
        """Offer it, and what can be asked for with it (§3.1)."""
        inline = BindInlineEvent(event.stream)
        self.host.signal(bind2_inline, inline)
        features = tuple(Element(f"{NS} feature", {"var": name}) for name in inline.features)
        event.features.append(Element(BIND, {}, (Element(f"{NS} inline", {}, features),) if features else ()))

    @on(sasl2_authenticated, phase=Phase.DELIVER)
    async def bind(self, event: AuthenticatedEvent) -> AuthenticatedEvent | None:
        """Bind, unless the client has resumed what it had (§3.2).

        Raises:
            StanzaError: the account has too many resources, or is no more.
        """
        request = event.request.find(BIND)
        if request is None or event.resource is not None:
            return event
        if not event.stream.is_connected:
            return None
        account: Account | None = await self.host.load_account(event.jid)
        if account is None:
            raise StanzaError("item-not-found", text="The account was removed.")
        await self._end_earlier(account, event.agent.id)
        bound = BindEvent(event.stream, account, request)
        await self.host.signal_waiting(bind2_requested, bound)
        resourcepart = self._resourcepart(event.jid, request, event.agent.id)
        try:
            resource = await event.stream.bind(self.host, event.jid, resourcepart)
        except StreamError as error:
            raise StanzaError("item-not-found", text=error.text) from error
        bound.resource = event.resource = resource
        if event.agent.id:
            resource.state(Installation).id = event.agent.id
        self.host.signal(bind2_bound, bound)
        event.answers.append(Element(f"{NS} bound", {}, tuple(bound.answers)))
        return event

    async def _end_earlier(self, account: Account, id_: str) -> None:
        """End what the same installation has left behind (§3.2)."""
        if not id_:
            return
        for resource in list(account.resources.values()):
            if resource.has_state(Installation) and resource.state(Installation).id == id_:
                await self.host.shared.end_resource(resource, "conflict")

    def _resourcepart(self, jid: JID, request: Element, id_: str) -> str:
        """Return the name of the resource (§3.2.1), from which nobody can tell the installation's id."""
        found = request.find(f"{NS} tag")
        tag = "" if found is None else found.text.strip()
        if id_:
            hashed = hmac.digest(self._secret, f"{jid}\0{tag}\0{id_}".encode(), "sha256")
            name = base64.urlsafe_b64encode(hashed[:NAME_BYTES]).decode()
        else:
            name = self.host.ids.token()
        try:
            return prepare_resourcepart(f"{tag}/{name}") if tag else name
        except InvalidJID:  # the tag cannot stand in a resource's name: it does without
            return name
