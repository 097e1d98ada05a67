"""Operations in lanes."""

import asyncio

import pytest

from storage.cassandra.lanes import Lanes
from storage.interface import StorageClosed, StorageError


async def test_a_lane_keeps_order_and_another_does_not_wait_for_it():
    lanes, seen, gate = Lanes(), [], asyncio.Event()

    async def slow() -> None:
        await gate.wait()
        seen.append("slow")

    async def say(word: str) -> None:
        seen.append(word)

    first = lanes.run("a", slow)
    second = lanes.run("a", lambda: say("second"))
    await lanes.run("b", lambda: say("other"))
    assert seen == ["other"] and not first.done
    gate.set()
    await second
    assert seen == ["other", "slow", "second"] and first.done


async def test_an_error_is_the_own_commits_alone():
    lanes = Lanes()

    async def fail() -> None:
        raise StorageError("no")

    async def work() -> None:
        pass

    first, second = lanes.run("a", fail), lanes.run("a", work)
    await second
    with pytest.raises(StorageError, match="no"):
        await first


async def test_settled_waits_for_all_of_a_lane():
    lanes, gate = Lanes(), asyncio.Event()
    commits = [lanes.run("a", gate.wait) for _ in range(3)]
    gate.set()
    await lanes.settled()
    assert all(commit.done for commit in commits)


async def test_close_ends_what_can_end_and_fails_the_rest():
    lanes = Lanes()
    done = lanes.run("a", asyncio.Event().wait)
    after = lanes.run("a", asyncio.Event().wait)
    other = lanes.run("b", lambda: asyncio.sleep(0))
    await lanes.close(0.05)
    assert other.error is None
    for commit in (done, after):
        with pytest.raises(StorageClosed):
            await commit
    with pytest.raises(StorageClosed):
        lanes.run("a", asyncio.Event().wait)
