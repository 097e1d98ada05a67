"""The body of a stanza's frame: it is checked, it goes on byte by byte as it came, and it says what is in it without translation."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codec import binary_frames as frames
from codec.binary_cbor import Malformed, encode
from codec.binary_head import Session
from codec.binary_plan import TooLarge
from codec.binary_stanza import BodyReader
from codec.binary_tables import SeenTables, SentTables
from codec.binary_writer import BinaryWriter
from codec.events import BadStanza
from codec.jid import JID
from codec.limits import ReaderLimits
from tests.codec.binary_samples import LIMITS, SAMPLES, SHIPPED, canonical, stanza_of, stanzas

JULIET = JID.parse("juliet@example.org/balcony")
ROMEO = JID.parse("romeo@example.org/orchard")
ID = "0b0b4a6c-5b5e-4b6f-9f0a-3f6c1d2e4f5a"
ITEMS = "".join(f"<line xmlns='urn:example:lines' number='{n}'>the same again and again</line>" for n in range(9))
LONG = f"<message to='{JULIET}' id='{ID}' type='chat'>{ITEMS}</message>"


def body_of(xml, session=None):
    frame = BinaryWriter(SHIPPED, session or Session("example.org", ROMEO)).stanza(stanza_of(xml))
    length = frames.read_varint(frame, 1)
    return frame[0] & frames.SIZE_MASK, frame[length[1] :]


def reader(limits=LIMITS):
    return BodyReader(limits, Session("example.org", ROMEO), SHIPPED)


def passed_on(xml):
    """Return the payload's bytes as they came, and as they go to another client."""
    size_class, body = body_of(xml)
    stanza = reader().read_stanza(size_class, body)
    out = BinaryWriter(SHIPPED, Session("example.org", JULIET))
    frame = out.stanza(stanza)
    return body, frame, stanza


@pytest.mark.parametrize("xml", [*SAMPLES[:8], LONG])
def test_a_payload_goes_on_as_it_came(xml):
    body, frame, stanza = passed_on(xml)
    form = stanza.forms[SHIPPED.id] if stanza.forms else None
    assert form is None or frame.endswith(form.compress()[1] or form.clear())
    assert form is None or body.endswith(form.compress()[1] or form.clear())
    assert form is None or form._xml is None


@settings(max_examples=200)
@given(stanzas())
def test_any_payload_goes_on_and_means_the_same(xml):
    size_class, body = body_of(xml)
    stanza = reader().read_stanza(size_class, body)
    frame = BinaryWriter(SHIPPED, Session("example.org", JULIET)).stanza(stanza)
    start = frames.read_varint(frame, 1)[1]
    there = BodyReader(LIMITS, Session("example.org", JULIET), SHIPPED)
    back = there.read_stanza(frame[0] & frames.SIZE_MASK, frame[start:])
    assert canonical(back) == canonical(stanza_of(xml))


def test_an_id_is_written_as_it_was_read():
    _, _, stanza = passed_on(LONG)
    assert stanza.forms[SHIPPED.id].coded_id[0] is stanza.id
    assert BinaryWriter(SHIPPED, Session("example.org", JULIET)).stanza(stanza.replace(id="other")).count(b"other") == 1


def test_its_size_is_no_less_than_that_of_its_xml():
    for xml in [*SAMPLES, LONG]:
        size_class, body = body_of(xml)
        stanza = reader(ReaderLimits(stanza_bytes=1_000_000)).read_stanza(size_class, body)
        if stanza.forms and xml.isascii():
            assert stanza.forms[SHIPPED.id].size_bytes * 4 >= len(stanza.inner)


def test_what_is_cut_short_is_malformed():
    size_class, body = body_of(LONG)
    assert size_class
    with pytest.raises(Malformed):
        reader().read_stanza(size_class, body[:-1])
    with pytest.raises(Malformed):
        reader().read_stanza(size_class, body + b"\0")


def test_a_class_above_the_limit_is_refused_before_it_is_decompressed():
    with pytest.raises(TooLarge):
        reader(ReaderLimits(stanza_bytes=600)).read_stanza(2, b"\0" * 40)


def test_an_element_that_is_not_there_is_malformed():
    with pytest.raises(Malformed):
        reader().read_element(0, b"")


@given(st.integers(-1, 3), st.text(max_size=3))
def test_values_that_no_tree_asks_for_are_malformed(count, text):
    with pytest.raises(Malformed):
        reader().read_stanza(0, encode(-1) + encode(text) * max(1, count))


def test_an_address_that_is_none_is_told_with_the_id():
    bad = reader().read_stanza(0, encode(-1 - (4 << 5 | 1 << 11)) + encode("@") + encode("i1"))
    assert isinstance(bad, BadStanza)
    assert bad.stanza.id == "i1"


def test_values_out_of_the_tables_do_not_go_to_others_as_references():
    xml = f"<message to='{JULIET}' type='chat'><occupant-id xmlns='urn:xmpp:occupant-id:0' id='AAECAwQFBgcICQoLDA0ODw=='/></message>"
    session = Session("example.org", ROMEO)
    sender, there = BinaryWriter(SHIPPED, session), reader()
    sender.tables, there.tables = SentTables(), SeenTables()
    out = BinaryWriter(SHIPPED, Session("example.org", JULIET))
    for _ in range(3):
        frame = sender.stanza(stanza_of(xml))
        stanza = there.read_stanza(frame[0] & frames.SIZE_MASK, frame[frames.read_varint(frame, 1)[1] :])
        frame = out.stanza(stanza)
        start = frames.read_varint(frame, 1)[1]
        back = BodyReader(LIMITS, Session("example.org", JULIET), SHIPPED).read_stanza(frame[0] & 7, frame[start:])
        assert canonical(back) == canonical(stanza_of(xml))
    assert sender.tables.values.count == 1
