"""The writer: a few bytes for the frequent, each form made once, and nothing of one session in what another gets."""

import pytest

from codec import binary_nodes
from codec.binary_dictionary import Dictionary
from codec.binary_head import Session
from codec.binary_reader import BinaryReader
from codec.binary_writer import BinaryWriter
from codec.element import Element
from codec.events import StreamOpened
from codec.jid import JID
from codec.stanza import Message
from codec.xml_writer import STREAMS_NS
from tests.codec.binary_samples import BARE, DICTIONARIES, LIMITS, OWN, SAMPLES, SHIPPED, Pair, canonical, stanza_of

ROMEO = JID.parse("romeo@example.net/orchard")
STANZA_ID = b"<stanza-id xmlns='urn:xmpp:sid:0' id='1764017200000000' by='juliet@example.org'/>"
TAG = "urn:xmpp:sid:0 stanza-id"
CHAT = (
    "<message to='juliet@example.org' id='0b0b4a6c-5b5e-4b6f-9f0a-3f6c1d2e4f5a' type='chat'><body>Wherefore art thou?</body>"
    "<origin-id xmlns='urn:xmpp:sid:0' id='0b0b4a6c-5b5e-4b6f-9f0a-3f6c1d2e4f5a'/></message>"
)


@pytest.fixture
def encodings(monkeypatch):
    """Count how often XML is encoded."""
    count = []
    original = binary_nodes.Encoder.form

    def form(self, *arguments, **keywords):
        count.append(1)
        return original(self, *arguments, **keywords)

    monkeypatch.setattr(binary_nodes.Encoder, "form", form)
    return count


def test_frequent_things_are_one_or_two_bytes():
    writer = BinaryWriter(SHIPPED, Session("example.org", OWN))
    assert writer.ping() == b"\x00"
    assert writer.ack_request() == b"\x20"
    assert writer.ack(7) == b"\x30\x07"
    assert writer.ack(9) == b"\x30\x02"
    assert writer.close() == b"\x80"
    assert writer.csi(True) == b"\x71"
    assert len(writer.stanza(stanza_of("<iq type='result' id='1' to='juliet@example.org/balcony'/>"))) <= 8


def test_elements_that_have_a_short_frame_get_it():
    writer = BinaryWriter(SHIPPED, Session())
    assert writer.element(Element("urn:xmpp:sm:3 r")) == b"\x20"
    assert writer.element(Element("urn:xmpp:sm:3 a", {"h": "3"})) == b"\x30\x03"
    assert writer.element(Element("urn:xmpp:csi:0 inactive")) == b"\x70"
    for other in (
        Element("urn:xmpp:sm:3 r", {"x": "y"}),
        Element("urn:xmpp:sm:3 a", {"h": "03"}),
        Element("urn:xmpp:sm:3 a", {"h": "4294967296"}),
        Element("urn:xmpp:sm:3 a"),
    ):
        assert Pair().reader.feed(writer.element(other)) == [other]


def test_acknowledgements_wrap_round():
    pair = Pair()
    for h in (5, (1 << 32) - 1, 2):
        assert pair.reader.feed(pair.writer.ack(h)) == [Element("urn:xmpp:sm:3 a", {"h": str(h)})]


def test_hello_says_what_a_stream_header_does():
    writer = BinaryWriter(SHIPPED, Session(), takes_tables=True)
    reader = BinaryReader(LIMITS, Session(), DICTIONARIES)
    data = writer.header(from_="example.org", id_="abc", to="juliet@example.org", lang="de")
    assert reader.feed(data) == [StreamOpened("juliet@example.org", "example.org", "abc", "1.0", "de")]
    assert reader.dictionary is SHIPPED
    assert reader.peer_takes_tables
    assert len(writer.header(from_=None, id_="", to="example.org")) < 30


def test_other_children_of_a_stream_come_back():
    pair = Pair()
    feature = Element("urn:xmpp:sasl:2 authentication", {}, (Element("urn:xmpp:sasl:2 mechanism", {}, ("PLAIN",)),))
    assert pair.reader.feed(pair.writer.features([feature])) == [Element(f"{STREAMS_NS} features", {}, (feature,))]
    (error,) = pair.reader.feed(pair.writer.error("policy-violation", "No.", Element("urn:x y")))
    assert [child.name for child in error.elements()] == ["policy-violation", "text", "y"]
    (other,) = pair.reader.feed(pair.writer.error("see-other-host", "example.net"))
    assert other.elements()[0].text == "example.net"


def test_what_came_in_binary_goes_out_with_the_same_encoded_payload_and_no_xml_is_made(encodings):
    pair = Pair(own=JID.parse("romeo@example.net/orchard"))
    came = pair.send(stanza_of(CHAT))
    encodings.clear()
    form = came.forms[SHIPPED.id]
    out = came.replace(from_=ROMEO).adding_raw(STANZA_ID, TAG)
    other = Pair()
    back = other.send(out)
    assert not encodings
    assert came._inner is None
    assert out._inner is None
    assert out.forms[SHIPPED.id].main is form.main
    assert canonical(back) == canonical(stanza_of(CHAT).replace(from_=ROMEO).adding_raw(STANZA_ID, TAG))
    assert back.tags == out.tags


