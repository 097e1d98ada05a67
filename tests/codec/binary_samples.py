"""What the tests of the binary form share: stanzas of every sort, and streams in both forms."""

from xml.etree.ElementTree import canonicalize

from hypothesis import strategies as st
from lxml import etree

from codec.binary_dictionary import EMPTY, Dictionary, load
from codec.binary_head import Session
from codec.binary_reader import BinaryReader
from codec.binary_tables import SeenTables, SentTables
from codec.binary_writer import BinaryWriter
from codec.jid import JID
from codec.limits import ReaderLimits
from codec.xml_reader import USUAL_HEADERS, XmlReader

OWN = JID.parse("juliet@example.org/balcony")
LIMITS = ReaderLimits()
SHIPPED = load("0001")
BARE = Dictionary(EMPTY)
DICTIONARIES = {SHIPPED.id: SHIPPED, BARE.id: BARE}

SAMPLES = (
    "<message/>",
    "<presence/>",
    "<iq type='result' id='x'/>",
    "<message to='juliet@example.org/balcony' from='romeo@example.net/orchard' type='chat' id='m1' xml:lang='en'><body>Hi &amp; bye &lt;3</body></message>",
    "<message from='example.org' to='juliet@example.org'><body/></message>",
    "<message to='romeo@example.org/Conversations.aB3d' id='0b0b4a6c-5b5e-4b6f-9f0a-3f6c1d2e4f5a' type='chat'><body>one\ntwo</body>"
    "<origin-id xmlns='urn:xmpp:sid:0' id='0b0b4a6c-5b5e-4b6f-9f0a-3f6c1d2e4f5a'/><active xmlns='http://jabber.org/protocol/chatstates'/></message>",
    "<message from='room@conference.example.org/Some Nick' to='juliet@example.org/balcony' type='groupchat'><body>👍 Это хорошо</body>"
    "<stanza-id xmlns='urn:xmpp:sid:0' id='1764017200000000' by='room@conference.example.org'/></message>",
    "<message>between<x xmlns='urn:x'>a<b/>c<b> </b>\t</x>and after</message>",
    "<message xmlns:p='urn:p' p:a='1' b='&#10;&apos;&quot;&amp;'><p:x/><y xmlns='' p:z='2'/></message>",
    "<message><p:x xmlns:p='urn:p' xmlns='urn:d' xmlns:unused='urn:u' p:a='&lt;'><y/><z xmlns='urn:e'><p:w/></z></p:x></message>",
    "<message><x xmlns='urn:x' a='' b=' ' c='&#13;&#9;&#10;'>&#13;\n]]&gt;</x></message>",
    "<message><x xmlns='urn:x'>" + "<d>" * 40 + "</d>" * 40 + "</x></message>",
    "<message type='whatever' id=''><body xml:lang='de'>Grüße</body><body xml:lang='fr'/></message>",
    "<presence from='a@example.org/%s' to='juliet@example.org/balcony'><show>away</show><priority>-1</priority></presence>"
    % ("r" * 300),
    "<iq type='get' id='aGVsbG8=' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>",
    "<iq type='set' id='1'><vCard xmlns='vcard-temp'><PHOTO><BINVAL>%s</BINVAL></PHOTO></vCard></iq>"
    % ("QUJD" * 3_000),
    "<message><body>%s</body></message>" % ("ein sehr langer Text, der sich wiederholt. " * 3_000),
)


def stanza_of(xml: str):
    """Read one stanza as XML."""
    limits = ReaderLimits(stanza_bytes=10_000_000, depth=200, children=100_000)
    events = XmlReader(limits).feed(USUAL_HEADERS["jabber:client"] + xml.encode())
    assert len(events) == 2, events
    return events[1]


def canonical(stanza) -> bytes:
    """Return a stanza as canonical XML, within a stream's namespace.

    Inclusive C14N 1.0, or C14N 2.0 where libxml2 refuses: it has no 1.0 for relative namespace URIs such as vcard-temp.
    """
    xml = b"<stream xmlns='jabber:client'>" + stanza.to_xml() + b"</stream>"
    try:
        return etree.tostring(etree.fromstring(xml, etree.XMLParser(huge_tree=True)), method="c14n")
    except etree.C14NError:
        return canonicalize(xml.decode()).encode()


