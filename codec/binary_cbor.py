"""The part of CBOR (RFC 8949) that binary frames use, read strictly and written in one way only.

Integers, text strings, byte strings and arrays of definite length, each in its shortest form; no tags, no maps, no floats, no
indefinite lengths. A reader that knows nothing else has nothing that a peer could abuse: no big numbers, no references, no
regular expressions made from input, and one encoding for each value. General decoders accept all that this one writes.
"""

from collections.abc import Iterable
from typing import TypeAlias

Tree: TypeAlias = "int | str | bytes | list[Tree]"

MAX_INT = 0xFFFFFFFF
"""Larger numbers do not occur in a tree; those of the content are byte strings."""


class Malformed(ValueError):
    """The bytes are not what a frame may hold."""


_SMALL = tuple(bytes((n,)) if n < 24 else bytes((0x18, n)) for n in range(256))
_SMALL_NEGATIVE = tuple(bytes((0x20 + n,)) if n < 24 else bytes((0x38, n)) for n in range(256))


def _head(major: int, n: int) -> bytes:
    if n < 24:
        return bytes((major | n,))
    if n < 0x100:
        return bytes((major | 24, n))
    if n < 0x10000:
        return bytes((major | 25, n >> 8, n & 0xFF))
    if n <= MAX_INT:
        return bytes((major | 26,)) + n.to_bytes(4, "big")
    raise ValueError(f"{n} is too large for a frame")


def integer(n: int) -> bytes:
    """Return the encoding of an integer, from -2^32 to 2^32-1."""
    if n >= 0:
        return _SMALL[n] if n < 256 else _head(0x00, n)
    return _SMALL_NEGATIVE[~n] if n >= -256 else _head(0x20, ~n)


def text(value: str) -> bytes:
    """Return the encoding of a text string."""
    data = value.encode()
    return _head(0x60, len(data)) + data


def blob(value: bytes) -> bytes:
    """Return the encoding of a byte string."""
    return _head(0x40, len(value)) + value


def array(items: list[bytes]) -> bytes:
    """Return an array of items that are encoded already."""
    return _head(0x80, len(items)) + b"".join(items)


def texts(values: Iterable[str]) -> bytes:
    """Return the encodings of several text strings."""
    return b"".join([text(value) for value in values])


def encode(tree: Tree) -> bytes:
    """Return the encoding of any value that may be in a frame."""
    if isinstance(tree, int):
        return integer(tree)
    if isinstance(tree, str):
        return text(tree)
    if isinstance(tree, bytes):
        return blob(tree)
    return array([encode(item) for item in tree])


def read_flat(data: bytes) -> list[int | str | bytes]:
    """Read a sequence (RFC 8742) of integers and strings.

    Raises:
        Malformed: anything else, a longer encoding than needed, or an end inside an item.
    """
    return read_items(data)[0]


def read_items(data: bytes) -> tuple[list[int | str | bytes], list[int]]:
    """Read such a sequence; return its items and where each of them ends.

    Raises:
        Malformed: as `read_flat`.
    """
    items: list[int | str | bytes] = []
    ends: list[int] = []
    append, ends_at = items.append, ends.append
    at, end = 0, len(data)
    try:
        while at < end:
            byte = data[at]
            at += 1
            major, n = byte & 0xE0, byte & 0x1F
            if n >= 24:
                n, at = _long(data, at, n)
            if major == 0x00:
                append(n)
            elif major == 0x60:
                append(data[at : at + n].decode())
                at += n
            elif major == 0x40:
                append(data[at : at + n])
                at += n
            elif major == 0x20:
                append(~n)
            else:
                raise Malformed("a container or a tag where none may be")
            ends_at(at)
    except IndexError:
        raise Malformed("an item without its end") from None
    except UnicodeDecodeError:
        raise Malformed("a text that is not UTF-8") from None
    if at != end:
        raise Malformed("a string without its end")
    return items, ends


def _long(data: bytes, at: int, size: int) -> tuple[int, int]:
    """Read the number behind an initial byte; IndexError when it is not all there."""
    if size == 24:
        n = data[at]
        if n < 24:
            raise Malformed("a number longer than it need be")
        return n, at + 1
    if size == 25:
        n = data[at] << 8 | data[at + 1]
        if n < 0x100:
            raise Malformed("a number longer than it need be")
        return n, at + 2
    if size == 26:
        n = data[at] << 24 | data[at + 1] << 16 | data[at + 2] << 8 | data[at + 3]
        if n < 0x10000:
            raise Malformed("a number longer than it need be")
        return n, at + 4
    raise Malformed("an indefinite length or a number of more than 32 bits")


def read_tree(data: bytes, max_depth: int) -> list[Tree]:
    """Read a sequence of items that may be arrays, `max_depth` of them inside one another.

    Raises:
        Malformed: as `read_flat`, or a deeper one.
    """
    items: list[Tree] = []
    at = 0
    try:
        while at < len(data):
            item, at = item_at(data, at, max_depth)
            items.append(item)
    except IndexError:
        raise Malformed("an item without its end") from None
    except UnicodeDecodeError:
        raise Malformed("a text that is not UTF-8") from None
    return items


def item_at(data: bytes, at: int, depth: int) -> tuple[Tree, int]:
    """Read one item and return it with the position behind it; IndexError when its beginning is not all there."""
    byte = data[at]
    at += 1
    major, n = byte & 0xE0, byte & 0x1F
    if n >= 24:
        n, at = _long(data, at, n)
    if major == 0x00:
        return n, at
    if major == 0x20:
        return ~n, at
    if major == 0x80:
        if depth <= 0:
            raise Malformed("arrays nested too deep")
        if n > len(data) - at:
            raise Malformed("an array without its end")
        items: list[Tree] = []
        for _ in range(n):
            item, at = item_at(data, at, depth - 1)
            items.append(item)
        return items, at
    if n > len(data) - at:
        raise Malformed("a string without its end")
    if major == 0x60:
        return data[at : at + n].decode(), at + n
    if major == 0x40:
        return data[at : at + n], at + n
    raise Malformed("a map, a tag or a simple value")
