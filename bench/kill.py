"""Kill a server at a random moment under load, again and again, and count what was lost.

    python -m bench.kill --storage sqlite --runs 20 --rate 500 --seed 1

Pairs of clients with XEP-0198 send each other messages. The server is killed with signal 9 some seconds into a run and
started again on the same data; the clients come back as real ones do (resume, else bind anew, read the archive after the
last stanza id they have, become available, send again what was not acknowledged, under the same origin ids). Then every
message that was acknowledged must be in both archives, once, and have reached its recipient, once. One JSON line is printed;
the exit status is 0 only if nothing was lost or doubled.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

from bench.accounts import write_accounts, write_prosody_accounts
from bench.correspondent import Correspondent, Kind
from bench.ledger import Ledger, Verdict
from bench.peers import ProsodyServer
from tests.support.daemon import raise_file_limit
from tests.support.server import ServerProcess

Server = ServerProcess | ProsodyServer
SETTLE_S = 30.0
QUIET_S = 3.0


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", choices=("sqlite",), default="sqlite", help="the storage of our server")
    parser.add_argument("--server", choices=("xmppd", "prosody"), default="xmppd")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--rate", type=float, default=500, help="messages a second, all clients together")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--until-stop", choices=("sigkill", "sigterm"), default="sigkill", help="how the server ends")
    parser.add_argument(
        "--kill-between", type=float, nargs=2, default=(2.0, 6.0), metavar=("FROM", "TO"), help="seconds"
    )
    parser.add_argument("--go-on", type=float, default=1.5, help="seconds of load after the restart")
    parser.add_argument("--folder", type=Path, help="keep data and logs here")
    return parser.parse_args(arguments)


def kind_of(pair: int, is_second: bool) -> Kind:
    """Return how a client behaves: in every tenth pair one comes late, in every tenth one is old."""
    if not is_second or pair % 10 < 8:
        return Kind.STEADY
    return Kind.LATE if pair % 10 == 8 else Kind.CLASSIC


def user_name(run: int, pair: int, is_second: bool) -> str:
    """Return an account of its own for each run."""
    return f"r{run}p{pair}{'b' if is_second else 'a'}"


def prepare(options: argparse.Namespace, folder: Path) -> Server:
    """Make the server's folder with all accounts of all runs, and return the server, not started."""
    users = [
        user_name(run, pair, second)
        for run in range(options.runs)
        for pair in range(options.pairs)
        for second in (False, True)
    ]
    if options.server == "prosody":
        prosody = ProsodyServer(folder, require_tls=False)
        write_prosody_accounts(folder / "data", users)
        return prosody
    server = ServerProcess(folder, settings={"storage.url": f"sqlite:{folder}/data/xmppd.db"})
    asyncio.run(write_accounts(folder / "data" / "xmppd.db", users))
    return server


