"""One batch, one transaction (on the writer's thread)."""

import sqlite3
from collections.abc import Iterator

from storage.interface import StorageError
from storage.sqlite.appender import Appender
from storage.sqlite.batch import Batch, Row
from storage.sqlite.connect import is_fatal, is_passing

OWN_FAULTS = (sqlite3.Error, ValueError, TypeError, OverflowError)
"""What a single write may bring about by itself: a duplicate, or a value that SQLite cannot hold."""


def commit_batch(connection: sqlite3.Connection, appender: Appender, batch: Batch) -> None:
    """Write a batch; when it returns all is durable, save for the writes whose errors are noted in the batch.

    Raises:
        sqlite3.Error: nothing was written: no room, or the file is broken.
    """
    try:
        _write_together(connection, appender, batch)
    except OWN_FAULTS as error:
        _roll_back(connection, appender)
        if is_passing(error) or is_fatal(error):
            raise
        try:
            _write_one_by_one(connection, appender, batch)
        except sqlite3.Error:
            _roll_back(connection, appender)
            raise


def step_rest(connection: sqlite3.Connection, appender: Appender, rest: Iterator[None]) -> bool:
    """Do one step of a long write in its own transaction; return whether there is more to do.

    Raises:
        any of OWN_FAULTS: the step was undone.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        has_more = next(rest, _END) is not _END
        connection.execute("COMMIT")
    except OWN_FAULTS:
        _roll_back(connection, appender)
        raise
    return has_more


def probe(connection: sqlite3.Connection, appender: Appender) -> None:
    """Write something and take it back, to see whether there is room.

    Raises:
        sqlite3.Error: there is none.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT OR REPLACE INTO log (id, copies, stanza) VALUES (-1, 0, zeroblob(65536))")
        connection.execute("DELETE FROM log WHERE id = -1")
        connection.execute("COMMIT")
    except sqlite3.Error:
        _roll_back(connection, appender)
        raise


_END = object()


def _write_together(connection: sqlite3.Connection, appender: Appender, batch: Batch) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for segment in batch.segments:
        if segment.rows:
            appender.insert(segment.rows)
        for op in segment.ops:
            op.attempt(connection)
    connection.execute("COMMIT")


def _write_one_by_one(connection: sqlite3.Connection, appender: Appender, batch: Batch) -> None:
    """The slow way, when one write of the batch fails: each in a savepoint, so that it fails alone."""
    connection.execute("BEGIN IMMEDIATE")
    for segment in batch.segments:
        for row in segment.rows:
            connection.execute("SAVEPOINT one")
            try:
                appender.insert((row,))
            except OWN_FAULTS as error:
                _note(batch, row, _undo_one(connection, appender, error))
            connection.execute("RELEASE one")
        for op in segment.ops:
            connection.execute("SAVEPOINT one")
            try:
                op.attempt(connection)
            except OWN_FAULTS as error:
                op.error = _undo_one(connection, appender, error)
            connection.execute("RELEASE one")
    connection.execute("COMMIT")


def _undo_one(connection: sqlite3.Connection, appender: Appender, error: BaseException) -> StorageError:
    """Undo the write that failed, and return what its commit ends with; raise when the fault is not its own."""
    if is_passing(error) or is_fatal(error):
        raise error
    connection.execute("ROLLBACK TO one")
    appender.forget()
    return StorageError(f"not written: {error}")


def _note(batch: Batch, row: Row, error: StorageError) -> None:
    error_ = StorageError(f"archive: message {row[0]} {error}")
    if row[3] is None:
        batch.error = error_
    else:
        batch.row_errors[row[3]] = error_


def _roll_back(connection: sqlite3.Connection, appender: Appender) -> None:
    appender.forget()
    if connection.in_transaction:  # SQLite itself has rolled back after some errors
        connection.execute("ROLLBACK")
