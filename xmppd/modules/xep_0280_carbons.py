"""XEP-0280: Message Carbons.

A resource that asks for them gets a copy of each message that its account sends or gets by another of its resources.
"""

from dataclasses import dataclass

from codec.payload import Payload
from codec.payloads.forwarded import forwarded_xml
from codec.payloads.hints import NO_COPY
from codec.payloads.stanza_id import StanzaId
from codec.stanza import IQ, Message
from xmppd.errors import StanzaError
from xmppd.hooks import MessageEvent, Phase, message_received, message_sent
from xmppd.module import Module, Target, iq_set, on
from xmppd.resource import Account, Resource

NS = "urn:xmpp:carbons:2"
PRIVATE = f"{NS} private"
SENT = f"{NS} sent"
RECEIVED = f"{NS} received"
BODY = "jabber:client body"
MUC_USER = "http://jabber.org/protocol/muc#user x"


class Enable(Payload, tag=(NS, "enable")):
    """<enable/> (§4)."""


class Disable(Payload, tag=(NS, "disable")):
    """<disable/> (§5)."""


@dataclass(slots=True)
class Carbons:
    """Whether a resource gets copies."""

    is_enabled: bool = False


class CarbonsModule(Module, xep=280, features=(NS,), account_features=(NS,)):
    """Copies for an account's other resources."""

    @iq_set(Enable, to=(Target.ACCOUNT,))
    def enable(self, iq: IQ) -> None:
        """Start copies for the asking resource."""
        self._resource(iq).state(Carbons).is_enabled = True

    @iq_set(Disable, to=(Target.ACCOUNT,))
    def disable(self, iq: IQ) -> None:
        """Stop copies for the asking resource."""
        self._resource(iq).state(Carbons).is_enabled = False

    def _resource(self, iq: IQ) -> Resource:
        resource = None if iq.from_ is None else self.host.resource(iq.from_)
        if resource is None:
            raise StanzaError("not-allowed")
        return resource

    @on(message_sent, phase=Phase.COPY)
    def copy_sent(self, event: MessageEvent) -> MessageEvent:
        """Copy what one resource sends to the others (§7)."""
        account: Account = event.sender
        if len(account.resources) > 1 and is_eligible(event.message):
            message = event.message
            if event.id and any(copy.owner == account.jid and copy.visible for copy in event.copies):
                message = message.adding(StanzaId(id=str(event.id), by=account.jid))
            self._copy(message, SENT, account, (event.resource,))
        return event

    @on(message_received, phase=Phase.COPY)
    def copy_received(self, event: MessageEvent) -> MessageEvent:
        """Copy what some resources get to the others (§6); <private/> has done its work then (§8)."""
        account: Account = event.recipient
        message = event.message
        if len(account.resources) > 1 and event.targets and is_eligible(message):
            sender = (event.resource,) if event.resource is not None and event.sender is account else ()
            self._copy(message, RECEIVED, account, (*event.targets, *sender))
        if PRIVATE in message.tags:
            event.message = message.without(lambda child: child.tag == PRIVATE)
        return event

    def _copy(self, message: Message, tag: str, account: Account, without: tuple[Resource | None, ...]) -> None:
        inner: bytes | None = None
        for resource in account.resources.values():
            if resource in without or not resource.has_state(Carbons) or not resource.state(Carbons).is_enabled:
                continue
            if inner is None:
                name = tag.rpartition(" ")[2]
                inner = f"<{name} xmlns='{NS}'>".encode() + forwarded_xml(message.to_xml()) + f"</{name}>".encode()
            resource.send(Message(resource.jid, account.jid, None, message.type, None, inner, (tag,)))


def is_eligible(message: Message) -> bool:
    """Whether others of the account get a copy (§6.1): chats, and anything of type normal that a person reads; not what is private."""
    tags = message.tags
    if PRIVATE in tags or NO_COPY in tags or MUC_USER in tags or SENT in tags or RECEIVED in tags:
        return False
    return message.type == "chat" or (message.type == "normal" and BODY in tags) or _is_chat_error(message)


def _is_chat_error(message: Message) -> bool:
    """Whether it is an error about a chat message that carries what went wrong (§6.1)."""
    return message.type == "error" and BODY in message.tags
