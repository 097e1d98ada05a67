"""From results to scores: by document, and by category of XEP-0479 (XMPP Compliance Suites 2023)."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from compliance.check import Level, Outcome
from compliance.runner import Result


class Verdict(enum.StrEnum):
    """What the checks of one document say together."""

    SUPPORTED = "supported"  # something passed and no MUST failed
    FAULTY = "faulty"  # a MUST failed, or nothing passed
    ABSENT = "absent"  # no check was possible: the server does not offer it
    UNTESTED = "untested"  # the suite, or this run of it, has no check for it


@dataclass(frozen=True, slots=True)
class DocumentScore:
    """The checks of one document, counted.

    Attributes:
        percent: passed among those that passed or failed, 0 to 100; None when there are none.
        must_failed: how many of the failed checks are for a MUST.
    """

    document: str
    passed: int
    failed: int
    not_possible: int
    must_failed: int

    @property
    def percent(self) -> int | None:
        """Share of the possible checks that passed."""
        tried = self.passed + self.failed
        return round(100 * self.passed / tried) if tried else None

    @property
    def verdict(self) -> Verdict:
        """The document's verdict (see `Verdict`)."""
        if self.passed + self.failed == 0:
            return Verdict.ABSENT if self.not_possible else Verdict.UNTESTED
        return Verdict.SUPPORTED if self.passed and not self.must_failed else Verdict.FAULTY


@dataclass(frozen=True, slots=True)
class Requirement:
    """One row of XEP-0479's tables, as it applies to servers.

    Attributes:
        feature: our name for the row.
        providers: the documents that must all be supported.
        core: whether the Core level asks for it; the Advanced level asks for every row here.
    """

    feature: str
    providers: tuple[str, ...]
    core: bool = True


# XEP-0479 0.1.0 §2: rows where "Server" or "Advanced Server" says yes. Rows with "N/A" or "no" for both are left out.
CATEGORIES: dict[str, tuple[Requirement, ...]] = {
    "Core": (
        Requirement("core features", ("RFC 6120",)),
        Requirement("TLS", ("RFC 7590",)),
        Requirement("direct TLS", ("XEP-0368",), core=False),
        Requirement("feature discovery", ("XEP-0030",)),
        Requirement("feature broadcasts", ("XEP-0115",), core=False),
        Requirement("server extensibility", ("XEP-0114",)),
        Requirement("event publishing", ("XEP-0163",), core=False),
    ),
    "Web": (Requirement("web connection mechanisms", ("RFC 7395", "XEP-0206")),),
    "IM": (
        Requirement("core features", ("RFC 6121",)),
        Requirement("avatar conversion", ("XEP-0398", "XEP-0153"), core=False),
        Requirement("vcard-temp", ("XEP-0054",)),
        Requirement("outbound message synchronisation", ("XEP-0280",)),
        Requirement("user blocking", ("XEP-0191",), core=False),
        Requirement("group chat", ("XEP-0045", "XEP-0249")),
        Requirement("advanced group chat", ("XEP-0048", "XEP-0313 (MUC)", "XEP-0402", "XEP-0410"), core=False),
        Requirement("private data by pubsub", ("XEP-0223",), core=False),
        Requirement("private XML storage", ("XEP-0049",), core=False),
        Requirement("stream management", ("XEP-0198",), core=False),
        Requirement("history", ("XEP-0313",), core=False),
        Requirement("file upload", ("XEP-0363",)),
    ),
    "Mobile": (
        Requirement("stream management", ("XEP-0198",)),
        Requirement("client state indication", ("XEP-0352",)),
        Requirement("push notifications", ("XEP-0357",), core=False),
    ),
    "A/V": (Requirement("STUN and TURN discovery", ("XEP-0215",)),),
}
LEVELS = ("Core", "Advanced")


@dataclass(frozen=True, slots=True)
class CategoryScore:
    """How far one category is met at one level.

    Attributes:
        rows: verdict by feature; a row's is the worst among its providers.
        passed, tried: checks of the rows' documents that passed, and that passed or failed.
    """

    category: str
    level: str
    rows: dict[str, Verdict]
    passed: int
    tried: int

    @property
    def met(self) -> int:
        """How many rows are supported."""
        return sum(verdict is Verdict.SUPPORTED for verdict in self.rows.values())

    @property
    def percent(self) -> int:
        """Share of the rows that are supported; what is untested is not counted as met."""
        return round(100 * self.met / len(self.rows))

    @property
    def checks_percent(self) -> int | None:
        """Share of the tried checks that passed; None when none was tried."""
        return round(100 * self.passed / self.tried) if self.tried else None


def by_document(results: Iterable[Result]) -> dict[str, DocumentScore]:
    """Count the results by document, in the documents' order."""
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(result.check.rule.document, []).append(result)
    return {document: _count(document, groups[document]) for document in sorted(groups)}


def _count(document: str, results: list[Result]) -> DocumentScore:
    bad = [result for result in results if result.is_bad]
    return DocumentScore(
        document=document,
        passed=sum(result.outcome is Outcome.PASSED for result in results),
        failed=len(bad),
        not_possible=sum(result.outcome is Outcome.NOT_POSSIBLE for result in results),
        must_failed=sum(result.check.rule.level is Level.MUST or result.outcome is Outcome.BROKEN for result in bad),
    )


def by_category(documents: dict[str, DocumentScore]) -> list[CategoryScore]:
    """Return the score of each category at the Core and the Advanced level."""
    return [
        _category(category, level, [row for row in rows if row.core or level == "Advanced"], documents)
        for category, rows in CATEGORIES.items()
        for level in LEVELS
    ]


def _category(category: str, level: str, rows: list[Requirement], documents: dict[str, DocumentScore]) -> CategoryScore:
    tested = [documents[name] for row in rows for name in row.providers if name in documents]
    return CategoryScore(
        category=category,
        level=level,
        rows={row.feature: _worst(row, documents) for row in rows},
        passed=sum(score.passed for score in tested),
        tried=sum(score.passed + score.failed for score in tested),
    )


def _worst(row: Requirement, documents: dict[str, DocumentScore]) -> Verdict:
    seen = {documents[name].verdict if name in documents else Verdict.UNTESTED for name in row.providers}
    return next(v for v in (Verdict.FAULTY, Verdict.ABSENT, Verdict.UNTESTED, Verdict.SUPPORTED) if v in seen)
