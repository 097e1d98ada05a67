"""XEP-0215: External Service Discovery."""

import base64
import hashlib
import hmac
from typing import Any

import pytest

from codec.jid import JID
from codec.payloads.disco import Info
from codec.stanza import IQ
from tests.modules.conftest import MakeWorld
from tests.support.world import Client, World
from xmppd.errors import StanzaError
from xmppd.modules.xep_0215_external import NS, Credentials, ExternalModule, Services

SETTINGS = {"turn.hosts": ["turn.example.org", "192.0.2.5"], "turn.secret": "shared", "turn.lifetime_s": 3600}


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world("xep_0030_disco", "xep_0215_external", settings=SETTINGS)


async def ask(client: Client, inner: str) -> Any:
    """Ask the domain; return the payload, or the error's condition."""
    await client.send(f"<iq type='get' id='x' to='example.org'>{inner}</iq>")
    answer = await client.next_stanza()
    if answer.type == "error":
        return answer.element("jabber:client error").elements()[0].name
    return answer.get(Services) or answer.get(Credentials)


async def test_services_come_with_credentials_that_the_relay_can_check(world: World) -> None:
    romeo = await world.client("romeo@example.org/x")
    found = (await ask(romeo, f"<services xmlns='{NS}'/>")).services
    assert [(one.type, one.transport, one.port) for one in found if one.host == "192.0.2.5"] == [
        ("stun", "udp", 3478),
        ("turn", "udp", 3478),
        ("turn", "tcp", 3478),
        ("turns", "tcp", 5349),
    ]
    relay = found[1]
    until_s, _, name = relay.username.partition(":")
    assert int(until_s) == world.clock.now_us() // 1_000_000 + 3600 and relay.expires == "2026-01-02T04:04:05Z"
    made = hmac.new(b"shared", relay.username.encode(), hashlib.sha1).digest()
    assert relay.password == base64.b64encode(made).decode()
    assert "romeo" not in name and found[0].username is None


async def test_accounts_have_names_of_their_own_that_stay(world: World) -> None:
    romeo, juliet = await world.client("romeo@example.org/x"), await world.client("juliet@example.org/x")
    names = []
    for client in (romeo, juliet, romeo):
        found = (await ask(client, f"<services xmlns='{NS}' type='turns'/>")).services
        names.append(found[0].username.partition(":")[2])
    assert names[0] == names[2] != names[1]


async def test_one_type_is_listed_when_it_is_asked_for(world: World) -> None:
    romeo = await world.client("romeo@example.org/x")
    answer = await ask(romeo, f"<services xmlns='{NS}' type='stun'/>")
    assert answer.type == "stun" and {one.type for one in answer.services} == {"stun"}
    assert (await ask(romeo, f"<services xmlns='{NS}' type='ftp'/>")).services == ()


async def test_credentials_for_one_service(world: World) -> None:
    romeo = await world.client("romeo@example.org/x")
    wanted = "<service host='turn.example.org' type='turn' port='3478'/>"
    found = (await ask(romeo, f"<credentials xmlns='{NS}'>{wanted}</credentials>")).services
    assert {(one.host, one.type) for one in found} == {("turn.example.org", "turn")} and len(found) == 2
    assert all(one.password for one in found)


@pytest.mark.parametrize(
    ("inner", "condition"),
    [
        ("", "bad-request"),
        ("<service host='turn.example.org'/>", "bad-request"),
        ("<service host='turn.example.org' type='turn' port='x'/>", "bad-request"),
        ("<service host='elsewhere.example' type='turn'/>", "item-not-found"),
        ("<service host='turn.example.org' type='stun'/>", "item-not-found"),
        ("<service host='turn.example.org' type='turn' port='1'/>", "item-not-found"),
    ],
)
async def test_service_that_has_no_credentials_is_an_error(world: World, inner: str, condition: str) -> None:
    romeo = await world.client("romeo@example.org/x")
    assert await ask(romeo, f"<credentials xmlns='{NS}'>{inner}</credentials>") == condition


@pytest.mark.parametrize("from_", ["paris@example.net/x", "example.net", "example.org"])
def test_others_get_nothing(world: World, from_: str) -> None:
    iq = IQ(JID.parse("example.org"), JID.parse(from_), "x", "get").replace()
    iq.payload = Services()
    with pytest.raises(StanzaError, match="forbidden"):
        world.host().module(ExternalModule).list(iq)


async def test_it_is_offered_where_there_is_a_server(make_world: MakeWorld, world: World) -> None:
    for one, is_offered in ((world, True), (await make_world("xep_0030_disco", "xep_0215_external"), False)):
        romeo = await one.client("romeo@example.org/x")
        await romeo.send(
            "<iq type='get' id='i' to='example.org'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
        )
        assert (NS in (await romeo.next_stanza()).get(Info).features) is is_offered
        if not is_offered:
            assert await ask(romeo, f"<services xmlns='{NS}'/>") == "service-unavailable"


async def test_without_a_secret_there_is_stun_alone(make_world: MakeWorld) -> None:
    world = await make_world("xep_0215_external", settings={"turn.hosts": "stun.example.org"})
    romeo = await world.client("romeo@example.org/x")
    assert [one.type for one in (await ask(romeo, f"<services xmlns='{NS}'/>")).services] == ["stun"]
