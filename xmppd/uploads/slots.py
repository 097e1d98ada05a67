"""Slots: the leave to upload one file, written into the URL and signed, so that giving one out keeps nothing in memory."""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import astuple, dataclass

MAX_TOKEN_CHARS = 8_000


class SlotError(Exception):
    """A slot that is not ours, was changed, or has ended."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One file of one account.

    Attributes:
        key: where it is kept; see `names`. name: as others see it.
        size: in bytes. type: its media type, "" when none was said.
        owner: bare JID. until_s: seconds since 1970; then it cannot be begun any more.
    """

    key: str
    name: str
    size: int
    type: str
    owner: str
    until_s: int


class Signer:
    """Makes slots into tokens and back, with a secret that stays the same over restarts."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def sign(self, slot: Slot) -> str:
        """Return a token that is good in a URL."""
        body = json.dumps(astuple(slot), separators=(",", ":"), ensure_ascii=False).encode()
        return f"{_text(body)}.{_text(self._mac(body))}"

    def read(self, token: str, now_s: float) -> Slot:
        """Return the slot of a token.

        Raises:
            SlotError: it is no token of ours, or it has ended.
        """
        if len(token) > MAX_TOKEN_CHARS:
            raise SlotError("this is no slot of this server")
        body, _, mac = token.partition(".")
        try:
            data, found = _bytes(body), _bytes(mac)
        except (binascii.Error, ValueError):
            raise SlotError("this is no slot of this server") from None
        if not hmac.compare_digest(found, self._mac(data)):
            raise SlotError("this is no slot of this server")
        slot = Slot(*json.loads(data))
        if now_s >= slot.until_s:
            raise SlotError("this slot has ended; ask for another one")
        return slot

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._secret, body, hashlib.sha256)


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
