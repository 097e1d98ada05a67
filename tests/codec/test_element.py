"""Element: a value, and its way from and to bytes."""

import contextlib
import copy
import gc
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from codec import element as element_module
from codec.element import XML_LANG, XML_NS, XMLNS_NS, Element, escape_text, escape_value, parse_children, parse_element

NAMES = st.sampled_from(["a", "body", "_x", "x-1.y", "é", "名前"])
SPACES = st.sampled_from(["", "jabber:client", "urn:x", "urn:y&'", XML_NS])
LEGAL = st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff")
CHARACTERS = st.text(st.one_of(LEGAL, st.sampled_from("\t\n\r&<>'\"]] \x7f\x85\u2028")), min_size=1, max_size=8)


@st.composite
def tags(draw, spaces=SPACES):
    ns = draw(spaces)
    name = draw(NAMES)
    return f"{ns} {name}" if ns else name


def with_children(elements):
    """Children such as a parser gives: no text is empty or beside another."""
    pairs = st.lists(st.tuples(st.one_of(st.just(""), CHARACTERS), elements | st.just("")), max_size=3)
    return pairs.map(lambda pairs: tuple(joined(pairs)))


def joined(pairs):
    pending = ""
    for text, element in pairs:
        pending += text
        if element:
            if pending:
                yield pending
            pending = ""
            yield element
    if pending:
        yield pending


ATTRS = st.dictionaries(tags(), CHARACTERS, max_size=3)
ELEMENTS = st.recursive(
    st.builds(Element, tags(), ATTRS),
    lambda inner: st.builds(Element, tags(), ATTRS, with_children(inner)),
    max_leaves=6,
)


def same_to_lxml(element, node):
    tag = etree.QName(node)
    assert element.tag == (f"{tag.namespace} {tag.localname}" if tag.namespace else tag.localname)
    assert {key.replace("{", "").replace("}", " "): value for key, value in node.attrib.items()} == element.attrs
    assert (element.text) == "".join([node.text or "", *[child.tail or "" for child in node]])
    for child, child_node in zip(element.elements(), node, strict=True):
        same_to_lxml(child, child_node)


# writing, and reading what was written


@given(ELEMENTS, st.sampled_from(["jabber:client", "urn:x", ""]))
def test_what_is_written_reads_as_the_same(element, default_ns):
    assert parse_element(element.to_xml(default_ns), default_ns) == element


@given(ELEMENTS)
def test_another_parser_reads_the_same(element):
    same_to_lxml(element, etree.fromstring(element.to_xml("")))


@settings(max_examples=50)
@given(ELEMENTS, ELEMENTS)
def test_elements_are_equal_when_what_is_written_is(one, other):
    assert (one == other) == (canonical(one) == canonical(other))


def canonical(element):
    return etree.tostring(etree.fromstring(element.to_xml("")), method="c14n2")


@pytest.mark.parametrize(
    ("element", "xml"),
    [
        (Element("jabber:client a"), "<a/>"),
        (Element("urn:x a"), "<a xmlns='urn:x'/>"),
        (Element("a"), "<a xmlns=''/>"),
        (Element("urn:x a", {}, (Element("urn:x b"),)), "<a xmlns='urn:x'><b/></a>"),
        (
            Element("urn:x a", {}, (Element("jabber:client b"), Element("urn:x c"))),
            "<a xmlns='urn:x'><b xmlns='jabber:client'/><c/></a>",
        ),
        (Element("jabber:client a", {XML_LANG: "de"}), "<a xml:lang='de'/>"),
        (Element(f"{XML_NS} a", {}, (Element("jabber:client b"),)), "<xml:a><b/></xml:a>"),
        (
            Element("jabber:client a", {"b": "1", "urn:x b": "2", "urn:x c": "3", "urn:y b": "4"}),
            "<a b='1' xmlns:ns0='urn:x' ns0:b='2' ns0:c='3' xmlns:ns1='urn:y' ns1:b='4'/>",
        ),
        (Element("jabber:client a", {}, ("]]>&<\r\n'\"",)), "<a>]]&gt;&amp;&lt;&#13;\n'\"</a>"),
        (Element("jabber:client a", {"b": "&<>'\"\t\r\n"}), "<a b='&amp;&lt;&gt;&apos;&quot;&#9;&#13;&#10;'/>"),
        (Element("jabber:client a", {}, ("é😀",)), "<a>é😀</a>"),
    ],
)
def test_written_form(element, xml):
    assert element.to_xml().decode() == xml


