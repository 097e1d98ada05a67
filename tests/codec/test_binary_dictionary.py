"""Dictionaries: known by their hash, read from the package, and safe whatever a block claims."""

import contextlib
import hashlib
import json
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.binary_cbor import Malformed
from codec.binary_dictionary import EMPTY, PLAN_MAX_BYTES, PLANS_KEPT, Dictionary, load, load_all, shipped
from codec.binary_frames import SIZE_CLASSES
from codec.jid import JID

SHIPPED = {"0001": "0a2eea3d1a462c7f"}
"""Never change a line of this, and never remove one: clients may know any of these dictionaries."""


def test_every_dictionary_ever_shipped_is_there_unchanged():
    assert {name: load(name).id.hex() for name in shipped()} == SHIPPED


def test_the_id_is_the_hash_of_both_files():
    folder = resources.files("codec") / "dictionaries"
    for name in shipped():
        data = (folder / f"{name}.json").read_bytes() + (folder / f"{name}.zstd").read_bytes()
        assert load(name).id == hashlib.sha256(data).digest()[:8]
        assert load_all()[load(name).id] is load(name)


def test_the_file_names_no_number_that_is_not_there():
    dictionary = load("0001")
    for index in range(len(dictionary.tables.chunks)):
        assert dictionary.chunk_plan(index).pieces
    assert len(set(dictionary.tables.chunks)) == len(dictionary.tables.chunks)
    assert len(set(dictionary.tables.values)) == len(dictionary.tables.values)


@given(st.text(min_size=20, max_size=400))
def test_a_block_comes_back(text):
    dictionary, data = load("0001"), text.encode()
    packed = dictionary.compress(data)
    if packed is not None:
        assert len(packed[1]) < len(data)
        assert dictionary.decompress(*packed) == data


@given(st.integers(1, 4), st.binary(max_size=300))
def test_any_block_is_read_or_refused(size_class, block):
    try:
        out = load("0001").decompress(size_class, block)
    except Malformed:
        return
    assert len(out) <= SIZE_CLASSES[size_class]


def test_a_block_that_holds_more_than_its_class_says_is_refused():
    size_class, block = load("0001").compress(b"x" * 100_000)
    assert SIZE_CLASSES[size_class] == 131_072
    assert len(block) < 100
    with pytest.raises(Malformed):
        load("0001").decompress(size_class - 1, block)


def test_a_block_of_another_dictionary_gives_something_else_or_nothing():
    size_class, block = load("0001").compress(b"Wherefore art thou, Romeo? The quick brown fox, that is." * 3)
    with contextlib.suppress(Malformed):
        assert Dictionary(EMPTY).decompress(size_class, block) != b"Wherefore art thou, Romeo?"


def test_what_is_too_large_for_one_block_stays_as_it_is():
    assert load("0001").compress(b"x" * 131_073) is None


def test_plans_and_addresses_are_kept_up_to_a_bound():
    dictionary = Dictionary(EMPTY)
    for n in range(PLANS_KEPT + 50):
        dictionary.plan(b"\x82\x81\x64x%03x\x80" % (n % 0x1000))
        dictionary.plan(b"\x82\x81\x78\x20" + b"y" * 32 + b"\x80")
    assert len(dictionary._plans) <= PLANS_KEPT
    long = b"\x82\x81\x79\x02\x00" + b"z" * PLAN_MAX_BYTES + b"\x80"
    dictionary.plan(long)
    assert long not in dictionary._plans
    for n in range(5_000):
        dictionary.address(JID.parse(f"user{n}@example.org"), "example.org")
        dictionary.read_address  # noqa: B018
    assert len(dictionary._addresses) <= 4_096


def test_an_unknown_chunk_has_no_plan():
    with pytest.raises(Malformed):
        load("0001").chunk_plan(100_000)


def test_an_address_is_read_as_it_was_written_and_from_memory_the_second_time():
    dictionary = load("0001")
    code = 4 * (len(dictionary.tables.resources) - 1)
    assert dictionary.read_address(code, "a@", "b", "example.org") == "a@example.org/b"
    assert dictionary.read_address(code, "a@", "b", "example.org") == "a@example.org/b"
    assert dictionary.read_address(code, "a@", "b", "example.net") == "a@example.net/b"


def test_tables_without_an_entry_will_do():
    assert json.loads(EMPTY)["chunks"] == []
    assert Dictionary(EMPTY).tables.letters == []


def test_a_block_is_the_smaller_of_two_tries():
    dictionary = load("0001")
    winners = set()
    for n in range(1, 12):
        data = b"<x>The coven of witches met at noon.</x>" * n + b" by the tree" * (n % 3)
        found = dictionary.compress(data)
        if found is not None:
            sizes = [len(compressor.compress(data)) - 5 for compressor in dictionary._compressors]
            assert len(found[1]) in sizes
            assert dictionary.decompress(*found) == data
            winners.add(sizes.index(len(found[1])))
    assert winners == {0, 1}
