"""XML of a client to frames and back: headers, features, login, stanzas, resumption, and whatever goes wrong."""

from collections.abc import Iterable

import pytest

from codec.binary_head import Session
from codec.binary_reader import BINARY_NS, BinaryReader
from codec.binary_tables import Claim, SeenTables, SentTables, Tables
from codec.binary_translator import MAX_RESUMABLE, Output, Resumable, Translator
from codec.binary_writer import BinaryWriter
from codec.element import Element, parse_element
from codec.events import Event, StreamClosed, StreamOpened
from codec.jid import JID
from codec.limits import ReaderLimits
from codec.xml_reader import XmlReader
from tests.codec.binary_samples import BARE, DICTIONARIES, OWN, SAMPLES, SHIPPED, canonical, stanza_of

HEADER = (
    b"<?xml version='1.0'?><stream:stream to='example.org' version='1.0' xmlns='jabber:client' "
    b"xmlns:stream='http://etherx.jabber.org/streams'>"
)
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
SASL2 = "urn:xmpp:sasl:2"
SM = "urn:xmpp:sm:3"
STREAMS = "http://etherx.jabber.org/streams"
BOUND = f"<iq type='result' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{OWN}</jid></bind></iq>"
SUCCESS2 = f"<success xmlns='{SASL2}'><authorization-identifier>{OWN}</authorization-identifier></success>"


class Line:
    """A client's connection: what the client reads, and the server's end of it."""

    def __init__(self, filters: bool = True, resumable: Resumable | None = None) -> None:
        self.translator = Translator(DICTIONARIES, resumable or Resumable(), filters_features=filters)
        self.session = Session()
        self.reader = BinaryReader(ReaderLimits(), self.session, DICTIONARIES)
        self.writer = BinaryWriter(SHIPPED, self.session, takes_tables=True)
        self.xml = XmlReader(ReaderLimits(stanza_bytes=10_000_000, depth=200, children=100_000))

    def say(self, xml: str | bytes) -> tuple[list[Event], list[Event], Output]:
        """The client says something; return what the server reads, and what the client reads at once."""
        output = self.translator.from_client(xml if isinstance(xml, bytes) else xml.encode())
        return self.reader.feed(b"".join(output.to_server)), self.xml.feed(b"".join(output.to_client)), output

    def hear(self, data: bytes, step: int = 1_000_000) -> list[Event]:
        """The server says something, in pieces of so many bytes; return what the client reads."""
        events: list[Event] = []
        for at in range(0, len(data), step):
            events += self.xml.feed(b"".join(self.translator.from_server(data[at : at + step]).to_client))
        return events

    def open(self) -> list[Event]:
        """Exchange headers."""
        self.say(HEADER)
        if self.reader.tables is None:
            self.reader.tables, self.writer.tables = SeenTables(), SentTables()
        return self.hear(self.writer.header(from_="example.org", id_="s1"))

    def element(self, xml: str) -> bytes:
        """Return an element or stanza as the server would write it."""
        if xml.startswith(("<iq", "<message", "<presence")):
            return self.writer.stanza(stanza_of(xml))
        return self.writer.element(parse_element(xml.encode()))


@pytest.fixture
def line() -> Line:
    """A connection whose streams are open."""
    line = Line()
    line.open()
    return line


@pytest.fixture
def bound(line: Line) -> Line:
    """A connection that is bound to OWN."""
    line.hear(line.element(BOUND))
    line.session.bind(OWN)
    return line


def texts(elements: Iterable[Element]) -> list[str]:
    return [element.text for element in elements]


def test_a_header_becomes_hello_and_its_answer_a_header() -> None:
    line = Line()
    sent, _, _ = line.say(HEADER)
    assert sent == [StreamOpened("example.org", None, None, "1.0", "en")]
    assert line.reader.peer_takes_tables
    assert line.hear(line.writer.header(from_="example.org", id_="s1")) == [
        StreamOpened(None, "example.org", "s1", "1.0", "en")
    ]


def test_after_login_the_stream_begins_again(line: Line) -> None:
    [success] = line.hear(line.element(f"<success xmlns='{SASL}'/>"))
    assert isinstance(success, Element) and success.tag == f"{SASL} success"
    line.reader.restart()
    line.xml.restart()
    sent, _, _ = line.say(HEADER)
    assert isinstance(sent[0], StreamOpened)
    [opened] = line.hear(line.writer.header(from_="example.org", id_="s2"))
    assert isinstance(opened, StreamOpened) and opened.id == "s2"


