"""XEP-0402: PEP Native Bookmarks, with XEP-0048 and XEP-0411."""

import pytest

from codec.element import Element
from codec.payloads.pubsub import NS as PUBSUB
from storage.memory import MemoryBackend
from tests.modules.conftest import MakeWorld
from tests.support.pep import (
    MODULES,
    answer_of,
    ask,
    configure,
    interested,
    items,
    own,
    payloads,
    problem,
    publish,
    told,
)
from tests.support.world import Client, World
from xmppd.modules.xep_0060_pubsub import PubSubModule

ROMEO = "romeo@example.org"
NEW, OLD = "urn:xmpp:bookmarks:1", "storage:bookmarks"
ROOM, OTHER = "room@conference.example.org", "other@conference.example.org"
ALL = (*MODULES, "xep_0049_private", "xep_0402_bookmarks")


def new(inner: str = "", **attrs: str) -> str:
    return f"<conference xmlns='{NEW}'{_written(attrs)}>{inner}</conference>"


def old(jid: str, inner: str = "", **attrs: str) -> str:
    return f"<conference jid='{jid}'{_written(attrs)}>{inner}</conference>"


def _written(attrs: dict[str, str]) -> str:
    return "".join(f" {name}='{value}'" for name, value in attrs.items())


def storage(*conferences: str) -> str:
    return f"<storage xmlns='{OLD}'>{''.join(conferences)}</storage>"


@pytest.fixture
async def world(make_world: MakeWorld) -> World:
    return await make_world(*ALL)


@pytest.fixture
async def romeo(world: World) -> Client:
    return await world.client(f"{ROMEO}/orchard")


async def put_private(client: Client, xml: str) -> str:
    await client.send(f"<iq type='set' id='private'><query xmlns='jabber:iq:private'>{xml}</query></iq>")
    return problem(await answer_of(client, "private"))


async def get_private(client: Client) -> list[str]:
    """Return what is in the <storage/> of private storage, in short."""
    await client.send(f"<iq type='get' id='private'><query xmlns='jabber:iq:private'>{storage()}</query></iq>")
    answer = await answer_of(client, "private")
    return in_short(answer.element("jabber:iq:private query").elements()[0])


async def get_old_node(client: Client) -> list[str]:
    """Return what is in the <storage/> of the old node, in short."""
    answer = await ask(client, f"<items node='{OLD}'/>", "get")
    if answer.type == "error":
        return [problem(answer)]
    (item,) = answer.element(f"{PUBSUB} pubsub").find(f"{PUBSUB} items").elements()
    assert item.get("id") == "current"
    return in_short(item.elements()[0])


def in_short(element: Element) -> list[str]:
    """Return the children of <storage/>: "JID name autojoin nick=... password=..." or the name of another element."""
    found = []
    for one in element.elements():
        assert one.ns == OLD
        texts = [f"{child.name}={child.text}" for child in one.elements()]
        attrs = [one.get(name) or "-" for name in ("jid", "name", "autojoin")]
        found.append(" ".join(attrs + texts) if one.name == "conference" else f"{one.name} {one.get('url')}")
    return found


async def test_account_says_that_it_converts(romeo: Client) -> None:
    await romeo.send("<iq type='get' id='d'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>")
    (query,) = (await answer_of(romeo, "d")).elements()
    features = {child.get("var") for child in query.elements()}
    assert {f"{NEW}#compat", f"{NEW}#compat-pep", "urn:xmpp:bookmarks-conversion:0"} <= features


async def test_new_bookmark_is_in_both_old_places(romeo: Client) -> None:
    inner = "<nick>Montague</nick><password>rose</password>"
    await publish(romeo, NEW, new(inner, name="The Room", autojoin="true"), ROOM)
    expected = [f"{ROOM} The Room true nick=Montague password=rose"]
    assert await get_private(romeo) == expected
    assert await get_old_node(romeo) == [f"{ROOM} The Room true nick=Montague password=rose"]


async def test_bookmark_without_a_name_is_shown_without(romeo: Client) -> None:
    await publish(romeo, NEW, new(), ROOM)
    assert await get_private(romeo) == [f"{ROOM} - false"]


