"""What the tests of the core share: a server in memory."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tests.support.world import World

MakeWorld = Callable[..., Awaitable[World]]


@pytest.fixture
async def make_world() -> AsyncIterator[MakeWorld]:
    """Make servers with these modules, `World.create(modules, ...)`; what still runs in them ends with the test."""
    worlds: list[World] = []

    async def make(*modules: str, **options: Any) -> World:
        world = await World.create(modules, **options)
        worlds.append(world)
        return world

    yield make
    for world in worlds:
        for task in list(world.tasks):
            task.cancel()
