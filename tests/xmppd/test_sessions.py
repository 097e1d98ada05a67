"""The life of a bound resource."""

import asyncio
from types import SimpleNamespace

import pytest

from codec.jid import JID
from codec.stanza import Message, Presence
from xmppd import hooks, sessions
from xmppd.acks import Acks
from xmppd.errors import StanzaError

ROMEO = JID.parse("romeo@example.org")


def stream():
    """Return what a resource needs of a stream; `said` has what was asked of it."""
    said = []
    return SimpleNamespace(
        said=said,
        is_connected=True,
        send=said.append,
        end=lambda condition, text=None: said.append((condition, text)),
        close=lambda: said.append("close"),
    )


@pytest.fixture
async def world(make_world):
    world = await make_world()
    await world.account(ROMEO)
    return world


@pytest.fixture
async def host(world):
    return world.host()


@pytest.fixture
async def account(host):
    return await host.load_account(ROMEO)


def listen(host, hook, handler):
    """Have a handler take part at a hook."""
    host.handlers[hook] = (*host.handlers.get(hook, ()), handler)


def acks_with(count):
    acks = Acks("token", lambda: None, 100, lambda: None)
    for number in range(count):
        acks.keep(Message.build(id=str(number)), number)
    return acks


# bind


async def test_bound_resource_is_in_the_table_and_modules_are_told(host, account):
    told = []
    listen(host, hooks.resource_bound, lambda event: told.append((event.resource, host.resource(event.resource.jid))))
    its_stream = stream()
    resource = await sessions.bind(account, "orchard", its_stream)
    assert resource.jid == "romeo@example.org/orchard"
    assert (resource.stream, resource.account, resource.presence) == (its_stream, account, None)
    assert told == [(resource, resource)]


async def test_resource_of_the_same_name_ends_with_a_conflict(host, account):
    old = await sessions.bind(account, "orchard", stream())
    old_stream = old.stream
    new = await sessions.bind(account, "orchard", stream())
    assert old_stream.said == [("conflict", None)]
    assert (old.is_ended, new.is_ended) == (True, False)
    assert account.resources == {"orchard": new}


async def test_old_resource_is_unavailable_before_the_new_one_is_bound(host, account):
    order = []
    listen(host, hooks.presence_changed, lambda event: order.append(("gone", event.resource)))
    listen(host, hooks.resource_ended, lambda event: order.append(("ended", event.resource)))
    listen(host, hooks.resource_bound, lambda event: order.append(("bound", event.resource)))
    old = await sessions.bind(account, "orchard", stream())
    old.presence = Presence.build()
    new = await sessions.bind(account, "orchard", stream())
    assert order == [("bound", old), ("gone", old), ("ended", old), ("bound", new)]


async def test_two_that_bind_the_same_name_at_once_leave_one_resource_and_no_ghost(host, account):
    may_go = asyncio.Event()

    async def slowly(event):
        await may_go.wait()

    listen(host, hooks.presence_changed, slowly)
    old = await sessions.bind(account, "orchard", stream())
    old.presence = Presence.build()
    first = asyncio.create_task(sessions.bind(account, "orchard", stream()))
    await asyncio.sleep(0)
    second = await sessions.bind(account, "orchard", stream())
    may_go.set()
    first = await first
    assert account.resources == {"orchard": first}
    assert second.is_ended, "it would sit there, bound to nothing"
    assert not first.is_ended


async def test_more_resources_than_an_account_may_have_are_refused(make_world):
    world = await make_world(settings={"c2s.max_resources_per_account": 2})
    await world.account(ROMEO)
    account = await world.host().load_account(ROMEO)
    for name in "ab":
        await sessions.bind(account, name, stream())
    with pytest.raises(StanzaError, match="resource-constraint"):
        await sessions.bind(account, "c", stream())
    await sessions.bind(account, "a", stream())
    assert sorted(account.resources) == ["a", "b"]


# end


async def test_resource_that_ends_leaves_the_table_and_its_stream_is_told_why(host, account):
    told = []
    listen(host, hooks.resource_ended, lambda event: told.append((event.resource, event.reason)))
    resource = await sessions.bind(account, "orchard", stream())
    its_stream = resource.stream
    await sessions.end(resource, "policy-violation", "Too much.")
    assert its_stream.said == [("policy-violation", "Too much.")]
    assert (resource.is_ended, resource.stream, account.resources) == (True, None, {})
    assert told == [(resource, "policy-violation")]


async def test_resource_that_ends_without_a_reason_has_its_stream_closed(account):
    resource = await sessions.bind(account, "orchard", stream())
    its_stream = resource.stream
    await sessions.end(resource)
    assert its_stream.said == ["close"]


async def test_resource_that_hibernates_may_end(account):
    resource = await sessions.bind(account, "orchard", stream())
    resource.stream = None
    await sessions.end(resource, "policy-violation")
    assert resource.is_ended


async def test_resource_ends_once(host, account):
    told = []
    listen(host, hooks.resource_ended, told.append)
    resource = await sessions.bind(account, "orchard", stream())
    await asyncio.gather(*(sessions.end(resource) for _ in range(3)))
    assert len(told) == 1


async def test_ended_resource_is_seen_unavailable_only_where_it_was_available(host, account):
    seen = []
    listen(host, hooks.presence_changed, seen.append)
    silent = await sessions.bind(account, "silent", stream())
    await sessions.end(silent)
    assert seen == []
    resource = await sessions.bind(account, "orchard", stream())
    resource.presence = Presence.build()
    await sessions.end(resource)
    (event,) = seen
    assert (event.was_available, event.presence.type, event.presence.from_) == (True, "unavailable", resource.jid)
    assert resource.presence is None


async def test_what_was_not_acknowledged_goes_back_in_order_once_the_resource_is_unavailable(host, account):
    given_back = []
    listen(
        host,
        hooks.stanzas_undelivered,
        lambda event: given_back.extend((stanza.id, id_, event.resource.presence) for stanza, id_ in event.stanzas),
    )
    resource = await sessions.bind(account, "orchard", stream())
    resource.presence, resource.acks = Presence.build(), acks_with(3)
    await sessions.end(resource)
    assert given_back == [("0", 0, None), ("1", 1, None), ("2", 2, None)]
    assert not resource.acks.unacked


async def test_handler_that_breaks_keeps_no_other_from_being_told(host, account):
    def break_down(event):
        raise KeyError("a mistake of ours")

    told = []
    for hook in (hooks.presence_changed, hooks.stanzas_undelivered, hooks.resource_ended):
        listen(host, hook, break_down)
        listen(host, hook, lambda event, hook=hook: told.append(hook))
    resource = await sessions.bind(account, "orchard", stream())
    resource.presence, resource.acks = Presence.build(), acks_with(1)
    await sessions.end(resource)
    assert told == [hooks.presence_changed, hooks.stanzas_undelivered, hooks.resource_ended]


async def test_account_without_resources_may_leave_memory_and_one_with_them_may_not(host, account):
    resource = await sessions.bind(account, "orchard", stream())
    host.forget(ROMEO)
    assert host.accounts[ROMEO] is account
    await sessions.end(resource)
    host.forget(ROMEO)
    assert ROMEO not in host.accounts
