"""A virtual host: how its hooks are run, and which accounts it keeps in memory."""

import asyncio
import dataclasses

import pytest

from codec.element import Element
from codec.jid import JID
from codec.stanza import IQ, Message
from storage.interface import AccountRecord, KeyValStore, MapStore, StorageError, StorageFull
from storage.memory import MemoryBackend
from xmppd import sessions
from xmppd.clock import Clock
from xmppd.config_sources import load_config
from xmppd.eager import run_eagerly
from xmppd.errors import StanzaError
from xmppd.hooks import AccessEvent, DeliveredEvent, Filter, Signal, presence_access, stanza_delivered
from xmppd.host import Shared
from xmppd.metrics import Metrics

ROMEO = JID.parse("romeo@example.org")
CHECK: Filter[list[str]] = Filter("check", "Letters gather here.")
TOLD: Signal[list[str]] = Signal("told", "Letters gather here.")


@pytest.fixture
async def world(make_world):
    return await make_world()


@pytest.fixture
async def host(world):
    return world.host()


def adding(letter, *, is_async=False):
    """Return a handler that adds a letter and passes the event on."""

    def plain(event):
        event.append(letter)
        return event

    async def coroutine(event):
        await asyncio.sleep(0)
        return plain(event)

    return coroutine if is_async else plain


def raising(error, *, is_async=False):
    def plain(event):
        raise error

    async def coroutine(event):
        await asyncio.sleep(0)
        raise error

    return coroutine if is_async else plain


# filters and signals


async def run(host, event, waiting):
    return await host.run_filter_waiting(CHECK, event) if waiting else host.run_filter(CHECK, event)


@pytest.mark.parametrize("waiting", [False, True])
async def test_filter_passes_an_event_from_handler_to_handler(host, waiting):
    host.handlers[CHECK] = (adding("a"), lambda event: [*event, "b"], adding("c", is_async=waiting))
    assert await run(host, [], waiting) == ["a", "b", "c"]


@pytest.mark.parametrize("waiting", [False, True])
async def test_filter_without_handlers_passes_everything(host, waiting):
    event = []
    assert await run(host, event, waiting) is event


@pytest.mark.parametrize("waiting", [False, True])
async def test_handler_that_returns_nothing_ends_the_way(host, waiting):
    event = []
    host.handlers[CHECK] = (adding("a"), lambda event: None, adding("c"))
    assert await run(host, event, waiting) is None
    assert event == ["a"]


@pytest.mark.parametrize("waiting", [False, True])
@pytest.mark.parametrize(
    ("error", "condition"), [(StanzaError("forbidden"), "forbidden"), (KeyError("x"), "internal-server-error")]
)
async def test_handler_that_refuses_or_breaks_refuses_the_stanza(host, waiting, error, condition):
    event = []
    host.handlers[CHECK] = (raising(error, is_async=waiting), adding("c"))
    with pytest.raises(StanzaError) as raised:
        await run(host, event, waiting)
    assert (raised.value.condition, event) == (condition, [])


async def test_filter_that_may_wait_tells_that_there_is_no_room(host):
    host.handlers[CHECK] = (raising(StorageFull("full")),)
    with pytest.raises(StorageFull):
        await host.run_filter_waiting(CHECK, [])


@pytest.mark.parametrize("waiting", [False, True])
async def test_signal_tells_everybody_even_where_one_breaks(host, waiting):
    event = []
    host.handlers[TOLD] = (adding("a"), raising(KeyError("x"), is_async=waiting), adding("c", is_async=waiting))
    if waiting:
        await host.signal_waiting(TOLD, event)
    else:
        host.signal(TOLD, event)
    assert event == ["a", "c"]


async def test_delivery_is_told(host):
    told = []
    host.handlers[stanza_delivered] = (told.append,)
    message = Message.build()
    host.delivered("resource", message, 7)
    assert told == [DeliveredEvent("resource", message, 7)]


async def test_only_the_account_itself_and_whom_a_module_allows_may_see_it(host):
    account = await loaded(host)

    async def allow_juliet(event: AccessEvent):
        event.is_allowed = event.asker == "juliet@example.org/x"

    host.handlers[presence_access] = (allow_juliet,)
    askers = ("romeo@example.org/x", "romeo@example.org", "juliet@example.org/x", "nurse@example.org")
    assert [await host.may_see(account, JID.parse(asker)) for asker in askers] == [True, True, True, False]


# accounts in memory


async def loaded(host, jid=ROMEO):
    await host.account_store.create(AccountRecord(jid, {}))
    account = await host.load_account(jid)
    assert account is not None
    return account


@dataclasses.dataclass
class Part:
    """What a module keeps of an account."""

    number: int = 0


class SlowLoader:
    """Loads a part when a test lets it."""

    def __init__(self, host, *, is_lazy=False):
        self.calls = 0
        self.may_go = asyncio.Event()
        self.error = None
        host.part_loaders[Part] = (self, is_lazy)

    async def __call__(self, account):
        self.calls += 1
        await self.may_go.wait()
        if self.error is not None:
            raise self.error
        return Part(self.calls)