async def test_old_bookmark_in_private_storage_is_an_item_and_at_the_old_node(romeo: Client) -> None:
    xml = storage(old(ROOM, "<nick>M</nick>", name="R", autojoin="1"), old(OTHER))
    assert await put_private(romeo, xml) == ""
    assert sorted(await items(romeo, NEW)) == sorted([ROOM, OTHER])
    assert new("<nick>M</nick>", name="R", autojoin="true") in await payloads(romeo, NEW)
    assert sorted(await get_old_node(romeo)) == sorted([f"{ROOM} R true nick=M", f"{OTHER} - false"])


async def test_old_bookmark_at_the_old_node_is_an_item_and_in_private_storage(romeo: Client) -> None:
    xml = storage(old(ROOM, "<nick>M</nick>", name="R", autojoin="1"))
    assert await publish(romeo, OLD, xml, access_model="whitelist") == ""
    assert await payloads(romeo, NEW) == [new("<nick>M</nick>", name="R", autojoin="true")]
    assert await get_private(romeo) == [f"{ROOM} R true nick=M"]


async def test_bookmark_that_an_old_client_removes_is_retracted_and_told(world: World, romeo: Client) -> None:
    await put_private(romeo, storage(old(ROOM), old(OTHER)))
    modern = await interested(world, f"{ROMEO}/modern", NEW)
    await modern.drain()
    await put_private(romeo, storage(old(OTHER)))
    assert await items(romeo, NEW) == [OTHER]
    assert await told(modern) == [f"{ROMEO} {NEW} items -{ROOM}"]


async def test_only_what_changed_is_published(world: World, romeo: Client) -> None:
    await put_private(romeo, storage(old(ROOM), old(OTHER, autojoin="false")))
    modern = await interested(world, f"{ROMEO}/modern", NEW)
    await modern.drain()
    await put_private(romeo, storage(old(ROOM, autojoin="1"), old(OTHER, autojoin="0")))
    assert await told(modern) == [f"{ROMEO} {NEW} items {ROOM}"]


async def test_clients_of_the_old_node_are_told_once_of_what_new_ones_do(world: World, romeo: Client) -> None:
    legacy = await interested(world, f"{ROMEO}/legacy", OLD)
    await publish(romeo, NEW, new(name="R"), ROOM)
    assert await told(legacy) == [f"{ROMEO} {OLD} items current"]
    await ask(romeo, f"<retract node='{NEW}' notify='true'><item id='{ROOM}'/></retract>")
    assert await told(legacy) == [f"{ROMEO} {OLD} items current"]
    assert await get_old_node(romeo) == []


async def test_clients_of_the_old_node_are_told_once_of_many_changes(world: World, romeo: Client) -> None:
    legacy = await interested(world, f"{ROMEO}/legacy", OLD)
    await put_private(romeo, storage(old(ROOM), old(OTHER)))
    assert await told(legacy) == [f"{ROMEO} {OLD} items current"]


async def test_client_of_the_old_node_is_told_once_of_its_own_change(world: World) -> None:
    legacy = await interested(world, f"{ROMEO}/legacy", OLD)
    await publish(legacy, OLD, storage(old(ROOM, autojoin="1")))
    assert await told(legacy) == [f"{ROMEO} {OLD} items current"]


async def test_extensions_survive_a_change_by_an_old_client(romeo: Client) -> None:
    extensions = "<extensions><pinned xmlns='urn:example:pin'/></extensions>"
    await publish(romeo, NEW, new(f"<nick>M</nick>{extensions}", name="R"), ROOM)
    await put_private(romeo, storage(old(ROOM, "<nick>N</nick>", name="S")))
    assert await payloads(romeo, NEW) == [new(f"<nick>N</nick>{extensions}", name="S")]


