"""The order in which to try the servers that a domain's SRV records name (RFC 2782)."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from random import Random


@dataclass(frozen=True, slots=True)
class ServiceRecord:
    """One SRV record.

    Attributes:
        priority: 0 to 65535; the lowest is tried first.
        weight: 0 to 65535; within a priority, how often it comes first beside the others.
        port: a TCP port.
        host: a name in lower case without a trailing dot; "" stands for ".": no such service here.
        is_direct_tls: whether the record was found under _xmpps-server (XEP-0368).
    """

    priority: int
    weight: int
    port: int
    host: str
    is_direct_tls: bool = False


def in_order(records: Iterable[ServiceRecord], random: Random) -> list[ServiceRecord]:
    """Return the records as they should be tried: by priority, and by chance according to the weights within one.

    The time is quadratic in the number of records with one priority: bound it before.

    Spec: RFC 2782, "Usage rules"; XEP-0368 §2.1: records of both services are one set.
    """
    ordered: list[ServiceRecord] = []
    for _, group in groupby(sorted(records, key=lambda record: record.priority), lambda record: record.priority):
        left = list(group)
        random.shuffle(left)
        # Those without weight come first in the sum: they are chosen when the chance is 0 alone, thus seldom, not never.
        left.sort(key=lambda record: record.weight > 0)
        while left:
            ordered.append(left.pop(_choose([record.weight for record in left], random)))
    return ordered


def _choose(weights: list[int], random: Random) -> int:
    """Return the index of the first weight at which the running sum reaches a number between 0 and the whole sum."""
    chance = random.randint(0, sum(weights))
    running = 0
    for index, weight in enumerate(weights):
        running += weight
        if running >= chance:
            return index
    raise AssertionError("the running sum ends at the whole sum")
