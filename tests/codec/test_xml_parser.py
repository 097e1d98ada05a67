"""Expat with our handlers, and the pool of such parsers."""

import pytest

from codec.limits import ReaderLimits
from codec.xml_parser import Parser, ParserPool, Refused
from tests.support.garbage import garbage_of

HEADER = b"<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"


class Told:
    """Writes down what a parser tells."""

    def __init__(self, limits: ReaderLimits | None = None) -> None:
        self.limits = limits or ReaderLimits()
        self.calls: list[tuple] = []

    def on_header(self, name, attrs, prefixes, at):
        self.calls.append(("header", name, attrs, dict(prefixes), at))

    def on_child(self, name, attrs, tags, start_at, end_at):
        self.calls.append(("child", name, attrs, list(tags), start_at, end_at))

    def on_close(self, at):
        self.calls.append(("close", at))


def told(data: bytes, limits: ReaderLimits | None = None) -> list[tuple]:
    parser = Parser()
    parser.target = Told(limits)
    parser.expat.Parse(data, False)
    return parser.target.calls


def test_header_comes_with_its_prefixes_and_place():
    assert told(b"\n" + HEADER) == [
        (
            "header",
            "http://etherx.jabber.org/streams stream",
            {},
            {None: "jabber:client", "stream": "http://etherx.jabber.org/streams"},
            1,
        )
    ]


def test_children_come_with_the_places_where_they_begin_and_their_end_tags_begin():
    xml = b"<iq id='1'><a><b/></a><c xmlns='d'/></iq> <r/></stream:stream>"
    size = len(HEADER)
    assert told(HEADER + xml)[1:] == [
        ("child", "jabber:client iq", {"id": "1"}, ["jabber:client a", "d c"], size, size + 36),
        ("child", "jabber:client r", {}, [], size + 42, size + 46),
        ("close", size + 46),
    ]


def test_only_the_prefixes_of_the_header_are_told():
    parser = Parser()
    parser.target = Told()
    parser.expat.Parse(HEADER + b"<x xmlns:y='urn:y'/>", False)
    assert set(parser.target.calls[0][3]) == {None, "stream"}


@pytest.mark.parametrize(
    ("limits", "xml"),
    [
        (ReaderLimits(depth=3), b"<a><b><c><d/></c></b></a>"),
        (ReaderLimits(children=1), b"<a><b/><b/></a>"),
        (ReaderLimits(attributes=1), b"<a b='' c=''/>"),
        (ReaderLimits(attributes=1), b"<a><b><c d='' e=''/></b></a>"),
    ],
)
def test_too_much_is_refused(limits, xml):
    with pytest.raises(Refused) as refused:
        told(HEADER + xml, limits)
    assert refused.value.condition == "policy-violation"
    assert told(HEADER + xml)


@pytest.mark.parametrize("xml", [b"<!---->", b"<?x?>", b"<a><!----></a>"])
def test_restricted_xml_is_refused(xml):
    with pytest.raises(Refused, match="restricted-xml"):
        told(HEADER + xml)


def test_parser_that_is_primed_stands_between_two_stanzas():
    pool = ParserPool(HEADER)
    parser = pool.take()
    assert (parser.is_primed, parser.fed_bytes, parser.target) == (True, len(HEADER), None)
    parser.target = Told()
    parser.expat.Parse(b"<presence/>", False)
    assert [call[0] for call in parser.target.calls] == ["child"]


def test_parser_given_back_is_taken_again():
    pool = ParserPool(HEADER)
    parser = pool.take()
    parser.target = Told()
    pool.give(parser)
    assert parser.target is None
    assert pool.take() is parser
    assert pool.take() is not parser


def test_pool_keeps_a_few_parsers_at_most():
    pool = ParserPool(HEADER)
    parsers = [pool.take() for _ in range(ParserPool.MAX_IDLE + 5)]
    for parser in parsers:
        pool.give(parser)
    taken = [pool.take() for _ in range(len(parsers))]
    assert sum(parser in parsers for parser in taken) == ParserPool.MAX_IDLE


def test_parser_that_has_read_much_is_not_used_again():
    pool = ParserPool(HEADER)
    parser = pool.take()
    parser.fed_bytes = ParserPool.RETIRE_AFTER_BYTES
    pool.give(parser)
    assert pool.take() is not parser


def test_pool_remembers_some_headers_and_no_long_ones():
    pool = ParserPool(HEADER)
    for number in range(ParserPool.MAX_HEADERS + 5):
        pool.remember(b"<header %d>" % number, number)
    pool.remember(b"x" * (ParserPool.MAX_HEADER_BYTES + 1), "long")
    assert list(pool.headers.values()) == list(range(5, ParserPool.MAX_HEADERS + 5))


def test_closed_parser_is_freed_at_once():
    def live_and_die():
        parser = Parser()
        parser.target = Told()
        parser.expat.Parse(HEADER + b"<iq", False)
        parser.close()

    assert garbage_of(live_and_die) == 0
