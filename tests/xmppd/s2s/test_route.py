"""The way to another domain: what waits, when it is connected, what becomes of what cannot be sent."""

import asyncio

import pytest

from codec.element import Element
from codec.jid import JID
from codec.stanza import IQ, Message, Presence
from tests.support.s2s import OURS, ROMEO, THEIRS, LoopTimers, certificate, claim, turns, until
from xmppd.errors import StanzaError
from xmppd.s2s.dial import CannotConnect
from xmppd.s2s.limits import PENDING_PER_DOMAIN, RETRY_MOST_S
from xmppd.s2s.outgoing import CannotTalk

UNREACHABLE = CannotConnect("no server can be reached", is_dns_negative=False)
UNKNOWN = CannotConnect("DNS knows no such domain", is_dns_negative=True)
JULIET = f"juliet@{THEIRS}"
WAIT_S = 300
"""`s2s.message_wait_s`."""


@pytest.fixture
async def ours(net):
    island = await net.island(OURS)
    await island.world.account(ROMEO)
    return island


@pytest.fixture
async def theirs(net):
    island = await net.island(THEIRS)
    await island.world.account(JULIET)
    return island


@pytest.fixture
async def romeo(ours):
    return await ours.client(f"{ROMEO}/orchard")


@pytest.fixture
async def timers():
    return LoopTimers(asyncio.get_running_loop())


def message(id_, to=JULIET, body="hi"):
    return f"<message to='{to}' id='{id_}' type='chat'><body>{body}</body></message>"


def ping(id_, to=THEIRS):
    return f"<iq to='{to}' id='{id_}' type='get'><ping xmlns='urn:xmpp:ping'/></iq>"


def bounced(stanzas):
    """Return id and condition of each error among stanzas."""
    return [(stanza.id, _condition(stanza)) for stanza in stanzas if stanza.type == "error"]


def _condition(stanza):
    error = next(child for child in stanza.elements() if child.name == "error")
    return error.elements()[0].name


def arrived(stanzas):
    return [stanza.id for stanza in stanzas if stanza.type != "error" and stanza.kind == "message"]


# reaching it


async def test_messages_arrive_in_order_and_are_stored_until_they_have(net, ours, theirs, romeo):
    juliet = await theirs.client(f"{JULIET}/balcony")
    net.down[THEIRS] = gate = asyncio.Event()
    await romeo.send(*(message(f"m{number}") for number in range(30)))
    assert len(ours.stored()) == 30
    gate.set()
    await until(lambda: not ours.stored())
    assert arrived(await juliet.drain()) == [f"m{number}" for number in range(30)]
    assert net.dialled == [THEIRS]


async def test_one_connection_carries_answers_too_where_both_take_bidi(net, ours, theirs, romeo):
    await romeo.send(ping("p1"))
    await until(lambda: romeo.connection.events)
    (answer,) = await romeo.drain()
    assert (answer.id, answer.type, net.dialled) == ("p1", "result", [THEIRS])


async def test_without_bidi_each_side_opens_its_own(net, romeo):
    theirs = await net.island(THEIRS, settings={"s2s.bidi": False})
    await romeo.send(ping("p1"))
    await until(lambda: romeo.connection.events)
    assert (await romeo.drain())[0].type == "result"
    assert net.dialled == [THEIRS, OURS]
    assert theirs.routes()[0].carrier is not None


@pytest.mark.parametrize("bidi", [True, False])
@pytest.mark.parametrize("has_certificate", [True, False])
async def test_each_proof_leads_both_ways(net, bidi, has_certificate):
    settings = {"s2s.bidi": bidi}
    ours = await net.island(OURS, settings=settings, has_certificate=has_certificate)
    theirs = await net.island(THEIRS, settings=settings, has_certificate=has_certificate)
    romeo, juliet = await ours.client(f"{ROMEO}/orchard"), await theirs.client(f"{JULIET}/balcony")
    await romeo.send(message("m1"))
    await until(lambda: not ours.stored())
    await juliet.send(message("m2", ROMEO))
    await until(lambda: not theirs.stored())
    assert (arrived(await juliet.drain()), arrived(await romeo.drain())) == (["m1"], ["m2"])


