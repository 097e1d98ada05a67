import json

from compliance.check import MUST, SHOULD, Check, Outcome, Rule
from compliance.client import Target
from compliance.report import for_machines, for_people, one_line
from compliance.runner import Result
from compliance.scene import Profile, World

WORLD = World(Target("127.0.0.1", 5222, "a.test"), {}, Profile(software="Some Server 1.0"))
PING = Check("suite.xep_0199:domain_answers_ping", Rule("XEP-0199", "4.2", MUST, "Pings are answered."), None)
CSI = Check("suite.xep_0352:x", Rule("XEP-0352", "4", SHOULD, "States are heard."), None)
RESULTS = [
    Result(PING, Outcome.FAILED, "no answer came\nin time", ["0.001 romeo C: <iq/>"], 5.0),
    Result(CSI, Outcome.PASSED, seconds=0.25),
]


def test_a_result_is_told_on_one_line():
    assert one_line(RESULTS[0]) == "FAILED MUST   suite.xep_0199:domain_answers_ping: no answer came"
    assert one_line(RESULTS[1]) == "ok     SHOULD suite.xep_0352:x"


def test_people_see_the_rule_what_was_seen_and_the_traffic():
    text = for_people(RESULTS, WORLD)
    assert "suite.xep_0199:domain_answers_ping  [XEP-0199 §4.2, MUST]" in text
    assert "rule: Pings are answered." in text
    assert "seen: no answer came" in text
    assert "    0.001 romeo C: <iq/>" in text
    assert "a.test (Some Server 1.0): 1 passed, 1 failed (1 of them for a MUST), 0 not possible." in text
    assert "Mobile  Core" in text


def test_a_partial_run_has_no_score_by_category():
    assert "Mobile" not in for_people(RESULTS, WORLD, whole=False)


def test_machines_get_one_object_that_json_can_write():
    report = json.loads(json.dumps(for_machines(RESULTS, WORLD)))
    assert report["conformant"] is False
    assert report["totals"] == {"passed": 1, "failed": 1, "not-possible": 0, "broken": 0}
    assert report["documents"]["XEP-0199"]["verdict"] == "faulty"
    assert report["documents"]["XEP-0352"]["percent"] == 100
    assert report["categories"]["Mobile"]["Core"]["rows"]["client state indication"] == "supported"
    failed, passed = report["checks"]
    assert (failed["outcome"], failed["section"], failed["traffic"]) == ("failed", "4.2", ["0.001 romeo C: <iq/>"])
    assert passed["outcome"] == "passed"
    assert "traffic" not in passed
