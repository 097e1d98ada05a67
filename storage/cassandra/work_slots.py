"""Slots: the spans of time by which a work queue is cut into partitions, and which of them a process need look at.

A queue in one partition is what Cassandra is worst at: whoever looks for the next job reads over the marks of all that were done. Here
a job stands in the slot (2 seconds) of the time at which it is due. A slot that is found empty when it is long over is never looked
at again: nobody reads the marks of what was in it.
"""

from dataclasses import dataclass, field

from storage.cassandra.driver import Driver
from storage.cassandra.writer import Write, Writer

SLOT_BITS = 21
"""A slot is 2**21 µs, 2.1 seconds: with 300 jobs a second, 630 rows."""
DAY_BITS = 15
"""A day is 2**15 slots, 19 hours: so many rows at most has a partition of the index."""
LATE_US = 60 * 1_000_000
"""How long after its end a slot may still get jobs. What takes half of that to reach the cluster, since that was away, is put again."""
REST_US = 2_000_000
"""How long a slot that is over rests once nothing in it was due."""
FULL_LOOK_US = 30 * 1_000_000
"""How often a process looks for slots in all days."""
NEVER = 2**63


def slot_of(time_us: int) -> int:
    """Return the slot of a time."""
    return time_us >> SLOT_BITS


def day_of(slot: int) -> int:
    """Return the day of a slot."""
    return slot >> DAY_BITS


def end_us(slot: int) -> int:
    """Return the time at which a slot is over."""
    return (slot + 1) << SLOT_BITS


@dataclass(slots=True)
class Known:
    """What this process knows of a queue.

    Attributes:
        floor: everything in smaller slots is done.
        rests: slot -> when (µs) it is worth a look again.
        full_look_us: when all slots must be looked for again.
    """

    floor: int = 0
    saved_floor: int = 0
    rests: dict[int, int] = field(default_factory=dict)
    full_look_us: int = 0

    def was_empty(self, slot: int, now_us: int) -> None:
        """Take note that there is nothing in a slot."""
        over_us = now_us - end_us(slot)
        if over_us > LATE_US:
            self.rests[slot] = NEVER
        elif over_us > REST_US // 2:
            self.rests[slot] = now_us + REST_US

    def was_not_due(self, slot: int, now_us: int) -> None:
        """Take note that nothing in a slot is due."""
        if now_us - end_us(slot) > LATE_US:
            self.rests[slot] = now_us + REST_US

    def raise_floor(self, now_us: int) -> None:
        """Leave behind slots that nobody can write to any more and that were empty; all must have been looked for once."""
        left = (slot for slot, until_us in self.rests.items() if until_us != NEVER)
        self.floor = max(self.floor, min([slot_of(now_us - 2 * LATE_US), *left]))
        self.rests = {slot: until_us for slot, until_us in self.rests.items() if slot >= self.floor}


class Slots:
    """The tables `work_slot` and `work_day`."""

    def __init__(self, driver: Driver, writer: Writer) -> None:
        self._driver = driver
        self._writer = writer
        self._known: dict[str, Known] = {}
        read = driver.statement
        self._note = read("INSERT INTO {ks}.work_slot (queue, day, slot) VALUES (?, ?, ?) USING TIMESTAMP ?")
        self._note_day = read("INSERT INTO {ks}.work_day (queue, day) VALUES (?, ?) USING TIMESTAMP ?")
        self._find = read("SELECT slot FROM {ks}.work_slot WHERE queue = ? AND day = ? AND slot >= ?")
        self._days = read("SELECT day, floor FROM {ks}.work_day WHERE queue = ?")
        self._save = read("UPDATE {ks}.work_day USING TIMESTAMP ? SET floor = ? WHERE queue = ?")
        self._drop = read("DELETE FROM {ks}.work_slot USING TIMESTAMP ? WHERE queue = ? AND day = ?")
        self._drop_day = read("DELETE FROM {ks}.work_day USING TIMESTAMP ? WHERE queue = ? AND day = ?")

    def notes(self, queue: str, slot: int) -> list[Write]:
        """Return the writes that make a slot known."""
        return [(self._note, (queue, day_of(slot), slot)), (self._note_day, (queue, day_of(slot)))]

    def of(self, queue: str) -> Known:
        """Return what is known of a queue."""
        return self._known.setdefault(queue, Known())

    async def awake(self, queue: str, now_us: int, top: int) -> list[int]:
        """Return the slots up to `top` that are worth a look, ascending."""
        known = self.of(queue)
        if now_us >= known.full_look_us:
            await self._look(queue, known, now_us)
        else:
            low = max(known.floor, slot_of(now_us - LATE_US))
            for day in range(day_of(low), day_of(slot_of(now_us)) + 1):
                await self._add(queue, known, day, low)
        return sorted(slot for slot, until_us in known.rests.items() if slot <= top and until_us <= now_us)

    async def all(self, queue: str, now_us: int) -> list[int]:
        """Return every slot that may have something in it, also those of times to come."""
        known = self.of(queue)
        await self._look(queue, known, now_us)
        return sorted(slot for slot, until_us in known.rests.items() if until_us != NEVER)

    async def _look(self, queue: str, known: Known, now_us: int) -> None:
        """Look for slots in all days, and for the floor that others have raised."""
        if known.full_look_us:  # whoever begins anew knows of no slot yet, and not that old ones are empty
            known.raise_floor(now_us)
        rows = await self._driver.rows(self._days, (queue,))
        known.saved_floor = max([0, *(floor for _, floor in rows if floor is not None)])
        known.floor = max(known.floor, known.saved_floor)
        for day, _ in rows:
            if day is not None and day >= day_of(known.floor):
                await self._add(queue, known, day, known.floor)
        known.full_look_us = now_us + FULL_LOOK_US
        if day_of(known.floor) > day_of(known.saved_floor) or known.floor - known.saved_floor > 1 << 10:
            await self._tidy(queue, known, [day for day, _ in rows if day is not None])

    async def _add(self, queue: str, known: Known, day: int, low: int) -> None:
        for (slot,) in await self._driver.rows(self._find, (queue, day, low)):
            if slot >= known.floor:
                known.rests.setdefault(slot, 0)

    async def _tidy(self, queue: str, known: Known, days: list[int]) -> None:
        """Save the floor, and remove the days below it."""
        writes: list[Write] = [(self._save, (known.floor, queue))]
        for day in days:
            if day < day_of(known.floor):
                writes += [(self._drop, (queue, day)), (self._drop_day, (queue, day))]
        await self._writer.write(*writes)
        known.saved_floor = known.floor
