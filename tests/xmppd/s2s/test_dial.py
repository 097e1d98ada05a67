"""Connections to servers of a domain, on addresses of loopback; nothing is left open whenever it ends."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, suppress
from typing import Any

import pytest
import uvloop

from tests.support.name_server import NameServer, name_server
from xmppd.s2s import dial as dial_file
from xmppd.s2s.dial import CannotConnect, Dialled, dial
from xmppd.s2s.resolver import NoService, Resolver, ResolverDown, Target

ONE, TWO, THREE = "127.0.0.2", "127.0.0.3", "127.0.0.4"


class Known:
    """A resolver that knows what the test gives it. What is no list is raised."""

    def __init__(self, targets: list[Target] | Exception, **hosts: list[str] | Exception) -> None:
        self._targets, self._hosts = targets, hosts

    async def targets(self, domain: str) -> list[Target]:
        return self._or_raised(self._targets)

    async def addresses(self, host: str) -> list[str]:
        return list(self._or_raised(self._hosts[host]))

    def _or_raised(self, known: Any) -> Any:
        if isinstance(known, Exception):
            raise known
        return known


def open_sockets() -> set[str]:
    """Return the sockets that this process has open."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        with suppress(OSError):
            name = os.readlink(f"/proc/self/fd/{number}")
            if name.startswith("socket:"):
                found.add(name)
    return found


class Listeners:
    """Servers on one port of several addresses; `hanging` ones do not answer at all."""

    def __init__(self) -> None:
        self._open: list[socket.socket] = []
        self.port = 0

    def listen(self, address: str, backlog: int = 100) -> None:
        server = socket.socket()
        server.bind((address, self.port))
        server.listen(backlog)
        self.port = self.port or server.getsockname()[1]
        self._open.append(server)

    def hang(self, address: str) -> None:
        """Listen without room for anyone: the kernel lets further attempts wait."""
        self.listen(address, 0)
        filler = socket.create_connection((address, self.port))
        self._open.append(filler)

    def close(self) -> None:
        for each in self._open:
            each.close()


@pytest.fixture
def listeners() -> Iterator[Listeners]:
    listeners = Listeners()
    yield listeners
    listeners.close()


def connections(resolver: Any, **changed: Any) -> Any:
    settings = {"attempt_timeout_s": 5, "total_timeout_s": 10, "attempt_delay_s": 5} | changed
    return aclosing(dial(resolver, "a.example", **settings))


async def all_of(resolver: Any, **changed: Any) -> list[Dialled]:
    """Return every connection, each closed as soon as it was there."""
    found = []
    async with connections(resolver, **changed) as dialled:
        async for one in dialled:
            found.append(one)
            one.sock.close()
    return found


async def test_a_connection_says_what_it_is(listeners):
    listeners.listen(ONE)
    target = Target("x.example", listeners.port, True)
    async with connections(Known([target], **{"x.example": [ONE]})) as dialled:
        one = await anext(dialled)
    with one.sock:
        assert (one.target, one.address) == (target, ONE)
        assert one.sock.getpeername() == (ONE, listeners.port)
        assert not one.sock.getblocking()


async def test_targets_and_their_addresses_come_in_order(listeners):
    for address in (ONE, TWO, THREE):
        listeners.listen(address)
    targets = [Target("x", listeners.port, False), Target("y", listeners.port, True)]
    found = await all_of(Known(targets, x=[TWO, ONE], y=[THREE]))
    assert [(one.target.host, one.address) for one in found] == [("x", TWO), ("x", ONE), ("y", THREE)]


async def test_who_refuses_is_passed_by_at_once(listeners):
    listeners.listen(THREE)
    targets = [Target("x", listeners.port, False), Target("y", listeners.port, False)]
    async with asyncio.timeout(4):
        found = await all_of(Known(targets, x=[ONE, TWO], y=[ONE, THREE]))
    assert [one.address for one in found] == [THREE]


async def test_who_is_silent_loses_to_the_next_address(listeners):
    listeners.listen(TWO)
    listeners.hang(ONE)
    async with (
        asyncio.timeout(4),
        connections(Known([Target("x", listeners.port, False)], x=[ONE, TWO]), attempt_delay_s=0.01) as dialled,
    ):
        one = await anext(dialled)
    one.sock.close()
    assert one.address == TWO


async def test_the_first_has_a_head_start(listeners):
    for address in (ONE, TWO):
        listeners.listen(address)
    for _ in range(20):
        async with connections(Known([Target("x", listeners.port, False)], x=[ONE, TWO])) as dialled:
            one = await anext(dialled)
        one.sock.close()
        assert one.address == ONE


async def test_who_was_slower_comes_when_the_first_is_of_no_use(listeners):
    listeners.listen(TWO)
    listeners.hang(ONE)
    before = open_sockets()
    async with connections(
        Known([Target("x", listeners.port, False)], x=[ONE, TWO]), attempt_delay_s=0.01, attempt_timeout_s=0.2
    ) as dialled:
        one = await anext(dialled)
        assert len(open_sockets() - before) == 1
        one.sock.close()
        with pytest.raises(StopAsyncIteration):
            await anext(dialled)


async def test_no_connection_at_all_is_told_with_what_was_tried(listeners):
    listeners.hang(THREE)
    targets = [Target("x", listeners.port, False), Target("y", listeners.port, True)]
    with pytest.raises(CannotConnect) as caught:
        await all_of(Known(targets, x=[ONE, "::1"], y=[THREE]), attempt_timeout_s=0.1)
    port = listeners.port
    assert str(caught.value) == (
        f"no server of a.example can be reached: {ONE}:{port}: connection refused; [::1]:{port}: connection refused; "
        f"{THREE}:{port}: timed out"
    )
    assert (caught.value.condition, caught.value.is_dns_negative) == ("remote-server-timeout", False)


