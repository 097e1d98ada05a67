"""From a thread to the loop."""

import asyncio
import threading

from storage.cassandra.bridge import Bridge


async def test_what_threads_leave_is_called_on_the_loop_in_order():
    loop, seen, done = asyncio.get_running_loop(), [], asyncio.Event()
    bridge = Bridge(loop)

    def arrive() -> None:
        for number in range(1000):
            bridge.call(lambda n: seen.append((n, threading.current_thread())), number)
        bridge.call(done.set)

    thread = threading.Thread(target=arrive)
    thread.start()
    await done.wait()
    thread.join()
    assert seen == [(n, threading.current_thread()) for n in range(1000)]


async def test_many_calls_wake_the_loop_once():
    loop = asyncio.get_running_loop()
    wakes = 0

    class Counting:
        def call_soon_threadsafe(self, callback: object) -> None:
            nonlocal wakes
            wakes += 1
            loop.call_soon(callback)

    bridge, done = Bridge(Counting()), asyncio.Event()
    for _ in range(100):
        bridge.call(lambda: None)
    bridge.call(done.set)
    await done.wait()
    assert wakes == 1


async def test_a_callback_that_raises_keeps_none_from_being_called():
    loop, errors, done = asyncio.get_running_loop(), [], asyncio.Event()
    loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
    bridge = Bridge(loop)
    bridge.call(int, "no number")
    bridge.call(done.set)
    await done.wait()
    assert [type(error) for error in errors] == [ValueError]


def test_a_closed_loop_hears_nothing():
    loop = asyncio.new_event_loop()
    bridge = Bridge(loop)
    loop.close()
    bridge.call(print)
