"""A watched bridge tells of every frame and changes none."""

from typing import Any

from codec.binary_tables import SentTables
from codec.binary_translator import Resumable
from codec.element import Element
from codec.events import Event
from codec.stanza import Stanza
from tests.codec.binary_samples import DICTIONARIES, OWN, SAMPLES
from tests.codec.test_binary_translator import BOUND, HEADER, SUCCESS2, Line
from xmppd.wire_live import DOWN, MAX_MIRRORS, UP, Crossed, Mirrors, Sums, Watched


class WatchedLine(Line):
    """A connection whose translator is watched."""

    def __init__(self, resumable: Resumable | None = None, mirrors: Mirrors | None = None) -> None:
        super().__init__(resumable=resumable)
        self.told: list[Crossed] = []
        translator: Any = Watched(self.translator, DICTIONARIES, mirrors or Mirrors(), self.told.append)
        self.translator = translator

    def last(self, direction: str) -> Crossed:
        return [crossed for crossed in self.told if crossed.direction == direction][-1]


def shown(event: Event) -> bytes:
    assert isinstance(event, Stanza | Element)
    return event.to_xml()


def chat(to: str, number: int) -> str:
    return f"<message type='chat' to='{to}' id='m{number}'><body>Hello number {number}</body></message>"


def test_every_frame_is_told_with_its_bytes_and_those_of_xml() -> None:
    line = WatchedLine()
    line.open()
    line.hear(line.element(BOUND))
    line.session.bind(OWN)
    xml = chat("romeo@example.net", 1)
    [sent], _, output = line.say(xml)
    crossed = line.last(UP)
    assert crossed.frame.kind == "STANZA"
    assert (
        crossed.frame.size_bytes == len(b"".join(output.to_server)) == sum(f.size_bytes for f in crossed.frame.fields)
    )
    assert crossed.xml_bytes == len(sent.to_xml())  # type: ignore[union-attr]
    line.hear(line.writer.stanza(sent))  # type: ignore[arg-type]
    assert line.last(DOWN).xml_bytes == len(xml)
    assert {crossed.frame.kind for crossed in line.told} == {"HELLO", "STANZA"}
    sums = Sums()
    for one in line.told:
        sums.add(one)
    assert sums.frames == len(line.told) and sums.bytes < sums.xml_bytes


def test_watching_changes_nothing_and_follows_the_tables() -> None:
    plain, watched = Line(), WatchedLine()
    outputs: list[list[bytes]] = []
    heard: list[list[bytes]] = []
    for line in (plain, watched):
        line.open()
        line.hear(line.element(SUCCESS2))
        line.session.bind(OWN)
        written = [b"".join(line.say(chat(f"friend{n % 3}@example.net/x", n))[2].to_server) for n in range(12)]
        outputs.append(written)
        heard.append([shown(event) for xml in SAMPLES for event in line.hear(line.element(xml), 3)])
    assert outputs[0] == outputs[1] and heard[0] == heard[1]
    assert not [one for one in watched.told if one.frame.kind.startswith("?")]


def test_broken_frames_are_told_and_refused_as_without() -> None:
    line = WatchedLine()
    line.open()
    output = line.translator.from_server(b"\xf0")
    assert output.is_over and line.last(DOWN).frame.kind.startswith("?")


def test_frames_without_end_are_not_kept_without_end() -> None:
    line = WatchedLine()
    line.open()
    output = line.translator.from_server(b"\x10\xff\xff\xff\x7f" + bytes(1_100_000))
    assert output.is_over


def test_a_keepalive_is_one_byte_in_either_form() -> None:
    line = WatchedLine()
    line.say(HEADER)
    line.say(" ")
    assert (line.last(UP).frame.kind, line.last(UP).xml_bytes) == ("PING", 1)


def test_tables_that_go_on_are_mirrored_on() -> None:
    mirrors, tables = Mirrors(), SentTables()
    mirror = mirrors.of(tables)
    assert mirrors.of(tables) is mirror
    assert mirrors.of(SentTables()) is not mirror
    for _ in range(MAX_MIRRORS):
        mirrors.of(SentTables())
    assert mirrors.of(tables) is not mirror  # forgotten, and begun anew
