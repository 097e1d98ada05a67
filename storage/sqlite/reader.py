"""Reading beside the writer: one connection on the loop's thread for what is found by its key, others in threads.

A read by key takes some 10 µs, less than a change of threads, so it is done in the call. Whatever may walk over many rows or
wait for the disk many times is done in a thread.
"""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from storage.interface import StorageClosed, StorageError
from storage.sqlite.connect import connect, explain

T = TypeVar("T")

THREADS = 2
"""Readers at a time: two let a short read pass a long one."""


class Reader:
    """Connections that only read."""

    def __init__(self, path: Path) -> None:
        """Open the one of the loop's thread.

        Raises:
            sqlite3.Error: it cannot be opened.
        """
        self._path = path
        self._inline: sqlite3.Connection | None = connect(path, is_writer=False)
        self._executor = ThreadPoolExecutor(THREADS, "sqlite-reader")
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []

    def row(self, sql: str, params: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Return the one row of a look-up by key, or None; on this thread, now. Errors as in `rows`."""
        found = self.rows(sql, params)
        return found[0] if found else None

    def rows(self, sql: str, params: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """Return the rows of a query that gives few; on this thread, now.

        Raises:
            StorageError: the file cannot be read.
            StorageClosed: after `close`.
        """
        if self._inline is None:
            raise StorageClosed("the storage is closed")
        try:
            return self._inline.execute(sql, params).fetchall()
        except sqlite3.Error as error:
            raise StorageError(explain(error, self._path)) from error

    async def run(self, read: Callable[[sqlite3.Connection], T]) -> T:
        """Call `read` with a connection, in a thread; errors as in `rows`."""
        if self._inline is None:
            raise StorageClosed("the storage is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._call, read)
        except sqlite3.Error as error:
            raise StorageError(explain(error, self._path)) from error

    def close(self) -> None:
        """Finish what is being read, and close all connections."""
        if self._inline is not None:
            self._inline.close()
            self._inline = None
        self._executor.shutdown(wait=True, cancel_futures=True)
        for connection in self._opened:
            connection.close()

    def _call(self, read: Callable[[sqlite3.Connection], T]) -> T:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = connect(self._path, is_writer=False)
            self._opened.append(connection)
        return read(connection)
