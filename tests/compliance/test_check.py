import pytest

from compliance.check import MUST, SHOULD, Failed, Rule, checks_of, require, require_equal, require_in


def test_the_decorator_marks_and_changes_nothing_else():
    check = checks_of("XEP-0199")

    @check("4.2", MUST, "Pings are answered.")
    async def answers(scene):
        return scene

    assert answers.rule == Rule("XEP-0199", "4.2", MUST, "Pings are answered.")
    assert answers.__name__ == "answers"


def test_levels_read_as_the_rfcs_words():
    assert f"{MUST} {SHOULD}" == "MUST SHOULD"


def test_requirements_say_what_was_seen_and_what_was_wanted():
    require(True, "never")
    require_equal(1, 1, "the count")
    require_in("a", ("a", "b"), "the letter")
    with pytest.raises(Failed, match="it is gone"):
        require([], "it is gone")
    with pytest.raises(Failed, match="the count is 1, wanted 2"):
        require_equal(1, 2, "the count")
    with pytest.raises(Failed, match="the letter is 'c', wanted one of 'a', 'b'"):
        require_in("c", ("a", "b"), "the letter")
