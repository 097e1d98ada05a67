"""What wakes whom, as one table: the first row that fits a message decides.

| what                                              | wakes               |
|---------------------------------------------------|---------------------|
| errors                                            | nobody              |
| <no-store/>, <no-push/>                           | nobody              |
| carbons, pages of a history, events of pubsub     | nobody              |
| a call: XEP-0353 <propose/>, XEP-0482 <invite/>   | at once, as a call  |
| a message in a room                               | by the room's rule  |
| a headline                                        | who wants headlines |
| an invitation into a room                         | as a message        |
| something encrypted that has a payload            | as a message        |
| something encrypted without one (keys alone)      | nobody              |
| a body that is not empty                          | as a message        |
| a file: XEP-0066, XEP-0447, XEP-0385              | as a message        |
| all else: receipts, markers, chat states, ...     | nobody              |

Beside this, and decided elsewhere: one's own messages, conversations that are muted, clients that have the message already
(`xmppd/modules/xep_0357_push.py`); requests to see presence wake as messages do.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from codec.payloads.hints import NO_STORE
from codec.stanza import Message

BODY = "jabber:client body"
NO_PUSH = ("urn:xmpp:hints no-push", "urn:xmppd:push:0 no-push")
COPIES = (
    "urn:xmpp:carbons:2 sent",
    "urn:xmpp:carbons:2 received",
    "urn:xmpp:mam:2 result",
    "http://jabber.org/protocol/pubsub#event event",
)
CALLS = ("urn:xmpp:jingle-message:0 propose", "urn:xmpp:call-invites:0 invite")
INVITATION = "jabber:x:conference x"
MUC_USER = "http://jabber.org/protocol/muc#user x"
OMEMO = ("eu.siacs.conversations.axolotl encrypted", "urn:xmpp:omemo:1 encrypted", "urn:xmpp:omemo:2 encrypted")
ENCRYPTED = (*OMEMO, "urn:xmpp:openpgp:0 openpgp", "jabber:x:encrypted x")
FILES = (
    "jabber:x:oob x",
    "urn:xmpp:sfs:0 file-sharing",
    "urn:xmpp:sims:1 media-sharing",
    "urn:xmpp:reference:0 reference",
)
MENTION = "urn:xmpp:reference:0 reference"
MARKED = ("urn:xmpp:chat-markers:0 displayed",)


class Verdict(StrEnum):
    """What a message is to somebody who is away."""

    NOTHING = "nothing"
    MESSAGE = "message"
    CALL = "call"
    ROOM = "room"
    HEADLINE = "headline"


class Rule(NamedTuple):
    """A row: what it is about, whether it fits, what then."""

    about: str
    fits: Callable[[Message], bool]
    verdict: Verdict


def has_any(message: Message, tags: tuple[str, ...]) -> bool:
    """Whether one of the direct children has one of these tags."""
    return any(tag in message.tags for tag in tags)


def has_body(message: Message) -> bool:
    """Whether there is a body with something in it."""
    body = message.element(BODY)
    return body is not None and bool(body.text.strip())


def is_encrypted(message: Message) -> bool:
    """Whether the body, if there is one, is only for clients that cannot decrypt."""
    return has_any(message, ENCRYPTED)


def encrypted_tag(message: Message) -> str:
    """Return the tag of what is encrypted by OMEMO, "" when nothing is."""
    return next((tag for tag in OMEMO if tag in message.tags), "")


def _has_payload(message: Message) -> bool:
    tag = encrypted_tag(message)
    element = message.element(tag) if tag else None
    if element is None:
        return True  # the other kinds have no messages of keys alone
    return any(child.name == "payload" for child in element.elements())


def _is_invitation(message: Message) -> bool:
    if INVITATION in message.tags:
        return True
    x = message.element(MUC_USER)
    return x is not None and any(child.name == "invite" for child in x.elements())


def _is_error(message: Message) -> bool:
    return message.type == "error"


def _is_hushed(message: Message) -> bool:
    return NO_STORE in message.tags or has_any(message, NO_PUSH)


def _is_copy(message: Message) -> bool:
    return has_any(message, COPIES)


def _is_call(message: Message) -> bool:
    return message.type != "groupchat" and has_any(message, CALLS)


def _is_said_in_room(message: Message) -> bool:
    return _is_of_room(message) and (has_body(message) or is_encrypted(message))


def _is_of_room(message: Message) -> bool:
    return message.type == "groupchat"


def _is_headline(message: Message) -> bool:
    return message.type == "headline"


def _is_encrypted_text(message: Message) -> bool:
    return is_encrypted(message) and _has_payload(message)


def _is_file(message: Message) -> bool:
    return has_any(message, FILES)


def _is_anything(_: Message) -> bool:
    return True


RULES: tuple[Rule, ...] = (
    Rule("errors", _is_error, Verdict.NOTHING),
    Rule("hints", _is_hushed, Verdict.NOTHING),
    Rule("copies and events", _is_copy, Verdict.NOTHING),
    Rule("calls", _is_call, Verdict.CALL),
    Rule("said in rooms", _is_said_in_room, Verdict.ROOM),
    Rule("of rooms, but nothing said", _is_of_room, Verdict.NOTHING),
    Rule("headlines", _is_headline, Verdict.HEADLINE),
    Rule("invitations", _is_invitation, Verdict.MESSAGE),
    Rule("encrypted", _is_encrypted_text, Verdict.MESSAGE),
    Rule("keys alone", is_encrypted, Verdict.NOTHING),
    Rule("text", has_body, Verdict.MESSAGE),
    Rule("files", _is_file, Verdict.MESSAGE),
    Rule("all else", _is_anything, Verdict.NOTHING),
)


def judge(message: Message) -> Verdict:
    """Return what a message is to somebody who is away."""
    return next(rule.verdict for rule in RULES if rule.fits(message))


def mentions(message: Message, jid: str, names: tuple[str, ...]) -> bool:
    """Whether a room's message is about somebody: a mention (XEP-0372) of their JID, or a word that is one of their names.

    Nobody can look into what is encrypted: that counts as a mention.
    """
    if is_encrypted(message):
        return True
    if MENTION in message.tags:
        for element in message.elements():
            uri = element.get("uri") or ""
            if element.tag == MENTION and element.get("type") == "mention" and uri.partition("?")[0] == f"xmpp:{jid}":
                return True
    body = message.element(BODY)
    text = "" if body is None else body.text.casefold()
    return any(name and re.search(rf"(?<!\w){re.escape(name.casefold())}(?!\w)", text) for name in names)


def is_read_sign(message: Message) -> bool:
    """Whether what an account sends shows that it has read the conversation: an answer, or a marker (XEP-0333)."""
    return message.type != "error" and (BODY in message.tags or has_any(message, MARKED) or is_encrypted(message))
