"""The work queue: jobs in slots of time (see `work_slots`), claimed on a condition.

`put`, `finish` and `retry` are plain writes. `claim` alone uses a lightweight transaction, one for the jobs of a slot: the lease is
written if nobody has taken any of them meanwhile. Nothing is read to replace a job of a key: the key says which job was put last, and
older ones are passed over, and removed, when they are claimed.

Timestamps of jobs are an hour in the past and those of their removal an hour ahead. Each job has a place of its own that is never used
again, so a lease, which bears the time of the node that wrote it, lies between the two whatever that node's clock shows.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Collection, Sequence
from typing import NamedTuple

from storage.cassandra.driver import Driver
from storage.cassandra.lanes import Lanes
from storage.cassandra.work_slots import LATE_US, Slots, slot_of
from storage.cassandra.writer import Write, Writer
from storage.interface import Commit, Job, JobRecord, StorageError, WorkQueue

ASIDE_US = 3600 * 1_000_000
MOST = 500
"""Due jobs that are read of a slot at once."""
WIDTH = 4
"""Slots that are read at a time."""
TRIES = 3
KEYS = 50
KEY_TTL_S = 7 * 86_400
"""How long it is known which job was put last with a key, after it was due. A job whose key is forgotten counts as the last."""
NUMBER_BITS, NODE_BITS = 63, 63


class Place(NamedTuple):
    """Where a job stands; `number` ascends with time, `node` is of the process that put it."""

    slot: int
    number: int
    node: int

    @property
    def id(self) -> int:
        """The place as one number, larger than 64 bits."""
        return (self.slot << NUMBER_BITS | self.number) << NODE_BITS | self.node


def place_of(id_: int) -> Place:
    """Return the place that a job's id stands for."""
    rest, node = id_ >> NODE_BITS, id_ & (1 << NODE_BITS) - 1
    return Place(rest >> NUMBER_BITS, rest & (1 << NUMBER_BITS) - 1, node)


class _Row(NamedTuple):
    """A job as it is stored."""

    place: Place
    key: str
    due_us: int
    attempts: int
    until_us: int
    payload: bytes

    @property
    def order(self) -> tuple[int, int]:
        return max(self.due_us, self.until_us), self.place.number


