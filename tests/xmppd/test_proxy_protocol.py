"""The header of the PROXY protocol."""

import itertools
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xmppd.proxy_protocol import V2_START, Proxied, ProxyError, ProxyHeader, crc32c

TCP4, TCP6, UNIX, UNSPEC = 0x11, 0x21, 0x31, 0x00
V4 = socket.inet_aton("192.0.2.7") + socket.inet_aton("203.0.113.1") + struct.pack("!HH", 54321, 5222)
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::7") + bytes(16) + struct.pack("!HH", 54321, 5222)


def v2(family: int, body: bytes, command: int = 1, version: int = 2, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return V2_START + bytes([version << 4 | command, family]) + struct.pack("!H", size) + body


def tlv(kind: int, value: bytes) -> bytes:
    return bytes([kind]) + struct.pack("!H", len(value)) + value


def with_checksum(family: int, body: bytes, after: bytes = b"", error: int = 0) -> bytes:
    blank = v2(family, body + tlv(3, bytes(4)) + after)
    return v2(family, body + tlv(3, struct.pack("!I", crc32c(blank) ^ error)) + after)


HEADERS = {
    "v1 TCP4": (b"PROXY TCP4 192.0.2.7 203.0.113.1 54321 5222\r\n", ("192.0.2.7", 54321)),
    "v1 TCP6": (b"PROXY TCP6 2001:DB8::7 ::1 1 65535\r\n", ("2001:db8::7", 1)),
    "v1 port 0": (b"PROXY TCP4 192.0.2.7 203.0.113.1 0 5222\r\n", ("192.0.2.7", 0)),
    "v1 UNKNOWN": (b"PROXY UNKNOWN\r\n", None),
    "v1 UNKNOWN with more": (b"PROXY UNKNOWN ffff::1 nonsense  here\r\n", None),
    "v1 longest": (b"PROXY UNKNOWN".ljust(105, b" ") + b"\r\n", None),
    "v2 TCP4": (v2(TCP4, V4), ("192.0.2.7", 54321)),
    "v2 TCP6": (v2(TCP6, V6), ("2001:db8::7", 54321)),
    "v2 Unix": (v2(UNIX, bytes(216)), None),
    "v2 UNSPEC": (v2(UNSPEC, b""), None),
    "v2 UNSPEC with anything": (v2(UNSPEC, b"\3\xff"), None),
    "v2 LOCAL": (v2(UNSPEC, b"", command=0), None),
    "v2 LOCAL with addresses": (v2(TCP4, V4, command=0), None),
    "v2 LOCAL of unknown family": (v2(0xFF, b"junk", command=0), None),
    "v2 TLVs": (v2(TCP4, V4 + tlv(2, b"example.org") + tlv(4, b"") + tlv(0xEE, bytes(99))), ("192.0.2.7", 54321)),
    "v2 longest": (v2(TCP4, V4 + tlv(4, bytes(536 - 12 - 3))), ("192.0.2.7", 54321)),
    "v2 checksum": (with_checksum(TCP4, V4), ("192.0.2.7", 54321)),
    "v2 checksum among TLVs": (with_checksum(TCP6, V6 + tlv(1, b"h2"), tlv(4, b"x")), ("2001:db8::7", 54321)),
}

BROKEN = {
    "XMPP": b"<?xml version='1.0'?>",
    "TLS": b"\x16\x03\x01\x02\x00\x01",
    "lower case": b"proxy tcp4 ",
    "v1 endless": b"PROXY UNKNOWN".ljust(107, b" "),
    "v1 end too late": b"PROXY UNKNOWN".ljust(106, b" ") + b"\r\n",
    "v1 empty": b"PROXY \r\n",
    "v1 unknown protocol": b"PROXY UDP4 192.0.2.7 203.0.113.1 1 2\r\n",
    "v1 word missing": b"PROXY TCP4 192.0.2.7 203.0.113.1 1\r\n",
    "v1 word too many": b"PROXY TCP4 192.0.2.7 203.0.113.1 1 2 3\r\n",
    "v1 two spaces": b"PROXY TCP4  192.0.2.7 203.0.113.1 1 2\r\n",
    "v1 name": b"PROXY TCP4 localhost 203.0.113.1 1 2\r\n",
    "v1 octets with zeros": b"PROXY TCP4 192.0.02.7 203.0.113.1 1 2\r\n",
    "v1 wrong family": b"PROXY TCP4 2001:db8::7 ::1 1 2\r\n",
    "v1 wrong destination": b"PROXY TCP4 192.0.2.7 x 1 2\r\n",
    "v1 no ASCII": b"PROXY TCP4 \xff 203.0.113.1 1 2\r\n",
    "v1 scope": b"PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
    "v1 port too high": b"PROXY TCP4 192.0.2.7 203.0.113.1 65536 2\r\n",
    "v1 port with zero": b"PROXY TCP4 192.0.2.7 203.0.113.1 01 2\r\n",
    "v1 port with sign": b"PROXY TCP4 192.0.2.7 203.0.113.1 +1 2\r\n",
    "v1 port of many digits": b"PROXY TCP4 192.0.2.7 203.0.113.1 " + b"1" * 60 + b" 2\r\n",
    "v1 port empty": b"PROXY TCP4 192.0.2.7 203.0.113.1  2\r\n",
    "v1 line feed alone": b"PROXY TCP4 192.0.2.7 203.0.113.1 1 2\n".ljust(107),
    "v2 version 1": v2(TCP4, V4, version=1),
    "v2 version 3": v2(TCP4, V4, version=3),
    "v2 command 2": v2(TCP4, V4, command=2),
    "v2 UDP": v2(0x12, V4),
    "v2 unknown family": v2(0x41, V4),
    "v2 too long": v2(TCP4, V4, length=537),
    "v2 too short for its addresses": v2(TCP6, V4),
    "v2 too short for a Unix path": v2(UNIX, bytes(215)),
    "v2 TLV cut in its head": v2(TCP4, V4 + b"\4\0"),
    "v2 TLV cut in its value": v2(TCP4, V4 + b"\4\0\5abcd"),
    "v2 checksum wrong": with_checksum(TCP4, V4, error=1),
    "v2 checksum too short": v2(TCP4, V4 + tlv(3, bytes(3))),
}


@pytest.mark.parametrize("case", HEADERS)
def test_header_gives_the_source_and_what_follows(case):
    header, source = HEADERS[case]
    assert ProxyHeader().feed(header) == Proxied(source, b"")
    assert ProxyHeader().feed(header + b"<stream>\r\n") == Proxied(source, b"<stream>\r\n")


@pytest.mark.parametrize("case", BROKEN)
def test_broken_header_is_refused_whole_and_byte_by_byte(case):
    with pytest.raises(ProxyError):
        ProxyHeader().feed(BROKEN[case])
    reader = ProxyHeader()
    with pytest.raises(ProxyError):
        for byte in BROKEN[case]:
            assert reader.feed(bytes([byte])) is None


def test_incomplete_header_waits():
    for header, _ in HEADERS.values():
        for size in range(len(header)):
            assert ProxyHeader().feed(header[:size]) is None


def test_too_long_header_is_refused_before_it_is_here():
    with pytest.raises(ProxyError):
        ProxyHeader().feed(v2(TCP4, b"", length=65535))


@given(st.sampled_from(sorted(HEADERS)), st.binary(max_size=30), st.lists(st.integers(0, 600), max_size=6))
def test_every_cut_gives_the_same(case, after, cuts):
    header, source = HEADERS[case]
    data = header + after
    bounds = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[start:end] for start, end in itertools.pairwise(bounds)]
    reader = ProxyHeader()
    while (result := reader.feed(pieces.pop(0))) is None:
        pass
    assert result.source == source
    assert result.rest + b"".join(pieces) == after


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", V2_START, V2_START + b"\x21\x11\0\x14"])
)
def test_garbage_raises_nothing_but_proxy_errors(data, start):
    try:
        result = ProxyHeader().feed(start + data)
    except ProxyError:
        return
    assert result is None or isinstance(result, Proxied)


@pytest.mark.parametrize(
    ("data", "crc"), [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)]
)
def test_crc32c_gives_the_examples_of_rfc_3720(data, crc):
    assert crc32c(data) == crc
