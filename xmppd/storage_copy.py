"""Copying all that one storage has into another, so that an interrupted copy goes on where it stood, and each owner is compared.

The order is fixed: owner by owner in the order of their names, then the jobs. What is done is noted in the target itself, behind the
records that it speaks of: as writes take effect in the order of their calls, the note never says more than is there. An
owner counts as done when the target, read back, gives as many records with the same digest as the source gave.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from storage.interface import AccountRecord, ArchiveCopy, Backend, Commit, JobRecord, Record, StorageError

R = TypeVar("R", bound=Record | JobRecord)

NOTE_OWNER = "unfinished copy"
"""Whose value the note is; no JID has a space."""
NOTE_STORE = "storage_copy"

BATCH_RECORDS = 500
BATCH_BYTES = 4_194_304
"""What is in memory at once: the records of one write; it is given away when it has so many or so large ones."""


class CopyError(StorageError):
    """The two storages cannot be copied, or are not the same; one line that says what to do."""


@dataclass(slots=True)
class Progress:
    """How far a copy is: owners and records that are done, those of an earlier run included; bytes of this run; whose turn it is."""

    owners: int = 0
    records: int = 0
    size_bytes: int = 0
    owner: str = ""
    jobs: int = 0


@dataclass(slots=True)
class Note:
    """What the target remembers: where from, the last owner that is done, and of the one after it how many records are there."""

    source: str
    after: str = ""
    owner: str = ""
    done: int = 0
    owners: int = 0
    records: int = 0

    def encode(self) -> bytes:
        """Return it as it is stored."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}, ensure_ascii=False).encode()


class Digest:
    """How many records there were, and a hash of all that is in them, in their order."""

    __slots__ = ("_hash", "count")

    def __init__(self) -> None:
        self.count = 0
        self._hash = hashlib.sha256()

    def add(self, record: Record | JobRecord) -> None:
        """Take one more."""
        self.count += 1
        for part in _parts(record):
            data = part if isinstance(part, bytes) else str(part).encode()
            self._hash.update(b"%d:" % len(data))
            self._hash.update(data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Digest) and (self.count, self.text) == (other.count, other.text)

    __hash__ = None  # type: ignore[assignment]

    @property
    def text(self) -> str:
        """The hash, short enough for a person to compare."""
        return self._hash.hexdigest()[:24]


class JobsDigest:
    """The same of jobs, whose ids and order may be others: the sum of their hashes."""

    __slots__ = ("_sum", "count")

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0

    def add(self, record: JobRecord) -> None:
        """Take one more."""
        one = Digest()
        one.add(record._replace(id=0))
        self.count += 1
        self._sum = (self._sum + int(one.text, 16)) % (1 << 96)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JobsDigest) and (self.count, self._sum) == (other.count, other._sum)

    __hash__ = None  # type: ignore[assignment]

    @property
    def text(self) -> str:
        """The sum, short enough for a person to compare."""
        return f"{self._sum:024x}"


