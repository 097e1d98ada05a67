from compliance.check import MUST, SHOULD, Check, Outcome, Rule
from compliance.runner import Result
from compliance.score import CATEGORIES, Verdict, by_category, by_document


def result(document: str, outcome: Outcome, level=MUST) -> Result:
    return Result(Check("suite.x:y", Rule(document, "1", level, "says"), None), outcome)


def verdict(*outcomes) -> Verdict:
    return by_document([result("XEP-0001", outcome, level) for outcome, level in outcomes])["XEP-0001"].verdict


def test_results_are_counted_by_document():
    results = [
        result("XEP-0002", Outcome.PASSED),
        result("XEP-0001", Outcome.PASSED),
        result("XEP-0001", Outcome.FAILED),
        result("XEP-0001", Outcome.FAILED, SHOULD),
        result("XEP-0001", Outcome.NOT_POSSIBLE),
        result("XEP-0001", Outcome.BROKEN, SHOULD),
    ]
    scores = by_document(results)
    assert list(scores) == ["XEP-0001", "XEP-0002"]
    one = scores["XEP-0001"]
    assert (one.passed, one.failed, one.not_possible, one.must_failed) == (1, 3, 1, 2)
    assert one.percent == 25


def test_a_document_is_supported_when_something_passed_and_no_must_failed():
    assert verdict((Outcome.PASSED, MUST), (Outcome.FAILED, SHOULD), (Outcome.NOT_POSSIBLE, MUST)) is Verdict.SUPPORTED


def test_a_failed_must_makes_a_document_faulty():
    assert verdict((Outcome.PASSED, MUST), (Outcome.FAILED, MUST)) is Verdict.FAULTY


def test_a_document_of_which_nothing_passed_is_faulty():
    assert verdict((Outcome.FAILED, SHOULD)) is Verdict.FAULTY


def test_a_document_of_which_nothing_was_possible_is_absent():
    assert verdict((Outcome.NOT_POSSIBLE, MUST)) is Verdict.ABSENT
    assert by_document([result("XEP-0001", Outcome.NOT_POSSIBLE)])["XEP-0001"].percent is None


def category(name: str, level: str, *results: Result):
    return next(c for c in by_category(by_document(results)) if (c.category, c.level) == (name, level))


def test_a_category_counts_its_rows_and_what_is_untested_is_not_met():
    mobile = category("Mobile", "Advanced", result("XEP-0198", Outcome.PASSED), result("XEP-0352", Outcome.FAILED))
    assert mobile.rows == {
        "stream management": Verdict.SUPPORTED,
        "client state indication": Verdict.FAULTY,
        "push notifications": Verdict.UNTESTED,
    }
    assert (mobile.met, mobile.percent) == (1, 33)
    assert (mobile.passed, mobile.tried, mobile.checks_percent) == (1, 2, 50)


def test_the_core_level_leaves_out_what_only_the_advanced_level_asks_for():
    core = category("Mobile", "Core", result("XEP-0198", Outcome.PASSED), result("XEP-0352", Outcome.PASSED))
    assert set(core.rows) == {"stream management", "client state indication"}
    assert core.percent == 100


def test_a_row_is_as_good_as_the_worst_of_its_documents():
    web = category("Web", "Core", result("RFC 7395", Outcome.PASSED))
    assert web.rows == {"web connection mechanisms": Verdict.UNTESTED}
    web = category("Web", "Core", result("RFC 7395", Outcome.PASSED), result("XEP-0206", Outcome.NOT_POSSIBLE))
    assert web.rows == {"web connection mechanisms": Verdict.ABSENT}


def test_a_category_without_a_tried_check_has_no_share_of_checks():
    assert category("A/V", "Core").checks_percent is None


def test_the_five_categories_are_there():
    assert list(CATEGORIES) == ["Core", "Web", "IM", "Mobile", "A/V"]