FEATURES = Element(
    f"{STREAMS} features",
    {},
    (
        Element("urn:ietf:params:xml:ns:xmpp-tls starttls"),
        Element(f"{BINARY_NS} binary"),
        Element("urn:xmpp:sasl-cb:0 sasl-channel-binding"),
        Element(
            f"{SASL} mechanisms",
            {},
            tuple(Element(f"{SASL} mechanism", {}, (name,)) for name in ("SCRAM-SHA-1-PLUS", "SCRAM-SHA-1")),
        ),
        Element(
            f"{SASL2} authentication",
            {},
            (
                Element(f"{SASL2} mechanism", {}, ("SCRAM-SHA-256-PLUS",)),
                Element(
                    f"{SASL2} inline",
                    {},
                    (
                        Element(
                            "urn:xmpp:fast:0 fast",
                            {},
                            tuple(
                                Element("urn:xmpp:fast:0 mechanism", {}, (name,))
                                for name in ("HT-SHA-256-ENDP", "HT-SHA-256-NONE")
                            ),
                        ),
                        Element(f"{SM} sm"),
                    ),
                ),
            ),
        ),
        Element(f"{SM} sm"),
    ),
)


def test_features_that_need_the_clients_own_tls_are_taken_away(line: Line) -> None:
    [features] = line.hear(line.writer.element(FEATURES))
    assert isinstance(features, Element)
    mechanisms, sasl2, sm = features.elements()
    assert texts(mechanisms.elements()) == ["SCRAM-SHA-1"]
    [inline] = sasl2.elements()
    fast, inline_sm = inline.elements()
    assert texts(fast.elements()) == ["HT-SHA-256-NONE"]
    assert (inline_sm.tag, sm.tag) == (f"{SM} sm", f"{SM} sm")


def test_a_client_with_tls_of_its_own_keeps_them_all() -> None:
    line = Line(filters=False)
    line.open()
    assert line.hear(line.writer.element(FEATURES)) == [FEATURES]


@pytest.mark.parametrize("step", [1, 2, 7, 1_000_000])
@pytest.mark.parametrize("told", [BOUND, SUCCESS2])
def test_what_follows_the_binding_in_one_packet_is_read_with_the_clients_jid(line: Line, told: str, step: int) -> None:
    data = line.element(told)
    line.session.bind(OWN)
    data += line.element(f"<message to='{OWN}'><body>hi</body></message>") + line.writer.ack_request()
    _, message, request = line.hear(data, step)
    assert canonical(message) == canonical(stanza_of(f"<message to='{OWN}'><body>hi</body></message>"))
    assert request == Element(f"{SM} r")


@pytest.mark.parametrize("xml", SAMPLES)
def test_stanzas_pass_both_ways_unchanged(bound: Line, xml: str) -> None:
    wanted = canonical(stanza_of(xml))
    if len(xml) < 100_000:
        [sent], _, _ = bound.say(xml)
        assert canonical(sent) == wanted
    [heard] = bound.hear(bound.element(xml))
    assert canonical(heard) == wanted


def test_acknowledgements_pass_and_a_space_keeps_the_connection_alive(bound: Line) -> None:
    assert bound.say(f"<r xmlns='{SM}'/><a xmlns='{SM}' h='3'/>")[0] == [
        Element(f"{SM} r"),
        Element(f"{SM} a", {"h": "3"}),
    ]
    sent, _, output = bound.say(" ")
    assert (sent, output.to_server) == ([], [bound.writer.ping()])


def test_the_end_passes_both_ways(bound: Line) -> None:
    assert bound.say("</stream:stream>")[0] == [StreamClosed()]
    output = bound.translator.from_server(bound.writer.close())
    assert output.is_over and output.to_client == [b"</stream:stream>"]


def test_a_stream_error_passes(bound: Line) -> None:
    error, closed = bound.hear(bound.writer.error("conflict", "Elsewhere.") + bound.writer.close())
    assert isinstance(error, Element) and error.tag == f"{STREAMS} error"
    assert [child.name for child in error.elements()] == ["conflict", "text"]
    assert closed == StreamClosed()


def test_a_client_that_breaks_the_rules_is_told_and_the_server_sees_an_end(bound: Line) -> None:
    sent, heard, output = bound.say("<message><<")
    assert sent == [StreamClosed()] and output.is_over
    assert isinstance(heard[0], Element) and heard[0].elements()[0].name == "not-well-formed"


