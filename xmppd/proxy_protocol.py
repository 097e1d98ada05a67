"""The PROXY protocol, versions 1 and 2: a proxy's word on whom a connection really comes from.

HAProxy's specification "The PROXY protocol", versions 1 & 2. The header is sent once, before anything else. Whoever may connect to such
a listener may claim any address: only the proxy must reach it.
"""

import functools
import ipaddress
import socket
import struct
from typing import NamedTuple

V1_START = b"PROXY "
V2_START = b"\r\n\r\n\x00\r\nQUIT\n"
MAX_V1_BYTES = 107  # the specification's own bound, CRLF included
MAX_V2_BODY_BYTES = 536  # what the specification asks a receiver to take; addresses of AF_UNIX and some TLVs fit
_V2_FIXED_BYTES = 16
_CRC32C_TLV = 0x03
_CRC32C_POLYNOMIAL = 0x82F63B78  # Castagnoli's, reflected (RFC 3720 §12.1)


class ProxyError(Exception):
    """No valid PROXY header; the connection must be closed without an answer."""


class Proxied(NamedTuple):
    """What a complete header says.

    Attributes:
        source: address and port of whoever connected to the proxy; None when the proxy does not say (LOCAL, UNKNOWN, a Unix
            socket): take the connection's own address.
        rest: the bytes after the header.
    """

    source: tuple[str, int] | None
    rest: bytes


class ProxyHeader:
    """Reads one header."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = b""

    def feed(self, data: bytes) -> Proxied | None:
        """Take the next bytes; None while the header is not complete. No calls after the result.

        Raises:
            ProxyError: see there; as early as the bytes show it.
        """
        data = self._data = self._data + data
        if data.startswith(V2_START):
            return _parse_v2(data)
        if data.startswith(V1_START):
            return _parse_v1(data)
        if V2_START.startswith(data) or V1_START.startswith(data):
            return None
        raise ProxyError("the connection does not begin with a PROXY header")


def _parse_v1(data: bytes) -> Proxied | None:
    end = data.find(b"\r\n", 0, MAX_V1_BYTES)
    if end < 0:
        if len(data) >= MAX_V1_BYTES:
            raise ProxyError("the PROXY header has no end")
        return None
    words = data[:end].split(b" ")
    rest = data[end + 2 :]
    if words[1] == b"UNKNOWN":
        return Proxied(None, rest)
    family = {b"TCP4": socket.AF_INET, b"TCP6": socket.AF_INET6}.get(words[1])
    if family is None or len(words) != 6:
        raise ProxyError("the PROXY header names no known protocol, or not two addresses and two ports")
    source = _v1_address(words[2], words[4], family)
    _v1_address(words[3], words[5], family)
    return Proxied(source, rest)


def _v1_address(host: bytes, port: bytes, family: socket.AddressFamily) -> tuple[str, int]:
    try:
        text = host.decode("ascii")
        address = ipaddress.IPv4Address(text) if family is socket.AF_INET else ipaddress.IPv6Address(text)
        if "%" in text:
            raise ValueError("a zone means nothing on another machine")
    except ValueError:
        raise ProxyError("the PROXY header holds no valid address") from None
    is_number = port.isdigit() and len(port) <= 5 and (port == b"0" or not port.startswith(b"0"))
    if not is_number or int(port) > 65535:
        raise ProxyError("the PROXY header holds no valid port")
    return str(address), int(port)


def _parse_v2(data: bytes) -> Proxied | None:
    if len(data) < _V2_FIXED_BYTES:
        return None
    version_command, family, length = struct.unpack_from("!BBH", data, len(V2_START))
    if version_command not in (0x20, 0x21):
        raise ProxyError("the PROXY header has an unknown version or command")
    if length > MAX_V2_BODY_BYTES:
        raise ProxyError(f"the PROXY header is longer than {MAX_V2_BODY_BYTES} bytes")
    end = _V2_FIXED_BYTES + length
    if version_command == 0x21 and family not in _V2_ADDRESS_BYTES:
        raise ProxyError("the PROXY header names no stream protocol that we know")
    if len(data) < end:
        return None
    header, rest = data[:end], data[end:]
    if version_command == 0x20 or family == 0x00:  # LOCAL and UNSPEC: what follows means nothing
        return Proxied(None, rest)
    tlvs_at = _V2_FIXED_BYTES + _V2_ADDRESS_BYTES[family]
    if tlvs_at > end:
        raise ProxyError("the PROXY header is too short for its addresses")
    _check_tlvs(header, tlvs_at)
    if family == 0x31:
        return Proxied(None, rest)
    size, kind = (4, socket.AF_INET) if family == 0x11 else (16, socket.AF_INET6)
    (port,) = struct.unpack_from("!H", header, _V2_FIXED_BYTES + 2 * size)
    return Proxied((socket.inet_ntop(kind, header[_V2_FIXED_BYTES : _V2_FIXED_BYTES + size]), port), rest)


# UNSPEC, and TCP over IPv4, IPv6, Unix sockets: the bytes that two addresses (and ports) take
_V2_ADDRESS_BYTES = {0x00: 0, 0x11: 12, 0x21: 36, 0x31: 216}


def _check_tlvs(header: bytes, start: int) -> None:
    """Walk over the type-length-value fields; only a checksum means anything to us."""
    at = start
    while at < len(header):
        if at + 3 > len(header):
            raise ProxyError("the PROXY header ends within a field")
        kind, length = struct.unpack_from("!BH", header, at)
        value_at, at = at + 3, at + 3 + length
        if at > len(header):
            raise ProxyError("the PROXY header ends within a field")
        if kind == _CRC32C_TLV:
            if length != 4:
                raise ProxyError("the PROXY header's checksum is not 4 bytes long")
            (expected,) = struct.unpack_from("!I", header, value_at)
            if crc32c(header[:value_at] + b"\0\0\0\0" + header[at:]) != expected:
                raise ProxyError("the PROXY header's checksum is wrong")


@functools.cache
def _crc32c_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_CRC32C_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return tuple(table)


def crc32c(data: bytes) -> int:
    """Return the CRC32C of a few bytes (RFC 3720 §12.1)."""
    table = _crc32c_table()
    crc = 0xFFFFFFFF
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF
