"""Our figures beside Prosody's and ejabberd's, in one run on this machine.

    python -m bench                    # all measures, three rounds: about half an hour
    python -m bench --quick            # one round, shorter
    python -m bench --only message,archived --rounds 5 --json out.json

One core for the server, one for the load; the servers take turns within each round, on fresh data each. The load is
xload, from the folder given by --xload ($XLOAD, or ~/.cache/xload); without it there is nothing to run. Figures are
medians over the rounds. Archives differ in what they promise: ours has committed and synchronised each message before it is
acknowledged; Prosody's files are never synchronised, Mnesia's every few seconds.
"""

import argparse
import fcntl
import json
import os
import statistics
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from bench.contestants import Contestant, Ours, Peer
from bench.measures import MEASURES, Answer, Measure, run
from tests.support.daemon import raise_file_limit

OURS = "xmppd"
LOUD_PERCENT = 20
Answers = dict[str, dict[str, list[Answer]]]  # measure -> contestant -> one answer a round


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = os.environ.get("XLOAD") or str(Path.home() / ".cache" / "xload")
    parser.add_argument("--xload", type=Path, default=Path(default), help="the folder with xload and its scripts")
    parser.add_argument("--quick", action="store_true", help="one round of short runs")
    parser.add_argument("--rounds", type=int, help="how often (3, with --quick 1)")
    parser.add_argument("--only", default="", help=f"measures, by comma: {', '.join(m.name for m in MEASURES)}")
    parser.add_argument("--servers", default="xmppd,prosody,ejabberd", help="which take part, by comma")
    parser.add_argument("--json", type=Path, help="write all figures here too")
    return parser.parse_args(arguments)


def contestants(measure: Measure, options: argparse.Namespace, folder: Path) -> list[Contestant]:
    """Return the servers of one measure, in their order."""
    wanted = options.servers.split(",")
    every: list[Contestant] = []
    if OURS in wanted:
        every.append(Ours(folder / "ours", options.xload / "certs"))
    for script, stores in (("prosody", ("internal", "sqlite")), ("ejabberd", ("mnesia", "sqlite"))):
        if script in wanted:
            every += [Peer(script, store, options.xload) for store in (stores if measure.all_stores else stores[:1])]
    return every


def measure_all(options: argparse.Namespace, measures: list[Measure], folder: Path) -> Answers:
    """Run every measure against every server, round by round, and return what came of it."""
    answers: Answers = {measure.name: defaultdict(list) for measure in measures}
    rounds = options.rounds or (1 if options.quick else 3)
    for number in range(rounds):
        for measure in measures:
            users = measure.users_quick if options.quick and measure.users_quick else measure.users
            for contestant in contestants(measure, options, folder):
                try:
                    contestant.fresh(users, archive=measure.archive)
                    answer = run(measure, contestant, options.xload, quick=options.quick)
                finally:
                    contestant.stop()
                answers[measure.name][contestant.name].append(answer)
                figures = "  ".join(f"{name} {value:.4g}" for name, value in answer.values.items())
                state = "" if answer.is_ok else f"  NOT OK, left out: {answer.trouble()}"
                progress = f"# {number + 1}/{rounds} {measure.name:10} {contestant.name:16} {figures}{state}"
                print(progress, file=sys.stderr, flush=True)
    return answers


def summarise(measures: list[Measure], answers: Answers) -> list[dict[str, object]]:
    """Return one row for each figure of each measure: the median of each server, and ours by the better peer's.

    Runs in which something was lost, refused or cut are left out, and the row says so (`all_ok`).
    """
    rows: list[dict[str, object]] = []
    for measure in measures:
        for figure in measure.figures:
            medians = {
                name: statistics.median(values)
                for name, runs in answers[measure.name].items()
                if (
                    values := [
                        answer.values[figure.name] for answer in runs if answer.is_ok and figure.name in answer.values
                    ]
                )
            }
            peers = [value for name, value in medians.items() if name != OURS]
            best = (min if figure.lower_is_better else max)(peers, default=None)
            ratio = medians[OURS] / best if best and OURS in medians else None
            rows.append(
                {
                    "measure": measure.name,
                    "title": measure.title,
                    "figure": figure.name,
                    "unit": figure.unit,
                    "medians": medians,
                    "ratio_to_best_peer": ratio,
                    "all_ok": all(answer.is_ok for runs in answers[measure.name].values() for answer in runs),
                }
            )
    return rows


def unrest(answers: Answers) -> str:
    """Return a line that says how often other programs took more than a fifth of a core, "" when never."""
    others = [a.noise.get("other_cpu_pct", 0.0) for of in answers.values() for runs in of.values() for a in runs]
    loud = sum(percent > LOUD_PERCENT for percent in others)
    if not loud:
        return ""
    return f"other programs took over {LOUD_PERCENT} % of a core in {loud} of {len(others)} runs: trust no wall-clock figure"


def table(rows: list[dict[str, object]]) -> str:
    """Return the rows as a table of Markdown."""
    names: list[str] = []
    for row in rows:
        names += [name for name in row["medians"] if name not in names]  # type: ignore[attr-defined]
    lines = [
        "| | " + " | ".join(names) + " | ours : best peer |",
        "|---|" + "---|" * (len(names) + 1),
    ]
    for row in rows:
        medians: dict[str, float] = row["medians"]  # type: ignore[assignment]
        cells = [f"{medians[name]:,.4g}" if name in medians else "" for name in names]
        ratio = row["ratio_to_best_peer"]
        last = f"{ratio:.2f}" if isinstance(ratio, float) else ""
        lines.append(f"| {row['title']}: {row['figure']}, {row['unit']} | {' | '.join(cells)} | {last} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Measure, print the table and the JSON; return the exit status."""
    options = parse(arguments)
    if not (options.xload / "xload" / "target" / "release" / "xload").exists():
        print(f"no xload in {options.xload}: give its folder with --xload", file=sys.stderr)
        return 2
    only = [name for name in options.only.split(",") if name]
    measures = [measure for measure in MEASURES if not only or measure.name in only]
    raise_file_limit()
    lock = (options.xload / "bench.lock").open(
        "w"
    )  # the scripts there know one server of each kind: two at once cut each other
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        print(f"another measurement uses {options.xload}: wait for it", file=sys.stderr)
        return 2
    with lock, tempfile.TemporaryDirectory(prefix="xmppd-bench-") as folder:
        answers = measure_all(options, measures, Path(folder))
    rows = summarise(measures, answers)
    print(table(rows))
    if warning := unrest(answers):
        print(warning, file=sys.stderr)
    every = {
        measure: {
            name: [{**answer.values, **answer.noise, "ok": answer.is_ok} for answer in runs]
            for name, runs in of.items()
        }
        for measure, of in answers.items()
    }
    whole = {"rows": rows, "runs": every}
    print(json.dumps(whole))
    if options.json:
        options.json.write_text(json.dumps(whole, indent=1))
    return 0 if all(row["all_ok"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
