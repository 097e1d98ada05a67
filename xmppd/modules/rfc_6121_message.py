"""RFC 6121 §8: which resources get a message that is for an account of ours, and what comes of one that none can get.

    type       bare JID                          full JID, resource there   full JID, not there
    normal     best resources, else wait         that one                   as for the bare JID
    chat       best resources, else wait         that one                   as for the bare JID
    headline   all with priority >= 0            that one                   dropped
    groupchat  service-unavailable               that one                   service-unavailable
    error      dropped                           that one                   dropped

"Best" are the available resources with the highest priority, if that is not negative. What waits is the business of the module for
absent people (XEP-0160).
"""

from codec.stanza import IQ, Message
from xmppd.errors import StanzaError, error_reply
from xmppd.hooks import MessageEvent, Phase, UndeliveredEvent, message_received, stanzas_undelivered
from xmppd.module import Module, on
from xmppd.resource import Account, Resource

KNOWN_TYPES = frozenset(("normal", "chat", "headline", "groupchat", "error"))


class MessageModule(Module, features=(), account_features=()):
    """Delivery of messages to local accounts."""

    @on(message_received, phase=Phase.ANNOTATE)
    def choose(self, event: MessageEvent) -> MessageEvent:
        """Decide which resources get it."""
        event.targets = targets_of(event.message, event.recipient)
        return event

    @on(message_received, phase=Phase.DELIVER)
    def deliver(self, event: MessageEvent) -> MessageEvent:
        """Hand it to them."""
        message = event.message
        id_ = event.id if any(copy.pending for copy in event.copies if copy.owner == event.recipient.jid) else 0
        for resource in event.targets:
            resource.send(message, id_)
        return event

    @on(message_received, phase=Phase.FALLBACK)
    def refuse(self, event: MessageEvent) -> MessageEvent:
        """Tell the sender of a groupchat message that nobody takes it; drop headlines and errors."""
        if not event.targets and event.message.type == "groupchat":
            raise StanzaError("service-unavailable")
        return event

    @on(stanzas_undelivered)
    async def give_back(self, event: UndeliveredEvent) -> None:
        """A resource ended without acknowledging: other resources get its messages, requests are answered with an error."""
        account: Account = event.resource.account
        for stanza, archive_id in event.stanzas:
            if (
                isinstance(stanza, Message)
                and stanza.type in ("chat", "normal")
                and not stanza.has("urn:xmpp:carbons:2 received")
            ):
                for resource in best_resources(account):
                    resource.send(stanza, archive_id)
            elif isinstance(stanza, IQ) and stanza.type in ("get", "set") and stanza.from_ is not None:
                reply = error_reply(stanza, StanzaError("service-unavailable"))
                if reply is not None and reply.to is not None and reply.to.bare != account.jid:
                    await self.host.send(reply)


def targets_of(message: Message, account: Account) -> tuple[Resource, ...]:
    """Return the resources that get a message, by the table above."""
    to = message.to
    if to is not None and to.resourcepart:
        resource = account.resources.get(to.resourcepart)
        if resource is not None:
            return (resource,)
        if message.type in ("headline", "error", "groupchat"):
            return ()
    elif message.type in ("groupchat", "error"):
        return ()
    elif message.type == "headline":
        return tuple(resource for resource in account.available() if resource.priority >= 0)
    return best_resources(account)


def best_resources(account: Account) -> tuple[Resource, ...]:
    """Return the available resources of the highest priority, none when that is negative."""
    best: list[Resource] = []
    highest = 0
    for resource in account.resources.values():
        if resource.presence is None or resource.priority < highest:
            continue
        if resource.priority > highest:
            highest = resource.priority
            best.clear()
        best.append(resource)
    return tuple(best)
