"""A prepared statement: its text, and its values bound with the timestamp that the text asks for."""

from collections.abc import Sequence
from typing import Any

from cassandra.query import BoundStatement, PreparedStatement

from storage.cassandra.clock import WriteClock
from storage.interface import StorageError

Row = tuple[Any, ...]
TIMESTAMP = "[timestamp]"
"""What Cassandra calls the value of USING TIMESTAMP ?."""


class Statement:
    """One text of CQL; made by `Driver.statement`, usable when the driver has prepared it.

    Every write but a conditional one says `USING TIMESTAMP ?`; the value is filled in here, and left out by callers.
    """

    __slots__ = ("_place", "_prepared", "is_read", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.is_read = text.lstrip()[:6].upper() == "SELECT"
        self._prepared: PreparedStatement | None = None
        self._place: int | None = None

    def set(self, prepared: PreparedStatement) -> None:
        """Take note of what the cluster made of it."""
        prepared.is_idempotent = True
        names = [column.name for column in prepared.column_metadata]
        self._place = names.index(TIMESTAMP) if TIMESTAMP in names else None
        self._prepared = prepared

    def bind(self, params: Sequence[Any], clock: WriteClock, at_us: int | None = None) -> BoundStatement:
        """Return it with its values.

        Args:
            params: in the order of the text, without the timestamp.
            clock: gives the timestamp, if it has one.
            at_us: the timestamp to use instead.

        Raises:
            StorageError: the values do not fit.
        """
        place = self._place
        if place is not None:
            moment = clock.next_us() if at_us is None else at_us
            params = (*params[:place], moment, *params[place:])
        assert self._prepared is not None, f"not prepared: {self.text}"
        try:
            return self._prepared.bind(params)
        except (TypeError, ValueError, UnicodeEncodeError) as error:
            raise StorageError(f"a value that Cassandra cannot hold: {error}") from None
