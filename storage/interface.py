"""What the server asks of its storage: accounts, key-value, map, archive, work queue.

Each backend implements these classes and passes the contract test-suite in `tests/storage/contract`.

Two rules hold for all of them:

* **A write is a plain call that returns a `Commit`.** Writes of one process take effect in the order of their calls. The
  caller may await the commit, add a callback, or let it go; a write is durable only when its commit is done without an
  error. Reads are coroutines and see every write of this process whose commit is done. A write that fails leaves the writes
  beside it alone. Any write may raise `StorageFull` or `StorageClosed` in the call itself, where the backend knows already.
* **Owners are text.** An owner is whatever the caller names, usually a bare JID ("romeo@example.org"); storage does not look inside.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

TIME_SHIFT_BITS = 10
"""An archive id is a time in µs since 1970 times two to this, and a number below. Only a backend that cuts histories by time looks at that."""
GATEWAYS = 1 << TIME_SHIFT_BITS
"""How many gateways may share a storage: where many do, the low part of an id is the number of the one that gave it."""


class StorageError(Exception):
    """Storage could not do what was asked; the text is one line for the operator."""


class StorageFull(StorageError):
    """No room (disk full, quota): nothing was written, and later calls may succeed."""


class StorageClosed(StorageError):
    """The backend is closed or broken for good; the process must be restarted. What was not committed may be lost."""


class AlreadyExists(StorageError):
    """An account of that name exists."""


class Commit:
    """The moment at which one or many writes become durable.

    One object may stand for a whole batch. Callbacks run on the event loop's thread, in the order they were added.
    Awaiting it returns None, or raises `error`.
    """

    __slots__ = ("_callbacks", "done", "error")

    def __init__(self) -> None:
        self.done = False
        self.error: BaseException | None = None
        self._callbacks: list[Callable[[Commit], None]] | None = None

    def add_done_callback(self, callback: Callable[["Commit"], None]) -> None:
        """Call `callback(commit)` once it is done; at once when it is already."""
        if self.done:
            callback(self)
        elif self._callbacks is None:
            self._callbacks = [callback]
        else:
            self._callbacks.append(callback)

    def finish(self, error: BaseException | None = None) -> None:
        """Mark it done (for backends; on the event loop's thread; a second call does nothing)."""
        if self.done:
            return
        self.done, self.error = True, error
        if self._callbacks is not None:
            callbacks, self._callbacks = self._callbacks, None
            self._run(iter(callbacks))

    def _run(self, callbacks: Iterator[Callable[["Commit"], None]]) -> None:
        """Call each; those after one that raises are called too, then the error goes on."""
        try:
            for callback in callbacks:
                callback(self)
        except BaseException:
            self._run(callbacks)
            raise

    def __await__(self) -> Generator[object, None, None]:
        if not self.done:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

            def wake(_: Commit) -> None:
                if not future.done():  # whoever waited may have been cancelled
                    future.set_result(None)

            self.add_done_callback(wake)
            yield from future
        if self.error is not None:
            raise self.error


@dataclass(frozen=True, slots=True)
class ScramKeys:
    """What is kept of a password for one SCRAM hash (RFC 5802 §3); never the password."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """An account: `jid` is the bare JID; `keys` maps the hash ("SHA-1", "SHA-256") to its keys."""

    jid: str
    keys: Mapping[str, ScramKeys]
    created_at_us: int = 0
    disabled: bool = False


class AccountStore(ABC):
    """Local accounts, by bare JID."""

    @abstractmethod
    async def get(self, jid: str) -> AccountRecord | None:
        """Return the account, or None."""

    @abstractmethod
    def create(self, record: AccountRecord) -> Commit:
        """Add it; the commit's error is `AlreadyExists` when there is one of that name."""

    @abstractmethod
    def replace(self, record: AccountRecord) -> Commit:
        """Write it over the one of that name (which need not exist)."""

    @abstractmethod
    def delete(self, jid: str) -> Commit:
        """Remove it; nothing happens when there is none. Other stores keep their data: see `Backend.erase`."""

    @abstractmethod
    async def list(self, domain: str, after: str = "", limit: int = 100) -> list[str]:
        """Return up to `limit` bare JIDs of a domain, in order of their text, the first one greater than `after`."""

    @abstractmethod
    async def count(self, domain: str) -> int:
        """Return how many accounts a domain has."""


class KeyValStore(ABC):
    """One value of bytes an owner."""

    @abstractmethod
    async def get(self, owner: str) -> bytes | None:
        """Return the value, or None."""

    @abstractmethod
    def set(self, owner: str, value: bytes) -> Commit:
        """Write the value."""

    @abstractmethod
    def delete(self, owner: str) -> Commit:
        """Remove the value, if any."""


class MapStore(ABC):
    """Many values of bytes an owner, by key."""

    @abstractmethod
    async def get(self, owner: str, key: str) -> bytes | None:
        """Return one value, or None."""

    @abstractmethod
    async def items(self, owner: str) -> dict[str, bytes]:
        """Return all of an owner's values, ordered by key."""

    @abstractmethod
    def update(self, owner: str, put: Mapping[str, bytes], remove: Collection[str] = ()) -> Commit:
        """Write and remove several values at once: all of them or, on an error, none."""

    @abstractmethod
    def clear(self, owner: str) -> Commit:
        """Remove all of an owner's values."""


class ArchiveCopy(NamedTuple):
    """That a message belongs to the history of `owner` (a tuple: two are made for each message, in half a dataclass's time).

    Attributes:
        owner: bare JID whose history it is.
        peer: bare JID of the other side; `peer_resource` its resource, "" when none.
        outgoing: whether the owner sent it.
        pending: whether it counts for `ArchiveStore.pending` (an owner who was not there must still get it).
        visible: whether `query` returns it; False for a copy kept for later delivery alone.
        mark: a signed 64-bit number of the caller's choice, 0 for none; found again by `recent_marks`.
    """

    owner: str
    peer: str
    peer_resource: str = ""
    outgoing: bool = False
    pending: bool = False
    visible: bool = True
    mark: int = 0


def check_copies(copies: Collection[ArchiveCopy]) -> None:
    """Raise ValueError unless there is at least one copy, and no two of one owner."""
    if len(copies) != 1 and (not copies or len({copy.owner for copy in copies}) != len(copies)):
        raise ValueError("a message needs one copy or more, of different owners")


@dataclass(frozen=True, slots=True)
class ArchivedMessage:
    """One message out of an owner's history."""

    id: int
    stanza: bytes
    peer: str
    peer_resource: str
    outgoing: bool


@dataclass(frozen=True, slots=True)
class ArchiveQuery:
    """Which part of a history to read. All bounds are ids (0 < id < 2**63, ascending with time); None means no bound.

    Attributes:
        peer, peer_resource: only messages with this bare JID / with this resource of it.
        start_id, end_id: inclusive (the caller turns times into ids).
        after_id, before_id: exclusive.
        ids: only these; the page is in ascending order all the same, and those that the owner does not have are left out.
        limit: 1 or more, how many messages at most.
        newest_first: take the last `limit` messages of the range rather than the first; the page is ascending all the same.
        want_total: whether `ArchivePage.total` is asked for.
    """

    peer: str | None = None
    peer_resource: str | None = None
    start_id: int | None = None
    end_id: int | None = None
    after_id: int | None = None
    before_id: int | None = None
    ids: tuple[int, ...] | None = None
    limit: int = 50
    newest_first: bool = False
    want_total: bool = False


@dataclass(frozen=True, slots=True)
class ArchivePage:
    """Messages in ascending order of id; `is_last`: nothing more in the direction read; `total`: of the whole range without after/before, None when not asked."""

    messages: list[ArchivedMessage] = field(default_factory=list)
    is_last: bool = True
    total: int | None = None


class ArchiveStore(ABC):
    """One append-only log of messages, and for each owner an index into it."""

    @property
    def last_id(self) -> int:
        """The greatest id that was ever appended and is known here, 0 when there is none."""
        return 0

    @abstractmethod
    def append(self, id_: int, stanza: bytes, copies: Collection[ArchiveCopy]) -> Commit:
        """Keep a message once and list it in the history of each copy's owner.

        Many appends share one commit. When there is no room, the call raises `StorageFull`; an append that was taken just
        before that was known may wait until there is room again, so its commit may take long, but it is not lost.

        Args:
            id_: unique, ascending with time; out of order by a few seconds is allowed. The same id again is an error.
            stanza: the message as `codec.archived` writes it, kept as it is.
            copies: one or more, of different owners.

        Raises:
            ValueError: no copies, or two of one owner.
            StorageFull, StorageClosed: nothing was taken.
        """

    @abstractmethod
    async def query(self, owner: str, query: ArchiveQuery) -> ArchivePage:
        """Return one page of an owner's visible history."""

    @abstractmethod
    async def has(self, owner: str, id_: int) -> bool:
        """Whether the owner's visible history holds that id."""

    @abstractmethod
    async def bounds(self, owner: str) -> tuple[int, int] | None:
        """Return the first and the last id of an owner's visible history, None when it is empty."""

    @abstractmethod
    async def pending(self, owner: str, after_id: int, limit: int) -> list[ArchivedMessage]:
        """Return the first `limit` messages with `pending` set and an id greater than `after_id`, ascending."""

    @abstractmethod
    async def recent_marks(self, owner: str, since_id: int, limit: int) -> dict[int, int]:
        """Return mark -> id of the newest `limit` of the owner's copies with a mark, none older than `since_id`."""

    @abstractmethod
    def replace_stanza(self, id_: int, stanza: bytes) -> Commit:
        """Write another stanza in the place of a message (a tombstone, XEP-0424); nothing happens when there is none."""

    @abstractmethod
    def prune(self, before_id: int) -> Commit:
        """Forget every message with a smaller id, in all histories.

        It may be done in steps, with other writes between them; when it fails or the process ends, call it again.
        """


@dataclass(frozen=True, slots=True)
class Job:
    """A job out of a work queue; `attempts`: how often it was claimed, this time included."""

    id: int
    payload: bytes
    attempts: int


class WorkQueue(ABC):
    """Jobs that must be done at least once, by whoever claims them."""

    @abstractmethod
    def put(self, queue: str, payload: bytes, due_at_us: int = 0, key: str = "") -> Commit:
        """Add a job, due at that µs since 1970 (0: at once).

        A non-empty key replaces a waiting job of the same key; one that somebody has claimed and not given back stays.
        """

    @abstractmethod
    async def claim(self, queue: str, now_us: int, limit: int, lease_us: int) -> list[Job]:
        """Take up to `limit` due jobs, those due first first; nobody else gets them until the lease ends, then they are due again."""

    @abstractmethod
    def finish(self, queue: str, ids: Collection[int]) -> Commit:
        """Remove jobs that are done."""

    @abstractmethod
    def retry(self, queue: str, id_: int, due_at_us: int) -> Commit:
        """Give a claimed job back, due later; it goes away when a job of the same key was put meanwhile."""

    @abstractmethod
    async def depth(self, queue: str) -> int:
        """Return how many jobs wait, claimed ones included."""

    def take_over(self) -> None:
        """Have what a process that died had claimed be due again at once, where nobody but this process can work on the queues.

        Elsewhere nothing happens: leases end by themselves. Called before this process claims anything.
        """
        return


class ValueRecord(NamedTuple):
    """An owner's value in the key-value store of that name, for moving."""

    store: str
    value: bytes


class ItemRecord(NamedTuple):
    """One of an owner's values in the map store of that name, for moving."""

    store: str
    key: str
    value: bytes


class CopyRecord(NamedTuple):
    """A message in an owner's history, shown or not, for moving. Others may have a copy of the same message: it has the same id there."""

    id: int
    copy: ArchiveCopy
    stanza: bytes


class JobRecord(NamedTuple):
    """A job in a work queue, for moving. `due_at_us` of one that is claimed: when its lease ends."""

    queue: str
    id: int
    key: str
    due_at_us: int
    is_claimed: bool
    attempts: int
    payload: bytes


Record = AccountRecord | ValueRecord | ItemRecord | CopyRecord
"""Whatever one owner has."""


@dataclass(frozen=True, slots=True)
class Fact:
    """What a backend found when it looked at itself. `state`: "ok", "warning" or "fault"; `about`, `detail`: for people, a line."""

    about: str
    state: Literal["ok", "warning", "fault"]
    detail: str


class Backend(ABC):
    """One storage: the five shapes, and its life."""

    accounts: AccountStore
    archive: ArchiveStore
    work: WorkQueue

    @property
    def gateway_number(self) -> int | None:
        """The number that this process alone has among those that share the storage, below `GATEWAYS`; None where it is alone."""
        return None

    @property
    def is_full(self) -> bool:
        """Whether writes are refused at present because there is no room; it ends by itself."""
        return False

    @property
    def trouble(self) -> str | None:
        """What keeps storage from its work at present, in words for the operator; None: nothing."""
        return "there is no room left for messages: free some on the disk of storage.url" if self.is_full else None

    @abstractmethod
    async def open(self) -> None:
        """Connect, check, migrate. Raises `StorageError` with one line that says what to do."""

    @abstractmethod
    async def close(self) -> None:
        """Commit what was called, then let go of everything. Calls after it raise `StorageClosed`."""

    async def flush(self) -> None:
        """Return when every write that was called before is committed or has failed; at once while there is no room."""
        with contextlib.suppress(StorageError):
            await self.keyval("flush").delete("")  # writes take effect in the order of their calls

    @abstractmethod
    def keyval(self, name: str) -> KeyValStore:
        """Return the key-value store of that name; the same name is the same data."""

    @abstractmethod
    def map(self, name: str) -> MapStore:
        """Return the map store of that name."""

    @abstractmethod
    def erase(self, owner: str) -> Commit:
        """Remove every trace of an owner: its account, values, maps, history (the log entries that nobody else lists too).

        It may be done in steps; what is written for the owner after the call stays.
        """

    @abstractmethod
    def owners(self, prefix: str = "") -> AsyncIterator[str]:
        """Yield every owner that has any data and begins with `prefix`, in order of their text, for export and checks."""

    # Moving: another storage, of whatever kind, gets what this one has.

    def export_owner(self, owner: str) -> AsyncIterator[Record]:
        """Yield all that an owner has: its account, values by store, items by store and key, copies by id, each in ascending order.

        Texts are ordered by code point. Owners and names of stores are never empty; keys may be. Only a little is in memory at a time,
        however much an owner has. It need not be a view of one moment: nobody writes meanwhile.
        """
        raise StorageError("this kind of storage cannot be copied yet")

    def export_jobs(self) -> AsyncIterator[JobRecord]:
        """Yield all jobs, queue by queue. Ids are below 2**63 and ascend with the calls of `put`, the order may be another."""
        raise StorageError("this kind of storage cannot be copied yet")

    def import_owner(self, owner: str, records: Sequence[Record]) -> Commit:
        """Write some of what `export_owner` of another storage yielded, a few hundred records at a time; ids stay as they are.

        All is committed or, after an error, any part of it; the same records once more change nothing. A message that several
        owners have comes once with each of them.
        """
        raise StorageError("nothing can be copied to this kind of storage yet")

    def import_jobs(self, records: Sequence[JobRecord]) -> Commit:
        """Write some of what `export_jobs` of another storage yielded, as `import_owner`; the ids may become others."""
        raise StorageError("nothing can be copied to this kind of storage yet")

    async def create(self) -> None:
        """Make, before `open`, what `open` does not make by itself (`xmppd storage init`); nothing happens to what is there."""
        return

    async def migrate(self) -> None:
        """Bring, before `open`, what is there up to this version where `open` does not do so by itself (`xmppd storage migrate`)."""
        return

    async def examine(self) -> list[Fact]:
        """Look through all that is kept, once open: whether it holds together, its version, room and size (`xmppd storage check`)."""
        return []