async def test_account_that_does_not_exist_is_none_and_not_remembered(host):
    assert await host.load_account(ROMEO) is None
    await host.account_store.create(AccountRecord(ROMEO, {}))
    assert (await host.load_account(ROMEO)).jid == ROMEO


async def test_account_is_loaded_with_its_parts_once_however_many_ask(host):
    loader = SlowLoader(host)
    await host.account_store.create(AccountRecord(ROMEO, {}))
    asking = [asyncio.create_task(host.load_account(ROMEO)) for _ in range(5)]
    await asyncio.sleep(0)
    assert host.accounts == {}, "nobody sees it before its parts are there"
    loader.may_go.set()
    accounts = await asyncio.gather(*asking)
    assert len(set(map(id, accounts))) == 1
    assert accounts[0].part(Part) == Part(1)
    assert await host.load_account(ROMEO) is accounts[0]


async def test_lazy_part_is_not_loaded_with_the_account(host):
    loader = SlowLoader(host, is_lazy=True)
    account = await loaded(host)
    assert loader.calls == 0
    loader.may_go.set()
    assert await account.load_part(Part) == Part(1)


async def test_failure_to_load_reaches_all_who_ask_and_is_not_remembered(host):
    loader = SlowLoader(host)
    loader.error = StorageError("broken")
    await host.account_store.create(AccountRecord(ROMEO, {}))
    asking = [asyncio.create_task(host.load_account(ROMEO)) for _ in range(3)]
    await asyncio.sleep(0)
    loader.may_go.set()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(result) for result in results] == [StorageError] * 3
    loader.error = None
    assert await host.load_account(ROMEO) is not None


async def test_one_that_gives_up_asking_leaves_the_others_waiting(host):
    loader = SlowLoader(host)
    await host.account_store.create(AccountRecord(ROMEO, {}))
    asking = [asyncio.create_task(host.load_account(ROMEO)) for _ in range(3)]
    await asyncio.sleep(0)
    asking[1].cancel()
    loader.may_go.set()
    results = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(results[1], asyncio.CancelledError)
    assert results[0] is results[2] is host.accounts[ROMEO]


async def test_idle_accounts_leave_memory_beyond_the_limit_and_those_with_resources_stay(make_world):
    host = (await make_world(settings={"limits.cached_accounts": 3})).host()
    busy = await loaded(host)
    await sessions.bind(busy, "x", None)
    for number in range(10):
        await loaded(host, JID.parse(f"idle{number}@example.org"))
    assert sorted(host.accounts) == ["idle7@example.org", "idle8@example.org", "idle9@example.org", ROMEO]


async def test_account_is_forgotten_only_without_resources(host):
    account = await loaded(host)
    resource = await sessions.bind(account, "x", None)
    host.forget(ROMEO)
    assert host.resource(ROMEO.with_resource("x")) is resource
    assert host.sessions() == [resource]
    await sessions.end(resource)
    host.forget(ROMEO)
    host.forget(ROMEO)
    assert (host.accounts, host.sessions(), host.resource(ROMEO.with_resource("x"))) == ({}, [], None)


# requests


def request(world, id_="r1"):
    return IQ.build(
        Element("urn:x q"), to=JID.parse("romeo@example.org/x"), from_=world.host().domain, type="get", id=id_
    )


async def test_request_may_be_made_outside_of_a_task(world):
    romeo, answers = await world.client("romeo@example.org/x"), []

    async def ask():
        answers.append(await world.host().request(request(world), 5))

    asyncio.get_running_loop().call_soon(lambda: run_eagerly(ask(), world.shared.spawn))
    assert (await romeo.next_stanza()).id == "r1"
    await romeo.send("<iq type='result' id='r1' to='example.org'/>")
    await world.settle()
    assert [answer.type for answer in answers] == ["result"]


async def test_answer_is_taken_once_and_only_from_whom_was_asked(world):
    romeo = await world.client("romeo@example.org/x")
    asking = asyncio.create_task(world.host().request(request(world), 5))
    await romeo.next_stanza()
    host = world.host()
    other = IQ(host.domain, JID.parse("juliet@example.org/x"), "r1", "result")
    right = IQ(host.domain, romeo.jid, "r1", "result")
    assert not host.take_answer(other)
    assert not host.take_answer(IQ(host.domain, None, "r1", "result"))
    assert host.take_answer(right)
    assert not host.take_answer(right)
    assert await asking is right
    assert not host.take_answer(right)


# the rest


async def test_stores_of_a_module_are_of_the_kind_it_wants(host):
    assert isinstance(host.open_store("m.a", KeyValStore), KeyValStore)
    assert isinstance(host.open_store("m.b", MapStore), MapStore)


async def test_later_is_later_and_may_be_cancelled(host):
    called = asyncio.Event()
    cancelled = host.call_later(0, lambda: pytest.fail("cancelled"))
    cancelled.cancel()
    host.call_later(0, called.set)
    await called.wait()


def test_nothing_can_be_routed_before_the_server_is_put_together():
    config = load_config(None, ['server.domains=["example.org"]', "c2s.require_tls=false"], {})
    backend = MemoryBackend()
    shared = Shared(config, backend, Clock(), Metrics())
    with pytest.raises(RuntimeError, match="not put together"):
        shared.route(Message.build())