class StorageCopy:
    """One copy.

    Args:
        source, target: opened, and nobody else's.
        name: of the source, for the note: a copy goes on only from the source that it began with.
        tell: called now and then with the `progress`.
    """

    def __init__(
        self, source: Backend, target: Backend, name: str, tell: Callable[[Progress], None] = lambda _: None
    ) -> None:
        self.progress = Progress()
        self._source = source
        self._target = target
        self._note = Note(name)
        self._notes = target.keyval(NOTE_STORE)
        self._tell = tell

    async def run(self) -> Progress:
        """Copy what is not there yet, and compare.

        Raises:
            CopyError: the target has something else, or what is there in the end is not what the source has.
            StorageError: one of them failed; the next run goes on from there.
        """
        await self._begin()
        note = self._note
        self.progress.owners, self.progress.records = note.owners, note.records
        async for owner in _owners(self._source):
            if owner > note.after:
                await self._copy_owner(owner)
        await self._copy_jobs()
        await self._compare_names()
        await self._target.erase(NOTE_OWNER)
        return self.progress

    async def verify(self) -> Progress:
        """Read all of both and compare; errors as in `run`."""
        async for owner in _owners(self._source):
            self._turn_to(owner)
            source, target = await self._digest(self._source, owner), await self._digest(self._target, owner)
            if source != target:
                raise _differ(owner, source, target)
            if source.count:
                self._count(source.count)
        await self._compare_jobs()
        await self._compare_names()
        return self.progress

    async def _begin(self) -> None:
        if await self._source.keyval(NOTE_STORE).get(NOTE_OWNER) is not None:
            raise CopyError("the source is itself an unfinished copy: finish it first")
        stored = await self._notes.get(NOTE_OWNER)
        if stored is not None:
            begun = Note(**json.loads(stored))
            if begun.source != self._note.source:
                raise CopyError(
                    f"the target has part of a copy of {begun.source}: name that one, or a target that is empty"
                )
            self._note = begun
            return
        async for owner in _owners(self._target):
            if (await self._digest(self._target, owner)).count:
                raise CopyError(f"the target is not empty ({owner} is there): name one that is")
        async for job in self._target.export_jobs():
            raise CopyError(f"the target is not empty (there are jobs in {job.queue}): name one that is")
        await self._notes.set(NOTE_OWNER, self._note.encode())

    # owners

    async def _copy_owner(self, owner: str) -> None:
        self._turn_to(owner)
        note = self._note
        begun = note.done if note.owner == owner else 0
        source = await self._move(owner, begun)
        target = await self._digest(self._target, owner)
        if source != target and begun:  # the source was used since the run before this one
            await self._target.erase(owner)
            source = await self._move(owner, 0)
            target = await self._digest(self._target, owner)
        if source != target:
            raise _differ(owner, source, target)
        note.after, note.owner, note.done = owner, "", 0
        if source.count:
            note.owners, note.records = note.owners + 1, note.records + source.count
            self._count(source.count)
        self._notes.set(NOTE_OWNER, note.encode())

    async def _move(self, owner: str, begun: int) -> Digest:
        """Write an owner's records behind the first `begun`, which are there; return the digest of all."""
        digest, batch = Digest(), Batch[Record]()
        note, last = self._note, None
        note.owner, note.done = owner, begun
        async for record in self._source.export_owner(owner):
            digest.add(record)
            if digest.count > begun:
                batch.add(record)
                if batch.is_full:
                    last = await self._write(owner, batch, digest.count, last)
        last = await self._write(owner, batch, digest.count, last)
        if last is not None:
            await last
        return digest

    async def _write(self, owner: str, batch: "Batch[Record]", count: int, last: Commit | None) -> Commit | None:
        """Write a batch, and the note behind it; the one before must be committed, so that two at most are in memory."""
        if last is not None:
            await last
        if not batch.records:
            return None
        await_first = self._target.import_owner(owner, batch.records)
        self.progress.size_bytes += batch.size_bytes
        batch.clear()
        await await_first
        self._note.done = count
        self._tell(self.progress)
        return self._notes.set(NOTE_OWNER, self._note.encode())

    async def _digest(self, backend: Backend, owner: str) -> Digest:
        digest = Digest()
        async for record in backend.export_owner(owner):
            digest.add(record)
        return digest

    # jobs

    async def _copy_jobs(self) -> None:
        """Write all jobs; those that are there from a run before are the same ones."""
        batch = Batch[JobRecord]()
        async for record in self._source.export_jobs():
            self.progress.jobs += 1
            batch.add(record)
            if batch.is_full:
                await self._target.import_jobs(batch.records)
                batch.clear()
        if batch.records:
            await self._target.import_jobs(batch.records)
        await self._compare_jobs()

    async def _compare_jobs(self) -> None:
        source, target = await _digest_of(self._source.export_jobs()), await _digest_of(self._target.export_jobs())
        if source != target:
            raise _differ("the work queue", source, target)

    async def _compare_names(self) -> None:
        """Refuse owners whom one of the two has alone. One who once had something, and has nothing, may be known to a storage still."""
        ours, theirs = _owners(self._source), _owners(self._target)
        one, other = await anext(ours, None), await anext(theirs, None)
        while one is not None or other is not None:
            if one == other:
                one, other = await anext(ours, None), await anext(theirs, None)
            elif other is not None and (one is None or other < one):
                if (await self._digest(self._target, other)).count:
                    raise CopyError(f"the target has {other}, whom the source has not: copy to one that is empty")
                other = await anext(theirs, None)
            else:
                assert one is not None
                if (await self._digest(self._source, one)).count:
                    raise CopyError(f"the source has {one}, whom the target has not: copy again")
                one = await anext(ours, None)

    def _turn_to(self, owner: str) -> None:
        self.progress.owner = owner
        self._tell(self.progress)

    def _count(self, records: int) -> None:
        self.progress.owners += 1
        self.progress.records += records
        self._tell(self.progress)


class Batch(list[R]):
    """Records of one write."""

    __slots__ = ("size_bytes",)

    def __init__(self) -> None:
        super().__init__()
        self.size_bytes = 0

    @property
    def records(self) -> tuple[R, ...]:
        """What is in it now."""
        return tuple(self)

    @property
    def is_full(self) -> bool:
        """Whether it is time to write it."""
        return len(self) >= BATCH_RECORDS or self.size_bytes >= BATCH_BYTES

    def add(self, record: R) -> None:
        """Take one more."""
        self.append(record)
        if not isinstance(record, AccountRecord):
            self.size_bytes += len(record[-1])

    def clear(self) -> None:
        """Begin another one."""
        super().clear()
        self.size_bytes = 0


async def _owners(backend: Backend) -> AsyncIterator[str]:
    """Yield all owners but the one whose value is the note."""
    async for owner in backend.owners():
        if owner != NOTE_OWNER:
            yield owner


async def _digest_of(records: AsyncIterator[JobRecord]) -> "JobsDigest":
    digest = JobsDigest()
    async for record in records:
        digest.add(record)
    return digest


def _parts(record: Record | JobRecord) -> list[Any]:
    parts: list[Any] = [type(record).__name__]
    if isinstance(record, AccountRecord):
        parts += [record.jid, record.created_at_us, record.disabled]
        for name, keys in sorted(record.keys.items()):
            parts += [name, keys.salt, keys.iterations, keys.stored_key, keys.server_key]
        return parts
    for part in record:
        parts += part if isinstance(part, ArchiveCopy) else (part,)
    return parts


def _differ(what: str, source: Digest | JobsDigest, target: Digest | JobsDigest) -> CopyError:
    return CopyError(
        f"{what}: the source has {source.count} records with hash {source.text}, the target {target.count} with hash"
        f" {target.text}; was a server running on one of them? Copy again to an empty target"
    )
