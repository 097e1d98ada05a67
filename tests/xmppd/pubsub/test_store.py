"""How nodes and items are kept."""

import pytest

from codec.element import Element
from storage.interface import Commit, MapStore, StorageFull
from storage.memory import MemoryBackend
from xmppd.pubsub.config import NodeConfig
from xmppd.pubsub.node import ItemHead, Node
from xmppd.pubsub.store import ItemCache, Nodes, NodeStore, item_key

OWNER = "romeo@example.org"
PAYLOAD = Element("urn:p p", {}, ("text",))
XML = PAYLOAD.to_xml("")


@pytest.fixture
async def maps() -> tuple[MapStore, MapStore]:
    backend = MemoryBackend()
    await backend.open()
    return backend.map("nodes"), backend.map("items")


@pytest.fixture
def store(maps: tuple[MapStore, MapStore]) -> NodeStore:
    return NodeStore(*maps)


def head(at: int) -> ItemHead:
    return ItemHead(at, "", len(XML))


async def filled(store: NodeStore, count: int = 3, limit: int = 10) -> tuple[Nodes, Node]:
    nodes, node = Nodes(), Node("n", NodeConfig(access_model="open"))
    for number in range(count):
        await store.put_item(OWNER, nodes, node, f"i{number}", head(number), XML, limit)
    return nodes, node


async def test_nodes_and_items_are_read_as_they_were_written(maps: tuple[MapStore, MapStore]) -> None:
    _, node = await filled(NodeStore(*maps))
    fresh = NodeStore(*maps)
    nodes = await fresh.load(OWNER)
    assert nodes.by_name == {"n": node} and list(nodes.by_name["n"].items) == ["i0", "i1", "i2"]
    assert (nodes.items, nodes.size) == (3, 3 * len(XML))
    assert await fresh.payload(OWNER, "n", "i1") == PAYLOAD


async def test_oldest_items_above_the_limit_go_with_their_payloads(maps: tuple[MapStore, MapStore]) -> None:
    store = NodeStore(*maps)
    nodes, node = await filled(store, 4, limit=2)
    assert list(node.items) == ["i2", "i3"] and nodes.items == 2
    assert await NodeStore(*maps).payload(OWNER, "n", "i0") is None
    assert await store.payload(OWNER, "n", "i0") is None
    assert list((await NodeStore(*maps).load(OWNER)).by_name["n"].items) == ["i2", "i3"]


async def test_item_in_the_place_of_another_counts_once(store: NodeStore) -> None:
    nodes, node = await filled(store, 1)
    longer = ItemHead(9, "", 100)
    await store.put_item(OWNER, nodes, node, "i0", longer, b"<p xmlns='urn:p'>other</p>", 10)
    assert (nodes.items, nodes.size) == (1, 100)
    found = await store.payload(OWNER, "n", "i0")
    assert found is not None and found.text == "other"


async def test_removed_items_leave_nothing(maps: tuple[MapStore, MapStore]) -> None:
    store = NodeStore(*maps)
    nodes, node = await filled(store)
    await store.remove_items(OWNER, nodes, node, ["i0", "i2"])
    assert list(node.items) == ["i1"] and nodes.items == 1
    assert list(await maps[1].items(OWNER)) == [item_key("n", "i1")]


async def test_removed_node_leaves_nothing(maps: tuple[MapStore, MapStore]) -> None:
    store = NodeStore(*maps)
    nodes, node = await filled(store)
    await store.remove_node(OWNER, nodes, node)
    assert (nodes.by_name, nodes.items, nodes.size) == ({}, 0, 0)
    assert [await one.items(OWNER) for one in maps] == [{}, {}]


async def test_saved_node_keeps_its_items(maps: tuple[MapStore, MapStore]) -> None:
    store = NodeStore(*maps)
    nodes, node = await filled(store)
    node.affiliations["a@b"] = "member"
    await store.save(OWNER, nodes, node)
    again = (await NodeStore(*maps).load(OWNER)).by_name["n"]
    assert again.affiliations == {"a@b": "member"} and len(again.items) == 3


async def test_items_without_their_node_are_passed_over(maps: tuple[MapStore, MapStore]) -> None:
    await maps[0].update(OWNER, {item_key("gone", "i"): head(1).encode()})
    assert (await NodeStore(*maps).load(OWNER)).by_name == {}


async def test_no_two_items_have_one_key_whatever_is_in_their_names(maps: tuple[MapStore, MapStore]) -> None:
    names = [("a", "b c"), ("a b", "c"), ("a ", "b c"), ("1 a", "b"), ("", "3 x"), ("é", "\n")]
    assert len({item_key(*pair) for pair in names}) == len(names)
    store = NodeStore(*maps)
    nodes = Nodes()
    for number, (name, id_) in enumerate(names):
        await store.put_item(OWNER, nodes, Node(name), id_, head(number), XML, 10)
    found = (await NodeStore(*maps).load(OWNER)).by_name
    assert {(name, id_) for name, node in found.items() for id_ in node.items} == set(names)


async def test_payload_that_could_not_be_written_is_not_given_later(
    maps: tuple[MapStore, MapStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = NodeStore(*maps)
    nodes, node = await filled(store, 1)

    def full(*_: object) -> Commit:
        commit = Commit()
        commit.finish(StorageFull("full"))
        return commit

    with monkeypatch.context() as broken:
        broken.setattr(maps[1], "update", full)
        with pytest.raises(StorageFull):
            await store.put_item(OWNER, nodes, node, "i0", head(5), b"<p xmlns='urn:p'>lost</p>", 10)
    assert await store.payload(OWNER, "n", "i0") == PAYLOAD


async def test_payload_stays_when_its_head_could_not_be_removed(
    maps: tuple[MapStore, MapStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = NodeStore(*maps)
    nodes, node = await filled(store, 1)
    failing = Commit()
    with monkeypatch.context() as broken:
        broken.setattr(maps[0], "update", lambda *_: failing)
        commit = store.remove_items(OWNER, nodes, node, ["i0"])
        failing.finish(StorageFull("full"))
        with pytest.raises(StorageFull):
            await commit
    fresh = NodeStore(*maps)
    assert list((await fresh.load(OWNER)).by_name["n"].items) == ["i0"]
    assert await fresh.payload(OWNER, "n", "i0") == PAYLOAD


async def test_item_that_is_published_again_before_its_removal_is_durable_keeps_its_payload(
    maps: tuple[MapStore, MapStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = NodeStore(*maps)
    nodes, node = await filled(store, 2)
    slow = Commit()
    with monkeypatch.context() as waiting:
        waiting.setattr(maps[0], "update", lambda *_: slow)
        store.remove_items(OWNER, nodes, node, ["i0", "i1"])
    commit = store.put_item(OWNER, nodes, node, "i0", head(9), XML, 10)
    slow.finish()
    await commit
    assert list(await maps[1].items(OWNER)) == [item_key("n", "i0")]


def test_cache_holds_as_much_as_its_limit_and_forgets_what_was_used_longest_ago() -> None:
    cache = ItemCache(limit=20)
    cache.put("o", "a", b"x" * 10)
    cache.put("o", "b", b"x" * 10)
    assert cache.get("o", "a") is not None
    cache.put("o", "c", b"x" * 10)
    assert [cache.get("o", key) is not None for key in "abc"] == [True, False, True]
    cache.put("o", "c", b"x")
    assert cache.size == 11
    cache.drop("o", "c")
    cache.drop("o", "c")
    assert cache.size == 10
    cache.put("o", "huge", b"x" * 30)
    assert cache.size == 0