def test_garbage_before_a_header_is_answered_with_a_header_and_the_error() -> None:
    sent, heard, output = Line().say("GET / HTTP/1.1\r\n\r\n")
    assert sent == [] and isinstance(heard[0], StreamOpened) and output.is_over


def test_frames_that_are_none_end_the_stream(bound: Line) -> None:
    [error, closed] = bound.hear(b"\xff\xff\xff\xff\xff\xff\xff")
    assert isinstance(error, Element) and error.elements()[0].name == "undefined-condition"
    assert closed == StreamClosed()


def test_a_stanza_to_a_malformed_address_comes_back(bound: Line) -> None:
    sent, [back], _ = bound.say("<iq type='get' id='q' to='@@'><ping xmlns='urn:xmpp:ping'/></iq>")
    assert sent == [] and not isinstance(back, Element | StreamOpened | StreamClosed)
    assert b"jid-malformed" in b"".join(bound.translator.from_client(b"<message to='@@' id='2'/>").to_client)


def test_a_session_is_resumed_under_the_jid_that_it_had(bound: Line) -> None:
    bound.hear(bound.element(f"<enabled xmlns='{SM}' id='token' resume='true'/>"))
    line = Line(resumable=bound.translator._resumable)
    line.open()
    sent, _, _ = line.say(f"<resume xmlns='{SM}' previd='token' h='0'/>")
    assert len(sent) == 1
    data = line.element(f"<resumed xmlns='{SM}' previd='token' h='0'/>")
    line.session.bind(OWN)
    data += line.element(f"<message to='{OWN}'><body>missed</body></message>")
    assert canonical(line.hear(data)[1]) == canonical(stanza_of(f"<message to='{OWN}'><body>missed</body></message>"))


def test_a_session_that_is_not_known_here_is_not_asked_for(line: Line) -> None:
    sent, [failed], _ = line.say(f"<resume xmlns='{SM}' previd='other' h='0'/>")
    assert sent == [] and isinstance(failed, Element) and failed.tag == f"{SM} failed"


ENABLED = f"<enabled xmlns='{SM}' id='token' resume='true'/>"
ROMEO = "romeo@example.net/orchard"
FROM_ROMEO = f"<message from='{ROMEO}' to='{OWN}' type='chat'><body>hi</body></message>"
TO_ROMEO = f"<message to='{ROMEO}' type='chat'><body>hi</body></message>"
RESUMES = {
    "<resume/>": (f"<resume xmlns='{SM}' previd='token' h='0'/>", "{}", f"<failed xmlns='{SM}'/>"),
    "a login": (
        f"<authenticate xmlns='{SASL2}' mechanism='PLAIN'><resume xmlns='{SM}' previd='token' h='0'/></authenticate>",
        f"<success xmlns='{SASL2}'><authorization-identifier>{OWN}</authorization-identifier>{{}}</success>",
        f"<success xmlns='{SASL2}'><authorization-identifier>juliet@example.org</authorization-identifier><failed xmlns='{SM}'/></success>",
    ),
}
RESUMED = f"<resumed xmlns='{SM}' previd='token' h='0'/>"


def server_tables(line: Line) -> Tables:
    """Return the tables that the server has of a line."""
    tables = Tables("s1")
    assert line.writer.tables is not None and line.reader.tables is not None
    tables.sent, tables.seen = line.writer.tables, line.reader.tables
    return tables


@pytest.fixture
def lively(bound: Line) -> Line:
    """A session that can be resumed and whose tables hold Romeo, both ways."""
    bound.hear(bound.element(ENABLED))
    bound.hear(bound.element(FROM_ROMEO))
    bound.say(TO_ROMEO)
    return bound


def next_line(before: Line) -> Line:
    line = Line(resumable=before.translator._resumable)
    line.open()
    return line


