"""XEP-0199: XMPP Ping.

Answers pings sent to the domain, and those that a client sends to its own account.
"""

from codec.payload import Payload
from codec.stanza import IQ
from xmppd.module import Module, Target, iq_get

NS = "urn:xmpp:ping"


class Ping(Payload, tag=(NS, "ping")):
    """The empty <ping/> element (XEP-0199 §3)."""


class PingModule(Module, xep=199, features=(NS,), account_features=(NS,)):
    """Answer each ping with an empty result.

    A ping to a full JID never gets here: the router delivers it to that resource, which answers for itself
    (RFC 6121 §8.5.3.1). Nor does one to somebody else's account, which the dispatcher refuses: the answer would tell
    strangers that the account exists.
    """

    @iq_get(Ping, to=(Target.DOMAIN, Target.ACCOUNT))
    def answer(self, _: IQ) -> None:
        """Return nothing, which the dispatcher sends as an empty result."""
