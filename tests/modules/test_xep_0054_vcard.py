"""XEP-0054: vcard-temp."""

import pytest

from codec.element import Element
from tests.modules.conftest import MakeWorld
from tests.support.world import Client, World
from xmppd.hooks import CardEvent, card_given, card_kept
from xmppd.modules.xep_0054_vcard import VCardModule

CARD = "<vCard xmlns='vcard-temp' version='3.0'><FN>Romeo Montague</FN><PHOTO><BINVAL>AAAA</BINVAL></PHOTO></vCard>"
GET = "<vCard xmlns='vcard-temp'/>"
ERROR = "<error type='{}'><{} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world("xep_0054_vcard")


@pytest.fixture
async def romeo(world: World) -> Client:
    return await world.client("romeo@example.org/orchard")


async def publish(client: Client, card: str = CARD) -> None:
    await client.send(f"<iq type='set' id='s'>{card}</iq>")
    await client.expect(f"<iq type='result' id='s' to='{client}'/>")


async def test_owner_gets_the_card_as_it_was_published(romeo: Client) -> None:
    await publish(romeo)
    await romeo.send(f"<iq type='get' id='g'>{GET}</iq>")
    await romeo.expect(f"<iq type='result' id='g' to='{romeo}'>{CARD}</iq>")


async def test_owner_without_a_card_gets_an_empty_one(romeo: Client) -> None:
    await romeo.send(f"<iq type='get' id='g'>{GET}</iq>")
    await romeo.expect(f"<iq type='result' id='g' to='{romeo}'>{GET}</iq>")


async def test_anyone_gets_the_card_of_an_account_that_is_not_there(world: World, romeo: Client) -> None:
    await publish(romeo)
    await romeo.close()
    juliet = await world.client("juliet@example.org/balcony")
    await juliet.send(f"<iq type='get' id='g' to='romeo@example.org'>{GET}</iq>")
    await juliet.expect(f"<iq type='result' id='g' from='romeo@example.org' to='{juliet}'>{CARD}</iq>")


async def test_account_without_a_card_looks_like_none_to_others(world: World, romeo: Client) -> None:
    juliet = await world.client("juliet@example.org/balcony")
    for to in ("romeo@example.org", "nobody@example.org"):
        await juliet.send(f"<iq type='get' id='g' to='{to}'>{GET}</iq>")
        error = ERROR.format("cancel", "service-unavailable")
        await juliet.expect(f"<iq type='error' id='g' from='{to}' to='{juliet}'>{error}</iq>")


async def test_nobody_publishes_for_another(world: World, romeo: Client) -> None:
    await publish(romeo)
    juliet = await world.client("juliet@example.org/balcony")
    await juliet.send(f"<iq type='set' id='s' to='romeo@example.org'>{CARD.replace('Romeo', 'Tybalt')}</iq>")
    error = ERROR.format("auth", "forbidden")
    await juliet.expect(f"<iq type='error' id='s' from='romeo@example.org' to='{juliet}'>{error}</iq>")
    await romeo.send(f"<iq type='get' id='g'>{GET}</iq>")
    await romeo.expect(f"<iq type='result' id='g' to='{romeo}'>{CARD}</iq>")


async def test_empty_card_removes_the_last_one(world: World, romeo: Client) -> None:
    await publish(romeo)
    await publish(romeo, GET)
    juliet = await world.client("juliet@example.org/balcony")
    await juliet.send(f"<iq type='get' id='g' to='romeo@example.org'>{GET}</iq>")
    assert (await juliet.next_stanza()).type == "error"


async def test_another_module_may_hold_a_part_of_a_card(world: World, romeo: Client) -> None:
    held: list[Element] = []

    def keep(event: CardEvent) -> CardEvent:
        held.extend(event.card.elements())
        event.card = Element(event.card.tag)
        return event

    def give(event: CardEvent) -> CardEvent:
        if event.asker.bare == event.account.jid:
            event.card = Element(event.card.tag, {"version": "3.0"}, tuple(held))
        return event

    host = world.host()
    host.handlers[card_kept], host.handlers[card_given] = (keep,), (give,)
    await publish(romeo)
    assert await host.module(VCardModule).stores["cards"].get("romeo@example.org") is None
    await romeo.send(f"<iq type='get' id='g'>{GET}</iq>")
    await romeo.expect(f"<iq type='result' id='g' to='{romeo}'>{CARD}</iq>")
    juliet = await world.client("juliet@example.org/balcony")
    await juliet.send(f"<iq type='get' id='g' to='romeo@example.org'>{GET}</iq>")
    assert (await juliet.next_stanza()).type == "error"
