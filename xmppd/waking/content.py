"""What a device is told of a message, by its account's policy.

| policy | texts                    | data for the app                                                 |
|--------|--------------------------|------------------------------------------------------------------|
| none   | none                     | registration, count                                              |
| sender | who wrote                | the same, sender, id                                             |
| full   | who wrote, what          | the same; of OMEMO the encrypted element itself, where it fits   |

The registration's key stands for the account, which gateways need not know.
"""

from dataclasses import dataclass

from codec.stanza import Message
from push.gateway import Kind, Notification
from xmppd.waking.registrations import APP_SERVER, Content, Registration
from xmppd.waking.rules import BODY, encrypted_tag, is_encrypted

MAX_BODY_CHARS = 1_000
MAX_ENCRYPTED_BYTES = 2_500
"""What is left of 4096 bytes for what is encrypted, as JSON, beside all else."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why devices are woken.

    Attributes:
        conversation: the bare JID of whom it is with.
        sender: who wrote, for people and apps: a bare JID, or of a room's message its occupant's JID.
        id: the message's id in the history, as clients know it; "" without one.
        message: None for a request to see presence, and for a test.
        text: what is shown where there is no message.
        is_call: ring.
        count: messages that are unread, this one too. requests: unanswered requests to see presence.
        kind: for the app: "message", "call", "subscription" or "test".
    """

    conversation: str
    sender: str
    id: str = ""
    message: Message | None = None
    text: str = ""
    is_call: bool = False
    count: int = 0
    requests: int = 0
    kind: str = "message"

    @property
    def body(self) -> str:
        """What was written, as far as it can be read."""
        if self.message is None or is_encrypted(self.message):
            return self.text
        body = self.message.element(BODY)
        return self.text if body is None else body.text.strip()[:MAX_BODY_CHARS]

    @property
    def encrypted(self) -> str:
        """What is encrypted by OMEMO, as XML; "" when nothing is, or too much."""
        tag = "" if self.message is None else encrypted_tag(self.message)
        element = self.message.element(tag) if tag and self.message is not None else None
        xml = b"" if element is None else element.to_xml()
        # quotes are escaped in JSON, and what is in JSON once more by nobody
        return xml.decode() if len(xml) + xml.count(b'"') <= MAX_ENCRYPTED_BYTES else ""


def notification_of(occasion: Occasion, owner: str, registration: Registration, content: Content) -> Notification:
    """Return what one device is told."""
    kind = Kind.CALL if occasion.is_call and _rings(registration) else Kind.ALERT
    data = {"registration": registration.key, "type": occasion.kind, "count": str(occasion.count)}
    if occasion.requests:
        data["requests"] = str(occasion.requests)
    title = body = ""
    if content != "none":
        data["sender"] = title = occasion.sender
        if occasion.id:
            data["id"] = occasion.id
    if content == "full":
        body = occasion.body
        if encrypted := occasion.encrypted:
            data["encrypted"] = encrypted
    is_app_server = registration.gateway == APP_SERVER
    return Notification(
        registration.device(owner, kind),
        kind=kind,
        # an app server gets one at a time whomever they are from: it knows no conversations
        conversation="*" if is_app_server and not occasion.is_call else occasion.conversation,
        data=data,
        title=title,
        body=body,
        badge=occasion.count,
    )


def _rings(registration: Registration) -> bool:
    """Whether a device can be told of a call as such: an iPhone only by a token of its own for that."""
    return registration.gateway != "apns" or bool(registration.call_token)
