"""XEP-0494: Client Access Management."""

import dataclasses
import json
from typing import Any

import pytest

from codec.element import Element
from codec.jid import JID
from storage.interface import StorageFull
from tests.modules.conftest import MakeWorld
from tests.support.sasl2 import (
    AGENT,
    BIND,
    FAST,
    OTHER_AGENT,
    account,
    answers,
    arrived,
    authenticate,
    ended_with,
    failure_of,
    hashed,
    knock,
    login,
    success_of,
)
from tests.support.world import Client, World
from xmppd import accounts
from xmppd.modules.xep_0494_access import MAX_CLIENTS, AccessModule
from xmppd.modules.xep_0494_clients import NS

MODULES = ("xep_0050_commands", "xep_0386_bind2", "xep_0388_sasl2", "xep_0484_fast", "xep_0494_access")
ROMEO = JID.parse("romeo@example.org")
WISH = f"<request-token xmlns='{FAST}' mechanism='HT-SHA-256-NONE'/>"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    world = await make_world(*MODULES)
    await account(world, "romeo@example.org")
    await account(world, "juliet@example.org")
    return world


async def listed(client: Client) -> list[Element]:
    await client.send(f"<iq type='get' id='l'><list xmlns='{NS}'/></iq>")
    answer = await client.next_stanza()
    assert answer.type == "result"
    return list(answer.elements()[0].elements())


async def revoke(client: Client, id_: str) -> Any:
    await client.send(f"<iq type='set' id='r'><revoke xmlns='{NS}' id='{id_}'/></iq>")
    return await client.next_stanza()


def auth(client: Element) -> list[str]:
    return [el.name for el in client.find(f"{NS} auth").elements()]


async def by_token(world: World, token: str, agent: str = OTHER_AGENT, inner: str = BIND) -> list[Any]:
    client = knock(world)
    return await answers(
        client, authenticate("HT-SHA-256-NONE", hashed(token), f"<fast xmlns='{FAST}'/>{inner}", agent)
    )


async def token_client(world: World) -> tuple[Client, str]:
    """Return a client that has a token, and nobody knows it to have the password."""
    client, success = await login(world, BIND + WISH, agent=OTHER_AGENT)
    module = world.host().modules[AccessModule]
    kept = (await module._kept(ROMEO))[OTHER_AGENT]
    module.stores["clients"].update(ROMEO, {OTHER_AGENT: _encoded(dataclasses.replace(kept, keys=""))})
    return client, success.find(f"{FAST} token").get("token")


def _encoded(seen: Any) -> bytes:
    return json.dumps(dataclasses.asdict(seen)).encode()


async def test_owner_sees_a_connected_client_with_what_it_says_of_itself(world: World) -> None:
    client, _ = await login(world)
    world.clock.advance(60)
    (one,) = await listed(client)
    assert (one.get("connected"), one.get("type")) == ("true", "session")
    assert one.find(f"{NS} first-seen").text == "2026-01-02T03:04:05Z"
    assert one.find(f"{NS} last-seen").text == "2026-01-02T03:05:05Z"
    assert auth(one) == ["password"]
    assert one.find(f"{NS} permission").get("status") == "unrestricted"
    assert one.find(f"{NS} user-agent").find(f"{NS} software").text == "Test"
    assert AGENT not in one.to_xml().decode()


async def test_client_that_has_gone_is_still_listed(world: World) -> None:
    other, _ = await login(world, BIND + WISH, agent=OTHER_AGENT)
    await other.close()
    client, _ = await login(world)
    found = {one.get("connected"): auth(one) for one in await listed(client)}
    assert found == {"true": ["password"], "false": ["password", "fast"]}


async def test_session_without_a_user_agent_is_listed_by_itself(world: World) -> None:
    client, _ = await login(world, agent="")
    (one,) = await listed(client)
    assert one.get("connected") == "true" and one.find(f"{NS} first-seen") is None and auth(one) == ["password"]


