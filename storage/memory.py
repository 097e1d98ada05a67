"""Everything in dictionaries: storage for tests and for trying things out. Nothing outlives the process.

A commit is done when the call returns, unless a test says otherwise: `MemoryBackend.hold` delays commits and what they write,
`MemoryBackend.fail_with` makes them fail.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from storage.interface import (
    AccountRecord,
    AccountStore,
    AlreadyExists,
    ArchiveCopy,
    ArchivedMessage,
    ArchivePage,
    ArchiveQuery,
    ArchiveStore,
    Backend,
    Commit,
    CopyRecord,
    ItemRecord,
    Job,
    JobRecord,
    KeyValStore,
    MapStore,
    Record,
    StorageClosed,
    StorageError,
    ValueRecord,
    WorkQueue,
    check_copies,
)

Write = Callable[[Callable[[], None]], Commit]
"""Takes what to do, does it now or later, and gives its commit."""


class MemoryAccountStore(AccountStore):
    """Accounts in a dictionary."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._records: dict[str, AccountRecord] = {}

    async def get(self, jid: str) -> AccountRecord | None:
        return self._records.get(jid)

    def create(self, record: AccountRecord) -> Commit:
        def apply() -> None:
            if record.jid in self._records:
                raise AlreadyExists(f"account {record.jid} exists")
            self._records[record.jid] = record

        return self._write(apply)

    def replace(self, record: AccountRecord) -> Commit:
        return self._write(lambda: self._records.update({record.jid: record}))

    def delete(self, jid: str) -> Commit:
        return self._write(lambda: self.forget(jid))

    def forget(self, jid: str) -> None:
        """Remove it now (for `MemoryBackend.erase`)."""
        self._records.pop(jid, None)

    def put(self, record: AccountRecord) -> None:
        """Write it now."""
        self._records[record.jid] = record

    async def list(self, domain: str, after: str = "", limit: int = 100) -> list[str]:
        return sorted(jid for jid in self._of(domain) if jid > after)[:limit]

    async def count(self, domain: str) -> int:
        return sum(1 for _ in self._of(domain))

    def owners(self) -> Iterable[str]:
        """Return every account's JID."""
        return self._records

    def _of(self, domain: str) -> Iterator[str]:
        return (jid for jid in self._records if jid.rpartition("@")[2] == domain)


class MemoryKeyValStore(KeyValStore):
    """One value an owner."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self.values: dict[str, bytes] = {}

    async def get(self, owner: str) -> bytes | None:
        return self.values.get(owner)

    def set(self, owner: str, value: bytes) -> Commit:
        return self._write(lambda: self.values.update({owner: value}))

    def delete(self, owner: str) -> Commit:
        return self._write(lambda: self.forget(owner))

    def forget(self, owner: str) -> None:
        """Remove it now."""
        self.values.pop(owner, None)


class MemoryMapStore(MapStore):
    """A dictionary an owner."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self.maps: dict[str, dict[str, bytes]] = {}

    async def get(self, owner: str, key: str) -> bytes | None:
        return self.maps.get(owner, {}).get(key)

    async def items(self, owner: str) -> dict[str, bytes]:
        return dict(sorted(self.maps.get(owner, {}).items()))

    def update(self, owner: str, put: Mapping[str, bytes], remove: Collection[str] = ()) -> Commit:
        put, remove = dict(put), tuple(remove)

        def apply() -> None:
            items = {key: value for key, value in self.maps.get(owner, {}).items() if key not in remove} | put
            self.maps[owner] = items
            if not items:
                self.forget(owner)

        return self._write(apply)

    def clear(self, owner: str) -> Commit:
        return self._write(lambda: self.forget(owner))

    def forget(self, owner: str) -> None:
        """Remove all of an owner's values now."""
        self.maps.pop(owner, None)


@dataclass(slots=True)
class _Entry:
    """A message of the log, and how many histories list it."""

    stanza: bytes
    copies: int


