"""The counting behind XEP-0160: what has reached an account, and what still waits."""

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from xmppd.modules.xep_0160_delivery import MAX_HOLES, MAX_REACHED, Delivery


def read(delivery: Delivery, stored: Iterable[int], mark: int) -> list[int]:
    """Read all of storage up to the mark; return what is to be given."""
    after_id = delivery.start()
    found = [id_ for id_ in sorted(stored) if id_ > after_id and delivery.take(id_)]
    delivery.passed(mark)
    return found


def synced(cursor: int = 0) -> Delivery:
    delivery = Delivery((cursor,))
    read(delivery, (), cursor)
    return delivery


def test_what_waits_is_given_once_and_the_cursor_follows_what_is_confirmed() -> None:
    delivery = Delivery((10,))
    assert delivery.is_waiting and delivery.cursor == 10
    assert read(delivery, [5, 11, 12, 13], 20) == [11, 12, 13]
    assert not delivery.is_waiting and delivery.cursor == 10
    delivery.confirm(11)
    assert delivery.cursor == 11
    delivery.confirm(13)
    assert delivery.cursor == 11
    delivery.confirm(12)
    assert delivery.cursor == 13
    assert read(delivery, [11, 12, 13], 21) == []


def test_what_comes_live_is_on_its_way_until_it_is_confirmed() -> None:
    delivery = synced(10)
    delivery.came(11, True)
    delivery.came(12, True)
    assert delivery.is_on_the_way(11) and delivery.cursor == 10
    delivery.confirm(11)
    assert not delivery.is_on_the_way(11) and delivery.cursor == 11
    delivery.confirm(12)
    assert delivery.cursor == 12 and not delivery.is_waiting


def test_what_is_confirmed_while_it_is_handed_over_is_not_on_its_way_afterwards() -> None:
    delivery = synced(10)
    delivery.came(11, True)
    delivery.confirm(12)
    delivery.came(12, True)
    assert not delivery.is_on_the_way(12) and delivery.cursor == 10
    delivery.confirm(11)
    assert delivery.cursor == 12


def test_what_finds_nobody_is_read_later_and_nothing_else_with_it() -> None:
    delivery = synced(10)
    delivery.came(11, True)
    delivery.came(12, False)
    delivery.came(13, True)
    delivery.came(14, True)
    delivery.came(15, False)
    delivery.confirm(14)
    assert delivery.is_waiting
    assert read(delivery, range(11, 16), 20) == [12, 15]
    assert delivery.cursor == 10
    for id_ in (11, 12, 13, 15):
        delivery.confirm(id_)
    assert delivery.cursor == 15 and not delivery.is_waiting


def test_what_comes_live_before_storage_is_read_is_not_read_again() -> None:
    delivery = Delivery((10,))
    delivery.came(12, True)
    delivery.came(13, True)
    delivery.confirm(13)
    assert delivery.is_on_the_way(12) and not delivery.is_on_the_way(13)
    assert read(delivery, [11, 12, 13], 20) == [11]
    delivery.confirm(11)
    assert delivery.cursor == 11
    delivery.confirm(12)
    assert delivery.cursor == 20 or delivery.cursor == 13


def test_what_comes_while_storage_is_read_and_finds_nobody_is_left_for_the_next_time() -> None:
    delivery = Delivery((10,))
    after_id = delivery.start()
    delivery.came(30, False)
    delivery.came(31, True)
    assert [id_ for id_ in (11, 12) if id_ > after_id and delivery.take(id_)] == [11, 12]
    delivery.passed(20)
    assert delivery.is_waiting
    assert read(delivery, [11, 12, 30, 31], 40) == [30]
    assert not delivery.is_waiting


