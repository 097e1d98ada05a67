"""The outermost layer of the binary form: one byte of type and flags, and for most types a length and a body.

The flags of a stanza or element: bits 0 to 2 are 0 for a body in the clear, else the size class of what its compressed part
becomes; bit 3 asks for an acknowledgement.
"""

from codec.binary_cbor import Malformed

PING, STANZA, ACK_REQUEST, ACK, HELLO, RETRY, ELEMENT, CSI, CLOSE, XML, FEATURES = range(11)
TABLES = 11
NAMES = (
    "PING",
    "STANZA",
    "ACK-REQUEST",
    "ACK",
    "HELLO",
    "RETRY",
    "ELEMENT",
    "CSI",
    "CLOSE",
    "XML",
    "FEATURES",
    "TABLES",
)
HAS_BODY = frozenset((STANZA, HELLO, RETRY, ELEMENT, XML, TABLES))
KNOWN_FLAGS = {STANZA: 0x0F, ELEMENT: 0x07, CSI: 0x01, FEATURES: 0x03}
"""Which of the low four bits may be set."""

FLAG_ACK_REQUEST = 0x08
SIZE_MASK = 0x07
SIZE_CLASSES = (0, 1_024, 4_096, 32_768, 131_072)
"""Bytes that a compressed part may become, by class. 128 KiB is the largest block of zstd (RFC 8878 §3.1.1.2.4)."""

MAX_VARINT_BYTES = 5
HELLO_BYTES = 4_096
"""A HELLO holds two domain names of at most 1023 bytes and less than 200 bytes of others."""


def varint(n: int) -> bytes:
    """Return an unsigned LEB128."""
    if n < 0x80:
        return bytes((n,))
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def read_varint(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """Return a number below 2^32 and where it ends; None when there is more to come.

    Raises:
        Malformed: more bytes than the number needs, or a number that is too large.
    """
    if at < len(data) and data[at] < 0x80:
        return data[at], at + 1
    n = shift = 0
    for position in range(at, min(len(data), at + MAX_VARINT_BYTES)):
        byte = data[position]
        n |= (byte & 0x7F) << shift
        if byte < 0x80:
            if n > 0xFFFFFFFF or (byte == 0 and shift):
                raise Malformed("a length longer than it need be, or too large")
            return n, position + 1
        shift += 7
    if len(data) - at >= MAX_VARINT_BYTES:
        raise Malformed("a length of more than 32 bits")
    return None


def end_of(data: bytes | bytearray) -> int | None:
    """Return where a frame ends that begins with these bytes; None when they are too few to say.

    Raises:
        Malformed: its length is none.
    """
    kind = data[0] >> 4
    if kind not in HAS_BODY and kind != ACK:
        return 1
    number = read_varint(data, 1)
    if number is None:
        return None
    return number[1] if kind == ACK else number[1] + number[0]


def frame(type_: int, body: bytes, flags: int = 0) -> bytes:
    """Return a frame with a body."""
    size = len(body)
    if size < 0x80:
        return bytes((type_ << 4 | flags, size)) + body
    return bytes((type_ << 4 | flags,)) + varint(size) + body