async def test_a_domain_whose_key_is_shown_by_another_server_is_not_heard(net, ours, romeo):
    await net.island(THEIRS, has_certificate=False)
    wire = ours.greeted()
    wire.say(claim("forged"))
    await until(lambda: wire.is_closing)
    answer = wire.take()[0]
    assert (answer.get("type"), wire.stream is None or wire.stream.heard) == ("invalid", set())
    assert net.dialled == [THEIRS]


async def test_both_sides_begin_at_once_and_both_arrive(net):
    settings = {"s2s.authentication": "dialback"}
    ours, theirs = await net.island(OURS, settings=settings), await net.island(THEIRS, settings=settings)
    romeo, juliet = await ours.client(f"{ROMEO}/orchard"), await theirs.client(f"{JULIET}/balcony")
    net.down[THEIRS] = net.down[OURS] = gate = asyncio.Event()
    await romeo.send(message("m1"))
    await juliet.send(message("m2", ROMEO))
    gate.set()
    await until(lambda: not ours.stored() and not theirs.stored())
    assert (arrived(await juliet.drain()), arrived(await romeo.drain())) == (["m1"], ["m2"])


# what cannot be sent


async def test_a_domain_that_does_not_exist_is_refused_at_once(net, ours, romeo, timers):
    net.down[THEIRS] = UNKNOWN
    await romeo.send(message("m1"))
    assert bounced(await romeo.drain()) == [("m1", "remote-server-not-found")]
    await timers.advance(2, ours)
    await romeo.send(ping("p1"), message("m2"))
    await timers.advance(3, ours)
    await turns(10)
    assert sorted(bounced(await romeo.drain())) == [
        ("m2", "remote-server-not-found"),
        ("p1", "remote-server-not-found"),
    ]
    assert ours.stored() == []


async def test_a_server_that_cannot_be_reached_keeps_messages_waiting_and_nothing_else(net, ours, romeo, timers):
    net.down[THEIRS] = UNREACHABLE
    await romeo.send(message("m1"), ping("p1"), f"<presence to='{JULIET}' type='subscribe' id='s1'/>")
    await timers.advance(2, ours)  # one lost moment is waited for
    await turns(10)
    assert {id_: condition for id_, condition in bounced(await romeo.drain())} == {
        "p1": "remote-server-timeout",
        "s1": "remote-server-timeout",
    }
    assert len(ours.stored()) == 1


async def test_presence_nobody_asked_for_is_not_answered(net, ours, timers):
    net.down[THEIRS] = UNREACHABLE
    route = ours.federation._route(OURS, THEIRS)
    got = []
    ours.world.shared.route = got.append
    for type_, to in (("", JULIET), ("unavailable", JULIET), ("", f"{JULIET}/room"), ("probe", JULIET)):
        route.put(Presence(JID.parse(to), JID.parse(ROMEO), f"{type_ or 'available'} {to}", type_))
    await turns(10)
    assert [reply.id for reply in got] == [f"available {JULIET}/room", f"probe {JULIET}"]


async def test_what_is_an_answer_itself_is_answered_by_nobody(net, ours, timers):
    net.down[THEIRS] = UNKNOWN
    got = []
    ours.world.shared.route = got.append
    route = ours.federation._route(OURS, THEIRS)
    route.put(IQ(JID.parse(JULIET), JID.parse(OURS), "r", "result"))
    route.put(Message(JID.parse(JULIET), JID.parse(OURS), "e", "error"))
    await turns(10)
    assert got == [] and len(route._queue) == 0


