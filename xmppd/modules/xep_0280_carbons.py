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
from xmppd.hooks import (
    BindEvent,
    BindInlineEvent,
    MessageEvent,
    Phase,
    bind2_bound,
    bind2_inline,
    message_received,
    message_sent,
)
from xmppd.module import Module, Target, iq_set, on
from xmppd.modules.rfc_6121_message import MessageModule, archive_id_of
from xmppd.resource import Account, Resource

NS = "urn:xmpp:carbons:2"
PRIVATE = f"{NS} private"
SENT = f"{NS} sent"
RECEIVED = f"{NS} received"
BODY = "jabber:client body"
MUC_USER = "http://jabber.org/protocol/muc#user x"
INVITE = "http://jabber.org/protocol/muc#user invite"
NEVER = ("groupchat", "headline")

INSTANT_MESSAGING = frozenset(
    (
        "http://jabber.org/protocol/chatstates",
        "jabber:x:conference",
        "urn:xmpp:chat-markers:0",
        "urn:xmpp:receipts",
    )
)
"""Namespaces of what is copied without a body; an error that carries back what it is about has a body or one of these."""


class Enable(Payload, tag=(NS, "enable")):
    """<enable/> (§4)."""


class Disable(Payload, tag=(NS, "disable")):
    """<disable/> (§5)."""


@dataclass(slots=True)
class Carbons:
    """Whether a resource gets copies."""

    is_enabled: bool = False


class CarbonsModule(Module, xep=280, features=(NS,), account_features=(NS,), requires=(MessageModule,)):
    """Copies for an account's other resources."""

    @iq_set(Enable, to=(Target.ACCOUNT,))
    def enable(self, iq: IQ) -> None:
        """Start copies for the asking resource."""
        self._resource(iq).state(Carbons).is_enabled = True

    @iq_set(Disable, to=(Target.ACCOUNT,))
    def disable(self, iq: IQ) -> None:
        """Stop copies for the asking resource."""
        self._resource(iq).state(Carbons).is_enabled = False

    @on(bind2_inline)
    def offer_inline(self, event: BindInlineEvent) -> None:
        """Let a session begin with copies (XEP-0386 §3.2)."""
        event.features.append(NS)

    @on(bind2_bound)
    def begin(self, event: BindEvent) -> None:
        """Begin with copies where the client asks for them; nothing answers that."""
        if event.request.find(Enable.TAG) is not None:
            event.resource.state(Carbons).is_enabled = True

    def _resource(self, iq: IQ) -> Resource:
        resource = None if iq.from_ is None else self.host.resource(iq.from_)
        if resource is None:
            raise StanzaError("not-allowed")
        return resource

    @on(message_sent, phase=Phase.COPY)
    def copy_sent(self, event: MessageEvent) -> MessageEvent:
        """Copy what one resource sends to the others (§8). What it sends to its own account they get as received."""
        account: Account = event.sender
        message = event.message
        if len(account.resources) > 1 and is_eligible(message) and not _is_for(message, account):
            if event.id and any(copy.owner == account.jid and copy.visible for copy in event.copies):
                message = message.adding(StanzaId(id=self.host.archive_ids.text_of(event.id), by=account.jid))
            others = [resource for resource in account.resources.values() if resource is not event.resource]
            self._copy(message, SENT, account, others, 0)
        return event

    @on(message_received, phase=Phase.COPY)
    def copy_received(self, event: MessageEvent) -> MessageEvent:
        """Copy what some resources get to the others (§7).

        Who has a copy has the message: it need not wait for anybody then. Where no resource gets the message itself it waits all
        the same, and only those get a copy that will not get it when they become available: they are, with a negative priority.
        """
        account: Account = event.recipient
        if len(account.resources) > len(event.targets) and is_eligible(event.message, is_received=True):
            others = [
                resource
                for resource in account.resources.values()
                if resource not in event.targets
                and (resource is not event.resource or event.sender is not account)
                and (event.targets or resource.presence is not None)
            ]
            self._copy(event.message, RECEIVED, account, others, archive_id_of(event) if event.targets else 0)
        return event

    def _copy(self, message: Message, tag: str, account: Account, others: list[Resource], archive_id: int) -> None:
        inner: bytes | None = None
        for resource in others:
            if not resource.has_state(Carbons) or not resource.state(Carbons).is_enabled:
                continue
            if inner is None:
                name = tag.rpartition(" ")[2]
                inner = f"<{name} xmlns='{NS}'>".encode() + forwarded_xml(message.to_xml()) + f"</{name}>".encode()
            copy = Message(resource.jid, account.jid, None, message.type, None, inner, (tag,))
            resource.send(copy, archive_id)


def is_eligible(message: Message, is_received: bool = False) -> bool:
    """Whether others of the account get a copy (§6.1): of conversations, not of what is private or other resources have from a room."""
    tags = message.tags
    if message.type in NEVER or PRIVATE in tags or NO_COPY in tags or SENT in tags or RECEIVED in tags:
        return False
    if MUC_USER in tags:
        if _is_invitation(message):
            return True
        if is_received:
            return False  # a room sends it to each of the participant's resources
    return message.type == "chat" or BODY in tags or any(tag.partition(" ")[0] in INSTANT_MESSAGING for tag in tags)


def _is_invitation(message: Message) -> bool:
    x = message.element(MUC_USER)
    return x is not None and x.find(INVITE) is not None


def _is_for(message: Message, account: Account) -> bool:
    return message.to is None or message.to.bare == account.jid
