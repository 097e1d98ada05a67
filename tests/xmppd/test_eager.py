"""Coroutines that run at once as far as they go."""

import asyncio

import pytest

from tests.support.garbage import garbage_of
from xmppd.eager import run_eagerly


class Tasks:
    """Takes what is spawned and makes tasks of it."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[None]] = []

    def spawn(self, coroutine):
        self.tasks.append(asyncio.get_running_loop().create_task(coroutine))


async def test_coroutine_that_does_not_wait_is_finished_at_once_and_no_task_is_made():
    done, tasks = [], Tasks()

    async def work():
        done.append(1)

    assert run_eagerly(work(), tasks.spawn)
    assert (done, tasks.tasks) == ([1], [])


async def test_coroutine_that_waits_goes_on_as_a_task():
    steps, tasks = [], Tasks()
    first, second = (asyncio.get_running_loop().create_future() for _ in range(2))

    async def work():
        steps.append("begun")
        steps.append(await first)
        steps.append(await second)

    assert not run_eagerly(work(), tasks.spawn)
    assert steps == ["begun"]
    first.set_result("first")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert steps == ["begun", "first"]
    second.set_result("second")
    await tasks.tasks[0]
    assert steps == ["begun", "first", "second"]


async def test_what_was_waited_for_may_come_before_the_task_begins():
    future, tasks, got = asyncio.get_running_loop().create_future(), Tasks(), []

    async def work():
        got.append(await future)

    run_eagerly(work(), tasks.spawn)
    future.set_result(5)
    await tasks.tasks[0]
    assert got == [5]


async def test_giving_way_to_others_counts_as_waiting():
    tasks = Tasks()

    async def work():
        await asyncio.sleep(0)

    assert not run_eagerly(work(), tasks.spawn)
    await tasks.tasks[0]


async def test_error_before_the_first_wait_is_raised_here():
    async def work():
        raise KeyError("x")

    with pytest.raises(KeyError):
        run_eagerly(work(), Tasks().spawn)


async def test_error_that_comes_of_waiting_is_the_coroutines_to_catch():
    future, tasks, caught = asyncio.get_running_loop().create_future(), Tasks(), []

    async def work():
        try:
            await future
        except KeyError as error:
            caught.append(error)
        raise ValueError("after")

    run_eagerly(work(), tasks.spawn)
    future.set_exception(KeyError("x"))
    with pytest.raises(ValueError, match="after"):
        await tasks.tasks[0]
    assert len(caught) == 1


async def test_cancelling_the_task_reaches_the_coroutine():
    tasks, seen = Tasks(), []

    async def work():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            seen.append("cleaned up")

    run_eagerly(work(), tasks.spawn)
    await asyncio.sleep(0)
    tasks.tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks.tasks[0]
    assert seen == ["cleaned up"]


async def test_coroutine_that_does_not_wait_leaves_no_garbage_to_collect():
    async def work():
        pass

    assert garbage_of(lambda: [run_eagerly(work(), Tasks().spawn) for _ in range(10)]) == 0
