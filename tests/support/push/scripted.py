"""A clock that tests move, a gateway that does as it is told, and an observer that writes down."""

import asyncio
import heapq
from collections import deque
from collections.abc import Callable

from push.gateway import BadToken, Device, Notification, Outcome, delivered

START_US = 1_800_000_000_000_000


class FakeClock:
    """Time moves only in `advance`, from one sleeper's end to the next."""

    def __init__(self) -> None:
        self.us = START_US
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []
        self._count = 0

    def now_us(self) -> int:
        return self.us

    def monotonic(self) -> float:
        return (self.us - START_US) / 1e6

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self.us + max(1, int(seconds * 1e6)), self._count, future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let so much time pass; everything that is due by then happens."""
        end = self.us + int(seconds * 1e6)
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self.us, _, future = heapq.heappop(self._sleepers)
            if not future.done():
                future.set_result(None)
                await settle()
        self.us = end
        await settle()


async def settle() -> None:
    """Let everything run that can run without time passing."""
    for _ in range(30):
        await asyncio.sleep(0)


class ScriptedGateway:
    """Answers with `outcomes` one by one, then with `otherwise`; remembers what was sent and when."""

    def __init__(self, name: str = "apns", clock: FakeClock | None = None) -> None:
        self.name = name
        self.outcomes: deque[Outcome] = deque()
        self.otherwise: Callable[[Notification], Outcome] = lambda _: delivered()
        self.sent: list[Notification] = []
        self.times_s: list[float] = []
        self.gate: asyncio.Event | None = None
        self.at_once = self.most_at_once = 0
        self.fault: Exception | None = None
        self._clock = clock

    def check(self, device: Device) -> None:
        if not device.token:
            raise BadToken("empty")

    async def send(self, notification: Notification) -> Outcome:
        self.sent.append(notification)
        self.times_s.append(self._clock.monotonic() if self._clock else 0.0)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if self.gate is not None:
                await self.gate.wait()
            if self.fault is not None:
                raise self.fault
            return self.outcomes.popleft() if self.outcomes else self.otherwise(notification)
        finally:
            self.at_once -= 1

    async def close(self) -> None: ...


class Notes:
    """An observer that writes everything down."""

    def __init__(self) -> None:
        self.dead_ones: list[tuple[Notification, Outcome]] = []
        self.outcomes: list[Outcome] = []
        self.waits_s: list[float] = []
        self.pauses: list[tuple[str, str, int]] = []
        self.openings: list[str] = []
        self.faults: list[BaseException] = []
        self._wanted = 0
        self._enough = asyncio.Event()

    async def tried_so_many(self, count: int) -> None:
        """Wait until there are so many outcomes."""
        self._wanted = count
        if len(self.outcomes) < count:
            self._enough.clear()
            await self._enough.wait()

    def dead(self, notification: Notification, outcome: Outcome) -> None:
        self.dead_ones.append((notification, outcome))

    def tried(self, notification: Notification, outcome: Outcome, waited_s: float) -> None:
        self.outcomes.append(outcome)
        self.waits_s.append(waited_s)
        if len(self.outcomes) >= self._wanted:
            self._enough.set()

    def paused(self, gateway: str, reason: str, until_us: int) -> None:
        self.pauses.append((gateway, reason, until_us))

    def opened(self, gateway: str) -> None:
        self.openings.append(gateway)

    def broke(self, gateway: str, error: BaseException) -> None:
        self.faults.append(error)