@pytest.mark.parametrize("code", [0, 8, 0xB, 0xC, 0x1F, 0xD800, 0xDFFF, 0xFFFE, 0xFFFF])
def test_characters_that_xml_cannot_hold_are_refused(code):
    bad = f"a{chr(code)}b"
    for element in (
        Element("jabber:client a", {}, (bad,)),
        Element("jabber:client a", {"b": bad}),
        Element("jabber:client a", {f"urn:{bad} b": ""}),
        Element(f"urn:{bad} a"),
        Element(f"jabber:client {bad}"),
    ):
        with pytest.raises(ValueError):
            element.to_xml()
    for escape in (escape_text, escape_value):
        with pytest.raises(ValueError):
            escape(bad)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "1a",
        "-a",
        "a:b",
        "a>",
        "a/",
        "a=",
        "a'",
        "\u0301a",
        "a\n",
        "a\u2028",
        "é ",
        "é/",
        "é b='c'",
        "é><é",
        "a:é",
        "\ud800",
    ],
)
def test_what_is_no_name_is_not_written(name):
    with pytest.raises(ValueError):
        Element(f"jabber:client {name}").to_xml()
    with pytest.raises(ValueError):
        Element("jabber:client a", {name: ""}).to_xml()


@pytest.mark.parametrize("ns", [XMLNS_NS, " ", "urn:x y"])
def test_namespaces_that_cannot_be_declared_are_not_written(ns):
    with pytest.raises(ValueError):
        Element(f"{ns} a").to_xml()
    with pytest.raises(ValueError):
        Element("a", {f"{ns} a": ""}).to_xml()


def test_a_declaration_cannot_be_smuggled_in_as_an_attribute():
    for key in ("xmlns", "xmlns:x"):
        with pytest.raises(ValueError):
            Element("jabber:client a", {key: "urn:evil"}).to_xml()


def test_only_short_tags_are_kept_ready():
    before = element_module._tags_of.cache_info().currsize
    long_tag = "urn:x " + "a" * 300
    assert parse_element(Element(long_tag).to_xml()).tag == long_tag
    assert element_module._tags_of.cache_info().currsize == before
    Element("urn:x only-here").to_xml()
    assert element_module._tags_of.cache_info().currsize in (before + 1, 1024)


# reading


@pytest.mark.parametrize(
    ("xml", "element"),
    [
        ("<a/>", Element("jabber:client a")),
        (" \n<a/>\t", Element("jabber:client a")),
        ("<a xmlns='urn:x'><b xmlns=''/></a>", Element("urn:x a", {}, (Element("b"),))),
        ("<x:a xmlns:x='urn:x' x:b='1' b='2'/>", Element("urn:x a", {"urn:x b": "1", "b": "2"})),
        ("<a xml:lang='de'/>", Element("jabber:client a", {XML_LANG: "de"})),
        ("<a>1<![CDATA[<!--2--><?x?>]]>3&amp;&#65;</a>", Element("jabber:client a", {}, ("1<!--2--><?x?>3&A",))),
        ("<a>\r\n</a>", Element("jabber:client a", {}, ("\n",))),
    ],
)
def test_read_form(xml, element):
    assert parse_element(xml.encode()) == element


