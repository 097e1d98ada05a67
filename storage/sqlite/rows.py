"""Many rows in few steps.

Python's sqlite3 lets go of the GIL at each step of a statement and must take it back after; beside a busy event loop each
of these may wait for a whole switch interval, and costs a change of threads in any case. So a statement here writes or
reads many rows in one step: `VALUES (…), (…)`, and `SELECT (…), (…)` that gives one row with a column for each key.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

BLOCK = 16
LARGEST = 128


def chunks(count: int) -> Iterator[tuple[int, int]]:
    """Yield (start, end) that cover `count` rows: blocks of a multiple of 16, at most 128 rows, then the remainder.

    There are 8 + 15 sizes, so the statements made for them stay in the connection's cache.
    """
    start = 0
    while count - start >= BLOCK:
        end = start + min((count - start) // BLOCK * BLOCK, LARGEST)
        yield start, end
        start = end
    if start < count:
        yield start, count


class ManyRows:
    """An INSERT of any number of rows: `head` + " VALUES " + rows of `width` parameters."""

    __slots__ = ("_head", "_row", "_texts", "_width")

    def __init__(self, head: str, width: int) -> None:
        self._head = head
        self._row = f"({', '.join('?' * width)})"
        self._width = width
        self._texts: dict[int, str] = {}

    def insert(self, connection: sqlite3.Connection, params: list[Any]) -> None:
        """Write the rows whose values follow each other in `params`."""
        width = self._width
        for start, end in chunks(len(params) // width):
            text = self._texts.get(end - start)
            if text is None:
                text = f"{self._head} VALUES {', '.join([self._row] * (end - start))}"
                self._texts[end - start] = text
            connection.execute(text, params[start * width : end * width])


class ManyKeys:
    """A look-up of one column by one parameter, of any number of keys: `select` is a SELECT with one `?`."""

    __slots__ = ("_select", "_texts")

    def __init__(self, select: str) -> None:
        self._select = f"({select})"
        self._texts: dict[int, str] = {}

    def fetch(self, connection: sqlite3.Connection, keys: Sequence[Any]) -> list[Any]:
        """Return the value for each key in order, None where there is no row."""
        found: list[Any] = []
        for start, end in chunks(len(keys)):
            text = self._texts.get(end - start)
            if text is None:
                text = f"SELECT {', '.join([self._select] * (end - start))}"
                self._texts[end - start] = text
            found += connection.execute(text, keys[start:end]).fetchone()
        return found
