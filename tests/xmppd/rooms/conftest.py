"""A server in memory with rooms."""

from collections.abc import Awaitable, Callable

import pytest

from tests.support.rooms import MODULES
from tests.support.world import World


@pytest.fixture
async def world(make_world: Callable[..., Awaitable[World]]) -> World:
    """A server with rooms."""
    return await make_world(*MODULES)
