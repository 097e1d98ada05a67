"""The session with the cluster: connecting, prepared statements, requests and their answers on the event loop.

The driver has a thread of its own, which reads the nodes' sockets; no request has one. Answers come back by a `Bridge`.
Nothing here retries but `execute` and `page`; the driver's own retries are off, so that there is one place for each patience.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cassandra import ConsistencyLevel
from cassandra.auth import PlainTextAuthProvider
from cassandra.cluster import Cluster, ExecutionProfile, ResultSet, Session
from cassandra.policies import (
    ConstantSpeculativeExecutionPolicy,
    DCAwareRoundRobinPolicy,
    ExponentialReconnectionPolicy,
    FallthroughRetryPolicy,
    TokenAwarePolicy,
)
from cassandra.query import BatchStatement, BatchType, BoundStatement, SimpleStatement, tuple_factory

from storage.cassandra.bridge import Bridge
from storage.cassandra.clock import WriteClock
from storage.cassandra.faults import FAILED, PASSING, describe, is_denied
from storage.cassandra.settings import CassandraSettings
from storage.cassandra.statement import Row, Statement
from storage.interface import StorageClosed, StorageError

PROTOCOL_VERSION = 4
"""Version 5 is not used: drivers up to 3.30.1 lose bytes when a read ends within the header of one of its segments."""

START_RETRY_S = 1.0
PREPARING_THREADS = 4
FIRST_RETRY_S, LAST_RETRY_S = 0.05, 2.0
CLOCK_EVERY_S = 60.0
CLOCK_TOLERANCE_S = 2.0
HEARTBEAT_S = 5.0
SCHEMA_TIMEOUT_S = 60.0
UUID_EPOCH = 0x01B21DD213814000
"""1970 in the time of a UUID: units of 100 ns since 1582."""

READ, WRITE = "read", "write"

_LOGGERS = ("cassandra.cluster", "cassandra.connection", "cassandra.pool", "cassandra.protocol", "cassandra.policies")
"""They tell each attempt to reconnect, with where in the driver it was, and repeat a warning of the nodes for every batch."""

Done = Callable[[list[Row] | None, BaseException | None], None]
"""Takes the rows of an answer, or the error, on the loop's thread."""


