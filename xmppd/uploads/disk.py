"""Files on disk: `media.url = "file:PATH"`.

    PATH/ab/abXYZ….jpg      whole files, in folders by the first two letters
    PATH/coming/NUMBER      what is being written; emptied at start and by each sweep

A file is written beside, made durable, and then gets its name by a link, which fails when the name is taken: a name never stands for
half a file, nor for another one than before. All work is done in threads; what one upload holds in memory is one piece.
"""

import asyncio
import contextlib
import errno
import os
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, TypeVar

from xmppd.uploads.names import is_key
from xmppd.uploads.store import AlreadyThere, MediaError, MediaFull, MediaStore

T = TypeVar("T")

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
ABANDONED_S = 86_400.0
"""What has been coming for so long, without a byte in all that time, never comes."""


class DiskStore(MediaStore):
    """Files below one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._coming = folder / "coming"
        self._count = 0

    async def open(self) -> None:
        """Make the folder, and empty what a crash has left half written."""
        try:
            await asyncio.to_thread(self._open)
        except OSError as error:
            raise MediaError(f"media.url: {self.folder}: {error.strerror or error}") from error

    def _open(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._coming.mkdir(exist_ok=True)
        for left in self._coming.iterdir():
            left.unlink(missing_ok=True)

    def path(self, key: str) -> Path:
        """Return where the file of a key is, or would be."""
        assert is_key(key), "a key is made by us"
        return self.folder / key[:2] / key

    async def has(self, key: str) -> bool:
        """Whether there is a file of that key."""
        return await asyncio.to_thread(self.path(key).is_file)

    async def begin(self, key: str) -> "Writing":
        """Begin to write the file of a key.

        Raises:
            AlreadyThere: there is one.
            MediaFull, MediaError: it cannot be written.
        """
        self._count += 1
        coming = self._coming / f"{os.getpid()}-{self._count}"
        return await _thread(_begin, self.path(key), coming)

    async def delete(self, keys: Collection[str]) -> None:
        """Remove files."""
        await _thread(_delete, [self.path(key) for key in keys if is_key(key)])

    async def sweep(self, before_s: float) -> int:
        """Remove old files, and what has been abandoned half written."""
        return await _thread(self._sweep, before_s)

    def _sweep(self, before_s: float) -> int:
        gone = 0
        for folder in self.folder.iterdir():
            if len(folder.name) == 2:
                gone += _sweep_folder(folder, before_s)
        _sweep_folder(self._coming, time.time() - ABANDONED_S)
        return gone


class Writing:
    """A file that is being written: `write` each piece, then `finish`; or `discard` at any point."""

    __slots__ = ("_coming", "_file", "_path")

    def __init__(self, path: Path, coming: Path, file: Any) -> None:
        self._path = path
        self._coming = coming
        self._file = file

    async def write(self, data: bytes) -> None:
        """Add a piece.

        Raises:
            MediaFull, MediaError: it cannot be written.
        """
        await _thread(self._file.write, data)

    async def finish(self) -> None:
        """Give the file its name; on return it outlives a power cut.

        Raises:
            AlreadyThere: another one has got the name.
            MediaFull, MediaError: it could not be made durable.
        """
        await _thread(self._finish)

    def _finish(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        os.link(self._coming, self._path)
        try:
            _sync_folder(self._path.parent)
        except OSError:
            self._path.unlink(missing_ok=True)
            raise
        self._coming.unlink(missing_ok=True)

    def discard(self) -> None:
        """Leave nothing behind; after `finish` too, nothing happens then."""
        with contextlib.suppress(OSError):  # a full disk fails again while closing
            self._file.close()
        self._coming.unlink(missing_ok=True)


def _begin(path: Path, coming: Path) -> Writing:
    if path.exists():
        raise FileExistsError(errno.EEXIST, "there is a file of that name")
    if not path.parent.is_dir():
        path.parent.mkdir(exist_ok=True)
        _sync_folder(path.parent.parent)
    return Writing(path, coming, open(coming, "xb", buffering=0))


def _delete(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _sweep_folder(folder: Path, before_s: float) -> int:
    gone = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            try:
                if entry.is_file(follow_symlinks=False) and entry.stat(follow_symlinks=False).st_mtime < before_s:
                    os.unlink(entry.path)
                    gone += 1
            except FileNotFoundError:  # its owner was quicker
                continue
    return gone


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


async def _thread(function: Callable[..., T], *arguments: object) -> T:
    """Run a function in a thread; its OSError comes as one of ours."""
    try:
        return await asyncio.to_thread(function, *arguments)
    except FileExistsError as error:
        raise AlreadyThere("there is a file of that name") from error
    except OSError as error:
        kind = MediaFull if error.errno in FULL else MediaError
        raise kind(f"media.url: {error.strerror or error}") from error
