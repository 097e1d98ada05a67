"""The token tables of a dictionary: what the numbers in a tree stand for."""

from collections.abc import Mapping
from typing import Any

from codec.binary_cbor import Malformed, Tree, read_tree
from codec.binary_letters import Letters
from codec.element import escape_value

MAX_TREE_DEPTH = 140
"""Arrays inside one another: two for each of 64 nested elements, and some for names."""


class Shape:
    """An element's name and the names of its attributes, sorted."""

    __slots__ = ("attributes", "name", "ns", "tag")

    def __init__(self, ns: str, name: str, attributes: tuple[str, ...]) -> None:
        self.ns = ns
        self.name = name
        self.tag = f"{ns} {name}" if ns else name
        self.attributes = attributes


class Tables:
    """What the numbers in a tree stand for. Each look-up raises `Malformed` for a number that stands for nothing."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.namespaces: list[str] = data["namespaces"]
        self.tags = [(self.namespaces[ns], name) for ns, name in data["tags"]]
        self.attributes: list[str] = data["attributes"]
        self.shapes = [
            Shape(self.tags[tag][0], self.tags[tag][1], tuple(self.attributes[index] for index in names))
            for tag, names in data["shapes"]
        ]
        self.values: list[str] = data["values"]
        self.escaped = [escape_value(value) for value in self.values]
        self.chunks = [bytes.fromhex(chunk) for chunk in data["chunks"]]
        self.heads: list[int] = data["heads"]
        self.resources: list[str] = data["resources"]
        self.letters = [Letters(table) for table in data.get("letters", ())]
        self._chunk_trees: list[list[Tree] | None] = [None] * len(self.chunks)

    def namespace(self, index: int) -> str:
        if not 0 <= index < len(self.namespaces):
            raise Malformed("an unknown namespace")
        return self.namespaces[index]

    def tag(self, index: int) -> tuple[str, str]:
        if not 0 <= index < len(self.tags):
            raise Malformed("an unknown name")
        return self.tags[index]

    def attribute(self, index: int) -> str:
        if not 0 <= index < len(self.attributes):
            raise Malformed("an unknown attribute")
        return self.attributes[index]

    def shape(self, index: int) -> Shape:
        if index >= len(self.shapes):
            raise Malformed("an unknown shape")
        return self.shapes[index]

    def value(self, index: int) -> str:
        if not 0 <= index < len(self.values):
            raise Malformed("an unknown value")
        return self.values[index]

    def escaped_value(self, index: int) -> str:
        if index >= len(self.escaped):
            raise Malformed("an unknown value")
        return self.escaped[index]

    def chunk(self, index: int) -> list[Tree]:
        if index >= len(self.chunks):
            raise Malformed("an unknown chunk")
        tree = self._chunk_trees[index]
        if tree is None:
            tree = self._chunk_trees[index] = read_tree(self.chunks[index], MAX_TREE_DEPTH)
        return tree
