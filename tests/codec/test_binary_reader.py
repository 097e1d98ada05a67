"""The reader: the same events as XML gives, however the bytes are cut, and one end for every bad input."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import binary_frames as frames
from codec.binary_cbor import blob, encode, integer, text
from codec.binary_head import Session
from codec.binary_reader import BinaryReader
from codec.binary_tables import SeenTables
from codec.binary_writer import BinaryWriter
from codec.element import Element, parse_element
from codec.events import BadStanza, StreamBroken, StreamClosed, StreamOpened
from codec.limits import BEFORE_LOGIN, ReaderLimits
from codec.stanza import Message, Stanza
from tests.codec.binary_samples import (
    BARE,
    DICTIONARIES,
    LIMITS,
    OWN,
    SAMPLES,
    SHIPPED,
    Pair,
    canonical,
    stanza_of,
    stanzas,
)

HEADER = BinaryWriter(SHIPPED, Session()).header(from_=None, id_="", to="example.org")
LITERAL_HEAD = integer(-1 - 0)  # a message of type normal with nothing else


def opened(limits=LIMITS, dictionary=SHIPPED):
    reader = BinaryReader(limits, Session("example.org", OWN), DICTIONARIES)
    header = BinaryWriter(dictionary, Session()).header(from_=None, id_="", to="example.org")
    assert isinstance(reader.feed(header)[0], StreamOpened)
    return reader


def run(tree) -> bytes:
    """Return a run that is spelt out."""
    return b"\x20" + blob(b"".join(map(encode, tree)))


def stanza_frame(body: bytes, flags=0) -> bytes:
    return frames.frame(frames.STANZA, LITERAL_HEAD + body, flags)


@pytest.mark.parametrize("dictionary", [SHIPPED, BARE])
@pytest.mark.parametrize("has_tables", [False, True])
def test_samples_come_back_with_the_same_canonical_xml(dictionary, has_tables):
    pair = Pair(dictionary, has_tables, limits=ReaderLimits(stanza_bytes=1_000_000))
    for _ in range(2):
        for xml in SAMPLES:
            stanza = stanza_of(xml)
            back = pair.send(stanza)
            assert canonical(back) == canonical(stanza), xml
            assert (back.to, back.from_, back.id, back.type, back.lang) == (
                stanza.to,
                stanza.from_,
                stanza.id,
                stanza.type,
                stanza.lang,
            )
            assert back.tags == stanza.tags


@settings(max_examples=300)
@given(st.lists(stanzas(), min_size=1, max_size=4), st.booleans(), st.booleans())
def test_any_stanza_comes_back_with_the_same_canonical_xml(xmls, has_tables, is_bare):
    pair = Pair(BARE if is_bare else SHIPPED, has_tables)
    for xml in xmls:
        stanza = stanza_of(xml)
        back = pair.send(stanza)
        assert canonical(back) == canonical(stanza)
        assert back.tags == stanza.tags


def test_frames_may_be_cut_anywhere():
    writer = BinaryWriter(SHIPPED, Session("example.org", OWN))
    data = writer.header(from_=None, id_="s1", to="example.org") + writer.ping()
    for xml in SAMPLES[:9]:
        data += writer.stanza(stanza_of(xml), asks_ack=True)
    data += writer.ack(5) + writer.ack(300) + writer.ack_request() + writer.csi(True) + writer.close()

    def events(size):
        reader = BinaryReader(LIMITS, Session("example.org", OWN), DICTIONARIES)
        found = [event for at in range(0, len(data), size) for event in reader.feed(data[at : at + size])]
        return [event.to_xml() if isinstance(event, Stanza) else event for event in found]

    whole = events(len(data))
    assert isinstance(whole[-1], StreamClosed)
    assert len(whole) == 1 + 2 * 9 + 5
    assert events(1) == events(3) == whole


def test_a_stanza_is_reported_by_its_last_byte():
    reader, frame = opened(), BinaryWriter(SHIPPED, Session()).stanza(stanza_of(SAMPLES[3]))
    assert reader.feed(frame[:-1]) == []
    assert not reader.sleep()
    assert reader.pending_bytes == len(frame) - 1
    assert len(reader.feed(frame[-1:])) == 1
    assert reader.sleep()


def test_acknowledgements_add_up():
    reader = opened()
    assert reader.feed(b"\x30\x05\x30\x00\x30\x80\x02") == [
        Element("urn:xmpp:sm:3 a", {"h": h}) for h in ("5", "5", "261")
    ]
    reader.restart()
    reader.feed(HEADER)
    assert reader.feed(b"\x30\x01") == [Element("urn:xmpp:sm:3 a", {"h": "1"})]


def test_an_element_may_always_come_as_xml():
    reader = opened()
    frame = frames.frame(frames.XML, b"<message><body>hi</body></message>")
    assert reader.feed(frame)[0].to_xml() == b"<message><body>hi</body></message>"
    (broken,) = reader.feed(frames.frame(frames.XML, b"<message><!-- no --></message>"))
    assert broken.condition == "restricted-xml"


def test_two_elements_in_one_xml_frame_are_not_one():
    assert condition(opened(), frames.frame(frames.XML, b"<a/><b/>")) == "not-well-formed"


def test_an_unknown_dictionary_is_told_and_another_may_be_tried():
    reader = BinaryReader(LIMITS, Session(), DICTIONARIES)
    hello = frames.frame(frames.HELLO, integer(0) + integer(0) + blob(b"????????"))
    assert reader.feed(hello) == [Element("urn:xmppd:binary:0 unknown-dictionary", {"id": b"????????".hex()})]
    assert isinstance(reader.feed(HEADER)[0], StreamOpened)


def test_hellos_without_end_are_not_listened_to():
    reader = BinaryReader(LIMITS, Session(), DICTIONARIES)
    hello = frames.frame(frames.HELLO, integer(0) + integer(0) + blob(b"????????"))
    assert isinstance(reader.feed(hello * 4)[-1], StreamBroken)


def test_a_retry_lists_dictionaries():
    reader = BinaryReader(LIMITS, Session(), DICTIONARIES)
    (event,) = reader.feed(BinaryWriter(SHIPPED, Session()).retry([b"12345678"]))
    assert event == Element(
        "urn:xmppd:binary:0 retry", {}, (Element("urn:xmppd:binary:0 dict", {"id": b"12345678".hex()}),)
    )


def test_a_wrong_address_is_a_bad_stanza_and_the_stream_goes_on():
    reader = opened()
    kind = 17 | 4 << 5 | 4 << 8 | 1 << 11  # iq result, to, from and id spelt out
    frame = frames.frame(frames.STANZA, integer(-1 - kind) + text("@@") + text("a@b") + text("i1"))
    bad, good = reader.feed(frame + stanza_frame(b""))
    assert isinstance(bad, BadStanza)
    assert bad.stanza.id == "i1"
    assert isinstance(good, Message)


def test_what_a_stanza_carries_is_xml_only_when_someone_asks():
    pair = Pair()
    back = pair.send(stanza_of(SAMPLES[5]))
    assert back._inner is None
    assert back.has("jabber:client body")
    assert not back.is_empty
    assert back._inner is None
    assert back.inner.startswith(b"<body>one")
    assert back.element("jabber:client body").text == "one\ntwo"


def condition(reader, data: bytes) -> str:
    """Return how the stream breaks, which it must, at the end of the events and for good."""
    events = reader.feed(data)
    assert isinstance(events[-1], StreamBroken), events
    assert reader.feed(HEADER) == []
    return events[-1].condition


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x20", "bad-format"),
        (b"\x10\x00", "bad-format"),
        (b"\xf0", "bad-format"),
        (b"<stream:stream", "bad-format"),
        (b"\x40\xff\xff\x03", "policy-violation"),
        (frames.frame(frames.HELLO, integer(9) + integer(0) + blob(SHIPPED.id)), "unsupported-version"),
        (frames.frame(frames.HELLO, b""), "bad-format"),
        (frames.frame(frames.HELLO, b"\xff"), "bad-format"),
    ],
)
def test_before_hello_there_is_nothing_but_hello(data, expected):
    assert condition(BinaryReader(LIMITS, Session(), DICTIONARIES), data) == expected


BAD_BODIES = {
    "nothing at all": b"",
    "an unknown envelope": integer(5_000),
    "an envelope with unknown bits": integer(-1 - (1 << 20)),
    "an envelope of an unknown kind": integer(-1 - 31),
    "an address that is not there": integer(-1 - (4 << 5)),
    "an address of a form that is not there": integer(-1 - (7 << 5)),
    "a slot without tables": integer(-1 - (4 << 5)) + integer(3),
    "a packed id without bytes": integer(-1 - (7 << 11)),
    "a packed id of the wrong size": integer(-1 - (7 << 11)) + blob(b"123"),
    "an unknown chunk": LITERAL_HEAD + integer(60_000),
    "a run that is not there": LITERAL_HEAD + b"\x20",
    "a run that is a number": LITERAL_HEAD + b"\x20\x01",
    "a run of texts": LITERAL_HEAD + run(["x"]),
    "an empty element": LITERAL_HEAD + run([[]]),
    "an unknown shape": LITERAL_HEAD + run([[60_000]]),
    "too few values": LITERAL_HEAD + run([[0]]) if SHIPPED.tables.shapes[0].attributes else LITERAL_HEAD + run([[3]]),
    "an unknown value": LITERAL_HEAD + run([[["x"], ["a", 60_000]]]),
    "an unknown value code": LITERAL_HEAD + run([[["x"], ["a", -24]], -24]) + blob(b"") * 3,
    "a text that is not there": LITERAL_HEAD + run([-1]),
    "a text too many": LITERAL_HEAD + run([["x"], []][:0]) + text("x"),
    "a value too many": LITERAL_HEAD + blob(b"x"),
    "an empty value": LITERAL_HEAD + run([-7]) + blob(b""),
    "a reference to no id": LITERAL_HEAD + run([-2]),
    "a reference to no address": LITERAL_HEAD + run([-3]),
    "a name with a blank": LITERAL_HEAD + run([[["a b"], []]]),
    "a name that is markup": LITERAL_HEAD + run([[["a><b"], []]]),
    "an empty name": LITERAL_HEAD + run([[[""], []]]),
    "a name that is a number of nothing": LITERAL_HEAD + run([[[60_000], []]]),
    "a name in four parts": LITERAL_HEAD + run([[["a", "", "", ""], []]]),
    "an undeclared prefix": LITERAL_HEAD + run([[["a", "urn:x", "p"], []]]),
    "a prefix for another namespace": LITERAL_HEAD + run([[["a", "urn:x", "p", "p", "urn:y"], []]]),
    "a prefix twice": LITERAL_HEAD + run([[["a", "urn:x", "p", "p", "urn:x", "p", "urn:x"], []]]),
    "the prefix xmlns": LITERAL_HEAD + run([[["a", "urn:x", "", "xmlns", "urn:x"], []]]),
    "a prefix for nothing": LITERAL_HEAD + run([[["a", "urn:x", "", "p", ""], []]]),
    "xmlns as an attribute": LITERAL_HEAD + run([[["x"], ["xmlns", -1]]]) + text("urn:x"),
    "an attribute with an undeclared prefix": LITERAL_HEAD + run([[["x"], ["p:a", -1]]]) + text(""),
    "an attribute twice": LITERAL_HEAD + run([[["x"], ["a", -1, "a", -1]]]) + text("1") + text("2"),
    "the same attribute by two prefixes": LITERAL_HEAD
    + run([[["x", "", "", "p", "urn:x", "q", "urn:x"], ["p:a", -1, "q:a", -1]]])
    + text("1")
    + text("2"),
    "an attribute without its value": LITERAL_HEAD + run([[["x"], ["a"]]]),
    "attributes that are a number": LITERAL_HEAD + run([[["x"], 1]]),
    "a NUL in a text": LITERAL_HEAD + run([-1]) + text("a\0b"),
    "U+FFFE in a text": LITERAL_HEAD + run([-1]) + text("a\ufffeb"),
    "a control character in a namespace": LITERAL_HEAD + run([[["x", "a\x01"], []]]),
    "a number in a longer form": LITERAL_HEAD + b"\x18\x01",
    "a tag": LITERAL_HEAD + b"\xc0\x00",
    "arrays in the clear": LITERAL_HEAD + b"\x81\x00",
    "an extra attribute that is the type": integer(-1 - (1 << 16)) + integer(1) + text("type") + text("x"),
    "an extra attribute that is a declaration of nothing": integer(-1 - (1 << 16))
    + integer(1)
    + text("xmlns:p")
    + text(""),
    "no extra attributes": integer(-1 - (1 << 16)) + integer(0),
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_body_that_is_none_breaks_the_stream_as_ill_formed_xml_would(body):
    assert condition(opened(), frames.frame(frames.STANZA, body)) == "not-well-formed"


@pytest.mark.parametrize(
    "data", [b"\xa0", b"\xf0\x00", b"\x00\x01", b"\x21", b"\x11\x02\x00\x00", b"\x15\x02\x00\x00", b"\x72", HEADER]
)
def test_unknown_frames_and_flags_break_the_stream(data):
    assert condition(opened(), data + b"\xff" * 3) in ("not-well-formed", "policy-violation")


def test_own_address_before_it_is_bound_is_a_reference_to_nowhere():
    reader = BinaryReader(LIMITS, Session("example.org"), DICTIONARIES)
    reader.feed(HEADER)
    assert condition(reader, frames.frame(frames.STANZA, integer(-1 - (2 << 5)))) == "not-well-formed"


def test_an_empty_slot_is_a_reference_to_nowhere():
    reader = opened()
    reader.tables = SeenTables()
    assert condition(reader, frames.frame(frames.STANZA, integer(-1 - (4 << 5)) + integer(3))) == "not-well-formed"


def test_a_frame_longer_than_the_limit_is_refused_by_its_first_bytes():
    assert condition(opened(ReaderLimits(stanza_bytes=1_000)), b"\x10\xe9\x07") == "policy-violation"


def test_a_bomb_is_refused_before_it_is_unpacked():
    size_class, block = SHIPPED.compress(text("a" * 100_000))
    body = frames.varint(1) + LITERAL_HEAD + block
    assert len(body) < 200
    reader = opened(ReaderLimits(stanza_bytes=30_000))
    assert condition(reader, frames.frame(frames.STANZA, body, size_class)) == "policy-violation"


def test_a_block_that_claims_less_than_it_holds_is_refused():
    _, block = SHIPPED.compress(text("a" * 100_000))
    body = frames.varint(1) + LITERAL_HEAD + block
    assert condition(opened(), frames.frame(frames.STANZA, body, 1)) == "not-well-formed"


def test_a_block_of_a_class_that_is_not_there_is_refused():
    assert condition(opened(), frames.frame(frames.STANZA, b"\x01" + LITERAL_HEAD + b"xx", 7)) == "not-well-formed"


def test_little_that_means_much_is_held_against_the_limit():
    whole = [index for index in range(len(SHIPPED.tables.chunks)) if not SHIPPED.chunk_plan(index).gaps]
    large = max(whole, key=lambda index: SHIPPED.chunk_plan(index).size)
    frame = stanza_frame(integer(large) * 3_000)
    assert len(frame) < 12_000
    assert condition(opened(ReaderLimits(children=100_000)), frame) == "policy-violation"
    assert condition(opened(), stanza_frame(run([large] * 60_000))) == "policy-violation"


def test_depth_children_and_attributes_have_limits():
    deep = [["x"], []]
    for _ in range(20):
        deep = [["x"], [], deep]
    assert condition(opened(BEFORE_LOGIN), stanza_frame(run([deep]))) == "policy-violation"
    assert condition(opened(BEFORE_LOGIN), stanza_frame(run([[["x"], []]] * 70))) == "policy-violation"
    many = [item for n in range(40) for item in (f"a{n}", 0)]
    assert condition(opened(BEFORE_LOGIN), stanza_frame(run([[["x"], many]]))) == "policy-violation"
    arrays = b"\x20" + blob(b"\x81" * 5_000 + b"\x00")
    assert condition(opened(), stanza_frame(arrays)) == "not-well-formed"


def test_an_element_frame_holds_one_element():
    assert opened().feed(frames.frame(frames.ELEMENT, run([[["x", "urn:x"], []]]))) == [Element("urn:x x")]
    assert condition(opened(), frames.frame(frames.ELEMENT, b"")) == "not-well-formed"
    assert condition(opened(), frames.frame(frames.ELEMENT, run([[["x"], []], [["y"], []]]))) == "not-well-formed"


def test_a_closed_reader_reads_no_more():
    reader = opened()
    reader.close()
    assert reader.feed(stanza_frame(b"")) == []


@settings(max_examples=400)
@given(st.binary(max_size=200), st.integers(1, 50))
def test_any_bytes_give_events_and_nothing_else(data, size):
    reader = opened()
    reader.tables = SeenTables()
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])
    assert reader.pending_bytes <= len(data)


@settings(max_examples=400)
@given(stanzas(), st.data())
def test_any_damage_to_a_frame_gives_events_that_can_be_used(xml, data):
    pair = Pair(SHIPPED, has_tables=True)
    frame = bytearray(pair.writer.stanza(stanza_of(xml)))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(frame) - 1))
        frame[at] = data.draw(st.integers(0, 255))
    for event in pair.reader.feed(bytes(frame)):
        if isinstance(event, Stanza):
            parse_element(event.to_xml())
