"""Push through the whole server: slixmpp writes, stand-ins of APNs and FCM take what comes, a phone in the binary form fetches it."""

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from slixmpp import ComponentXMPP
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from bench.accounts import PASSWORD, write_accounts
from bench.session import Scene
from bench.wakeup import REGISTER, fetch, place, write, writer
from tests.support.daemon import free_ports
from tests.support.person import Person
from tests.support.push.apns_server import Misdeed
from tests.support.push.stand_ins import APNS_TOKEN, FCM_TOKEN, StandIns
from tests.support.server import ServerProcess

pytestmark = [pytest.mark.system, pytest.mark.timeout(90)]
PROMISE_MS = 200
APP_SERVER = "push.localhost"
Place = tuple[Scene, StandIns]


@pytest.fixture
async def here(tmp_path: Path) -> AsyncIterator[Place]:
    async with place(tmp_path) as made:
        yield made


async def person(server: ServerProcess, jid: str, ca: Path | None) -> Person:
    made = Person(jid, PASSWORD, ca=ca, plugins=("xep_0030", "xep_0198", "xep_0199"))
    await made.login(server.c2s_port)
    await made.wait_managed()
    return made


async def test_absent_phone_is_woken_within_200_ms_of_the_acknowledgement_and_fetches(here: Place) -> None:
    scene, gateways = here
    kept = await scene.first_login("u0", True, REGISTER)
    acknowledged: asyncio.Queue[float] = asyncio.Queue()
    writer_ = await person(scene.server, "u1@localhost", scene._ca)
    writer_.add_event_handler("stanza_acked", lambda _: acknowledged.put_nowait(time.perf_counter()))
    waits_ms: list[float] = []
    try:
        for turn in range(1, 11):
            writer_.send_message("u0@localhost", f"message {turn}", mtype="chat")
            writer_.plugin["xep_0198"].request_ack()
            acknowledged_s = await asyncio.wait_for(acknowledged.get(), 10)
            await asyncio.gather(gateways.pushes.reach(turn), gateways.messages.reach(turn))
            waits_ms.append(
                1000 * (max(gateways.pushes.moments_s[-1], gateways.messages.moments_s[-1]) - acknowledged_s)
            )
            cost = await fetch(scene, kept)
            assert cost.all_bytes < 1_000
    finally:
        await writer_.leave()
    print(f"from the acknowledgement to both gateways: median {statistics.median(waits_ms):.1f} ms")
    assert statistics.median(waits_ms) <= PROMISE_MS
    push = gateways.pushes[0]
    assert (push.token, push.headers["apns-push-type"]) == (APNS_TOKEN, "alert")
    assert "message 1" not in str(push.payload) and "u1@" not in str(push.payload)
    assert gateways.messages[0]["token"] == FCM_TOKEN
    log = scene.server.log_path.read_text()
    assert APNS_TOKEN not in log and FCM_TOKEN not in log


async def test_notification_outlives_a_kill_between_commit_and_push(here: Place) -> None:
    scene, gateways = here
    kept = await scene.first_login("u0", True, REGISTER)
    gateways.apns.always = Misdeed("silence")
    async with writer(scene) as wire:
        await write(wire, kept.jid)
    await gateways.messages.reach(1)
    assert list(gateways.pushes) == []
    await asyncio.to_thread(scene.server.kill9)
    gateways.apns.always = None
    await asyncio.to_thread(scene.server.start)
    await gateways.pushes.reach(1, 60)
    assert gateways.pushes[0].token == APNS_TOKEN


async def test_dead_token_is_gone_and_a_test_says_what_is_left(here: Place) -> None:
    scene, gateways = here
    await scene.first_login("u0", True, REGISTER)
    gateways.fcm.dead.add(FCM_TOKEN)
    first = await asyncio.to_thread(_test_push, scene.server)
    assert "apns" in first and "delivered" in first and "dead (UNREGISTERED)" in first
    again = await asyncio.to_thread(_test_push, scene.server)
    assert "fcm" not in again and "delivered" in again


def _test_push(server: ServerProcess) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "xmppd", "push", "test", "u0@localhost", "--config", str(server.config_path)],
        capture_output=True,
        text=True,
        env={**server.environment(), "PATH": "/usr/bin:/bin"},
        cwd=server.folder,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


class AppServer(ComponentXMPP):
    """The app server of a stock client: it takes what is published to its nodes."""

    def __init__(self, port: int) -> None:
        super().__init__(APP_SERVER, "s3cret", "127.0.0.1", port)
        self.published: asyncio.Queue[object] = asyncio.Queue()
        path = "{jabber:component:accept}iq/{http://jabber.org/protocol/pubsub}pubsub"
        self.register_handler(Callback("published", MatchXPath(path), self.take))

    def take(self, iq: object) -> None:
        if iq["type"] == "set":  # type: ignore[index]
            reply = iq.reply()  # type: ignore[attr-defined]
            reply.send()
            self.published.put_nowait(iq)


@pytest.mark.parametrize("with_summary", [True, False])
async def test_stock_clients_app_server_gets_notifications(tmp_path: Path, with_summary: bool) -> None:
    (port,) = free_ports(1)
    settings = {
        "components.listen": [f"127.0.0.1:{port}"],
        "push.app_server_summary": with_summary,
        "push.content": "full",
    }
    server = ServerProcess(tmp_path, settings=settings)
    with server.config_path.open("a") as file:
        file.write(f'[components.domains."{APP_SERVER}"]\nsecret = "s3cret"\n')
    await write_accounts(tmp_path / "data" / "xmppd.db", ["romeo", "juliet"])
    await asyncio.to_thread(server.start)
    app_server = AppServer(port)
    app_server.connect()
    await app_server.wait_until("session_start", timeout=10)
    try:
        juliet = await person(server, "juliet@localhost", None)
        enable = ET.Element("{urn:xmpp:push:0}enable", {"jid": APP_SERVER, "node": "yxs32uqsflafdk3iuqo"})
        await juliet.make_iq_set(sub=enable).send(timeout=10)
        await juliet.leave()
        romeo = await person(server, "romeo@localhost", None)
        romeo.send_message("juliet@localhost", "wherefore", mtype="chat")
        found = str(await asyncio.wait_for(app_server.published.get(), 10))
        await romeo.leave()
        assert "yxs32uqsflafdk3iuqo" in found and "notification" in found
        assert ("message-count" in found, "wherefore" in found) == (with_summary, with_summary)
    finally:
        app_server.disconnect()
        await asyncio.to_thread(server.close)
