"""The tables: both sides agree, nothing grows, and a resumed session goes on with what surely arrived."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.binary_cbor import Malformed
from codec.binary_tables import MAX_VALUE_BYTES, SLOTS, SeenTable, SeenTables, SentTable, SentTables

VALUES = st.lists(st.integers(0, 120).map(lambda n: f"user{n}@example.org"), max_size=400)


def send(values, sent, seen):
    for value in values:
        slot = sent.find(value)
        if slot is None:
            slot = sent.insert(value)
            seen.put(slot, value)
        assert seen.get(slot) == value


@given(VALUES)
def test_a_slot_means_the_same_on_both_sides(values):
    send(values, SentTable(), SeenTable())


@given(VALUES, st.integers(0, 400), VALUES)
def test_after_a_rewind_only_what_arrived_is_referred_to(values, lost_after, later):
    sent, seen = SentTable(), SeenTable()
    for value in values:
        if sent.find(value) is None:
            slot = sent.insert(value)
            if seen.count < lost_after:
                seen.put(slot, value)
    sent.rewind(seen.count)
    send(later, sent, seen)


def test_the_value_not_used_for_longest_makes_room():
    sent = SentTable()
    for n in range(SLOTS):
        sent.insert(f"v{n}")
    sent.find("v0")
    assert sent.insert("new") == 1
    assert sent.find("v1") is None
    assert sent.find("v0") == 0
    assert len(sent.values()) == SLOTS


def test_long_values_are_not_kept():
    assert SentTable().insert("x" * (MAX_VALUE_BYTES + 1)) is None
    with pytest.raises(Malformed):
        SeenTable().put(0, "x" * (MAX_VALUE_BYTES + 1))


@pytest.mark.parametrize("slot", [-1, SLOTS, 1_000])
def test_there_are_no_other_slots(slot):
    with pytest.raises(Malformed):
        SeenTable().put(slot, "x")
    with pytest.raises(Malformed):
        SeenTable().get(slot)


def test_an_empty_slot_cannot_be_referred_to():
    seen = SeenTable()
    seen.put(5, "x")
    with pytest.raises(Malformed):
        seen.get(3)


def test_the_peer_cannot_have_more_than_was_sent():
    with pytest.raises(Malformed):
        SentTable().rewind(1)


@given(VALUES, VALUES)
def test_exported_tables_go_on_elsewhere(before, after):
    sent, seen = SentTables(), SeenTables()
    send(before, sent.jids, seen.jids)
    send([value.encode() for value in before[:50]], sent.values, seen.values)
    assert seen.counts == (sent.jids.count, sent.values.count)
    sent, seen = SentTables.restore(sent.export()), SeenTables.restore(seen.export())
    sent.rewind(*seen.counts)
    send(after, sent.jids, seen.jids)
    send([value.encode() for value in after], sent.values, seen.values)


def test_only_what_was_exported_is_restored():
    with pytest.raises(Malformed):
        SentTables.restore(b"\x00")
    with pytest.raises(Malformed):
        SeenTables.restore(b"\x81\x00")
