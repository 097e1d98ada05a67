"""Features that a client has had before are told by their hashes, and come back as one byte."""

import pytest

from codec import binary_frames as frames
from codec.binary_cbor import blob, integer, text
from codec.binary_features import HASH_BYTES, MAX_KEPT, MAX_TOLD, SeenFeatures, hash_of
from codec.binary_head import Session
from codec.binary_reader import BinaryReader
from codec.binary_writer import BinaryWriter
from codec.element import Element
from codec.events import StreamBroken, StreamOpened
from codec.limits import ReaderLimits
from codec.xml_writer import STREAMS_NS
from tests.codec.binary_samples import DICTIONARIES, SHIPPED

FEATURES = [Element("urn:xmpp:sasl:2 authentication", {}, (Element("urn:xmpp:sasl:2 mechanism", {}, ("PLAIN",)),))]
OTHERS = [Element("urn:xmpp:features:rosterver ver")]


class Client:
    """A client's end of a stream."""

    def __init__(self, seen: SeenFeatures, domain: str = "example.org") -> None:
        session = Session(domain)
        self.reader = BinaryReader(ReaderLimits(), session, DICTIONARIES)
        self.reader.told = seen.tell(domain)
        writer = BinaryWriter(SHIPPED, session)
        self.hello = writer.header(from_=None, id_="", to=domain, features=self.reader.told.hashes)


def server(client: Client) -> BinaryWriter:
    """Return the server's writer, which has read the client's HELLO."""
    session = Session()
    reader = BinaryReader(ReaderLimits(), session, DICTIONARIES)
    assert isinstance(reader.feed(client.hello)[0], StreamOpened)
    writer = BinaryWriter(SHIPPED, session)
    writer.peer_features = reader.peer_features
    return writer


def answer(writer: BinaryWriter, features: list[Element]) -> bytes:
    return writer.recalled(writer.features(features))


def test_features_that_the_client_has_had_are_one_byte_and_mean_the_same() -> None:
    seen = SeenFeatures()
    client = Client(seen)
    writer = server(client)
    [*_, first] = client.reader.feed(writer.header(from_="example.org", id_="x") + answer(writer, FEATURES))
    client.reader.feed(answer(writer, OTHERS))
    again = Client(seen)
    writer = server(again)
    again.reader.feed(writer.header(from_="example.org", id_="y"))
    for features, expected in ((FEATURES, first), (OTHERS, Element(f"{STREAMS_NS} features", {}, tuple(OTHERS)))):
        frame = answer(writer, features)
        assert len(frame) == 1
        assert again.reader.feed(frame) == [expected]


def test_features_that_have_changed_come_in_full() -> None:
    seen = SeenFeatures()
    client = Client(seen)
    writer = server(client)
    client.reader.feed(writer.header(from_="example.org", id_="x") + answer(writer, FEATURES))
    writer = server(Client(seen))
    assert answer(writer, OTHERS) == writer.features(OTHERS)


def test_nobody_is_told_what_another_domain_offers() -> None:
    seen = SeenFeatures()
    seen.keep("one.example", b"frame", FEATURES[0])
    assert seen.tell("other.example").hashes == ()
    assert seen.tell("one.example").hashes == (hash_of(b"frame"),)


def test_the_last_few_are_told_and_the_oldest_forgotten() -> None:
    seen = SeenFeatures()
    for number in range(MAX_KEPT + 1):
        seen.keep(
            "example.org" if number else "old.example", str(number).encode(), Element("urn:x f", {"n": str(number)})
        )
    assert seen.tell("old.example").elements == ()
    told = seen.tell("example.org")
    assert [element.get("n") for element in told.elements] == [
        str(MAX_KEPT - MAX_TOLD + n) for n in range(1, MAX_TOLD + 1)
    ]


@pytest.mark.parametrize("flags", [0, 3])
def test_features_that_were_not_told_break_the_stream(flags: int) -> None:
    client = Client(SeenFeatures())
    writer = server(client)
    events = client.reader.feed(writer.header(from_="example.org", id_="x") + bytes((frames.FEATURES << 4 | flags,)))
    assert isinstance(events[-1], StreamBroken)


def test_a_server_takes_no_features() -> None:
    reader = BinaryReader(ReaderLimits(), Session(), DICTIONARIES)
    reader.feed(Client(SeenFeatures()).hello)
    assert isinstance(reader.feed(bytes((frames.FEATURES << 4,)))[-1], StreamBroken)


@pytest.mark.parametrize("last", [b"", blob(b"123"), blob(bytes(HASH_BYTES * (MAX_TOLD + 1))), text("1234")])
def test_a_hello_that_tells_of_features_without_hashes_is_none(last: bytes) -> None:
    hello = integer(0) + integer(4) + blob(SHIPPED.id) + last
    reader = BinaryReader(ReaderLimits(), Session(), DICTIONARIES)
    [broken] = reader.feed(frames.frame(frames.HELLO, hello))
    assert isinstance(broken, StreamBroken) and broken.condition == "bad-format"


def test_an_answer_from_whom_the_client_addressed_need_not_say_so() -> None:
    client = Client(SeenFeatures())
    writer = server(client)
    hello = writer.header(from_="example.org", id_="x")
    assert b"example.org" not in hello
    assert client.reader.feed(hello) == [StreamOpened(None, "example.org", "x", "1.0", "en")]
    assert b"other.example" in writer.header(from_="other.example", id_="x")