async def test_a_message_whose_time_is_over_goes_back(net, ours, romeo, timers):
    net.down[THEIRS] = UNREACHABLE
    await romeo.send(message("m1"))
    await turns(10)
    ours.world.clock.advance(WAIT_S - 1)
    ours.federation.tick()
    assert len(ours.stored()) == 1
    ours.world.clock.advance(1)
    ours.federation.tick()
    await turns(5)
    assert bounced(await romeo.drain()) == [("m1", "remote-server-timeout")]
    assert ours.stored() == []


async def test_an_attempt_that_breaks_after_that_gives_it_back_at_once(net, ours, romeo, timers):
    net.down[THEIRS] = gate = asyncio.Event()
    await romeo.send(message("m1"))
    ours.world.clock.advance(WAIT_S)
    gate.set()  # and nobody is there, which is a mistake of the net
    await turns(10)
    assert bounced(await romeo.drain()) == [("m1", "remote-server-timeout")]


async def test_a_silent_server_costs_its_time_and_then_messages_wait(net, romeo, monkeypatch):
    ours = romeo.world
    object.__setattr__(ours.shared.config.s2s, "connect_timeout_s", 0.05)
    net.down[THEIRS] = asyncio.Event()
    await romeo.send(message("m1"), ping("p1"))
    await until(lambda: romeo.connection.events)
    assert bounced(await romeo.drain()) == [("p1", "remote-server-timeout")]


@pytest.mark.parametrize(("setting", "value"), [("s2s.queue_stanzas", 3), ("s2s.queue_bytes", 1_600)])
async def test_what_waits_is_bounded_and_the_rest_refused(net, setting, value):
    ours = await net.island(OURS, settings={setting: value})
    romeo = await ours.client(f"{ROMEO}/orchard")
    net.down[THEIRS] = asyncio.Event()
    await romeo.send(*(message(f"m{number}") for number in range(4)))
    assert bounced(await romeo.drain()) == [("m3", "resource-constraint")]
    assert len(ours.stored()) == 3


async def test_what_storage_has_no_room_for_is_refused(net, ours, romeo):
    from storage.interface import StorageFull

    def refuse(*_):
        raise StorageFull("no room")

    net.down[THEIRS] = asyncio.Event()
    route = ours.federation._route(OURS, THEIRS)
    route._queue._store.update = refuse
    with pytest.raises(StanzaError, match="resource-constraint"):
        route.put(stanza("m1"))
    del route._queue._store.update


def stanza(id_, from_=f"{ROMEO}/orchard"):
    body = Element("jabber:client body", {}, ("hi",))
    return Message.build(body, to=JID.parse(JULIET), from_=JID.parse(from_), id=id_, type="chat")


async def test_messages_of_our_accounts_are_stored_and_those_of_the_server_are_not(net, ours):
    net.down[THEIRS] = asyncio.Event()
    route = ours.federation._route(OURS, THEIRS)
    assert route.put(stanza("m1")) is not None
    assert route.put(stanza("m2", OURS)) is None
    assert len(ours.stored()) == 1


async def test_a_stanza_too_large_for_them_goes_back_and_those_behind_it_arrive(net, ours, romeo):
    theirs = await net.island(THEIRS, settings={"limits.stanza_bytes": 10_000})
    juliet = await theirs.client(f"{JULIET}/balcony")
    await romeo.send(message("m1"), message("m2", body="x" * 20_000), message("m3"))
    await until(lambda: not ours.stored())
    assert bounced(await romeo.drain()) == [("m2", "policy-violation")]
    assert arrived(await juliet.drain()) == ["m1", "m3"]


# trying again


async def test_the_wait_doubles_up_to_a_bound(net, ours, romeo, timers):
    net.down[THEIRS] = UNREACHABLE
    object.__setattr__(ours.world.shared.config.s2s, "message_wait_s", 100_000)
    await romeo.send(message("m1"))
    await turns(10)
    waits = []
    for _ in range(12):
        (delay,) = timers.delays
        waits.append(delay)
        await timers.advance(delay, ours)
        await turns(10)
    for number, delay in enumerate(waits):
        expected = min(RETRY_MOST_S, 2**number)
        assert 0.74 * expected <= delay <= 1.26 * expected, waits
    assert len(net.dialled) == 13


