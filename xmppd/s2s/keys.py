"""The keys of server dialback: proof that a stream was opened by the servers of its domain (XEP-0220, XEP-0185)."""

import hashlib
import hmac


class DialbackKeys:
    """Makes keys and knows its own again, without remembering any.

    Args:
        secret: known to all servers of a domain and to nobody else.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = hashlib.sha256(secret).hexdigest().encode()

    def make(self, receiving: str, originating: str, stream_id: str) -> str:
        """Return the key of one stream (XEP-0185 §3), 64 hex digits.

        Args:
            receiving: the domain that wants proof. originating: ours. stream_id: as the receiving server gave it.
        """
        text = f"{receiving} {originating} {stream_id}".encode()
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()

    def is_ours(self, key: str, receiving: str, originating: str, stream_id: str) -> bool:
        """Whether `make` would return this key."""
        return hmac.compare_digest(self.make(receiving, originating, stream_id).encode(), key.strip().encode())
