"""Which slots of a work queue are worth a look."""

from storage.cassandra.work_slots import LATE_US, NEVER, REST_US, SLOT_BITS, Known, day_of, end_us, slot_of

NOW = 1_790_000_000_000_000


def test_a_time_lies_in_its_slot_and_a_slot_in_its_day() -> None:
    slot = slot_of(NOW)
    assert end_us(slot - 1) <= NOW < end_us(slot)
    assert end_us(slot) - end_us(slot - 1) == 1 << SLOT_BITS
    assert day_of(slot_of(NOW + 86_400_000_000)) - day_of(slot) in (1, 2)


def test_the_present_slot_never_rests() -> None:
    known = Known(rests={slot_of(NOW): 0})
    known.was_empty(slot_of(NOW), NOW)
    known.was_not_due(slot_of(NOW), NOW)
    assert known.rests == {slot_of(NOW): 0}


def test_an_empty_slot_that_is_over_rests_and_is_looked_at_no_more_when_it_is_long_over() -> None:
    slot = slot_of(NOW)
    known = Known(rests={slot: 0})
    soon, late = end_us(slot) + REST_US, end_us(slot) + LATE_US + 1
    known.was_empty(slot, soon)
    assert known.rests[slot] == soon + REST_US
    known.was_empty(slot, late)
    assert known.rests[slot] == NEVER


def test_the_floor_stays_below_a_slot_in_which_something_waits() -> None:
    slots = [slot_of(NOW) + n for n in range(3)]
    known = Known(rests=dict.fromkeys(slots, 0))
    late = end_us(slots[-1]) + 3 * LATE_US
    known.was_empty(slots[0], late)
    known.was_not_due(slots[1], late)
    known.was_empty(slots[2], late)
    known.raise_floor(late)
    assert known.floor == slots[1] and list(known.rests) == slots[1:]
    known.was_empty(slots[1], late)
    known.raise_floor(late)
    assert known.floor == slot_of(late - 2 * LATE_US) and known.rests == {}
    known.raise_floor(NOW)
    assert known.floor == slot_of(late - 2 * LATE_US)


def test_the_floor_stays_where_somebody_may_still_write() -> None:
    known = Known()
    known.raise_floor(NOW)
    assert end_us(known.floor) < NOW - LATE_US
