"""`python -m compliance.side_by_side NAME=FILE …`: reports of several servers (`python -m compliance --json`) as one page of Markdown."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

HEAD = """\
# Conformance

The same checks over the wire against three servers, each with the modules that it has for them. Made by `python -m compliance.side_by_side`
from the reports of `python -m compliance --json`; `python -m compliance --list` says what each check is. "Faulty" is a document of which at least one
check for a MUST failed; a dash is one that the server, as it was set up here, does not offer.
"""
SIGNS = {"supported": "yes", "faulty": "**faulty**", "absent": "–", "untested": "untested"}


def page(reports: dict[str, dict[str, Any]]) -> str:
    """Return the page.

    Args:
        reports: by the servers' names, in the order of the columns.
    """
    parts = [HEAD, _totals(reports), _categories(reports), _documents(reports), _failures(reports)]
    return "\n".join(parts)


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _totals(reports: dict[str, dict[str, Any]]) -> str:
    rows = []
    for name, report in reports.items():
        totals = report["totals"]
        must = sum(document["must_failed"] for document in report["documents"].values())
        failed = sum(document["failed"] for document in report["documents"].values())
        rows.append([name, report["software"] or "–", str(totals["passed"]), str(failed), str(must)])
    return _table(["server", "software", "passed", "failed", "of these MUST"], rows)


def _categories(reports: dict[str, dict[str, Any]]) -> str:
    """Return the rows of XEP-0479, met or not, by category and level."""
    first = next(iter(reports.values()))
    rows = []
    for category, levels in first["categories"].items():
        for level, score in levels.items():
            met = [report["categories"][category][level] for report in reports.values()]
            rows.append([f"**{category}, {level}**", *(f"**{one['met']} of {one['required']}**" for one in met)])
            if level == "Advanced" or len(levels) == 1:
                for feature in score["rows"]:
                    rows.append([feature, *(SIGNS[one["rows"].get(feature, "untested")] for one in met)])
    title = "\n## By XEP-0479 (Compliance Suites 2023)\n\nWhat a level asks of a server; the Advanced level asks for all rows of its category.\n\n"
    return title + _table(["", *reports], rows)


def _documents(reports: dict[str, dict[str, Any]]) -> str:
    names = sorted({name for report in reports.values() for name in report["documents"]})
    rows = []
    for name in names:
        cells = []
        for report in reports.values():
            score = report["documents"].get(name)
            tried = 0 if score is None else score["passed"] + score["failed"]
            cells.append(f"{score['passed']} of {tried}" if score is not None and tried else "–")
        rows.append([name, *cells])
    title = "\n## By document\n\nChecks passed of those that were possible.\n\n"
    return title + _table(["", *reports], rows)


def _failures(reports: dict[str, dict[str, Any]]) -> str:
    parts = ["\n## What failed\n"]
    for name, report in reports.items():
        failed = [entry for entry in report["checks"] if entry["outcome"] in ("failed", "broken")]
        parts.append(f"{name}: {'nothing' if not failed else ''}".rstrip() + "\n")
        parts += [f"* {entry['document']} §{entry['section']}, {entry['level']}: {entry['says']}" for entry in failed]
        parts.append("")
    return "\n".join(parts)


def main(arguments: list[str] | None = None) -> int:
    """Print the page."""
    pairs = [argument.partition("=") for argument in (sys.argv[1:] if arguments is None else arguments)]
    if not pairs or not all(file for _, _, file in pairs):
        print("give NAME=FILE for each server", file=sys.stderr)
        return 2
    print(page({name: json.loads(Path(file).read_text()) for name, _, file in pairs}), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