async def test_a_server_that_is_back_gets_what_waited(net, ours, theirs, romeo, timers):
    juliet = await theirs.client(f"{JULIET}/balcony")
    net.down[THEIRS] = UNREACHABLE
    await romeo.send(message("m1"), message("m2"))
    await turns(10)
    del net.down[THEIRS]
    await timers.advance(2, ours)
    await until(lambda: not ours.stored())
    assert arrived(await juliet.drain()) == ["m1", "m2"]


async def test_while_it_is_out_of_reach_nothing_is_tried_and_requests_are_refused_at_once(net, ours, romeo, timers):
    net.down[THEIRS] = UNREACHABLE
    await romeo.send(message("m1"))
    await turns(10)
    await timers.advance(2, ours)
    await turns(10)
    tried = len(net.dialled)
    await romeo.send(ping("p1"), message("m2"))
    await turns(10)
    assert bounced(await romeo.drain()) == [("p1", "remote-server-timeout")]
    assert (len(net.dialled), len(ours.stored())) == (tried, 2)


async def test_a_stream_that_they_open_carries_what_waits_before_its_time(net, ours, theirs, romeo, timers):
    juliet = await theirs.client(f"{JULIET}/balcony")
    net.down[THEIRS] = UNREACHABLE
    await romeo.send(message("m1"))
    await turns(10)
    await juliet.send(message("m2", ROMEO))
    await until(lambda: not ours.stored())
    assert arrived(await juliet.drain()) == ["m1"]
    assert net.dialled == [THEIRS, OURS]


# a stream that is lost


async def test_what_had_not_arrived_is_sent_again_on_another_stream(net, ours, theirs, romeo, timers):
    juliet = await theirs.client(f"{JULIET}/balcony")
    await romeo.send(message("m1"))
    await until(lambda: not ours.stored())
    for connection in theirs.loop.connections:
        connection.pause_reading()
    await romeo.send(message("m2"), message("m3"))
    await turns(10)
    ours.cut()
    await turns(10)
    await timers.advance(2, ours)
    await until(lambda: not ours.stored())
    assert arrived(await juliet.drain()) == ["m1", "m2", "m3"]
    assert net.dialled == [THEIRS, THEIRS]


async def test_a_request_on_a_stream_that_is_lost_is_answered_with_an_error(net, ours, theirs, romeo, timers):
    await romeo.send(message("m1"))
    await until(lambda: not ours.stored())
    for connection in theirs.loop.connections:
        connection.pause_reading()
    await romeo.send(ping("p1"))
    await turns(10)
    await romeo.drain()
    ours.cut()
    await turns(10)
    assert bounced(await romeo.drain()) == [("p1", "remote-server-timeout")]


async def test_an_answer_on_a_stream_that_is_lost_or_not_yet_made_is_sent_once_more(net, ours, timers):
    theirs = await net.island(THEIRS, settings={"s2s.bidi": False})
    net.down[THEIRS] = UNREACHABLE
    route = ours.federation._route(OURS, THEIRS)
    answer = IQ(JID.parse(THEIRS), JID.parse(OURS), "r1", "result")
    route.put(answer)
    await turns(10)
    assert [entry.stanza.id for entry in route._queue] == ["r1"]
    del net.down[THEIRS]
    await timers.advance(2, ours)
    await until(lambda: route.carrier is not None)
    await net.quiet()
    for connection in theirs.loop.connections:
        connection.pause_reading()
    route.put(answer.replace(id="r2"))
    await turns(5)
    ours.cut()
    await until(lambda: route.carrier is None)
    assert [entry.stanza.id for entry in route._queue] == ["r2"]
    net.down[THEIRS] = UNREACHABLE
    await timers.advance(2, ours)
    await turns(10)
    assert len(route._queue) == 0


