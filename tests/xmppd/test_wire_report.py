"""Totals of stanzas in the binary form."""

import json
from xml.etree.ElementTree import canonicalize

import pytest

from codec.binary_head import Session
from codec.binary_tables import SentTables
from codec.binary_writer import BinaryWriter
from codec.element import Element
from codec.events import StreamClosed
from codec.jid import JID
from codec.train.stanzas import Generator
from tests.codec.binary_samples import SAMPLES, SHIPPED, stanza_of
from xmppd.wire_report import Crossing, ReportError, came_back, explained, measure, read_lines

OWN = "juliet@example.org/balcony"
CHAT = '<message xmlns=\'jabber:client\' from="romeo@example.net/orchard" to="juliet@example.org/balcony" type="chat"><body>%s</body></message>'


def row(xml: str, category: str = "chat", direction: str = "s2c", session: int = 0) -> str:
    return json.dumps({"category": category, "xml": xml, "dir": direction, "session": session})


def test_totals_are_what_writers_give():
    texts = [row(OWN, "_ctx", "ctx"), row(CHAT % "one"), row(CHAT % "two"), row("<r xmlns='urn:xmpp:sm:3'/>", "sm_r")]
    writers = [BinaryWriter(SHIPPED, Session("example.org", JID.parse(OWN))) for _ in range(2)]
    writers[1].tables = SentTables()
    sizes = [sum(len(writer.stanza(stanza_of(CHAT % word))) for word in ("one", "two")) for writer in writers]
    found = measure(read_lines(texts), SHIPPED)
    plain = 2 * len((CHAT % "one").replace(" xmlns='jabber:client'", ""))
    chat = {"stanzas": 2, "xml_bytes": plain, "stateless_bytes": sizes[0], "tables_bytes": sizes[1], "unequal": 0}
    request = {"stanzas": 1, "xml_bytes": 26, "stateless_bytes": 1, "tables_bytes": 1, "unequal": 0}
    assert found == {"all": {key: chat[key] + request[key] for key in chat}, "chat": chat, "sm_r": request}
    assert sizes[1] < sizes[0]


def test_each_session_and_direction_has_tables_of_its_own():
    once = [row(OWN, "_ctx", "ctx"), row(CHAT % "one")]
    other_way = row(CHAT % "one", direction="c2s")
    other_session = [row(OWN, "_ctx", "ctx", session=1), row(CHAT % "one", session=1)]
    one = measure(read_lines(once), SHIPPED)["all"]["tables_bytes"]
    assert measure(read_lines([*once, other_way, *other_session]), SHIPPED)["all"]["tables_bytes"] == 3 * one
    assert measure(read_lines([*once, *once]), SHIPPED)["all"]["tables_bytes"] == 2 * one
    assert measure(read_lines([*once, once[1]]), SHIPPED)["all"]["tables_bytes"] < 2 * one


RESUME = [
    row("<resume xmlns='urn:xmpp:sm:3' previd='s' h='0'/>", "sm_setup", "c2s", 1),
    row("<resumed xmlns='urn:xmpp:sm:3' previd='s' h='0'/>", "sm_setup", "s2c", 1),
]


def test_a_session_that_is_resumed_goes_on_with_its_tables_and_what_says_so_counts():
    first = [row(OWN, "_ctx", "ctx"), row(CHAT % "one"), row(CHAT % "one", direction="c2s")]
    later = [row(CHAT % "one", session=1), row(CHAT % "one", direction="c2s", session=1)]
    anew = measure(read_lines([*first, row(OWN, "_ctx", "ctx", 1), *later]), SHIPPED)
    resumed = measure(read_lines([*first, row(OWN, "_ctx", "ctx", 1), *RESUME, *later]), SHIPPED)
    other = measure(read_lines([*first, row("romeo@example.org/x", "_ctx", "ctx", 1), *RESUME, *later]), SHIPPED)
    setup = resumed["sm_setup"]
    assert setup["tables_bytes"] - setup["stateless_bytes"] == (2 + 2 + 3) + (2 + 2)
    assert resumed["chat"]["tables_bytes"] < anew["chat"]["tables_bytes"] - 20
    assert resumed["all"]["unequal"] == anew["all"]["unequal"] == other["all"]["unequal"] == 0
    assert other["sm_setup"]["tables_bytes"] == other["sm_setup"]["stateless_bytes"]