class Pair:
    """Two ends of one direction of a stream."""

    def __init__(self, dictionary=SHIPPED, has_tables=False, own=OWN, limits=LIMITS) -> None:
        self.writer = BinaryWriter(dictionary, Session(own.domainpart, own))
        self.reader = BinaryReader(limits, Session(own.domainpart, own), DICTIONARIES)
        opened = self.reader.feed(self.writer.header(from_=None, id_="", to=own.domainpart))
        assert len(opened) == 1
        if has_tables:
            self.writer.tables, self.reader.tables = SentTables(), SeenTables()

    def send(self, stanza):
        """Return what comes out at the other end."""
        events = self.reader.feed(self.writer.stanza(stanza))
        assert len(events) == 1, events
        return events[0]


NAMES = st.sampled_from(["body", "x", "item", "é", "_a-b.c", "query", "origin-id"])
SPACES = st.sampled_from(["jabber:client", "", "urn:x", "urn:xmpp:sid:0", "vcard-temp", "urn:a&b'c"])
LETTERS = st.one_of(
    st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters="\ufffe\uffff"),
    st.sampled_from("abc \t\n\r&<>'\"]]>"),
)
TEXTS = st.one_of(
    st.text(LETTERS, max_size=30),
    st.sampled_from(
        [
            "ok",
            "juliet@example.org",
            "juliet@example.org/balcony",
            "m1",
            "2026-01-02T03:04:05Z",
            "QUJDREVGR0hJSktMTU5PUA==",
        ]
    ),
    st.uuids().map(str),
    st.binary(min_size=8, max_size=40).map(bytes.hex),
)
ATTRIBUTES = st.dictionaries(st.sampled_from(["id", "jid", "by", "xml:lang", "ver", "ä"]), TEXTS, max_size=4)


def escaped(text: str) -> str:
    """Return a text as it may stand anywhere in XML."""
    out = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("'", "&apos;")
    return out.replace("\r", "&#13;").replace("\n", "&#10;").replace("\t", "&#9;")


@st.composite
def elements(draw, depth=0) -> str:
    """XML of one element, with prefixes, undeclared namespaces and mixed content."""
    name, ns = draw(NAMES), draw(SPACES)
    attributes = "".join(f" {key}='{escaped(value)}'" for key, value in draw(ATTRIBUTES).items())
    prefix = draw(st.sampled_from(["", "", "", "p", "q"])) if ns else ""
    declared = f" xmlns{':' + prefix if prefix else ''}='{escaped(ns)}'"
    if prefix and draw(st.booleans()):
        attributes += f" {prefix}:extra='{escaped(draw(TEXTS))}'"
    if prefix and draw(st.booleans()):
        declared += " xmlns='urn:default'"
    qname = f"{prefix}:{name}" if prefix else name
    inside = (
        ""
        if depth > 3
        else "".join(draw(st.lists(st.one_of(TEXTS.map(escaped), elements(depth=depth + 1)), max_size=3)))
    )
    return f"<{qname}{declared}{attributes}>{inside}</{qname}>"


JIDS = st.sampled_from(
    [
        "juliet@example.org/balcony",
        "juliet@example.org",
        "example.org",
        "romeo@example.org",
        "a@b.example/gajim.ABCD",
        "room@muc.example.net/Nick Name",
        "r@x/é",
    ]
)


@st.composite
def stanzas(draw) -> str:
    """XML of one stanza."""
    kind, types = draw(
        st.sampled_from(
            [
                ("message", ["chat", "groupchat", "error", "odd", None]),
                ("presence", ["unavailable", "probe", None]),
                ("iq", ["get", "result"]),
            ]
        )
    )
    parts = {
        "to": draw(st.none() | JIDS),
        "from": draw(st.none() | JIDS),
        "id": draw(st.none() | TEXTS),
        "type": draw(st.sampled_from(types)),
    }
    head = "".join(f" {key}='{escaped(value)}'" for key, value in parts.items() if value is not None)
    head += draw(st.sampled_from(["", "", " xml:lang='en'", " foo='b&#10;r'", " xmlns:s='urn:s' s:a='1'"]))
    inside = "".join(draw(st.lists(st.one_of(elements(), TEXTS.map(escaped)), max_size=4)))
    return f"<{kind}{head}>{inside}</{kind}>"
