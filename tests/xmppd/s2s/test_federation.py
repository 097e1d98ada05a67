"""All dealings with other servers: who may send where, what outlives the process, and that nothing is dropped silently."""

import asyncio
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from codec.element import Element
from codec.jid import JID
from codec.stanza import Message
from storage.interface import Commit
from storage.memory import MemoryBackend
from tests.support.s2s import OURS, ROMEO, THEIRS, LoopTimers, Net, certificate, header, turns, until
from xmppd.errors import StanzaError
from xmppd.s2s.dial import CannotConnect

JULIET = f"juliet@{THEIRS}"
UNREACHABLE = CannotConnect("no server can be reached", is_dns_negative=False)


def stanza(id_="m1", from_=f"{ROMEO}/orchard", to=JULIET):
    body = Element("jabber:client body", {}, ("hi",))
    return Message.build(body, to=JID.parse(to), from_=JID.parse(from_), id=id_, type="chat")


def blocking(island, **lists):
    """Have the settings read anew."""
    given_ = island.world.shared.config.s2s.model_copy(update=lists)
    island.federation.policy.replace(given_)


@pytest.fixture
async def ours(net):
    return await net.island(OURS, "second.example")


# who may send where


async def test_it_takes_what_is_for_domains_that_are_not_ours(net, ours):
    net.down[THEIRS] = asyncio.Event()
    assert ours.world.shared.components.remote is ours.federation
    assert isinstance(ours.federation.take(stanza()), Commit)


async def test_nobody_sends_through_us_for_another_domain(ours):
    with pytest.raises(StanzaError, match="forbidden"):
        ours.federation.take(stanza(from_="x@third.example/r"))
    assert ours.routes() == []


async def test_hosts_and_components_are_ours_and_nothing_below_them(ours):
    ours.world.shared.components.add("rooms.example.org", ours.federation)
    domains = (OURS, "second.example", "rooms.example.org", "x.example.org", THEIRS, "")
    assert [domain for domain in domains if ours.federation.is_ours(domain)] == list(domains[:3])


async def test_each_of_our_domains_has_its_own_way(net, ours):
    net.down[THEIRS] = asyncio.Event()
    ours.federation.take(stanza())
    ours.federation.take(stanza(from_="x@second.example/r"))
    assert [(route.ours, route.theirs) for route in ours.routes()] == [(OURS, THEIRS), ("second.example", THEIRS)]


async def test_so_many_domains_and_no_more(net, ours, monkeypatch):
    monkeypatch.setattr("xmppd.s2s.federation.ROUTES", 1)
    net.down[THEIRS] = asyncio.Event()
    ours.federation.take(stanza())
    ours.federation.take(stanza("m2"))
    with pytest.raises(StanzaError, match="resource-constraint"):
        ours.federation.take(stanza(to="x@third.example"))


# lists that are read anew


async def test_what_is_for_a_blocked_domain_is_refused_from_the_moment_it_is_blocked(net, ours):
    net.down[THEIRS] = asyncio.Event()
    ours.federation.take(stanza())
    blocking(ours, block=(THEIRS,))
    for to in (JULIET, f"room@chat.{THEIRS}"):
        with pytest.raises(StanzaError, match="policy-violation"):
            ours.federation.take(stanza("m2", to=to))
    blocking(ours, block=())
    ours.federation.take(stanza("m3"))


async def test_where_some_are_allowed_all_others_are_refused(net, ours):
    net.down[THEIRS] = asyncio.Event()
    blocking(ours, allow=(THEIRS,))
    ours.federation.take(stanza())
    with pytest.raises(StanzaError, match="policy-violation"):
        ours.federation.take(stanza(to="x@third.example"))


async def test_what_waits_for_a_domain_goes_back_when_it_is_blocked(net, ours):
    romeo = await ours.client(f"{ROMEO}/orchard")
    net.down[THEIRS] = asyncio.Event()
    await romeo.send(f"<message to='{JULIET}' id='m1'><body>hi</body></message>")
    blocking(ours, block=(THEIRS,))
    ours.federation.tick()
    reply = await romeo.next_stanza()
    assert (reply.id, reply.type) == ("m1", "error") and b"policy-violation" in reply.to_xml()
    assert ours.stored() == []


