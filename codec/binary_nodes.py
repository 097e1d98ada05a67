"""XML to the tree of the binary form, in one pass of Expat.

What is encoded here was read by `XmlReader` or written by `Element`, so it is well-formed; an `Encoder` keeps a parser that stands
inside an element and reads one payload after another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from xml.parsers import expat

from codec import binary_plan as plan_
from codec import binary_values as values
from codec.binary_cbor import array, blob, integer, item_at, text
from codec.binary_dictionary import Dictionary
from codec.binary_form import Part, PayloadForm, envelope_of
from codec.binary_head import scope_of
from codec.binary_plan import Outline
from codec.binary_tokens import MAX_TREE_DEPTH
from codec.element import XML_NS
from codec.stanza import Stanza


def _coded(code: int) -> bytes:
    return integer(code)


RUN = b"\x20"
"""What announces a run that is spelt out, as a byte string."""

RETIRE_AFTER_BYTES = 262_144
"""Expat remembers each name as long as the parser lives; a parser is dropped before made-up names add up."""

MIN_PACKED_TEXT_CHARS = 16
"""Text between tags: shorter ones are rather words that happen to look like base64."""

SERVER_ID_CHARS = 11
"""Archive ids of this server: 64 bits in base64url."""

LETTERS_WORTH = 1.25
"""Texts that do not get this much smaller by a letter table are left to zstd."""

_LETTERS = [_coded(plan_.LAST_PACKED - 1 - index) for index in range(plan_.MAX_LETTER_TABLES)]
_TEXT = _coded(plan_.TEXT)
_PACKED = [_coded(plan_.PACKED - kind) for kind in range(values.KINDS)]
_plain_element = re.compile(rb"<([a-z-]+) xmlns='([!#-%(-;=?-~]*)'((?: [a-z-]+='[!#-%(-;=?-~]*')*)/>").fullmatch
_stanza_id = re.compile(rb"<stanza-id xmlns='urn:xmpp:sid:0' id='([!#-%(-;=?-~]*)' by='([!#-%(-;=?-~]*)'/>").fullmatch
_plain_attribute = re.compile(r" ([a-z-]+)='([^']*)'").findall

Refs = Mapping[str, bytes]
_NO_REFS: Refs = {}


def references(stanza: Stanza) -> dict[str, bytes]:
    """Return which texts can be written as a reference to the envelope."""
    refs: dict[str, bytes] = {}
    if stanza.id:
        refs[stanza.id] = _ID
    if stanza.from_ is not None:
        refs[stanza.from_] = _FROM
        refs[stanza.from_.bare] = _FROM_BARE
    if stanza.to is not None:
        refs[stanza.to] = _TO
        refs[stanza.to.bare] = _TO_BARE
    return refs


_ID, _TO_BARE, _TO, _FROM_BARE, _FROM = (
    _coded(code) for code in (plan_.ID, plan_.TO_BARE, plan_.TO, plan_.FROM_BARE, plan_.FROM)
)


class Encoder:
    """Encodes payloads in the terms of one dictionary; not to be shared by threads."""

    def __init__(self, dictionary: Dictionary) -> None:
        self.dictionary = dictionary
        tables = dictionary.tables
        self._shapes = {
            (shape.ns, shape.name, *shape.attributes): integer(index) for index, shape in enumerate(tables.shapes)
        }
        self._tags = {tag: array([integer(index)]) for index, tag in enumerate(tables.tags)}
        self._namespaces = {ns: integer(index) for index, ns in enumerate(tables.namespaces)}
        self._attributes = {name: integer(index) for index, name in enumerate(tables.attributes)}
        self._values = {value: integer(index) for index, value in enumerate(tables.values)}
        self._static_texts = {value: integer(plan_.STATIC_TEXT - index) for index, value in enumerate(tables.values)}
        self._chunks = {chunk: index for index, chunk in enumerate(tables.chunks)}
        self._lengths = _chunk_lengths(tables.chunks)
        self._stanza_ids = self._find_stanza_ids()
        self._letters = tables.letters[: plan_.MAX_LETTER_TABLES]
        self._has_letters = False
        self._parser: Any = None
        self._fed = 0
        self._refs: Refs = {}
        self._texts: list[str] = []
        self._blobs: list[bytes] = []
        self._children: list[bytes] = []
        self._stack: list[tuple[list[bytes], list[bytes], str, Mapping[str, str]]] = []
        self._ns = "jabber:client"
        self._scope: Mapping[str, str] = {}
        self._pending: list[str] = []

    def form(self, stanza: Stanza, use_references: bool = True) -> PayloadForm:
        """Encode what a stanza carries; without references it means the same in any envelope."""
        refs = references(stanza) if use_references else {}
        scope = scope_of(stanza.scope) if stanza.scope else {}
        form = PayloadForm(self.dictionary, self.part(stanza.inner, refs, scope), envelope_of(stanza))
        if self._has_letters and form.compress()[0]:
            # beside a block, texts in letters may cost more than inside it
            letters, self._letters = self._letters, []
            other = PayloadForm(self.dictionary, self.part(stanza.inner, refs, scope), form.envelope)
            self._letters = letters
            if other.compress()[0] and _size(other) < _size(form):
                return other
        return form

    def settle(self, form: PayloadForm, stanza: Stanza) -> None:
        """Encode what waits behind a form, as it stands in that stanza."""
        if not form.pending:
            return
        added = None
        if len(form.pending) == 1:
            xml = form.pending[0]
            match = _stanza_id(xml)
            if match is not None:
                added = self._stanza_id_part(match.group(1).decode(), match.group(2).decode(), stanza)
            if added is None:
                added = self._plain(xml, stanza)
        if added is None:
            scope = scope_of(stanza.scope) if stanza.scope else {}
            added = self.part(b"".join(form.pending), references(stanza), scope)
        if form.added is not None:
            before = form.added
            trees = before.items + added.items
            outline = Outline(before.outline.plans + added.outline.plans)
            added = Part(trees, outline, before.texts + added.texts, before.blobs + added.blobs)
        form.added, form.pending = added, ()
        form._clear = None
        form.uses |= added.outline.uses
        form.envelope = envelope_of(stanza)

    def part(self, inner: bytes, refs: Refs, scope: Mapping[str, str]) -> Part:
        """Encode the XML between the tags of a stanza.

        Raises:
            ValueError: it is not well-formed.
        """
        self._refs, self._scope = refs, scope
        texts = self._texts = []
        blobs = self._blobs = []
        children = self._children = []
        self._has_letters = False
        if inner:
            self._feed(inner)
        items: list[bytes] = []
        plans: list[plan_.Plan] = []
        run: list[bytes] = []
        for child in [*self.chunked(children), b""]:
            if child and child[0] >= 0x20:
                run.append(child)
                continue
            if run:
                tree = b"".join(run)
                items.append(RUN + blob(tree))
                plans.append(self.dictionary.plan(tree, scope))
                run = []
            if child:
                items.append(child)
                plans.append(self.dictionary.chunk_plan(_index(child)))
        return Part(b"".join(items), Outline(tuple(plans)), texts, blobs)

    def chunked(self, children: list[bytes]) -> list[bytes]:
        """Replace runs of children by the chunks of the dictionary, the longest that begins at each first."""
        out: list[bytes] = []
        at, end = 0, len(children)
        while at < end:
            for length in self._lengths.get(children[at], ()):
                if at + length <= end:
                    index = self._chunks.get(b"".join(children[at : at + length]) if length > 1 else children[at])
                    if index is not None:
                        out.append(integer(index))
                        at += length
                        break
            else:
                out.append(children[at])
                at += 1
        return out

    def _plain(self, xml: bytes, stanza: Stanza) -> Part | None:
        """Encode a single empty element of known shape without a parser: that is what servers add to a stanza."""
        match = _plain_element(xml)
        if match is None:
            return None
        name, ns, pairs = match.groups()
        attrs = dict(_plain_attribute(pairs.decode()))
        shape = self._shapes.get((ns.decode(), name.decode(), *(sorted(attrs) if len(attrs) > 1 else attrs)))
        if shape is None or len(attrs) * 2 != pairs.count(b"'"):
            return None
        texts = self._texts = []
        blobs = self._blobs = []
        self._refs = _NO_REFS
        parts = [shape]
        to, from_ = stanza.to, stanza.from_
        for attribute in sorted(attrs):
            value = attrs[attribute]
            if to is not None and value == to.bare:
                parts.append(_TO_BARE)
            elif from_ is not None and value == from_.bare:
                parts.append(_FROM_BARE)
            else:
                parts.append(self._value(value))
        child = array(parts)
        index = self._chunks.get(child)
        if index is not None:
            return Part(integer(index), self.dictionary.outline(integer(index)), texts, blobs)
        trees = RUN + blob(child)
        return Part(trees, self.dictionary.outline(trees), texts, blobs)

    def _stanza_id_part(self, id_: str, by: str, stanza: Stanza) -> Part | None:
        """Encode what is added to every message; None when it is not of a usual form."""
        to, from_ = stanza.to, stanza.from_
        packed = values.pack_base64(id_, SERVER_ID_CHARS) if len(id_) == SERVER_ID_CHARS else values.pack(id_)
        if packed is None:
            return None
        if to is not None and by == to.bare:
            code = _TO_BARE
        elif from_ is not None and by == from_.bare:
            code = _FROM_BARE
        else:
            return None
        known = self._stanza_ids.get((code, packed[0]))
        if known is None:
            return None
        data = packed[1]
        part = Part(known[0], known[1], [], [data])
        part.coded_texts, part.coded_blobs = b"", blob(data)
        return part

    def _find_stanza_ids(self) -> dict[tuple[bytes, int], tuple[bytes, Outline]]:
        """Return what one stanza-id is encoded as, by the code of its `by` and the kind of its `id`."""
        found: dict[tuple[bytes, int], tuple[bytes, Outline]] = {}
        shape = self._shapes.get(("urn:xmpp:sid:0", "stanza-id", "by", "id"))
        if shape is not None:
            for by in (_TO_BARE, _FROM_BARE):
                for kind in range(values.KINDS):
                    child = array([shape, by, _PACKED[kind]])
                    index = self._chunks.get(child)
                    trees = RUN + blob(child) if index is None else integer(index)
                    found[by, kind] = trees, self.dictionary.outline(trees)
        return found

    def _feed(self, inner: bytes) -> None:
        parser = self._parser
        if parser is None or self._fed > RETIRE_AFTER_BYTES:
            parser = self._new_parser()
        self._fed += len(inner)
        self._ns = "jabber:client"
        self._stack.clear()
        self._pending.clear()
        try:
            parser.Parse(inner, False)
            is_whole = parser.CurrentByteIndex == self._fed or self._push_out(parser)
        except BaseException as error:
            self._parser = None
            if isinstance(error, expat.ExpatError):
                raise ValueError(f"ill-formed XML: {error}") from None
            raise
        if self._stack or not is_whole:
            self._parser = None
            raise ValueError("ill-formed XML: it does not end where it should")
        self._flush()

    def _push_out(self, parser: Any) -> bool:
        """Have Expat tell the text that it holds back: one more element does that, which goes again."""
        parser.Parse(b"<e/>", False)
        self._fed += 4
        if self._stack or not self._children or parser.CurrentByteIndex != self._fed:
            return False
        self._children.pop()
        return True

    def _new_parser(self) -> Any:
        parser = expat.ParserCreate("UTF-8")
        if hasattr(parser, "SetReparseDeferralEnabled"):
            parser.SetReparseDeferralEnabled(False)
        parser.buffer_text = True
        parser.Parse(b"<w>", False)
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._pending.append
        self._parser, self._fed = parser, 3
        return parser

    def _flush(self) -> None:
        data = "".join(self._pending)
        self._pending.clear()
        if data:
            self._children.append(self._text(data))

    def _text(self, data: str) -> bytes:
        static = self._static_texts.get(data)
        if static is not None:
            return static
        if len(data) >= MIN_PACKED_TEXT_CHARS or data[:1].isdigit():
            packed = values.pack(data)
            if packed is not None:
                self._blobs.append(packed[1])
                return _PACKED[packed[0]]
        if not data.isspace():
            for index, letters in enumerate(self._letters):
                coded = letters.pack(data)
                if coded is not None:
                    if len(coded) * LETTERS_WORTH > len(data.encode()):
                        break
                    self._blobs.append(coded)
                    self._has_letters = True
                    return _LETTERS[index]
        self._texts.append(data)
        return _TEXT

    def _value(self, data: str) -> bytes:
        code = self._refs.get(data)
        if code is None:
            code = self._values.get(data)
            if code is None:
                packed = values.pack(data)
                if packed is not None:
                    self._blobs.append(packed[1])
                    return _PACKED[packed[0]]
                self._texts.append(data)
                return _TEXT
        return code

    def _start(self, name: str, attrs: dict[str, str]) -> None:
        if self._pending:
            self._flush()
        ns, scope = self._ns, self._scope
        self._stack.append((self._children, [], ns, scope))
        parts = self._stack[-1][1]
        if ":" in name or any([key.startswith("xmlns:") for key in attrs]):
            self._spelt(name, attrs, parts)
        else:
            ns = attrs.pop("xmlns", ns) if attrs else ns
            key = (ns, name, *(sorted(attrs) if len(attrs) > 1 else attrs))
            shape = self._shapes.get(key)
            if shape is not None:
                parts.append(shape)
                value = self._value
                for attribute in key[2:]:
                    parts.append(value(attrs[attribute]))
            else:
                head = self._tags.get((ns, name))
                if head is None:
                    head = array([text(name)] if ns == self._ns else [text(name), self._namespace(ns)])
                parts.append(head)
                parts.append(self._pairs(attrs))
            self._ns = ns
        self._children = []

    def _pairs(self, attrs: Mapping[str, str]) -> bytes:
        pairs: list[bytes] = []
        for name in sorted(attrs):
            code = self._attributes.get(name)
            pairs.append(text(name) if code is None else code)
            pairs.append(self._value(attrs[name]))
        return array(pairs)

    def _namespace(self, ns: str) -> bytes:
        code = self._namespaces.get(ns)
        return text(ns) if code is None else code

    def _spelt(self, qname: str, attrs: dict[str, str], parts: list[bytes]) -> None:
        """Encode an element that has a prefix or declares one."""
        prefix, colon, name = qname.rpartition(":")
        declared = {key[6:]: attrs.pop(key) for key in sorted(attrs) if key.startswith("xmlns:")}
        default = attrs.pop("xmlns", None)
        if declared:
            self._scope = {**self._scope, **declared}
        if colon:
            ns = XML_NS if prefix == "xml" else self._scope.get(prefix, "")
            if default is not None:
                declared[""] = default
        else:
            ns = self._ns if default is None else default
        if default is not None:
            self._ns = default
        head = [text(name), self._namespace(ns), text(prefix)]
        for key, uri in declared.items():
            head += [text(key), self._namespace(uri)]
        parts.append(array(head))
        parts.append(self._pairs(attrs))

    def _end(self, name: str) -> None:
        if self._pending:
            self._flush()
        children = self._children
        self._children, parts, self._ns, self._scope = self._stack.pop()
        if children:
            parts.extend(self.chunked(children) if self._lengths else children)
        self._children.append(array(parts))


def _size(form: PayloadForm) -> int:
    return len(form.clear()) + len(form.compress()[1])


def _index(item: bytes) -> int:
    return item[0] if len(item) == 1 else int.from_bytes(item[1:], "big")


def _chunk_lengths(chunks: list[bytes]) -> dict[bytes, tuple[int, ...]]:
    """Return for each first child how many children the chunks that begin with it have, the most first."""
    found: dict[bytes, set[int]] = {}
    for chunk in chunks:
        children = children_of(chunk)
        found.setdefault(children[0], set()).add(len(children))
    return {first: tuple(sorted(lengths, reverse=True)) for first, lengths in found.items()}


def children_of(run: bytes) -> list[bytes]:
    """Cut an encoded run into its children."""
    children: list[bytes] = []
    at = 0
    while at < len(run):
        _, end = item_at(run, at, MAX_TREE_DEPTH)
        children.append(run[at:end])
        at = end
    return children
