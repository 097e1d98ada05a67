"""What a run of encoded elements means, worked out once: its XML with gaps for the values that differ from stanza to stanza.

The tree of a payload holds names, structure and values that are in the dictionary; texts and packed values stand apart from it,
in the order in which the tree asks for them. So the same tree comes again and again, and what it takes to check it and to
turn it into XML is kept as a `Plan`.

A child in a tree is an unsigned number (a chunk of the dictionary), a negative one (text: a value code), or an array: an element.
An element begins with its shape, or with an array that spells its name, followed by attributes and children.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from codec import binary_values as values
from codec.binary_cbor import Malformed, Tree, read_tree
from codec.binary_tokens import MAX_TREE_DEPTH, Tables
from codec.element import XML_NS, XMLNS_NS, escape_text, escape_value, parse_element

TEXT, ID, TO_BARE, TO, FROM_BARE, FROM = -1, -2, -3, -4, -5, -6
PACKED = -7
"""Value codes: the next text; parts of the stanza's envelope; -7-k the next byte string, packed as kind k, or by a letter table."""
LAST_PACKED = PACKED - values.KINDS + 1
MAX_LETTER_TABLES = 6
STATIC_TEXT = -25
"""-25-v: the static value v as text (as an attribute it is v)."""

USES_ID, USES_TO_BARE, USES_TO, USES_FROM_BARE, USES_FROM = 1, 2, 4, 8, 16
_USES = {TEXT: 0, ID: USES_ID, TO_BARE: USES_TO_BARE, TO: USES_TO, FROM_BARE: USES_FROM_BARE, FROM: USES_FROM}

MAX_XML_CHARS = 524_288
"""What a run may become: twice the largest stanza, since a chunk of two bytes stands for hundreds."""

KEPT = frozenset(
    (
        ("urn:xmpp:occupant-id:0 occupant-id", "id"),
        ("http://jabber.org/protocol/caps c", "ver"),
        ("urn:xmpp:mam:2 result", "queryid"),
    )
)
"""Packed values below the root that a writer may put into the tables: what a server asserts or only repeats."""

# XML 1.0 §2.3, Namespaces §3: an NCName.
_START = (
    "A-Z_a-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u02ff\u0370-\u037d\u037f-\u1fff\u200c-\u200d\u2070-\u218f\u2c00-\u2fef"
    "\u3001-\ud7ff\uf900-\ufdcf\ufdf0-\ufffd\U00010000-\U000effff"
)
_ncname = re.compile(f"[{_START}][{_START}.0-9\u00b7\u0300-\u036f\u203f-\u2040-]*").fullmatch


def is_ncname(text: str) -> bool:
    """Whether XML parsers take a name; for some letters that says the fourth edition of XML 1.0, Expat's, and not the fifth."""
    if _ncname(text) is None:
        return False
    if not text.isascii():
        try:
            parse_element(f"<{text}/>".encode())
        except ValueError:
            return False
    return True


class TooLarge(Malformed):
    """It can be read, but a limit forbids it."""


class Plan:
    """A run of children: what it asks for and the XML it makes.

    Attributes:
        pieces: literal XML; gap i stands between pieces i and i+1.
        gaps: for each, the value code and whether it is in an attribute.
        text_count: texts that it takes.
        kinds: of the packed values that it takes.
        checked_kinds: with their index, those whose bytes can be wrong.
        kept: the indexes of those that may go into the tables.
        size: characters of its literal XML.
        uses: USES_ID and so on: what of the envelope it refers to.
        tags: "namespace name" of its direct children.
        values: by tag, the attributes of the first direct child of it: a value of the dictionary, or a code and the how many-th text
            or packed value it is.
        depth, attributes: of nested elements and of one element's attributes, the largest.
    """

    __slots__ = (
        "attributes",
        "checked_kinds",
        "depth",
        "gaps",
        "kept",
        "kinds",
        "pieces",
        "size",
        "tags",
        "text_count",
        "uses",
        "values",
    )

    def __init__(self, tree: list[Tree], tables: Tables, scope: Mapping[str, str], default_ns: str) -> None:
        self.depth = self.attributes = self.uses = self.text_count = 0
        builder = _Builder(self, tables)
        builder.children(tree, default_ns, scope, 1)
        builder.end_piece()
        self.size = builder.size
        self.pieces = tuple(builder.pieces)
        self.gaps = tuple(builder.gaps)
        self.kinds = tuple(PACKED - code for code, _ in self.gaps if code <= PACKED)
        self.checked_kinds = tuple(
            (index, kind) for index, kind in enumerate(self.kinds) if values.UUID <= kind < values.KINDS
        )
        self.kept = tuple(builder.kept)
        self.tags = tuple(builder.tags)
        self.values = builder.values
        self.text_count = sum(code == TEXT for code, _ in self.gaps)


