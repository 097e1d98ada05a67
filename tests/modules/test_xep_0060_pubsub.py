"""XEP-0060: Publish-Subscribe, at accounts."""

import pytest

from tests.modules.conftest import MakeWorld
from tests.support.pep import MODULES, items, payload, payloads, publish
from tests.support.world import Client, World

ROMEO, JULIET = "romeo@example.org", "juliet@example.org"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(*MODULES)


@pytest.fixture
async def romeo(world: World) -> Client:
    return await world.client(f"{ROMEO}/orchard")


async def test_item_that_was_published_comes_back(romeo: Client) -> None:
    assert await publish(romeo, "n", payload("one"), "a") == ""
    assert await payloads(romeo, "n") == [payload("one")]
    assert await items(romeo, "n", to=ROMEO) == ["a"]