def test_a_lost_one_waits_and_is_given_again_without_those_around_it() -> None:
    delivery = synced(10)
    for id_ in (11, 12, 13):
        delivery.came(id_, True)
    delivery.confirm(13)
    assert delivery.lose(11) and not delivery.lose(13)
    assert delivery.is_waiting and not delivery.is_on_the_way(11)
    assert read(delivery, [11, 12, 13], 20) == [11]
    assert delivery.is_on_the_way(11) and not delivery.is_waiting
    delivery.confirm(11)
    delivery.confirm(12)
    assert delivery.cursor == 13


def test_one_that_is_lost_before_storage_was_read_is_found_there() -> None:
    delivery = Delivery((10,))
    delivery.came(12, True)
    assert delivery.lose(12)
    assert read(delivery, [11, 12], 20) == [11, 12]


def test_one_that_is_lost_while_storage_is_read_still_waits_afterwards() -> None:
    delivery = synced(10)
    for id_ in (11, 12):
        delivery.came(id_, True)
    delivery.lose(11)
    delivery.start()
    assert delivery.take(11)
    delivery.lose(11)
    assert not delivery.take(12)
    delivery.lose(12)
    delivery.passed(20)
    assert delivery.is_waiting
    assert read(delivery, [11, 12], 30) == [11, 12]


def test_one_whose_commit_failed_holds_nothing_up() -> None:
    delivery = synced(10)
    for id_ in (11, 12):
        delivery.came(id_, True)
    delivery.confirm(12)
    delivery.lose(11)
    assert read(delivery, [12], 20) == []
    assert delivery.cursor == 12 and not delivery.is_waiting


def test_one_on_its_way_that_storage_does_not_hold_is_confirmed_all_the_same() -> None:
    delivery = Delivery((10,))
    delivery.came(12, True)
    delivery.start()
    assert delivery.take(13)
    delivery.confirm(12)
    delivery.passed(20)
    delivery.confirm(13)
    assert not delivery.outstanding and delivery.cursor >= 13


def test_reading_that_stops_halfway_goes_on_where_it_was() -> None:
    delivery = Delivery((10,))
    assert delivery.start() == 10
    assert delivery.take(11) and delivery.take(12)
    assert delivery.start() == 12
    delivery.confirm(11)
    assert delivery.cursor == 11, "the cursor follows before all is read"
    assert delivery.take(13)


def test_who_knows_everything_up_to_an_id_is_not_given_it() -> None:
    delivery = Delivery((10,))
    delivery.came(14, True)
    delivery.know(13)
    assert delivery.cursor == 13
    assert read(delivery, range(11, 17), 20) == [15, 16]


def test_what_is_on_its_way_to_another_stays_so_whoever_knows_it() -> None:
    delivery = Delivery((10,))
    delivery.came(12, True)
    delivery.know(15)
    assert delivery.is_on_the_way(12) and delivery.cursor == 11
    assert delivery.lose(12)
    assert read(delivery, [11, 12, 15, 16], 20) == [12, 16]


def test_what_was_lost_need_not_wait_for_who_knows_it() -> None:
    delivery = synced(10)
    for id_ in (11, 12):
        delivery.came(id_, True)
        delivery.lose(id_)
    delivery.know(11)
    assert read(delivery, [11, 12], 20) == [12]


def test_what_a_page_of_the_history_gives_is_on_its_way() -> None:
    delivery = Delivery((10,))
    delivery.came(14, True)
    for id_ in (11, 12, 13):
        delivery.gave(id_)
    delivery.confirm(12)
    assert delivery.lose(13)
    assert read(delivery, [11, 12, 13, 14, 15], 20) == [13, 15]
    delivery.confirm(14)
    assert delivery.cursor == 10, "11 is still on its way"
    assert delivery.lose(11)
    assert read(delivery, [11, 12, 13, 14, 15], 20) == [11]


