"""JIDs: RFC 7622."""

import copy
import gc
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from precis_i18n import get_profile

from codec import jid as jid_module
from codec.jid import JID, InvalidJID, prepare_domainpart, prepare_localpart, prepare_resourcepart

ASCII = st.text(st.characters(max_codepoint=0x7F), max_size=12)
# Letters of several scripts, marks, wide forms, separators, controls and half a surrogate pair.
ODD = st.text(
    st.sampled_from("aZ9-.@/ '\x00éßΣςİ\u0301\u0323가ᄀאب٠①ａ．。＠／ｱ\u00a0\u200d\u3000\ud800😀"), max_size=8
)
TEXTS = st.one_of(ASCII, ODD, st.text(max_size=8))
ADDRESSES = st.one_of(
    TEXTS,
    st.builds("{}@{}".format, TEXTS, TEXTS),
    st.builds("{}/{}".format, TEXTS, TEXTS),
    st.builds("{}@{}/{}".format, TEXTS, TEXTS, TEXTS),
)


def prepared(prepare, text):
    try:
        return prepare(text)
    except InvalidJID:
        return None


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("example.org", ("", "example.org", "")),
        ("romeo@example.org", ("romeo", "example.org", "")),
        ("example.org/orchard", ("", "example.org", "orchard")),
        ("romeo@example.org/orchard", ("romeo", "example.org", "orchard")),
        ("example.org/a@b/c", ("", "example.org", "a@b/c")),
        ("romeo@example.org/ a@b ", ("romeo", "example.org", " a@b ")),
        ("a@[::1]/x", ("a", "[::1]", "x")),
        ("a@127.0.0.1", ("a", "127.0.0.1", "")),
    ],
)
def test_text_splits_at_first_slash_then_first_at(text, parts):
    jid = JID.parse(text)
    assert (jid.localpart, jid.domainpart, jid.resourcepart) == parts
    assert jid == text


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("Romeo@Example.ORG/Balcony", "romeo@example.org/Balcony"),
        ("example.org.", "example.org"),
        ("a@example.org./x", "a@example.org/x"),
        ("e\u0301@x", "é@x"),
        ("Ünï@BÜCHER.example", "ünï@bücher.example"),
        ("xn--bcher-kva.example", "bücher.example"),
        ("XN--BCHER-KVA.Example", "bücher.example"),
        ("straße@straße.example/ß", "straße@straße.example/ß"),
        ("ｒｏｍｅｏ@ｅｘａｍｐｌｅ．ｏｒｇ", "romeo@example.org"),
        ("x/a\u00a0b", "x/a b"),
        ("x/e\u0301", "x/é"),
        ("[0:0::FFFF:1]", "[::ffff:1]"),
        ("#$%()*+,-.;=?[\\]^_`{|}~!@x", "#$%()*+,-.;=?[\\]^_`{|}~!@x"),
    ],
)
def test_each_part_is_prepared(text, normal):
    assert JID.parse(text) == normal


@pytest.mark.parametrize(
    "text",
    [
        *["", "@", "/", "@x", "a@", "x/", "a@b/", "/x", "a@/x", "a@b@c"],
        *[".", "a..b", ".a", "a..", "-a.b", "a-.b", "ab--c.d", "a_b.c", "a b", "a:5222"],
        *["[", "[]", "[::1", "::1", "[127.0.0.1]", "[fe80::1%eth0]", "[::1].x"],
        *["xn--", "xn--abc", "xn--a.b", "xn--zz--", "xn--\u00fc.b", "xn--bcher-kva-.b"],
        *["☃.net", "a\u3002b", "\u0301a.b", "1א.b", "l·a.b", "\ud800.b", "Ⅳ.b"],
        *[f"a{c}b@x" for c in "\"&':<>\u0000\u007f\u00a0 \ud800☃Ⅳ\u200d"],
        *["a＠b@x", "a／b@x", "٠1א۰@x"],
        *["x/\u0000", "x/\n", "x/\u007f", "x/\ud800", "x/\u200b", "x/\ufdd0"],
    ],
)
def test_what_is_no_address_is_refused(text):
    with pytest.raises(InvalidJID):
        JID.parse(text)


