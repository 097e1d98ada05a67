import pytest

from compliance.declaration import (
    DeclarationError,
    Status,
    contradicted,
    load,
    problems,
    read,
    table,
)
from compliance.runner import collect

GOOD = """
xep = 199
version = "2.0.1"
status = "complete"
since = "0.1.0"
module = "xmppd.modules.xep_0199_ping"

[[requirement]]
section = "4.2"
level = "MUST"
says = "Pings are answered."
test = "suite.xep_0199:domain_answers_ping"
"""
TESTS = {"suite.xep_0199:domain_answers_ping"}


def declared(tmp_path, text: str = GOOD, name: str = "xep_0199_ping"):
    path = tmp_path / f"{name}.toml"
    path.write_text(text)
    return read(path)


# -- the declarations of this project


def test_the_projects_declarations_are_valid():
    assert problems(load(), {check.name for check in collect()}) == []


def test_each_document_of_the_suite_is_declared_or_belongs_to_one_that_is():
    documents = {found.document for found in load()}
    tested = {check.rule.document.removesuffix(" (MUC)") for check in collect()}
    assert tested - documents == set()


def test_the_table_has_a_line_for_each_declaration():
    assert len(table(load()).splitlines()) == 1 + len(load())


# -- reading and judging


def test_a_declaration_is_read_whole(tmp_path):
    found = declared(tmp_path)
    assert (found.document, found.version, found.status) == ("XEP-0199", "2.0.1", Status.COMPLETE)
    assert found.requirements[0].test == "suite.xep_0199:domain_answers_ping"
    assert problems([found], TESTS) == []


def test_an_rfc_needs_no_version(tmp_path):
    text = 'rfc = 6121\nstatus = "planned"\nmodule = "xmppd.modules.rfc_6121_roster"\n'
    found = declared(tmp_path, text, "rfc_6121_roster")
    assert found.document == "RFC 6121"
    assert problems([found], TESTS) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (GOOD + "extra = 1\n", "unknown key 'extra'"),
        ("typo = 1\n" + GOOD, "unknown key 'typo'"),
        (GOOD.replace('status = "complete"\n', ""), "lacks 'status'"),
        (GOOD.replace('"complete"', '"finished"'), "finished"),
        (GOOD.replace('"MUST"', '"OUGHT"'), "OUGHT"),
        (GOOD.replace("xep = 199", 'xep = "199"'), "numbers"),
        (GOOD.replace("xep = 199", "xep = 199\nrfc = 6120"), "either xep or rfc"),
        (GOOD.replace('version = "2.0.1"\n', ""), "lacks 'version'"),
        (GOOD.replace('"4.2"', "4.2"), "section is not a text"),
        ("not toml", "xep_0199_ping.toml"),
    ],
)
def test_what_cannot_be_read_is_told_with_the_files_name(tmp_path, text, complaint):
    with pytest.raises(DeclarationError, match=r"xep_0199_ping\.toml") as error:
        declared(tmp_path, text)
    assert complaint in str(error.value)


@pytest.mark.parametrize(
    ("text", "name", "complaint"),
    [
        (GOOD, "xep_0198_ping", "does not begin with xep_0199"),
        (GOOD, "xep_0199_pong", "is called otherwise"),
        (
            GOOD.replace('test = "suite.xep_0199:domain_answers_ping"', ""),
            "xep_0199_ping",
            "nothing tests the MUST of §4.2",
        ),
        (GOOD.replace("domain_answers", "domain_ignores"), "xep_0199_ping", "there is no test"),
        (GOOD.replace('since = "0.1.0"', ""), "xep_0199_ping", "since is missing"),
        (GOOD.replace('"MUST"', '"SHOULD"'), "xep_0199_ping", "no MUST is listed"),
        (GOOD.replace("xmppd.modules.xep_0199_ping", ""), "xep_0199", "no module, and no note"),
    ],
)
def test_a_broken_promise_is_told(tmp_path, text, name, complaint):
    lines = problems([declared(tmp_path, text, name)], TESTS)
    assert any(complaint in line for line in lines), lines


def test_a_partial_declaration_may_leave_a_must_untested(tmp_path):
    text = GOOD.replace("complete", "partial").replace('test = "suite.xep_0199:domain_answers_ping"', "")
    assert problems([declared(tmp_path, text)], TESTS) == []


def test_a_complete_declaration_may_say_why_a_must_cannot_be_tested(tmp_path):
    text = GOOD.replace('test = "suite.xep_0199:domain_answers_ping"', 'untestable = "takes 2^32 stanzas"')
    assert problems([declared(tmp_path, text)], TESTS) == []


def test_a_document_that_is_passed_on_needs_a_note_in_place_of_a_module(tmp_path):
    text = GOOD.replace("xmppd.modules.xep_0199_ping", "") + "\n"
    text = text.replace('module = ""', 'module = ""\nnote = "passed on untouched"')
    assert problems([declared(tmp_path, text, "xep_0199")], TESTS) == []


def test_a_run_contradicts_a_complete_declaration(tmp_path):
    found = declared(tmp_path)
    name = "suite.xep_0199:domain_answers_ping"
    assert contradicted([found], passed=[name], failed=[], impossible=[]) == []
    assert contradicted([found], passed=[], failed=[], impossible=[]) == []
    assert len(contradicted([found], passed=[], failed=[name], impossible=[])) == 1
    assert len(contradicted([found], passed=[], failed=[], impossible=[name])) == 1


def test_a_run_does_not_contradict_what_was_promised_less_firmly(tmp_path):
    name = "suite.xep_0199:domain_answers_ping"
    partial = declared(tmp_path, GOOD.replace("complete", "partial"))
    assert contradicted([partial], passed=[], failed=[name], impossible=[]) == []
    row = '\n[[requirement]]\nsection = "1"\nlevel = "SHOULD"\nsays = "More."\ntest = "suite.xep_0199:other"\n'
    found = declared(tmp_path, GOOD + row)
    assert contradicted([found], passed=[name], failed=["suite.xep_0199:other"], impossible=[]) == []
    assert contradicted([found], passed=[name], failed=[], impossible=["suite.xep_0199:other"]) == []
