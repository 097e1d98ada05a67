"""Token tables and a zstd dictionary from stanzas: the same stanzas give the same bytes.

First come the names and the values that many sessions have in common, then the chunks (runs of elements that are the same but for
their gaps), then zstd's dictionary, trained on what is left to compress. Nothing that only a few sessions hold gets in.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import zstandard

from codec.binary_address import MAX_RESOURCES
from codec.binary_cbor import Tree, array, encode, read_tree, texts
from codec.binary_dictionary import Dictionary
from codec.binary_form import COMPRESS_FROM_BYTES, PayloadForm
from codec.binary_head import Session
from codec.binary_nodes import Encoder, children_of
from codec.binary_tokens import MAX_TREE_DEPTH, Tables
from codec.binary_writer import BinaryWriter
from codec.element import Element, parse_element
from codec.jid import JID
from codec.limits import ReaderLimits
from codec.stanza import Message, Stanza
from codec.xml_reader import USUAL_HEADERS, XmlReader

MIN_SESSIONS = 3
"""What fewer sessions hold is somebody's own and stays out."""

MAX_VALUES = 1_200
MIN_SPEECH_SPACES, SPEECH_SHARE = 2, 0.002
"""Texts of three words and more are what people say, and belong into zstd's dictionary, unless they come all the time."""

MAX_CHUNKS = 1_100
ALWAYS_CHUNKS = 250
"""So many of the most frequent single elements are in any case: others put them together in ways that the samples do not."""

MAX_RUN = 8
MAX_CHUNK_BYTES = 200
MAX_HEADS = 256
DICTIONARY_BYTES = 65_536
ENTROPY_FROM_BYTES = 4_096
ROUNDS = 9


@dataclass
class Sample:
    """One stanza or other element with the session that it was in."""

    session: int
    own: JID | None
    stanza: Stanza
    is_stanza: bool
    tree: Element


def _sets() -> defaultdict[str, set[int]]:
    return defaultdict(set)


@dataclass
class Found:
    """What is in the samples."""

    namespaces: Counter[str] = field(default_factory=Counter)
    tags: Counter[tuple[str, str]] = field(default_factory=Counter)
    attributes: Counter[str] = field(default_factory=Counter)
    shapes: Counter[tuple[str, str, tuple[str, ...]]] = field(default_factory=Counter)
    values: Counter[str] = field(default_factory=Counter)
    sessions: defaultdict[str, set[int]] = field(default_factory=_sets)
    resources: defaultdict[str, set[int]] = field(default_factory=_sets)


def samples_of(lines: Iterable[tuple[int, JID | None, str]]) -> list[Sample]:
    """Read lines of session, own JID and XML; what is no stanza or element is left out."""
    found = []
    for session, own, xml in lines:
        limits = ReaderLimits(stanza_bytes=len(xml) * 4 + 100, depth=200, children=100_000)
        events = XmlReader(limits).feed(USUAL_HEADERS["jabber:client"] + xml.encode())[1:]
        if len(events) != 1:
            continue
        event = events[0]
        if isinstance(event, Stanza):
            found.append(Sample(session, own, event, True, parse_element(event.to_xml())))
        elif isinstance(event, Element):
            carrier = Message(None, None, None, "").adding(event)
            found.append(Sample(session, own, carrier, False, event))
    return found


def survey(samples: list[Sample]) -> Found:
    """Count names and values."""
    found = Found()
    for sample in samples:
        children = sample.tree.elements() if sample.is_stanza else (sample.tree,)
        for child in children:
            _count(child, sample.session, found)
        for jid in (sample.stanza.to, sample.stanza.from_):
            if jid is not None and jid.resourcepart:
                for prefix in _prefixes(jid.resourcepart):
                    found.resources[prefix].add(sample.session)
    return found


def _prefixes(resource: str) -> list[str]:
    cuts = [resource[: resource.index(mark) + 1] for mark in ".-" if mark in resource[1:-1]]
    return [*cuts, resource] if len(resource) < 16 else cuts


def _count(element: Element, session: int, found: Found) -> None:
    names = tuple(sorted(_qname(name) for name in element.attrs))
    found.namespaces[element.ns] += 1
    found.tags[element.ns, element.name] += 1
    found.shapes[element.ns, element.name, names] += 1
    for name in names:
        found.attributes[name] += 1
    for value in [*element.attrs.values(), *[child for child in element.children if isinstance(child, str)]]:
        found.values[value] += 1
        found.sessions[value].add(session)
    for child in element.elements():
        _count(child, session, found)


def _qname(key: str) -> str:
    ns, _, name = key.rpartition(" ")
    return f"xml:{name}" if ns else name


def _ranked(counter: Counter[Any]) -> list[Any]:
    return [item for item, _ in sorted(counter.items(), key=lambda pair: (-pair[1], str(pair[0])))]


