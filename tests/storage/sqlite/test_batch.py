"""What a batch gathers, and how it ends."""

import sqlite3

import pytest

from storage.interface import ArchiveCopy, Commit, StorageError
from storage.sqlite.batch import Batch, Op, Puts
from storage.sqlite.rows import ManyRows

COPIES = (ArchiveCopy("a", "b"),)


def nothing(_: sqlite3.Connection) -> None:
    pass


def test_a_barrier_parts_the_appends_before_it_from_those_after() -> None:
    batch = Batch()
    batch.rows.append((1, b"", COPIES, None))
    batch.add(Op(nothing), is_barrier=False)
    batch.rows.append((2, b"", COPIES, None))
    batch.add(Op(nothing), is_barrier=True)
    batch.rows.append((3, b"", COPIES, None))
    assert [[row[0] for row in segment.rows] for segment in batch.segments] == [[1, 2], [3]]
    assert [len(segment.ops) for segment in batch.segments] == [2, 0]


def test_taking_the_other_writes_out_leaves_the_appends() -> None:
    batch = Batch()
    assert batch.is_empty
    batch.add(Op(nothing), is_barrier=True)
    batch.rows.append((1, b"", COPIES, None))
    assert len(batch.take_ops()) == 1
    assert batch.take_ops() == []
    assert not batch.is_empty


def test_values_put_one_after_another_share_a_write_until_another_comes_between() -> None:
    batch, rows = Batch(), ManyRows("INSERT INTO t", 1)
    first = batch.put(rows, (1,))
    assert batch.put(rows, (2,)) is first
    batch.add(Op(nothing), is_barrier=False)
    assert batch.put(rows, (3,)) is not first
    assert batch.put(ManyRows("INSERT INTO u", 1), (4,)) is not first
    ops = batch.segments[0].ops
    assert [op.params for op in ops if isinstance(op, Puts)] == [[1, 2], [3], [4]]


def test_each_write_ends_with_its_own_error_or_else_the_batchs() -> None:
    batch, own, failed = Batch(), Commit(), Commit()
    batch.rows += [(1, b"", COPIES, None), (2, b"", COPIES, own), (2, b"", COPIES, failed)]
    batch.row_errors[failed] = StorageError("duplicate")
    op = Op(nothing)
    op.error = StorageError("exists")
    batch.add(op, is_barrier=False)
    batch.finish()
    assert (batch.commit.error, own.error, failed.error, op.commit.error) == (
        None,
        None,
        batch.row_errors[failed],
        op.error,
    )
    broken = Batch()
    broken.add(Op(nothing), is_barrier=False)
    broken.finish(StorageError("broken"))
    assert str(broken.commit.error) == str(broken.segments[0].ops[0].commit.error) == "broken"


def test_a_long_write_does_not_end_with_its_batch() -> None:
    batch, op = Batch(), Op(lambda _: iter([None]))
    batch.add(op, is_barrier=True)
    op.attempt(sqlite3.connect(":memory:"))
    assert batch.long_ops() == [op]
    batch.finish()
    assert batch.commit.done and not op.commit.done


def test_a_callback_that_raises_keeps_no_other_commit_from_ending() -> None:
    batch, ops = Batch(), [Op(nothing) for _ in range(3)]
    for op in ops:
        batch.add(op, is_barrier=False)
    ops[0].commit.add_done_callback(lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        batch.finish()
    assert all(op.commit.done for op in ops)


def test_an_error_of_storage_belongs_to_the_write_and_others_go_through() -> None:
    def fails(_: sqlite3.Connection) -> None:
        raise StorageError("exists")

    def breaks(_: sqlite3.Connection) -> None:
        raise ValueError

    connection = sqlite3.connect(":memory:")
    op = Op(fails)
    op.attempt(connection)
    assert str(op.error) == "exists"
    with pytest.raises(ValueError):
        Op(breaks).attempt(connection)
