"""XEP-0334: Message Processing Hints, and with them the one rule of what is worth keeping.

A message is kept unless it says otherwise or holds nothing but what passes: someone is typing, a thread's name. The rule names
what is left out, not what is kept, so that an extension unknown to us is not lost.
"""

from codec.payloads.hints import NO_PERMANENT_STORE, NO_STORE, STORE
from codec.stanza import Message
from xmppd.module import Module

CHAT_STATES_NS = "http://jabber.org/protocol/chatstates"

PASSING = frozenset(
    {
        *(f"{CHAT_STATES_NS} {state}" for state in ("active", "composing", "paused", "inactive", "gone")),
        *(f"urn:xmpp:hints {hint}" for hint in ("no-copy", "no-store", "no-permanent-store", "store")),
        "jabber:client thread",
        "jabber:x:event x",
        "urn:xmpp:delay delay",
        "urn:xmpp:eme:0 encryption",
        "urn:xmpp:sid:0 origin-id",
        "urn:xmpp:sid:0 stanza-id",
    }
)
BODY = "jabber:client body"


class HintsModule(Module, xep=334, features=("urn:xmpp:hints",)):
    """Says that hints are heeded; those who keep messages ask `is_storable`."""


def is_storable(message: Message) -> bool:
    """Whether histories keep a message: type chat or normal, not forbidden by a hint, and with something lasting in it."""
    if message.type != "chat" and message.type != "normal":
        return False
    tags = message.tags
    if NO_STORE in tags or NO_PERMANENT_STORE in tags:
        return False
    if BODY in tags or STORE in tags:
        return True
    return not PASSING.issuperset(tags)
