"""The reader of XML streams: the same events however the bytes are cut, and nothing but a stream error for bad ones."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.element import Element, parse_element
from codec.events import BadStanza, StreamBroken, StreamClosed, StreamOpened
from codec.limits import BEFORE_LOGIN, HEADER_BYTES, ReaderLimits
from codec.stanza import IQ, Message, Presence
from codec.xml_parser import ParserPool
from codec.xml_reader import USUAL_HEADERS, XmlReader, read_stanza
from tests.support.garbage import garbage_of
from tests.support.pieces import (
    AFTER,
    CUTS,
    HEADER,
    Cut,
    broken,
    byte_by_byte,
    feed_all,
    in_threes,
    opened,
    read,
    shape,
    whole,
)

cuts = pytest.mark.parametrize("cut", CUTS)

PREFIXED = (
    b"<s:stream xmlns:s='http://etherx.jabber.org/streams' xmlns:c='jabber:client' xmlns='urn:other' version='1.0'>"
)
"""A header whose content namespace has a prefix, which is legal (RFC 6120 §4.8.3) and which nobody does."""

DIALBACK = HEADER.replace(b" xmlns=", b" xmlns:db='jabber:server:dialback' xmlns=")
"""A usual header that declares one prefix more."""


def one(data: bytes, cut: Cut = whole, header: bytes = HEADER):
    """Return the only event that comes of these bytes."""
    events = feed_all(opened(header), cut(data))
    assert len(events) == 1, events
    return events[0]


# headers


@cuts
def test_header_gives_its_attributes(cut):
    header = (
        b"<?xml version='1.0' encoding='utf-8'?>\n<stream:stream from='romeo@example.org' to=\"example.org\" id='7' xml:lang='de'"
        b" version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' >"
    )
    assert feed_all(XmlReader(BEFORE_LOGIN), cut(header)) == [
        StreamOpened("example.org", "romeo@example.org", "7", "1.0", "de")
    ]


@cuts
@pytest.mark.parametrize(
    ("header", "condition"),
    [
        (b"<stream:stream xmlns='jabber:client' xmlns:stream='urn:wrong'>", "invalid-namespace"),
        (b"<stream:stream xmlns='urn:wrong' xmlns:stream='http://etherx.jabber.org/streams'>", "invalid-namespace"),
        (b"<stream:stream xmlns:stream='http://etherx.jabber.org/streams'>", "invalid-namespace"),
        (b"<stream xmlns='jabber:client'>", "invalid-namespace"),
        (b"<stream:stream>", "not-well-formed"),
        (b"<message xmlns='jabber:client'>", "bad-format"),
        (b"<stream:features xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>", "bad-format"),
        (b"GET / HTTP/1.1\r\n", "not-well-formed"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "not-well-formed"),
        (b"<!DOCTYPE lolz [<!ENTITY lol 'lol'>]>", "restricted-xml"),
        (b"<?xml version='1.0'?><!-- hello -->", "restricted-xml"),
        (b"<?xml version='1.0'?><?php echo ?>", "restricted-xml"),
        (b"<?xml version='1.0' encoding='ISO-8859-1'?>", "unsupported-encoding"),
        (b"<?xml version='1.0' encoding='UTF-16'?>", "unsupported-encoding"),
        (b"<?xml version='2.0'?>", "not-well-formed"),
        ("<?xml version='1.0' encoding='UTF-16'?>".encode("utf-16"), "unsupported-encoding"),
        (HEADER[21:].decode().encode("utf-16"), "unsupported-encoding"),
        (HEADER[21:].decode().encode("utf-16-le"), "unsupported-encoding"),
        (HEADER[21:].decode().encode("utf-16-be"), "unsupported-encoding"),
    ],
)
def test_wrong_header_gets_its_condition(header, condition, cut):
    events = feed_all(XmlReader(BEFORE_LOGIN), cut(header))
    assert [shape(event) for event in events] == [("broken", condition)]


@pytest.mark.parametrize("beginning", [b"<!--", b"<!D", b"<?xml version='1.0'?><?p", b"\n<?x"])
def test_restricted_xml_before_the_header_is_refused_as_it_begins(beginning):
    events = feed_all(XmlReader(BEFORE_LOGIN), byte_by_byte(beginning))
    assert [shape(event) for event in events] == [("broken", "restricted-xml")]


@cuts
def test_header_of_more_than_10_kb_is_refused(cut):
    header = HEADER.replace(b" to=", b" x='%b' to=" % (b"x" * HEADER_BYTES))
    assert [shape(event) for event in feed_all(XmlReader(ReaderLimits()), cut(header))] == [
        ("broken", "policy-violation")
    ]


@cuts
def test_header_with_more_prefixes_than_an_element_may_have_attributes_is_refused(cut):
    prefixes = b"".join(b" xmlns:n%d='urn:x'" % number for number in range(BEFORE_LOGIN.attributes + 1))
    events = feed_all(XmlReader(BEFORE_LOGIN), cut(HEADER.replace(b" to=", prefixes + b" to=")))
    assert [shape(event) for event in events] == [("broken", "policy-violation")]


@cuts
def test_restart_expects_another_header_and_drops_what_was_half_read(cut):
    reader = opened()
    reader.feed(b"<message to='half-read@example")
    reader.restart()
    assert isinstance(feed_all(reader, cut(HEADER))[0], StreamOpened)
    assert isinstance(feed_all(reader, cut(b"<message/>"))[0], Message)


def test_header_that_declares_a_prefix_of_our_own_is_read_on_after_sleep():
    header = HEADER.replace(b" xmlns=", b" xmlns:xmppd='urn:x' xmlns=")
    reader = opened(header)
    assert reader.sleep()
    (message,) = reader.feed(b"<message><xmppd:x/></message>")
    assert message.elements()[0].tag == "urn:x x"
    assert isinstance(reader.feed(b"<xmppd:y>text</xmppd:y>")[0], Element)


@pytest.mark.parametrize("more", [b"", b"\n"])
def test_header_that_another_stream_has_sent_is_known_by_its_bytes_and_means_the_same(more):
    pool = ParserPool(USUAL_HEADERS["jabber:client"])
    events = [XmlReader(BEFORE_LOGIN, pool=pool).feed(HEADER + more) for _ in range(2)]
    assert events[0] == events[1] == [StreamOpened("example.org", version="1.0")]
    assert list(pool.headers) == [HEADER + more]
    reader = XmlReader(ReaderLimits(), pool=pool)
    reader.feed(HEADER + more)
    assert [shape(event) for event in reader.feed(b"<presence/></stream:stream>")] == read(
        b"<presence/></stream:stream>"
    )


@pytest.mark.parametrize(
    "first", [HEADER + b"<presence/>", HEADER + b"<pres", HEADER[:-9], DIALBACK, PREFIXED, HEADER + b"x", b"<x>", b" "]
)
def test_only_a_usual_header_alone_is_remembered(first):
    pool = ParserPool(USUAL_HEADERS["jabber:client"])
    XmlReader(BEFORE_LOGIN, pool=pool).feed(first)
    assert pool.headers == {}


# stanzas


STANZAS = [
    b"<message/>",
    b"<message></message>",
    b"<message ></message >",
    b"<message to='a@example.org'/>",
    b"<message to=\"a@example.org/x\" id='1' type='chat' xml:lang='de'><body>hello</body></message>",
    b"<message><body>&lt;&amp;&#x1F600;&gt;</body></message>",
    b"<message id='a>b/>' to='a@example.org'><body x='>'/></message>",
    b"<message id='\"&apos;\"'/>",
    b"<message\n\tid = '1'\r\n><body/>\r\n</message>",
    b"<message><body><![CDATA[<!-- no comment, <?no pi?>, </message> ]]></body></message>",
    b"<message><body><![CDATA[]]>]]&gt;</body></message>",
    "<message id='é€😀'><body>é€😀</body></message>".encode(),
    b"<presence><show>away</show>text<priority>5</priority></presence>",
    b"<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
    b"<iq type='result' id='1' from='a@example.org/x'/>",
    b"<message xmlns='jabber:client'><body xmlns='jabber:client'/></message>",
    b"<message xmlns:x='urn:x' x:y='1' z='2'><x:e/><x:e/></message>",
    b"<message><message xmlns='jabber:client'><message/></message></message>",
    b"<message><a><b><c/></b></a><a/></message>",
]


@cuts
@pytest.mark.parametrize("xml", STANZAS)
@pytest.mark.parametrize("header", [HEADER, DIALBACK])
def test_stanza_is_read_the_same_however_it_is_cut_and_written_as_it_was(xml, header, cut):
    (found,) = read(xml, cut, header)
    stanza = one(xml, cut, header)
    expected = parse_element(xml)
    again = parse_element(stanza.to_xml())
    if expected.get("type") is None:
        again = Element(again.tag, {key: value for key, value in again.attrs.items() if key != "type"}, again.children)
    assert again == expected
    assert stanza.tags == tuple(child.tag for child in expected.elements())
    assert stanza.elements() == expected.elements()
    assert found == shape(stanza)


@cuts
def test_envelope_is_typed(cut):
    xml = b"<iq type='set' id='&lt;1&gt;' to='Romeo@EXAMPLE.org/x' from='juliet@example.org' xml:lang='de'><a xmlns='b'/></iq>"
    iq = one(xml, cut)
    assert isinstance(iq, IQ)
    assert (iq.to, iq.from_, iq.id, iq.type, iq.lang) == (
        "romeo@example.org/x",
        "juliet@example.org",
        "<1>",
        "set",
        "de",
    )
    assert (iq.inner, iq.tags) == (b"<a xmlns='b'/>", ("b a",))


def test_message_without_type_is_normal_and_presence_without_type_is_available():
    assert (one(b"<message/>").type, one(b"<presence/>").type) == ("normal", "")


def test_stanza_is_reported_by_the_call_that_brings_its_last_byte():
    reader = opened()
    xml = b"<message><body>hello</body></message>"
    assert feed_all(reader, byte_by_byte(xml[:-1])) == []
    assert len(reader.feed(xml[-1:])) == 1
    assert reader.pending_bytes == 0


@cuts
def test_white_space_between_stanzas_is_nothing(cut):
    events = read(b" \n<message/>\t\r\n <presence/>\r", cut)
    assert [event[0] for event in events] == ["message", "presence"]


@cuts
@pytest.mark.parametrize("text", [b"hello", b"&amp;", b"&#32;", b"<![CDATA[ ]]>", "é".encode()])
@pytest.mark.parametrize("rest", [b"<message/>", b"</stream:stream>"])
def test_text_between_stanzas_is_refused(text, rest, cut):
    assert broken(text + rest, cut) == "bad-format"


@cuts
@pytest.mark.parametrize("attribute", ["to", "from"])
@pytest.mark.parametrize("jid", ["", "@example.org", "a@b@c/", "a b@example.org", "x" * 1024 + "@example.org"])
def test_stanza_with_a_malformed_address_becomes_a_bad_stanza_without_addresses(attribute, jid, cut):
    event = one(f"<iq type='get' id='7' {attribute}='{jid}'><x xmlns='y'/></iq>".encode(), cut)
    assert isinstance(event, BadStanza)
    assert event.condition == "jid-malformed"
    stanza = event.stanza
    assert (stanza.kind, stanza.id, stanza.type, stanza.to, stanza.from_) == ("iq", "7", "get", None, None)


@cuts
def test_other_children_of_the_stream_are_elements(cut):
    auth = b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGE=</auth>"
    ack = b"<a xmlns='urn:xmpp:sm:3' h='5'/>"
    odd = b"<q:r xmlns:q='urn:q' q:at='1' xml:lang='de'></q:r>"
    assert read(auth + ack + odd, cut) == [parse_element(auth), parse_element(ack), parse_element(odd)]


@cuts
@pytest.mark.parametrize(
    "xml",
    [
        b"<message xmlns='jabber:server'/>",
        b"<message xmlns=''/>",
        b"<stream:message/>",
        b"<query/>",
        b"<iq xmlns='urn:x'><y/></iq>",
    ],
)
def test_child_of_another_namespace_or_name_is_no_stanza(xml, cut):
    (event,) = read(xml, cut)
    assert isinstance(event, Element)


@cuts
def test_close_is_reported_and_what_follows_it_is_not_read(cut):
    reader = opened()
    assert feed_all(reader, cut(b"<presence/> </stream:stream>"))[1:] == [StreamClosed()]
    assert feed_all(reader, cut(b"<presence/><broken")) == []


# prefixes


@cuts
def test_prefix_of_the_header_still_resolves_in_a_stanza_sent_on(cut):
    stanza = one(b"<message db:x='1'><db:verify id='2'>k</db:verify></message>", cut, DIALBACK)
    sent = parse_element(stanza.to_xml())
    assert sent.get("jabber:server:dialback x") == "1"
    assert sent.elements()[0].tag == "jabber:server:dialback verify"
    assert stanza.elements()[0].tag == stanza.tags[0] == "jabber:server:dialback verify"


@cuts
def test_prefix_of_the_header_is_not_sent_on_where_it_is_not_used(cut):
    assert one(b"<message><body>x</body></message>", cut, DIALBACK).to_xml() == b"<message><body>x</body></message>"


def test_prefix_that_the_stanza_declares_anew_wins_over_the_header():
    stanza = one(b"<message xmlns:db='urn:mine'><db:x/></message>", header=DIALBACK)
    assert parse_element(stanza.to_xml()).elements()[0].tag == "urn:mine x"


def test_namespace_of_the_header_is_escaped_when_it_is_sent_on():
    header = HEADER.replace(b" xmlns=", b" xmlns:x='urn:&apos;&lt;&amp;' xmlns=")
    stanza = one(b"<message><x:y/></message>", header=header)
    assert parse_element(stanza.to_xml()).elements()[0].tag == "urn:'<& y"


@cuts
@pytest.mark.parametrize("sleeps", [False, True])
def test_prefixed_content_namespace_is_read_as_the_usual_one(cut, sleeps):
    reader = opened(PREFIXED)
    if sleeps:
        assert reader.sleep()
    xml = (
        b"<c:message to='a@example.org' id='1'><c:body>a &lt; b &#13;</c:body>between<x>y</x></c:message>"
        b"<c:message></c:message><c:presence/><plain><z/></plain>"
    )
    message, empty, presence, plain = feed_all(reader, cut(xml))
    assert parse_element(message.to_xml()) == parse_element(
        b"<message to='a@example.org' id='1'><body>a &lt; b &#13;</body>between<x xmlns='urn:other'>y</x></message>"
    )
    assert message.tags == ("jabber:client body", "urn:other x")
    assert isinstance(empty, Message) and empty.inner == b""
    assert isinstance(presence, Presence)
    assert plain == Element("urn:other plain", {}, (Element("urn:other z"),))
    assert feed_all(reader, cut(b"</s:stream>")) == [StreamClosed()]


@cuts
def test_carriage_return_by_reference_between_children_survives_a_prefixed_namespace(cut):
    message = one(b"<c:message>&#13;<c:body/></c:message>", cut, PREFIXED)
    assert parse_element(message.to_xml()).text == "\r"


@cuts
@pytest.mark.parametrize("header", [HEADER, DIALBACK])
def test_usual_header_may_still_prefix_a_stanza(header, cut):
    message = one(b"<m:message xmlns:m='jabber:client' id='1'><m:body>x</m:body></m:message>", cut, header)
    assert isinstance(message, Message)
    assert parse_element(message.to_xml()) == parse_element(b"<message id='1'><body>x</body></message>")


# what is refused


@cuts
@pytest.mark.parametrize(
    "xml",
    [
        b"<message></presence>",
        b"<message><body></message>",
        b"<message id='1' id='2'/>",
        b"<message xmlns:a='u' xmlns:b='u' a:x='' b:x=''/>",
        b"<message id=1/>",
        b"<message id='<'/>",
        b"<x:message/>",
        b"<message><body>\x00</body></message>",
        b"<message><body>&#0;</body></message>",
        b"<message><body>\x01</body></message>",
        b"<message><body>&#1;</body></message>",
        b"<message><body>&#xD800;</body></message>",
        b"<message id='&#xDFFF;'/>",
        b"<message><body>&#xFFFE;</body></message>",
        b"<message><body>\xed\xa0\x80</body></message>",
        b"<message><body>\xff</body></message>",
        b"<message><body>\xc0\xaf</body></message>",
        b"<message><body>\xc3(</body></message>",
        b"<message><body>\xe2\x82(</body></message>",
        b"<message><body>]]></body></message>",
        b"</message>",
        b"\x00",
        b"\x0b",
        b"\x0c",
    ],
)
def test_input_that_is_not_well_formed_is_refused(xml, cut):
    assert broken(xml, cut) == "not-well-formed"


@cuts
@pytest.mark.parametrize(
    "xml",
    [
        b"<!-- a comment -->",
        b"<message><!-- a comment --></message>",
        b"<?pi?>",
        b"<message><?pi x?></message>",
        b"<message><body>&undefined;</body></message>",
        b"<message id='&undefined;'/>",
    ],
)
def test_restricted_xml_is_refused(xml, cut):
    assert broken(xml, cut) == "restricted-xml"


@cuts
def test_doctype_inside_a_stream_is_refused(cut):
    assert broken(b"<!DOCTYPE x>", cut) in ("restricted-xml", "not-well-formed")


@pytest.mark.parametrize(
    "beginning", [b"<!--", b"<message><!--", b"<message>text<?x", b"<?x", b"<message><body><!-- a"]
)
@cuts
def test_restricted_xml_is_refused_as_it_begins(beginning, cut):
    events = feed_all(opened(), cut(beginning))
    assert [shape(event) for event in events] == [("broken", "restricted-xml")]


@cuts
def test_depth_is_limited(cut):
    limits = ReaderLimits(depth=5)
    deepest = b"<message>" + b"<a>" * 4 + b"</a>" * 4 + b"</message>"
    assert len(read(deepest, cut, limits=limits)) == 1
    assert broken(deepest.replace(b"<a></a>", b"<a><b/></a>"), cut, limits=limits) == "policy-violation"


@cuts
@pytest.mark.parametrize("depth", [64, 200])
@pytest.mark.parametrize("header", [HEADER, DIALBACK, PREFIXED])
def test_as_deep_as_the_limit_is_no_exception_for_any_child_of_a_stream(header, depth, cut):
    limits = ReaderLimits(depth=depth)
    for name in (b"x", b"message", b"c:message"):
        if name.startswith(b"c:") and header is not PREFIXED:
            continue
        deep = b"<%b>" % name + b"<a>" * (depth - 1) + b"</a>" * (depth - 1) + b"</%b>" % name
        assert not isinstance(read(deep, cut, header, limits)[0], StreamBroken)


@cuts
def test_attributes_are_limited_on_a_stanza_and_inside_it(cut):
    limits = ReaderLimits(attributes=8)
    full = b" ".join(b"a%d=''" % number for number in range(8))
    assert len(read(b"<message><x %b/></message>" % full, cut, limits=limits)) == 1
    assert broken(b"<message><x %b more=''/></message>" % full, cut, limits=limits) == "policy-violation"
    assert broken(b"<message %b more=''/>" % full, cut, limits=limits) == "policy-violation"


def test_limits_of_one_stream_do_not_reach_another_by_their_shared_parser():
    pool = ParserPool(USUAL_HEADERS["jabber:client"])
    stranger, friend = XmlReader(BEFORE_LOGIN, pool=pool), XmlReader(ReaderLimits(), pool=pool)
    many = b"<message %b/>" % b" ".join(b"a%d=''" % number for number in range(BEFORE_LOGIN.attributes + 1))
    for reader in (stranger, friend):
        reader.feed(HEADER)
        reader.feed(b"<presence/>")
    stranger.feed(b"<presence/>")
    assert isinstance(friend.feed(many)[0], Message)
    assert shape(stranger.feed(many)[-1]) == ("broken", "policy-violation")


@cuts
def test_children_are_limited(cut):
    limits = ReaderLimits(children=5)
    assert len(read(b"<message>" + b"<a/>" * 5 + b"</message>", cut, limits=limits)) == 1
    assert broken(b"<message>" + b"<a/>" * 6 + b"</message>", cut, limits=limits) == "policy-violation"


@cuts
@pytest.mark.parametrize("limits", [BEFORE_LOGIN, ReaderLimits(stanza_bytes=20_000)])
@pytest.mark.parametrize(
    "shape_of", [b"<message><body>%b</body></message>", b"<message id='%b'/>", b"<auth xmlns='x'>%b</auth>"]
)
def test_size_is_limited_before_and_after_login(shape_of, limits, cut):
    room = limits.stanza_bytes - len(shape_of % b"")
    fits, too_large = shape_of % (b"x" * room), shape_of % (b"x" * (room + 1))
    assert len(read(fits, cut, limits=limits)) == 1
    assert broken(too_large, cut, limits=limits) == "policy-violation"


@cuts
def test_white_space_before_a_stanza_does_not_count_into_its_size(cut):
    limits = ReaderLimits(stanza_bytes=100)
    xml = b" " * 90 + b"<message id='%b'/>" % (b"x" * 70)
    assert len(read(xml, cut, limits=limits)) == 1


@cuts
def test_limits_set_later_hold_from_the_next_stanza(cut):
    reader = opened(limits=BEFORE_LOGIN)
    large = b"<message><body>%b</body></message>" % (b"x" * 15_000)
    reader.limits = ReaderLimits()
    assert isinstance(feed_all(reader, cut(large))[0], Message)


@cuts
@pytest.mark.parametrize("bad", [b"<!-- -->", b"<message></presence>", b"x<message/>", b"<message id='\xff'/>"])
def test_stanzas_before_an_error_are_reported_before_it(bad, cut):
    events = read(b"<message id='1'/><presence/><a xmlns='urn:xmpp:sm:3' h='1'/>" + bad, cut)
    assert [event[0] for event in events if isinstance(event, tuple)] == ["message", "presence", "broken"]
    assert len(events) == 4


@cuts
def test_stanzas_before_one_that_is_too_large_are_reported_before_the_error(cut):
    xml = b"<message/><presence/><message id='%b'/>" % (b"x" * 200)
    assert [event[0] for event in read(xml, cut, limits=ReaderLimits(stanza_bytes=100))] == [
        "message",
        "presence",
        "broken",
    ]


def test_nothing_is_read_after_an_error():
    reader = opened()
    assert shape(reader.feed(b"<message></presence>")[-1]) == ("broken", "not-well-formed")
    assert reader.feed(b"<message/>") == []
    assert reader.pending_bytes == 0


# cost


def test_tag_of_256_kib_byte_by_byte_is_parsed_a_bounded_number_of_times(monkeypatch):
    reader = opened()
    parsed_bytes = 0
    parse = XmlReader._parse

    def counting(self, parser, data):
        nonlocal parsed_bytes
        parsed_bytes += len(data)
        return parse(self, parser, data)

    monkeypatch.setattr(XmlReader, "_parse", counting)
    rest = 262_144 - len(b"<message id=''/>")
    events = feed_all(reader, byte_by_byte(b"<message id='%b'/>" % (b"x" * rest)))
    assert len(events) == 1
    assert parsed_bytes <= 2 * 262_144


def test_tag_full_of_angle_brackets_byte_by_byte_is_cut_off_by_the_rescan_limit():
    limits = ReaderLimits(rescan_bytes=1_000_000)
    reader = opened(limits=limits)
    reader.feed(b"<message id='")
    fed = 0
    for _ in range(262_000):
        events = reader.feed(b">")
        fed += 1
        if events:
            break
    assert shape(events[0]) == ("broken", "policy-violation")
    assert fed < 2_500, "each byte has Expat read the tag again: 1,000,000 bytes are reached after some 1,800"


def test_text_in_small_pieces_is_not_read_again():
    reader = opened(limits=ReaderLimits(rescan_bytes=10_000))
    xml = b"<message><body>%b</body></message>" % (b"a > b " * 20_000)
    assert isinstance(feed_all(reader, in_threes(xml))[0], Message)


@cuts
def test_long_tag_among_small_pieces_is_held_back_and_then_read(cut):
    xml = b"<message><x a='%b'/>%b</message>" % (b"y" * 5_000, b"z" * 3_000)
    (message,) = read(xml + AFTER, cut)[:1]
    assert message[6] == xml[9:-10]


@pytest.mark.parametrize("header", [HEADER, DIALBACK])
@pytest.mark.parametrize("is_always_half_read", [False, True])
def test_made_up_names_do_not_add_up_in_a_parser(header, is_always_half_read):
    reader = opened(header)
    if is_always_half_read:
        reader.feed(b"<mess")

    def send(numbers):
        for number in numbers:
            names = b"".join(b"<n%da%d/>" % (number, index) for index in range(1_000))
            if is_always_half_read:
                assert len(reader.feed(b"age>%b</message><mess" % names)) == 1
            else:
                assert len(reader.feed(b"<message>%b</message>" % names)) == 1

    tracemalloc.start()
    try:
        send(range(10))
        before, _ = tracemalloc.get_traced_memory()
        send(range(10, 40))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1_000_000, "30,000 names take 2.7 MB in one parser"


@pytest.mark.parametrize("ending", [b"<message", b"<message></x>", b"</stream:stream>", b""])
def test_a_reader_that_is_closed_leaves_no_garbage_to_collect(ending):
    def live_and_die():
        pool = ParserPool(USUAL_HEADERS["jabber:client"])
        for header in (HEADER, DIALBACK):
            reader = XmlReader(BEFORE_LOGIN, pool=pool)
            reader.feed(header)
            reader.feed(ending)
            reader.close()
            assert reader.feed(b"<presence/>") == []
        pool.close()

    assert garbage_of(live_and_die) == 0


def test_restart_leaves_no_garbage_to_collect():
    reader = opened()

    def restart():
        reader.feed(b"<message")
        reader.restart()
        reader.feed(HEADER)

    assert garbage_of(restart) == 0


# sleep


@pytest.mark.parametrize("header", [HEADER, DIALBACK, PREFIXED])
def test_sleeping_stream_goes_on_where_it_was(header):
    reader = opened(header)
    prefix = b"c:" if header is PREFIXED else b""
    stanza = b"<%bmessage id='1'/>" % prefix
    before = [shape(event) for event in reader.feed(stanza)]
    assert reader.sleep()
    assert reader.sleep()
    assert [shape(event) for event in feed_all(reader, byte_by_byte(stanza))] == before
    assert reader.sleep()
    assert reader.feed(b"</s:stream>" if header is PREFIXED else b"</stream:stream>") == [StreamClosed()]


@pytest.mark.parametrize("header", [HEADER, DIALBACK])
def test_stream_with_a_half_read_stanza_does_not_sleep(header):
    reader = opened(header)
    reader.feed(b"<message id=")
    assert not reader.sleep()
    assert reader.pending_bytes == 12
    assert reader.feed(b"'1'/>")[0].id == "1"


def test_stream_does_not_sleep_before_its_header():
    reader = XmlReader(BEFORE_LOGIN)
    reader.feed(b"<stream:stream")
    assert not reader.sleep()


@pytest.mark.parametrize("header", [HEADER, DIALBACK])
def test_white_space_keepalive_wakes_nobody(header):
    reader = opened(header)
    reader.sleep()
    assert reader.feed(b" ") == reader.feed(b"\r\n\t") == []
    assert reader.pending_bytes == 0
    assert reader.sleep()


def test_many_keepalives_in_an_unusual_stream_take_no_memory():
    reader = opened(DIALBACK)
    reader.feed(b"<presence/>")
    for _ in range(1_000):
        reader.feed(b" " * 100)
    assert reader.pending_bytes == 0


def test_streams_that_share_parsers_do_not_mix():
    pool = ParserPool(USUAL_HEADERS["jabber:client"])
    readers = [XmlReader(ReaderLimits(), pool=pool) for _ in range(5)]
    for reader in readers:
        reader.feed(HEADER)
    pieces = [byte_by_byte(b"<message id='%d'><body>%d</body></message>" % (n, n)) for n in range(5)]
    found: dict[int, list[str]] = {}
    for step in range(len(pieces[0])):
        for number, reader in enumerate(readers):
            for event in reader.feed(pieces[number][step]):
                found.setdefault(number, []).append(event.id)
    assert found == {number: [str(number)] for number in range(5)}


def test_error_of_one_stream_leaves_the_parsers_of_others_alone():
    pool = ParserPool(USUAL_HEADERS["jabber:client"])
    bad, good = XmlReader(ReaderLimits(), pool=pool), XmlReader(ReaderLimits(), pool=pool)
    for reader in (bad, good):
        reader.feed(HEADER)
    good.feed(b"<message id='1'>")
    assert isinstance(bad.feed(b"<message></x>")[-1], StreamBroken)
    assert good.feed(b"</message>")[0].id == "1"


# what we wrote


def test_read_stanza_gives_back_what_was_written():
    message = one(b"<message to='a@example.org' type='chat' xmlns:x='u' x:y='1'><x:body/>text</message>")
    assert shape(read_stanza(message.to_xml())) == shape(message)


@pytest.mark.parametrize("xml", [b"", b"<message>", b"<presence/>", b"<message/><message/>", b"nonsense"])
def test_read_stanza_refuses_what_is_not_one_message(xml):
    with pytest.raises(ValueError, match="not one message"):
        read_stanza(xml)


def test_read_stanza_leaves_no_garbage_to_collect():
    assert garbage_of(lambda: read_stanza(b"<message><body/></message>")) == 0


# properties

TEXTS = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff"), max_size=12)
ELEMENTS = st.recursive(
    st.builds(
        Element,
        st.sampled_from(["jabber:client body", "urn:x y", "urn:a>b z"]),
        st.dictionaries(st.sampled_from(["a", "b", "urn:x c"]), TEXTS, max_size=2),
    ),
    lambda inner: st.builds(
        Element, st.sampled_from(["urn:x outer", "jabber:client thread"]), st.just({}), st.tuples(inner, inner)
    ),
    max_leaves=5,
)


@st.composite
def streams(draw):
    """Some stanzas and other children, with space between, as bytes."""
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        payloads = draw(st.lists(ELEMENTS, max_size=3))
        kind = draw(st.sampled_from([Message, Presence, IQ, None]))
        if kind is None:
            parts.append(draw(ELEMENTS).to_xml())
        else:
            id_ = draw(st.none() | TEXTS)
            parts.append(kind.build(*payloads, id=id_, type=draw(st.sampled_from([None, "chat", "get"]))).to_xml())
        parts.append(draw(st.sampled_from([b"", b"\n", b"  "])))
    return b"".join(parts)


def cut_at(data, places):
    at = sorted({place % (len(data) + 1) for place in places})
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]


@given(streams(), st.lists(st.integers(0, 10_000), max_size=12), st.sampled_from([HEADER, DIALBACK]))
def test_any_stream_gives_the_same_events_however_it_is_cut(data, places, header):
    expected = [shape(event) for event in opened(header).feed(data)]
    assert not any(event[0] == "broken" for event in expected if isinstance(event, tuple))
    assert [shape(event) for event in feed_all(opened(header), cut_at(data, places))] == expected
    assert [shape(event) for event in feed_all(opened(header), byte_by_byte(data))] == expected


FRAGMENTS = st.sampled_from(
    b"< > /> </ <message <message> </message> id=' ' \" & ; &amp; <! -- <!-- --> <![CDATA[ ]]> <? ?> <x\txmlns=' xmlns: : = \n a"
    b" </stream:stream> \xc3 \xa9 \x00 \xff\xfe <presence/> <c:iq/> <stream:x> </stream:x> </c:message>".split(b" ")
)


@given(st.lists(FRAGMENTS | st.binary(max_size=3), max_size=25), st.sampled_from([HEADER, DIALBACK, PREFIXED, b""]))
def test_garbage_ends_in_a_stream_error_at_most(parts, header):
    data = b"".join(parts)
    limits = ReaderLimits(stanza_bytes=1_000, rescan_bytes=100_000)
    for cut in (whole, byte_by_byte, lambda _: parts):
        reader = XmlReader(limits)
        events = [*reader.feed(header), *feed_all(reader, cut(data))]
        assert not any(isinstance(event, StreamBroken | StreamClosed) for event in events[:-1])
        assert reader.pending_bytes <= 1_000 + len(data)
        if events and isinstance(events[-1], StreamBroken | StreamClosed):
            assert reader.feed(b"<presence/>") == []


@given(st.lists(st.binary(min_size=1, max_size=60).map(lambda data: data.replace(b">", b"")), min_size=20, max_size=30))
def test_unfinished_input_never_takes_more_than_its_limit(parts):
    limits = ReaderLimits(stanza_bytes=500)
    reader = opened(limits=limits)
    reader.feed(b"<message><body>")
    for part in parts:
        reader.feed(part)
        assert reader.pending_bytes <= 500 + len(part)
