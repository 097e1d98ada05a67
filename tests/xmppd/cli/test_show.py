"""Findings as people and machines see them."""

import json

from xmppd.cli.findings import Finding
from xmppd.cli.show import show, view


def test_people_see_a_line_for_each():
    text = view([Finding("a", "ok", "fine"), Finding("longer", "fault", "[red]broken")]).plain
    assert text == "ok      a       fine\nfault   longer  [red]broken"


def test_the_exit_code_tells_of_faults_alone(capsys):
    assert show([Finding("a", "ok", "fine"), Finding("b", "warning", "old"), Finding("c", "skipped", "no")], False) == 0
    assert "fine" in capsys.readouterr().out
    assert show([Finding("a", "ok", "fine"), Finding("b", "fault", "broken")], True) == 1
    assert json.loads(capsys.readouterr().out)[1] == {"about": "b", "state": "fault", "detail": "broken"}
