"""What a session of a phone costs in the binary form, beside XML."""

import asyncio
from pathlib import Path

import pytest

from bench.session import frames_of, measure, told
from codec.binary_frames import ACK, ELEMENT, PING, frame

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

AIM = 0.17


def test_a_phone_that_comes_back_pays_a_sixth_of_xml_and_waits_once(tmp_path: Path) -> None:
    counts, dictionary = asyncio.run(measure(tmp_path))
    costs = {(count.way, count.form): count for count in counts}
    for way in ("resume", "bind"):
        binary, first, xml = costs[way, "binary"], costs[way, "binary, first"], costs[way, "xml"]
        assert binary.all_bytes <= AIM * xml.all_bytes
        assert binary.all_bytes < first.all_bytes
        assert binary.round_trips == xml.round_trips == 1
        explained = "\n".join(told(binary, dictionary))
        assert f"{binary.sent} bytes" in explained and "FEATURES" in explained


def test_frames_are_cut_where_they_end() -> None:
    pieces = [bytes((PING << 4,)), frame(ELEMENT, b"x" * 200), bytes((ACK << 4, 0x80, 0x01)), bytes((PING << 4,))]
    assert list(frames_of(b"".join(pieces))) == pieces
