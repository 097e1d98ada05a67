"""Nodes into files and out of them."""

from pathlib import Path

import pytest

from tests.support.files import MODULES, export_text, import_text, user
from tests.support.world import World
from xmppd.modules.xep_0060_pubsub import PubSubModule
from xmppd.pubsub.node import Node

JULIET = "juliet@example.org"
OWNER = "<pubsub xmlns='http://jabber.org/protocol/pubsub#owner'>{}</pubsub>"
FORM = (
    "<configure node='{node}'><x xmlns='jabber:x:data' type='{type}'><field var='FORM_TYPE' type='hidden'><value>"
    "http://jabber.org/protocol/pubsub#node_config</value></field>{fields}</x></configure>"
)
FIELD = "<field var='pubsub#{0}'><value>{1}</value></field>"
ITEMS = (
    "<pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:n'><item id='1'><p xmlns='urn:n'>1</p></item>"
    "<item id='2'><p xmlns='urn:n'>2</p></item></items></pubsub>"
)


@pytest.fixture
async def world(make_world) -> World:
    return await make_world(*MODULES)


async def node(world: World, name: str = "urn:n") -> Node:
    nodes = await world.host().module(PubSubModule).service.store.load(JULIET)
    return nodes.by_name[name]


def set_up(*fields: tuple[str, str], type_: str = "submit") -> str:
    return OWNER.format(FORM.format(node="urn:n", type=type_, fields="".join(FIELD.format(*one) for one in fields)))


async def test_items_of_a_node_that_nothing_is_said_of_are_private(world: World, tmp_path: Path) -> None:
    summary = await import_text(world, tmp_path, user(ITEMS))
    assert summary.problems == []
    found = await node(world)
    assert found.config.access_model == "whitelist"
    assert list(found.items) == ["1", "2"]


@pytest.mark.parametrize("type_", ["form", "submit", "result"])
async def test_a_node_is_set_up_as_the_file_says(world: World, tmp_path: Path, type_: str) -> None:
    text = set_up(("access_model", "open"), ("max_items", "7"), ("title", "N"), ("unknown#x", "1"), type_=type_)
    summary = await import_text(world, tmp_path, user(text + ITEMS))
    assert summary.problems == []
    config = (await node(world)).config
    assert (config.access_model, config.max_items, config.title) == ("open", 7, "N")


async def test_an_access_model_that_we_do_not_know_closes_the_node(world: World, tmp_path: Path) -> None:
    summary = await import_text(world, tmp_path, user(set_up(("access_model", "friends"), ("title", "N")) + ITEMS))
    assert len(summary.problems) == 1
    config = (await node(world)).config
    assert (config.access_model, config.title) == ("whitelist", "N")


async def test_more_items_than_we_keep_are_as_many_as_we_keep(world: World, tmp_path: Path) -> None:
    summary = await import_text(
        world, tmp_path, user(set_up(("max_items", "4294967295"), ("access_model", "open")) + ITEMS)
    )
    assert summary.problems == []
    assert (await node(world)).config.max_items is None


async def test_affiliations_and_subscriptions_come_too(world: World, tmp_path: Path) -> None:
    people = (
        "<affiliations node='urn:n'><affiliation jid='romeo@example.net' affiliation='publisher'/>"
        "<affiliation jid='juliet@example.org' affiliation='owner'/><affiliation jid='@' affiliation='member'/></affiliations>"
        "<subscriptions node='urn:n'><subscription jid='romeo@example.net/o' subscription='subscribed' subid='1'/>"
        "<subscription jid='paris@example.net' subscribed='subscribed'/></subscriptions>"
    )
    summary = await import_text(world, tmp_path, user(set_up(("access_model", "open")) + OWNER.format(people)))
    assert len(summary.problems) == 1
    found = await node(world)
    assert found.affiliations == {"romeo@example.net": "publisher"}
    assert found.subscriptions == {"romeo@example.net/o": "subscribed"}
    text = await export_text(world)
    assert "<affiliation jid='romeo@example.net' affiliation='publisher'/>" in text
    assert "<subscription jid='romeo@example.net/o' subscription='subscribed'/>" in text


async def test_the_limits_of_an_account_hold(make_world, tmp_path: Path) -> None:
    world = await make_world(*MODULES, settings={"pubsub.nodes_per_account": 1, "pubsub.item_bytes": 1024})
    large = f"<item id='3'><p xmlns='urn:n'>{'x' * 2_000}</p></item></items>"
    text = ITEMS.replace("</items>", large) + ITEMS.replace("node='urn:n'", "node='urn:m'")
    summary = await import_text(world, tmp_path, user(text))
    assert summary.problem_count == 3
    assert list((await node(world)).items) == ["1", "2"]
    summary = await import_text(world, tmp_path, user(OWNER.format("<configure/>"), name="romeo"))
    assert "a node without a name" in summary.problems[0]
