from dataclasses import replace

import pytest

from compliance.check import Failed, NotPossible
from compliance.scene import Profile, Scene, World
from compliance.stream import TrafficLog
from tests.compliance.fake_server import ACCOUNTS, DOMAIN, FakeServer


def scene_for(fake: FakeServer, **profile) -> Scene:
    return Scene(World(fake.target(), ACCOUNTS, Profile(**profile)), TrafficLog())


async def test_a_missing_feature_ends_the_check_as_not_possible():
    async with FakeServer() as server:
        scene = scene_for(server, server={"urn:a"}, account={"urn:b"}, after_login={"{urn:c}c"})
        scene.needs("urn:a", "urn:b")
        scene.needs_stream_feature("{urn:c}c")
        with pytest.raises(NotPossible, match="urn:d"):
            scene.needs("urn:a", "urn:d")
        with pytest.raises(NotPossible):
            scene.needs_stream_feature("{urn:d}d")


async def test_an_online_client_starts_with_an_empty_inbox():
    async with FakeServer() as server:
        scene = scene_for(server)
        romeo = await scene.online("romeo", priority=-1, show="away")
        assert romeo.inbox == []
        assert any("<priority>-1</priority><show>away</show>" in text for text in server.received)
        await scene.end()
        assert romeo.lost


async def test_settling_waits_for_a_marker_and_fails_without_it():
    async with FakeServer() as server:
        scene = scene_for(server)
        romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
        juliet.target = replace(juliet.target, timeout_s=0.05)
        with pytest.raises(Failed, match="c:message"):
            await scene.settle(romeo, juliet)
        await scene.end()


async def test_without_an_administrator_his_checks_are_not_possible():
    async with FakeServer() as server:
        with pytest.raises(NotPossible, match="--admin"):
            await scene_for(server).admin()


async def test_last_acts_are_done_though_one_fails_and_before_clients_close():
    async with FakeServer() as server:
        scene = scene_for(server)
        romeo = await scene.login("romeo")
        done = []

        async def act() -> None:
            done.append(romeo.lost)

        async def broken() -> None:
            raise ValueError("broken")

        scene.at_the_end(act)
        scene.at_the_end(broken)
        await scene.end()
        assert done == [False]
        assert romeo.lost


async def test_jids_go_by_their_parts_names():
    async with FakeServer() as server:
        assert scene_for(server).jid("juliet") == f"juliet@{DOMAIN}"