@pytest.mark.parametrize("step", [1, 3, 1_000_000])
@pytest.mark.parametrize("how", RESUMES)
def test_tables_go_on_from_the_answer_on(lively: Line, how: str, step: int) -> None:
    tables = server_tables(lively)
    line = next_line(lively)
    request, answer, _ = RESUMES[how]
    line.say(request)
    assert line.reader.claim == Claim(1, 0, tables.name)
    tables.go_on(line.reader.claim)
    before = line.translator.from_client(TO_ROMEO.encode()).to_server
    assert line.reader.feed(b"".join(before))
    assert line.reader.tables is not None and line.reader.tables.counts == (0, 0)
    data = line.writer.claim(tables.answer()) + line.element(answer.format(RESUMED))
    line.session.bind(OWN)
    line.writer.tables, line.reader.tables = tables.sent, tables.seen
    frame = line.element(FROM_ROMEO)
    *_, message = line.hear(data + frame, step)
    assert canonical(message) == canonical(stanza_of(FROM_ROMEO))
    assert len(frame) < 20
    [said], _, output = line.say(TO_ROMEO)
    assert canonical(said) == canonical(stanza_of(TO_ROMEO)) and len(b"".join(output.to_server)) < 20


@pytest.mark.parametrize("how", RESUMES)
def test_without_an_answer_about_tables_both_begin_anew(lively: Line, how: str) -> None:
    line = next_line(lively)
    request, answer, _ = RESUMES[how]
    line.say(request)
    line.hear(line.element(answer.format(RESUMED)))
    line.session.bind(OWN)
    [message] = line.hear(line.element(FROM_ROMEO))
    [said], _, _ = line.say(TO_ROMEO)
    assert canonical(message) == canonical(stanza_of(FROM_ROMEO)) and canonical(said) == canonical(stanza_of(TO_ROMEO))
    assert line.reader.tables is not None and line.reader.tables.counts == (1, 0)
    again = next_line(line)
    again.say(request)
    assert again.reader.claim == Claim(1, 0, Tables("s1").name)


@pytest.mark.parametrize("how", RESUMES)
def test_when_the_session_is_gone_the_streams_own_tables_are_used(lively: Line, how: str) -> None:
    line = next_line(lively)
    request, _, failed = RESUMES[how]
    line.say(request)
    line.hear(line.element(failed))
    line.hear(line.element(BOUND))
    line.session.bind(OWN)
    line.say(TO_ROMEO)
    assert line.reader.tables is not None and line.reader.tables.counts == (1, 0)


def test_an_attempt_that_came_to_nothing_leaves_the_tables_for_the_next(lively: Line) -> None:
    request = RESUMES["<resume/>"][0]
    lost = next_line(lively)
    lost.say(request)
    lost.translator.close()
    line = next_line(lost)
    line.say(request)
    assert line.reader.claim == Claim(1, 0, Tables("s1").name)


def test_who_had_the_tables_before_does_not_touch_them_any_more(lively: Line) -> None:
    next_line(lively).say(RESUMES["<resume/>"][0])
    counts = server_tables(lively).seen.counts
    lively.say("<message to='mercutio@example.net/square'/>")
    assert server_tables(lively).seen.counts == counts


@pytest.mark.parametrize("asks", [True, False])
def test_a_server_that_goes_on_with_more_than_there_is_ends_the_stream(lively: Line, asks: bool) -> None:
    line = next_line(lively)
    if asks:
        line.say(RESUMES["<resume/>"][0])
    claim = line.writer.claim(Claim(9, 0) if asks else Claim(0, 0))
    [error, closed] = line.hear(claim + line.element(RESUMED))
    assert isinstance(error, Element) and error.elements()[0].name == "undefined-condition"
    assert closed == StreamClosed()


def test_a_closed_connections_tables_sleep(lively: Line) -> None:
    lively.translator.close()
    tables = lively.translator._tables
    assert tables is not None and tables.sent._awake is None and tables.seen._awake is None


def test_the_oldest_session_is_forgotten_when_there_are_too_many() -> None:
    resumable = Resumable()
    for number in range(MAX_RESUMABLE + 1):
        resumable.remember(str(number), JID.parse("a@b/c"))
    assert resumable.get("0") is None and resumable.get("1") == "a@b/c"


def test_a_dictionary_that_the_server_lacks_is_replaced_by_one_that_it_has() -> None:
    line = Line()
    line.say(HEADER)
    retry = line.writer.retry([b"12345678", BARE.id])
    [hello] = line.translator.from_server(retry).to_server
    reader = BinaryReader(ReaderLimits(), Session(), DICTIONARIES)
    assert isinstance(reader.feed(hello)[0], StreamOpened)
    assert reader.dictionary is BARE


def test_no_dictionary_in_common_is_an_error() -> None:
    line = Line()
    line.say(HEADER)
    output = line.translator.from_server(line.writer.retry([b"12345678"]))
    assert output.is_over and b"no dictionary" in b"".join(output.to_client)
