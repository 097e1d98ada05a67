"""XML to trees: chunks where there are some, names spelt out where there are not."""

import pytest

from codec.binary_cbor import encode, integer
from codec.binary_nodes import RUN, Encoder, children_of, references
from tests.codec.binary_samples import BARE, SHIPPED, stanza_of


def part(xml: bytes, dictionary=SHIPPED):
    return Encoder(dictionary).part(xml, {}, {})


def test_a_run_that_is_in_the_dictionary_is_a_number():
    chunk = part(b"<active xmlns='http://jabber.org/protocol/chatstates'/>")
    assert len(chunk.items) <= 3
    assert chunk.items[0] < 0x20
    assert (chunk.texts, chunk.blobs) == ([], [])


def test_the_longest_run_is_taken():
    one = part(b"<request xmlns='urn:xmpp:receipts'/>")
    both = part(b"<request xmlns='urn:xmpp:receipts'/><markable xmlns='urn:xmpp:chat-markers:0'/>")
    assert len(both.items) <= len(one.items) + 1
    assert len(both.outline.plans) == 1


def test_names_without_a_number_are_spelt_out():
    found = part(b"<x xmlns='urn:x' a='1'>t</x>", BARE)
    assert found.items == RUN + encode(encode([["x", "urn:x"], ["a", -1], -1]))
    assert found.texts == ["1", "t"]


@pytest.mark.parametrize("xml", [b"<a>", b"</a>", b"<a", b"a<", b"<a></b>", b"&", b"<a b='", b"<!-- x"])
def test_what_is_not_well_formed_is_refused_and_the_next_is_read(xml):
    encoder = Encoder(SHIPPED)
    with pytest.raises(ValueError):
        encoder.part(xml, {}, {})
    assert encoder.part(b"<body>x y</body>", {}, {}).outline.plans


@pytest.mark.parametrize("xml", [b"text", b"<a/>text", b"a]]", b"a\r", b"a&gt;", b"a>", "é".encode()])
def test_text_at_the_end_is_not_lost(xml):
    found = part(xml, BARE)
    assert len(found.texts) == 1


def test_references_are_found_in_attributes():
    stanza = stanza_of(
        "<message id='i1' to='a@b/c' from='d@e/f'><x xmlns='urn:x' a='i1' b='a@b/c' c='a@b' d='d@e' e='d@e/f'/></message>"
    )
    form = Encoder(BARE).form(stanza)
    assert [code for code, _ in form.main.outline.plans[0].gaps] == [-2, -4, -3, -5, -6]
    assert set(references(stanza)) == {"i1", "a@b/c", "a@b", "d@e", "d@e/f"}
    assert form.uses == 31
    assert Encoder(BARE).form(stanza, use_references=False).uses == 0


def test_what_is_added_to_a_stanza_is_encoded_behind_it():
    stanza = stanza_of("<message id='i1' to='a@b/c'><body>hello</body></message>")
    encoder = Encoder(SHIPPED)
    form = encoder.form(stanza)
    more = form.adding(b"<stanza-id xmlns='urn:xmpp:sid:0' id='1764017200000000' by='a@b'/>")
    encoder.settle(more, stanza)
    again = more.adding(b"<x xmlns='urn:x'>1</x>").adding(b"<y xmlns='urn:x' a='&amp;'/>")
    encoder.settle(again, stanza)
    encoder.settle(again, stanza)
    assert again.inner() == (
        b"<body>hello</body><stanza-id xmlns='urn:xmpp:sid:0' by='a@b' id='1764017200000000'/>"
        b"<x xmlns='urn:x'>1</x><y xmlns='urn:x' a='&amp;'/>"
    )


@pytest.mark.parametrize(
    "xml",
    [
        b"<stanza-id xmlns='urn:xmpp:sid:0' id='a b' by='a@b'/>",
        b"<stanza-id xmlns='urn:xmpp:sid:0' id='1764017200000000' by='x@y'/>",
        b"<stanza-id xmlns='urn:xmpp:sid:0' by='d@e' id='AAECAwQFBgcICQoLDA0ODw=='/>",
        b"<occupant-id xmlns='urn:xmpp:occupant-id:0' id='abc'/>",
        b"<no-store xmlns='urn:xmpp:hints'/>",
        b"<unheard-of xmlns='urn:x' a='1'/>",
    ],
)
def test_single_elements_need_no_parser(xml):
    stanza = stanza_of("<message id='i1' to='a@b/c' from='d@e/f'/>")
    encoder = Encoder(SHIPPED)
    form = encoder.form(stanza).adding(xml)
    encoder.settle(form, stanza)
    other = Encoder(SHIPPED).part(xml, {}, {})
    out: list[str] = []
    other.write_xml((stanza.id, stanza.to, stanza.from_), SHIPPED.tables.letters, out)
    assert form.inner() == "".join(out).encode()


def test_a_parser_is_retired_before_made_up_names_add_up():
    encoder = Encoder(BARE)
    encoder.part(b"<a/>", {}, {})
    first = encoder._parser
    encoder.part(b"<a>" + b"x" * 300_000 + b"</a>", {}, {})
    encoder.part(b"<a/>", {}, {})
    assert encoder._parser is not first


def test_a_run_is_cut_into_its_children():
    assert children_of(encode([1]) + integer(5) + encode([[2], "x"])) == [encode([1]), integer(5), encode([[2], "x"])]


def test_beside_a_block_texts_are_in_letters_only_where_that_is_smaller():
    lines = "".join(
        f"<line xmlns='urn:example:lines'>It is the east, and Juliet is the sun.{n}</line>" for n in range(12)
    )
    form = Encoder(SHIPPED).form(stanza_of(f"<message>{lines}</message>"))
    assert form.compress()[0] and not form.main.blobs
    short = Encoder(SHIPPED).form(stanza_of("<message><body>It is the east, and Juliet is the sun.</body></message>"))
    assert len(short.main.blobs) == 1
