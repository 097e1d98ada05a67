"""The reader of streams between servers, and with components: inside, their stanzas are those of clients."""

import pytest

from codec.element import Element, parse_element
from codec.events import StreamBroken
from codec.stanza import Message
from codec.xml_reader import USUAL_HEADERS
from tests.support.pieces import CUTS, feed_all, opened

cuts = pytest.mark.parametrize("cut", CUTS)


@cuts
def test_stream_of_servers_has_stanzas_of_its_own_namespace(cut):
    header = USUAL_HEADERS["jabber:server"]
    reader = opened(header, content_ns="jabber:server")
    events = feed_all(reader, cut(b"<message to='a@example.org'><body/></message><message xmlns='jabber:client'/>"))
    assert isinstance(events[0], Message) and events[0].tags == ("jabber:client body",)
    assert isinstance(events[1], Element)


SERVER_HEADERS = [
    USUAL_HEADERS["jabber:server"],
    USUAL_HEADERS["jabber:server"].replace(b" xmlns:db='jabber:server:dialback'", b""),
    b"<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns='jabber:server' xmlns:x='urn:x'>",
]


@cuts
@pytest.mark.parametrize("header", SERVER_HEADERS)
@pytest.mark.parametrize(
    "xml",
    [
        b"<message><body>a&amp;b</body><x xmlns='urn:x'><y/></x></message>",
        b"<message><body xmlns='jabber:server'>a&amp;b</body><x xmlns='urn:x'><y/></x></message>",
        b"<message xmlns:q='jabber:server' xmlns:p='urn:x'><q:body>a&amp;b</q:body><p:x><p:y/></p:x></message>",
        b"<q:message xmlns:q='jabber:server'><q:body>a&amp;b</q:body><x xmlns='urn:x'><y/></x></q:message>",
    ],
)
def test_stanza_of_a_server_is_what_a_client_would_have_sent(header, xml, cut):
    assert_is_as_of_a_client(feed_all(opened(header, content_ns="jabber:server"), cut(xml)))


@cuts
def test_stanza_of_a_component_is_what_a_client_would_have_sent(cut):
    xml = b"<message><body xmlns='jabber:component:accept'>a&amp;b</body><x xmlns='urn:x'><y/></x></message>"
    for stanza in (xml, xml.replace(b" xmlns='jabber:component:accept'", b"")):
        ns = "jabber:component:accept"
        assert_is_as_of_a_client(feed_all(opened(USUAL_HEADERS[ns], content_ns=ns), cut(stanza)))


def assert_is_as_of_a_client(events):
    (stanza,) = events
    body, x = parse_element(stanza.to_xml()).elements()
    assert (body.tag, body.text, x.tag, x.elements()[0].tag) == ("jabber:client body", "a&b", "urn:x x", "urn:x y")
    assert stanza.tags == ("jabber:client body", "urn:x x") and stanza.element("jabber:client body").text == "a&b"


@cuts
def test_prefix_of_dialback_is_known_only_where_the_header_declared_it(cut):
    xml = b"<db:result from='a.example' to='b.example'>key</db:result>"
    (event,) = feed_all(opened(SERVER_HEADERS[0], content_ns="jabber:server"), cut(xml))
    assert event == Element("jabber:server:dialback result", {"from": "a.example", "to": "b.example"}, ("key",))
    (event,) = feed_all(opened(SERVER_HEADERS[1], content_ns="jabber:server"), cut(xml))
    assert event == StreamBroken("not-well-formed")
    (stanza,) = feed_all(opened(SERVER_HEADERS[0], content_ns="jabber:server"), cut(b"<message><db:x/></message>"))
    assert parse_element(stanza.to_xml()).elements()[0].tag == "jabber:server:dialback x"