class Outline:
    """What several runs ask for together, added up once.

    Attributes:
        plans: of the runs, in order.
        checked: index and kind of the packed values whose bytes can be wrong.
        kept: indexes of those that may go into the tables.
        text_count, blob_count: how many texts and packed values they take.
        size, uses, tags, depth, attributes: as of a `Plan`.
    """

    __slots__ = (
        "attributes",
        "blob_count",
        "checked",
        "depth",
        "kept",
        "plans",
        "size",
        "tags",
        "text_count",
        "uses",
    )

    def __init__(self, plans: tuple[Plan, ...]) -> None:
        self.plans = plans
        self.size = self.uses = self.depth = self.attributes = self.text_count = self.blob_count = 0
        tags: list[str] = []
        checked: list[tuple[int, int]] = []
        kept: list[int] = []
        for plan in plans:
            before = self.blob_count
            checked += [(before + index, kind) for index, kind in plan.checked_kinds]
            kept += [before + index for index in plan.kept]
            tags += plan.tags
            self.size += plan.size
            self.uses |= plan.uses
            self.depth = max(self.depth, plan.depth)
            self.attributes = max(self.attributes, plan.attributes)
            self.text_count += plan.text_count
            self.blob_count += len(plan.kinds)
        self.tags, self.checked, self.kept = tuple(tags), tuple(checked), tuple(kept)


def _nothing() -> Outline:
    return Outline(())


NOTHING = _nothing()
"""What no run asks for."""


def compile_plan(data: bytes, tables: Tables, scope: Mapping[str, str], default_ns: str = "jabber:client") -> Plan:
    """Read a run of children.

    Raises:
        Malformed: it is not one, names something that the dictionary lacks, or would not be well-formed XML.
    """
    return Plan(read_tree(data, MAX_TREE_DEPTH), tables, scope, default_ns)


