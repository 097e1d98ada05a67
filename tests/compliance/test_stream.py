import pytest
from lxml import etree

from compliance.stream import Closed, Header, StreamReader, TrafficLog

STREAM = (
    b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1'>"
    b"<message><body>a</body>tail<x xmlns='urn:x'/></message> \n<presence/></stream:stream>"
)
OPENED = STREAM.partition(b"<message>")[0]


def read(*chunks: bytes) -> list:
    reader = StreamReader()
    return [event for chunk in chunks for event in reader.feed(chunk)]


@pytest.mark.parametrize("chunks", [(STREAM,), tuple(bytes([byte]) for byte in STREAM)], ids=["whole", "bytewise"])
def test_a_stream_gives_header_elements_and_end(chunks):
    header, message, presence, end = read(*chunks)
    assert isinstance(header, Header)
    assert header.attributes == {"id": "1"}
    assert header.namespaces[None] == "jabber:client"
    assert [child.tag for child in message] == ["{jabber:client}body", "{urn:x}x"]
    assert message[0].tail == "tail"
    assert presence.tag == "{jabber:client}presence"
    assert end == Closed()


def test_an_element_is_given_by_the_bytes_that_complete_it():
    reader = StreamReader()
    reader.feed(OPENED)
    assert len(reader.feed(b"<iq id='1'/>")) == 1


def test_elements_are_free_of_the_stream():
    _, message, *_ = read(STREAM)
    assert message.getparent() is None
    assert message.tail is None


def test_xml_that_is_not_well_formed_is_an_error():
    with pytest.raises(etree.XMLSyntaxError):
        read(OPENED, b"<a></b>")


def test_a_folded_log_keeps_what_came_before():
    log = TrafficLog()
    log.add("romeo", "C", "<presence/>")
    log.add("juliet", "C", "<auth/>")
    log.add("juliet", "S", "<success/>")
    log.fold(1, "juliet", "logged in")
    assert [(entry.who, entry.way, entry.text) for entry in log.entries] == [
        ("romeo", "C", "<presence/>"),
        ("juliet", "-", "logged in"),
    ]


def test_long_entries_are_cut():
    log = TrafficLog(limit_chars=10)
    log.add("romeo", "C", "x" * 50)
    assert log.entries[0].text == "xxxxxxxxxx... (50 characters)"
