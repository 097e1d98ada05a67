"""What a check is: a plain async function with the rule it tests written on it.

```python
check = checks_of("XEP-0199")


@check("4.2", MUST, "A server answers a client's ping with a result.")
async def domain_answers_ping(scene: Scene) -> None:
    scene.needs("urn:xmpp:ping")
    romeo = await scene.login("romeo")
    reply = await romeo.iq("get", "<ping xmlns='urn:xmpp:ping'/>", to=scene.domain)
    require(reply.get("type") == "result", "the ping was answered with an error")
```

The decorator only marks the function; `runner.collect` finds it. A check ends by returning (passed),
by `Failed`, or by `NotPossible` when the server lacks the feature or the run lacks what the check needs.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

CheckFunction = Callable[[Any], Awaitable[None]]


class Level(enum.StrEnum):
    """How strongly the document asks for it (RFC 2119)."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"


MUST, SHOULD, MAY = Level.MUST, Level.SHOULD, Level.MAY


class Outcome(enum.StrEnum):
    """How a check ended. `BROKEN` is a fault of the check itself and counts as a failure."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_POSSIBLE = "not-possible"
    BROKEN = "broken"


class Failed(Exception):
    """The server broke the rule; the message says what was seen."""


class NotPossible(Exception):
    """The server does not offer what the rule is about; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Rule:
    """The rule that a check holds a server to.

    Attributes:
        document: "RFC 6120" or "XEP-0199".
        section: number of the section in that document, such as "4.2".
        level: how strongly it is asked for.
        says: the rule in our own words, one sentence.
    """

    document: str
    section: str
    level: Level
    says: str


@dataclass(frozen=True, slots=True)
class Check:
    """A check with its name, which is "suite.xep_0199:domain_answers_ping"."""

    name: str
    rule: Rule
    run: CheckFunction


def checks_of(document: str) -> Callable[[str, Level, str], Callable[[CheckFunction], CheckFunction]]:
    """Return the decorator that marks the checks of one document; its arguments are section, level and `says`.

    It only marks: the function gets a `rule` and is otherwise as it was.
    """

    def check(section: str, level: Level, says: str) -> Callable[[CheckFunction], CheckFunction]:
        def mark(function: CheckFunction) -> CheckFunction:
            function.rule = Rule(document, section, level, says)  # type: ignore[attr-defined]
            return function

        return mark

    return check


def require(claim: object, otherwise: str) -> None:
    """Fail the check with `otherwise` unless `claim` is true."""
    if not claim:
        raise Failed(otherwise)


def require_equal(seen: object, wanted: object, what: str) -> None:
    """Fail the check, naming both values, unless what was seen is what was wanted."""
    if seen != wanted:
        raise Failed(f"{what} is {seen!r}, wanted {wanted!r}")


def require_in(seen: object, allowed: tuple[object, ...], what: str) -> None:
    """Fail the check unless what was seen is one of the allowed values."""
    if seen not in allowed:
        raise Failed(f"{what} is {seen!r}, wanted one of {', '.join(repr(a) for a in allowed)}")