class _Builder:
    """Writes the pieces of one plan."""

    def __init__(self, plan: Plan, tables: Tables) -> None:
        self.plan = plan
        self.tables = tables
        self.pieces: list[str] = []
        self.piece: list[str] = []
        self.gaps: list[tuple[int, bool]] = []
        self.tags: list[str] = []
        self.kept: list[int] = []
        self.packed_count = 0
        self.text_count = 0
        self.size = 0
        self.values: dict[str, dict[str, str | tuple[int, int]]] = {}

    def write(self, xml: str) -> None:
        self.size += len(xml)
        if self.size > MAX_XML_CHARS:
            raise TooLarge("a payload that would become too much XML")
        self.piece.append(xml)

    def end_piece(self) -> None:
        self.pieces.append("".join(self.piece))
        self.piece = []

    def gap(self, code: int, is_attribute: bool, where: tuple[str, str] | None = None) -> None:
        if code > PACKED:
            self.plan.uses |= _USES[code]
            self.text_count += code == TEXT
        elif code < LAST_PACKED and LAST_PACKED - code > len(self.tables.letters):
            raise Malformed("an unknown value code")
        else:
            if where in KEPT:
                self.kept.append(self.packed_count)
            self.packed_count += 1
        self.gaps.append((code, is_attribute))
        self.end_piece()

    def value(self, code: Tree, tag: str, name: str, noted: dict[str, str | tuple[int, int]] | None) -> None:
        if type(code) is not int:
            raise Malformed("a value that is no number")
        if code >= 0:
            self.write(self.tables.escaped_value(code))
            if noted is not None:
                noted[name] = self.tables.value(code)
            return
        if noted is not None:
            noted[name] = code, self.packed_count if code <= PACKED else self.text_count
        self.gap(code, True, (tag, name))

    def child(self, tag: str, depth: int) -> dict[str, str | tuple[int, int]] | None:
        """Note an element; return where its attributes are to be noted, None when they are not."""
        if depth > 1:
            return None
        self.tags.append(tag)
        return None if tag in self.values else self.values.setdefault(tag, {})

    def children(self, tree: list[Tree], default_ns: str, scope: Mapping[str, str], depth: int) -> None:
        for child in tree:
            if type(child) is list:
                self.element(child, default_ns, scope, depth)
            elif type(child) is not int:
                raise Malformed("a child that is neither number nor array")
            elif child >= 0:
                self.children(self.tables.chunk(child), default_ns, scope, depth)
            elif child > STATIC_TEXT:
                self.gap(child, False)
            else:
                self.write(escape_text(self.tables.value(STATIC_TEXT - child)))

    def element(self, node: list[Tree], default_ns: str, scope: Mapping[str, str], depth: int) -> None:
        if not node:
            raise Malformed("an empty array")
        self.plan.depth = max(self.plan.depth, depth)
        first = node[0]
        if type(first) is list:
            self.spelt(first, node, default_ns, scope, depth)
            return
        if type(first) is not int or first < 0:
            raise Malformed("an element that begins with no shape")
        shape = self.tables.shape(first)
        end = 1 + len(shape.attributes)
        if len(node) < end:
            raise Malformed("an element with fewer values than its shape")
        noted = self.child(shape.tag, depth)
        self.plan.attributes = max(self.plan.attributes, end - 1)
        self.write(f"<{shape.name}" if shape.ns == default_ns else f"<{shape.name} xmlns='{escape_value(shape.ns)}'")
        for index, name in enumerate(shape.attributes, 1):
            self.write(f" {name}='")
            self.value(node[index], shape.tag, name, noted)
            self.write("'")
        self.inside(node, end, shape.name, shape.ns, scope, depth)

    def inside(
        self, node: list[Tree], at: int, name: str, default_ns: str, scope: Mapping[str, str], depth: int
    ) -> None:
        if len(node) == at:
            self.write("/>")
            return
        self.write(">")
        self.children(node[at:], default_ns, scope, depth + 1)
        self.write(f"</{name}>")

    def spelt(self, head: list[Tree], node: list[Tree], default_ns: str, scope: Mapping[str, str], depth: int) -> None:
        """Write an element whose name or attributes are not in the dictionary as one shape."""
        name, ns, prefix, declared = self.name(head, default_ns)
        if len(node) < 2 or type(node[1]) is not list or len(node[1]) % 2:
            raise Malformed("an element without its attributes")
        inner_ns = declared.get("", default_ns) if prefix else ns
        scope = {**scope, **declared} if declared else scope
        if prefix and scope.get(prefix) != ns:
            raise Malformed("a prefix that is not declared")
        tag = f"{ns} {name}" if ns else name
        noted = self.child(tag, depth)
        qname = f"{prefix}:{name}" if prefix else name
        self.write(f"<{qname}")
        if not prefix and ns != default_ns:
            self.write(f" xmlns='{escape_value(ns)}'")
        for declared_prefix, uri in declared.items():
            self.write(f" xmlns{':' + declared_prefix if declared_prefix else ''}='{escape_value(uri)}'")
        self.attributes(node[1], tag, scope, noted)
        self.inside(node, 2, qname, inner_ns, scope, depth)

    def name(self, head: list[Tree], default_ns: str) -> tuple[str, str, str, dict[str, str]]:
        """Return local name, namespace, prefix and the declarations that stand at the element."""
        if len(head) == 1 and type(head[0]) is int:
            ns, name = self.tables.tag(head[0])
            return name, ns, "", {}
        if not head or len(head) == 4 or (len(head) > 3 and len(head) % 2 == 0):
            raise Malformed("a name in parts that make none")
        name = head[0]  # type: ignore[assignment]
        ns = self.namespace(head[1]) if len(head) > 1 else default_ns
        prefix = head[2] if len(head) > 2 else ""
        if type(name) is not str or type(prefix) is not str or not is_ncname(name):
            raise Malformed("a name that XML does not allow")
        declared: dict[str, str] = {}
        for index in range(3, len(head), 2):
            key, uri = head[index], self.namespace(head[index + 1])
            if type(key) is not str or key in declared or not may_declare(key, uri) or (key == "" and not prefix):
                raise Malformed("a namespace declaration that XML does not allow")
            declared[key] = uri
        return name, ns, prefix, declared

    def namespace(self, item: Tree) -> str:
        if type(item) is int:
            return self.tables.namespace(item)
        if type(item) is not str or item in (XML_NS, XMLNS_NS) or " " in item:  # Expat refuses a space there
            raise Malformed("a namespace that is none")
        return checked(item)

    def attributes(
        self, pairs: list[Tree], tag: str, scope: Mapping[str, str], noted: dict[str, str | tuple[int, int]] | None
    ) -> None:
        self.plan.attributes = max(self.plan.attributes, len(pairs) // 2)
        seen: set[str] = set()
        for index in range(0, len(pairs), 2):
            name = pairs[index]
            if type(name) is int:
                name = self.tables.attribute(name)
            elif type(name) is not str:
                raise Malformed("the name of an attribute is no text")
            key = attribute_key(name, scope)
            if key in seen:
                raise Malformed("an attribute twice")
            seen.add(key)
            self.write(f" {name}='")
            self.value(pairs[index + 1], tag, name, noted)
            self.write("'")


def may_declare(prefix: str, uri: str) -> bool:
    if " " in uri:
        return False
    if prefix == "":
        return True
    return is_ncname(prefix) and prefix not in ("xml", "xmlns") and uri != ""


def attribute_key(name: str, scope: Mapping[str, str]) -> str:
    """Return what must be unique about an attribute's name in an element.

    Raises:
        Malformed: it is no name, has a prefix that is not declared, or declares a namespace.
    """
    prefix, colon, local = name.partition(":")
    if not colon:
        if name == "xmlns" or not is_ncname(name):
            raise Malformed("an attribute with a name that XML does not allow")
        return name
    if not is_ncname(local):
        raise Malformed("an attribute with a name that XML does not allow")
    if prefix == "xml":
        return f"{XML_NS} {local}"
    if prefix not in scope:
        raise Malformed("a prefix that is not declared")
    return f"{scope[prefix]} {local}"


_is_illegal = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]").search


def checked(text: str) -> str:
    """Return a text if XML can hold it (XML 1.0 §2.2).

    Raises:
        Malformed: it cannot.
    """
    if not text.isprintable() and _is_illegal(text):
        raise Malformed("a character that XML cannot hold")
    return text