async def test_a_server_that_always_hangs_up_is_called_less_and_less_and_the_message_keeps_its_time(
    net, ours, theirs, romeo, timers
):
    theirs.federation.make_incoming = hangs_up(theirs.federation.make_incoming)
    await romeo.send(message("m1"))
    for _ in range(60):
        await net.quiet()
        await timers.advance(10, ours)
        ours.federation.tick()
    assert len(net.dialled) < 12
    assert bounced(await romeo.drain()) == [("m1", "remote-server-timeout")]
    assert ours.stored() == []


def hangs_up(make):
    """Have streams end at the first stanza."""

    def made(connection):
        stream = make(connection)
        stream.service = _Copy(
            stream.service, federation=_Copy(stream.service.federation, is_too_fast=lambda *_: 1 / 0)
        )
        return stream

    return made


class _Copy:
    """Something with some attributes of its own."""

    def __init__(self, original, **own):
        self.__dict__.update(own)
        self._original = original

    def __getattr__(self, name):
        return getattr(self._original, name)


async def test_an_idle_stream_is_closed_and_the_next_stanza_opens_another(net, romeo, ours):
    theirs = await net.island(THEIRS, settings={"s2s.idle_s": 20})
    juliet = await theirs.client(f"{JULIET}/balcony")
    await romeo.send(message("m1"))
    await until(lambda: not ours.stored())
    await theirs.second(21)
    await until(lambda: not ours.loop.connections)
    assert ours.routes() == []
    await romeo.send(message("m2"))
    await until(lambda: not ours.stored())
    assert arrived(await juliet.drain()) == ["m1", "m2"]
    assert len(net.dialled) == 2


# keys


async def test_a_key_is_asked_of_the_domains_own_server_and_nothing_of_ours_is_proven(net):
    settings = {"s2s.authentication": "dialback"}
    ours, theirs = await net.island(OURS, settings=settings), await net.island(THEIRS, settings=settings)
    key = theirs.federation.service.keys.make(OURS, THEIRS, "s1")
    assert await ours.federation.ask(OURS, THEIRS, "s1", key) is True
    assert await ours.federation.ask(OURS, THEIRS, "s1", "forged") is False
    (route,) = ours.routes()
    assert (net.dialled, route.carrier) == ([THEIRS], None)


async def test_a_key_of_a_domain_that_has_no_server_is_an_error(net, ours):
    net.down[THEIRS] = UNKNOWN
    with pytest.raises(StanzaError, match="remote-server-not-found"):
        await ours.federation.ask(OURS, THEIRS, "s1", "k")


async def test_a_server_that_does_not_have_the_domain_is_an_error(net, ours):
    net.islands[THEIRS] = await net.island("other.example")
    with pytest.raises(StanzaError, match="remote-server-not-found"):
        await ours.federation.ask(OURS, THEIRS, "s1", "k")


async def test_a_server_that_is_silent_about_a_key_is_an_error_in_time(net, ours):
    object.__setattr__(ours.world.shared.config.s2s, "connect_timeout_s", 0.05)
    net.down[THEIRS] = asyncio.Event()
    with pytest.raises(StanzaError, match="remote-server-timeout"):
        await ours.federation.ask(OURS, THEIRS, "s1", "k")


async def test_a_server_that_hangs_up_instead_of_an_answer_is_an_error(net, ours, theirs):
    key = theirs.federation.service.keys.make(OURS, THEIRS, "s1")
    assert await ours.federation.ask(OURS, THEIRS, "s1", key)
    for connection in theirs.loop.connections:
        connection.pause_reading()
    asking = asyncio.ensure_future(ours.federation.ask(OURS, THEIRS, "s2", key))
    await turns(5)
    theirs.cut()
    with pytest.raises(StanzaError, match="remote-server-timeout"):
        await asking


