"""Texts that are bytes in disguise: base64, hex, UUIDs, moments, decimal numbers, carried as the bytes they stand for.

A text is packed only where unpacking gives back the very same text, letter case, padding and all; `pack` proves it each time.
"""

import base64
import binascii
import datetime
import re
from collections.abc import Iterable, Iterator

from codec.binary_cbor import Malformed

BASE64, BASE64URL, BASE64URL_PADDED, HEX, HEX_UPPER, UUID, UUID_UPPER, STAMP, STAMP_US, STAMP_MS, COLONS, DECIMAL = (
    range(12)
)
KINDS = 12
NAMES = (
    "base64",
    "base64url",
    "base64url-padded",
    "hex",
    "HEX",
    "uuid",
    "UUID",
    "stamp-s",
    "stamp-us",
    "stamp-ms",
    "hex-colons",
    "decimal",
)

MIN_CHARS = 4
EPOCH = 1_577_836_800
"""Moments count from 2020-01-01T00:00:00Z: four bytes of seconds reach to 2156."""


def _epoch() -> datetime.datetime:
    return datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)


_EPOCH_AT = _epoch()
_SECOND = datetime.timedelta(seconds=1)
_stamp = re.compile(r"20[2-9]\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d{3}|\d{6}))?Z", re.ASCII).fullmatch
_decimal = re.compile(r"[1-9][0-9]{0,38}", re.ASCII).fullmatch
_hex = re.compile(r"(?:[0-9a-f]{2})+").fullmatch
_hex_upper = re.compile(r"(?:[0-9A-F]{2})+").fullmatch
_uuid = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
_uuid_upper = re.compile(r"[0-9A-F]{8}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{4}-[0-9A-F]{12}").fullmatch
_colons = re.compile(r"[0-9A-F]{2}(?::[0-9A-F]{2})+").fullmatch
_base64 = re.compile(r"[A-Za-z0-9+/]+={0,2}").fullmatch
_base64url = re.compile(r"[A-Za-z0-9_-]+={0,2}").fullmatch


