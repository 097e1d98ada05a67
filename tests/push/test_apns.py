"""APNs against a server that checks what Apple checks, over TLS and HTTP/2."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from push.apns import ApnsGateway, ApnsOptions, ProviderToken, payload_of
from push.gateway import BadCredentials, BadToken, Device, Kind, Notification, Outcome, Result
from tests.support.push.apns_server import ApnsServer, Misdeed
from tests.support.push.scripted import FakeClock

TOKEN = "ab" * 32


def pem(key) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@dataclass
class World:
    """A gateway and its server."""

    gateway: ApnsGateway
    server: ApnsServer
    clock: FakeClock

    def note(self, token: str = TOKEN, **changes) -> Notification:
        device = Device("romeo/1", "apns", token, registered_at_us=self.clock.us)
        until = self.clock.us + 3600_000_000
        return replace(Notification(device, title="Juliet", body="Wherefore", expires_at_us=until), **changes)

    async def send(self, token: str = TOKEN, **changes) -> Outcome:
        return await self.gateway.send(self.note(token, **changes))


@pytest.fixture
async def world(authority, server_context, ec_key, clock) -> AsyncIterator[World]:
    server = ApnsServer(server_context, {"KEY1234567": ec_key.public_key()}, lambda: clock.us / 1e6)
    port = await server.start()
    options = ApnsOptions(
        ("org.example.app", "org.example.other"),
        pem(ec_key),
        "KEY1234567",
        "TEAM123456",
        production=("127.0.0.1", port),
        sandbox=("127.0.0.1", 1),
        timeout_s=5,
    )
    gateway = ApnsGateway(options, clock, authority.client_context())
    yield World(gateway, server, clock)
    await gateway.close()
    await server.stop()
    assert server.faults == []


async def test_a_message_is_shown_and_may_be_changed_by_the_app(world):
    outcome = await world.send(conversation="juliet@example.org", badge=2, data={"account": "romeo"})
    assert outcome == Outcome(Result.DELIVERED)
    (push,) = world.server.pushes
    assert push.token == TOKEN and push.payload == {
        "account": "romeo",
        "aps": {
            "alert": {"title": "Juliet", "body": "Wherefore"},
            "sound": "default",
            "badge": 2,
            "mutable-content": 1,
            "thread-id": push.headers["apns-collapse-id"],
        },
    }
    assert push.headers["apns-topic"] == "org.example.app" and push.headers["apns-priority"] == "10"
    assert push.headers["apns-push-type"] == "alert" and len(push.headers["apns-collapse-id"]) == 32
    assert push.headers["apns-expiration"] == str(world.clock.us // 1_000_000 + 3600)


async def test_a_message_of_which_nothing_may_be_said_says_that_there_is_one(world):
    assert (await world.send(title="", body="")).kind is Result.DELIVERED
    assert world.server.pushes[0].payload["aps"]["alert"] == {"body": "New message"}


async def test_a_background_push_shows_nothing_and_never_has_priority_10(world):
    outcome = await world.send(kind=Kind.BACKGROUND, badge=1, data={"a": "b"}, is_urgent=True)
    assert outcome.kind is Result.DELIVERED
    push = world.server.pushes[0]
    assert push.payload == {"a": "b", "aps": {"content-available": 1}} and push.headers["apns-priority"] == "5"


async def test_a_call_goes_to_the_voip_topic_at_once(world):
    assert (await world.send(kind=Kind.CALL, data={"sid": "1"}, is_urgent=False)).kind is Result.DELIVERED
    headers = world.server.pushes[0].headers
    assert (headers["apns-topic"], headers["apns-push-type"]) == ("org.example.app.voip", "voip")
    assert headers["apns-priority"] == "10"


async def test_a_message_that_can_wait_has_priority_5_and_no_sound_when_it_should_not(world):
    await world.send(is_urgent=False, sound=False, is_mutable=False)
    push = world.server.pushes[0]
    assert push.headers["apns-priority"] == "5" and push.payload["aps"].keys() == {"alert"}


async def test_a_device_may_name_another_of_our_topics(world):
    world.server.topics = ("org.example.other",)
    note = world.note()
    assert (await world.gateway.send(note)).reason == "TopicDisallowed"
    other = replace(note, device=replace(note.device, topic="org.example.other"))
    assert (await world.gateway.send(other)).kind is Result.DELIVERED


@pytest.mark.parametrize("text", ["x" * 9000, "é" * 9000, "\U0001f600" * 3000, '"\n\\' * 3000, "\x00" * 5000])
async def test_a_long_text_is_cut_to_what_apple_takes(world, text):
    assert (await world.send(body=text)).kind is Result.DELIVERED
    (push,) = world.server.pushes
    assert push.payload["aps"]["alert"]["body"].endswith("…")
    assert len(json.dumps(push.payload, ensure_ascii=False, separators=(",", ":")).encode()) > 4080, "and no shorter"
    assert (await world.send(title=text, body=text)).kind is Result.DELIVERED


async def test_data_that_does_not_fit_is_refused_here_and_a_call_may_have_1_kb_more(world):
    data = {"payload": "x" * 5000}
    assert await world.send(data=data) == Outcome(Result.REFUSED, "PayloadTooLarge")
    assert (await world.send(data=data, kind=Kind.CALL)).kind is Result.DELIVERED
    assert await world.send(data={"p": "x" * 5200}, kind=Kind.CALL) == Outcome(Result.REFUSED, "PayloadTooLarge")
    assert world.server.tries == 1


async def test_app_data_cannot_take_the_place_of_what_apple_reads(world):
    assert (await world.send(data={"aps": "mine"})).kind is Result.DELIVERED
    assert isinstance(world.server.pushes[0].payload["aps"], dict)


async def test_a_dead_token_says_since_when(world):
    world.server.dead[TOKEN] = world.clock.us // 1000 - 5
    outcome = await world.send()
    assert outcome == Outcome(Result.DEAD, "Unregistered", dead_at_us=world.clock.us // 1000 * 1000 - 5000)
    assert not outcome.kills(world.clock.us), "the app registered again after that"
    world.server.dead[TOKEN] = world.clock.us // 1000 + 5
    assert (await world.send()).kills(world.clock.us)


@pytest.mark.parametrize("stamp", ["soon", True, 1, -1, 10**30, None])
async def test_a_dead_token_with_a_wrong_time_is_dead_all_the_same(world, stamp):
    body = json.dumps({"reason": "ExpiredToken", "timestamp": stamp}).encode()
    world.server.misdeeds.append(Misdeed(status=410, body=body))
    outcome = await world.send()
    assert outcome.kind is Result.DEAD and outcome.reason == "ExpiredToken" and outcome.kills(world.clock.us)


@pytest.mark.parametrize(
    "token", ["", "ab" * 31, "ab" * 101, "abc" * 21 + "d" * 2, "g" * 64, "ab" * 32 + "/", "ａｂ" * 32, "../" * 30]
)
async def test_garbage_for_a_token_never_reaches_apple(world, token):
    with pytest.raises(BadToken):
        world.gateway.check(world.note(token).device)
    assert await world.send(token) == Outcome(Result.DEAD, "bad-token")
    assert world.server.tries == 0


async def test_apps_that_are_not_ours_are_not_taken(world):
    device = world.note().device
    with pytest.raises(BadToken):
        world.gateway.check(replace(device, topic="com.evil.app"))
    with pytest.raises(BadToken):
        world.gateway.check(replace(device, environment="moon"))


async def test_a_token_that_apple_does_not_know_dies_only_when_our_settings_have_reached_somebody(world):
    world.server.foreign.add(TOKEN)
    assert await world.send() == Outcome(Result.REFUSED, "DeviceTokenNotForTopic"), "it may be us"
    assert (await world.send("cd" * 32)).kind is Result.DELIVERED
    assert await world.send() == Outcome(Result.DEAD, "DeviceTokenNotForTopic"), "now it cannot be"


async def test_a_wrong_key_or_team_is_bad_credentials(world, authority):
    options = replace(world.gateway._options, key=pem(ec.generate_private_key(ec.SECP256R1())))
    for wrong in (options, replace(world.gateway._options, team_id="SOMEBODY"), replace(options, key_id="NONE")):
        gateway = ApnsGateway(wrong, world.clock, authority.client_context())
        assert await gateway.send(world.note()) == Outcome(Result.BAD_CREDENTIALS, "InvalidProviderToken")
        await gateway.close()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"key": "garbage"}, "not the text of a .p8"),
        ({"key": "", "key_id": ""}, "not the text of a .p8"),
        ({"key_id": ""}, "needs key_id"),
        ({"topics": ()}, "topic"),
        ({"certificate": "/nowhere.pem"}, "/nowhere.pem"),
    ],
)
async def test_what_cannot_be_a_credential_is_said_at_start(world, changes, says):
    with pytest.raises(BadCredentials, match=says):
        ApnsGateway(replace(world.gateway._options, **changes), world.clock)


async def test_a_key_of_another_kind_is_said_at_start(clock, rsa_key):
    for key in (rsa_key, ec.generate_private_key(ec.SECP384R1())):
        with pytest.raises(BadCredentials, match="P-256"):
            ProviderToken(pem(key), "K", "T", clock)


async def test_the_provider_token_is_made_anew_in_time_and_one_serves_all_connections(world):
    for _ in range(30):  # five hours
        assert (await world.send()).kind is Result.DELIVERED
        world.clock.us += 600_000_000
        await world.gateway.close()
    assert len(world.server.provider_tokens) == 8 and world.server.connections == 30


async def test_an_expired_provider_token_is_renewed_but_not_more_often_than_apple_wants(world):
    await world.send()
    expired = Misdeed(status=403, reason="ExpiredProviderToken")
    world.server.misdeeds.append(expired)
    assert await world.send() == Outcome(Result.BAD_CREDENTIALS, "ExpiredProviderToken"), "made a moment ago"
    world.clock.us += 1200_000_000
    world.server.misdeeds.append(expired)
    assert await world.send() == Outcome(Result.DELIVERED)
    assert len(world.server.provider_tokens) == 2


async def test_a_certificate_does_instead_of_a_key(world, authority, tmp_path):
    world.server.wants_certificate = True
    assert await world.send() == Outcome(Result.BAD_CREDENTIALS, "MissingProviderToken")
    leaf = authority.sign(["push.example.org"])
    both = tmp_path / "both.pem"
    both.write_bytes(leaf.certificate.read_bytes() + leaf.key.read_bytes())
    options = replace(world.gateway._options, key="", certificate=str(both))
    gateway = ApnsGateway(options, world.clock, authority.client_context())
    assert await gateway.send(world.note()) == Outcome(Result.DELIVERED)
    assert "authorization" not in world.server.pushes[0].headers
    await gateway.close()


@pytest.mark.parametrize(
    ("misdeed", "outcome"),
    [
        (Misdeed(status=429, reason="TooManyRequests"), Outcome(Result.RETRY, "TooManyRequests")),
        (
            Misdeed(status=429, reason="TooManyRequests", headers=(("retry-after", "7"),)),
            Outcome(Result.RETRY, "TooManyRequests", 7.0),
        ),
        (
            Misdeed(status=429, reason="TooManyProviderTokenUpdates"),
            Outcome(Result.RETRY, "TooManyProviderTokenUpdates", 1200, True),
        ),
        (Misdeed(status=503, reason="ServiceUnavailable"), Outcome(Result.RETRY, "ServiceUnavailable", None, True)),
        (
            Misdeed(status=503, reason="Shutdown", headers=(("retry-after", "30"),)),
            Outcome(Result.RETRY, "Shutdown", 30.0, True),
        ),
        (Misdeed(status=500), Outcome(Result.RETRY, "http-500", None, True)),
        (Misdeed(status=500, body=b"{]"), Outcome(Result.RETRY, "http-500", None, True)),
        (Misdeed(status=500, body=b'["reason"]'), Outcome(Result.RETRY, "http-500", None, True)),
        (Misdeed(status=500, body=b"[" * 9000), Outcome(Result.RETRY, "http-500", None, True)),
        (Misdeed(status=400, body=b'{"reason": "a\\nb"}'), Outcome(Result.REFUSED, "http-400")),
        (Misdeed(status=400, reason="IdleTimeout"), Outcome(Result.RETRY, "IdleTimeout", None, True)),
        (Misdeed(status=413, reason="PayloadTooLarge"), Outcome(Result.REFUSED, "PayloadTooLarge")),
        (Misdeed(status=302), Outcome(Result.RETRY, "http-302", None, True)),
    ],
)
async def test_each_answer_has_its_meaning(world, misdeed, outcome):
    world.server.misdeeds.append(misdeed)
    assert await world.send() == outcome
    assert (await world.send()).kind is Result.DELIVERED and world.server.connections == 1, "the connection lives on"


@pytest.mark.parametrize("forgets", [True, False])
async def test_goaway_in_the_middle_loses_nothing(world, forgets):
    await world.send()
    world.server.misdeeds.append(Misdeed("goaway", forgets=forgets))
    outcomes = await asyncio.gather(*(world.send(f"{number:064x}") for number in range(40)))
    assert {outcome.kind for outcome in outcomes} == {Result.DELIVERED}
    assert {push.token for push in world.server.pushes} >= {f"{number:064x}" for number in range(40)}
    assert world.server.connections == 2


@pytest.mark.parametrize("do", ["reset", "drop", "garbage"])
async def test_what_breaks_once_is_tried_again_and_twice_is_the_gateways_trouble(world, do):
    world.server.misdeeds.append(Misdeed(do))
    assert (await world.send()).kind is Result.DELIVERED
    world.server.misdeeds.extend([Misdeed(do)] * 2)
    outcome = await world.send()
    assert outcome.kind is Result.RETRY and outcome.is_gateway
    assert outcome.reason in ("stream-reset", "connection-lost", "protocol")
    assert (await world.send()).kind is Result.DELIVERED


async def test_silence_ends_by_our_own_clock_and_harms_nobody_else(world, authority):
    gateway = ApnsGateway(replace(world.gateway._options, timeout_s=0.2), world.clock, authority.client_context())
    world.server.misdeeds.append(Misdeed("silence"))
    assert await gateway.send(world.note()) == Outcome(Result.RETRY, "timeout", is_gateway=True)
    assert (await gateway.send(world.note())).kind is Result.DELIVERED
    world.server.misdeeds.append(Misdeed("silence"))
    assert (await gateway.send(world.note())).reason == "timeout"
    assert (await gateway.send(world.note())).kind is Result.DELIVERED
    assert world.server.connections == 2, "not a word came on the first: it was dead without an end"
    world.server.misdeeds.append(Misdeed("silence"))
    outcomes = await asyncio.gather(*(gateway.send(world.note()) for _ in range(20)))
    assert [outcome.kind for outcome in outcomes].count(Result.DELIVERED) == 19
    assert world.server.connections == 2
    await gateway.close()


async def test_a_gateway_that_is_not_there_is_the_gateways_trouble(world):
    note = world.note()
    sandbox = replace(note, device=replace(note.device, environment="sandbox"))
    assert await world.gateway.send(sandbox) == Outcome(Result.RETRY, "connect", is_gateway=True)


async def test_a_server_with_a_certificate_that_nobody_signed_gets_nothing(world):
    gateway = ApnsGateway(world.gateway._options, world.clock)  # the system's authorities
    assert await gateway.send(world.note()) == Outcome(Result.RETRY, "connect", is_gateway=True)
    assert world.server.tries == 0


async def test_3000_refusals_on_one_connection_do_not_stop_it(world):
    world.server.dead[TOKEN] = 1
    for _ in range(30):
        outcomes = await asyncio.gather(*(world.send() for _ in range(100)))
        assert {outcome.kind for outcome in outcomes} == {Result.DEAD}
    assert world.server.connections == 1


async def test_bodies_in_many_frames_and_more_than_a_window_at_once_arrive(world):
    world.server.dead["cd" * 32] = 1
    world.server.misdeeds.extend([Misdeed("pieces")] * 2)
    assert (await world.send("cd" * 32)).reason == "Unregistered"
    outcomes = await asyncio.gather(*(world.send(body="x" * 4000) for _ in range(100)))  # 400 kB, the window has 64
    assert {outcome.kind for outcome in outcomes} == {Result.DELIVERED}


async def test_more_than_the_streams_that_apple_allows_wait_their_turn(world):
    world.server.max_streams = 3
    await world.gateway.close()
    await world.send()
    outcomes = await asyncio.gather(*(world.send() for _ in range(50)))
    assert {outcome.kind for outcome in outcomes} == {Result.DELIVERED}


async def test_no_key_and_no_token_is_in_a_repr(world):
    text = repr(world.gateway._options) + repr(world.note()) + repr(world.gateway)
    assert "PRIVATE KEY" not in text and TOKEN not in text


def test_a_payload_without_text_that_is_too_big_is_none():
    note = Notification(Device("a", "apns", TOKEN), data={"k": "v" * 4096}, title="t", body="b")
    assert payload_of(note, "x") is None
