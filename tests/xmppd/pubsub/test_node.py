"""A node and its items' order."""

from xmppd.pubsub.config import NodeConfig
from xmppd.pubsub.node import ItemHead, Node, in_order


def head(at: int) -> ItemHead:
    return ItemHead(at, "", 10)


def test_node_is_read_as_it_was_written() -> None:
    node = Node("n", NodeConfig(access_model="open"), {"a@b": "member"}, {"a@b/c": "pending"})
    assert Node.decode("n", node.encode()) == node
    assert Node.decode("n", Node("n").encode()) == Node("n")


def test_head_is_read_as_it_was_written() -> None:
    assert ItemHead.decode(ItemHead(5, "a@b", 7).encode()) == ItemHead(5, "a@b", 7)


def test_item_that_is_published_again_is_the_last() -> None:
    node = Node("n")
    assert node.last_id is None
    node.put("a", head(1))
    node.put("b", head(2))
    assert node.put("a", head(3)) == head(1)
    assert list(node.items) == ["b", "a"] and node.last_id == "a"


def test_surplus_is_the_oldest() -> None:
    node = Node("n", items={"a": head(1), "b": head(2), "c": head(3)})
    assert node.surplus(2) == ["a"]
    assert node.surplus(3) == []
    assert node.surplus(0) == ["a", "b", "c"]


def test_items_are_put_in_order_by_when_they_were_published() -> None:
    assert list(in_order([("b", head(2)), ("a", head(1))])) == ["a", "b"]
