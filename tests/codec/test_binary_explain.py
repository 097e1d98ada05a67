"""Explaining a frame: its bytes add up."""

import pytest

from codec import binary_frames as frames
from codec.binary_cbor import Malformed
from codec.binary_explain import explain
from codec.binary_head import Session
from codec.binary_tables import Claim, SeenTables
from tests.codec.binary_samples import OWN, SAMPLES, SHIPPED, Pair, stanza_of

SESSION = Session("example.org", OWN)


@pytest.mark.parametrize("xml", SAMPLES[:14])
def test_the_bytes_of_a_stanza_add_up(xml):
    frame = Pair().writer.stanza(stanza_of(xml))
    told = explain(frame, SHIPPED, SESSION)
    assert told.kind == "STANZA"
    assert sum(part.size_bytes for part in told.fields) == told.size_bytes == len(frame)


def test_entries_of_the_tables_are_told_and_the_tables_stay():
    pair = Pair(has_tables=True)
    xml = (
        "<message from='r@m.x/N'><occupant-id xmlns='urn:xmpp:occupant-id:0' id='AAECAwQFBgcICQoLDA0ODw=='/></message>"
    )
    for name in ("keep", "refer"):
        frame = pair.writer.stanza(stanza_of(xml))
        before = pair.reader.tables.export()
        told = explain(frame, SHIPPED, SESSION, pair.reader.tables)
        assert pair.reader.tables.export() == before
        assert name in [part.name for part in told.fields]
        assert sum(part.size_bytes for part in told.fields) == len(frame)
        pair.reader.feed(frame)


def test_values_are_shown_as_the_texts_they_stand_for():
    told = explain(Pair().writer.stanza(stanza_of(SAMPLES[5])), SHIPPED, SESSION)
    assert "one\ntwo" in [part.value for part in told.fields]


def test_other_frames_are_told():
    writer = Pair().writer
    for frame in (
        writer.ping(),
        writer.ack(5),
        writer.ack_request(),
        writer.csi(False),
        writer.close(),
        writer.header(from_=None, id_="x", to="example.org"),
        writer.retry([SHIPPED.id]),
        writer.features([]),
        writer.claim(Claim(300, 2, b"abc")),
        writer.claim(Claim(0, 0)),
        frames.frame(frames.XML, b"<a/>"),
    ):
        told = explain(frame, SHIPPED)
        assert sum(part.size_bytes for part in told.fields) == len(frame)


@pytest.mark.parametrize("frame", [b"", b"\xf0", b"\x30", b"\x30\x80", b"\x10\x05\x00", b"\x10\x01\xff"])
def test_what_is_no_frame_is_malformed(frame):
    with pytest.raises(Malformed):
        explain(frame, SHIPPED, SESSION, SeenTables())