async def test_what_is_no_room_stays_in_the_old_places(romeo: Client) -> None:
    url = "<url name='Verona' url='https://verona.example/'/>"
    await put_private(romeo, storage(url, old(ROOM), old("@nowhere")))
    expected = ["url https://verona.example/", "@nowhere - -", f"{ROOM} - false"]
    assert await get_private(romeo) == expected
    assert await get_old_node(romeo) == ["url https://verona.example/", "@nowhere - -", f"{ROOM} - false"]
    assert await items(romeo, NEW) == [ROOM]
    await publish(romeo, OLD, storage(old(ROOM)))
    assert await get_private(romeo) == [f"{ROOM} - false"]


async def test_other_private_elements_are_left_alone(romeo: Client) -> None:
    await put_private(romeo, "<notes xmlns='urn:example:notes'>x</notes>")
    await romeo.send(
        "<iq type='get' id='private'><query xmlns='jabber:iq:private'><notes xmlns='urn:example:notes'/></query></iq>"
    )
    query = (await answer_of(romeo, "private")).elements()[0]
    assert query.elements()[0].text == "x"


async def test_nodes_that_conversion_makes_are_for_their_owner_alone(world: World, romeo: Client) -> None:
    await put_private(romeo, storage(old(ROOM)))
    juliet = await world.client("juliet@example.org/balcony")
    for node in (NEW, OLD):
        assert await items(juliet, node, to=ROMEO) == "not-allowed/closed-node"
    answer = await own(romeo, f"<configure node='{NEW}'/>", "get")
    form = answer.element(f"{PUBSUB}#owner pubsub").elements()[0].elements()[0]
    values = {
        field.get("var"): [value.text for value in field.find_all("jabber:x:data value")] for field in form.elements()
    }
    assert values["pubsub#max_items"] == ["max"] and values["pubsub#send_last_published_item"] == ["never"]


async def test_old_node_that_others_may_read_is_closed_before_bookmarks_come(world: World, romeo: Client) -> None:
    await publish(romeo, OLD, storage(), access_model="open")
    await publish(romeo, NEW, new(), ROOM, access_model="whitelist")
    juliet = await world.client("juliet@example.org/balcony")
    assert await items(juliet, OLD, to=ROMEO) == "not-allowed/closed-node"


async def test_item_that_is_no_bookmark_is_not_shown(romeo: Client) -> None:
    await publish(romeo, NEW, "<p xmlns='urn:example'/>", ROOM, max_items="max", access_model="whitelist")
    await publish(romeo, NEW, new(), "@no room")
    assert await get_private(romeo) == []
    assert await get_old_node(romeo) == ["item-not-found"]


async def test_more_bookmarks_than_a_node_holds_are_refused_whole(make_world: MakeWorld) -> None:
    world = await make_world(*ALL, settings={"pubsub.items_per_node": 2})
    romeo = await world.client(f"{ROMEO}/orchard")
    rooms = [f"r{number}@conference.example.org" for number in range(3)]
    assert await put_private(romeo, storage(*map(old, rooms))) == "policy-violation"
    assert await get_private(romeo) == []
    assert await put_private(romeo, storage(*map(old, rooms[:2]))) == ""


async def test_bookmarks_before_one_that_is_refused_stand_and_are_told(world: World, romeo: Client) -> None:
    modern = await interested(world, f"{ROMEO}/modern", NEW)
    account = world.host().accounts[romeo.jid.bare]
    (await world.host().module(PubSubModule).place(account)).nodes.allowance.left = 1.0
    assert await put_private(romeo, storage(old(ROOM), old(OTHER))) == "resource-constraint"
    assert await items(romeo, NEW) == [ROOM]
    assert await told(modern) == [f"{ROMEO} {NEW} items {ROOM}"]


async def test_bookmarks_are_the_same_after_a_restart(make_world: MakeWorld) -> None:
    backend = MemoryBackend()
    first = await make_world(*ALL, backend=backend)
    await put_private(await first.client(f"{ROMEO}/a"), storage(old(ROOM, "<nick>M</nick>", name="R")))
    second = await make_world(*ALL, backend=backend)
    romeo = await second.client(f"{ROMEO}/a")
    assert await get_private(romeo) == await get_old_node(romeo) == [f"{ROOM} R false nick=M"]
    assert await configure(romeo, NEW, title="x") == ""
    assert await payloads(romeo, NEW) == [new("<nick>M</nick>", name="R")]
