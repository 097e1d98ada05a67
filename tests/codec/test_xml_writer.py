"""What goes out on an XML stream, read back by the reader."""

import pytest

from codec.element import Element
from codec.events import StreamClosed, StreamOpened
from codec.jid import JID
from codec.limits import ReaderLimits
from codec.stanza import Message
from codec.xml_reader import XmlReader
from codec.xml_writer import ERRORS_NS, STREAMS_NS, XmlWriter

WRITERS = pytest.mark.parametrize("content_ns", ["jabber:client", "jabber:server"])


def read_back(data: bytes, content_ns: str = "jabber:client"):
    """Return what comes after the header that the writer itself writes."""
    reader = XmlReader(ReaderLimits(), content_ns)
    assert len(reader.feed(XmlWriter(content_ns).header(from_=None, id_="1"))) == 1
    (event,) = reader.feed(data)
    return event


@WRITERS
def test_header_says_who_where_to_and_in_which_language(content_ns):
    header = XmlWriter(content_ns).header(from_="example.org", id_="<7>", to="romeo@example.org", lang="de")
    assert header.startswith(b"<?xml version='1.0'?><stream:stream ")
    assert XmlReader(ReaderLimits(), content_ns).feed(header) == [
        StreamOpened("romeo@example.org", "example.org", "<7>", "1.0", "de")
    ]


def test_header_without_addresses_has_none():
    assert XmlReader(ReaderLimits()).feed(XmlWriter().header(from_=None, id_="1")) == [
        StreamOpened(None, None, "1", "1.0", "en")
    ]


@WRITERS
def test_features_hold_their_elements(content_ns):
    features = [Element("urn:x a"), Element("urn:y b", {}, (Element("urn:y c"),)), Element(f"{content_ns} d")]
    found = read_back(XmlWriter(content_ns).features(features), content_ns)
    assert found == Element(f"{STREAMS_NS} features", {}, tuple(features))


def test_no_features_are_an_empty_element():
    assert read_back(XmlWriter().features([])) == Element(f"{STREAMS_NS} features")


def test_stanza_is_its_own_bytes():
    message = Message.build(to=JID.parse("example.org"))
    assert XmlWriter().stanza(message) is message.to_xml()


@WRITERS
def test_elements_are_written_for_the_stream_they_are_on(content_ns):
    element = Element("urn:x a", {}, (Element("jabber:client b"), Element("jabber:server c")))
    assert read_back(XmlWriter(content_ns).element(element), content_ns) == element


def test_dialback_has_the_prefix_that_some_servers_know_it_by():
    error = Element("jabber:client error", {"type": "cancel"}, (Element("urn:x why"),))
    result = Element("jabber:server:dialback result", {"from": "a.example", "to": "b'b"}, ("k<", error))
    written = XmlWriter("jabber:server").element(result)
    assert written == (
        b"<db:result from='a.example' to='b&apos;b'>k&lt;<error type='cancel'><why xmlns='urn:x'/></error></db:result>"
    )


def test_header_that_opens_a_stream_between_servers_declares_dialback_and_has_no_id():
    header = XmlWriter("jabber:server").header(from_="a.example", id_=None, to="b.example")
    assert b" xmlns:db='jabber:server:dialback'" in header and b" id=" not in header


@pytest.mark.parametrize(
    "inner",
    [
        b"<body xmlns='jabber:client'>a&lt;</body>b",
        b"<q:body xmlns:q='jabber:client'>a&lt;</q:body>b",
        b"<body>a&lt;</body>b<f xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body/></message></f>",
    ],
)
def test_stanza_of_a_client_is_in_the_namespace_of_the_servers_it_goes_to(inner):
    message = Message(JID.parse("a@b.example"), None, None, "chat", None, inner, ("jabber:client body",))
    for ns in ("jabber:server", "jabber:component:accept"):
        stanza = read_back(XmlWriter(ns).stanza(message), ns)
        elements = stanza.elements()
        assert (elements[0].tag, elements[0].text, stanza.tags[0]) == ("jabber:client body", "a<", "jabber:client body")
    assert [found.elements()[0].elements()[0].tag for found in elements[1:]] == ["jabber:client body"] * (
        len(elements) - 1
    )


@pytest.mark.parametrize("h", [0, 7, 2**32 - 1])
def test_ack_carries_its_count(h):
    assert read_back(XmlWriter().ack(h)) == Element("urn:xmpp:sm:3 a", {"h": str(h)})


def test_ack_request_is_empty():
    assert read_back(XmlWriter().ack_request()) == Element("urn:xmpp:sm:3 r")


def test_error_has_condition_text_and_a_condition_of_another_namespace():
    error = XmlWriter().error("policy-violation", "a < b", Element("urn:x app", {"h": "1"}))
    assert read_back(error) == Element(
        f"{STREAMS_NS} error",
        {},
        (
            Element(f"{ERRORS_NS} policy-violation"),
            Element(f"{ERRORS_NS} text", {}, ("a < b",)),
            Element("urn:x app", {"h": "1"}),
        ),
    )


def test_error_may_be_a_condition_alone():
    assert read_back(XmlWriter().error("conflict")).elements() == (Element(f"{ERRORS_NS} conflict"),)


def test_see_other_host_carries_the_address_itself():
    error = read_back(XmlWriter().error("see-other-host", "[::1]:5222"))
    assert error.elements() == (Element(f"{ERRORS_NS} see-other-host", {}, ("[::1]:5222",)),)


def test_close_ends_what_the_header_began():
    assert read_back(XmlWriter().close()) == StreamClosed()