class CassandraWorkQueue(WorkQueue):
    """The tables `work_job` and `work_key`."""

    def __init__(self, driver: Driver, writer: Writer, lanes: Lanes) -> None:
        self._driver = driver
        self._writer = writer
        self._lanes = lanes
        self._slots = Slots(driver, writer)
        self._node = secrets.randbits(NODE_BITS)
        self._claims: dict[str, asyncio.Lock] = {}
        statement = driver.statement
        at = "queue = ? AND slot = ? AND number = ? AND node = ?"
        self._put = statement(
            """INSERT INTO {ks}.work_job (queue, slot, number, node, key, due_us, put_us, attempts, until_us, payload)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?) USING TIMESTAMP ?"""
        )
        self._put_key = statement(
            "INSERT INTO {ks}.work_key (queue, key, number, node) VALUES (?, ?, ?, ?) USING TTL ? AND TIMESTAMP ?"
        )
        self._keys = statement("SELECT key, number, node FROM {ks}.work_key WHERE queue = ? AND key IN ?")
        self._due = statement(
            """SELECT number, node, key, due_us, attempts, until_us, payload FROM {ks}.work_job
            WHERE queue = ? AND slot = ? AND due_us <= ? AND until_us <= ? LIMIT ? ALLOW FILTERING"""
        )
        self._any = statement("SELECT number FROM {ks}.work_job WHERE queue = ? AND slot = ? LIMIT 1")
        self._all = statement("SELECT number, node, key, until_us FROM {ks}.work_job WHERE queue = ? AND slot = ?")
        self._one = statement(f"SELECT key, put_us, attempts, until_us, payload FROM {{ks}}.work_job WHERE {at}")
        self._lease = statement(
            f"UPDATE {{ks}}.work_job SET attempts = ?, until_us = ? WHERE {at} IF attempts = ? AND until_us = ?"
        )
        self._restore = statement(
            """INSERT INTO {ks}.work_job (queue, slot, number, node, key, due_us, put_us, attempts, until_us, payload)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) USING TIMESTAMP ?"""
        )
        self._queues = statement("SELECT DISTINCT queue, day FROM {ks}.work_slot")
        self._whole = statement(
            """SELECT number, node, key, due_us, attempts, until_us, payload FROM {ks}.work_job
            WHERE queue = ? AND slot = ?"""
        )
        self._remove = statement(f"DELETE FROM {{ks}}.work_job USING TIMESTAMP ? WHERE {at}")

    # Writing.

    def put(self, queue: str, payload: bytes, due_at_us: int = 0, key: str = "") -> Commit:
        now_us = self._driver.clock.next_us()
        place = self._new_place(due_at_us, now_us)
        put_us = now_us - ASIDE_US
        writes = self._writes(queue, place, key, due_at_us, put_us, 0, payload, now_us)
        written, commit = self._writer.write(*writes, at_us=put_us), Commit()

        def done(written: Commit) -> None:
            if written.error is None and self._driver.clock.next_us() - now_us > LATE_US // 2:
                self._again(commit, queue, payload, due_at_us, key)
            else:
                commit.finish(written.error)

        written.add_done_callback(done)
        return commit

    def _again(self, commit: Commit, queue: str, payload: bytes, due_at_us: int, key: str) -> None:
        """Put a job again that took so long that its slot may be behind all who claim; it may be done twice."""
        try:
            again = self.put(queue, payload, due_at_us, key)
        except StorageError as error:
            commit.finish(error)
        else:
            again.add_done_callback(lambda done: commit.finish(done.error))

    def _new_place(self, due_at_us: int, now_us: int) -> Place:
        return Place(slot_of(max(due_at_us, now_us)), now_us, self._node)

    def _writes(
        self, queue: str, place: Place, key: str, due_us: int, put_us: int, attempts: int, payload: bytes, now_us: int
    ) -> list[Write]:
        writes = [
            (self._put, (queue, *place, key, due_us, put_us, attempts, payload)),
            *self._slots.notes(queue, place.slot),
        ]
        if key:
            ttl_s = KEY_TTL_S + max(0, due_us - now_us) // 1_000_000
            writes.append((self._put_key, (queue, key, place.number, place.node, ttl_s)))
        return writes

    def finish(self, queue: str, ids: Collection[int]) -> Commit:
        return self._removed(queue, [place_of(id_) for id_ in ids])

    def _removed(self, queue: str, places: Sequence[Place]) -> Commit:
        at_us = self._driver.clock.next_us() + ASIDE_US
        return self._writer.write(*((self._remove, (queue, *place)) for place in places), at_us=at_us)

    def retry(self, queue: str, id_: int, due_at_us: int) -> Commit:
        return self._lanes.run(f"work/{id_}", lambda: self._retry(queue, place_of(id_), due_at_us))

    async def _retry(self, queue: str, old: Place, due_at_us: int) -> None:
        """Move a job to the slot in which it is due; the new place is written before the old one is given up."""
        await self._writer.settled()  # a job of the same key may have been put just before
        rows = await self._driver.execute(self._one, (queue, *old))
        if not rows or not rows[0][3]:
            return
        ((key, put_us, attempts, _, payload),) = rows
        if not key or not await self._void(queue, {key: [old]}):
            now_us = self._driver.clock.next_us()
            place = self._new_place(due_at_us, now_us)
            # What was put meanwhile with the key has a later timestamp, and stays the last.
            writes = self._writes(queue, place, key, due_at_us, put_us, attempts, payload, now_us)
            await self._writer.write(*writes, at_us=put_us + attempts)
        await self._removed(queue, [old])

    # Claiming.

    async def claim(self, queue: str, now_us: int, limit: int, lease_us: int) -> list[Job]:
        async with self._claims.setdefault(queue, asyncio.Lock()):
            jobs: list[Job] = []
            for _ in range(TRIES):
                found = await self._find_due(queue, now_us, limit - len(jobs))
                taken = await self._take(queue, found, now_us + lease_us)
                jobs += [Job(row.place.id, row.payload, row.attempts + 1) for row in taken]
                if len(taken) == len(found):
                    break
            return jobs

    async def _find_due(self, queue: str, now_us: int, limit: int) -> list[_Row]:
        """Return the first due jobs that nobody has; in order of their time within some slots, which are in order too."""
        clock_us = self._driver.clock.next_us()
        slots = await self._slots.awake(queue, clock_us, slot_of(max(clock_us, now_us)))
        found: list[_Row] = []
        for start in range(0, len(slots), WIDTH):
            group = slots[start : start + WIDTH]
            read = await asyncio.gather(*(self._read(queue, slot, now_us, clock_us) for slot in group))
            found += await self._valid(queue, [row for rows in read for row in rows])
            if len(found) >= limit:
                break
        return sorted(found, key=lambda row: row.order)[:limit]

    async def _read(self, queue: str, slot: int, now_us: int, clock_us: int) -> list[_Row]:
        """Return the due jobs of a slot; remember when there are none."""
        rows = await self._driver.execute(self._due, (queue, slot, now_us, now_us, MOST))
        if not rows:
            known = self._slots.of(queue)
            if await self._driver.execute(self._any, (queue, slot)):
                known.was_not_due(slot, clock_us)
            else:
                known.was_empty(slot, clock_us)
        return [_Row(Place(slot, number, node), *rest) for number, node, *rest in rows]

    async def _valid(self, queue: str, rows: list[_Row]) -> list[_Row]:
        """Return those that no later job of their key replaces, and remove the others."""
        keyed: dict[str, list[Place]] = {}
        for row in rows:
            if row.key:
                keyed.setdefault(row.key, []).append(row.place)
        void = await self._void(queue, keyed)
        if void:
            self._removed(queue, list(void))
        return [row for row in rows if row.place not in void]

    async def _void(self, queue: str, keyed: dict[str, list[Place]]) -> set[Place]:
        """Return those of the places for which a later job of the key was put."""
        keys, void = list(keyed), set[Place]()
        for start in range(0, len(keys), KEYS):
            for key, number, node in await self._driver.execute(self._keys, (queue, keys[start : start + KEYS])):
                # Of two writes of one call one may be seen before the other: a job newer than its key's last is the last.
                void.update(place for place in keyed[key] if (place.number, place.node) < (number, node))
        return void

    async def _take(self, queue: str, rows: list[_Row], until_us: int) -> list[_Row]:
        """Lease jobs, those of each slot all or none; return those that are ours now."""
        slots: dict[int, list[_Row]] = {}
        for row in rows:
            slots.setdefault(row.place.slot, []).append(row)
        applied = await asyncio.gather(*(self._lease_all(queue, part, until_us) for part in slots.values()))
        ours = {slot for slot, is_ours in zip(slots, applied, strict=True) if is_ours}
        return [row for row in rows if row.place.slot in ours]

    async def _lease_all(self, queue: str, rows: list[_Row], until_us: int) -> bool:
        return await self._driver.transact(
            [(self._lease, (row.attempts + 1, until_us, queue, *row.place, row.attempts, row.until_us)) for row in rows]
        )

    # Moving.

    async def export(self) -> AsyncIterator[JobRecord]:
        """Yield all jobs that no later one of their key replaces, queue by queue; the number is the id."""
        queues = sorted({queue for queue, _ in await self._driver.rows(self._queues, ())})
        for queue in queues:
            for slot in sorted(await self._slots.all(queue, self._driver.clock.next_us())):
                rows = await self._driver.rows(self._whole, (queue, slot))
                found = [_Row(Place(slot, number, node), *rest) for number, node, *rest in rows]
                waiting = [row for row in found if not row.until_us]
                kept = {row.place for row in await self._valid(queue, waiting)}
                for row in sorted(found, key=lambda row: row.place):
                    if row.until_us or row.place in kept:
                        due_us, is_claimed = row.until_us or row.due_us, bool(row.until_us)
                        yield JobRecord(queue, row.place.number, row.key, due_us, is_claimed, row.attempts, row.payload)

    def restore(self, records: Sequence[JobRecord], at_us: int) -> Commit:
        """Write jobs that were moved, each to the place that follows from what it is (see `moving`)."""
        writes: list[Write] = []
        for record in records:
            place = Place(slot_of(record.due_at_us), record.id, 0)
            until_us = record.due_at_us if record.is_claimed else 0
            row = (record.key, record.due_at_us, at_us, record.attempts, until_us, record.payload)
            writes.append((self._restore, (record.queue, *place, *row)))
            writes += self._slots.notes(record.queue, place.slot)
            if record.key and not record.is_claimed:
                key = (record.queue, record.key, place.number, place.node, KEY_TTL_S)
                writes.append((self._put_key, key))
        return self._writer.write(*writes, at_us=at_us)

    async def depth(self, queue: str) -> int:
        slots = await self._slots.all(queue, self._driver.clock.next_us())
        total = 0
        for start in range(0, len(slots), WIDTH):
            group = slots[start : start + WIDTH]
            total += sum(await asyncio.gather(*(self._count(queue, slot) for slot in group)))
        return total

    async def _count(self, queue: str, slot: int) -> int:
        """Return how many jobs of a slot wait or are leased; void ones are neither."""
        rows = await self._driver.rows(self._all, (queue, slot))
        keyed: dict[str, list[Place]] = {}
        for number, node, key, until_us in rows:
            if key and not until_us:
                keyed.setdefault(key, []).append(Place(slot, number, node))
        return len(rows) - len(await self._void(queue, keyed))
