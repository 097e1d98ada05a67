"""What a run tells: lines for people, or one JSON object."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import Any

from compliance.check import Outcome
from compliance.runner import Result, is_conformant
from compliance.scene import World
from compliance.score import CategoryScore, DocumentScore, by_category, by_document

MARKS = {Outcome.PASSED: "ok", Outcome.FAILED: "FAILED", Outcome.NOT_POSSIBLE: "--", Outcome.BROKEN: "BROKEN"}


def one_line(result: Result) -> str:
    """Return a result on one line, for telling as the run goes on."""
    first = result.why.splitlines()[0] if result.why else ""
    return f"{MARKS[result.outcome]:<7}{result.check.rule.level:<7}{result.check.name}{f': {first}' if first else ''}"


def for_people(results: list[Result], world: World, *, whole: bool = True) -> str:
    """Return the report: failures with their traffic, then the scores; by category too when the run was `whole`."""
    documents = by_document(results)
    parts = [_failure(result) for result in results if result.is_bad]
    parts.append(_documents(documents))
    if whole:
        parts.append(_categories(by_category(documents)))
    counts = Counter(result.outcome for result in results)
    software = world.profile.software or "unnamed software"
    parts.append(
        f"{world.target.domain} ({software}): {counts[Outcome.PASSED]} passed, "
        f"{counts[Outcome.FAILED] + counts[Outcome.BROKEN]} failed "
        f"({sum(score.must_failed for score in documents.values())} of them for a MUST), "
        f"{counts[Outcome.NOT_POSSIBLE]} not possible."
    )
    return "\n\n".join(parts)


def _failure(result: Result) -> str:
    rule = result.check.rule
    head = f"{MARKS[result.outcome]} {result.check.name}  [{rule.document} §{rule.section}, {rule.level}]"
    traffic = textwrap.indent("\n".join(result.traffic), "    ")
    return f"{head}\n  rule: {rule.says}\n  seen: {textwrap.indent(result.why, '        ').strip()}\n{traffic}"


def _documents(documents: dict[str, DocumentScore]) -> str:
    lines = ["document    passed  failed  (MUST)  not possible  score  verdict"]
    for score in documents.values():
        percent = "-" if score.percent is None else f"{score.percent}%"
        lines.append(
            f"{score.document:<12}{score.passed:>6}{score.failed:>8}{score.must_failed:>8}{score.not_possible:>14}"
            f"{percent:>7}  {score.verdict}"
        )
    return "\n".join(lines)


def _categories(categories: list[CategoryScore]) -> str:
    lines = ["XEP-0479 (2023), server   rows met   rows  checks  what is missing"]
    for score in categories:
        missing = ", ".join(f"{name} ({verdict})" for name, verdict in score.rows.items() if verdict != "supported")
        checks = "-" if score.checks_percent is None else f"{score.checks_percent}%"
        lines.append(
            f"{score.category:<8}{score.level:<18}{score.met:>5}/{len(score.rows):<4}{score.percent:>5}%{checks:>8}  {missing}"
        )
    return "\n".join(lines)


def for_machines(results: list[Result], world: World) -> dict[str, Any]:
    """Return the whole report as one JSON object.

    Keys: `domain`, `server` ("host:port"), `software`, `conformant` (no MUST failed), `totals` by outcome,
    `documents` by name, `categories` by name and level, `checks` in order; a check that failed has `why` and `traffic`.
    """
    documents = by_document(results)
    counts = Counter(result.outcome for result in results)
    categories: dict[str, dict[str, Any]] = {}
    for score in by_category(documents):
        categories.setdefault(score.category, {})[score.level] = {
            "met": score.met,
            "required": len(score.rows),
            "percent": score.percent,
            "checks_percent": score.checks_percent,
            "rows": {name: verdict.value for name, verdict in score.rows.items()},
        }
    return {
        "domain": world.target.domain,
        "server": f"{world.target.host}:{world.target.port}",
        "software": world.profile.software,
        "conformant": is_conformant(results),
        "totals": {outcome.value: counts[outcome] for outcome in Outcome},
        "documents": {name: _document(score) for name, score in documents.items()},
        "categories": categories,
        "checks": [_check(result) for result in results],
    }


def _document(score: DocumentScore) -> dict[str, Any]:
    return {
        "passed": score.passed,
        "failed": score.failed,
        "must_failed": score.must_failed,
        "not_possible": score.not_possible,
        "percent": score.percent,
        "verdict": score.verdict.value,
    }


def _check(result: Result) -> dict[str, Any]:
    rule = result.check.rule
    entry: dict[str, Any] = {
        "name": result.check.name,
        "document": rule.document,
        "section": rule.section,
        "level": rule.level.value,
        "says": rule.says,
        "outcome": result.outcome.value,
        "seconds": round(result.seconds, 3),
    }
    if result.why:
        entry["why"] = result.why
    if result.traffic:
        entry["traffic"] = result.traffic
    return entry
