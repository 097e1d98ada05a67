"""Archive ids as others see them: eleven characters that tell nothing and that nobody can guess.

An id itself is a time and grows; whoever saw two of them would know how much an account was written to in between (XEP-0313 §3).
So what leaves the server is the id under a secret permutation of all 64-bit numbers: a Feistel network of three rounds (Luby and
Rackoff), its round function keyed BLAKE2s. It is no encryption of content and need not last longer than an archive.
"""

from binascii import Error, a2b_base64, b2a_base64
from hashlib import blake2s

ROUNDS = 3
TEXT_CHARS = 11
_LOW = 0xFFFFFFFF
_TO_URL = bytes.maketrans(b"+/", b"-_")
_FROM_URL = bytes.maketrans(b"-_+/", b"+/!!")


class OpaqueIds:
    """The permutation of one server.

    Args:
        secret: 32 bytes that nobody else knows, the same for as long as the archive is kept.
    """

    __slots__ = ("_keys",)

    def __init__(self, secret: bytes) -> None:
        self._keys = tuple(blake2s(bytes((number,)), key=secret[:32]).digest() for number in range(ROUNDS))

    def text_of(self, id_: int) -> str:
        """Return what stands for an archive id (0 < id < 2**63): base64url without padding."""
        left, right = id_ >> 32, id_ & _LOW
        for key in self._keys:
            left, right = right, left ^ _round(key, right)
        raw = (left << 32 | right).to_bytes(8, "big")
        return b2a_base64(raw, newline=False).translate(_TO_URL)[:TEXT_CHARS].decode()

    def id_of(self, text: str | None) -> int | None:
        """Return the id that a text stands for; None for a text that is none of ours."""
        if text is None or len(text) != TEXT_CHARS or not text.isascii():
            return None
        try:
            raw = a2b_base64(text.encode().translate(_FROM_URL) + b"=", strict_mode=True)
        except Error:
            return None
        left, right = int.from_bytes(raw[:4], "big"), int.from_bytes(raw[4:], "big")
        for key in reversed(self._keys):
            left, right = right ^ _round(key, left), left
        id_ = left << 32 | right
        # the last character has two bits to spare: only one of four spellings is ours
        return id_ if 0 < id_ < 1 << 63 and self.text_of(id_) == text else None


def _round(key: bytes, half: int) -> int:
    return int.from_bytes(blake2s(half.to_bytes(4, "big"), key=key, digest_size=4).digest(), "big")