@pytest.mark.parametrize(
    "xml",
    [
        *["", " ", "a", "<a", "<a>", "</a>", "<a/><b/>", "<a/>x", "x<a/>", "<a></b>", "<a b='1' b='2'/>"],
        *["<x:a/>", "<a x:b=''/>", "<a>&foo;</a>", "<a>&#0;</a>", "<a>&#xD800;</a>", "<a b='<'/>"],
        *["<!--x--><a/>", "<a><!--x--></a>", "<?x y?><a/>", "<a><?x?></a>", "<?xml version='1.0'?><a/>"],
        *["<!DOCTYPE a><a/>", "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "<a><!DOCTYPE a></a>"],
        *[
            "<a/></w><w>",
            "</w><w>",
            "<a/></w>",
            "<a/></w><!--",
            "<a/></w ",
            "<a/><b",
            "<a/><![CDATA[",
            "<a/></w><w a='",
        ],
        *["<a xmlns='urn:x y'/>", "<a xmlns:x=''/>", f"<a xmlns='{XMLNS_NS}'/>", "<a xmlns:xmlns='urn:x'/>"],
        "\ufeff<a/>",
    ],
)
def test_what_is_not_one_plain_element_is_refused(xml):
    with pytest.raises(ValueError):
        parse_element(xml.encode())


@pytest.mark.parametrize(
    "data", [b"<a>\xff</a>", b"<a>\xc3</a>", b"<a>\xed\xa0\x80</a>", b"<a>\x00</a>", b"\xfe\xff<a/>"]
)
def test_what_is_not_utf8_is_refused(data):
    with pytest.raises(ValueError):
        parse_element(data)


@given(st.binary(max_size=30) | st.text(st.sampled_from("<>/aw'= !-[]?&;x:"), max_size=20).map(str.encode))
def test_nothing_but_value_error_is_raised(data):
    for parse in (parse_element, parse_children):
        with contextlib.suppress(ValueError):
            parse(data)


def test_depth_is_limited():
    assert parse_element(b"<a>" * 64 + b"</a>" * 64)
    with pytest.raises(ValueError, match="more than 64"):
        parse_element(b"<a>" * 65 + b"</a>" * 65)
    with pytest.raises(ValueError, match="more than 2"):
        parse_element(b"<a><a><a/></a></a>", max_depth=2)


def test_a_long_text_is_one_child():
    for text in ("x" * 100_000, "é\n" * 40_000):
        assert parse_element(f"<a>{text}</a>".encode()).children == (text,)


def test_children_keep_texts_and_scope():
    inner = b"x<body>y</body><p:z p:q='1'/>"
    assert parse_children(inner, b" xmlns:p='urn:p'") == (
        "x",
        Element("jabber:client body", {}, ("y",)),
        Element("urn:p z", {"urn:p q": "1"}),
    )
    assert parse_children(b"") == ()
    with pytest.raises(ValueError):
        parse_children(inner)
    with pytest.raises(ValueError):
        parse_children(b"</w><w>")


def test_parsing_leaves_no_reference_cycle():
    gc.collect()
    for xml in (b"<a><b c='d'>e</b></a>", b"<a><b></a>", b"<a><!--x--></a>"):
        with contextlib.suppress(ValueError):
            parse_element(xml)
    assert gc.collect() == 0


# the value


def test_parts_of_a_tag():
    assert (Element("urn:x y").ns, Element("urn:x y").name) == ("urn:x", "y")
    assert (Element("y").ns, Element("y").name) == ("", "y")


def test_access_to_attributes_texts_and_children():
    one, two, three = Element("urn:x b", {"n": "1"}), Element("urn:x c", {}, ("deep",)), Element("urn:x b")
    element = Element("urn:x a", {"k": "v"}, ("s", one, "t", two, three))
    assert (element.get("k"), element.get("l"), element.get("l", "d")) == ("v", None, "d")
    assert (element.text, one.text, two.text) == ("st", "", "deep")
    assert element.elements() == (one, two, three)
    assert element.find("urn:x b") is one
    assert element.find("urn:y b") is None
    assert element.find_all("urn:x b") == (one, three)


def test_equality_is_by_value_and_ignores_the_order_of_attributes():
    element = Element("a", {"b": "1", "c": "2"}, (Element("d"), "e"))
    assert element == Element("a", {"c": "2", "b": "1"}, (Element("d"), "e"))
    assert element != Element("a", {"c": "2", "b": "1"}, ("e", Element("d")))
    assert element != Element("x", {"b": "1", "c": "2"}, (Element("d"), "e"))
    assert element != "a"


def test_element_is_immutable():
    element = Element("a")
    for name in ("tag", "children", "other"):
        with pytest.raises(AttributeError):
            setattr(element, name, ())
    with pytest.raises(AttributeError):
        del element.tag


def test_copies_and_pickles_are_equal():
    element = Element("a", {"b": "1"}, (Element("d"), "e"))
    assert copy.copy(element) is element
    assert copy.deepcopy(element) is element
    assert pickle.loads(pickle.dumps(element)) == element


def test_repr_is_what_makes_it():
    element = Element("a", {"b": "1"}, (Element("d"), "e"))
    assert eval(repr(element)) == element
