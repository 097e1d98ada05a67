"""Push in a process: the outboxes, what devices answered, and dead registrations.

Notifications to app servers (XEP-0357) leave by the server's own streams, so the server always sends those. All others it sends
too, unless `push.run` says that `xmppd push` does.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from push.gateway import BadToken, Clock, Device, Gateway, Notification, Outcome
from push.outbox import HISTOGRAM_S, GatewayState, Kept, Outbox, OutboxOptions
from storage.interface import Backend, StorageError
from xmppd.waking.registrar import Registrar, Removed, split_id
from xmppd.waking.registrations import APP_SERVER, Attempt

SAVE_AFTER_S = 2.0
"""How long last results are gathered before they are written: they are for people."""
MAX_UNSAVED = 10_000


class PushService:
    """What modules put notifications into.

    Attributes:
        registrar: where registrations are kept.
        on_removed: called with owner and key when a registration has been removed because it is dead.
        is_running: gateways' names whose outboxes this process empties.
    """

    def __init__(
        self,
        backend: Backend,
        gateways: Sequence[Gateway],
        clock: Clock,
        options: OutboxOptions,
        log: Any,
        *,
        sends: Callable[[str], bool] = lambda _: True,
    ) -> None:
        """Take what it works with.

        Args:
            backend: storage. clock: the time. log: takes events.
            gateways: each with a name of its own. options: of the outboxes.
            sends: whether this process sends what is for a gateway of that name; else it only keeps it.
        """
        self.registrar = Registrar(backend)
        self.gateways = {gateway.name: gateway for gateway in gateways}
        self.on_removed: Removed = lambda owner, key: None
        self._clock, self._log = clock, log
        self._tasks: set[asyncio.Task[None]] = set()
        self._last: OrderedDict[str, Attempt] = OrderedDict()
        self._waiters: dict[str, asyncio.Future[Attempt]] = {}
        self._saver: asyncio.TimerHandle | None = None
        self._sender: asyncio.Task[None] | None = None
        self._outboxes = [
            Outbox(
                backend.work,
                [one for one in gateways if sends(one.name) is is_own],
                clock,
                self,
                options,
                queue_errors=(StorageError,),
            )
            for is_own in (True, False)
        ]
        self.is_running = {name for name in self.gateways if sends(name)}

    # for modules

    @property
    def names(self) -> tuple[str, ...]:
        """The gateways that there are."""
        return tuple(self.gateways)

    def check(self, device: Device) -> None:
        """Raise BadToken when a device can never be reached, or names a gateway that is not set up."""
        gateway = self.gateways.get(device.gateway)
        if gateway is None:
            raise BadToken(f"this server has no gateway {device.gateway!r}")
        gateway.check(device)

    def put(self, notification: Notification) -> Kept | None:
        """Keep a notification for sending; None: it cannot be, and the log says why."""
        name = notification.device.gateway
        if name not in self.gateways:
            return None  # it was set up once, and may be again
        outbox = self._outboxes[0 if name in self.is_running else 1]
        try:
            return outbox.put(notification)
        except (BadToken, StorageError) as error:
            self._log.warning("push_not_kept", device=notification.device.id, reason=str(error))
            return None

    async def wait_for(self, device_id: str, timeout_s: float) -> Attempt | None:
        """Return the next result of a device, None when none came in time."""
        future = self._waiters.setdefault(device_id, asyncio.get_running_loop().create_future())
        try:
            return await asyncio.wait_for(asyncio.shield(future), timeout_s)
        except TimeoutError:
            return None
        finally:
            self._waiters.pop(device_id, None)

    # what is seen of it

    @property
    def counts(self) -> Mapping[tuple[str, str, str], int]:
        """How many attempts ended how, by gateway, result and reason."""
        total: Counter[tuple[str, str, str]] = Counter()
        for outbox in self._outboxes:
            total.update(outbox.counts)
        return total

    @property
    def latency_counts(self) -> Sequence[int]:
        """How many were delivered by bucket of `push.outbox.HISTOGRAM_S`."""
        return [sum(parts) for parts in zip(*(outbox.latency_counts for outbox in self._outboxes), strict=True)]

    @property
    def bounds_s(self) -> Sequence[float]:
        """The buckets' upper bounds but the last, which has none."""
        return HISTOGRAM_S

    async def states(self) -> dict[str, GatewayState]:
        """Return how each gateway is."""
        found: dict[str, GatewayState] = {}
        for outbox in self._outboxes:
            found |= await outbox.states()
        return found

    async def results(self, owner: str) -> dict[str, Attempt]:
        """Return the last results of an account's devices, by key."""
        found = await self.registrar.results(owner)
        unsaved = {split_id(id_)[1]: attempt for id_, attempt in self._last.items() if split_id(id_)[0] == owner}
        return found | unsaved

    # its life

    def start(self) -> None:
        """Begin to send."""
        self._sender = asyncio.get_running_loop().create_task(self._outboxes[0].run())

    async def close(self) -> None:
        """Give back what is on its way, write last results, and let go of connections."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)
        if self._saver is not None:
            self._saver.cancel()
        self._save()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for gateway in self.gateways.values():
            await gateway.close()

    # what outboxes tell (`push.outbox.Observer`)

    def dead(self, notification: Notification, outcome: Outcome) -> None:
        """Remove the registration, unless it was made anew since."""
        task = asyncio.get_running_loop().create_task(self._bury(notification.device, outcome))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _bury(self, device: Device, outcome: Outcome) -> None:
        owner, key = split_id(device.id)
        try:
            if await self.registrar.bury(owner, key, outcome):
                self._log.info("push_device_removed", device=device.id, gateway=device.gateway, reason=outcome.reason)
                self.on_removed(owner, key)
        except StorageError as error:
            self._log.warning("push_device_not_removed", device=device.id, reason=str(error))

    def tried(self, notification: Notification, outcome: Outcome, waited_s: float) -> None:
        """Note a device's last result."""
        id_ = notification.device.id
        attempt = Attempt(self._clock.now_us(), str(outcome.kind), outcome.reason, int(waited_s * 1000))
        self._last[id_] = attempt
        if len(self._last) > MAX_UNSAVED:
            self._last.popitem(last=False)
        waiter = self._waiters.get(id_)
        if waiter is not None and not waiter.done():
            waiter.set_result(attempt)
        if self._saver is None:
            self._saver = asyncio.get_running_loop().call_later(SAVE_AFTER_S, self._save)

    def _save(self) -> None:
        self._saver = None
        last, self._last = self._last, OrderedDict()
        by_owner: dict[str, dict[str, Attempt]] = {}
        for id_, attempt in last.items():
            owner, key = split_id(id_)
            by_owner.setdefault(owner, {})[key] = attempt
        try:
            for owner, attempts in by_owner.items():
                if self.registrar.has_devices(owner):
                    self.registrar.keep_results(owner, attempts)
        except StorageError as error:
            self._log.warning("push_results_not_kept", reason=str(error))

    def paused(self, gateway: str, reason: str, until_us: int) -> None:
        """Log that a gateway is in trouble."""
        wait_s = round((until_us - self._clock.now_us()) / 1e6, 1)
        self._log.warning("push_gateway_paused", gateway=gateway, reason=reason, wait_s=wait_s)

    def opened(self, gateway: str) -> None:
        """Log that a gateway is well again."""
        self._log.info("push_gateway_opened", gateway=gateway)

    def broke(self, gateway: str, error: BaseException) -> None:
        """Log a fault of ours."""
        self._log.error("push_broke", gateway=gateway, exc_info=error)


def is_app_server(name: str) -> bool:
    """Whether a gateway is that of app servers, which only the server reaches."""
    return name == APP_SERVER
