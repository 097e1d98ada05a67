"""What is measured: each measure is one scenario of xload and the figures taken from its answer."""

import json
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.contestants import LOAD_CPU, Contestant, pinned


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of a measure: xload's name for it, ours, the unit, and which end is the better one."""

    source: str
    name: str
    unit: str
    factor: float = 1.0
    lower_is_better: bool = True


@dataclass(frozen=True, slots=True)
class Measure:
    """One scenario.

    Attributes:
        name: what --only takes.
        title: for people.
        arguments: of xload, without address; `quick` replaces them with --quick.
        users: accounts needed.
        archive: whether messages are archived.
        all_stores: whether each storage of the peers takes part, or their own alone.
    """

    name: str
    title: str
    arguments: tuple[str, ...]
    quick: tuple[str, ...]
    users: int
    figures: tuple[Figure, ...]
    archive: bool = False
    all_stores: bool = False
    users_quick: int = 0


CPU = Figure("server_us_per_op", "CPU", "µs")
NOISE = ("gen_cpu_pct", "other_cpu_pct", "stolen_cpu_pct", "io_stall_pct", "longest_gap_ms", "server_cpu_pct")
TROUBLE = ("error", "errors", "failures", "lost", "dup", "damaged", "dropped", "reasons", "warning")
SCRAM = ("--sasl", "scram-sha-1")
MESSAGES = ("msgs", "--n", "200", "--rate", "max", "--pipeline", "4", "--sm", *SCRAM)
PER_MESSAGE = (CPU, Figure("delivered_per_s", "messages", "/s", lower_is_better=False))
MEMORY = (
    Figure("pss_per_session", "memory", "KiB", 1 / 1024),
    Figure("login_server_us_per_op", "CPU of a login", "ms", 1 / 1000),
)
LOGINS = (
    Figure("server_us_per_op", "CPU of a login", "ms", 1 / 1000),
    Figure("logins_per_s", "logins", "/s", lower_is_better=False),
)


def _messages(name: str, title: str, archive: bool) -> Measure:
    return Measure(
        name,
        title,
        (*MESSAGES, "--secs", "8", "--warmup", "2"),
        (*MESSAGES, "--secs", "3", "--warmup", "1"),
        200,
        PER_MESSAGE,
        archive=archive,
        all_stores=archive,
    )


def _idle(name: str, title: str, *more: str) -> Measure:
    return Measure(
        name,
        title,
        ("idle", "--n", "5000", "--settle", "12", *SCRAM, *more),
        ("idle", "--n", "2000", "--settle", "8", *SCRAM, *more),
        5000,
        MEMORY,
        users_quick=2000,
    )


def _room(size: int) -> Measure:
    room = ("muc", "--room-size", str(size), "--rate", "max", "--pipeline", "4", *SCRAM)
    return Measure(
        f"room-{size}",
        f"a message in a room of {size}, a delivery",
        (*room, "--secs", "15", "--warmup", "3"),
        (*room, "--secs", "8", "--warmup", "2"),
        size,
        PER_MESSAGE,
    )


MEASURES = (
    _messages("message", "a message with 0198, archive off", False),
    _messages("archived", "a message with 0198, archive on", True),
    _room(100),
    _room(1_000),
    _idle("idle", "an idle session, plain"),
    _idle("idle-tls", "an idle session, TLS 1.3", "--tls"),
    Measure(
        "logins",
        "SCRAM-SHA-1 logins, all at once, 4096 iterations",
        ("storm", "--n", "2000", *SCRAM),
        ("storm", "--n", "500", *SCRAM),
        2000,
        LOGINS,
    ),
)


@dataclass(slots=True)
class Answer:
    """One run of xload: our figures by name, what tells how quiet the machine was, and whether all was well."""

    values: dict[str, float] = field(default_factory=dict)
    noise: dict[str, float] = field(default_factory=dict)
    is_ok: bool = False
    raw: dict[str, Any] = field(default_factory=dict)

    def trouble(self) -> dict[str, Any]:
        """Return what of xload's answer says why a run was not well."""
        return {name: self.raw[name] for name in TROUBLE if self.raw.get(name)}


def run(measure: Measure, contestant: Contestant, xload: Path, *, quick: bool) -> Answer:
    """Run one measure against a server that is up, and return what xload says.

    Raises:
        RuntimeError: xload said nothing.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        out = Path(folder) / "out.jsonl"
        program = str(xload / "xload" / "target" / "release" / "xload")
        address = ["--connect", f"127.0.0.1:{contestant.port}", "--server-pid", str(contestant.pid())]
        scenario, *arguments = measure.quick if quick else measure.arguments
        done = subprocess.run(
            pinned(LOAD_CPU, [program, scenario, *arguments, *address, "--label", contestant.name, "--json", str(out)]),
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        if not out.exists():
            raise RuntimeError(f"xload on {contestant.name} said nothing: {done.stdout}{done.stderr}")
        said = json.loads(out.read_text().splitlines()[-1])
    values = {f.name: said[f.source] * f.factor for f in measure.figures if f.source in said}
    noise = {name: said[name] for name in NOISE if name in said}
    return Answer(values, noise, bool(said.get("ok")), said)