def test_a_page_of_the_history_gives_what_was_lost_and_leaves_alone_what_has_reached_somebody() -> None:
    delivery = synced(10)
    for id_ in (11, 12):
        delivery.came(id_, True)
    delivery.confirm(11)
    delivery.lose(12)
    for id_ in (11, 12):
        delivery.gave(id_)
    assert not delivery.is_waiting and delivery.is_on_the_way(12) and not delivery.is_on_the_way(11)


def test_only_so_many_are_remembered_before_storage_is_read() -> None:
    delivery = Delivery((0,))
    for id_ in range(1, MAX_REACHED + 100):
        delivery.confirm(id_)
    assert delivery.unread is not None and len(delivery.unread.reached) == MAX_REACHED


def test_a_state_lists_what_is_outstanding_below_what_has_reached_somebody() -> None:
    delivery = synced(10)
    for id_ in range(11, 16):
        delivery.came(id_, True)
    for id_ in (11, 13, 15):
        delivery.confirm(id_)
    assert delivery.state == (15, 12, 14)
    again = Delivery(delivery.state)
    assert again.cursor == 11 and again.is_waiting
    assert read(again, range(11, 18), 20) == [12, 14, 16, 17]


def test_a_state_lists_only_so_many_and_passes_nothing() -> None:
    delivery = synced(0)
    for id_ in range(1, 2 * MAX_HOLES + 11):
        delivery.came(id_, True)
        if id_ % 2:
            delivery.confirm(id_)
    state = delivery.state
    assert len(state) == MAX_HOLES + 1 and state[0] == 2 * MAX_HOLES + 1
    assert read(Delivery(state), range(1, state[0] + 1), 1_000) == list(state[1:])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_nothing_is_skipped_and_nothing_confirmed_is_given_again(data: st.DataObject) -> None:
    """Against a plain model: what was confirmed, what is on its way, what is stored."""
    stored: set[int] = set()
    confirmed: set[int] = set()
    way: set[int] = set()
    delivery = Delivery((0,))
    for clock in range(1, data.draw(st.integers(0, 40)) + 1):
        match data.draw(
            st.sampled_from(["live", "instant", "absent", "confirm", "lose", "read", "part", "load", "fail", "page"])
        ):
            case "live":
                stored.add(clock)
                way.add(clock)
                delivery.came(clock, True)
            case "instant":  # to a client without acks
                stored.add(clock)
                confirmed.add(clock)
                delivery.confirm(clock)
                delivery.came(clock, True)
            case "absent":
                stored.add(clock)
                delivery.came(clock, False)
            case "fail":  # delivered, but not committed
                way.add(clock)
                delivery.came(clock, True)
            case "confirm" if way:
                id_ = data.draw(st.sampled_from(sorted(way)))
                way.discard(id_)
                confirmed.add(id_)
                delivery.confirm(id_)
            case "lose" if way:
                id_ = data.draw(st.sampled_from(sorted(way)))
                way.discard(id_)
                assert delivery.lose(id_)
            case "read":
                found = read(delivery, stored, clock)
                assert found == sorted(stored - confirmed - way), "all that waits is given, and nothing else"
                assert not delivery.is_waiting
                way.update(found)
            case "part":
                after_id = delivery.start()
                some = [id_ for id_ in sorted(stored) if id_ > after_id][:2]
                found = [id_ for id_ in some if delivery.take(id_)]
                assert not set(found) & (confirmed | way)
                way.update(found)
            case "page" if stored:
                some = data.draw(st.sets(st.sampled_from(sorted(stored)), max_size=5))
                for id_ in sorted(some):
                    delivery.gave(id_)
                way.update(some - confirmed)
            case "load":  # a restart: only the cursor is left
                known_to, *holes = delivery.state
                delivery = Delivery(delivery.state)
                way.clear()
                kept = {id_ for id_ in stored if id_ <= known_to and id_ not in holes}
                assert kept <= confirmed, "a state passes nothing"
                confirmed = kept
        assert stored - confirmed <= {id_ for id_ in stored if id_ > delivery.cursor}, "the cursor passes nothing"