class Driver:
    """One session; all methods are called on the loop's thread.

    Attributes:
        clock: gives the timestamps of writes.
        is_away: whether the last request found nobody to answer; it ends with the next answer.
    """

    def __init__(self, settings: CassandraSettings, log: logging.Logger) -> None:
        self.settings = settings
        self.clock = WriteClock()
        self.is_away = False
        self._log = log
        self._statements: dict[str, Statement] = {}
        self._unprepared: list[Statement] = []
        self._cluster: Cluster | None = None
        self._session: Session | None = None
        self._reads = asyncio.Semaphore(settings.max_in_flight)
        self._clock_task: asyncio.Task[None] | None = None
        self._has_told_clock = False
        self._is_closed = False

    # Its life.

    async def connect(self) -> None:
        """Connect, and wait for the cluster up to `start_patience_s`; one line says so.

        Raises:
            StorageError: nobody answers, or we are not let in.
        """
        for name in _LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        loop = asyncio.get_running_loop()
        self._bridge = Bridge(loop)
        deadline, has_said = loop.time() + self.settings.start_patience_s, False
        while True:
            try:
                await asyncio.to_thread(self._connect)
                break
            except (*PASSING, OSError) as error:
                why = describe(error)
                if is_denied(error):
                    raise StorageError(f"{self.settings} does not let us in: check user and password") from None
                if loop.time() > deadline:
                    raise StorageError(f"{self.settings} cannot be reached: {why}") from None
            except ssl.SSLError as error:
                raise StorageError(f"{self.settings}: the TLS settings do not work: {error}") from None
            if not has_said:
                has_said = True
                self._log.warning("waiting for %s: %s", self.settings, why)
            await asyncio.sleep(START_RETRY_S)
        if has_said:
            self._log.warning("%s answers", self.settings)
        await self._read_clock()
        self._clock_task = asyncio.create_task(self._keep_clock())

    async def close(self) -> None:
        """Let go of the cluster; what is still under way is answered no more."""
        self._is_closed = True
        if self._clock_task is not None:
            self._clock_task.cancel()
        await asyncio.to_thread(self._disconnect)

    @property
    def datacenter(self) -> str:
        """The datacenter of this machine."""
        if self.settings.datacenter:
            return self.settings.datacenter
        assert self._cluster is not None
        return str(next(host.datacenter for host in self._cluster.metadata.all_hosts() if host.datacenter))

    async def define(self, text: str) -> None:
        """Change the schema ("{ks}" stands for the keyspace), and wait until the nodes agree on it.

        Raises:
            StorageError: they refuse, or do not answer.
        """
        text = text.replace("{ks}", self.settings.keyspace)
        await self._blocking(
            lambda session: session.execute(SimpleStatement(text), timeout=SCHEMA_TIMEOUT_S, execution_profile=WRITE)
        )

    def statement(self, text: str) -> Statement:
        """Return the statement of a text, one object for one text; `prepare` must run before it is used.

        "{ks}" in the text stands for the keyspace: every table is named with it.
        """
        text = text.replace("{ks}", self.settings.keyspace)
        found = self._statements.get(text)
        if found is None:
            found = self._statements[text] = Statement(text)
            self._unprepared.append(found)
        return found

    async def prepare(self) -> None:
        """Let the cluster prepare every statement that is new.

        Raises:
            StorageError: it refused one, or nobody answers.
        """
        new, self._unprepared = self._unprepared, []
        loop = asyncio.get_running_loop()
        assert self._session is not None
        with ThreadPoolExecutor(PREPARING_THREADS) as threads:
            jobs = [loop.run_in_executor(threads, self._session.prepare, statement.text) for statement in new]
            answers = await asyncio.gather(*jobs, return_exceptions=True)
        for statement, answer in zip(new, answers, strict=True):
            if isinstance(answer, BaseException):
                raise StorageError(f"{self.settings} refuses {statement.text.split('(')[0]}: {describe(answer)}")
            statement.set(answer)

    async def _blocking(self, call: Callable[[Session], object]) -> None:
        assert self._session is not None
        try:
            await asyncio.to_thread(call, self._session)
        except (*PASSING, *FAILED) as error:
            raise StorageError(f"{self.settings}: {describe(error)}") from None

    # Requests.

    def start(self, request: BoundStatement | BatchStatement, done: Done, profile: str = WRITE) -> None:
        """Send a request; `done` is called once. How many are under way is the caller's to bound."""
        session, call = self._session, self._bridge.call
        if session is None or self._is_closed:
            call(done, None, StorageClosed("the storage is closed"))
            return
        future = session.execute_async(request, execution_profile=profile)
        future.add_callbacks(lambda rows: call(done, rows, None), lambda error: call(done, None, error))

    def batch(self, statements: Sequence[BoundStatement]) -> BatchStatement:
        """Return many writes as one request. It is no transaction: an error may leave any of them written."""
        batch = BatchStatement(BatchType.UNLOGGED)
        batch.is_idempotent = True
        batch.add_all(statements, [()] * len(statements))
        return batch

    async def execute(
        self, statement: Statement, params: Sequence[Any] = (), *, patience_s: float | None = None
    ) -> list[Row]:
        """Execute one statement, again and again while the cluster is away; return the rows of its first page.

        Args:
            statement: one whose repetition does no harm.
            params: its values, without the timestamp.
            patience_s: how long to try; None for `settings.patience_s`, `math.inf` for as long as it takes.

        Raises:
            StorageError: it failed, or nobody answered in that time.
        """
        rows, _ = await self._attempt(statement, params, patience_s=patience_s)
        return rows

    async def page(
        self, statement: Statement, params: Sequence[Any], size: int, state: bytes | None = None
    ) -> tuple[list[Row], bytes | None]:
        """Return up to `size` rows, and what to give as `state` for those after them (None: there are none)."""
        return await self._attempt(statement, params, size=size, state=state)

    async def rows(self, statement: Statement, params: Sequence[Any], size: int = 1000) -> list[Row]:
        """Return all rows, read in pages of `size`."""
        found, state = await self.page(statement, params, size)
        while state is not None:
            more, state = await self.page(statement, params, size, state)
            found += more
        return found

    async def transact(self, writes: Sequence[tuple[Statement, Sequence[Any]]]) -> bool:
        """Make writes to one partition on the conditions that they name, all or none; return whether they were made.

        Raises:
            StorageError: it is not known: nobody answered in time.
        """
        bound = [statement.bind(params, self.clock) for statement, params in writes]
        try:
            async with self._reads:
                rows, _ = await self._answer(bound[0] if len(bound) == 1 else self.batch(bound), WRITE, None)
        except (*PASSING, *FAILED) as error:
            raise StorageError(f"{self.settings}: {describe(error)}") from None
        return bool(rows[0][0])

    async def _attempt(
        self,
        statement: Statement,
        params: Sequence[Any],
        *,
        patience_s: float | None = None,
        size: int | None = None,
        state: bytes | None = None,
    ) -> tuple[list[Row], bytes | None]:
        bound = statement.bind(params, self.clock)
        if size is not None:
            bound.fetch_size = size
        patience_s = self.settings.patience_s if patience_s is None else patience_s
        loop = asyncio.get_running_loop()
        deadline, delay_s = loop.time() + patience_s, FIRST_RETRY_S
        while True:
            try:
                async with self._reads:
                    found = await self._answer(bound, READ if statement.is_read else WRITE, state)
            except PASSING as error:
                self.is_away = True
                if loop.time() + delay_s > deadline:
                    raise StorageError(f"{self.settings} does not answer: {describe(error)}") from None
            except FAILED as error:
                raise StorageError(f"{self.settings}: {describe(error)}") from None
            else:
                self.is_away = False
                return found
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, LAST_RETRY_S)

    async def _answer(
        self, bound: BoundStatement | BatchStatement, profile: str, state: bytes | None
    ) -> tuple[list[Row], bytes | None]:
        """Send one request and wait for its answer: its rows, and where more begin."""
        if self._session is None or self._is_closed:
            raise StorageClosed("the storage is closed")
        answer: asyncio.Future[list[Row]] = asyncio.get_running_loop().create_future()

        def done(rows: list[Row] | None, error: BaseException | None) -> None:
            if answer.done():  # whoever waited was cancelled
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(rows or [])

        call = self._bridge.call
        future = self._session.execute_async(bound, execution_profile=profile, paging_state=state)
        future.add_callbacks(lambda rows: call(done, rows, None), lambda error: call(done, None, error))
        rows = list(await answer)
        return rows, ResultSet(future, rows).paging_state if future.has_more_pages else None

    # The clock.

    async def _keep_clock(self) -> None:
        """Follow the cluster's clock for as long as the session lives."""
        while True:
            await asyncio.sleep(CLOCK_EVERY_S)
            with contextlib.suppress(StorageError):
                await self._read_clock()

    async def _read_clock(self) -> None:
        statement = self.statement("SELECT now() FROM system.local")
        await self.prepare()
        ((moment,),) = await self.execute(statement)
        ahead_s = self.clock.set((moment.time - UUID_EPOCH) // 10)
        if abs(ahead_s) > CLOCK_TOLERANCE_S and not self._has_told_clock:
            self._has_told_clock = True
            self._log.warning(
                "this machine's clock is %.1f s %s the one of %s: writes follow the cluster's",
                *(abs(ahead_s), "ahead of" if ahead_s > 0 else "behind", self.settings),
            )

    # What blocks, on a thread.

    def _connect(self) -> None:
        settings = self.settings
        cluster = Cluster(
            list(settings.hosts),
            port=settings.port,
            protocol_version=PROTOCOL_VERSION,
            sockopts=[
                (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ],  # otherwise a batch waits 40 ms for an acknowledgement
            compression=False,  # it costs the loop's processor more than a network within a datacenter
            auth_provider=PlainTextAuthProvider(settings.user, settings.password) if settings.user else None,
            ssl_context=_tls(settings) if settings.tls else None,
            execution_profiles={READ: self._profile(READ), WRITE: self._profile(WRITE)},
            reconnection_policy=ExponentialReconnectionPolicy(0.2, LAST_RETRY_S, max_attempts=None),
            idle_heartbeat_interval=HEARTBEAT_S,
            idle_heartbeat_timeout=HEARTBEAT_S,
            connect_timeout=settings.timeout_s,
            control_connection_timeout=settings.timeout_s,
        )
        try:
            self._session = cluster.connect()
        except BaseException:
            cluster.shutdown()
            raise
        self._session.use_client_timestamp = False  # our statements carry their own
        self._cluster = cluster

    def _disconnect(self) -> None:
        cluster, self._cluster, self._session = self._cluster, None, None
        if cluster is not None:
            cluster.shutdown()

    def _profile(self, name: str) -> ExecutionProfile:
        settings = self.settings
        consistency = getattr(ConsistencyLevel, settings.consistency)
        is_local = settings.consistency.startswith("LOCAL_")
        quick = settings.speculative_s if name == READ else 0
        return ExecutionProfile(
            load_balancing_policy=TokenAwarePolicy(DCAwareRoundRobinPolicy(settings.datacenter)),
            retry_policy=FallthroughRetryPolicy(),
            consistency_level=consistency,
            serial_consistency_level=ConsistencyLevel.LOCAL_SERIAL if is_local else ConsistencyLevel.SERIAL,
            request_timeout=settings.timeout_s,
            row_factory=tuple_factory,
            speculative_execution_policy=ConstantSpeculativeExecutionPolicy(quick, 1) if quick else None,
        )


def _tls(settings: CassandraSettings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=None if settings.tls_ca is None else str(settings.tls_ca))
    context.check_hostname = settings.tls_check_names
    if settings.tls_certificate is not None:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    return context
