"""Counting the writes of a call."""

from storage.cassandra.ticket import Ticket
from storage.interface import StorageError


def test_the_last_of_the_writes_is_told():
    ticket = Ticket(3)
    assert [ticket.done() for _ in range(3)] == [False, False, True]
    assert ticket.error is None


def test_the_first_error_stands():
    ticket, first = Ticket(3), StorageError("first")
    ticket.done(first)
    ticket.done(StorageError("second"))
    assert ticket.done() and ticket.error is first
