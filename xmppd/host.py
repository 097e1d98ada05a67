"""One virtual host: its accounts, its tables of handlers, and what it shares with the whole server.

Modules see the server through their host alone.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from codec.jid import JID
from codec.stanza import IQ, Stanza
from storage.interface import Backend, KeyValStore, MapStore, StorageFull
from xmppd.clock import Clock, Ids
from xmppd.component import Components
from xmppd.config import Config
from xmppd.errors import StanzaError
from xmppd.hooks import AccessEvent, DeliveredEvent, Filter, Hook, Signal, presence_access, stanza_delivered
from xmppd.logs import get_logger
from xmppd.metrics import Metrics
from xmppd.opaque_ids import OpaqueIds
from xmppd.resource import Account, Resource
from xmppd.sasl.password_work import PasswordWork
from xmppd.uploads.service import Uploads
from xmppd.waking.service import PushService

T = TypeVar("T")
E = TypeVar("E")
Handler = Callable[[Any], Any]


class Shared:
    """What all hosts of a server share.

    Attributes:
        components: who takes what is for domains that are no virtual hosts.
        uploads: files that people send; None: there are none.
        push: wakes devices; None: nobody is woken.
        password_work: hashes passwords, for logins and for new ones.
        route: sends any stanza on by its `to`; returns a coroutine only when it has to wait.
        end_resource: ends a resource for good.
        spawn: runs a coroutine as a task of the server.
    """

    def __init__(self, config: Config, backend: Backend, clock: Clock, metrics: Metrics) -> None:
        self.config = config
        self.backend = backend
        self.clock = clock
        self.ids = Ids(clock)
        self.archive_ids = OpaqueIds(secrets.token_bytes(32))
        self.metrics = metrics
        self.password_work = PasswordWork()
        self.hosts: dict[str, Host] = {}
        self.components = Components()
        self.uploads: Uploads | None = None
        self.push: PushService | None = None
        self.route: Callable[[Stanza], Coroutine[Any, Any, None] | None] = _not_yet
        self.end_resource: Callable[[Resource, str], Coroutine[Any, Any, None]] = _not_yet
        self.spawn: Callable[[Coroutine[Any, Any, None]], object] = _not_yet
        self.started_at = clock.now()


def _not_yet(*_: Any) -> Any:
    raise RuntimeError("the server is not put together yet")


def _time_out(future: "asyncio.Future[IQ]") -> None:
    if not future.done():
        future.set_exception(TimeoutError())


class Host:
    """A virtual host.

    Attributes:
        domain: its JID. handlers: hook -> its handlers, in the order they run.
        iq_handlers, before_login, nonza_handlers, early_nonzas: tables that `xmppd.loader` fills and `xmppd.dispatch`, `xmppd.c2s` read.
        stream_features: what streams offer, as bytes, by the point at which a stream stands (`c2s.send_features`).
        accounts: by bare JID, those in memory.
    """

    def __init__(self, domain: str, shared: Shared) -> None:
        self.domain = JID.parse(domain)
        self.shared = shared
        self.config = shared.config
        self.clock = shared.clock
        self.ids = shared.ids
        self.archive_ids = shared.archive_ids
        self.metrics = shared.metrics
        self.backend = shared.backend
        self.account_store = shared.backend.accounts
        self.archive = shared.backend.archive
        self.work = shared.backend.work
        self.log = get_logger("xmppd.host")
        self.handlers: dict[Hook[Any], tuple[Handler, ...]] = {}
        self.iq_handlers: dict[tuple[str, str, Any], tuple[Handler, type, bool]] = {}
        self.before_login: dict[tuple[str, str], tuple[Handler, type]] = {}
        self.nonza_handlers: dict[str, Callable[[Any, Any], Any]] = {}
        self.early_nonzas: set[str] = set()
        self.part_loaders: dict[type, tuple[Callable[[Account], Awaitable[Any]], bool]] = {}
        self.stream_features: dict[tuple[Any, ...], bytes] = {}
        self.modules: dict[type, Any] = {}
        self.accounts: dict[JID, Account] = {}
        self._idle: dict[JID, None] = {}
        self._loading: dict[JID, asyncio.Future[Account | None]] = {}
        self._requests: dict[tuple[JID, str], asyncio.Future[IQ]] = {}

    # what modules use

    def module(self, cls: type[T]) -> T:
        """Return this host's instance of a module (one that the caller `requires`)."""
        instance: T = self.modules[cls]
        return instance

    def open_store(self, name: str, kind: type) -> KeyValStore | MapStore:
        """Return a module's own store."""
        return self.backend.keyval(name) if kind is KeyValStore else self.backend.map(name)

    def resource(self, jid: JID) -> Resource | None:
        """Return the resource bound under a full JID of this host, or None."""
        account = self.accounts.get(jid.bare)
        return None if account is None else account.resources.get(jid.resourcepart)

    def sessions(self) -> list[Resource]:
        """Return every bound resource of this host."""
        return [resource for account in self.accounts.values() for resource in account.resources.values()]

    def route(self, stanza: Stanza) -> Coroutine[Any, Any, None] | None:
        """Send a stanza on by its `to`; a returned coroutine must be awaited (or spawned)."""
        return self.shared.route(stanza)

    async def send(self, stanza: Stanza) -> None:
        """Send a stanza on by its `to`, waiting where that must wait."""
        waiting = self.shared.route(stanza)
        if waiting is not None:
            await waiting

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine beside everything else."""
        self.shared.spawn(coroutine)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Call back after that many seconds, unless the returned handle is cancelled."""
        return asyncio.get_running_loop().call_later(delay_s, callback)

    async def request(self, iq: IQ, timeout_s: float, send: Callable[[IQ], object] | None = None) -> IQ:
        """Send an iq of ours (with `to` and an `id`) and return the answer, result or error.

        Args:
            send: sends it; None: it is routed.

        Raises:
            TimeoutError: none came in time.
        """
        assert iq.to is not None and iq.id is not None
        key = (iq.to, iq.id)
        running = asyncio.get_running_loop()
        future: asyncio.Future[IQ] = running.create_future()
        self._requests[key] = future
        # no asyncio.timeout: a handler that has not waited yet runs outside of any task (`eager`)
        timer = running.call_later(timeout_s, _time_out, future)
        try:
            if send is None:
                await self.send(iq)
            else:
                send(iq)
            return await future
        finally:
            timer.cancel()
            del self._requests[key]

    def take_answer(self, iq: IQ) -> bool:
        """Give a result or error to whoever waits for it in `request`; return whether somebody did."""
        future = self._requests.get((iq.from_, iq.id or "")) if iq.from_ is not None else None
        if future is None or future.done():
            return False
        future.set_result(iq)
        return True

    # hooks

    def run_filter(self, hook: Filter[E], event: E) -> E | None:
        """Run a filter whose handlers do not wait; None when one of them ended the event's way.

        Raises:
            StanzaError: a handler refused it, or broke.
        """
        current: E | None = event
        for handler in self.handlers.get(hook, ()):
            try:
                current = handler(current)
            except StanzaError:
                raise
            except Exception as error:
                self.log.exception("hook_broke", hook=hook.name, handler=handler.__qualname__)
                raise StanzaError("internal-server-error") from error
            if current is None:
                return None
        return current

    async def run_filter_waiting(self, hook: Filter[E], event: E) -> E | None:
        """Run a filter whose handlers may be coroutines; as `run_filter` otherwise.

        Raises:
            StanzaError: as there.
            StorageFull: a handler found no room for what it had to write.
        """
        current: Any = event
        for handler in self.handlers.get(hook, ()):
            try:
                current = handler(current)
                if asyncio.iscoroutine(current):
                    current = await current
            except (StanzaError, StorageFull):
                raise
            except Exception as error:
                self.log.exception("hook_broke", hook=hook.name, handler=handler.__qualname__)
                raise StanzaError("internal-server-error") from error
            if current is None:
                return None
        return current  # type: ignore[no-any-return]

    def signal(self, hook: Signal[E], event: E) -> None:
        """Tell the handlers of a signal that does not wait."""
        for handler in self.handlers.get(hook, ()):
            try:
                handler(event)
            except Exception:
                self.log.exception("hook_broke", hook=hook.name, handler=handler.__qualname__)

    async def signal_waiting(self, hook: Signal[E], event: E) -> None:
        """Tell the handlers of a signal, and wait for those that are coroutines."""
        for handler in self.handlers.get(hook, ()):
            try:
                result = handler(event)
                if asyncio.iscoroutine(result):
                    await result
            except Exception:
                self.log.exception("hook_broke", hook=hook.name, handler=handler.__qualname__)

    def delivered(self, resource: Resource, stanza: Stanza, archive_id: int) -> None:
        """Tell that a stanza with an archive id has reached a resource."""
        self.signal(stanza_delivered, DeliveredEvent(resource, stanza, archive_id))

    async def may_see(self, account: Account, asker: JID) -> bool:
        """Whether somebody may learn what an account tells those who see its presence: it itself, and its subscribers."""
        if asker.bare == account.jid:
            return True
        event = AccessEvent(account, asker)
        await self.signal_waiting(presence_access, event)
        return event.is_allowed

    # accounts in memory

    async def load_account(self, jid: JID) -> Account | None:
        """Return the account of a bare JID with its parts loaded; None when there is none of that name."""
        account = self.accounts.get(jid)
        if account is not None:
            return account
        loading = self._loading.get(jid)
        if loading is not None:
            return await asyncio.shield(loading)
        self._loading[jid] = future = asyncio.get_running_loop().create_future()
        try:
            account = await self._load(jid)
            future.set_result(account)
        except BaseException as error:
            future.set_exception(error)
            future.exception()  # seen, also when nobody else waits
            raise
        finally:
            del self._loading[jid]
        return account

    async def _load(self, jid: JID) -> Account | None:
        record = await self.account_store.get(jid)
        if record is None:
            return None
        account = Account(jid, self, self._load_part)
        for loader, is_lazy in self.part_loaders.values():
            if not is_lazy:
                account.set_part(await loader(account))
        self.accounts[jid] = account
        self.rest(account)
        return account

    async def _load_part(self, account: Account, cls: type) -> Any:
        loader, _ = self.part_loaders[cls]
        return await loader(account)

    def rest(self, account: Account) -> None:
        """Note that an account has no resource now: it may leave memory when many others do."""
        self._idle.pop(account.jid, None)
        self._idle[account.jid] = None
        while len(self._idle) > self.config.limits.cached_accounts:
            oldest = next(iter(self._idle))
            del self._idle[oldest]
            self.accounts.pop(oldest, None)

    def wake(self, account: Account) -> None:
        """Note that an account has a resource: it stays in memory."""
        self._idle.pop(account.jid, None)
        self.accounts[account.jid] = account

    def forget(self, jid: JID) -> None:
        """Drop an account without resources from memory (it was deleted, or changed from outside)."""
        account = self.accounts.get(jid)
        if account is not None and not account.resources:
            self._idle.pop(jid, None)
            del self.accounts[jid]
