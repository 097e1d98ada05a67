"""Several servers' reports as one page."""

import json
from pathlib import Path
from typing import Any

import pytest

from compliance.side_by_side import main, page


def report(software: str, passed: int, failed: int, verdict: str) -> dict[str, Any]:
    outcome = "failed" if failed else "passed"
    check = {"document": "XEP-0199", "section": "4.2", "level": "MUST", "says": "It answers.", "outcome": outcome}
    score = {"passed": passed, "failed": failed, "must_failed": failed, "not_possible": 0, "verdict": verdict}
    level = {"met": int(verdict == "supported"), "required": 1, "rows": {"pings": verdict}}
    return {
        "software": software,
        "totals": {"passed": passed, "failed": failed},
        "documents": {"XEP-0199": score},
        "categories": {"Core": {"Core": level, "Advanced": level}},
        "checks": [check],
    }


def test_page_has_totals_rows_documents_and_what_failed_for_each_server() -> None:
    text = page({"one": report("One 1.0", 3, 0, "supported"), "other": report("", 2, 1, "faulty")})
    assert "| one | One 1.0 | 3 | 0 | 0 |" in text and "| other | – | 2 | 1 | 1 |" in text
    assert "| **Core, Advanced** | **1 of 1** | **0 of 1** |" in text and "| pings | yes | **faulty** |" in text
    assert "| XEP-0199 | 3 of 3 | 2 of 3 |" in text
    assert "one: nothing\n" in text and "other:\n\n* XEP-0199 §4.2, MUST: It answers." in text


def test_document_that_a_server_was_not_asked_about_is_a_dash() -> None:
    lacking = report("", 0, 0, "absent")
    lacking["documents"] = {}
    assert "| XEP-0199 | 3 of 3 | – |" in page({"one": report("", 3, 0, "supported"), "other": lacking})


def test_command_line_reads_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "one.json"
    file.write_text(json.dumps(report("One 1.0", 3, 0, "supported")))
    assert main([f"one={file}"]) == 0
    assert "One 1.0" in capsys.readouterr().out
    assert main([]) == main(["one"]) == 2
