"""The tables: both sides agree, nothing grows, and a resumed session goes on with what surely arrived."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codec.binary_cbor import Malformed
from codec.binary_tables import (
    MAX_COUNT,
    MAX_VALUE_BYTES,
    NAME_BYTES,
    SLOTS,
    Claim,
    SeenTable,
    SeenTables,
    SentTable,
    SentTables,
    Tables,
)

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
    assert len(sent) == SLOTS


def test_long_values_are_not_kept():
    assert SentTable().insert("x" * (MAX_VALUE_BYTES + 1)) is None
    with pytest.raises(Malformed):
        SeenTable().put(0, "x" * (MAX_VALUE_BYTES + 1))


def test_length_is_that_on_the_wire():
    assert SentTable().insert("é" * (MAX_VALUE_BYTES // 2)) == 0
    assert SentTable().insert("é" * (MAX_VALUE_BYTES // 2 + 1)) is None
    with pytest.raises(Malformed):
        SeenTable().put(0, "é" * (MAX_VALUE_BYTES // 2 + 1))


def test_counts_never_begin_again():
    sent, seen = SentTable(), SeenTable()
    sent.count = seen.count = MAX_COUNT - 1
    assert sent.insert("last") == 0
    seen.put(0, "last")
    assert sent.insert("one too many") is None
    with pytest.raises(Malformed):
        seen.put(1, "one too many")
    sent.rewind(seen.count)
    assert sent.find("last") == 0


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


@given(VALUES, VALUES)
def test_tables_that_slept_are_as_they_were(before, after):
    sent, seen = SentTables(), SeenTables()
    send(before, sent.jids, seen.jids)
    order, packed = bytes(sent.jids._order), sent.jids._packed
    assert sent.sleep() == len(sent.export()) and seen.sleep() == len(seen.export())
    assert sent.sleep() == len(sent.export())
    assert (sent.jids._order, sent.jids._packed) == (order, packed)
    assert seen.counts == (sent.jids.count, 0)
    sent.sleep(), seen.sleep()
    send(after, sent.jids, seen.jids)


def test_after_sleep_too_only_what_may_be_lost_is_forgotten():
    sent = SentTables()
    for n in range(5):
        sent.jids.insert(f"user{n}@example.org")
    sent.sleep()
    sent.rewind(3, 0)
    assert [sent.jids.find(f"user{n}@example.org") for n in range(5)] == [0, 1, 2, None, None]
    assert sent.jids.insert("new@example.org") == 3


def test_asleep_full_tables_of_a_phone_take_nine_kib_at_most():
    tables = Tables("s1")
    for n in range(100):
        tables.sent.jids.insert(f"some.contact{n}@example.org/Conversations.aB3d")
        tables.sent.values.insert(n.to_bytes(20, "big"))
        tables.seen.jids.put(n % SLOTS, f"some.contact{n}@example.org")
        tables.seen.values.put(n % SLOTS, n.to_bytes(20, "big"))
    assert tables.sleep() < 9_216


CLAIMS = st.builds(
    Claim,
    st.integers(0, MAX_COUNT),
    st.integers(0, MAX_COUNT),
    st.sampled_from([b"", b"\0" * NAME_BYTES, b"\xff" * NAME_BYTES]),
)


@given(CLAIMS)
def test_claims_are_read_as_they_were_written(claim):
    assert Claim.read(claim.write()) == claim


@pytest.mark.parametrize("body", [b"", b"\1", b"\1\2\3", b"\x80", b"\1\x80\0", b"\1\2\3\4\5\6", b"\xff" * 13])
def test_a_claim_that_is_none_is_refused(body):
    with pytest.raises(Malformed):
        Claim.read(body)


def test_both_ends_name_tables_by_the_streams_id():
    client, server = Tables("s1"), Tables("s1")
    server.go_on(client.request())
    client.go_on(server.answer())
    with pytest.raises(Malformed):
        server.go_on(Tables("s2").request())
    assert Tables("").name == b""


def test_more_than_was_sent_cannot_be_claimed():
    with pytest.raises(Malformed):
        Tables("s1").go_on(Claim(0, 1))