def pack(text: str) -> tuple[int, bytes] | None:
    """Return the kind and the bytes of a text, or None when it is better left as it is."""
    size = len(text)
    if size < MIN_CHARS or not text.isascii():
        return None
    if text.isdigit():
        if _decimal(text):
            n = int(text)
            return DECIMAL, n.to_bytes((n.bit_length() + 7) // 8, "big")
        return (HEX, bytes.fromhex(text)) if size % 2 == 0 and size >= 8 else None
    if size == 36 and text[8] == "-":
        if _uuid(text):
            return UUID, binascii.unhexlify(text.replace("-", ""))
        if _uuid_upper(text):
            return UUID_UPPER, binascii.unhexlify(text.replace("-", ""))
    if size % 2 == 0 and size >= 8:
        if _hex(text):
            return HEX, binascii.unhexlify(text)
        if _hex_upper(text):
            return HEX_UPPER, binascii.unhexlify(text)
    if text[-1] == "Z" and text[4:5] == "-":
        return _pack_stamp(text)
    if size >= 8 and text[2] == ":" and _colons(text):
        return COLONS, binascii.unhexlify(text.replace(":", ""))
    return pack_base64(text, size)


_ENDS = ("", "", "AQgw", "AEIMQUYcgkosw048")
"""What base64 without padding ends with, by its length modulo 4: a last character has no bits to spare."""


def pack_base64(text: str, size: int) -> tuple[int, bytes] | None:
    """Return the kind and the bytes of what may be base64, `size` characters long; None when it is none."""
    rest = size % 4
    if rest:
        if text[-1] not in _ENDS[rest] or _base64url(text) is None:
            return None
        return BASE64URL, binascii.a2b_base64(text.replace("-", "+").replace("_", "/") + "=="[rest - 2 :])
    if _base64(text):
        kind, data = BASE64, binascii.a2b_base64(text)
    elif _base64url(text):
        kind, data = BASE64URL_PADDED, base64.urlsafe_b64decode(text)
    else:
        return None
    return (kind, data) if unpack(kind, data) == text else None


def _pack_stamp(text: str) -> tuple[int, bytes] | None:
    match = _stamp(text)
    if match is None:
        return None
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        return None
    seconds = (moment - _EPOCH_AT) // _SECOND
    if not 0 <= seconds < 1 << 32:
        return None
    fraction = match.group(1)
    if fraction is None:
        packed = STAMP, seconds.to_bytes(4, "big")
    elif len(fraction) == 6:
        packed = STAMP_US, (seconds * 1_000_000 + moment.microsecond).to_bytes(7, "big")
    else:
        packed = STAMP_MS, (seconds * 1_000 + moment.microsecond // 1_000).to_bytes(6, "big")
    return packed if unpack(*packed) == text else None


def unpack(kind: int, data: bytes) -> str:
    """Return the text that `data` stands for.

    Raises:
        Malformed: no text of this kind packs to it.
    """
    if kind == BASE64:
        return binascii.b2a_base64(data, newline=False).decode()
    if kind == BASE64URL:
        return base64.urlsafe_b64encode(data).decode().rstrip("=")
    if kind == BASE64URL_PADDED:
        return base64.urlsafe_b64encode(data).decode()
    if kind == HEX:
        return data.hex()
    if kind == HEX_UPPER:
        return data.hex().upper()
    if kind in (UUID, UUID_UPPER):
        if len(data) != 16:
            raise Malformed("a UUID that is not 16 bytes long")
        text = data.hex()
        text = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
        return text if kind == UUID else text.upper()
    if kind == DECIMAL:
        if not data or len(data) > 16 or not data[0]:
            raise Malformed("a number that is empty, too long or begins with zero")
        return str(int.from_bytes(data, "big"))
    if kind == COLONS:
        return data.hex(":").upper()
    return _unpack_stamp(kind, data)


_STAMP_FORMS = {
    STAMP: (4, 1, "seconds"),
    STAMP_MS: (6, 1_000, "milliseconds"),
    STAMP_US: (7, 1_000_000, "microseconds"),
}


def _unpack_stamp(kind: int, data: bytes) -> str:
    if kind not in _STAMP_FORMS:
        raise Malformed("an unknown kind of packed value")
    size, units, precision = _STAMP_FORMS[kind]
    seconds, rest = divmod(int.from_bytes(data, "big"), units)
    if len(data) != size or seconds >= 1 << 32:
        raise Malformed("a moment of the wrong size")
    moment = _EPOCH_AT + datetime.timedelta(seconds=seconds, microseconds=rest * (1_000_000 // units))
    return moment.replace(tzinfo=None).isoformat(timespec=precision) + "Z"


def _numbered(parts: Iterable[str]) -> Iterator[tuple[str, int]]:
    for number, part in enumerate(parts):
        yield part, number


_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789.-@_"
_PAIRS = [first + second for first in _LETTERS for second in _LETTERS]
_PAIR_VALUES = {pair: number for pair, number in _numbered(_PAIRS)}
_LETTER_VALUES = {letter: number for letter, number in _numbered(_LETTERS)}
MAX_DENSE_BYTES = 200


def pack_dense(text: str) -> bytes | None:
    """Return a text of the 40 letters of most addresses in 5.4 bits a letter, or None when it holds others.

    The letters are the digits of a number to the base 40, behind a digit 1.
    """
    size = len(text)
    if size > 2 * MAX_DENSE_BYTES // 3 or size < 4:
        return None
    n = 1
    values = _PAIR_VALUES
    try:
        for at in range(0, size - 1, 2):
            n = n * 1_600 + values[text[at : at + 2]]
        if size & 1:
            n = n * 40 + _LETTER_VALUES[text[-1]]
    except KeyError:
        return None
    return n.to_bytes((n.bit_length() + 7) // 8, "big")


def unpack_dense(data: bytes) -> str:
    """Return the text that `pack_dense` packed.

    Raises:
        Malformed: no text packs to it.
    """
    if not data or not data[0] or len(data) > MAX_DENSE_BYTES:
        raise Malformed("a dense text that is none, or too long")
    n = int.from_bytes(data, "big")
    out = []
    while n >= 1_600:
        n, pair = divmod(n, 1_600)
        out.append(_PAIRS[pair])
    if n >= 40:
        first, letter = divmod(n, 40)
        out.append(_LETTERS[letter])
        n = first
    if n != 1:
        raise Malformed("a dense text without its beginning")
    return "".join(reversed(out))


def check(kind: int, data: bytes) -> None:
    """Make sure that `unpack` will give a text.

    Raises:
        Malformed: it will not.
    """
    if kind >= UUID:
        unpack(kind, data)
    elif not data:
        raise Malformed("an empty packed value")
