"""Push put together."""

import asyncio

import pytest

from push.gateway import BadCredentials
from storage.memory import MemoryBackend
from tests.support.push.world import PushWorld
from tests.support.world import World
from xmppd.config_sources import load_config
from xmppd.logs import get_logger
from xmppd.push_run import describe, open_push, run_beside, wake_all

JULIET = "juliet@example.org"


def config(tmp_path, *sets: str):
    base = ['server.domains=["example.org"]', f'server.data_dir="{tmp_path}"', "c2s.listen=[]", "c2s.require_tls=false"]
    return load_config(None, [*base, *sets], {})


async def test_a_server_reaches_its_gateways_and_app_servers(tmp_path):
    world = await World.create(["xep_0030_disco"], settings={"server.data_dir": str(tmp_path)})
    service = open_push(world.shared, get_logger("test"))
    assert service.names == ("webpush", "xmpp") and service.is_running == {"webpush", "xmpp"}
    assert set(await describe(service)) == {"webpush", "xmpp"}
    await service.close()


async def test_beside_a_service_a_server_sends_to_app_servers_alone(tmp_path):
    settings = {"server.data_dir": str(tmp_path), "push.run": "service"}
    world = await World.create(["xep_0030_disco"], settings=settings)
    service = open_push(world.shared, get_logger("test"))
    assert service.is_running == {"xmpp"}
    await service.close()


async def test_a_service_begins_and_stops(tmp_path):
    backend, stopping, began = MemoryBackend(), asyncio.Event(), asyncio.Event()
    await backend.open()
    running = asyncio.ensure_future(run_beside(config(tmp_path), backend, get_logger("test"), stopping, began.set))
    async with asyncio.timeout(5):
        await began.wait()
        stopping.set()
        await running


async def test_a_service_without_gateways_says_so(tmp_path):
    with pytest.raises(BadCredentials, match="no gateway"):
        await run_beside(
            config(tmp_path, "push.webpush=false"), MemoryBackend(), get_logger("test"), asyncio.Event(), print
        )


async def test_a_test_tells_what_became_of_each_device():
    push = await PushWorld.create()
    juliet = await push.world.client(f"{JULIET}/phone", "<presence/>")
    key = await push.register(juliet, device="iPhone")
    (one,) = await wake_all(push.service, JULIET, 5)
    assert (one["id"], one["name"], one["gateway"], one["result"]) == (key, "iPhone", "apns", "delivered")
    assert push.apns.sent[0].data["type"] == "test"
    assert await wake_all(push.service, "nobody@example.org", 5) == []
    await push.service.close()
