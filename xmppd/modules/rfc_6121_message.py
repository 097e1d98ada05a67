"""RFC 6121 §8: which resources get a message that is for an account of ours, and what comes of one that none can get.

    type       bare JID                          full JID, resource there   full JID, not there
    normal     best resources, else wait         that one                   service-unavailable
    chat       best resources, else wait         that one                   as for the bare JID
    headline   all with priority >= 0            that one                   dropped
    groupchat  service-unavailable               that one                   service-unavailable
    error      dropped                           that one                   dropped

Unknown types count as normal. "Best" are the available resources with the highest priority, if that is not negative. What waits is the business of the module for
absent people (XEP-0160). A resource that has lost its connection, and cannot be resumed, is not there.
"""

from codec.stanza import IQ, Message
from xmppd.errors import StanzaError, error_reply
from xmppd.hooks import MessageEvent, Phase, UndeliveredEvent, message_received, stanzas_undelivered
from xmppd.module import Module, on
from xmppd.resource import Account, Resource

NOT_CONVERSATION = frozenset(("headline", "groupchat", "error"))
"""All types but chat, normal, and those that nobody knows, which count as normal (RFC 6121 §5.2.2)."""


class MessageModule(Module, features=(), account_features=()):
    """Delivery of messages to local accounts."""

    @on(message_received, phase=Phase.ANNOTATE)
    def choose(self, event: MessageEvent) -> MessageEvent:
        """Decide which resources get it; refuse what no other than the one addressed may get."""
        message = event.message
        event.targets = targets_of(message, event.recipient)
        if not event.targets and _is_refused(message):
            raise StanzaError("service-unavailable")
        return event

    @on(message_received, phase=Phase.DELIVER)
    def deliver(self, event: MessageEvent) -> MessageEvent:
        """Hand it to them."""
        message = event.message
        id_ = archive_id_of(event)
        for resource in event.targets:
            resource.send(message, id_)
        return event

    @on(stanzas_undelivered)
    async def give_back(self, event: UndeliveredEvent) -> None:
        """A resource ended without acknowledging: other resources get its messages, requests are answered with an error.

        A message that stands in a history is known one by one to the module for absent people, which sees to it.
        """
        account: Account = event.resource.account
        for stanza, archive_id in event.stanzas:
            if isinstance(stanza, Message):
                if not archive_id and stanza.type not in NOT_CONVERSATION and stanza.from_ != account.jid:
                    for resource in best_resources(account):
                        resource.send(stanza)
            elif isinstance(stanza, IQ) and stanza.type in ("get", "set") and stanza.from_ is not None:
                reply = error_reply(stanza, StanzaError("service-unavailable"))
                if reply is not None and reply.to is not None and reply.to.bare != account.jid:
                    await self.host.send(reply)


def archive_id_of(event: MessageEvent) -> int:
    """Return the id under which a message waits for its recipient until it has reached somebody; 0 when it does not."""
    owner = event.recipient.jid
    for copy in event.copies:
        if copy.pending and copy.owner == owner:
            return event.id
    return 0


def targets_of(message: Message, account: Account) -> tuple[Resource, ...]:
    """Return the resources that get a message, by the table above."""
    to = message.to
    if to is not None and to.resourcepart:
        resource = account.resources.get(to.resourcepart)
        if resource is not None and _is_there(resource):
            return (resource,)
        return best_resources(account) if message.type == "chat" else ()
    if message.type in ("groupchat", "error"):
        return ()
    if message.type == "headline":
        return tuple(r for r in account.available() if r.priority >= 0 and _is_there(r))
    return best_resources(account)


def _is_refused(message: Message) -> bool:
    """Whether its sender is told that nobody gets it (§8.5.2.1.1, §8.5.3.2.1)."""
    if message.type in NOT_CONVERSATION:
        return message.type == "groupchat"
    return message.type != "chat" and message.to is not None and bool(message.to.resourcepart)


def _is_there(resource: Resource) -> bool:
    """Whether what it is given can reach it; without acks nobody would notice that it did not."""
    return resource.acks is not None or (resource.stream is not None and resource.stream.is_connected)


def best_resources(account: Account) -> tuple[Resource, ...]:
    """Return the available resources of the highest priority, none when that is negative."""
    best: list[Resource] = []
    highest = 0
    for resource in account.resources.values():
        if resource.presence is None or resource.priority < highest or not _is_there(resource):
            continue
        if resource.priority > highest:
            highest = resource.priority
            best.clear()
        best.append(resource)
    return tuple(best)