async def test_questions_about_one_domain_are_bounded(net, ours):
    net.down[THEIRS] = asyncio.Event()
    asking = [
        asyncio.ensure_future(ours.federation.ask(OURS, THEIRS, f"s{number}", "k"))
        for number in range(PENDING_PER_DOMAIN)
    ]
    await turns(3)
    with pytest.raises(StanzaError, match="resource-constraint"):
        await ours.federation.ask(OURS, THEIRS, "one more", "k")
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    assert not ours.routes()[0]._verifying


# being forgotten


async def test_a_route_is_forgotten_when_nothing_is_left_to_do_or_to_remember(net, ours, romeo, timers):
    net.down[THEIRS] = UNKNOWN
    await romeo.send(message("m1"))
    await turns(10)
    (route,) = ours.routes()
    assert route.describe()["failure"] == "DNS knows no such domain"
    ours.world.clock.advance(2)
    ours.federation.tick()
    assert ours.routes() == []


async def test_a_route_that_was_forgotten_does_not_take_another_with_it(net, ours):
    net.down[THEIRS] = asyncio.Event()
    old = ours.federation._route(OURS, THEIRS)
    ours.federation.tick()
    assert ours.routes() == []
    new = ours.federation._route(OURS, THEIRS)
    new.put(stanza("m1"))
    old.tick()
    assert ours.routes() == [new]


async def test_how_a_route_stands_is_told(net, ours, theirs, romeo):
    net.down[THEIRS] = gate = asyncio.Event()
    await romeo.send(message("m1"))
    expected = {"ours": OURS, "theirs": THEIRS, "is_connected": False, "waiting": 1, "failure": None}
    assert ours.federation.describe() == [expected]
    gate.set()
    await until(lambda: not ours.stored())
    assert ours.federation.describe() == [{**expected, "is_connected": True, "waiting": 0}]


async def test_a_route_whose_carrier_they_opened_is_not_forgotten_with_a_stream_of_ours(net, ours, theirs):
    wire = ours.proven("<bidi xmlns='urn:xmpp:bidi'/>")
    (route,) = ours.routes()
    assert not await ours.federation.ask(OURS, THEIRS, "s1", "k")
    theirs.cut()
    await until(lambda: not ours.loop.connections)
    await turns(5)
    assert ours.routes() == [route] and route.carrier is wire.stream


async def test_a_stream_that_has_ended_carries_nothing(net, ours):
    wire = ours.proven("<bidi xmlns='urn:xmpp:bidi'/>")
    stream = wire.stream
    stream.close()
    ours.federation.offer(OURS, THEIRS, stream)
    assert all(route.carrier is None for route in ours.routes())


async def test_a_second_stream_does_not_take_over_from_the_one_that_carries(net, ours, theirs, romeo):
    await romeo.send(message("m1"))
    await until(lambda: not ours.stored())
    (route,) = ours.routes()
    carrier = route.carrier
    wire = ours.proven("<bidi xmlns='urn:xmpp:bidi'/>", shown=certificate(THEIRS))
    assert route.carrier is carrier and wire.stream.routes == []


async def test_a_connection_that_is_of_no_use_is_closed_and_the_next_is_tried(net, ours, romeo, theirs, monkeypatch):
    juliet = await theirs.client(f"{JULIET}/balcony")
    other = await net.island("other.example")
    good, tried = net.dial, []

    async def dial(resolver, domain, **options):
        for island in (other, theirs):
            tried.append(island.domain)
            net.islands[THEIRS] = island
            async for dialled in good(resolver, domain, **options):
                yield dialled

    monkeypatch.setattr("xmppd.s2s.route.dial", dial)
    await romeo.send(message("m1"))
    await until(lambda: not ours.stored())
    assert tried == ["other.example", THEIRS]
    assert arrived(await juliet.drain()) == ["m1"]
    await until(lambda: not other.loop.connections)


def test_reasons_have_one_condition_each():
    assert CannotTalk("remote-server-timeout", "x").condition == "remote-server-timeout"
    assert (UNKNOWN.condition, UNREACHABLE.condition) == ("remote-server-not-found", "remote-server-timeout")
