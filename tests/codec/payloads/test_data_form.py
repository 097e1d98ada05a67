"""Data forms: XEP-0004 and XEP-0068."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec.element import parse_element
from codec.jid import JID
from codec.payload import PayloadError
from codec.payloads.data_form import Field, Form, Option, Reported, Row

TEXTS = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=5)
FIELDS = st.builds(
    Field,
    var=st.none() | TEXTS,
    type=st.sampled_from([None, "hidden", "list-multi", "future"]),
    label=st.none() | TEXTS,
    desc=st.none() | TEXTS,
    required=st.booleans(),
    values=st.lists(TEXTS, max_size=2).map(tuple),
    options=st.lists(st.builds(Option, label=st.none() | TEXTS, value=TEXTS), max_size=2).map(tuple),
)
ROWS = st.lists(FIELDS, max_size=2).map(tuple)
FORMS = st.builds(
    Form,
    type=st.sampled_from(["form", "submit", "cancel", "result"]),
    title=st.none() | TEXTS,
    instructions=st.lists(TEXTS, max_size=2).map(tuple),
    fields=ROWS,
    reported=st.none() | st.builds(Reported, fields=ROWS),
    items=st.lists(st.builds(Row, fields=ROWS), max_size=2).map(tuple),
)


@settings(max_examples=30)
@given(FORMS)
def test_form_survives_writing_and_reading(form):
    assert Form.from_element(parse_element(form.to_xml())) == form


def test_form_is_written_as_the_xep_shows():
    form = Form(
        type="form",
        title="Bot",
        instructions=("Fill in",),
        fields=(
            Field(var="kind", type="list-single", label="Kind", required=True, options=(Option(label="A", value="a"),)),
        ),
    )
    assert form.to_xml().decode() == (
        "<x xmlns='jabber:x:data' type='form'><title>Bot</title><instructions>Fill in</instructions>"
        "<field var='kind' type='list-single' label='Kind'><required/>"
        "<option label='A'><value>a</value></option></field></x>"
    )


@pytest.mark.parametrize("xml", ["<x xmlns='jabber:x:data'/>", "<x xmlns='jabber:x:data' type='other'/>"])
def test_form_of_no_type_is_refused(xml):
    with pytest.raises(PayloadError):
        Form.from_element(parse_element(xml.encode()))


def test_values_are_formatted_when_a_form_is_built():
    form = Form.submit(
        "urn:f",
        {"a": True, "b": 7, "c": "x", "d": JID("a@b"), "e": datetime(2026, 1, 2, tzinfo=UTC), "f": ["x", 1], "g": ()},
    )
    assert [(field.var, field.values) for field in form.fields] == [
        ("FORM_TYPE", ("urn:f",)),
        ("a", ("true",)),
        ("b", ("7",)),
        ("c", ("x",)),
        ("d", ("a@b",)),
        ("e", ("2026-01-02T00:00:00Z",)),
        ("f", ("x", "1")),
        ("g", ()),
    ]
    assert Form.result(None, {"a": "b"}) == Form(type="result", fields=(Field(var="a", values=("b",)),))
    assert Field.of("a", "b", label="A") == Field(var="a", values=("b",), label="A")


def test_values_are_found_by_name():
    form = Form.submit(None, {"one": "1", "two": ["a", "b"], "none": ()})
    assert (form.value("one"), form.values("one")) == ("1", ("1",))
    assert (form.value("two"), form.values("two"), form.text("two")) == ("a", ("a", "b"), "a\nb")
    for var in ("none", "other"):
        assert (form.value(var), form.values(var), form.text(var)) == (None, (), None)


def test_values_are_converted():
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    form = Form.submit(None, {"bool": False, "int": 7, "jid": [JID("a@b"), JID("c")], "moment": moment})
    assert form.boolean("bool") is False
    assert form.integer("int", 0, 7) == 7
    assert (form.jid("jid"), form.jids("jid")) == ("a@b", ("a@b", "c"))
    assert form.moment("moment") == moment


def test_absent_values_are_none():
    form = Form.submit(None, {})
    assert [form.boolean("x"), form.integer("x", 0, 1), form.jid("x"), form.moment("x")] == [None] * 4
    assert form.jids("x") == ()


def test_values_that_cannot_be_read_are_malformed():
    form = Form.submit(None, {"x": "@"})
    for get in (form.boolean, form.jid, form.jids, form.moment, lambda var: form.integer(var, 0, 1)):
        with pytest.raises(PayloadError, match="field x"):
            get("x")


@pytest.mark.parametrize(
    ("form_type", "field_type", "found"),
    [
        ("submit", None, "urn:f"),
        ("submit", "hidden", "urn:f"),
        ("submit", "text-single", None),
        ("result", "hidden", "urn:f"),
        ("result", None, None),
    ],
)
def test_form_type_must_be_hidden_but_in_a_submitted_form_may_be_untyped(form_type, field_type, found):
    form = Form(type=form_type, fields=(Field(var="FORM_TYPE", type=field_type, values=("urn:f",)),))
    assert form.form_type == found


def test_only_a_submitted_form_of_the_right_kind_is_expected():
    Form.submit("urn:f", {}).expect("urn:f")
    for form in (Form.submit("urn:g", {}), Form.submit(None, {}), Form.result("urn:f", {})):
        with pytest.raises(PayloadError):
            form.expect("urn:f")
