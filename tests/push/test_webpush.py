"""Web Push against a service that checks what RFC 8030, 8291 and 8292 ask for, over TLS."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from push.gateway import BadCredentials, BadToken, Device, Kind, Notification, Outcome, Result
from push.webpush import WebPushGateway, WebPushOptions, new_key
from tests.support.push.scripted import FakeClock
from tests.support.push.web_server import Misdeed, PushService


@dataclass
class World:
    """A gateway and a push service."""

    gateway: WebPushGateway
    service: PushService
    clock: FakeClock

    def note(self, path: str = "/push/1", **changes) -> Notification:
        device = Device("romeo/1", "webpush", self.service.url + path, **self.service.subscription)
        until = self.clock.us + 3600_000_000
        return replace(Notification(device, title="Juliet", body="Wherefore", expires_at_us=until), **changes)

    async def send(self, path: str = "/push/1", **changes) -> Outcome:
        return await self.gateway.send(self.note(path, **changes))


def pem(key) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.fixture
async def world(authority, server_context, ec_key, clock) -> AsyncIterator[World]:
    service = PushService(server_context, lambda: clock.us / 1e6)
    await service.start()
    options = WebPushOptions(pem(ec_key), "mailto:admin@example.org", public_only=False, timeout_s=1)
    gateway = WebPushGateway(options, clock, authority.client_context())
    service.application_key = gateway.application_key
    yield World(gateway, service, clock)
    await gateway.close()
    await service.stop()


async def test_the_device_alone_reads_what_it_is_told(world):
    outcome = await world.send(conversation="juliet", badge=2, data={"account": "romeo"})
    assert outcome == Outcome(Result.DELIVERED)
    ((headers, plain),) = world.service.messages
    assert json.loads(plain) == {
        "kind": "alert",
        "data": {"account": "romeo"},
        "badge": 2,
        "text": {"title": "Juliet", "body": "Wherefore"},
    }
    assert (headers["TTL"], headers["Urgency"], len(headers["Topic"])) == ("3600", "high", 32)


@pytest.mark.parametrize(
    ("changes", "urgency", "has_topic"),
    [
        ({"is_urgent": False}, "normal", True),
        ({"kind": Kind.BACKGROUND}, "low", True),
        ({"kind": Kind.CALL, "is_urgent": False}, "high", False),
    ],
)
async def test_each_kind_has_its_urgency(world, changes, urgency, has_topic):
    await world.send(conversation="juliet", **changes)
    ((headers, _),) = world.service.messages
    assert headers["Urgency"] == urgency and ("Topic" in headers) is has_topic


@pytest.mark.parametrize("text", ["x" * 9000, "\U0001f600" * 3000])
async def test_a_long_text_is_cut_to_one_record_of_4096_bytes(world, text):
    assert (await world.send(body=text)).kind is Result.DELIVERED
    ((headers, plain),) = world.service.messages
    assert json.loads(plain)["text"]["body"].endswith("…") and 4090 <= int(headers["Content-Length"]) <= 4096


async def test_data_that_does_not_fit_is_refused_here(world):
    assert await world.send(data={"k": "x" * 4000}) == Outcome(Result.REFUSED, "PayloadTooLarge")
    assert world.service.tries == 0


async def test_the_vapid_token_is_kept_and_renewed_in_time(world):
    for _ in range(30):
        assert (await world.send()).kind is Result.DELIVERED
        world.clock.us += 3600_000_000
    tokens = [headers["Authorization"] for headers, _ in world.service.messages]
    assert len(set(tokens)) == 5


async def test_another_key_than_the_subscription_has_is_refused_for_this_service_alone(world, authority):
    options = replace(world.gateway._options, key=pem(ec.generate_private_key(ec.SECP256R1())))
    gateway = WebPushGateway(options, world.clock, authority.client_context())
    assert await gateway.send(world.note()) == Outcome(Result.REFUSED, "http-403")
    await gateway.close()


@pytest.mark.parametrize("status", [404, 410])
async def test_a_subscription_that_is_no_more_is_dead(world, status):
    world.service.misdeeds.append(Misdeed(status=status))
    assert await world.send() == Outcome(Result.DEAD, f"http-{status}")


@pytest.mark.parametrize(
    ("misdeed", "outcome"),
    [
        (Misdeed(status=200), Outcome(Result.DELIVERED)),
        (Misdeed(status=202), Outcome(Result.DELIVERED)),
        (Misdeed(status=413), Outcome(Result.REFUSED, "PayloadTooLarge")),
        (Misdeed(status=400), Outcome(Result.REFUSED, "http-400")),
        (Misdeed(status=307, headers={"Location": "https://127.0.0.1:1/"}), Outcome(Result.REFUSED, "http-307")),
        (Misdeed(status=429), Outcome(Result.RETRY, "http-429")),
        (Misdeed(status=429, headers={"Retry-After": "40"}), Outcome(Result.RETRY, "http-429", 40.0)),
    ],
)
async def test_each_answer_has_its_meaning(world, misdeed, outcome):
    world.service.misdeeds.append(misdeed)
    assert await world.send() == outcome


async def test_a_service_in_trouble_is_left_alone_and_another_is_not(world, authority, server_context):
    other = PushService(server_context, world.service.now_s)
    await other.start()
    world.service.always = Misdeed(status=503, headers={"Retry-After": "100"})
    outcome = await world.send()
    assert outcome.kind is Result.RETRY and outcome.after_s == 100.0 and not outcome.is_gateway
    for _ in range(50):
        assert (await world.send("/push/2")).reason == "service-paused"
    assert world.service.tries == 1
    note = world.note()
    elsewhere = Device("x", "webpush", f"{other.url}/push/1", **other.subscription)
    assert (await world.gateway.send(replace(note, device=elsewhere))).kind is Result.DELIVERED
    world.service.always = None
    world.clock.us += 101_000_000
    assert (await world.send()).kind is Result.DELIVERED
    await other.stop()


async def test_a_service_that_is_down_is_asked_more_and_more_rarely(world):
    world.service.always = Misdeed("drop")
    tries, pauses = [], []
    for second in range(0, 3600, 5):
        outcome = await world.send()
        if outcome.reason != "service-paused":
            tries.append(second)
            pauses.append(outcome.after_s)
        world.clock.us += 5_000_000
    assert 8 <= len(tries) <= 14 and pauses == sorted(pauses[:8]) + pauses[8:] and max(pauses) <= 720


async def test_a_slow_service_takes_no_more_than_its_share(world):
    world.service.always = Misdeed("silence")
    outcomes = await asyncio.gather(*(world.send() for _ in range(50)))
    reasons = [outcome.reason for outcome in outcomes]
    assert reasons.count("service-busy") == 40 and reasons.count("timeout") == 10
    assert not any(outcome.is_gateway for outcome in outcomes)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "garbage",
        "http://push.example.org/1",
        "ftp://push.example.org/1",
        "https://",
        "https://user@push.example.org/1",
        "https://push.example.org/1#x",
        "https://push.example.org/ 1",
        "https://push.example.org/\r\nHost: x",
        "https://push.example.org/é",
        "https://push.example.org:99999/",
        "https://[::1/",
        "https://push.example.org/" + "x" * 2048,
    ],
)
async def test_what_is_no_endpoint_is_never_asked(world, url):
    note = world.note()
    device = replace(note.device, token=url)
    with pytest.raises(BadToken):
        world.gateway.check(device)
    assert await world.gateway.send(replace(note, device=device)) == Outcome(Result.DEAD, "bad-token")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "10.1.2.3",
        "169.254.169.254",
        "[::1]",
        "[::ffff:10.0.0.1]",
        "2130706433",
        "0x7f000001",
        "127.1",
        "localhost",
    ],
)
async def test_users_cannot_make_us_call_into_our_own_networks(world, authority, host):
    options = replace(world.gateway._options, public_only=True)
    gateway = WebPushGateway(options, world.clock, authority.client_context())
    note = world.note()
    port = world.service.url.rpartition(":")[2]
    outcome = await gateway.send(replace(note, device=replace(note.device, token=f"https://{host}:{port}/push/1")))
    assert outcome.reason in ("bad-token", "connect")
    assert world.service.tries == 0
    await gateway.close()


@pytest.mark.parametrize(
    "keys",
    [
        {"public_key": ""},
        {"auth": ""},
        {"public_key": "AAAA"},
        {"public_key": "B" * 87},
        {"auth": "A" * 40},
        {"auth": "not base64url!"},
        {"auth": "é"},
    ],
)
async def test_keys_of_garbage_are_said_at_registration(world, keys):
    with pytest.raises(BadToken):
        world.gateway.check(replace(world.note().device, **keys))


@pytest.mark.parametrize(("changes", "says"), [({"key": "garbage"}, "PEM"), ({"contact": "admin"}, "mailto")])
async def test_what_cannot_be_a_credential_is_said_at_start(world, changes, says):
    with pytest.raises(BadCredentials, match=says):
        WebPushGateway(replace(world.gateway._options, **changes), world.clock)


async def test_a_new_key_is_good_and_another_each_time(clock):
    keys = {WebPushGateway(WebPushOptions(new_key(), "mailto:a@b"), clock).application_key for _ in range(2)}
    assert len(keys) == 2 and {len(key) for key in keys} == {87}


async def test_a_key_of_another_kind_is_said_at_start(world, rsa_key):
    with pytest.raises(BadCredentials, match="P-256"):
        WebPushGateway(replace(world.gateway._options, key=pem(rsa_key)), world.clock)


async def test_an_account_with_many_services_does_not_fill_the_memory(world, monkeypatch):
    monkeypatch.setattr("push.webpush.MAX_ORIGINS", 5)
    for number in range(20):
        world.gateway._service(f"https://{number}.example.org")
    assert len(world.gateway._services) == 5


async def test_no_key_and_no_endpoint_is_in_a_repr(world):
    text = repr(world.gateway._options) + repr(world.note())
    assert "PRIVATE" not in text and world.service.url not in text and world.note().device.auth not in text