@pytest.mark.parametrize("letter", ["a", "é"])
def test_parts_end_at_1023_bytes(letter):
    size = len(letter.encode())
    fits = letter * (1023 // size)
    assert JID.parse(f"{fits}@x/{fits}").localpart == fits
    for text in (f"{fits}{letter}@x", f"x/{fits}{letter}"):
        with pytest.raises(InvalidJID, match="longer than 1023 bytes"):
            JID.parse(text)
    domain = ".".join([letter * 20] * (1024 // (20 * size + 1)))
    assert JID.parse(domain) == domain
    with pytest.raises(InvalidJID, match="longer than 1023 bytes"):
        JID.parse(f"{domain}.{letter * 20}")


def test_labels_end_at_63_bytes_as_dns_sees_them():
    assert JID.parse("x" * 63 + ".y")
    assert JID.parse("é" * 57 + ".y")
    for label in ("x" * 64, "é" * 58):
        with pytest.raises(InvalidJID, match="63 bytes"):
            JID.parse(f"{label}.y")


def test_decomposed_text_that_shrinks_to_the_limit_is_taken():
    assert JID.parse("e\u0301" * 511 + "@x").localpart == "é" * 511


def test_endless_text_is_refused_before_the_slow_preparation(monkeypatch):
    monkeypatch.setattr(jid_module, "_profile", lambda name: pytest.fail("prepared"))
    for text in ("é" * 100_000 + "@x", "x/" + "é" * 100_000, "é" * 100_000, "x/" + "a" * 100_000):
        with pytest.raises(InvalidJID):
            JID.parse(text)


@settings(max_examples=100)
@given(ADDRESSES)
def test_parsing_an_address_again_changes_nothing(text):
    try:
        jid = JID.parse(text)
    except InvalidJID:
        return
    again = JID.parse(str(jid))
    assert type(str(jid)) is str
    assert (again, again.localpart, again.domainpart, again.resourcepart) == (
        jid,
        jid.localpart,
        jid.domainpart,
        jid.resourcepart,
    )
    assert JID.of(jid.localpart, jid.domainpart, jid.resourcepart) == jid


@given(ASCII)
def test_fast_path_gives_what_precis_gives(text):
    for name, prepare in (("UsernameCaseMapped", prepare_localpart), ("OpaqueString", prepare_resourcepart)):
        try:
            expected = get_profile(name).enforce(text)
        except UnicodeEncodeError:
            expected = None
        if prepare is prepare_localpart and expected and set(expected) & set("\"&'/:<>@"):
            expected = None
        assert prepared(prepare, text) == expected


@given(st.text(st.sampled_from("aZ9-._ @["), max_size=10))
def test_fast_path_of_domains_gives_what_the_slow_path_gives(text):
    def slowly(name):
        labels = name.removesuffix(".").split(".")
        return ".".join([jid_module._prepare_label(label) for label in labels])

    if not text.startswith("["):
        assert prepared(prepare_domainpart, text) == prepared(slowly, text)


@given(st.text(max_size=300))
def test_nothing_but_invalid_jid_is_raised(text):
    for prepare in (JID.parse, prepare_localpart, prepare_domainpart, prepare_resourcepart):
        prepared(prepare, text)


def test_jid_is_its_text():
    jid = JID.parse("Romeo@example.org/x")
    assert isinstance(jid, str)
    assert {jid: 1}["romeo@example.org/x"] == 1
    assert f"{jid}" == "romeo@example.org/x"
    assert repr(jid) == "JID('romeo@example.org/x')"


def test_calling_the_class_parses():
    assert JID("A@b") == JID.parse("A@b") == "a@b"
    assert JID(JID("A@b")) is JID("A@b")


def test_kinds_of_address():
    full, bare, domain = JID("a@b/c"), JID("a@b"), JID("b")
    assert (full.is_full, full.is_bare, full.is_domain) == (True, False, False)
    assert (bare.is_full, bare.is_bare, bare.is_domain) == (False, True, False)
    assert (domain.is_full, domain.is_bare, domain.is_domain) == (False, True, True)
    assert not JID("b/c").is_domain


def test_bare_is_made_once_and_is_itself_when_bare():
    full = JID("a@b/c")
    assert full.bare == "a@b"
    assert full.bare is full.bare
    assert full.bare.bare is full.bare


def test_with_resource_prepares_it():
    assert JID("a@b").with_resource("e\u0301") == "a@b/é"
    assert JID("a@b/c").with_resource("") == "a@b"
    assert JID("b").with_resource("x") == "b/x"
    with pytest.raises(InvalidJID):
        JID("a@b").with_resource("\n")


def test_of_prepares_each_part():
    assert JID.of("A", "B.", "C") == "a@b/C"
    assert JID.of("", "b") == "b"
    for parts in (("a@", "b", ""), ("a", "", ""), ("a", "b/c", ""), ("a", "b", "\n")):
        with pytest.raises(InvalidJID):
            JID.of(*parts)


def test_jid_is_immutable():
    jid = JID("a@b")
    with pytest.raises(AttributeError):
        jid.localpart = "x"
    with pytest.raises(AttributeError):
        del jid.localpart
    with pytest.raises(AttributeError):
        jid.other = 1


def test_copies_and_pickles_are_equal():
    jid = JID("a@b/c")
    assert copy.copy(jid) is jid
    assert copy.deepcopy([jid])[0] is jid
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(jid, protocol))
        assert type(again) is JID
        assert (again, again.resourcepart, again.bare) == (jid, "c", "a@b")


def test_jid_makes_no_reference_cycle():
    gc.collect()
    jids = [jid_module._parse(f"a@b/{n}") for n in range(50)]
    assert all(jid.bare == "a@b" for jid in jids)
    del jids
    assert gc.collect() == 0


def test_short_texts_are_cached_and_long_ones_are_not():
    assert JID.parse("cached@example.org") is JID.parse("cached@example.org")
    long_text = "x/" + "a" * 300
    before = jid_module._parse_cached.cache_info().currsize
    assert JID.parse(long_text) is not JID.parse(long_text)
    assert jid_module._parse_cached.cache_info().currsize == before
    assert jid_module._parse_cached.cache_info().maxsize == 8192
