"""The archive: each owner's messages by time, in buckets (see `buckets` and `walk`); `archive_removal` forgets them.

A message is one row for each owner, the stanza within, and a narrow row of the conversation; all are sent in one request with
what other messages of these milliseconds bring, and the commit is done when every row is. Nothing is read first: an id greater than
any before is new. One that is not (a message out of order, an import) is looked for, which takes a round trip.
"""

import asyncio
import contextlib
from collections.abc import Collection
from typing import Any

from cassandra.query import UNSET_VALUE

from storage.cassandra.archive_reads import Conversation, History, Reads, message_of
from storage.cassandra.archive_removal import Removal, shard_of
from storage.cassandra.buckets import MAX_BYTES, MAX_ROWS, NOTE_AGAIN_US, Fill, Fills, bucket_of
from storage.cassandra.driver import Driver
from storage.cassandra.lanes import Lanes
from storage.cassandra.owners import Owners
from storage.cassandra.walk import buckets_between, walk
from storage.cassandra.writer import Write, Writer
from storage.interface import (
    TIME_SHIFT_BITS,
    ArchiveCopy,
    ArchivedMessage,
    ArchivePage,
    ArchiveQuery,
    ArchiveStore,
    Commit,
    StorageError,
    check_copies,
)

LAST_ID = 2**63 - 1
APPEND_LANES = 64
"""In which ids that may be there already are looked for side by side."""
COUNT_WIDTH = 8
TOGETHER, TOGETHER_BYTES = 50, 20_000
"""Rows, and bytes of stanzas, of one message that travel in one request."""
PART = "archive"
NOTE_S = 27 * 86_400
"""A bucket of the longest kind, and a day."""
ROW_BYTES = 100
"""What a row of a history takes beside the stanza, about."""

_USING = "USING TTL ? AND TIMESTAMP ?"


