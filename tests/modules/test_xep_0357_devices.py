"""Our own app server: devices by iq."""

from collections.abc import AsyncIterator

import pytest

from push.gateway import Outcome, Result
from tests.support.push.world import APP_SERVER, OURS, PUSH, PushWorld
from tests.support.world import Client
from xmppd.modules.xep_0357_devices import parse_chats

JULIET = "juliet@example.org"
STANZAS = "urn:ietf:params:xml:ns:xmpp-stanzas"


@pytest.fixture
async def push() -> AsyncIterator[PushWorld]:
    made = await PushWorld.create()
    yield made
    await made.service.close()


@pytest.fixture
async def juliet(push) -> Client:
    return await push.world.client(f"{JULIET}/phone", "<presence/>")


def condition(answer) -> str:
    return answer.element("jabber:client error").elements()[0].name


async def devices(push: PushWorld, client: Client) -> list[dict[str, str]]:
    answer = await push.ask(client, "get", f"<devices xmlns='{OURS}'/>")
    return [dict(one.attrs) for one in answer.elements()[0].elements()]


async def test_registered_device_is_listed_without_its_token(push, juliet):
    key = await push.register(juliet, "fcm", "tok:" + "a" * 100, device="Pixel")
    (one,) = await devices(push, juliet)
    assert (one["id"], one["gateway"], one["device"], one["resource"]) == (key, "fcm", "Pixel", "phone")
    assert "tok:" not in str(one)


async def test_app_servers_are_listed_too(push, juliet):
    await push.ask(juliet, "set", f"<enable xmlns='{PUSH}' jid='{APP_SERVER}' node='secret'/>")
    (one,) = await devices(push, juliet)
    assert (one["gateway"], one["device"]) == ("xmpp", APP_SERVER)
    assert "secret" not in str(one)


async def test_same_token_again_is_the_same_device(push, juliet):
    first = await push.register(juliet)
    assert await push.register(juliet) == first
    assert len(await devices(push, juliet)) == 1


async def test_device_is_removed_by_its_id(push, juliet):
    key = await push.register(juliet)
    assert (await push.ask(juliet, "set", f"<unregister xmlns='{OURS}' id='{key}'/>")).type == "result"
    assert await devices(push, juliet) == []
    assert condition(await push.ask(juliet, "set", f"<unregister xmlns='{OURS}' id='{key}'/>")) == "item-not-found"


@pytest.mark.parametrize(
    ("attrs", "expected"),
    [
        ("gateway='pigeon' token='a'", "bad-request"),
        ("gateway='xmpp' token='a'", "bad-request"),
        ("gateway='apns'", "bad-request"),
        ("gateway='apns' token=''", "not-acceptable"),
        (f"gateway='fcm' token='{'a' * 2001}'", "bad-request"),
    ],
)
async def test_garbage_is_refused(push, juliet, attrs, expected):
    assert condition(await push.ask(juliet, "set", f"<register xmlns='{OURS}' {attrs}/>")) == expected


async def test_gateway_that_is_not_set_up_is_refused_with_a_reason(push, juliet):
    del push.service.gateways["fcm"]
    answer = await push.ask(juliet, "set", f"<register xmlns='{OURS}' gateway='fcm' token='a'/>")
    assert condition(answer) == "not-acceptable"
    assert "fcm" in answer.element("jabber:client error").elements()[1].text


async def test_ten_thousand_devices_are_refused_after_the_first_twenty(push, juliet):
    push.module.registering._per_hour = 0
    kinds = []
    for number in range(200):
        xml = f"<register xmlns='{OURS}' gateway='apns' token='{number:064x}'/>"
        kinds.append((await push.ask(juliet, "set", xml)).type)
    assert kinds == ["result"] * 20 + ["error"] * 180


async def test_dead_token_is_removed_and_a_new_registration_lives(push, juliet):
    push.apns.outcomes.append(Outcome(Result.DEAD, "Unregistered"))
    await push.register(juliet)
    await juliet.close()
    sender = await push.world.client("romeo@example.org/orchard", "<presence/>")
    await push.say(sender, JULIET)
    assert push.wakings(JULIET).registrations == {}
    again = await push.world.client(f"{JULIET}/phone", "<presence/>")
    await push.register(again, token="bb" * 32)
    await again.close()
    await push.say(sender, JULIET)
    assert len(push.apns.sent) == 2 and len(push.wakings(JULIET).registrations) == 1


async def test_last_result_is_told(push, juliet):
    await push.register(juliet)
    await juliet.close()
    push.apns.outcomes.append(Outcome(Result.REFUSED, "PayloadTooLarge"))
    await push.say(await push.world.client("romeo@example.org/orchard", "<presence/>"), JULIET)
    (one,) = await devices(push, await push.world.client(f"{JULIET}/desk", "<presence/>"))
    assert (one["result"], one["reason"]) == ("refused", "PayloadTooLarge") and one["at"]


async def test_settings_are_told_changed_and_kept(push, juliet):
    told = (await push.ask(juliet, "get", f"<settings xmlns='{OURS}'/>")).elements()[0]
    assert dict(told.attrs) == {"content": "none", "rooms": "on-mention", "headlines": "false", "quiet-in-use": "true"}
    xml = f"<settings xmlns='{OURS}' content='full' rooms='never'><chat jid='r@c.example' wake='always'/></settings>"
    changed = (await push.ask(juliet, "set", xml)).elements()[0]
    assert (changed.get("content"), changed.get("rooms"), changed.get("headlines")) == ("full", "never", "false")
    await juliet.close()
    again = await PushWorld.create(backend=push.world.shared.backend)
    client = await again.world.client(f"{JULIET}/phone", "<presence/>")
    kept = (await again.ask(client, "get", f"<settings xmlns='{OURS}'/>")).elements()[0]
    assert kept.get("content") == "full" and kept.elements()[0].get("jid") == "r@c.example"
    await again.service.close()


@pytest.mark.parametrize("attrs", ["content='all'", "rooms='x'", "headlines='maybe'"])
async def test_settings_that_cannot_be_are_refused(push, juliet, attrs):
    assert condition(await push.ask(juliet, "set", f"<settings xmlns='{OURS}' {attrs}/>")) == "bad-request"


async def test_too_many_rules_are_refused(push, juliet):
    chats = "".join(f"<chat jid='{number}@c.example' wake='never'/>" for number in range(1001))
    answer = await push.ask(juliet, "set", f"<settings xmlns='{OURS}'>{chats}</settings>")
    assert condition(answer) == "not-acceptable"


def test_rules_are_lines():
    found = parse_chats(("a@b.example never", "", "c@d.example"))
    assert [(chat.jid, chat.wake) for chat in found] == [("a@b.example", "never"), ("c@d.example", "")]
