"""What keeping a message costs: `python -m bench.storage_append` prints one JSON line.

One core, the server's event loop, one 300-byte stanza into two owners' histories each time. The loop is kept busy beside it: for
each message it works as long as a message's path takes (`--path-us`), and when as many messages as allowed wait for their
commit it goes on working for nothing (`--idle` lets it rest instead). `cpu_us` is what the storage took a message, user and
system, of all threads, the loop's own work taken off.
"""

import argparse
import asyncio
import json
import os
import random
import resource
import tempfile
import time
from pathlib import Path

import uvloop

from storage.interface import ArchiveCopy, Commit
from storage.sqlite.backend import SqliteBackend

STANZA_BYTES = 300


class Run:
    """One measurement: keeps `in_flight` messages waiting for their commits until `messages` are committed."""

    def __init__(self, backend: SqliteBackend, arguments: argparse.Namespace, spins: int) -> None:
        self.backend = backend
        self.arguments = arguments
        self.spins = spins
        self.sent = self.committed = self.worked = 0
        self.waits_ms: list[float] = []
        self.done = asyncio.get_running_loop().create_future()
        self._random = random.Random(arguments.seed)
        self._names = [f"user{n}@example.org" for n in range(arguments.owners)]
        self._first_id = int(time.time() * 1e6) << 12
        self._counts: dict[Commit, int] = {}
        self._is_scheduled = False

    def step(self) -> None:
        """Handle one message, or work for nothing."""
        self._is_scheduled = False
        can_send = self.sent - self.committed < self.arguments.in_flight and self.sent < self.arguments.messages
        if can_send or not self.arguments.idle:
            spin(self.spins)
            self.worked += 1
        if can_send:
            self._send()
        if (can_send or not self.arguments.idle) and not self.done.done():
            self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self.step)

    def _send(self) -> None:
        self.sent += 1
        one, other = self._random.sample(self._names, 2)
        stanza = b"<message>".ljust(STANZA_BYTES, b"x")
        copies = (
            ArchiveCopy(one, other, "phone", outgoing=True, mark=self.sent),
            ArchiveCopy(other, one, "laptop"),
        )
        commit = self.backend.archive.append(self._first_id + (self.sent << 12), stanza, copies)
        if commit in self._counts:
            self._counts[commit] += 1
        else:
            self._counts[commit] = 1
            started = time.perf_counter()
            commit.add_done_callback(lambda commit: self._committed(commit, started))

    def _committed(self, commit: Commit, started: float) -> None:
        assert commit.error is None, commit.error
        self.waits_ms.append((time.perf_counter() - started) * 1e3)
        self.committed += self._counts.pop(commit)
        if self.committed == self.arguments.messages:
            self.done.set_result(None)
        else:
            self._schedule()


def spin(count: int) -> int:
    """Work as Python code does."""
    total = 0
    for n in range(count):
        total += n
    return total


def cpu_s() -> float:
    """Return user and system time of all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def step_cost_us(run: Run) -> float:
    """Return what a step of the loop with its work takes when nothing is written."""
    loop = asyncio.get_running_loop()
    done, count = loop.create_future(), 20_000
    left = count

    def step() -> None:
        nonlocal left
        spin(run.spins)
        run._random.sample(run._names, 2)
        left -= 1
        if left:
            loop.call_soon(step)
        else:
            done.set_result(None)

    began = cpu_s()
    loop.call_soon(step)
    await done
    return (cpu_s() - began) / count * 1e6


async def measure(arguments: argparse.Namespace, path: Path) -> dict[str, object]:
    """Run once and return the figures."""
    commits: list[float] = []
    backend = SqliteBackend(path, commit_window_ms=arguments.window_ms, on_commit=commits.append)
    await backend.open()
    began = time.process_time()
    spin(1_000_000)
    spins = int(arguments.path_us / (time.process_time() - began))
    run = Run(backend, arguments, spins)
    step_us = await step_cost_us(run)
    commits.clear()
    began_s, began_cpu = time.perf_counter(), cpu_s()
    run.step()
    await run.done
    wall_s, used_s = time.perf_counter() - began_s, cpu_s() - began_cpu
    await backend.close()
    waits = sorted(run.waits_ms)
    return {
        "messages": arguments.messages,
        "owners": arguments.owners,
        "in_flight": arguments.in_flight,
        "messages_per_commit": round(arguments.messages / len(commits), 1),
        "messages_per_s": round(arguments.messages / wall_s),
        "cpu_us": round((used_s * 1e6 - run.worked * step_us) / arguments.messages, 1),
        "path_us": round(step_us, 1),
        "wait_ms_median": round(waits[len(waits) // 2], 2),
        "wait_ms_p99": round(waits[len(waits) * 99 // 100], 2),
        "longest_commit_ms": round(max(commits) * 1e3, 1),
    }


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--in-flight", type=int, default=64, help="messages that wait for their commit, at most")
    parser.add_argument("--owners", type=int, default=1000)
    parser.add_argument("--path-us", type=float, default=15.0, help="the loop's own work for a message")
    parser.add_argument("--idle", action="store_true", help="the loop rests while nothing can be sent")
    parser.add_argument("--window-ms", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=None, help="where the file goes (a real disk)")
    return parser.parse_args(words)


def main() -> None:
    """Measure and print."""
    arguments = parse()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory(dir=arguments.folder or Path.cwd()) as folder:
        print(json.dumps(uvloop.run(measure(arguments, Path(folder) / "bench.db"))))


if __name__ == "__main__":
    main()