def tables_of(found: Found, private: frozenset[str], letters: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the tables but for chunks and heads; no value with a word of `private` in it is taken."""
    namespaces, tags, attributes = _ranked(found.namespaces), _ranked(found.tags), _ranked(found.attributes)
    shapes = [
        shape for shape in _ranked(found.shapes) if all(":" not in name or name == "xml:lang" for name in shape[2])
    ]
    worth: Counter[str] = Counter()
    total = sum(found.tags.values())
    for value, count in found.values.items():
        is_speech = value.count(" ") >= MIN_SPEECH_SPACES and count < total * SPEECH_SHARE
        if (
            len(found.sessions[value]) >= MIN_SESSIONS
            and 0 < len(value) <= 160
            and not (is_speech or _is_private(value, private))
        ):
            worth[value] = count * (len(value.encode()) + 1)
    values = _ranked(Counter({value: found.values[value] for value in _ranked(worth)[:MAX_VALUES]}))
    often = Counter(
        {
            prefix: len(sessions)
            for prefix, sessions in found.resources.items()
            if len(sessions) >= MIN_SESSIONS and prefix.lower() not in private
        }
    )
    return {
        "version": 0,
        "namespaces": namespaces,
        "tags": [[namespaces.index(ns), name] for ns, name in tags],
        "attributes": attributes,
        "shapes": [[tags.index((ns, name)), [attributes.index(key) for key in keys]] for ns, name, keys in shapes],
        "values": values,
        "chunks": [],
        "heads": [],
        "letters": letters,
        "resources": [*_ranked(often)[: MAX_RESOURCES - 1], ""],
    }


def _is_private(value: str, private: frozenset[str]) -> bool:
    return "@" in value or not private.isdisjoint(value.lower().replace("/", " ").split())


class _Observer(Encoder):
    """An encoder that remembers which children stand together, or which chunks it used."""

    def __init__(self, dictionary: Dictionary) -> None:
        super().__init__(dictionary)
        self.runs: Counter[tuple[bytes, ...]] = Counter()
        self.used: Counter[int] = Counter()

    def chunked(self, children: list[bytes]) -> list[bytes]:
        out = super().chunked(children)
        if self._lengths:
            self.used.update(_number(item) for item in out if item[0] < 0x20)
        else:
            for length in range(1, MAX_RUN + 1):
                for at in range(len(children) - length + 1):
                    self.runs[tuple(children[at : at + length])] += 1
        return out

    def _end(self, name: str) -> None:
        if not self._lengths and self._children:
            self.chunked(self._children)
        super()._end(name)


def _number(item: bytes) -> int:
    number = read_tree(item, 1)[0]
    assert isinstance(number, int)
    return number


def _dictionary(tables: dict[str, Any], zstd: bytes = b"") -> Dictionary:
    return Dictionary(dump(tables), zstd)


def dump(tables: dict[str, Any]) -> bytes:
    """Return the JSON file of tables, a line for each entry."""
    parts = []
    for key, value in tables.items():
        if isinstance(value, list):
            rows = ",\n".join(json.dumps(item, ensure_ascii=False, separators=(",", ":")) for item in value)
            parts.append(f'"{key}":[\n{rows}\n]')
        else:
            parts.append(f'"{key}":{json.dumps(value)}')
    return ("{" + ",\n".join(parts) + "}\n").encode()


def choose_chunks(samples: list[Sample], tables: dict[str, Any]) -> list[bytes]:
    """Return chunks, the most used first."""
    observer = _Observer(_dictionary(tables))
    for sample in samples:
        observer.form(sample.stanza)
    worth: Counter[tuple[bytes, ...]] = Counter()
    for run, count in observer.runs.items():
        size = sum(map(len, run))
        if count >= MIN_SESSIONS and 2 <= size <= MAX_CHUNK_BYTES and not _is_spelt(run):
            worth[run] = count * size
    runs = _ranked(worth)[: MAX_CHUNKS * 6]
    singles = [run for run in _ranked(worth) if len(run) == 1][: MAX_CHUNKS * 2]
    always = [run for run in _ranked(observer.runs) if len(run) == 1 and run in worth][:ALWAYS_CHUNKS]
    for round_ in range(ROUNDS):
        chunks = _numbered(runs, tables)
        counting = _Observer(_dictionary({**tables, "chunks": [chunk.hex() for chunk in chunks]}))
        for sample in samples:
            counting.form(sample.stanza)
        nested = _nested_use(chunks, tables)
        gain = Counter(
            {
                run: (counting.used[index] + nested[index]) * sum(map(len, run))
                for index, run in enumerate(runs)
                if counting.used[index] >= MIN_SESSIONS or (counting.used[index] + nested[index] > MIN_SESSIONS)
            }
        )
        # A run that is worth nothing beside a longer one may be needed when that is gone: so few go at a time, and single
        # elements come back.
        kept = _ranked(gain)[: max(MAX_CHUNKS, len(runs) * 2 // 3)]
        usage = {run: counting.used[index] + nested[index] for index, run in enumerate(runs)}
        kept.sort(key=lambda run: (-usage[run], run))
        known = set(kept)
        again = singles if round_ < ROUNDS - 2 else always
        runs = kept + [run for run in again if run not in known]
    return _numbered(runs, tables)


def _is_spelt(run: tuple[bytes, ...]) -> bool:
    """Whether a run holds a name spelt out: it would mean something else elsewhere, or be somebody's own."""
    return any(type(item) is str for child in run for item in _leaves(read_tree(child, MAX_TREE_DEPTH)))


def _leaves(tree: list[Tree]) -> Iterable[Tree]:
    for item in tree:
        if isinstance(item, list):
            yield from _leaves(item)
        else:
            yield item


def _numbered(runs: list[tuple[bytes, ...]], tables: dict[str, Any]) -> list[bytes]:
    """Return the runs as chunks that use one another: the shorter ones first become what the longer ones refer to."""
    shapes = Tables(tables).shapes
    empty = Encoder(_dictionary(tables))
    chunks: list[bytes] = [b""] * len(runs)
    order = sorted(range(len(runs)), key=lambda index: (sum(map(len, runs[index])), runs[index]))
    for index in order:
        children = [_rewritten(read_tree(child, MAX_TREE_DEPTH)[0], shapes, empty) for child in runs[index]]
        chunk = b"".join(children)
        chunks[index] = chunk
        empty._chunks.setdefault(chunk, index)
        lengths = empty._lengths.get(children[0], ())
        empty._lengths[children[0]] = tuple(sorted({*lengths, len(children)}, reverse=True))
    return chunks


def _rewritten(node: Tree, shapes: list[Any], encoder: Encoder) -> bytes:
    if not isinstance(node, list):
        return encode(node)
    first = node[0]
    at = 2 if isinstance(first, list) else 1 + len(shapes[first].attributes)  # type: ignore[index]
    inside = encoder.chunked([_rewritten(child, shapes, encoder) for child in node[at:]])
    return array([*[encode(item) for item in node[:at]], *inside])


def _nested_use(chunks: list[bytes], tables: dict[str, Any]) -> Counter[int]:
    """Count how many chunks refer to each."""
    shapes = Tables(tables).shapes
    used: Counter[int] = Counter()

    def walk(node: Tree) -> None:
        if isinstance(node, list):
            at = 2 if isinstance(node[0], list) else 1 + len(shapes[node[0]].attributes)  # type: ignore[index]
            for child in node[at:]:
                if isinstance(child, int) and child >= 0:
                    used[child] += 1
                walk(child)

    for chunk in chunks:
        for child in children_of(chunk):
            walk(read_tree(child, MAX_TREE_DEPTH)[0])
    return used


def heads_of(samples: list[Sample], tables: dict[str, Any]) -> list[int]:
    """Return the most frequent envelopes."""
    dictionary = _dictionary(tables)
    counts: Counter[int] = Counter()
    for sample in samples:
        if sample.is_stanza:
            session = Session("" if sample.own is None else sample.own.domainpart, sample.own)
            frame = BinaryWriter(dictionary, session).stanza(sample.stanza.with_payload())
            first = read_tree(frame[2:] if frame[1] < 0x80 else frame[3:], 1)[0]
            assert isinstance(first, int)
            counts[~first] += 1
    return _ranked(counts)[:MAX_HEADS]


def add_names(lines: Iterable[str], found: Found) -> None:
    """Count names that no sample need have: a namespace a line, its elements with their attributes behind it, as name@one@two."""
    for line in lines:
        ns, *elements = line.split(" ")
        for element in elements:
            name, *attributes = element.split("@")
            found.namespaces[ns] += 1
            found.tags[ns, name] += 1
            found.shapes[ns, name, tuple(attributes)] += 1
            found.attributes.update(attributes)


def train(
    samples: list[Sample],
    private: frozenset[str] = frozenset(),
    letters: list[dict[str, Any]] | None = None,
    names: Iterable[str] = (),
) -> tuple[bytes, bytes]:
    """Return the two files of a dictionary; `letters` are the letter tables to take into it, `names` as for `add_names`."""
    found = survey(samples)
    add_names(names, found)
    tables = tables_of(found, private, letters or [])
    tables["chunks"] = [chunk.hex() for chunk in choose_chunks(samples, tables)]
    tables["heads"] = heads_of(samples, tables)
    encoder = Encoder(_dictionary(tables))
    blocks = []
    for sample in samples:
        form: PayloadForm = encoder.form(sample.stanza)
        block = form.main.items + texts(form.main.texts)
        if len(block) >= COMPRESS_FROM_BYTES:
            blocks.append(block)
    return dump(tables), zstd_dictionary(blocks)


_REPEATS = bytes.fromhex("010000000400000008000000")
"""The three offsets that end the entropy tables of a zstd dictionary (RFC 8878 §5)."""


def zstd_dictionary(blocks: list[bytes]) -> bytes:
    """Return a zstd dictionary: the content of a large one behind the entropy tables of a small one.

    What a large dictionary leaves over of its own samples is not what it leaves over of texts that it has never seen; a small one,
    which knows little, has better statistics of those.
    """
    large, small = (
        zstandard.train_dictionary(size, list[bytes | bytearray | memoryview](blocks), k=200, d=8, level=3).as_bytes()
        for size in (DICTIONARY_BYTES, ENTROPY_FROM_BYTES)
    )
    head = small[: small.index(_REPEATS) + len(_REPEATS)]
    return head + large[large.index(_REPEATS) + len(_REPEATS) :]
