"""A driver without a cluster: what is sent waits until the test answers it."""

import asyncio
from collections.abc import Sequence
from typing import Any

from storage.cassandra.clock import WriteClock
from storage.cassandra.driver import Done
from storage.cassandra.settings import CassandraSettings

SETTINGS = CassandraSettings(("node",), "ks", max_in_flight=4, max_waiting_bytes=1_000_000)


class FakeBound:
    """A bound statement."""

    def __init__(self, text: str, values: Sequence[Any], at_us: int) -> None:
        self.text = text
        self.values = list(values)
        self.at_us = at_us


class FakeStatement:
    """A statement that binds whatever it gets."""

    def __init__(self, text: str) -> None:
        self.text = text

    def bind(self, params: Sequence[Any], clock: WriteClock, at_us: int | None = None) -> FakeBound:
        return FakeBound(self.text, params, clock.next_us() if at_us is None else at_us)


class FakeDriver:
    """Notes what is sent.

    Attributes:
        sent: requests without an answer, each the list of its writes and who waits for the answer.
        arrived: set at each request.
    """

    def __init__(self, settings: CassandraSettings = SETTINGS) -> None:
        self.settings = settings
        self.clock = WriteClock()
        self.is_away = False
        self.sent: list[tuple[list[FakeBound], Done]] = []
        self.arrived = asyncio.Event()

    def statement(self, text: str) -> FakeStatement:
        return FakeStatement(text)

    def batch(self, statements: Sequence[FakeBound]) -> list[FakeBound]:
        return list(statements)

    def start(self, request: FakeBound | list[FakeBound], done: Done) -> None:
        self.sent.append((request if isinstance(request, list) else [request], done))
        self.arrived.set()

    async def next(self) -> tuple[list[FakeBound], Done]:
        """Wait for a request and take it."""
        while not self.sent:
            self.arrived.clear()
            await self.arrived.wait()
        return self.sent.pop(0)
