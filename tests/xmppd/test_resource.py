"""Accounts in memory and their resources."""

import asyncio
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from codec.jid import JID
from codec.stanza import Message, Presence
from xmppd.acks import Acks
from xmppd.resource import Account, Resource

ROMEO = JID.parse("romeo@example.org")


@dataclass
class Part:
    """What a module keeps of an account."""

    number: int = 0


@dataclass(slots=True)
class Notes:
    """What a module keeps of a resource."""

    ids: list[int] = field(default_factory=list)


class Bench:
    """An account, one resource of it, and what reaches the client."""

    def __init__(self) -> None:
        self.loads = 0
        self.may_load = asyncio.Event()
        self.may_load.set()
        self.account = Account(ROMEO, None, self._load)
        self.sent: list[str] = []
        self.delivered: list[int] = []
        self.stream = SimpleNamespace(send=lambda stanza: self.sent.append(stanza.id), is_connected=True)
        self.resource = Resource(
            ROMEO.with_resource("x"),
            self.account,
            self.stream,
            lambda resource, stanza, id_: self.delivered.append(id_),
        )
        self.account.resources["x"] = self.resource

    async def _load(self, account, cls):
        self.loads += 1
        number = self.loads
        await self.may_load.wait()
        return cls(number)


@pytest.fixture
async def bench():
    return Bench()


def message(id_):
    return Message.build(id=str(id_))


# accounts


async def test_lazy_part_is_loaded_once(bench):
    assert bench.account.loaded_part(Part) is None
    part = await bench.account.load_part(Part)
    assert part is await bench.account.load_part(Part) is bench.account.loaded_part(Part) is bench.account.part(Part)
    assert bench.loads == 1


async def test_part_that_two_load_at_once_is_the_same_for_both(bench):
    bench.may_load.clear()
    loading = [asyncio.create_task(bench.account.load_part(Part)) for _ in range(2)]
    await asyncio.sleep(0)
    bench.may_load.set()
    first, second = await asyncio.gather(*loading)
    assert first is second


async def test_dropped_part_is_loaded_anew(bench):
    await bench.account.load_part(Part)
    bench.account.drop_part(Part)
    bench.account.drop_part(Part)
    assert (await bench.account.load_part(Part)).number == 2


async def test_part_may_be_replaced(bench):
    bench.account.set_part(Part(7))
    assert bench.account.part(Part).number == 7


async def test_available_resources_are_those_with_presence(bench):
    assert bench.account.available() == []
    bench.resource.presence = Presence.build()
    assert bench.account.available() == [bench.resource]
    assert bench.resource.is_available


# what a module keeps of a resource


async def test_state_is_made_at_first_use_and_belongs_to_one_resource(bench):
    other = Resource(ROMEO.with_resource("y"), bench.account, bench.stream, lambda *_: None)
    assert not bench.resource.has_state(Notes)
    bench.resource.state(Notes).ids.append(1)
    assert bench.resource.state(Notes).ids == [1]
    assert other.state(Notes).ids == []


# sending


async def test_stanza_reaches_the_stream_and_counts_as_delivered_without_acks(bench):
    bench.resource.send(message(1), 11)
    bench.resource.send(message(2))
    assert (bench.sent, bench.delivered) == (["1", "2"], [11])


async def test_stanza_is_kept_until_acknowledged_with_acks(bench):
    bench.resource.acks = acks = Acks(None, lambda: None, 10, lambda: None)
    bench.resource.send(message(1), 11)
    assert (bench.sent, bench.delivered) == (["1"], [])
    assert [(stanza.id, id_) for stanza, id_ in acks.unacked] == [("1", 11)]
    assert acks.sent == 1


async def test_stanza_for_a_resource_that_hibernates_is_kept_in_order(bench):
    bench.resource.acks = acks = Acks("token", lambda: None, 10, lambda: None)
    bench.resource.send(message(1))
    bench.resource.stream = None
    bench.resource.send(message(2), 12)
    assert bench.sent == ["1"]
    assert [stanza.id for stanza, _ in acks.unacked] == ["1", "2"]


async def test_stanza_for_a_resource_without_stream_and_acks_does_not_count_as_delivered(bench):
    bench.resource.stream = None
    bench.resource.send(message(1), 11)
    assert (bench.sent, bench.delivered) == ([], [])


async def test_ended_resource_takes_nothing(bench):
    bench.resource.acks = acks = Acks(None, lambda: None, 10, lambda: None)
    bench.resource.is_ended = True
    bench.resource.send(message(1), 11)
    assert (bench.sent, len(acks.unacked), acks.sent) == ([], 0, 0)


async def test_gate_may_keep_a_stanza_back(bench):
    kept = []
    bench.resource.gate = lambda stanza, id_: stanza.id == "1" and not kept.append((stanza.id, id_))
    bench.resource.send(message(1), 11)
    bench.resource.send(message(2))
    assert (bench.sent, kept) == (["2"], [("1", 11)])
    bench.resource.transmit(message(1), 11)
    assert bench.sent == ["2", "1"]


async def test_overflow_is_told_once(bench):
    overflows = []
    bench.resource.acks = Acks(None, lambda: None, 3, lambda: overflows.append(1))
    for number in range(3):
        bench.resource.send(message(number))
    assert overflows == []
    for number in range(10):
        bench.resource.send(message(number))
    assert overflows == [1]


async def test_nothing_else_can_be_hung_on_a_resource(bench):
    for thing in (bench.resource, bench.account):
        with pytest.raises(AttributeError):
            thing.note = 1
