"""Forgetting messages: whole buckets where all in them is old enough, else the older end of one.

A removed bucket is one mark in each table, whatever it held. Conversations are found by the peers of the rows that go. Every removal
bears the timestamp of the call, so what is written after the call stays, whenever the removal gets to it.
"""

import asyncio
import zlib
from collections.abc import Iterable

from storage.cassandra.buckets import bucket_of, first_id, last_id
from storage.cassandra.driver import Driver
from storage.cassandra.statement import Statement
from storage.cassandra.writer import Write, Writer

SLICE_SHARDS = 16
"""Partitions in which those are listed who have messages in a slice: 1.6 million owners are 100,000 rows each."""
WIDTH = 8
"""Owners, or conversations of one, that are worked on at a time."""
PAGE = 1000
LAST_BUCKET = 2**63 - 1


def shard_of(owner: str) -> int:
    """Return the shard in which an owner is listed."""
    return zlib.crc32(owner.encode()) % SLICE_SHARDS


class Removal:
    """Prunes and erases."""

    def __init__(self, driver: Driver, writer: Writer) -> None:
        self._driver = driver
        self._writer = writer
        read = driver.statement
        self._slices = read("SELECT slice FROM {ks}.history_slice WHERE part = 0")
        self._slice_owners = read("SELECT owner FROM {ks}.history_slice_owner WHERE slice = ? AND shard = ?")
        self._buckets = read("SELECT bucket FROM {ks}.history_bucket WHERE owner = ? AND bucket >= ? AND bucket <= ?")
        self._peers = read("SELECT peer FROM {ks}.history WHERE owner = ? AND bucket = ? AND id < ?")
        self._places = read(
            "SELECT bucket FROM {ks}.conversation_bucket WHERE owner = ? AND peer = ? AND bucket >= ? AND bucket <= ?"
        )

        def remove(rest: str) -> Statement:
            return driver.statement(f"DELETE FROM {{ks}}.{rest}".replace(" WHERE", " USING TIMESTAMP ? WHERE", 1))

        self._drop = {
            "history": remove("history WHERE owner = ? AND bucket = ?"),
            "conversation": remove("conversation WHERE owner = ? AND peer = ? AND bucket = ?"),
        }
        self._cut = {
            "history": remove("history WHERE owner = ? AND bucket = ? AND id < ?"),
            "conversation": remove("conversation WHERE owner = ? AND peer = ? AND bucket = ? AND id < ?"),
        }
        self._unnote = {
            "history": remove("history_bucket WHERE owner = ? AND bucket = ?"),
            "conversation": remove("conversation_bucket WHERE owner = ? AND peer = ? AND bucket = ?"),
        }
        self._unlist = remove("history_slice_owner WHERE slice = ? AND shard = ? AND owner = ?")
        self._unlist_all = remove("history_slice_owner WHERE slice = ? AND shard = ?")
        self._forget_slice = remove("history_slice WHERE part = 0 AND slice = ?")

    async def prune(self, before_id: int, at_us: int) -> None:
        """Remove every message with a smaller id that was written before `at_us`, slice by slice, the oldest first."""
        for (slice_,) in await self._driver.rows(self._slices, ()):
            if first_id(slice_) >= before_id:
                continue
            is_whole = last_id(slice_) < before_id
            for shard in range(SLICE_SHARDS):
                await self._prune_shard(slice_, shard, before_id, at_us)
                if is_whole:
                    await self._write([(self._unlist_all, (slice_, shard))], at_us)
            if is_whole:
                await self._write([(self._forget_slice, (slice_,))], at_us)

    async def _prune_shard(self, slice_: int, shard: int, before_id: int, at_us: int) -> None:
        state: bytes | None = None
        while True:
            page, state = await self._driver.page(self._slice_owners, (slice_, shard), PAGE, state)
            owners = iter([owner for (owner,) in page])

            async def work(owners: Iterable[str] = owners) -> None:
                for owner in owners:
                    await self._prune_owner(owner, slice_, before_id, at_us)

            await asyncio.gather(*(work() for _ in range(WIDTH)))
            if state is None:
                return

    async def _prune_owner(self, owner: str, slice_: int, before_id: int, at_us: int) -> None:
        """Forget what an owner has in a slice that is older."""
        high = min(last_id(slice_), before_id)
        await self._remove_buckets(owner, slice_, high, before_id, at_us)

    async def erase(self, owner: str, at_us: int) -> None:
        """Remove an owner's whole history."""
        for slice_ in await self._remove_buckets(owner, 0, LAST_BUCKET, 2**63, at_us):
            await self._write([(self._unlist, (slice_, shard_of(owner), owner))], at_us)

    async def _remove_buckets(self, owner: str, low: int, high: int, before_id: int, at_us: int) -> set[int]:
        """Remove what is older from the buckets with numbers of a range; return the slices they are in."""
        slices: set[int] = set()
        done: set[str] = set()
        for (bucket,) in await self._driver.rows(self._buckets, (owner, low, high)):
            slices.add(bucket_of(bucket, 0))
            peers = await self._peers_of(owner, bucket, before_id) - done
            # Its conversations first: if this is cut short, the rows that name the peers are still there.
            waiting = iter(peers)

            async def work(peers: Iterable[str] = waiting) -> None:
                for peer in peers:
                    await self._remove_conversation(owner, peer, (low, high), before_id, at_us)

            await asyncio.gather(*(work() for _ in range(min(WIDTH, len(peers)))))
            done |= peers
            await self._write(self._removals("history", (owner,), bucket, before_id), at_us)
        return slices

    async def _peers_of(self, owner: str, bucket: int, before_id: int) -> set[str]:
        peers: set[str] = set()
        state: bytes | None = None
        while True:
            params = (owner, bucket, min(before_id, LAST_BUCKET))
            page, state = await self._driver.page(self._peers, params, PAGE, state)
            peers.update(peer for (peer,) in page if peer is not None)
            if state is None:
                return peers

    async def _remove_conversation(
        self, owner: str, peer: str, between: tuple[int, int], before_id: int, at_us: int
    ) -> None:
        for (bucket,) in await self._driver.rows(self._places, (owner, peer, *between)):
            await self._write(self._removals("conversation", (owner, peer), bucket, before_id), at_us)

    def _removals(self, table: str, name: tuple[str, ...], bucket: int, before_id: int) -> list[Write]:
        """Return what removes the older part of a bucket, with its note where that is all of it."""
        if last_id(bucket) >= before_id:
            return [(self._cut[table], (*name, bucket, before_id))]
        return [(self._drop[table], (*name, bucket)), (self._unnote[table], (*name, bucket))]

    async def _write(self, writes: list[Write], at_us: int) -> None:
        await self._writer.write(*writes, at_us=at_us)
