"""Gathering, sending, retrying, refusing: without a cluster."""

import asyncio

import pytest
from cassandra import InvalidRequest, OperationTimedOut, WriteFailure
from cassandra.cluster import NoHostAvailable

from storage.cassandra.writer import MAX_BATCH_BYTES, MAX_BATCH_WRITES, Writer
from storage.interface import StorageClosed, StorageError, StorageFull
from tests.storage.cassandra.fake import FakeBound, FakeDriver

AWAY = NoHostAvailable("away", {})


@pytest.fixture
async def driver() -> FakeDriver:
    return FakeDriver()


@pytest.fixture
async def writer(driver: FakeDriver) -> Writer:
    return Writer(driver, window_s=0.001)


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.cassandra.writer.FIRST_RETRY_S", 0.001)
    monkeypatch.setattr("storage.cassandra.writer.LAST_RETRY_S", 0.004)


def put(driver: FakeDriver, value: bytes, text: str = "put"):
    return driver.statement(text), (value,)


def values(request: list[FakeBound]) -> list[bytes]:
    return [bound.values[0] for bound in request]


async def test_what_is_called_at_about_the_same_time_travels_together(driver, writer):
    commits = [writer.write(put(driver, b"%d" % n)) for n in range(5)]
    request, done = await driver.next()
    assert values(request) == [b"0", b"1", b"2", b"3", b"4"]
    assert not any(commit.done for commit in commits)
    done([], None)
    assert all(commit.done and commit.error is None for commit in commits)
    assert writer.waiting_bytes == 0 and not driver.sent


async def test_timestamps_ascend_with_the_calls_and_a_retry_keeps_them(driver, writer):
    for n in range(3):
        writer.write(put(driver, b"%d" % n))
    request, done = await driver.next()
    moments = [bound.at_us for bound in request]
    assert moments == sorted(set(moments))
    done(None, OperationTimedOut())
    again, _ = await driver.next()
    assert [bound.at_us for bound in again] == moments


async def test_batches_stay_below_what_nodes_take(driver, writer):
    big = b"x" * (MAX_BATCH_BYTES // 4)
    for _ in range(6):
        writer.write(put(driver, big))
    for _ in range(MAX_BATCH_WRITES + 1):
        writer.write(put(driver, b""))
    sizes = []
    while sum(sizes) < 107:
        request, done = await driver.next()
        assert sum(map(len, values(request))) <= MAX_BATCH_BYTES and len(request) <= MAX_BATCH_WRITES
        sizes.append(len(request))
        done([], None)


async def test_what_is_called_as_one_is_sent_as_one_however_large(driver, writer):
    writer.write(put(driver, b"before"))
    commit = writer.write(*[put(driver, b"x" * 1000) for _ in range(200)], beside=[put(driver, b"index")])
    requests = [await driver.next() for _ in range(3)]
    assert [len(request) for request, _ in requests] == [1, 200, 1]
    for _, done in requests[:2]:
        done([], None)
    assert not commit.done
    requests[2][1]([], None)
    assert commit.done and commit.error is None


async def test_no_more_is_in_flight_than_allowed(driver, writer):
    for _ in range(10):
        writer.write(put(driver, b"x" * MAX_BATCH_BYTES))
    assert len(driver.sent) == driver.settings.max_in_flight == 4
    for _ in range(10):
        _, done = await driver.next()
        assert len(driver.sent) <= 3
        done([], None)


async def test_a_wrong_write_fails_alone(driver, writer):
    commits = [writer.write(put(driver, b"%d" % n)) for n in range(3)]
    _, done = await driver.next()
    done(None, InvalidRequest("no"))
    for n in range(3):
        request, done = await driver.next()
        assert values(request) == [b"%d" % n]
        done(None if n == 1 else [], InvalidRequest("no") if n == 1 else None)
    assert [commit.error is None for commit in commits] == [True, False, True]
    assert isinstance(commits[1].error, StorageError) and writer.waiting_bytes == 0


async def test_a_write_that_replicas_fail_again_and_again_fails(driver, writer):
    commit = writer.write(put(driver, b"poison"))
    for _ in range(5):
        assert not commit.done
        _, done = await driver.next()
        done(None, WriteFailure("no", consistency=1))
    with pytest.raises(StorageError):
        await commit


async def test_while_the_cluster_is_away_nothing_is_acknowledged_and_one_request_asks(driver, writer):
    commits = [writer.write(put(driver, b"x" * MAX_BATCH_BYTES)) for _ in range(3)]
    first = [await driver.next() for _ in range(3)]
    for _, done in first:
        done(None, AWAY)
    assert writer.is_away and driver.is_away
    for _ in range(4):
        _, done = await driver.next()
        assert not driver.sent
        done(None, AWAY)
    assert not any(commit.done for commit in commits)
    _, done = await driver.next()
    done([], None)
    assert not writer.is_away and not driver.is_away
    for _ in range(2):
        _, done = await driver.next()
        done([], None)
    assert all(commit.done and commit.error is None for commit in commits)


async def test_beyond_the_bound_calls_are_refused_until_there_is_room(driver, writer):
    held = []
    with pytest.raises(StorageFull):
        for _ in range(1000):
            held.append(writer.write(put(driver, b"x" * 10_000)))
    assert writer.is_full and 90 < len(held) < 105
    assert writer.waiting_bytes < driver.settings.max_waiting_bytes + 30_000
    while not all(commit.done for commit in held):
        _, done = await driver.next()
        done([], None)
    assert not writer.is_full and writer.waiting_bytes == 0
    writer.write(put(driver, b"x"))


async def test_flush_waits_for_the_answers_but_not_for_a_cluster_that_is_away(driver, writer):
    writer.write(put(driver, b"x"))
    flush = asyncio.ensure_future(writer.flush())
    _, done = await driver.next()
    assert not flush.done()
    done(None, AWAY)
    await flush
    assert writer.is_away


async def test_close_waits_for_its_patience_and_then_says_what_was_not_written(driver, writer):
    commit = writer.write(put(driver, b"x"))
    await writer.close(0.01)
    with pytest.raises(StorageClosed):
        await commit
    with pytest.raises(StorageClosed):
        writer.write(put(driver, b"y"))


async def test_a_callback_that_raises_keeps_no_other_commit_back(driver, writer):
    first, second = writer.write(put(driver, b"1")), writer.write(put(driver, b"2"))
    first.add_done_callback(lambda _: int("no number"))
    _, done = await driver.next()
    with pytest.raises(ValueError):
        done([], None)
    assert second.done


async def test_nothing_to_write_is_done_at_once(writer):
    assert writer.write().done


async def test_the_duration_of_each_request_is_told(driver, writer):
    seen: list[float] = []
    writer.on_commit = seen.append
    writer.write(put(driver, b"x"))
    _, done = await driver.next()
    done([], None)
    assert len(seen) == 1 and 0 <= seen[0] < 5
