"""XEP-0199: XMPP Ping."""

import pytest

from tests.modules.conftest import MakeWorld
from tests.support.world import World

PING = "<ping xmlns='urn:xmpp:ping'/>"
UNAVAILABLE = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world("xep_0199_ping")


async def test_ping_to_domain_gets_empty_result(world: World) -> None:
    romeo = await world.client("romeo@example.org/orchard")
    await romeo.send(f"<iq type='get' id='p1' to='example.org'>{PING}</iq>")
    await romeo.expect("<iq type='result' id='p1' from='example.org' to='{romeo}'/>")


async def test_ping_to_own_account_gets_empty_result(world: World) -> None:
    romeo = await world.client("romeo@example.org/orchard")
    await romeo.send(f"<iq type='get' id='p1' to='romeo@example.org'>{PING}</iq>")
    await romeo.expect("<iq type='result' id='p1' from='romeo@example.org' to='{romeo}'/>")


async def test_ping_without_to_gets_result_without_from(world: World) -> None:
    romeo = await world.client("romeo@example.org/orchard")
    await romeo.send(f"<iq type='get' id='p1'>{PING}</iq>")
    await romeo.expect("<iq type='result' id='p1' to='{romeo}'/>")


@pytest.mark.parametrize("to", ["juliet@example.org", "nobody@example.org"])
async def test_ping_to_another_account_does_not_tell_whether_it_exists(world: World, to: str) -> None:
    await world.account("juliet@example.org")
    romeo = await world.client("romeo@example.org/orchard")
    await romeo.send(f"<iq type='get' id='p1' to='{to}'>{PING}</iq>")
    await romeo.expect(f"<iq type='error' id='p1' from='{to}' to='{{romeo}}'>{UNAVAILABLE}</iq>")


async def test_ping_to_another_resource_is_for_that_client_to_answer(world: World) -> None:
    romeo = await world.client("romeo@example.org/orchard")
    juliet = await world.client("juliet@example.org/balcony")
    await romeo.send(f"<iq type='get' id='p1' to='{juliet}'>{PING}</iq>")
    await juliet.expect("<iq type='get' id='p1' from='{romeo}' to='{juliet}'><ping xmlns='urn:xmpp:ping'/></iq>")
    await juliet.send(f"<iq type='result' id='p1' to='{romeo}'/>")
    await romeo.expect("<iq type='result' id='p1' from='{juliet}' to='{romeo}'/>")