class Run:
    """One run: load, the end of the server, its return, and the reckoning."""

    def __init__(self, server: Server, options: argparse.Namespace, number: int) -> None:
        self.server, self.options = server, options
        self.chance = random.Random(f"{options.seed}/{number}")
        self.ledger = Ledger()
        self.figures: dict[str, float] = {}
        self.people = [
            Correspondent(
                user_name(number, pair, second),
                user_name(number, pair, not second),
                kind_of(pair, second),
                server.c2s_port,
                self.ledger,
                random.Random(f"{options.seed}/{number}/{pair}/{second}"),
            )
            for pair in range(options.pairs)
            for second in (False, True)
        ]

    async def go(self) -> tuple[Verdict, Counter[str], dict[str, float]]:
        """Do it all, and return the verdict, how the clients came back, and the times."""
        lives = [asyncio.create_task(person.live()) for person in self.people]
        try:
            steady = [person for person in self.people if person.kind is Kind.STEADY]
            await asyncio.wait_for(asyncio.gather(*(person.is_in.wait() for person in steady)), SETTLE_S)
            load = asyncio.create_task(self._load())
            await asyncio.sleep(self.chance.uniform(*self.options.kill_between))
            await self._stop_and_start()
            await asyncio.sleep(self.options.go_on)
            load.cancel()
            await self._settle()
            await asyncio.gather(*(person.read_whole_archive() for person in self.people))
            await asyncio.gather(*(person.leave() for person in self.people))
        finally:
            for life in lives:
                life.cancel()
            await asyncio.gather(*lives, return_exceptions=True)
        counts: Counter[str] = Counter()
        for person in self.people:
            counts.update(person.counts)
        return self.ledger.verdict(), counts, self.figures

    async def _load(self) -> None:
        """Let the clients speak in turn, at the rate asked for, whether the server is there or not."""
        began, said = time.monotonic(), 0
        while True:
            due = int((time.monotonic() - began) * self.options.rate)
            for number in range(said, due):
                self.people[number % len(self.people)].say()
            said = max(said, due)
            await asyncio.sleep(0.004)

    async def _stop_and_start(self) -> None:
        """End the server in the way asked for, start it again, and wait until everybody is back."""
        before = {person.user: sum(person.counts.values()) for person in self.people}
        stop: Callable[[], object] = (
            self.server.kill9 if self.options.until_stop == "sigkill" else self.server.terminate
        )
        began = time.monotonic()
        await asyncio.to_thread(stop)
        self.figures["stop_s"] = time.monotonic() - began
        await asyncio.to_thread(self.server.start)
        self.figures["start_s"] = time.monotonic() - began - self.figures["stop_s"]
        for person in self.people:
            person.may_connect.set()

        def everybody_back() -> bool:
            return all(p.is_in.is_set() and sum(p.counts.values()) > before[p.user] for p in self.people)

        await self._wait(everybody_back, "everybody back")
        self.figures["all_back_s"] = time.monotonic() - began

    async def _settle(self) -> None:
        """Wait until all is acknowledged, and all that is acknowledged has arrived or nothing more comes."""
        await self._wait(lambda: not any(person.waiting for person in self.people), "every message acknowledged")
        quiet_since, missing = time.monotonic(), -1
        while time.monotonic() - quiet_since < QUIET_S:
            now_missing = len(self.ledger.missing_deliveries())
            if now_missing == 0:
                return
            if now_missing != missing:
                quiet_since, missing = time.monotonic(), now_missing
            await asyncio.sleep(0.02)

    async def _wait(self, reached: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + SETTLE_S
        while not reached():
            if time.monotonic() > deadline:
                away = [p.user for p in self.people if not p.is_in.is_set()]
                waiting = {p.user: p.waiting for p in self.people if p.waiting}
                raise TimeoutError(f"not reached: {what}; away {away}, unacknowledged {waiting}")
            await asyncio.sleep(0.01)


def total(verdicts: list[Verdict]) -> dict[str, object]:
    """Add the figures of all runs."""
    sums: dict[str, object] = {}
    for name, value in asdict(Verdict()).items():
        values = [getattr(verdict, name) for verdict in verdicts]
        sums[name] = sum(values, value)
    sums["examples"] = list(sums["examples"])[:10]  # type: ignore[call-overload]
    return sums


def run_all(options: argparse.Namespace, folder: Path, report: Callable[[str], object]) -> dict[str, object]:
    """Do all runs on one server's data, and return the figures of the JSON line."""
    raise_file_limit()
    server = prepare(options, folder)
    verdicts: list[Verdict] = []
    counts: Counter[str] = Counter()
    slowest: dict[str, float] = {}
    with server:
        for number in range(options.runs):
            work: Awaitable[tuple[Verdict, Counter[str], dict[str, float]]] = Run(server, options, number).go()
            verdict, run_counts, figures = asyncio.run(work)  # type: ignore[arg-type]
            verdicts.append(verdict)
            counts.update(run_counts)
            slowest = {name: max(value, slowest.get(name, 0.0)) for name, value in figures.items()}
            report(
                f"# run {number + 1}/{options.runs}: sent {verdict.sent}, acknowledged {verdict.acknowledged},"
                f" lost {verdict.lost}, doubled {verdict.doubled}, all back after {figures['all_back_s']:.2f} s"
            )
    return {
        "server": options.server,
        "storage": options.storage if options.server == "xmppd" else "files",
        "stop": options.until_stop,
        "seed": options.seed,
        "runs": options.runs,
        "rate": options.rate,
        **total(verdicts),
        **counts,
        **{f"{name.removesuffix('_s')}_max_s": round(value, 2) for name, value in slowest.items()},
    }


def main(arguments: list[str] | None = None) -> int:
    """Run it from the command line; return the exit status."""
    options = parse(arguments)
    with tempfile.TemporaryDirectory(prefix="xmppd-kill-") as temporary:
        folder = options.folder or Path(temporary)
        figures = run_all(options, folder, lambda line: print(line, file=sys.stderr, flush=True))
    print(json.dumps(figures))
    return 0 if figures["lost"] == figures["doubled"] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
