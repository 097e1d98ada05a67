"""Declarations: what this server says it implements, one TOML file for each module.

```toml
xep = 199                          # or `rfc = 6121` for a core part
version = "2.0.1"                  # version of the document that was followed; left out for an RFC
status = "complete"                # planned | partial | complete
since = "0.1.0"                    # release that has it; left out while planned
module = "xmppd.modules.xep_0199_ping"
note = ""                          # anything a reader should know

[[requirement]]
section = "4.2"
level = "MUST"                     # MUST | SHOULD | MAY
says = "A server that lists the feature answers a client's ping with a result."
test = "suite.xep_0199:domain_answers_ping"    # left out: nothing tests it yet
untestable = ""                    # in place of test: why no check from outside can tell
```

The file is called after the module: `xep_0199_ping.toml`. A document that a server supports by passing
its elements on untouched (chat states, receipts, markers, ...) has no module: then `module = ""`, the file
is called `xep_0085.toml`, and `note` must say how it is supported; parts of the core that are no modules
(RFC 6120, direct TLS, ...) are declared in the same way. `status = "complete"` promises that each MUST row
names a test, and that the test exists, or says why it cannot be tested from outside.
"""

from __future__ import annotations

import enum
import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compliance.check import Level

FOLDER = Path(__file__).parent / "declarations"
_KEYS = {"xep", "rfc", "version", "status", "since", "module", "note", "requirement"}
_ROW_KEYS = {"section", "level", "says", "test", "untestable"}


class DeclarationError(ValueError):
    """A declaration cannot be read; the message names the file."""


class Status(enum.StrEnum):
    """How much of a document is implemented, as DOAP files say it."""

    PLANNED = "planned"
    PARTIAL = "partial"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One rule of the document; `test` is None while nothing tests it, `untestable` says why nothing will."""

    section: str
    level: Level
    says: str
    test: str | None
    untestable: str = ""


@dataclass(frozen=True, slots=True)
class Declaration:
    """One file; see the module's docstring for the meaning of each field. `xep` or `rfc` is set, never both."""

    name: str
    xep: int | None
    rfc: int | None
    version: str
    status: Status
    since: str
    module: str
    note: str
    requirements: tuple[Requirement, ...]

    @property
    def document(self) -> str:
        """The document's name as checks have it: "XEP-0199" or "RFC 6121"."""
        return f"RFC {self.rfc}" if self.xep is None else f"XEP-{self.xep:04d}"


def load(folder: Path = FOLDER) -> list[Declaration]:
    """Read every declaration in a folder, by name.

    Raises:
        DeclarationError: a file is not TOML, lacks a key, has an unknown one or a value of the wrong kind.
    """
    return [read(path) for path in sorted(folder.glob("*.toml"))]


def read(path: Path) -> Declaration:
    """Read one declaration (see `load` for what it raises)."""
    try:
        return _declaration(path.stem, tomllib.loads(path.read_text(encoding="utf-8")))
    except (KeyError, TypeError, ValueError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise DeclarationError(f"{path.name}: {what}") from error


def _declaration(name: str, table: dict[str, Any]) -> Declaration:
    _refuse_unknown(table, _KEYS, "the file")
    xep, rfc = table.get("xep"), table.get("rfc")
    if (xep is None) == (rfc is None):
        raise ValueError("needs either xep or rfc")
    if not isinstance(xep if rfc is None else rfc, int):
        raise TypeError("xep and rfc are numbers")
    return Declaration(
        name=name,
        xep=xep,
        rfc=rfc,
        version=_text(table, "version", "" if xep is None else None),
        status=Status(_text(table, "status")),
        since=_text(table, "since", ""),
        module=_text(table, "module"),
        note=_text(table, "note", ""),
        requirements=tuple(_requirement(row) for row in table.get("requirement", [])),
    )


def _requirement(row: dict[str, Any]) -> Requirement:
    _refuse_unknown(row, _ROW_KEYS, "a requirement")
    return Requirement(
        section=_text(row, "section"),
        level=Level(_text(row, "level")),
        says=_text(row, "says"),
        test=_text(row, "test", "") or None,
        untestable=_text(row, "untestable", ""),
    )


def _text(table: dict[str, Any], key: str, default: str | None = None) -> str:
    value = table[key] if default is None else table.get(key, default)
    if not isinstance(value, str):
        raise TypeError(f"{key} is not a text")
    return value


def _refuse_unknown(table: dict[str, Any], known: set[str], where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise ValueError(f"{where} has the unknown key {unknown[0]!r}")


def problems(declarations: Iterable[Declaration], tests: Collection[str]) -> list[str]:
    """Return what is wrong with the declarations, a line each; empty when all is well.

    Args:
        tests: names of the checks that exist, such as "suite.xep_0199:domain_answers_ping".
    """
    return [f"{found.name}: {line}" for found in declarations for line in _problems(found, tests)]


def _problems(declared: Declaration, tests: Collection[str]) -> list[str]:
    lines = []
    number = f"rfc_{declared.rfc}" if declared.xep is None else f"xep_{declared.xep:04d}"
    if declared.name != number and not declared.name.startswith(f"{number}_"):
        lines.append(f"the file's name does not begin with {number}")
    if not declared.module:
        if not declared.note:
            lines.append("no module, and no note that says how the document is supported")
    elif declared.module.rpartition(".")[2] not in (declared.name, number):
        lines.append(f"the module {declared.module} is called otherwise")
    if declared.status is not Status.PLANNED and not declared.since:
        lines.append("since is missing")
    musts = [row for row in declared.requirements if row.level is Level.MUST]
    if declared.status is Status.COMPLETE and not musts:
        lines.append("complete, but no MUST is listed")
    for row in declared.requirements:
        is_open = row.test is None and not row.untestable
        if is_open and declared.status is Status.COMPLETE and row.level is Level.MUST:
            lines.append(f"complete, but nothing tests the MUST of §{row.section}: {row.says}")
        if row.test is not None and row.test not in tests:
            lines.append(f"there is no test {row.test}")
    return lines


def table(declarations: Iterable[Declaration]) -> str:
    """Return the declarations as lines for people: document, status, how many rules are listed and tested."""
    lines = ["document    version   status    rules  tested  module"]
    for found in declarations:
        tested = sum(row.test is not None for row in found.requirements)
        module = found.module or f"- ({found.note})"
        lines.append(
            f"{found.document:<12}{found.version:<10}{found.status:<10}{len(found.requirements):>5}{tested:>8}  {module}"
        )
    return "\n".join(lines)


def contradicted(
    declarations: Iterable[Declaration], passed: Collection[str], failed: Collection[str], impossible: Collection[str]
) -> list[str]:
    """Return where a run speaks against a declaration, a line each.

    A `complete` one is contradicted by the failed test of a MUST, and when nothing of it was possible to test. That
    a single test was not possible says nothing: the configuration may have left it out (closed registration).

    Args:
        passed, failed, impossible: names of the checks that ended in these ways; broken ones count as failed.
    """
    lines = []
    for found in declarations:
        if found.status is not Status.COMPLETE:
            continue
        for row in found.requirements:
            if row.level is Level.MUST and row.test in failed:
                lines.append(f"{found.name} is declared complete, but {row.test} failed")
        tests = {row.test for row in found.requirements if row.test is not None}
        if tests & set(impossible) and not tests & {*passed, *failed}:
            lines.append(f"{found.name} is declared complete, but nothing of it could be tested")
    return lines