class _History:
    """One owner's copies: `ids` in order, `copies` by id."""

    __slots__ = ("copies", "ids")

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.copies: dict[int, ArchiveCopy] = {}

    def add(self, id_: int, copy: ArchiveCopy) -> None:
        insort(self.ids, id_)
        self.copies[id_] = copy

    def remove(self, id_: int) -> None:
        del self.ids[bisect_left(self.ids, id_)]
        del self.copies[id_]

    def matching(self, query: ArchiveQuery) -> list[int]:
        """Return the ids of the range that `query` asks for, its limit and after/before aside."""
        low = 0 if query.start_id is None else bisect_left(self.ids, query.start_id)
        high = len(self.ids) if query.end_id is None else bisect_right(self.ids, query.end_id)
        return [
            id_
            for id_ in self.ids[low:high]
            if (copy := self.copies[id_]).visible
            and (query.peer is None or copy.peer == query.peer)
            and (query.peer_resource is None or copy.peer_resource == query.peer_resource)
            and (query.ids is None or id_ in query.ids)
        ]


class MemoryArchiveStore(ArchiveStore):
    """A log by id, and a history an owner."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._log: dict[int, _Entry] = {}
        self._histories: dict[str, _History] = {}

    @property
    def last_id(self) -> int:
        return max(self._log, default=0)

    def append(self, id_: int, stanza: bytes, copies: Collection[ArchiveCopy]) -> Commit:
        check_copies(copies)
        copies = tuple(copies)

        def apply() -> None:
            if id_ in self._log:
                raise StorageError(f"archive: there is a message of the id {id_}")
            self._log[id_] = _Entry(stanza, len(copies))
            for copy in copies:
                self._histories.setdefault(copy.owner, _History()).add(id_, copy)

        return self._write(apply)

    async def query(self, owner: str, query: ArchiveQuery) -> ArchivePage:
        history = self._histories.get(owner) or _History()
        matching = history.matching(query)
        total = len(matching) if query.want_total else None
        after = -1 if query.after_id is None else query.after_id
        found = [i for i in matching if i > after and (query.before_id is None or i < query.before_id)]
        is_last = len(found) <= query.limit
        found = found[max(len(found) - query.limit, 0) :] if query.newest_first else found[: query.limit]
        return ArchivePage([self._message(history, id_) for id_ in found], is_last, total)

    async def has(self, owner: str, id_: int) -> bool:
        history = self._histories.get(owner)
        return history is not None and id_ in history.copies and history.copies[id_].visible

    async def bounds(self, owner: str) -> tuple[int, int] | None:
        history = self._histories.get(owner) or _History()
        ids = history.matching(ArchiveQuery())
        return (ids[0], ids[-1]) if ids else None

    async def pending(self, owner: str, after_id: int, limit: int) -> list[ArchivedMessage]:
        history = self._histories.get(owner) or _History()
        found = [id_ for id_ in history.ids[bisect_right(history.ids, after_id) :] if history.copies[id_].pending]
        return [self._message(history, id_) for id_ in found[:limit]]

    async def recent_marks(self, owner: str, since_id: int, limit: int) -> dict[int, int]:
        history = self._histories.get(owner) or _History()
        ids = history.ids[bisect_left(history.ids, since_id) :]
        marked = [(mark, id_) for id_ in ids if (mark := history.copies[id_].mark)]
        return dict(marked[max(len(marked) - limit, 0) :])

    def replace_stanza(self, id_: int, stanza: bytes) -> Commit:
        def apply() -> None:
            if id_ in self._log:
                self._log[id_].stanza = stanza

        return self._write(apply)

    def prune(self, before_id: int) -> Commit:
        def apply() -> None:
            for owner in list(self._histories):
                history = self._histories[owner]
                self._drop(owner, history.ids[: bisect_left(history.ids, before_id)])

        return self._write(apply)

    def forget(self, owner: str) -> None:
        """Remove a history now."""
        if owner in self._histories:
            self._drop(owner, list(self._histories[owner].ids))

    def owners(self) -> Iterable[str]:
        """Return all who have a history."""
        return self._histories

    def copies(self, owner: str) -> list[CopyRecord]:
        """Return an owner's history as it is moved."""
        history = self._histories.get(owner) or _History()
        return [CopyRecord(id_, history.copies[id_], self._log[id_].stanza) for id_ in history.ids]

    def put(self, record: CopyRecord) -> None:
        """Write a copy now, unless it is there."""
        history = self._histories.setdefault(record.copy.owner, _History())
        if record.id not in history.copies:
            history.add(record.id, record.copy)
            self._log.setdefault(record.id, _Entry(record.stanza, 0)).copies += 1

    def _drop(self, owner: str, ids: Iterable[int]) -> None:
        history = self._histories[owner]
        for id_ in ids:
            history.remove(id_)
            entry = self._log[id_]
            entry.copies -= 1
            if not entry.copies:
                del self._log[id_]
        if not history.ids:
            del self._histories[owner]

    def _message(self, history: _History, id_: int) -> ArchivedMessage:
        copy = history.copies[id_]
        return ArchivedMessage(id_, self._log[id_].stanza, copy.peer, copy.peer_resource, copy.outgoing)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A job in a queue."""

    job: Job
    key: str
    due_at_us: int
    is_claimed: bool = False


class MemoryWorkQueue(WorkQueue):
    """A dictionary of jobs a queue."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._queues: dict[str, dict[int, _Waiting]] = {}
        self._last_id = 0

    def put(self, queue: str, payload: bytes, due_at_us: int = 0, key: str = "") -> Commit:
        def apply() -> None:
            jobs = self._queues.setdefault(queue, {})
            for id_ in self._same_key(jobs, key):
                del jobs[id_]
            self._last_id += 1
            jobs[self._last_id] = _Waiting(Job(self._last_id, payload, 0), key, due_at_us)

        return self._write(apply)

    async def claim(self, queue: str, now_us: int, limit: int, lease_us: int) -> list[Job]:
        claimed: list[Job] = []

        def apply() -> None:
            jobs = self._queues.get(queue, {})
            due = sorted((waiting.due_at_us, id_) for id_, waiting in jobs.items() if waiting.due_at_us <= now_us)
            for _, id_ in due[:limit]:
                job = replace(jobs[id_].job, attempts=jobs[id_].job.attempts + 1)
                jobs[id_] = replace(jobs[id_], job=job, due_at_us=now_us + lease_us, is_claimed=True)
                claimed.append(job)

        await self._write(apply)
        return claimed

    def finish(self, queue: str, ids: Collection[int]) -> Commit:
        def apply() -> None:
            for id_ in ids:
                self._queues.get(queue, {}).pop(id_, None)

        return self._write(apply)

    def retry(self, queue: str, id_: int, due_at_us: int) -> Commit:
        def apply() -> None:
            jobs = self._queues.get(queue, {})
            if id_ not in jobs or not jobs[id_].is_claimed:
                return
            if self._same_key(jobs, jobs[id_].key):
                del jobs[id_]
            else:
                jobs[id_] = replace(jobs[id_], due_at_us=due_at_us, is_claimed=False)

        return self._write(apply)

    async def depth(self, queue: str) -> int:
        return len(self._queues.get(queue, {}))

    def jobs(self) -> list[JobRecord]:
        """Return all jobs as they are moved."""
        return [
            JobRecord(queue, id_, one.key, one.due_at_us, one.is_claimed, one.job.attempts, one.job.payload)
            for queue, jobs in sorted(self._queues.items())
            for id_, one in sorted(jobs.items())
        ]

    def put_record(self, record: JobRecord) -> None:
        """Write a job now, under the id that it had."""
        self._last_id = max(self._last_id, record.id)
        job = Job(record.id, record.payload, record.attempts)
        waiting = _Waiting(job, record.key, record.due_at_us, record.is_claimed)
        self._queues.setdefault(record.queue, {})[record.id] = waiting

    @staticmethod
    def _same_key(jobs: Mapping[int, _Waiting], key: str) -> list[int]:
        if not key:
            return []
        return [id_ for id_, waiting in jobs.items() if waiting.key == key and not waiting.is_claimed]


