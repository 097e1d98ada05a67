"""Running a coroutine at once, as far as it goes without waiting.

Most handlers that may wait do not: the row was in memory, the commit was done. Such a coroutine finishes within the call, and no
task is made for it. One that does wait goes on as a task.
"""

import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")

Spawn = Callable[[Coroutine[Any, Any, None]], object]


@types.coroutine
def _rest(coroutine: Coroutine[Any, Any, T], awaited: Any) -> Generator[Any, Any, T]:
    """Go on with a coroutine that has just asked to wait for `awaited`."""
    while True:
        try:
            sent = yield awaited
        except BaseException as error:  # noqa: BLE001  cancellation too is the coroutine's own to see
            try:
                awaited = coroutine.throw(error)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
        else:
            try:
                awaited = coroutine.send(sent)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]


def run_eagerly(coroutine: Coroutine[Any, Any, None], spawn: Spawn) -> bool:
    """Run it until its first wait; return True when it has finished, else hand the rest to `spawn` and return False.

    Whatever it raises before its first wait is raised here.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration:
        return True

    async def rest() -> None:
        await _rest(coroutine, awaited)

    spawn(rest())
    return False