def test_the_frames_that_go_on_with_tables_are_explained():
    lines = read_lines([row(OWN, "_ctx", "ctx"), row(CHAT % "one"), row(OWN, "_ctx", "ctx", 1), *RESUME])
    kinds = [(line.number, frame.kind) for line, frame in explained(lines, SHIPPED, has_tables=True)]
    assert kinds == [(2, "STANZA"), (4, "TABLES"), (4, "ELEMENT"), (5, "TABLES"), (5, "ELEMENT")]


@pytest.mark.parametrize("quote", ["'", '"'])
def test_only_the_namespace_of_the_stream_is_left_out(quote):
    inside = "<message to='a@b'><x xmlns='jabber:client'/></message>"
    outside = f"<iq id='>' xmlns={quote}jabber:client{quote} type='result'/>"
    found = [line.xml.decode() for line in read_lines([inside, outside])]
    assert found == [inside, "<iq id='>' type='result'/>"]


def test_generated_stanzas_come_back_as_the_same_canonical_xml():
    world = Generator(9_100)
    # a type that is the default one anyway is not written again, whichever form a stanza leaves in
    rows = [row(xml, category, way) for category, way, xml in world.lines() if " type='normal'" not in xml]
    texts = [row(world.me, "_ctx", "ctx"), *rows]
    found = measure(read_lines(texts), SHIPPED)["all"]
    assert found["stanzas"] == len(texts) - 1
    assert found["unequal"] == 0
    assert found["tables_bytes"] < found["stateless_bytes"] < found["xml_bytes"] / 3
    crossings: dict[str, Crossing] = {}
    for line in read_lines(texts):
        way = crossings.setdefault(line.connection[1], Crossing(SHIPPED, line.own, True))
        (event,) = way.read(way.write(line))
        assert canonicalize(event.to_xml().decode()) == canonicalize(line.xml.decode())


def test_samples_of_every_sort_come_back():
    assert measure(read_lines([json.dumps({"xml": xml}) for xml in SAMPLES]), SHIPPED)["all"]["unequal"] == 0


def test_elements_of_the_stream_may_use_its_prefix():
    texts = [
        "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>",
        "<a xmlns='urn:xmpp:sm:3' h='7'/>",
    ]
    found = measure(read_lines(texts), SHIPPED)
    assert set(found) == {"all", "features", "a"}
    assert found["all"]["unequal"] == 0


def test_what_does_not_come_back_is_counted():
    found = measure(read_lines(["<message to='@@'/>", "<message/>"]), SHIPPED)["all"]
    assert (found["stanzas"], found["unequal"]) == (2, 1)


def test_another_text_or_no_event_is_no_return():
    sent = Element("urn:x x", {}, ("a",))
    assert came_back(sent, [sent])
    assert not came_back(sent, [Element("urn:x x", {}, ("b",))])
    assert not came_back(sent, [])
    assert not came_back(sent, [sent, sent])
    assert not came_back(sent, [StreamClosed()])


@pytest.mark.parametrize("has_tables", [False, True])
def test_explained_bytes_add_up(has_tables):
    texts = [row(OWN, "_ctx", "ctx"), row(CHAT % "one"), row(CHAT % "two"), row("<r xmlns='urn:xmpp:sm:3'/>", "sm_r")]
    told = list(explained(read_lines(texts), SHIPPED, has_tables))
    total = measure(read_lines(texts), SHIPPED)["all"]["tables_bytes" if has_tables else "stateless_bytes"]
    assert [line.number for line, _ in told] == [2, 3, 4]
    assert sum(part.size_bytes for _, frame in told for part in frame.fields) == total


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"xml": 1}', '{"category": "_ctx", "xml": "@@"}', "<message>", "<message/><message/>"]
)
def test_a_line_in_no_known_form_is_named(text):
    with pytest.raises(ReportError, match="line 2: "):
        list(read_lines(["", text]))