class MemoryBackend(Backend):
    """All shapes in memory, and the means to make their commits late or fail."""

    def __init__(self) -> None:
        self._accounts = MemoryAccountStore(self._write)
        self._archive = MemoryArchiveStore(self._write)
        self.accounts = self._accounts
        self.archive = self._archive
        self._work = MemoryWorkQueue(self._write)
        self.work = self._work
        self._keyvals: dict[str, MemoryKeyValStore] = {}
        self._maps: dict[str, MemoryMapStore] = {}
        self._held: list[tuple[Commit, Callable[[], None]]] | None = None
        self._failure: StorageError | None = None
        self._refusal: StorageError | None = None

    async def open(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Finish what is held; later writes raise `StorageClosed`."""
        self.release()
        self._refusal = StorageClosed("the storage is closed")

    def hold(self) -> None:
        """Let no commit finish, and no write take effect, until `release`."""
        if self._held is None:
            self._held = []

    def release(self) -> None:
        """Do what was held, in order, and hold no longer."""
        held, self._held = self._held, None
        for commit, apply in held or ():
            self._finish(commit, apply)

    def fail_with(self, error: StorageError | None, *, at_call: bool = False) -> None:
        """Let every write fail with `error` from now on (None: no longer), and write nothing.

        Args:
            error: what the commits end with.
            at_call: raise it in the call itself, as a backend does that knows that its disk is full.
        """
        self._failure = None if at_call else error
        self._refusal = error if at_call else None

    @property
    def is_full(self) -> bool:
        """Whether writes are refused at the call."""
        return self._refusal is not None

    def keyval(self, name: str) -> MemoryKeyValStore:
        return self._keyvals.setdefault(name, MemoryKeyValStore(self._write))

    def map(self, name: str) -> MemoryMapStore:
        return self._maps.setdefault(name, MemoryMapStore(self._write))

    def erase(self, owner: str) -> Commit:
        def apply() -> None:
            self._accounts.forget(owner)
            self._archive.forget(owner)
            for keyval in self._keyvals.values():
                keyval.forget(owner)
            for map_ in self._maps.values():
                map_.forget(owner)

        return self._write(apply)

    async def owners(self, prefix: str = "") -> AsyncIterator[str]:
        names = {*self._accounts.owners(), *self._archive.owners()}
        for keyval in self._keyvals.values():
            names.update(keyval.values)
        for map_ in self._maps.values():
            names.update(map_.maps)
        for name in sorted(names):
            if name.startswith(prefix):
                yield name

    async def export_owner(self, owner: str) -> AsyncIterator[Record]:
        account = await self._accounts.get(owner)
        if account is not None:
            yield account
        for name, keyval in sorted(self._keyvals.items()):
            if owner in keyval.values:
                yield ValueRecord(name, keyval.values[owner])
        for name, map_ in sorted(self._maps.items()):
            for key, value in sorted(map_.maps.get(owner, {}).items()):
                yield ItemRecord(name, key, value)
        for copy in self._archive.copies(owner):
            yield copy

    async def export_jobs(self) -> AsyncIterator[JobRecord]:
        for record in self._work.jobs():
            yield record

    def import_owner(self, owner: str, records: Sequence[Record]) -> Commit:
        records = tuple(records)

        def apply() -> None:
            for record in records:
                match record:
                    case AccountRecord():
                        self._accounts.put(record)
                    case ValueRecord():
                        self.keyval(record.store).values[owner] = record.value
                    case ItemRecord():
                        self.map(record.store).maps.setdefault(owner, {})[record.key] = record.value
                    case CopyRecord():
                        self._archive.put(record)

        return self._write(apply)

    def import_jobs(self, records: Sequence[JobRecord]) -> Commit:
        records = tuple(records)

        def apply() -> None:
            for record in records:
                self._work.put_record(record)

        return self._write(apply)

    def _write(self, apply: Callable[[], None]) -> Commit:
        if self._refusal is not None:
            raise self._refusal
        commit = Commit()
        if self._held is not None:
            self._held.append((commit, apply))
        else:
            self._finish(commit, apply)
        return commit

    def _finish(self, commit: Commit, apply: Callable[[], None]) -> None:
        error = self._failure
        if error is None:
            try:
                apply()
            except StorageError as failed:
                error = failed
        commit.finish(error)
