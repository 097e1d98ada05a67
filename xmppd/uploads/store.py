"""Where files are: what every store can do."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from datetime import datetime


class MediaError(Exception):
    """The store could not do what was asked; the text is one line for the operator."""


class MediaFull(MediaError):
    """There is no room for a file."""


class AlreadyThere(MediaError):
    """There is a file of that key."""


class MediaStore(ABC):
    """Files by key (`names.is_key`); a key is written once and never changed."""

    @abstractmethod
    async def open(self) -> None:
        """Make sure that files can be kept.

        Raises:
            MediaError: with one line that says what to do.
        """

    @abstractmethod
    async def has(self, key: str) -> bool:
        """Whether there is a file of that key, whole."""

    @abstractmethod
    async def delete(self, keys: Collection[str]) -> None:
        """Remove files; those that are not there do not count."""

    @abstractmethod
    async def sweep(self, before_s: float) -> int:
        """Remove every file that was written before that many seconds since 1970, also what nobody has a record of; return how many."""


class DirectStore(MediaStore):
    """A store that clients write to and read from by themselves, with URLs that we sign."""

    @abstractmethod
    def place(self, key: str) -> str:
        """Return the path of a file below the store's own URL, or a CDN's."""

    @abstractmethod
    def put_url(self, key: str, size: int, type_: str, now: datetime, expires_s: int) -> str:
        """Return where a client sends the file, with exactly that length, and with that type unless it is ""."""

    @abstractmethod
    def get_url(self, key: str, answer: Mapping[str, str], now: datetime, expires_s: int, method: str = "GET") -> str:
        """Return where a file is read; `answer`: headers that the store is to answer with, of those that S3 knows."""
