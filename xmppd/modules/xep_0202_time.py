"""XEP-0202: Entity Time."""

from dataclasses import dataclass
from datetime import datetime

from codec.payload import Payload, child_text
from codec.stanza import IQ
from codec.values import parse_datetime
from xmppd.module import Module, Target, iq_get

NS = "urn:xmpp:time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Time(Payload, tag=(NS, "time")):
    """The question, which is empty, or the answer: `tzo` is the zone's distance from UTC, `utc` an aware moment."""

    tzo: str | None = child_text()
    utc: datetime | None = child_text(parse=parse_datetime)


class TimeModule(Module, xep=202, features=(NS,)):
    """Tell the time of day. The zone is always UTC: a server has no local time that would matter to anyone."""

    @iq_get(Time, to=(Target.DOMAIN,))
    def answer(self, _: IQ) -> Time:
        """Return the host's time, to the second."""
        return Time(tzo="+00:00", utc=self.host.clock.now().replace(microsecond=0))
