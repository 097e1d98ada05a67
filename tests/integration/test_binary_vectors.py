"""The published test vectors hold for our own codec."""

import json
from pathlib import Path

import pytest

from codec import binary_frames as frames
from codec import binary_values as values
from codec.binary_dictionary import load_all
from codec.binary_features import SeenFeatures
from codec.binary_head import Session
from codec.binary_reader import BinaryReader
from codec.binary_tables import SeenTables, Tables
from codec.binary_writer import BinaryWriter
from codec.element import parse_element
from codec.events import StreamBroken, StreamClosed, StreamOpened
from codec.jid import JID
from codec.limits import ReaderLimits
from tests.codec.binary_samples import canonical, stanza_of

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "binary.json").read_text(encoding="utf-8"))
DICTIONARIES = load_all()
DICTIONARY = DICTIONARIES[bytes.fromhex(VECTORS["dictionary"]["id"])]


def reader():
    session = Session(VECTORS["session"]["domain"], JID.parse(VECTORS["session"]["jid"]))
    return BinaryReader(ReaderLimits(), session, DICTIONARIES)


def test_parts_are_as_published():
    for row in VECTORS["lengths"]:
        assert frames.varint(row["n"]).hex() == row["hex"]
    for row in VECTORS["packed"]:
        assert values.unpack(values.NAMES.index(row["kind"]), bytes.fromhex(row["hex"])) == row["text"]
    for row in VECTORS["dense"]:
        assert values.unpack_dense(bytes.fromhex(row["hex"])) == row["text"]
    for row in VECTORS["letters"]:
        assert DICTIONARY.tables.letters[row["table"]].unpack(bytes.fromhex(row["hex"])) == row["text"]


@pytest.mark.parametrize("name", ["stateless", "tables"])
def test_streams_are_read_as_published(name):
    stream = reader()
    if name == "tables":
        stream.tables = SeenTables()
    for row in VECTORS[name]:
        check(row, stream)


def check(row, stream):
    """Read a frame and compare what it means."""
    events = stream.feed(bytes.fromhex(row["hex"]))
    if "xml" in row:
        assert canonical(events[0]) == canonical(stanza_of(row["xml"]))
    elif "element" in row:
        assert events == [parse_element(row["element"].encode())]
    else:
        assert all(isinstance(event, StreamOpened | StreamClosed) for event in events)


def test_a_resumed_session_goes_on_with_its_tables_as_published():
    tables = Tables("s1")
    stream = reader()
    stream.tables = tables.seen
    for row in VECTORS["resumed"]["before"]:
        check(row, stream)
    assert BinaryWriter(DICTIONARY, Session()).claim(tables.request()).hex() == VECTORS["resumed"]["client_sends"]
    stream = reader()
    for row in VECTORS["resumed"]["after"]:
        check(row, stream)
        if "resumed" in row.get("element", ""):
            assert stream.claim == (0, 0, b"")
            stream.tables = tables.seen


def test_features_are_recalled_as_published():
    row, seen = VECTORS["features"], SeenFeatures()
    features = parse_element(row["element"].encode())
    assert reader_told(seen).feed(bytes.fromhex(row["hex"])) == [features]
    assert seen.tell("example.org").hashes == (bytes.fromhex(row["hash"]),)
    server = reader()
    server.feed(bytes.fromhex(row["hello"]))
    assert server.peer_features == (bytes.fromhex(row["hash"]),)
    assert reader_told(seen).feed(bytes.fromhex(row["recalled"])) == [features]


def reader_told(seen):
    """Return a client's reader that knows what its HELLO told."""
    stream = reader()
    stream.told = seen.tell("example.org")
    stream.feed(bytes.fromhex(VECTORS["stateless"][0]["hex"]))
    return stream


@pytest.mark.parametrize("row", VECTORS["bad"], ids=[row["why"] for row in VECTORS["bad"]])
def test_bad_frames_break_a_stream_as_published(row):
    stream = reader()
    stream.feed(bytes.fromhex(VECTORS["stateless"][0]["hex"]))
    events = stream.feed(bytes.fromhex(row["hex"]))
    assert isinstance(events[-1], StreamBroken)
    assert events[-1].condition == row["condition"]
