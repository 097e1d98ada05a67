"""FCM against a server that checks what Google checks, over TLS."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from push.fcm import FcmGateway, FcmOptions
from push.gateway import BadCredentials, BadToken, Device, Kind, Notification, Outcome, Result
from tests.support.push.scripted import FakeClock
from tests.support.push.web_server import FcmServer, Misdeed

TOKEN = "cUxkJ7q0T9:APA91b" + "x" * 134


@dataclass
class World:
    """A gateway and its server."""

    gateway: FcmGateway
    server: FcmServer
    clock: FakeClock
    account: dict[str, str]
    options: FcmOptions

    def note(self, token: str = TOKEN, **changes) -> Notification:
        device = Device("romeo/1", "fcm", token, registered_at_us=self.clock.us)
        until = self.clock.us + 3600_000_000
        return replace(Notification(device, title="Juliet", body="Wherefore", expires_at_us=until), **changes)

    async def send(self, token: str = TOKEN, **changes) -> Outcome:
        return await self.gateway.send(self.note(token, **changes))


def account_of(key, url: str) -> dict[str, str]:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return {
        "type": "service_account",
        "project_id": "demo-1",
        "private_key_id": "k1",
        "private_key": pem,
        "client_email": "push@demo-1.iam.gserviceaccount.com",
        "token_uri": f"{url}/token",
    }


@pytest.fixture
async def world(authority, server_context, rsa_key, clock) -> AsyncIterator[World]:
    server = FcmServer(server_context, lambda: clock.us / 1e6, rsa_key.public_key())
    url = await server.start()
    account = account_of(rsa_key, url)
    options = FcmOptions(json.dumps(account), url, timeout_s=2)
    gateway = FcmGateway(options, clock, authority.client_context())
    yield World(gateway, server, clock, account, options)
    await gateway.close()
    await server.stop()


async def test_an_app_that_shows_by_itself_gets_data_alone(world):
    assert await world.send(data={"account": "romeo"}, conversation="juliet") == Outcome(Result.DELIVERED)
    (message,) = world.server.messages
    assert message["data"] == {"kind": "alert", "account": "romeo", "title": "Juliet", "body": "Wherefore"}
    assert message["android"] == {"priority": "HIGH", "ttl": "3600s"} and "notification" not in message


async def test_an_app_that_does_not_gets_what_android_shows(world):
    await world.send(is_mutable=False, conversation="juliet", badge=3, sound=False, is_urgent=False)
    (message,) = world.server.messages
    assert message["notification"] == {"title": "Juliet", "body": "Wherefore"} and message["data"] == {"kind": "alert"}
    shown = message["android"]["notification"]
    assert (shown["notification_count"], shown["default_sound"], len(shown["tag"])) == (3, False, 32)
    assert message["android"]["priority"] == "NORMAL"


async def test_wake_ups_without_text_use_four_collapse_keys_at_most(world):
    for number in range(40):
        await world.send(title="", body="", conversation=f"contact {number}")
    keys = {message["android"]["collapse_key"] for message in world.server.messages}
    assert len(keys) == 4
    await world.send(conversation="juliet")
    assert "collapse_key" not in world.server.messages[-1]["android"]


async def test_calls_are_urgent_and_background_is_not(world):
    await world.send(kind=Kind.CALL, is_urgent=False)
    await world.send(kind=Kind.BACKGROUND)
    call, background = world.server.messages
    assert call["android"]["priority"] == "HIGH" and call["data"]["title"] == "Juliet"
    assert background["android"]["priority"] == "NORMAL" and background["data"] == {"kind": "background"}


@pytest.mark.parametrize("text", ["x" * 9000, "é" * 9000, "\U0001f600" * 3000, '"\\' * 5000])
@pytest.mark.parametrize("is_mutable", [True, False])
async def test_a_long_text_is_cut_to_what_google_takes(world, text, is_mutable):
    assert (await world.send(body=text, title=text, is_mutable=is_mutable)).kind is Result.DELIVERED
    texts = world.server.messages[0]["data" if is_mutable else "notification"]
    assert texts["body"].endswith("…") and texts["title"].endswith("…")


async def test_data_that_google_would_not_take_is_refused_here(world):
    assert await world.send(data={"k": "x" * 4096}) == Outcome(Result.REFUSED, "PayloadTooLarge")
    for key in ("from", "message_type", "google.x", "GCM"):
        assert await world.send(data={key: "x"}) == Outcome(Result.REFUSED, "bad-data-key")
    assert world.server.tries == 0


@pytest.mark.parametrize("token", ["", "short", "x" * 4097, "with space" * 5, "line\nfeed" * 5, "é" * 50])
async def test_garbage_for_a_token_never_reaches_google(world, token):
    with pytest.raises(BadToken):
        world.gateway.check(world.note(token).device)
    assert await world.send(token) == Outcome(Result.DEAD, "bad-token")
    assert world.server.tries == 0


async def test_unregistered_and_malformed_tokens_are_dead(world):
    world.server.dead.add(TOKEN)
    assert await world.send() == Outcome(Result.DEAD, "UNREGISTERED")
    assert await world.send("x" * 100) == Outcome(Result.DEAD, "INVALID_ARGUMENT"), "its form is wrong for Google alone"


async def test_another_senders_token_dies_only_when_our_settings_have_reached_somebody(world):
    world.server.foreign.add(TOKEN)
    assert await world.send() == Outcome(Result.REFUSED, "SENDER_ID_MISMATCH")
    assert (await world.send(TOKEN + "y")).kind is Result.DELIVERED
    assert await world.send() == Outcome(Result.DEAD, "SENDER_ID_MISMATCH")


async def test_one_access_token_serves_all_for_an_hour(world):
    outcomes = await asyncio.gather(*(world.send() for _ in range(50)))
    assert {outcome.kind for outcome in outcomes} == {Result.DELIVERED} and len(world.server.granted) == 1
    for _ in range(12):
        world.clock.us += 600_000_000
        assert (await world.send()).kind is Result.DELIVERED
    assert len(world.server.granted) == 3 and world.server.tries == 62, "renewed before it was too old"


async def test_an_access_token_that_google_took_back_is_replaced_at_once(world):
    await world.send()
    world.server.granted.update(dict.fromkeys(world.server.granted, 0.0))
    outcomes = await asyncio.gather(*(world.send() for _ in range(20)))
    assert {outcome.kind for outcome in outcomes} == {Result.DELIVERED} and len(world.server.granted) == 2
    world.server.always = Misdeed(status=401, body=b'{"error": {"status": "UNAUTHENTICATED"}}')
    assert await world.send() == Outcome(Result.BAD_CREDENTIALS, "UNAUTHENTICATED")


async def test_a_key_that_google_does_not_know_is_bad_credentials(world, authority):
    other = account_of(rsa.generate_private_key(65537, 2048), world.server.url)
    gateway = FcmGateway(replace(world.options, account=json.dumps(other)), world.clock, authority.client_context())
    assert await gateway.send(world.note()) == Outcome(Result.BAD_CREDENTIALS, "invalid_grant")
    await gateway.close()


async def test_a_wrong_project_is_bad_credentials_and_kills_no_token(world, authority):
    account = json.dumps(world.account | {"project_id": "other-2"})
    gateway = FcmGateway(replace(world.options, account=account), world.clock, authority.client_context())
    assert await gateway.send(world.note()) == Outcome(Result.BAD_CREDENTIALS, "NOT_FOUND")
    await gateway.close()


@pytest.mark.parametrize(
    "changes", [{"private_key": "garbage"}, {"project_id": None}, {"client_email": None}, {"token_uri": None}]
)
async def test_what_is_no_service_account_is_said_at_start(world, changes):
    account = {name: value for name, value in (world.account | changes).items() if value is not None}
    for text in (json.dumps(account), "{", "[]", ""):
        with pytest.raises(BadCredentials) as found:
            FcmGateway(FcmOptions(text), world.clock)
        assert "PRIVATE" not in str(found.value)


def error(status: str, message: str = "", details: object = ()) -> bytes:
    return json.dumps({"error": {"status": status, "message": message, "details": details}}).encode()


FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"


@pytest.mark.parametrize(
    ("misdeed", "outcome"),
    [
        (Misdeed(status=429, headers={"Retry-After": "90"}), Outcome(Result.RETRY, "http-429", 90.0, True)),
        (
            Misdeed(status=429, body=error("RESOURCE_EXHAUSTED", details=[{"@type": FCM_ERROR, "errorCode": "QUOTA_EXCEEDED"}])),
            Outcome(Result.RETRY, "QUOTA_EXCEEDED", 60.0, True),
        ),
        (
            Misdeed(status=429, body=error("RESOURCE_EXHAUSTED", "Device message rate exceeded")),
            Outcome(Result.RETRY, "RESOURCE_EXHAUSTED", 60.0),
        ),
        (Misdeed(status=503, body=error("UNAVAILABLE")), Outcome(Result.RETRY, "UNAVAILABLE", None, True)),
        (
            Misdeed(status=503, headers={"Retry-After": "Fri, 15 Jan 2027 08:00:30 GMT"}),
            Outcome(Result.RETRY, "http-503", 30.0, True),
        ),
        (Misdeed(status=500, body=b"<html>"), Outcome(Result.RETRY, "http-500", None, True)),
        (Misdeed(status=502, body=b"\xff" * 100), Outcome(Result.RETRY, "http-502", None, True)),
        (Misdeed(status=400, body=error("INVALID_ARGUMENT")), Outcome(Result.REFUSED, "INVALID_ARGUMENT")),
        (
            Misdeed(status=400, body=error("INVALID_ARGUMENT", "The registration token is not a valid FCM registration token")),
            Outcome(Result.DEAD, "INVALID_ARGUMENT"),
        ),
        (Misdeed(status=403, body=error("PERMISSION_DENIED")), Outcome(Result.BAD_CREDENTIALS, "PERMISSION_DENIED")),
        (
            Misdeed(status=401, body=error("X", details=[{"@type": FCM_ERROR, "errorCode": "THIRD_PARTY_AUTH_ERROR"}])),
            Outcome(Result.REFUSED, "THIRD_PARTY_AUTH_ERROR"),
        ),
        (Misdeed(status=404, body=b"{}"), Outcome(Result.BAD_CREDENTIALS, "http-404")),
        (Misdeed(status=404, body=error("NOT_FOUND", details="x")), Outcome(Result.BAD_CREDENTIALS, "NOT_FOUND")),
        (Misdeed(status=404, body=error("NOT_FOUND", details=[7, {"@type": FCM_ERROR, "errorCode": []}])), Outcome(Result.BAD_CREDENTIALS, "NOT_FOUND")),
        (Misdeed(status=400, body=error("a b", details=[{"fieldViolations": 7}, {"fieldViolations": [7]}])), Outcome(Result.REFUSED, "http-400")),
        (Misdeed(status=302, headers={"Location": "https://example.org"}), Outcome(Result.RETRY, "http-302", None, True)),
        (Misdeed("drop"), Outcome(Result.RETRY, "connection-lost", None, True)),
    ],
)  # fmt: skip
async def test_each_answer_has_its_meaning(world, misdeed, outcome):
    await world.gateway._access.get()
    world.server.misdeeds.extend([misdeed] * (2 if misdeed.do == "drop" else 1))  # an idle connection is tried twice
    assert await world.send() == outcome
    world.server.misdeeds.clear()
    assert (await world.send()).kind is Result.DELIVERED


@pytest.mark.parametrize(
    ("misdeed", "outcome"),
    [
        (Misdeed(status=503, headers={"Retry-After": "9"}), Outcome(Result.RETRY, "token-http-503", 9.0, True)),
        (Misdeed(status=200, body=b"[]"), Outcome(Result.RETRY, "token-garbage", None, True)),
        (Misdeed(status=200, body=b'{"access_token": "a\\r\\nb"}'), Outcome(Result.RETRY, "token-garbage", None, True)),
        (Misdeed(status=401, body=b"{}"), Outcome(Result.BAD_CREDENTIALS, "token-http-401")),
    ],
)
async def test_each_answer_of_the_token_endpoint_has_its_meaning(world, misdeed, outcome):
    world.server.token_misdeeds.append(misdeed)
    assert await world.send() == outcome
    assert (await world.send()).kind is Result.DELIVERED


async def test_a_life_of_garbage_is_taken_for_five_minutes(world):
    world.server.token_misdeeds.append(Misdeed(status=200, body=b'{"access_token": "t", "expires_in": "soon"}'))
    world.server.granted["t"] = world.clock.us / 1e6 + 9999
    assert (await world.send()).kind is Result.DELIVERED
    world.clock.us += 300_000_000
    assert (await world.send()).kind is Result.DELIVERED and len(world.server.granted) == 2


async def test_silence_ends_by_our_own_clock(world, authority):
    gateway = FcmGateway(replace(world.options, timeout_s=0.3), world.clock, authority.client_context())
    world.server.misdeeds.append(Misdeed("silence"))
    assert await gateway.send(world.note()) == Outcome(Result.RETRY, "timeout", is_gateway=True)
    await gateway.close()


async def test_a_gateway_that_is_not_there_is_the_gateways_trouble(world, authority):
    options = replace(world.options, endpoint="https://127.0.0.1:1", token_url="https://127.0.0.1:1/token")
    gateway = FcmGateway(options, world.clock, authority.client_context())
    assert await gateway.send(world.note()) == Outcome(Result.RETRY, "token-connect", is_gateway=True)
    await gateway.close()


async def test_no_key_is_in_a_repr(world):
    assert "PRIVATE" not in repr(world.options) + repr(world.gateway)