async def test_a_blocked_domain_is_not_connected_to_and_its_streams_end(net, ours):
    romeo = await ours.client(f"{ROMEO}/orchard")
    await net.island(THEIRS)
    await romeo.send(f"<message to='{JULIET}' id='m1'><body>hi</body></message>")
    await until(lambda: not ours.stored())
    blocking(ours, block=(THEIRS,))
    for connection in list(ours.loop.connections):
        connection.tick(ours.loop.seconds, 60)
    await until(lambda: not ours.loop.connections)
    wire = ours.called(certificate(THEIRS))
    wire.stream.receive(header().encode())
    assert wire.condition == "policy-violation" and len(net.dialled) == 1


# the rate


async def test_a_rate_is_counted_by_domain_and_second(ours):
    federation = ours.federation
    assert [federation.is_too_fast("a", 2) for _ in range(3)] == [False, False, True]
    assert not federation.is_too_fast("b", 2)
    ours.loop.seconds += 1
    assert not federation.is_too_fast("a", 2)


# over a restart


async def test_what_was_stored_is_taken_up_by_the_next_process_in_order(net):
    backend = MemoryBackend()
    first = await net.island(OURS, backend=backend)
    romeo = await first.client(f"{ROMEO}/orchard")
    net.down[THEIRS] = asyncio.Event()
    await romeo.send(*(f"<message to='{JULIET}' id='m{number}'><body>hi</body></message>" for number in range(5)))
    await romeo.send(f"<iq to='{THEIRS}' id='p' type='get'><ping xmlns='urn:xmpp:ping'/></iq>")
    await first.federation.stop()
    assert len(first.stored()) == 5
    del net.down[THEIRS]
    theirs = await net.island(THEIRS)
    juliet = await theirs.client(f"{JULIET}/balcony")
    second = await net.island(OURS, backend=backend)
    await until(lambda: not second.stored())
    assert [arrived.id for arrived in await juliet.drain()] == [f"m{number}" for number in range(5)]


async def test_what_is_stored_for_a_domain_that_is_not_ours_any_more_stays(net):
    backend = MemoryBackend()
    first = await net.island("old.example", backend=backend)
    net.down[THEIRS] = asyncio.Event()
    await first.federation.take(stanza(from_="romeo@old.example/orchard"))
    await first.federation.stop()
    dialled = len(net.dialled)
    second = await net.island(OURS, backend=backend)
    await turns(5)
    assert (second.routes(), len(net.dialled)) == ([], dialled)
    assert await backend.map("s2s.queue").items(f"s2s old.example {THEIRS}")


async def test_what_is_stored_for_a_domain_that_is_blocked_now_goes_back(net):
    backend = MemoryBackend()
    first = await net.island(OURS, backend=backend)
    net.down[THEIRS] = asyncio.Event()
    await first.federation.take(stanza())
    await first.federation.stop()
    dialled = len(net.dialled)
    second = await net.island(OURS, backend=backend, settings={"s2s.block": [THEIRS]})
    second.federation.tick()
    await turns(5)
    assert (second.stored(), len(net.dialled)) == ([], dialled)


async def test_stopping_while_it_connects_ends_that_and_begins_nothing(net, ours):
    net.down[THEIRS] = asyncio.Event()
    ours.federation.take(stanza())
    await turns(3)
    (route,) = ours.routes()
    await ours.federation.stop()
    assert route._attempt is None
    ours.federation.take(stanza("m2"))
    ours.federation.take(stanza(to="x@third.example"))
    await turns(3)
    assert (net.dialled, len(ours.stored())) == ([THEIRS], 3)


async def test_stopping_while_it_logs_in_closes_that_connection(net, ours):
    theirs = await net.island(THEIRS)
    theirs.federation.ask = lambda *_: asyncio.sleep(3600)
    ours.federation.take(stanza())
    await until(lambda: ours.loop.connections)
    await ours.federation.stop()
    await until(lambda: not ours.loop.connections)
    assert len(ours.stored()) == 1


async def test_a_stream_that_ends_after_the_stop_leaves_what_it_had_in_storage(net, ours):
    romeo = await ours.client(f"{ROMEO}/orchard")
    theirs = await net.island(THEIRS)
    await romeo.send(f"<message to='{JULIET}' id='m1'><body>hi</body></message>")
    await until(lambda: not ours.stored())
    for connection in theirs.loop.connections:
        connection.pause_reading()
    await romeo.send(f"<message to='{JULIET}' id='m2'><body>hi</body></message>")
    await ours.federation.stop()
    ours.cut()
    await turns(5)
    assert len(ours.stored()) == 1 and len(net.dialled) == 1


