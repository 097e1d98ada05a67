"""What every SASL mechanism has in common: one method, two results, and how an account is looked up; and the tasks after it."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Protocol

from codec.element import Element
from codec.jid import JID, InvalidJID, prepare_localpart
from storage.interface import AccountRecord
from xmppd.errors import SaslError

# One identity is enough: a client that sends more than this for a user name has no account here.
MAX_NAME_CHARS = 1023


@dataclass(frozen=True, slots=True)
class Challenge:
    """The client must answer `data` (not yet base64; it may be empty)."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Success:
    """The client is `localpart`, prepared; `data` goes along with the success (b"" for none)."""

    data: bytes
    localpart: str


class Credentials(Protocol):
    """The accounts of one domain, by localpart."""

    async def get(self, localpart: str) -> AccountRecord | None:
        """Return the account of a prepared localpart, or None."""


class Mechanism(ABC):
    """One authentication attempt by one mechanism; made anew for each attempt."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    async def step(self, data: bytes) -> Challenge | Success:
        """Take what the client sent and return what it gets.

        Args:
            data: the client's message out of its base64. An absent and an empty initial response are both b"";
                the answer to that is one empty challenge (RFC 6120 §6.4.2).

        Raises:
            SaslError: the attempt has failed; no more calls then.
        """


class Task(ABC):
    """What a client does after it has proven who it is and before it is in (XEP-0388 §2.6.3); made anew for each login."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    async def step(self, data: Element | None) -> Element | None:
        """Take what the client sent and return what it gets, None when the task is done.

        Args:
            data: the client's <task-data/>; None when it begins.

        Raises:
            SaslError: the login has failed.
        """


def prepare_username(raw: bytes) -> str:
    """Return the localpart that a client names, prepared.

    Raises:
        SaslError: malformed-request for bytes that are no UTF-8; not-authorized for what cannot be a localpart.
    """
    text = decode(raw)
    if len(text) > MAX_NAME_CHARS:
        raise SaslError("not-authorized")
    try:
        return prepare_localpart(text)
    except InvalidJID:
        raise SaslError("not-authorized") from None


def check_authzid(raw: bytes, localpart: str, domain: str) -> None:
    """Refuse any authorization identity other than the account's own bare JID; b"" means that one.

    Raises:
        SaslError: invalid-authzid, or malformed-request for bytes that are no UTF-8.

    Spec: RFC 6120 §6.3.8.
    """
    if not raw:
        return
    try:
        wanted = JID.parse(decode(raw))
    except InvalidJID:
        raise SaslError("invalid-authzid") from None
    if wanted != JID.of(localpart, domain):
        raise SaslError("invalid-authzid")


def decode(raw: bytes) -> str:
    """Return the text of UTF-8 bytes, or raise `SaslError` malformed-request."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise SaslError("malformed-request") from None
