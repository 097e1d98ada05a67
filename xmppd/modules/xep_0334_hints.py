"""XEP-0334: Message Processing Hints, and with them the one rule of what is worth keeping.

A message is kept unless it says otherwise or holds nothing but what passes: someone is typing, a thread's name. The rule names
what is left out, not what is kept, so that an extension unknown to us is not lost.
"""

from codec.payloads.hints import NO_PERMANENT_STORE, NO_STORE, STORE
from codec.stanza import Message
from xmppd.module import Module
from xmppd.modules.rfc_6121_message import NOT_CONVERSATION

CHAT_STATES_NS = "http://jabber.org/protocol/chatstates"

PASSING = frozenset(
    {
        *(f"{CHAT_STATES_NS} {state}" for state in ("active", "composing", "paused", "inactive", "gone")),
        *(f"urn:xmpp:hints {hint}" for hint in ("no-copy", "no-store", "no-permanent-store", "store")),
        "jabber:client thread",
        "jabber:x:event x",
        "urn:xmpp:delay delay",
        "urn:xmpp:eme:0 encryption",
        "urn:xmpp:mam:2 result",
        "urn:xmpp:sid:0 origin-id",
        "urn:xmpp:sid:0 stanza-id",
    }
)
BODY = "jabber:client body"


class HintsModule(Module, xep=334, features=("urn:xmpp:hints",)):
    """Says that hints are heeded; those who keep messages ask `may_wait` and `is_storable`."""


def may_wait(message: Message) -> bool:
    """Whether a message may be kept for somebody who is not there.

    It is part of a conversation, <no-store/> does not forbid it, and there is something lasting in it.
    """
    return message.type not in NOT_CONVERSATION and is_lasting(message)


def is_lasting(message: Message) -> bool:
    """Whether there is something lasting in a message, whatever its type, and <no-store/> does not forbid to keep it."""
    tags = message.tags
    if BODY in tags:
        return NO_STORE not in tags
    if NO_STORE in tags:
        return False
    return STORE in tags or not PASSING.issuperset(tags)


def is_storable(message: Message) -> bool:
    """Whether histories keep a message: it may wait, and <no-permanent-store/> does not forbid more than that (§4.1)."""
    return NO_PERMANENT_STORE not in message.tags and may_wait(message)
