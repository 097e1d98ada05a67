"""The commit of one or more writes that may travel in different requests."""

from cassandra.query import BoundStatement

from storage.interface import Commit, StorageError


class Ticket:
    """Counts the writes of one call; its commit is done when all are."""

    __slots__ = ("commit", "error", "left")

    def __init__(self, left: int) -> None:
        self.commit = Commit()
        self.left = left
        self.error: StorageError | None = None

    def done(self, error: StorageError | None = None) -> bool:
        """Count one write; return whether it was the last."""
        self.left -= 1
        self.error = self.error or error
        return self.left == 0


class Item:
    """One bound write, how much memory it holds, and whose it is."""

    __slots__ = ("bound", "size_bytes", "ticket")

    def __init__(self, bound: BoundStatement, size_bytes: int, ticket: Ticket) -> None:
        self.bound = bound
        self.size_bytes = size_bytes
        self.ticket = ticket


class Request:
    """Writes that travel together; `refusals` counts how often replicas said that they failed it."""

    __slots__ = ("items", "refusals", "started_s")

    def __init__(self, items: list[Item]) -> None:
        self.items = items
        self.refusals = 0
        self.started_s = 0.0