class CassandraArchiveStore(ArchiveStore):
    """The tables `history`, `conversation` and those that say which buckets they have."""

    def __init__(
        self,
        driver: Driver,
        writer: Writer,
        lanes: Lanes,
        owners: Owners,
        *,
        last_id: int = 0,
        ttl_s: int = 0,
        max_rows: int = MAX_ROWS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        """`ttl_s`: after which messages go by themselves, 0: never; `max_rows`, `max_bytes`: see `Fills`."""
        self._driver = driver
        self._writer = writer
        self._lanes = lanes
        self._owners = owners
        self._last_id = last_id
        self._ttl_s = ttl_s
        self._fills: Fills[str] = Fills(max_rows, max_bytes)
        self._conversation_fills: Fills[tuple[str, str]] = Fills(max_rows, max_bytes)
        self._looking: set[Commit] = set()
        self._reads = Reads(driver)
        self._removal = Removal(driver, writer)
        statement = driver.statement
        self._put = statement(
            f"""INSERT INTO {{ks}}.history (owner, bucket, id, peer, resource, outgoing, pending, hidden, mark, stanza)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) {_USING}"""
        )
        self._put_place = statement(
            f"INSERT INTO {{ks}}.conversation (owner, peer, bucket, id, home, resource) VALUES (?, ?, ?, ?, ?, ?) {_USING}"
        )
        self._note = statement(f"INSERT INTO {{ks}}.history_bucket (owner, bucket) VALUES (?, ?) {_USING}")
        self._note_place = statement(
            f"INSERT INTO {{ks}}.conversation_bucket (owner, peer, bucket) VALUES (?, ?, ?) {_USING}"
        )
        self._note_slice = statement(f"INSERT INTO {{ks}}.history_slice (part, slice) VALUES (0, ?) {_USING}")
        self._note_owner = statement(
            f"INSERT INTO {{ks}}.history_slice_owner (slice, shard, owner) VALUES (?, ?, ?) {_USING}"
        )
        self._find = statement("SELECT owner, bucket, writetime(stanza), ttl(stanza) FROM {ks}.history WHERE id = ?")
        self._replace = statement(
            f"UPDATE {{ks}}.history {_USING} SET stanza = ? WHERE owner = ? AND bucket = ? AND id = ?"
        )

    @property
    def last_id(self) -> int:
        return self._last_id

    def start_after(self, id_: int) -> None:
        """Take note of the greatest id that was given before this process began."""
        self._last_id = max(self._last_id, id_)

    # Writing.

    def append(self, id_: int, stanza: bytes, copies: Collection[ArchiveCopy]) -> Commit:
        check_copies(copies)
        if id_ > self._last_id:
            commit = self._append(id_, stanza, copies, None)
            self._last_id = id_
            return commit
        copies, at_us = tuple(copies), self._driver.clock.next_us()
        commit = self._lanes.run(
            f"archive/{id_ % APPEND_LANES}", lambda: self._append_if_new(id_, stanza, copies, at_us)
        )
        self._looking.add(commit)
        commit.add_done_callback(self._looking.discard)
        return commit

    def restore(self, id_: int, stanza: bytes, copy: ArchiveCopy, at_us: int) -> Commit:
        """Write the copy of one owner, who has none of that id, of a message that others may have already (see `moving`)."""
        self._last_id = max(self._last_id, id_)
        return self._append(id_, stanza, (copy,), at_us)

    async def _append_if_new(self, id_: int, stanza: bytes, copies: Collection[ArchiveCopy], at_us: int) -> None:
        """Append a message unless its id is taken.

        Raises:
            StorageError: it is.
        """
        await self._writer.settled()
        if await self._driver.execute(self._find, (id_,)):
            raise StorageError(f"archive: there is a message of the id {id_}")
        await self._append(id_, stanza, copies, at_us)

    def _append(self, id_: int, stanza: bytes, copies: Collection[ArchiveCopy], at_us: int | None) -> Commit:
        """Write every row of a message; its commit is done when all are."""
        ttl_s = self._ttl_s and self._seconds_left(id_)
        now_us = self._driver.clock.next_us()
        writes: list[Write] = []
        fresh: list[Fill] = []
        unlisted: list[str] = []
        for copy in copies:
            bucket, fill = self._fills.place(copy.owner, id_, len(stanza) + ROW_BYTES)
            if fill.noted_until_us <= now_us:
                fresh.append(fill)
                unlisted.append(copy.owner)
                writes += self._notes(copy.owner, bucket, ttl_s)
            writes.append((self._put, (*_columns(copy, bucket, id_), stanza, ttl_s)))
            if copy.visible:
                name = copy.owner, copy.peer
                place, fill = self._conversation_fills.place(name, id_, 0)
                if fill.noted_until_us <= now_us:
                    fresh.append(fill)
                    writes.append((self._note_place, (*name, place, self._note_ttl_s(ttl_s))))
                writes.append((self._put_place, (*name, place, id_, bucket, copy.peer_resource, ttl_s)))
        commit = self._write_all(writes, len(copies) * len(stanza), at_us)
        if fresh:
            commit.add_done_callback(lambda done: _noted(done, fresh, now_us))
            for owner in unlisted:
                self._owners.written(owner, PART, commit)
        return commit

    def _write_all(self, writes: list[Write], size_bytes: int, at_us: int | None) -> Commit:
        """Write in one request what fits in one: nodes refuse a large one of many partitions."""
        if size_bytes <= TOGETHER_BYTES and len(writes) <= TOGETHER:
            return self._writer.write(*writes, at_us=at_us)
        step = TOGETHER if size_bytes // len(writes) <= TOGETHER_BYTES // TOGETHER else 1
        return _joined([self._writer.write(*writes[i : i + step], at_us=at_us) for i in range(0, len(writes), step)])

    def _notes(self, owner: str, bucket: int, ttl_s: int) -> list[Write]:
        """Return the writes that make a bucket known."""
        slice_, ttl_s = bucket_of(bucket, 0), self._note_ttl_s(ttl_s)
        return [
            *self._owners.missing(owner, PART),
            (self._note, (owner, bucket, ttl_s)),
            (self._note_owner, (slice_, shard_of(owner), owner, ttl_s)),
            (self._note_slice, (slice_, ttl_s)),
        ]

    def replace_stanza(self, id_: int, stanza: bytes) -> Commit:
        at_us, looking = self._driver.clock.next_us(), list(self._looking)

        async def run() -> None:
            await self._settled(looking)
            copies = await self._driver.execute(self._find, (id_,))
            # A message whose writer's clock was ahead must not win over what replaces it.
            at = max([at_us, *(written_us + 1 for _, _, written_us, _ in copies if written_us is not None)])
            writes: list[Write] = [
                (self._replace, (ttl_s or 0, stanza, owner, bucket, id_))
                for owner, bucket, written_us, ttl_s in copies
                if written_us is not None
            ]
            await self._writer.write(*writes, at_us=at)

        return self._lanes.run("archive/replace", run)

    def prune(self, before_id: int) -> Commit:
        at_us, before_id = self._driver.clock.next_us(), min(max(before_id, 0), LAST_ID)
        self._fills.forget_before(before_id)
        self._conversation_fills.forget_before(before_id)
        looking = list(self._looking)

        async def run() -> None:
            await self._settled(looking)
            await self._removal.prune(before_id, at_us)

        return self._lanes.run("archive/prune", run)

    def forget(self, owner: str) -> None:
        """Take note, in the call that erases an owner, that what says where the history is goes too."""
        self._fills.forget(lambda key: key == owner)
        self._conversation_fills.forget(lambda key: key[0] == owner)

    async def remove(self, owner: str, at_us: int) -> None:
        """Remove the history that was written before `at_us`, and what says that there was one."""
        await self._settled(list(self._looking))
        await self._removal.erase(owner, at_us)

    async def _settled(self, looking: list[Commit]) -> None:
        """Return when what was appended before is written or has failed."""
        for commit in looking:
            if not commit.done:
                with contextlib.suppress(StorageError):
                    await commit
        await self._writer.settled()

    def _seconds_left(self, id_: int) -> int:
        """Return how long a message may stay, 1 for one that should have gone."""
        age_us = self._driver.clock.next_us() - (id_ >> TIME_SHIFT_BITS)
        return max(1, self._ttl_s - max(0, age_us) // 1_000_000)

    def _note_ttl_s(self, ttl_s: int) -> int:
        """Return how long a note must stay: until the last message that may follow in its bucket is gone, and a day more."""
        return ttl_s and self._ttl_s + NOTE_S

    # Reading.

    async def query(self, owner: str, query: ArchiveQuery) -> ArchivePage:
        low = max(query.start_id or 0, 0)
        high = LAST_ID if query.end_id is None else min(query.end_id, LAST_ID)
        if query.ids is not None:
            return await self._query_ids(owner, query, low, high)
        source = self._source(owner, query)
        total = await self._count(source, low, high) if query.want_total else None
        if query.after_id is not None:
            low = max(low, query.after_id + 1)
        if query.before_id is not None:
            high = min(high, query.before_id - 1)
        if low > high:
            return ArchivePage(total=total)
        rows = await walk(source, low, high, query.limit + 1, query.newest_first)
        is_last = len(rows) <= query.limit
        rows = rows[: query.limit]
        if isinstance(source, Conversation):
            rows = await self._reads.messages_at_home(owner, rows)
        elif query.newest_first:
            rows.reverse()
        return ArchivePage([message_of(row) for row in rows], is_last, total)

    def _source(self, owner: str, query: ArchiveQuery) -> History | Conversation:
        if query.peer is not None:
            return Conversation(self._reads, owner, query.peer, query.peer_resource)
        return History(self._reads, owner, resource=query.peer_resource)

    async def _count(self, source: History | Conversation, low: int, high: int) -> int:
        """Return how many visible messages there are in a range: every row of it is looked at, by the nodes."""
        total = 0
        buckets = await buckets_between(source, low, high)
        for start in range(0, len(buckets), COUNT_WIDTH):
            group = buckets[start : start + COUNT_WIDTH]
            total += sum(await asyncio.gather(*(source.count(bucket, low, high) for bucket in group)))
        return total

    async def _query_ids(self, owner: str, query: ArchiveQuery, low: int, high: int) -> ArchivePage:
        assert query.ids is not None
        ids = {id_ for id_ in query.ids if low <= id_ <= high}
        messages = [
            message
            for message in map(message_of, await self._reads.messages_by_id(owner, tuple(ids)))
            if query.peer in (None, message.peer) and query.peer_resource in (None, message.peer_resource)
        ]
        total = len(messages) if query.want_total else None
        after = -1 if query.after_id is None else query.after_id
        before = LAST_ID + 1 if query.before_id is None else query.before_id
        found = [message for message in messages if after < message.id < before]
        is_last = len(found) <= query.limit
        found = found[max(len(found) - query.limit, 0) :] if query.newest_first else found[: query.limit]
        return ArchivePage(found, is_last, total)

    async def has(self, owner: str, id_: int) -> bool:
        return 0 <= id_ <= LAST_ID and bool(await self._reads.messages_by_id(owner, (id_,)))

    async def bounds(self, owner: str) -> tuple[int, int] | None:
        history = History(self._reads, owner)
        first, last = await asyncio.gather(
            walk(history, 0, LAST_ID, 1, newest_first=False), walk(history, 0, LAST_ID, 1, newest_first=True)
        )
        return (first[0][0], last[0][0]) if first and last else None

    async def pending(self, owner: str, after_id: int, limit: int) -> list[ArchivedMessage]:
        history = History(self._reads, owner, pending=True)
        return [message_of(row) for row in await walk(history, max(after_id + 1, 0), LAST_ID, limit, False)]

    async def recent_marks(self, owner: str, since_id: int, limit: int) -> dict[int, int]:
        history = History(self._reads, owner, marks=True)
        rows = await walk(history, max(since_id, 0), LAST_ID, limit, newest_first=True)
        return {mark: id_ for id_, mark, _ in reversed(rows)}


def _columns(copy: ArchiveCopy, bucket: int, id_: int) -> tuple[Any, ...]:
    """Return the columns of a copy up to the stanza; what is false or 0 is left out."""
    return (
        copy.owner,
        bucket,
        id_,
        copy.peer,
        copy.peer_resource,
        copy.outgoing or UNSET_VALUE,
        copy.pending or UNSET_VALUE,
        not copy.visible or UNSET_VALUE,
        copy.mark or UNSET_VALUE,
    )


def _noted(commit: Commit, fresh: list[Fill], now_us: int) -> None:
    """Remember that buckets are known to the cluster, if they are."""
    if commit.error is None:
        for fill in fresh:
            fill.noted_until_us = now_us + NOTE_AGAIN_US


def _joined(commits: list[Commit]) -> Commit:
    """Return a commit that is done when all are, with the first error of theirs."""
    whole, left = Commit(), len(commits)

    def ended(_: Commit) -> None:
        nonlocal left
        left -= 1
        if not left:
            whole.finish(next((commit.error for commit in commits if commit.error is not None), None))

    for commit in commits:
        commit.add_done_callback(ended)
    return whole
