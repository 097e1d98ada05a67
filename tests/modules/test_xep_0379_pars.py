"""XEP-0379: Pre-Authenticated Roster Subscription."""

import pytest

from codec.element import Element
from codec.jid import JID
from codec.stanza import Presence
from tests.modules.conftest import MakeWorld
from tests.support.invites import MODULES, SETTINGS, created, invited, subscription, token_of
from tests.support.world import Client, World
from xmppd.modules.xep_0379_pars import WRONG_PER_HOUR

ROMEO, JULIET = "romeo@example.org", "juliet@example.org"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(*MODULES, settings=SETTINGS)


async def asks(client: Client, token: str, to: str = ROMEO) -> None:
    await client.send(
        f"<presence type='subscribe' to='{to}'><preauth xmlns='urn:xmpp:pars:0' token='{token}'/></presence>"
    )
    await client.world.settle()


async def test_both_become_contacts_though_the_inviter_is_away(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/x")
    token = token_of(await invited(romeo))
    await romeo.close()
    juliet = await world.client(f"{JULIET}/x", "<presence/>")
    await asks(juliet, token)
    assert await subscription(world, ROMEO, JULIET) == await subscription(world, JULIET, ROMEO) == "both"


async def test_both_see_each_other_at_once(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/x", "<presence/>")
    token = token_of(await invited(romeo))
    juliet = await world.client(f"{JULIET}/x", "<presence/>")
    await asks(juliet, token)
    assert romeo.jid in [stanza.from_ for stanza in await juliet.drain()]
    assert juliet.jid in [stanza.from_ for stanza in await romeo.drain()]


async def test_token_is_good_once(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/x", "<presence/>")
    token = token_of(await invited(romeo))
    await asks(await world.client(f"{JULIET}/x", "<presence/>"), token)
    await romeo.drain()
    await asks(await world.client("tybalt@example.org/x", "<presence/>"), token)
    assert (await romeo.next_stanza()).type == "subscribe"  # like any other request
    assert await subscription(world, ROMEO, "tybalt@example.org") == "none"


async def test_contact_elsewhere_is_approved_and_asked_in_turn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    romeo = await world.client(f"{ROMEO}/x", "<presence/>")
    token = token_of(await invited(romeo))
    sent: list[Presence] = []
    route = world.shared.route

    def note(stanza: Presence) -> object:
        if stanza.to is not None and stanza.to.domainpart == "example.net":
            sent.append(stanza)
            return None
        return route(stanza)

    monkeypatch.setattr(world.shared, "route", note)
    preauth = Element("urn:xmpp:pars:0 preauth", {"token": token})
    paris = JID.parse("paris@example.net")
    waiting = route(Presence.build(preauth, to=JID.parse(ROMEO), from_=paris, type="subscribe"))
    if waiting is not None:
        await waiting
    await world.settle()
    assert [stanza.type for stanza in sent] == ["subscribed", "", "subscribe"]
    assert await subscription(world, ROMEO, paris) == "from"
    await world.host().send(Presence.build(to=JID.parse(ROMEO), from_=paris, type="subscribed"))
    assert await subscription(world, ROMEO, paris) == "both"


@pytest.mark.parametrize("token", ["", "wrong", "x" * 5000])
async def test_wrong_token_is_left_to_the_clients(world: World, token: str) -> None:
    romeo = await world.client(f"{ROMEO}/x", "<presence/>")
    juliet = await world.client(f"{JULIET}/x", "<presence/>")
    await asks(juliet, token)
    request = await romeo.next_stanza()
    assert request.type == "subscribe" and b"preauth" in request.inner
    assert await subscription(world, ROMEO, JULIET) == "none"


async def test_token_of_another_account_or_kind_does_not_count(world: World) -> None:
    admin = await world.client("admin@example.org/x")
    await world.client(f"{ROMEO}/x", "<presence/>")
    juliet = await world.client(f"{JULIET}/x", "<presence/>")
    await asks(juliet, token_of(await invited(admin)))
    await asks(juliet, token_of((await created(admin)).value("uri")), "admin@example.org")
    assert await subscription(world, ROMEO, JULIET) == "none"
    assert await subscription(world, "admin@example.org", JULIET) == "none"


async def test_guessing_is_stopped(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/x")
    token = token_of(await invited(romeo))
    juliet = await world.client(f"{JULIET}/x", "<presence/>")
    for _ in range(WRONG_PER_HOUR):
        await asks(juliet, "guess")
    await asks(juliet, token)
    assert await subscription(world, ROMEO, JULIET) == "none"


async def test_request_without_a_token_goes_its_usual_way(world: World) -> None:
    romeo = await world.client(f"{ROMEO}/x", "<presence/>")
    juliet = await world.client(f"{JULIET}/x", "<presence/>")
    await juliet.send(f"<presence type='subscribe' to='{ROMEO}'/>")
    assert (await romeo.next_stanza()).type == "subscribe"