# nothing is dropped silently


ACTIONS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(["message", "message", "message", "ping", "subscribe"])),
    st.tuples(st.just("turns"), st.integers(1, 25)),
    st.tuples(st.sampled_from(["cut", "cut theirs", "down", "up", "deaf", "their message"]), st.none()),
    st.tuples(st.just("wait"), st.sampled_from([1, 5, 40])),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    schedule=st.lists(ACTIONS, max_size=40),
    bidi=st.booleans(),
    dialback=st.booleans(),
)
def test_whatever_happens_each_message_arrives_in_order_or_comes_back(schedule, bidi, dialback):
    asyncio.run(
        _run(schedule, {"s2s.bidi": bidi, "s2s.authentication": "dialback" if dialback else "certificate-or-dialback"})
    )


async def _run(schedule, options):
    with pytest.MonkeyPatch.context() as patch:
        net = Net(patch)
        timers = LoopTimers(asyncio.get_running_loop())
        ours, theirs = await net.island(OURS, settings=options), await net.island(THEIRS, settings=options)
        juliet = await theirs.client(f"{JULIET}/balcony")
        romeo = await ours.client(f"{ROMEO}/orchard")
        sent = {"message": [], "ping": [], "subscribe": [], "theirs": []}
        try:
            numbers = count()
            for action, value in schedule:
                await _act(action, value, net, timers, ours, theirs, romeo, juliet, sent, numbers)
            await _end_well(net, timers, ours, theirs)
            _check(sent, await romeo.drain(), await juliet.drain())
        finally:
            await net.close()


async def _act(action, value, net, timers, ours, theirs, romeo, juliet, sent, numbers):
    number = next(numbers)
    if action == "put":
        sent[value].append(f"{value}{number}")
        romeo.stream.receive(
            {
                "message": f"<message to='{JULIET}' id='message{number}' type='chat'><body>hi</body></message>",
                "ping": f"<iq to='{THEIRS}' id='ping{number}' type='get'><ping xmlns='urn:xmpp:ping'/></iq>",
                "subscribe": f"<presence to='x{number}@{THEIRS}' id='subscribe{number}' type='subscribe'/>",
            }[value].encode()
        )
    elif action == "their message":
        sent["theirs"].append(f"theirs{number}")
        juliet.stream.receive(
            f"<message to='{ROMEO}' id='theirs{number}' type='chat'><body>x</body></message>".encode()
        )
    elif action == "turns":
        await turns(value)
    elif action == "wait":
        await timers.advance(value, ours, theirs)
        await ours.second()
        await theirs.second()
    elif action == "cut":
        ours.cut()
    elif action == "cut theirs":
        theirs.cut()
    elif action == "down":
        net.down[THEIRS] = net.down[OURS] = UNREACHABLE
    elif action == "up":
        net.down.clear()
    elif action == "deaf":
        for connection in list(theirs.loop.connections):
            connection.pause_reading()
    await turns(2)


async def _end_well(net, timers, ours, theirs):
    net.down.clear()
    ours.cut()  # whoever was deaf is gone
    theirs.cut()
    for _ in range(40):
        await net.quiet()
        await timers.advance(10, ours, theirs)
        await ours.second()
        await theirs.second()
        await net.quiet()
        if (
            not ours.stored()
            and not theirs.stored()
            and not any(len(route._queue) for route in (*ours.routes(), *theirs.routes()))
        ):
            return
    raise AssertionError("something waits for ever")


def _check(sent, got, received):
    refused = {reply.id for reply in got if reply.type == "error"}
    _check_order(sent["message"], [message.id for message in received if message.type == "chat"], refused)
    their_refused = {reply.id for reply in received if reply.type == "error"}
    _check_order(sent["theirs"], [message.id for message in got if message.type == "chat"], their_refused)


def _check_order(sent, arrived, refused):
    first = list(dict.fromkeys(arrived))
    assert first == [id_ for id_ in sent if id_ in set(first)], "out of order"
    assert set(sent) == set(first) | (refused & set(sent)), "lost"
