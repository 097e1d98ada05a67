import asyncio
import importlib
import re
from pathlib import Path

import pytest

from compliance import runner, suite
from compliance.check import MUST, SHOULD, Check, Failed, NotPossible, Outcome, Rule
from compliance.runner import Result, collect, is_conformant, run, run_check
from compliance.scene import Profile, World
from tests.compliance.fake_server import ACCOUNTS, FakeServer

RULE = Rule("XEP-0000", "1", MUST, "Things work.")


def result(outcome: Outcome, level=MUST) -> Result:
    return Result(Check("suite.x:y", Rule("XEP-0000", "1", level, "says"), None), outcome)


async def outcome_of(function, server: FakeServer, **options) -> Result:
    world = World(server.target(), ACCOUNTS, Profile())
    return await run_check(Check("suite.x:y", RULE, function), world, **options)


async def test_a_check_that_returns_has_passed():
    async def check(scene) -> None:
        romeo = await scene.login("romeo")
        await romeo.roundtrip()

    async with FakeServer() as server:
        passed = await outcome_of(check, server)
    assert (passed.outcome, passed.why, passed.traffic) == (Outcome.PASSED, "", [])


async def test_a_failed_check_keeps_its_traffic():
    async def check(scene) -> None:
        romeo = await scene.login("romeo")
        await romeo.send("<message id='m1'/>")
        raise Failed("the server broke the rule")

    async with FakeServer() as server:
        failed = await outcome_of(check, server)
    assert (failed.outcome, failed.why) == (Outcome.FAILED, "the server broke the rule")
    assert any("<message id='m1'/>" in line for line in failed.traffic)


async def test_a_missing_feature_is_not_possible():
    async def check(scene) -> None:
        raise NotPossible("no such feature")

    async with FakeServer() as server:
        assert (await outcome_of(check, server)).outcome is Outcome.NOT_POSSIBLE


async def test_a_check_that_raises_anything_else_is_broken():
    async def check(scene) -> None:
        raise KeyError("oops")

    async with FakeServer() as server:
        broken = await outcome_of(check, server)
    assert broken.outcome is Outcome.BROKEN
    assert "KeyError" in broken.why


async def test_a_check_that_does_not_end_fails_at_the_limit():
    async def check(scene) -> None:
        await asyncio.Event().wait()

    async with FakeServer() as server:
        failed = await outcome_of(check, server, limit_s=0.05)
    assert (failed.outcome, failed.why) == (Outcome.FAILED, "not done within 0.05 s")


async def test_results_are_told_as_they_come():
    async def check(scene) -> None:
        return None

    told: list[str] = []
    async with FakeServer() as server:
        world = World(server.target(), ACCOUNTS, Profile())
        checks = [Check(f"suite.x:{name}", RULE, check) for name in "ab"]
        results = await run(checks, world, lambda one: told.append(one.check.name))
    assert told == ["suite.x:a", "suite.x:b"] == [one.check.name for one in results]


@pytest.mark.parametrize(
    ("outcomes", "conformant"),
    [
        ([(Outcome.PASSED, MUST), (Outcome.NOT_POSSIBLE, MUST)], True),
        ([(Outcome.FAILED, SHOULD)], True),
        ([(Outcome.PASSED, MUST), (Outcome.FAILED, MUST)], False),
        ([(Outcome.BROKEN, SHOULD)], False),
    ],
)
def test_only_a_failed_must_or_a_broken_check_makes_a_server_nonconformant(outcomes, conformant):
    assert is_conformant([result(outcome, level) for outcome, level in outcomes]) is conformant


# -- the suite itself


def test_every_check_of_the_suite_is_found_and_named_after_its_file():
    files = {path.stem for path in Path(suite.__path__[0]).glob("*.py")} - {"__init__"}
    names = [check.name for check in collect()]
    assert len(names) == len(set(names))
    assert {name.partition(":")[0].removeprefix("suite.") for name in names} == files


def test_checks_can_be_chosen_by_name_or_document():
    assert {check.rule.document for check in collect("xep-0199")} == {"XEP-0199"}
    assert [check.name for check in collect("domain_answers_ping")] == ["suite.xep_0199:domain_answers_ping"]


def test_every_rule_is_a_sentence_with_a_section_and_a_known_document():
    for check in collect():
        assert re.fullmatch(r"RFC \d{4}|XEP-\d{4}( \(MUC\))?", check.rule.document), check.name
        assert re.fullmatch(r"(\d+|[A-Z])(\.\d+)*", check.rule.section), check.name
        assert check.rule.says.endswith(".") and len(check.rule.says) > 20, check.name


def test_each_document_has_at_least_three_checks():
    counts: dict[str, int] = {}
    for check in collect():
        counts[check.rule.document] = counts.get(check.rule.document, 0) + 1
    assert {document for document, count in counts.items() if count < 3} == set()


def test_the_suite_imports_nothing_of_ours():
    folder = Path(runner.__file__).parent
    for path in folder.rglob("*.py"):
        imported = re.findall(r"^(?:from|import) (\w+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        assert not {"codec", "storage", "xmppd", "push", "bench", "tests"} & set(imported), path


def test_importing_the_suite_registers_nothing():
    before = [check.name for check in collect()]
    importlib.reload(importlib.import_module("compliance.suite.xep_0199"))
    assert [check.name for check in collect()] == before