@pytest.mark.parametrize("size", [10, 3_000])
def test_a_payload_is_encoded_once_for_all_who_receive_it(encodings, size):
    stanza = stanza_of(f"<message from='a@b/c' id='i'><body>{'好' * size}</body></message>")
    for n in range(5):
        to = JID.parse(f"user{n}@example.org/x")
        assert canonical(Pair(own=to).send(stanza.replace(to=to))) == canonical(stanza.replace(to=to))
    assert len(encodings) == 1


def test_a_payload_that_names_its_recipient_is_encoded_twice_at_most(encodings):
    stanza = stanza_of("<message from='a@b/c'><x xmlns='urn:x' jid='user0@example.org'/></message>")
    for n in range(5):
        to = JID.parse(f"user{n}@example.org/x")
        assert canonical(Pair(own=to).send(stanza.replace(to=to))) == canonical(stanza.replace(to=to))
    assert len(encodings) == 2


def test_a_reference_to_an_id_does_not_follow_another_id():
    came = Pair().send(stanza_of(CHAT))
    out = came.replace(id="other")
    assert b"0b0b4a6c" in Pair().send(out).to_xml()
    assert canonical(Pair().send(out)) == canonical(stanza_of(CHAT).replace(id="other"))


def test_what_is_added_in_each_form_is_added_in_all():
    came = Pair().send(stanza_of(CHAT))
    more = came.adding_raw(STANZA_ID, TAG).adding(Element("urn:x y", {}, ("z",)))
    assert more.inner == stanza_of(CHAT).inner.replace(b'"', b"'") + STANZA_ID + b"<y xmlns='urn:x'>z</y>"
    assert canonical(Pair().send(more)) == canonical(more)
    assert canonical(Pair(BARE).send(more)) == canonical(more)


def test_a_compressed_payload_goes_on_compressed_with_what_was_added_beside_it():
    stanza = stanza_of(
        f"<message to='juliet@example.org'><body>{'今天天气很好' * 40}</body><x xmlns='urn:x' id='aGVsbG8gd29ybGQ='/></message>"
    )
    came = Pair().send(stanza)
    size_class, block = came.forms[SHIPPED.id].block
    assert size_class
    added = came.adding_raw(STANZA_ID, TAG).adding(Element("urn:x y", {"a": "text"}, ("zß",)))
    frame = BinaryWriter(SHIPPED, Session("example.org", OWN)).stanza(added)
    assert frame.endswith(block)
    assert canonical(Pair().send(added)) == canonical(
        stanza.adding_raw(STANZA_ID, TAG).adding(Element("urn:x y", {"a": "text"}, ("zß",)))
    )


def test_a_stanza_without_some_children_is_encoded_anew():
    came = Pair().send(stanza_of(CHAT))
    less = came.without(lambda element: element.name == "origin-id")
    assert less.tags == ("jabber:client body",)
    assert Pair().send(less).to_xml() == less.to_xml()
    assert Pair().send(came.with_payload(Element("urn:x y"))).inner == b"<y xmlns='urn:x'/>"
    assert Pair().send(came.with_payload()).is_empty


def test_a_stanza_that_carries_nothing_is_an_envelope():
    assert Pair().writer.form(Message(None, None, None, "chat")) is None
    assert Pair().writer.form(Message(None, None, None, "chat").replace(id="x")) is None


def test_the_second_time_a_value_of_the_tables_is_a_byte_or_two():
    pair = Pair(has_tables=True)
    xml = (
        "<message from='room@muc.example.net/Nick' to='juliet@example.org/balcony' type='groupchat'><body>ok</body>"
        "<occupant-id xmlns='urn:xmpp:occupant-id:0' id='68a6a3f0a2807ecdebeb46e70bf3d36ef784b1651f552d2ab546fbe8c1d25153'/></message>"
    )
    first, second = pair.writer.stanza(stanza_of(xml)), pair.writer.stanza(stanza_of(xml))
    assert len(second) < 20 < 60 < len(first)
    (one,), (two,) = pair.reader.feed(first), pair.reader.feed(second)
    assert canonical(one) == canonical(two) == canonical(stanza_of(xml))
    assert pair.reader.tables.counts == (1, 1)


def test_a_relative_of_a_known_address_refers_to_it():
    pair = Pair(has_tables=True)
    for jid in (
        "room@muc.example.net/One",
        "room@muc.example.net/Two",
        "room@muc.example.net",
        "room@muc.example.net/Two",
    ):
        stanza = Message(OWN, JID.parse(jid), None, "groupchat")
        frame = pair.writer.stanza(stanza)
        assert pair.reader.feed(frame)[0].from_ == jid
    assert len(frame) < 6


def test_nothing_below_the_root_that_the_server_does_not_assert_gets_into_the_tables():
    pair = Pair(has_tables=True)
    pair.send(
        stanza_of(
            "<message to='juliet@example.org'><x xmlns='urn:x' jid='secret@example.org' id='aGVsbG8gd29ybGQ='/></message>"
        )
    )
    assert pair.reader.tables.counts == (0, 0)


def test_two_dictionaries_are_two_forms_of_one_stanza():
    stanza = stanza_of(SAMPLES[5])
    Pair().send(stanza)
    Pair(BARE).send(stanza)
    assert set(stanza.forms) == {SHIPPED.id, BARE.id}
    assert isinstance(stanza.forms[BARE.id].dictionary, Dictionary)