async def test_many_failures_are_one_short_line(listeners):
    listeners.listen(ONE)
    targets = [Target(f"x{number}", listeners.port, False) for number in range(20)]
    with pytest.raises(CannotConnect) as caught:
        await all_of(Known(targets, **{target.host: [TWO] for target in targets}))
    assert str(caught.value).endswith("; and 14 more")
    assert str(caught.value).count("refused") == dial_file.SHOWN_FAILURES


@pytest.mark.parametrize(
    ("targets", "x", "condition"),
    [
        (NoService("says none"), [], "remote-server-not-found"),
        (ResolverDown("no answer"), [], "remote-server-timeout"),
        ([Target("x", 1, False), Target("y", 1, False)], NoService("x has no address"), "remote-server-not-found"),
        ([Target("x", 1, False), Target("y", 1, False)], ResolverDown("no answer"), "remote-server-timeout"),
        ([Target("y", 1, False), Target("x", 1, False)], [ONE], "remote-server-timeout"),
    ],
)
async def test_only_what_dns_denies_is_not_found(targets, x, condition):
    with pytest.raises(CannotConnect) as caught:
        await all_of(Known(targets, x=x, y=NoService("y has no address")))
    assert caught.value.condition == condition
    assert caught.value.is_dns_negative is (condition == "remote-server-not-found")
    assert "\n" not in str(caught.value)


async def test_the_whole_time_is_bounded(listeners):
    listeners.hang(ONE)
    targets = [Target(f"x{number}", listeners.port, False) for number in range(20)]
    async with asyncio.timeout(4):
        with pytest.raises(CannotConnect, match="timed out"):
            await all_of(Known(targets, **{target.host: [ONE] * 8 for target in targets}), total_timeout_s=0.2)


async def test_a_resolver_that_does_not_answer_costs_the_time_alone():
    class Stuck(Known):
        async def targets(self, domain: str) -> list[Target]:
            await asyncio.Event().wait()
            raise AssertionError

        addresses = targets  # type: ignore[assignment]

    with pytest.raises(CannotConnect, match=r"^DNS did not tell in time about a.example$") as caught:
        await all_of(Stuck([]), total_timeout_s=0.05)
    assert caught.value.condition == "remote-server-timeout"


async def test_the_source_chosen_is_the_source(listeners):
    listeners.listen(ONE)
    known = Known([Target("x", listeners.port, False)], x=["::1", ONE])
    async with connections(known, source=THREE) as dialled:
        one = await anext(dialled)
    with one.sock:
        assert one.sock.getsockname()[0] == THREE


async def cancelled_after(steps: int, listeners: Listeners, addresses: list[str]) -> bool:
    """Cancel whoever dials after so many turns of the loop. Return whether it had the connection by then."""
    known = Known([Target("x", listeners.port, False)], x=addresses)
    got: list[Dialled] = []

    async def caller() -> None:
        async with connections(known, attempt_delay_s=0) as dialled:
            got.append(await anext(dialled))

    task = asyncio.create_task(caller())
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    for one in got:
        one.sock.close()
    return bool(got)


async def _nothing_leaks_whenever_it_is_cancelled(listeners: Listeners, addresses: list[str]) -> set[bool]:
    before, tasks = open_sockets(), asyncio.all_tasks()
    ended = set()
    for steps in range(40):
        ended.add(await cancelled_after(steps, listeners, addresses))
        assert open_sockets() == before, f"after {steps} turns"
        assert asyncio.all_tasks() == tasks
    return ended


async def test_nothing_leaks_whenever_the_caller_is_cancelled(listeners):
    for address in (ONE, TWO, THREE):
        listeners.listen(address)
    assert await _nothing_leaks_whenever_it_is_cancelled(listeners, [ONE, TWO, THREE]) == {True, False}


async def test_nothing_leaks_when_nobody_answers_and_the_caller_is_cancelled(listeners):
    listeners.hang(ONE)
    listeners.hang(TWO)
    assert await _nothing_leaks_whenever_it_is_cancelled(listeners, [ONE, TWO, THREE]) == {False}


def test_nothing_leaks_on_the_loop_of_the_server(listeners):
    for address in (ONE, TWO, THREE):
        listeners.listen(address)

    async def on_uvloop() -> set[bool]:
        return await _nothing_leaks_whenever_it_is_cancelled(listeners, [ONE, TWO, THREE])

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(on_uvloop()) == {True, False}


async def test_two_that_connect_together_leave_one(listeners, monkeypatch):
    both = asyncio.Barrier(2)
    original = dial_file._Attempts._connect

    async def together(self: Any, address: str, port: int) -> socket.socket:
        sock = await original(self, address, port)
        await both.wait()
        return sock

    monkeypatch.setattr(dial_file._Attempts, "_connect", together)
    for address in (ONE, TWO):
        listeners.listen(address)
    before = open_sockets()
    known = Known([Target("x", listeners.port, False)], x=[ONE, TWO])
    async with connections(known, attempt_delay_s=0) as dialled:
        one = await anext(dialled)
        assert len(open_sockets() - before) == 1
        one.sock.close()


@pytest.fixture
async def dns() -> AsyncIterator[NameServer]:
    async with name_server() as server:
        yield server


async def test_a_domain_is_reached_by_its_records(dns, listeners):
    listeners.listen(TWO)
    dns.add(
        "_xmpp-server._tcp.a.example", "SRV", f"1 0 {listeners.port} gone.example.", f"2 0 {listeners.port} x.example."
    )
    dns.add("x.example", "A", ONE, TWO)
    found = await all_of(Resolver(dns.address))
    assert [(one.target.host, one.address) for one in found] == [("x.example", TWO)]
