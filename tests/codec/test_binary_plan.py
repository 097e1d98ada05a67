"""Plans: what a tree means, and that a tree that means nothing is refused."""

import pytest

from codec import binary_plan as plan_
from codec.binary_cbor import Malformed, encode
from codec.binary_plan import TooLarge, attribute_key, checked, compile_plan, is_ncname, may_declare
from tests.codec.binary_samples import BARE, SHIPPED


def plan_of(*tree, dictionary=BARE, scope=None):
    return compile_plan(b"".join(map(encode, tree)), dictionary.tables, scope or {})


def test_a_plan_is_xml_with_gaps():
    plan = plan_of([["x", "urn:x"], ["a", -1, "b", -2], -1], [["y"], []], -12)
    assert plan.pieces == ("<x xmlns='urn:x' a='", "' b='", "'>", "</x><y/>", "")
    assert plan.gaps == ((-1, True), (-2, True), (-1, False), (-12, False))
    assert plan.text_count == 2
    assert plan.kinds == (5,)
    assert plan.uses == plan_.USES_ID
    assert plan.tags == ("urn:x x", "jabber:client y")
    assert (plan.depth, plan.attributes) == (1, 2)


def test_namespaces_are_written_where_they_change():
    plan = plan_of([["x", "urn:x"], [], [["y"], []], [["z", ""], [], [["w", "urn:x"], []]]])
    assert plan.pieces == ("<x xmlns='urn:x'><y/><z xmlns=''><w xmlns='urn:x'/></z></x>",)


def test_prefixes_stay_what_they_were():
    plan = plan_of([["x", "urn:p", "p", "p", "urn:p", "", "urn:d"], ["p:a", -1], [["y"], []]])
    assert plan.pieces[0] == "<p:x xmlns:p='urn:p' xmlns='urn:d' p:a='"
    assert plan.pieces[1] == "'><y/></p:x>"
    assert plan_of([["x", "urn:p", "p"], []], scope={"p": "urn:p"}).tags == ("urn:p x",)


def test_a_plan_that_would_become_too_much_is_refused():
    large = max(range(len(SHIPPED.tables.chunks)), key=lambda index: SHIPPED.chunk_plan(index).size)
    with pytest.raises(TooLarge):
        plan_of(*[large] * (plan_.MAX_XML_CHARS // SHIPPED.chunk_plan(large).size + 1), dictionary=SHIPPED)


def test_static_values_are_escaped():
    tables = SHIPPED.tables
    index = tables.values.index(" ")
    assert plan_of(plan_.STATIC_TEXT - index, dictionary=SHIPPED).pieces == (" ",)
    with pytest.raises(Malformed):
        plan_of(plan_.STATIC_TEXT - 100_000, dictionary=SHIPPED)


@pytest.mark.parametrize("text", ["", "ok", "\t\n\r", "\x7f\x85\u2028\ufffd\U0010ffff"])
def test_texts_that_xml_can_hold_pass(text):
    assert checked(text) == text


@pytest.mark.parametrize("text", ["\0", "a\x0bb", "\x1f", "\ufffe", "\uffff", "\ud800"])
def test_texts_that_xml_cannot_hold_are_malformed(text):
    with pytest.raises(Malformed):
        checked(text)


@pytest.mark.parametrize(
    ("name", "key"),
    [("a", "a"), ("é", "é"), ("p:a", "urn:p a"), ("xml:lang", "http://www.w3.org/XML/1998/namespace lang")],
)
def test_an_attribute_is_unique_by_namespace_and_name(name, key):
    assert attribute_key(name, {"p": "urn:p"}) == key


@pytest.mark.parametrize("name", ["", "1a", "a b", "a>", "p:", ":a", "q:a", "p:a:b", "xmlns", "xmlns:p", "a="])
def test_names_that_no_attribute_has_are_malformed(name):
    with pytest.raises(Malformed):
        attribute_key(name, {"p": "urn:p"})


def test_prefixes_that_must_not_be_declared():
    assert may_declare("p", "urn:p")
    assert may_declare("", "")
    assert not may_declare("p", "")
    assert not may_declare("xml", "urn:p")
    assert not may_declare("1", "urn:p")


@pytest.mark.parametrize(
    ("name", "is_one"), [("a", True), ("é", True), ("\u07a4", False), ("1a", False), ("a:b", False)]
)
def test_names_are_those_that_parsers_take(name, is_one):
    assert is_ncname(name) == is_one


def test_a_namespace_with_a_space_is_none():
    assert may_declare("p", "urn:x") and not may_declare("p", "urn: x") and not may_declare("", "urn: x")
    for head in (["x", "urn: x"], ["x", "urn:x", "", "p", "urn: x"]):
        with pytest.raises(Malformed):
            compile_plan(encode([head, []]), BARE.tables, {})
