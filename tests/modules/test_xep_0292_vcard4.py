"""XEP-0292: vCard4 over XMPP, and old cards of the same people."""

import pytest

from tests.modules.conftest import MakeWorld
from tests.support.pep import (
    MODULES,
    answer_of,
    befriend,
    configure,
    interested,
    items,
    payloads,
    problem,
    publish,
    told,
)
from tests.support.world import Client, World

ROMEO, JULIET = "romeo@example.org", "juliet@example.org"
NODE, NS4 = "urn:xmpp:vcard4", "urn:ietf:params:xml:ns:vcard-4.0"
NEW, OLD = "<fn><text>Romeo</text></fn>", "<FN>Romeo</FN>"


def card(inner: str) -> str:
    return f"<vcard xmlns='{NS4}'>{inner}</vcard>"


async def put_old(client: Client, inner: str) -> str:
    await client.send(f"<iq type='set' id='card'><vCard xmlns='vcard-temp'>{inner}</vCard></iq>")
    return problem(await answer_of(client, "card"))


async def get_old(client: Client) -> str:
    """Return what is in romeo's old card, or the condition of the error."""
    await client.send(f"<iq type='get' id='card' to='{ROMEO}'><vCard xmlns='vcard-temp'/></iq>")
    answer = await answer_of(client, "card")
    if answer.type == "error":
        return problem(answer)
    return "".join(field.to_xml("vcard-temp").decode() for field in answer.element("vcard-temp vCard").elements())


async def get_new(client: Client, to: str = ROMEO) -> str:
    """Return what is in a vCard4 that was asked for by iq, or the condition of the error."""
    await client.send(f"<iq type='get' id='four' to='{to}'>{card('')}</iq>")
    answer = await answer_of(client, "four")
    if answer.type == "error":
        return problem(answer)
    return "".join(field.to_xml(NS4).decode() for field in answer.element(f"{NS4} vcard").elements())


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    world = await make_world(*MODULES, "xep_0054_vcard", "xep_0292_vcard4")
    await befriend(world, ROMEO, JULIET)
    return world


@pytest.fixture
async def romeo(world: World) -> Client:
    return await world.client(f"{ROMEO}/orchard", "<presence/>")


@pytest.fixture
async def juliet(world: World) -> Client:
    return await world.client(f"{JULIET}/balcony")


@pytest.fixture
async def tybalt(world: World) -> Client:
    return await world.client("tybalt@example.org/hall")


async def test_new_card_is_seen_by_old_clients_that_may(romeo: Client, juliet: Client, tybalt: Client) -> None:
    await publish(romeo, NODE, card(NEW))
    assert await get_old(juliet) == await get_old(romeo) == OLD
    assert await get_old(tybalt) == "service-unavailable"
    await configure(romeo, NODE, access_model="open")
    assert await get_old(tybalt) == OLD


async def test_old_card_is_published_and_told(world: World, romeo: Client) -> None:
    juliet = await interested(world, f"{JULIET}/balcony", NODE)
    assert await put_old(romeo, OLD) == ""
    assert await told(juliet) == [f"{ROMEO} {NODE} items current"]
    assert await payloads(juliet, NODE, to=ROMEO) == [card(NEW)]


async def test_old_card_can_be_read_by_everybody_in_both_forms(romeo: Client, tybalt: Client) -> None:
    await put_old(romeo, OLD)
    assert await get_old(tybalt) == OLD
    assert await get_new(tybalt) == NEW


async def test_card_that_did_not_change_is_not_published_again(world: World, romeo: Client) -> None:
    rich = "<tel><parameters><pref><integer>1</integer></pref></parameters><uri>tel:+39</uri></tel>"
    await publish(romeo, NODE, card(NEW + rich))
    juliet = await interested(world, f"{JULIET}/balcony", NODE)
    await juliet.drain()
    await put_old(romeo, await get_old(romeo))
    assert await told(juliet) == []
    assert await payloads(romeo, NODE) == [card(NEW + rich)]


async def test_what_only_one_form_has_survives_a_change_of_the_other(romeo: Client) -> None:
    impp = "<impp><uri>xmpp:romeo@example.org</uri></impp>"
    await publish(romeo, NODE, card(NEW + impp))
    await put_old(romeo, "<FN>R</FN><JABBERID>romeo@example.org</JABBERID>")
    assert await payloads(romeo, NODE) == [card(f"<fn><text>R</text></fn>{impp}")]
    await publish(romeo, NODE, card(NEW))
    assert await get_old(romeo) == f"{OLD}<JABBERID>romeo@example.org</JABBERID>"


async def test_empty_old_card_takes_the_new_one_away(romeo: Client) -> None:
    await put_old(romeo, OLD)
    await put_old(romeo, "")
    assert await items(romeo, NODE) == []
    assert await get_old(romeo) == ""
    assert await get_new(romeo) == "item-not-found"


async def test_new_card_can_be_stored_and_read_by_iq(romeo: Client, juliet: Client, tybalt: Client) -> None:
    await romeo.send(f"<iq type='set' id='s'>{card(NEW)}</iq>")
    assert problem(await answer_of(romeo, "s")) == ""
    assert await get_new(juliet) == NEW
    assert await get_new(tybalt) == "item-not-found"
    await juliet.send(f"<iq type='set' id='s' to='{ROMEO}'>{card('')}</iq>")
    assert problem(await answer_of(juliet, "s")) == "forbidden"


async def test_item_that_is_no_card_changes_nothing(romeo: Client) -> None:
    await publish(romeo, NODE, "<p xmlns='urn:example'/>")
    assert await get_old(romeo) == ""
    assert await get_new(romeo) == "item-not-found"
