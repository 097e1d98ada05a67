"""Find the checks, run them one after the other, and say how each ended."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import re
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from compliance import suite
from compliance.check import Check, Failed, Level, NotPossible, Outcome, Rule
from compliance.scene import Scene, World
from compliance.stream import TrafficLog

CHECK_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Result:
    """How one check ended.

    Attributes:
        check: the check.
        outcome: see `Outcome`.
        why: what was seen; "" when it passed.
        traffic: lines of the log; empty unless the check failed or broke.
        seconds: how long it took.
    """

    check: Check
    outcome: Outcome
    why: str = ""
    traffic: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_bad(self) -> bool:
        """Whether the check failed or broke."""
        return self.outcome in (Outcome.FAILED, Outcome.BROKEN)


def collect(only: str | None = None) -> list[Check]:
    """Return the checks of `compliance.suite`, in order of file and of place in the file.

    Args:
        only: a regular expression; a check is taken when it is found in its name or its document
            ("XEP-0198"), case ignored.
    """
    names = sorted(info.name for info in pkgutil.iter_modules(suite.__path__))
    modules = [importlib.import_module(f"{suite.__name__}.{name}") for name in names]
    checks: list[Check] = []
    for name, module in zip(names, modules, strict=True):
        for function in vars(module).values():
            rule = getattr(function, "rule", None)
            if isinstance(rule, Rule) and function.__module__ == module.__name__:
                checks.append(Check(f"suite.{name}:{function.__name__}", rule, function))
    wanted = re.compile(only or "", re.IGNORECASE)
    return [c for c in checks if wanted.search(c.name) or wanted.search(c.rule.document)]


async def run_check(check: Check, world: World, limit_s: float = CHECK_LIMIT_S) -> Result:
    """Run one check in a scene of its own. Whatever the check raises becomes its result."""
    log = TrafficLog()
    scene = Scene(world, log)
    started = time.monotonic()
    # A task, so that any exception is looked at as a value and none has to be caught blindly.
    task = asyncio.create_task(_awaited(check, scene), name=check.name)
    done, _ = await asyncio.wait({task}, timeout=limit_s)
    if not done:
        task.cancel()
        await asyncio.wait({task})
    seconds = time.monotonic() - started
    lines = log.lines()
    await scene.end()
    if not done:
        return Result(check, Outcome.FAILED, f"not done within {limit_s:g} s", lines, seconds)
    return _result(check, task.exception(), lines, seconds)


async def _awaited(check: Check, scene: Scene) -> None:
    await check.run(scene)


def _result(check: Check, error: BaseException | None, lines: list[str], seconds: float) -> Result:
    if error is None:
        return Result(check, Outcome.PASSED, seconds=seconds)
    if isinstance(error, NotPossible):
        return Result(check, Outcome.NOT_POSSIBLE, str(error), seconds=seconds)
    if isinstance(error, Failed):
        return Result(check, Outcome.FAILED, str(error), lines, seconds)
    why = "the check itself broke: " + "".join(traceback.format_exception(error)).strip()
    return Result(check, Outcome.BROKEN, why, lines, seconds)


async def run(checks: Iterable[Check], world: World, tell: Callable[[Result], None] | None = None) -> list[Result]:
    """Run the checks in order; `tell` is called with each result as it comes."""
    results = []
    for check in checks:
        result = await run_check(check, world)
        results.append(result)
        if tell is not None:
            tell(result)
    return results


def is_conformant(results: Iterable[Result]) -> bool:
    """Return whether no check of a MUST failed, and none broke."""
    return not any(
        result.outcome is Outcome.BROKEN or (result.is_bad and result.check.rule.level is Level.MUST)
        for result in results
    )
