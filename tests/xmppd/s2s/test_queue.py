"""What waits for one domain: order, bounds, and what storage has of it."""

import pytest

from codec.stanza import IQ, Message, Presence
from codec.xml_reader import read_stanza
from storage.interface import StorageFull
from storage.memory import MemoryBackend
from xmppd.s2s.queue import STANZA_BYTES, Budget, Entry, Queue, is_kept, owner_of, pair_of

OWNER = owner_of("example.org", "verona.example")


def message(id_="m1", body="hi", type_="chat"):
    return read_stanza(
        f"<message to='juliet@verona.example' from='romeo@example.org/o' id='{id_}' type='{type_}'><body>{body}</body></message>".encode()
    )


def entry(number, until=100.0, stored=True):
    return Entry(message(f"m{number}"), number if stored else 0, until)


def ids(entries):
    return [waiting.stanza.id for waiting in entries]


@pytest.fixture
async def store():
    backend = MemoryBackend()
    await backend.open()
    return backend.map("s2s.queue")


def make(store, budget=None, max_stanzas=10, max_bytes=100_000):
    return Queue(OWNER, store, budget or Budget(1_000_000), max_stanzas, max_bytes)


async def test_what_is_put_is_taken_in_that_order(store):
    queue = make(store)
    for number in (1, 2, 3):
        queue.put(entry(number))
    assert [len(queue), *ids([queue.take(), queue.take(), queue.take()]), len(queue)] == [3, "m1", "m2", "m3", 0]


async def test_what_has_an_id_is_stored_until_it_is_forgotten_and_the_rest_never(store):
    queue = make(store)
    commit = queue.put(entry(1))
    assert commit is not None
    await commit
    assert queue.put(entry(2, stored=False)) is None
    queue.take()
    assert len(await store.items(OWNER)) == 1
    queue.forget([0, 1])
    assert await store.items(OWNER) == {}


async def test_nothing_is_written_where_nothing_was_stored(store, monkeypatch):
    queue = make(store)
    monkeypatch.setattr(store, "update", lambda *_: pytest.fail("written"))
    queue.put(entry(1, stored=False))
    queue.forget([0])


async def test_what_is_put_back_comes_before_all_others_in_its_order(store):
    queue = make(store)
    for number in (1, 2, 3):
        queue.put(entry(number))
    taken = [queue.take(), queue.take()]
    queue.put_back(taken)
    assert ids(queue.take_all()) == ["m1", "m2", "m3"]


async def test_those_whose_time_is_over_are_taken_out_and_the_rest_keep_their_order(store):
    queue = make(store)
    for number, until in ((1, 5.0), (2, 9.0), (3, 5.0), (4, 9.0)):
        queue.put(entry(number, until))
    assert queue.take_due(4.9) == []
    assert ids(queue.take_due(5.0)) == ["m1", "m3"]
    assert ids(queue) == ["m2", "m4"]


async def test_stanzas_are_counted(store):
    queue = make(store, max_stanzas=2)
    queue.put(entry(1))
    assert queue.has_room(message())
    queue.put(entry(2))
    assert not queue.has_room(message())


async def test_bytes_are_counted_with_what_a_stanza_costs_beside_them(store):
    size = len(message().inner) + STANZA_BYTES
    queue = make(store, max_bytes=2 * size)
    queue.put(entry(1))
    assert queue.has_room(message()) and not queue.has_room(message(body="hi!"))
    queue.put(entry(2))
    assert not queue.has_room(message())
    queue.take()
    assert queue.has_room(message())


async def test_all_queues_share_a_budget_and_give_back_what_leaves(store):
    size = len(message().inner) + STANZA_BYTES
    budget = Budget(2 * size)
    first, second = make(store, budget), make(store, budget)
    first.put(entry(1))
    second.put(entry(2))
    assert budget.left == 0
    assert not first.has_room(message()) and not second.has_room(message())
    first.take_due(1_000.0)
    assert budget.left == size and second.has_room(message())
    second.put_back([second.take()])
    assert budget.left == size
    second.take_all()
    assert budget.left == 2 * size


async def test_what_was_stored_is_read_again_in_order_with_a_new_time(store):
    queue = make(store)
    for number in (2, 1, 0x10):
        await queue.put(Entry(message(f"m{number}", "a &lt; b"), number, 5.0))
    again = make(store, budget := Budget(1_000_000))
    await again.load(77.0)
    entries = list(again)
    assert [(waiting.id, waiting.stanza.id, waiting.until) for waiting in entries] == [
        (1, "m1", 77.0),
        (2, "m2", 77.0),
        (0x10, "m16", 77.0),
    ]
    assert entries[0].stanza.to_xml() == message("m1", "a &lt; b").to_xml()
    assert budget.left < 1_000_000


async def test_what_was_stored_counts_even_beyond_the_bounds(store):
    queue = make(store)
    await queue.put(entry(1))
    budget = Budget(10)
    await make(store, budget).load(5.0)
    assert budget.left < 0


async def test_what_cannot_be_read_any_more_does_not_keep_the_rest_from_being_sent(store):
    queue = make(store)
    await queue.put(entry(1))
    await store.update(OWNER, {"0" * 15 + "2": b"<mess"})
    await queue.put(entry(3))
    again = make(store)
    assert await again.load(5.0) == ["0" * 15 + "2"]
    assert ids(again) == ["m1", "m3"]


async def test_what_storage_has_no_room_for_was_not_added(store, monkeypatch):
    def refuse(*_):
        raise StorageFull("no room")

    queue = make(store, budget := Budget(1_000_000))
    monkeypatch.setattr(store, "update", refuse)
    with pytest.raises(StorageFull):
        queue.put(entry(1))
    assert (len(queue), budget.left) == (0, 1_000_000)


@pytest.mark.parametrize(
    ("stanza", "expected"),
    [
        (message(), True),
        (message(type_="normal"), True),
        (message(type_="error"), False),
        (Message(None, None, "empty", "chat"), False),
        (Presence(None, None, None, "subscribe"), False),
        (IQ(None, None, "i", "get"), False),
    ],
)
def test_messages_that_say_something_are_kept_and_nothing_else(stanza, expected):
    assert is_kept(stanza) is expected


def test_an_owner_tells_its_pair():
    assert pair_of(OWNER) == ("example.org", "verona.example")