async def test_nobody_sees_the_clients_of_others(world: World) -> None:
    await login(world)
    juliet, _ = await login(world, user="juliet")
    await juliet.send(f"<iq type='get' id='l' to='{ROMEO}'><list xmlns='{NS}'/></iq>")
    await juliet.expect(
        f"<iq type='error' id='l' from='{ROMEO}' to='{{juliet}}'><error type='cancel'>"
        "<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    )
    assert len(await listed(juliet)) == 1


async def test_client_with_a_token_alone_is_revoked(world: World) -> None:
    client, _ = await login(world)
    other, token = await token_client(world)
    (id_,) = [one.get("id") for one in await listed(client) if auth(one) == ["fast"]]
    assert (await revoke(client, id_)).type == "result"
    assert ended_with(other) == "not-authorized"
    assert failure_of(await by_token(world, token)) == "not-authorized"
    assert len(await listed(client)) == 1
    assert (await revoke(client, id_)).type == "error"


async def test_client_that_knows_the_password_is_not_revoked(world: World) -> None:
    client, _ = await login(world)
    other, success = await login(world, BIND + WISH, agent=OTHER_AGENT)
    for one in await listed(client):
        answer = await revoke(client, one.get("id"))
        assert answer.type == "error" and b"password-reset-required" in answer.inner
    assert not ended_with(other)
    success_of(await by_token(world, success.find(f"{FAST} token").get("token")))


@pytest.mark.parametrize("id_", ["", "x", AGENT, "x" * 5000])
async def test_what_is_not_listed_cannot_be_revoked(world: World, id_: str) -> None:
    client, _ = await login(world)
    answer = await revoke(client, id_)
    assert answer.type == "error" and b"item-not-found" in answer.inner


async def test_revoking_by_the_id_of_another_account_does_nothing(world: World) -> None:
    romeo, _ = await login(world)
    juliet, _ = await login(world, user="juliet")
    (id_,) = [one.get("id") for one in await listed(romeo)]
    assert b"item-not-found" in (await revoke(juliet, id_)).inner
    assert not ended_with(romeo)


async def test_another_password_leaves_only_those_with_access(world: World) -> None:
    gone, _ = await login(world, BIND + WISH, agent=OTHER_AGENT)
    await gone.close()
    client, _ = await login(world)
    await accounts.set_password(world.host(), ROMEO, "another")
    (one,) = await listed(client)
    assert one.get("connected") == "true" and auth(one) == []


async def test_what_an_account_remembers_is_bounded(world: World) -> None:
    for number in range(MAX_CLIENTS + 3):
        world.clock.advance(1)
        client = knock(world)
        agent = f"00000000-0000-0000-0000-{number:012d}"
        success_of(await answers(client, authenticate("PLAIN", "AHJvbWVvAHBlbmNpbA==", "", agent)))
        await client.disconnect()
    kept = await world.host().modules[AccessModule]._kept(ROMEO)
    assert len(kept) == MAX_CLIENTS and "00000000-0000-0000-0000-000000000000" not in kept


async def test_old_clients_are_forgotten(world: World) -> None:
    other, _ = await login(world, agent=OTHER_AGENT)
    await other.close()
    world.clock.advance(91 * 86_400)
    await login(world)
    assert list(await world.host().modules[AccessModule]._kept(ROMEO)) == [AGENT]


async def test_deployment_may_keep_nothing_or_no_addresses(make_world: MakeWorld) -> None:
    for settings, kept_count in (({"c2s.client_history_days": 0}, 0), ({"c2s.client_addresses": False}, 1)):
        world = await make_world(*MODULES, settings=settings)
        await account(world, "romeo@example.org")
        client, _ = await login(world)
        kept = await world.host().modules[AccessModule]._kept(ROMEO)
        assert [seen.address for seen in kept.values()] == [""] * kept_count
        assert len(await listed(client)) == 1


async def test_login_does_not_fail_when_it_cannot_be_noted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Any:
        raise StorageFull("no room")

    monkeypatch.setattr(world.host().modules[AccessModule].stores["clients"], "update", full)
    client, _ = await login(world)
    assert arrived(client).resource is not None


async def test_removed_account_leaves_nothing_behind(world: World) -> None:
    await login(world)
    await accounts.remove(world.host(), ROMEO)
    assert await world.host().modules[AccessModule]._kept(ROMEO) == {}
    assert await world.host().modules[AccessModule].clients(ROMEO) == []
