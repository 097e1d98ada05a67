"""XEP-0478: Stream Limits Advertisement.

Clients are told how large a stanza may be, before login and after it, and how long they may be silent.
"""

from xmppd.hooks import FeaturesEvent, stream_features
from xmppd.module import Module, on
from xmppd.stream_limits import limits_feature


class LimitsModule(Module, xep=478):
    """Tell what may be sent."""

    @on(stream_features)
    def tell(self, event: FeaturesEvent) -> None:
        """Add the limits that count at this point of the stream."""
        c2s, limits = self.host.config.c2s, self.host.config.limits
        if event.is_authenticated:
            idle_s = c2s.keepalive_s + c2s.keepalive_timeout_s if c2s.keepalive_s else 0
            event.features.append(limits_feature(limits.stanza_bytes, idle_s))
        else:
            event.features.append(limits_feature(limits.stanza_bytes_before_login, 0))
