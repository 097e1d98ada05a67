"""Many pushes through one worker: `python -m bench.push --count N [--rate R] [--down S] [--kill] [--wakeups W]`.

A worker with an outbox on SQLite sends N notifications, each of a conversation of its own, half to APNs and half to FCM: stand-ins that
check what Apple and Google check. In between both are down for S seconds (503), and with --kill the worker is killed (SIGKILL) and begun
again. With --wakeups a phone is woken so often as well (`bench.wakeup`). Printed is one line of JSON:

    accepted    on disk, as the worker says        sent    different ones that arrived
    lost        accepted, and did not arrive       doubled arrived more than once; after a kill at most `push.concurrency` for each gateway
    median_ms   from the put to the arrival, of those that were put while the gateways were well
"""

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import wakeup
from tests.support.ca import make_test_ca
from tests.support.push.apns_server import Misdeed as ApnsMisdeed
from tests.support.push.stand_ins import StandIns, stand_ins
from tests.support.push.web_server import Misdeed
from tests.support.server import ROOT, toml

PATIENCE_S = 120.0
"""How long nothing may arrive before the run is over: a gateway that was down is tried again within 5 minutes, usually far sooner."""


@dataclass(slots=True)
class Run:
    """What has come of a run so far."""

    accepted: int = 0
    cpu_s: float = 0.0
    memory_kib: int = 0
    arrived: Counter[int] = field(default_factory=Counter)
    waits_ms: list[float] = field(default_factory=list)
    down: tuple[float, float] = (0.0, 0.0)

    def took(self, data: dict[str, Any]) -> None:
        """Note one that arrived."""
        self.arrived[int(data["n"])] += 1
        put_s = int(data["put"]) / 1e9
        if not self.down[0] or not self.down[0] - 5 <= put_s <= self.down[1] + 30:
            self.waits_ms.append(1000 * (time.time() - put_s))

    def summary(self, seconds: float) -> dict[str, Any]:
        """Return what is printed."""
        return {
            "accepted": self.accepted,
            "sent": len(self.arrived),
            "lost": sum(number not in self.arrived for number in range(self.accepted)),
            "doubled": sum(count - 1 for count in self.arrived.values()),
            "median_ms": round(statistics.median(self.waits_ms), 1) if self.waits_ms else None,
            "seconds": round(seconds, 1),
            "per_s": round(len(self.arrived) / seconds),
            "worker_cpu_ms_each": round(1000 * self.cpu_s / max(1, len(self.arrived)), 2),
            "worker_memory_mib": round(self.memory_kib / 1024),
        }


class Worker:
    """The process, begun again after a kill."""

    def __init__(self, config: Path, count: int, rate: float, run: Run) -> None:
        self._arguments = ["--config", str(config), "--count", str(count), "--rate", str(rate)]
        self._run = run
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        """Begin, and listen to what it has accepted."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.push_worker", *self._arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        self._listener = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self._run.accepted = max(self._run.accepted, int(line.split()[1]))

    async def kill(self) -> None:
        """End it without a warning, and note what it has used."""
        self._note()
        self.process.kill()
        await self.process.wait()
        await self._listener

    def _note(self) -> None:
        base = Path(f"/proc/{self.process.pid}")
        fields = (base / "stat").read_text().rpartition(")")[2].split()
        self._run.cpu_s += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        peak = next(line for line in (base / "status").read_text().splitlines() if line.startswith("VmHWM"))
        self._run.memory_kib = max(self._run.memory_kib, int(peak.split()[1]))


class Counting(list):  # type: ignore[type-arg]
    """Takes the place of a stand-in's list; keeps nothing but the count of what came."""

    def __init__(self, run: Run, is_apns: bool) -> None:
        super().__init__()
        self._run, self._is_apns = run, is_apns

    def append(self, one: Any) -> None:
        payload = one.payload if self._is_apns else one["data"]
        self._run.took(payload if "n" in payload else payload["data"])


async def measure(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Run it and return what is printed."""
    run = Run()
    async with stand_ins(folder, make_test_ca(folder)) as gateways:
        gateways.apns.pushes, gateways.fcm.messages = Counting(run, True), Counting(run, False)
        config = folder / "xmppd.toml"
        settings = {"push.webpush": False, "push.gateway_per_s": 0, "c2s.require_tls": False, "c2s.listen": []}
        data = {"server.data_dir": str(folder), "server.domains": ["localhost"]}
        config.write_text(toml({**settings, **data, **gateways.settings}))
        worker = Worker(config, options.count, options.rate, run)
        begun_s = time.monotonic()
        await worker.start()
        trouble = asyncio.create_task(_trouble(run, gateways, worker, options))
        try:
            await _until_quiet(run, options.count)
            seconds = time.monotonic() - begun_s
            await asyncio.sleep(1)  # what comes twice comes now
        finally:
            trouble.cancel()
            await worker.kill()
    return run.summary(seconds)


async def _trouble(run: Run, gateways: StandIns, worker: Worker, options: argparse.Namespace) -> None:
    """At a third be down, at two thirds kill."""
    if options.down:
        await _until(run, options.count // 3)
        run.down = (time.time(), time.time() + options.down)
        gateways.apns.always, gateways.fcm.always = ApnsMisdeed(status=503), Misdeed(status=503)
        await asyncio.sleep(options.down)
        gateways.apns.always = gateways.fcm.always = None
    if options.kill:
        await _until(run, options.count * 2 // 3)
        await worker.kill()
        # The stand-in, as Apple, takes no second provider token within 20 minutes, and a worker begun anew makes one: let it forget.
        gateways.apns.provider_tokens.clear()
        await worker.start()


async def _until(run: Run, count: int) -> None:
    while len(run.arrived) < count:  # noqa: ASYNC110  a tenth of a second is exact enough
        await asyncio.sleep(0.1)


async def _until_quiet(run: Run, count: int) -> None:
    """Return when all have arrived, or nothing has for a long time."""
    seen, since_s = -1, time.monotonic()
    while len(run.arrived) < count and time.monotonic() - since_s < PATIENCE_S:
        if len(run.arrived) != seen:
            seen, since_s = len(run.arrived), time.monotonic()
        await asyncio.sleep(0.1)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print one line of JSON; exit code 1 when something was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="notifications (10000)")
    parser.add_argument(
        "--rate", type=float, default=500.0, help="put a second (500); 0: as fast as they are committed"
    )
    parser.add_argument(
        "--down", type=float, default=0.0, metavar="S", help="both gateways are down so long, at a third"
    )
    parser.add_argument("--kill", action="store_true", help="kill the worker at two thirds")
    parser.add_argument("--wakeups", type=int, default=0, metavar="W", help="wake a phone so often, too")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="bench-push-") as folder:
        found = asyncio.run(measure(Path(folder), options))
    if options.wakeups:
        with tempfile.TemporaryDirectory(prefix="bench-push-") as folder:
            found["wakeup"] = asyncio.run(wakeup.measure(Path(folder), options.wakeups)).summary()
    print(json.dumps(found))
    return 1 if found["lost"] else 0


if __name__ == "__main__":
    sys.exit(main())
