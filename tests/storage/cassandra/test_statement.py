"""Binding."""

from types import SimpleNamespace

import pytest

from storage.cassandra.clock import WriteClock
from storage.cassandra.statement import Statement
from storage.interface import StorageError


class Prepared:
    """What the driver makes of a text; binding gives the values back."""

    def __init__(self, *names: str) -> None:
        self.column_metadata = [SimpleNamespace(name=name) for name in names]
        self.is_idempotent = False

    def bind(self, values):
        if None in values:
            raise TypeError("Received an argument of invalid type")
        return values


def statement(text: str, *names: str) -> Statement:
    made = Statement(text)
    made.set(Prepared(*names))
    return made


@pytest.mark.parametrize(
    "names, expected",
    [
        (("a", "b", "[timestamp]"), (1, 2, 77)),
        (("[timestamp]", "a", "b"), (77, 1, 2)),
        (("a", "[timestamp]", "b"), (1, 77, 2)),
        (("a", "b"), (1, 2)),
    ],
)
def test_the_timestamp_stands_where_the_text_asks_for_it(names, expected):
    assert tuple(statement("INSERT", *names).bind((1, 2), WriteClock(), 77)) == expected


def test_without_a_given_moment_the_clock_says_it():
    clock = WriteClock()
    first = statement("INSERT", "[timestamp]").bind((), clock)
    assert statement("INSERT", "[timestamp]").bind((), clock) > first


def test_values_that_do_not_fit_are_one_line():
    with pytest.raises(StorageError, match="a value that Cassandra cannot hold"):
        statement("INSERT", "a").bind((None,), WriteClock())


def test_reads_are_told_from_writes():
    assert Statement(" select x").is_read and not Statement("DELETE FROM x").is_read
