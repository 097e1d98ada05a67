"""Token tables and a zstd dictionary, known to both sides by their hash; every one ever shipped stays in the package.

A dictionary's id is the first eight bytes of the SHA-256 of its two files, `NNNN.json` and `NNNN.zstd`, one after the other.
Nothing in it ever comes from a peer or from traffic.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from importlib import resources
from typing import Any, TypeVar

import zstandard

from codec.binary_address import RESOURCE, literal, split, whole
from codec.binary_cbor import Malformed, integer, read_flat
from codec.binary_frames import SIZE_CLASSES
from codec.binary_plan import Outline, Plan, compile_plan
from codec.binary_tokens import Tables
from codec.jid import JID

PLANS_KEPT = 1_024
PLAN_MAX_BYTES = 512
"""Plans of runs that are in no dictionary: what peers can put there is at most a few megabytes in the process."""

ADDRESSES_KEPT = 4_096
ADDRESS_MAX_BYTES = 128
"""Addresses in both of their forms: two megabytes in the process at most."""

STRATEGY = {
    "strategy": zstandard.STRATEGY_GREEDY,
    "min_match": 5,
    "search_log": 6,
    "target_length": 8,
    "window_log": 17,
    "hash_log": 17,
    "chain_log": 17,
}
"""Greedy is the strongest of zstd's strategies that takes the dictionary's Huffman table for a few dozen letters without looking
whether they pay: the stronger ones leave short texts as they are, and are larger for that (docs/decisions/0010)."""

SECOND_STRATEGY = {**STRATEGY, "strategy": zstandard.STRATEGY_BTULTRA, "min_match": 3, "target_length": 128}
"""The strongest, for what is long or repeats itself: the smaller of the two results is taken. It takes 8 µs where greedy takes 1."""

_WINDOW = 0x38
"""The window descriptor of zstd (RFC 8878 §3.1.1.1.2) for 128 KiB."""

_NO_SCOPE: Mapping[str, str] = {}


class Dictionary:
    """One version of the tables with its zstd dictionary, and what is worked out from them, shared by all streams of a thread.

    Attributes:
        encoder: the one `Encoder` of this dictionary, once a writer has needed it.
        head_rows: what the frequent envelopes hold, once a reader has needed it.
        heads: the encoded numbers of the frequent envelopes.

    Args:
        tables: the JSON file.
        zstd: a zstd dictionary; empty for none.
    """

    def __init__(self, tables: bytes, zstd: bytes = b"") -> None:
        self.id = hashlib.sha256(tables + zstd).digest()[:8]
        self.tables = Tables(json.loads(tables))
        self.zstd_bytes = len(zstd)
        shared = zstandard.ZstdCompressionDict(zstd) if zstd else None
        self._compressors = [_compressor(zstd, strategy) for strategy in (STRATEGY, SECOND_STRATEGY)]
        self._decompressor = zstandard.ZstdDecompressor(dict_data=shared, format=zstandard.FORMAT_ZSTD1_MAGICLESS)
        self.encoder: Any = None
        self.head_rows: Any = None
        self.heads = {kind: integer(index) for index, kind in enumerate(self.tables.heads)}
        self._addresses: OrderedDict[tuple[JID, str], bytes] = OrderedDict()
        self._read_addresses: OrderedDict[tuple[Any, ...], JID] = OrderedDict()
        self._chunk_plans: list[Plan | None] = [None] * len(self.tables.chunks)
        self._plans: OrderedDict[bytes, Plan] = OrderedDict()
        self._outlines: OrderedDict[bytes, Outline] = OrderedDict()

    def chunk_plan(self, index: int) -> Plan:
        """Return the plan of a chunk.

        Raises:
            Malformed: there is no such chunk.
        """
        if index >= len(self._chunk_plans):
            raise Malformed("an unknown chunk")
        plan = self._chunk_plans[index]
        if plan is None:
            plan = self._chunk_plans[index] = compile_plan(self.tables.chunks[index], self.tables, _NO_SCOPE)
        return plan

    def plan(self, tree: bytes, scope: Mapping[str, str] = _NO_SCOPE) -> Plan:
        """Return the plan of a run that is spelt out; `scope` are the prefixes that the stanza itself declares.

        Raises:
            Malformed: as `compile_plan`.
        """
        if scope or len(tree) > PLAN_MAX_BYTES:
            return compile_plan(tree, self.tables, scope)
        plan = self._plans.get(tree)
        if plan is None:
            plan = self._plans[tree] = compile_plan(tree, self.tables, scope)
            if len(self._plans) > PLANS_KEPT:
                self._plans.popitem(last=False)
        return plan

    def outline(self, trees: bytes, scope: Mapping[str, str] = _NO_SCOPE) -> Outline:
        """Return what encoded trees, chunks and runs, ask for together.

        Raises:
            Malformed: they are none, or as `plan` and `chunk_plan`.
        """
        if scope or len(trees) > PLAN_MAX_BYTES:
            return Outline(self._plans_of(trees, scope))
        outline = self._outlines.get(trees)
        if outline is None:
            outline = self._outlines[trees] = Outline(self._plans_of(trees, scope))
            if len(self._outlines) > PLANS_KEPT:
                self._outlines.popitem(last=False)
        return outline

    def _plans_of(self, trees: bytes, scope: Mapping[str, str]) -> tuple[Plan, ...]:
        plans: list[Plan] = []
        items = iter(read_flat(trees))
        for item in items:
            if type(item) is int and item >= 0:
                plans.append(self.chunk_plan(item))
                continue
            tree = next(items, None)
            if item != -1 or type(tree) is not bytes:
                raise Malformed("a run that is not there")
            plans.append(self.plan(tree, scope))
        return tuple(plans)

    def address(self, jid: JID, domain: str) -> bytes:
        """Return an address as it stands in the frames of a session of that domain."""
        key = jid, domain
        found = self._addresses.get(key)
        if found is None:
            found = literal(jid, domain, self.tables.resources)
            _keep(self._addresses, key, found, len(found))
        return found

    def read_address(self, code: int, bare: int | str | bytes, rest: int | str | bytes, domain: str) -> str:
        """Return the address that `binary_address.split` does.

        Raises:
            Malformed: as that.
        """
        return split(code, bare, rest, domain, self.tables.resources)

    def jid(self, items: list[int | str | bytes], domain: str) -> JID:
        """Return the address that these items of an envelope spell: one, or three (a code, bare JID and resource).

        Raises:
            Malformed: as `binary_address.whole` and `split`.
            InvalidJID: they spell something else.
        """
        key = *items, domain
        found = self._read_addresses.get(key)
        if found is None:
            first = items[0]
            if isinstance(first, int):
                text = split(first - RESOURCE, items[1], items[2], domain, self.tables.resources)
            else:
                text = whole(first, domain)
            found = JID.parse(text)
            _keep(self._read_addresses, key, found, len(found))
        return found

    def compress(self, data: bytes) -> tuple[int, bytes] | None:
        """Return size class and block of the data, or None when that would not be smaller."""
        size = len(data)
        if size > SIZE_CLASSES[-1]:
            return None
        best: bytes | None = None
        for compressor in self._compressors:
            out = compressor.compress(data)
            header = int.from_bytes(out[2:5], "little")
            if header & 7 == 5 and header >> 3 == len(out) - 5 and len(out) - 5 < size:  # one compressed block
                size = len(out) - 5
                best = out[5:]
        if best is None:
            return None
        return next(index for index, limit in enumerate(SIZE_CLASSES) if len(data) <= limit), best

    def decompress(self, size_class: int, block: bytes) -> bytes:
        """Return what a block holds.

        Raises:
            Malformed: it is no block of this dictionary, or holds more than its class allows.
        """
        if len(block) > SIZE_CLASSES[-1]:
            raise Malformed("a block larger than any")
        header = (len(block) << 3 | 5).to_bytes(3, "little")
        try:
            return self._decompressor.decompress(
                b"\x00%c%b%b" % (_WINDOW, header, block), max_output_size=SIZE_CLASSES[size_class]
            )
        except zstandard.ZstdError:
            raise Malformed("a compressed part that cannot be read") from None


def _compressor(zstd: bytes, strategy: Mapping[str, int]) -> zstandard.ZstdCompressor:
    """Return one with a dictionary of its own, which is worked out for one strategy."""
    parameters = zstandard.ZstdCompressionParameters(
        **strategy,
        write_content_size=False,
        write_checksum=False,
        write_dict_id=False,
        format=zstandard.FORMAT_ZSTD1_MAGICLESS,
    )
    shared = zstandard.ZstdCompressionDict(zstd) if zstd else None
    if shared is not None:
        shared.precompute_compress(compression_params=parameters)
    return zstandard.ZstdCompressor(dict_data=shared, compression_params=parameters)


K = TypeVar("K")
W = TypeVar("W")


def _keep(cache: OrderedDict[K, W], key: K, value: W, size: int) -> None:
    """Keep what is not too large; the oldest makes room."""
    if size <= ADDRESS_MAX_BYTES:
        cache[key] = value
        if len(cache) > ADDRESSES_KEPT:
            cache.popitem(last=False)


EMPTY = b'{"namespaces":[],"tags":[],"attributes":[],"shapes":[],"values":[],"chunks":[],"heads":[],"letters":[],"resources":[]}'
"""Tables without an entry: all names and values are spelt out."""


def shipped() -> list[str]:
    """Return the names of the dictionaries in the package, oldest first."""
    folder = resources.files("codec") / "dictionaries"
    return sorted(file.name.removesuffix(".json") for file in folder.iterdir() if file.name.endswith(".json"))


@functools.cache
def load(name: str) -> Dictionary:
    """Return a shipped dictionary, read once in the process."""
    folder = resources.files("codec") / "dictionaries"
    zstd = folder / f"{name}.zstd"
    return Dictionary((folder / f"{name}.json").read_bytes(), zstd.read_bytes() if zstd.is_file() else b"")


def load_all() -> dict[bytes, Dictionary]:
    """Return every shipped dictionary by its id, the newest first."""
    found = [load(name) for name in reversed(shipped())]
    return {dictionary.id: dictionary for dictionary in found}
