"""A stream with another server, whichever side opened it: what it may bring, what is known to have arrived, how it ends."""

from datetime import timedelta

import pytest

from codec.element import Element
from codec.events import StreamClosed
from codec.jid import JID
from codec.stanza import Message, Stanza
from storage.interface import Commit, StorageError
from tests.support.s2s import (
    ASKS_BIDI,
    ENABLE,
    FINGERPRINT,
    OURS,
    ROMEO,
    SM,
    THEIRS,
    certificate,
    header,
    ids,
    message,
    names,
    ping,
    presence,
    turns,
)
from xmppd.config import S2SConfig
from xmppd.s2s.limits import BUSY_TIMES
from xmppd.s2s.queue import Entry

UNANSWERED_S = int(S2SConfig().answer_timeout_s)
R = f"<r xmlns='{SM}'/>"


def acknowledges(count):
    return f"<a xmlns='{SM}' h='{count}'/>"


@pytest.fixture
async def ours(net):
    island = await net.island(OURS)
    await island.world.account(ROMEO)
    return island


class Route:
    """Takes the place of a route whose stanzas a stream carries."""

    def __init__(self, ours=OURS, theirs=THEIRS):
        self.ours, self.theirs = ours, theirs
        self.has, self.left, self.pumped, self.pinged = [], None, 0, 0

    def arrived(self, entries):
        self.has += [entry.id for entry in entries]

    def let_go(self, stream, entries):
        self.left = [entry.id for entry in entries]

    def pump(self):
        self.pumped += 1

    def ask_ping(self, stream):
        self.pinged += 1


def entry(number, stored=True, to=f"juliet@{THEIRS}", from_=ROMEO, size=10):
    stanza = Message.build(
        Element("jabber:client body", {}, ("x" * size,)), to=JID.parse(to), from_=JID.parse(from_), id=f"m{number}"
    )
    return Entry(stanza, number if stored else 0, 1e9)


def carrying(ours, *asks, route=None):
    """Return a stream that carries a route's stanzas, its connection, and the route."""
    wire = ours.proven(ASKS_BIDI)
    wire.say(*asks)
    stream = wire.stream
    (real,) = stream.routes
    route = route or Route()
    stream.routes[:] = [route]
    real.carrier = None
    return stream, wire, route


# what it may bring


async def test_stanzas_of_a_proven_pair_reach_the_account(ours):
    romeo = await ours.client(f"{ROMEO}/orchard")
    wire = ours.proven()
    await wire.ask(message("m1"))
    await romeo.expect(
        "<message from='juliet@verona.example/balcony' to='romeo@example.org' id='m1' type='chat'><body>hi</body>"
        "<stanza-id xmlns='urn:xmpp:sid:0' by='romeo@example.org' id='*'/></message>"
    )


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        (message(1, "x@third.example/r"), "invalid-from"),
        (message(1, f"x@sub.{THEIRS}"), "invalid-from"),
        (message(1, "romeo@example.org/orchard"), "invalid-from"),
        (message(1, to="x@elsewhere.example"), "host-unknown"),
        (message(1, to=f"x@{THEIRS}"), "host-unknown"),
        (message(1).replace(f"to='{ROMEO}'", ""), "improper-addressing"),
        (message(1).replace(f"from='juliet@{THEIRS}/balcony'", ""), "improper-addressing"),
        (message(1, "@@/"), "improper-addressing"),
        (presence("subscribe", "x@third.example"), "invalid-from"),
        (ping("p1", "third.example"), "invalid-from"),
    ],
)
async def test_stanzas_of_others_or_for_others_end_the_stream_unheard(ours, text, condition):
    romeo = await ours.client(f"{ROMEO}/orchard")
    wire = ours.proven()
    await turns(5)
    wire.stream.receive(text.encode())
    assert wire.condition == condition
    await romeo.expect_nothing()


async def test_before_proof_nothing_is_heard(ours):
    romeo = await ours.client(f"{ROMEO}/orchard")
    for text in (message("m1"), presence("subscribe"), ping("p1")):
        wire = ours.greeted(certificate(THEIRS))
        wire.stream.receive(text.encode())
        assert wire.condition == "not-authorized"
    await romeo.expect_nothing()


async def test_a_domain_of_ours_that_was_not_proven_to_hears_nothing(net):
    ours = await net.island(OURS, "second.example")
    wire = ours.proven()
    wire.stream.receive(message(1, to="x@second.example").encode())
    assert wire.condition == "invalid-from"


async def test_a_stanza_above_the_limit_before_proof_ends_the_stream_and_is_taken_after_it(ours):
    wire = ours.greeted(certificate(THEIRS))
    wire.stream.receive(message(1, body="x" * 20_000).encode())
    assert wire.condition == "policy-violation"
    wire = ours.proven()
    assert await wire.ask(message(1, body="x" * 20_000)) == []
    assert not wire.is_closing


async def test_a_request_that_is_none_is_answered_and_the_stream_goes_on(ours, net, monkeypatch):
    sent = []
    monkeypatch.setattr(ours.federation, "take", sent.append)
    wire = ours.proven(ASKS_BIDI)
    wire.say(ENABLE)
    await wire.ask(f"<iq from='juliet@{THEIRS}/b' to='{OURS}' id='x' type='get'/>", R)
    assert not wire.is_closing
    assert [(stanza.id, stanza.type) for stanza in sent] == [("x", "error")]


async def test_whoever_sends_faster_than_its_domain_may_is_read_more_slowly(net):
    ours = await net.island(OURS, settings={"s2s.stanzas_per_s": 3})
    await ours.world.account(ROMEO)
    wire, other = ours.proven(), ours.proven(from_="other.example")
    await wire.ask(*(message(number) for number in range(3)))
    assert not wire.is_throttled
    await wire.ask(message(4))
    assert wire.is_throttled
    await other.ask(message(1, "x@other.example/r"))
    assert not other.is_throttled
    ours.loop.tick()
    wire.is_throttled = False
    await wire.ask(message(5))
    assert not wire.is_throttled


# XEP-0198: what comes


async def test_what_came_before_enable_is_not_counted(ours):
    wire = ours.proven()
    await wire.ask(message("m1"))
    (enabled, ack) = await wire.ask(ENABLE, message("m2"), R)
    assert (enabled.name, ack.get("h")) == ("enabled", "1")


async def test_an_acknowledgement_waits_for_storage(ours, monkeypatch):
    commit = Commit()
    monkeypatch.setattr(ours.world.router, "message_from_elsewhere", lambda stanza: commit)
    wire = ours.proven()
    wire.say(ENABLE)
    assert await wire.ask(message("m1"), R) == []
    commit.finish()
    await turns(3)
    (ack,) = wire.take()
    assert (ack.name, ack.get("h")) == ("a", "1")


async def test_what_storage_refuses_is_not_acknowledged_and_ends_the_stream(ours, monkeypatch):
    commit = Commit()
    monkeypatch.setattr(ours.world.router, "message_from_elsewhere", lambda stanza: commit)
    wire = ours.proven()
    wire.say(ENABLE)
    await wire.ask(message("m1"), R)
    commit.finish(StorageError("the disk is gone"))
    await turns(3)
    assert names(wire.events) == ["error", "StreamClosed"]
    assert wire.condition == "internal-server-error"


async def test_the_last_acknowledgement_stands_before_the_end_and_nothing_behind_an_error(ours):
    wire = ours.proven()
    wire.say(ENABLE)
    await wire.ask(message("m1"))
    wire.stream.close()
    assert [*names(wire.events), wire.events[0].get("h")] == ["a", "StreamClosed", "1"]
    wire = ours.proven()
    wire.say(ENABLE)
    wire.stream.end("system-shutdown")
    assert names(wire.take()) == ["a", "error", "StreamClosed"]


async def test_requests_and_presence_count_too(ours):
    wire = ours.proven()
    wire.say(ENABLE)
    (ack,) = [
        event
        for event in await wire.ask(presence("probe"), ping("p1"), message("m1"), R)
        if not isinstance(event, Stanza)
    ]
    assert ack.get("h") == "3"


async def test_acknowledgements_mean_nothing_before_enable(ours):
    wire = ours.proven()
    wire.stream.receive(R.encode())
    assert wire.condition == "unsupported-stanza-type"


# XEP-0198: what leaves


async def test_what_is_acknowledged_has_arrived_and_the_rest_goes_back_in_order(ours):
    stream, wire, route = carrying(ours, ENABLE)
    for number in (1, 2, 3, 4):
        stream.transmit(entry(number))
    assert ids(wire.take()) == ["m1", "m2", "m3", "m4"]
    wire.say(acknowledges(2))
    assert route.has == [1, 2]
    wire.lose()
    assert route.left == [3, 4]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        (acknowledges(3), "undefined-condition"),
        (acknowledges("x"), "bad-format"),
        (acknowledges(-1), "bad-format"),
        (acknowledges(1 << 32), "bad-format"),
        (acknowledges(""), "bad-format"),
        (acknowledges("١"), "bad-format"),
    ],
)
async def test_acknowledgements_that_cannot_be_end_the_stream_and_nothing_is_lost(ours, text, condition):
    stream, wire, route = carrying(ours, ENABLE)
    stream.transmit(entry(1))
    stream.transmit(entry(2))
    wire.take()
    stream.receive(text.encode())
    assert wire.condition == condition
    assert (route.has, route.left) == ([], [1, 2])


async def test_an_acknowledgement_is_asked_for_behind_a_stanza_unless_one_is_awaited(ours):
    stream, wire, _ = carrying(ours, ENABLE)
    stream.transmit(entry(1))
    await turns(3)
    assert names(wire.take()) == ["message", "r"]
    for number in range(2, 22):
        stream.transmit(entry(number))
    await turns(3)
    assert "r" not in names(wire.take())  # one question is open
    wire.say(acknowledges(1))
    stream.transmit(entry(99))
    await turns(3)
    assert names(wire.take()) == ["message", "r"]


async def test_a_reminder_asks_about_what_is_left(ours):
    stream, wire, _ = carrying(ours, ENABLE)
    for number in (1, 2):
        stream.transmit(entry(number))
    await turns(3)
    wire.take()
    wire.say(acknowledges(1))
    assert stream in ours.reminders
    stream.remind()
    assert names(wire.take()) == ["r"]


async def test_who_does_not_acknowledge_is_given_up(ours):
    stream, wire, route = carrying(ours, ENABLE)
    stream.transmit(entry(1))
    await turns(3)
    ours.loop.seconds += UNANSWERED_S
    stream.tick(UNANSWERED_S, UNANSWERED_S)
    assert not wire.is_closing
    ours.loop.seconds += 1
    stream.tick(UNANSWERED_S + 1, UNANSWERED_S + 1)
    assert wire.is_closing
    wire.lose()
    assert route.left == [1]


async def test_who_talks_on_and_never_acknowledges_is_given_up_too(ours):
    stream, wire, route = carrying(ours, ENABLE)
    stream.transmit(entry(1))
    await turns(3)
    patience_s = int(ours.world.shared.config.s2s.answer_timeout_s)
    ours.loop.seconds += patience_s * BUSY_TIMES
    stream.tick(0, patience_s * BUSY_TIMES)
    assert not wire.is_closing
    ours.loop.seconds += 1
    stream.tick(0, patience_s * BUSY_TIMES + 1)
    assert wire.is_closing
    wire.lose()
    assert route.left == [1]


async def test_room_is_bounded_by_stanzas_and_by_bytes_that_are_not_acknowledged(net):
    ours = await net.island(OURS, settings={"s2s.queue_stanzas": 8})
    stream, wire, _ = carrying(ours, ENABLE)
    for number in range(1, 5):
        assert stream.has_room
        stream.transmit(entry(number))
    assert not stream.has_room
    wire.say(acknowledges(4))
    assert stream.has_room
    stream.acks.max_bytes = 100_000
    stream.transmit(entry(5, size=60_000))
    assert not stream.has_room and not wire.is_closing
    wire.say(acknowledges(5))
    assert stream.has_room
    wire.is_congested = True
    assert not stream.has_room


async def test_acknowledgements_make_room_for_what_waits(ours):
    stream, wire, route = carrying(ours, ENABLE)
    stream.transmit(entry(1))
    before = route.pumped
    wire.say(acknowledges(1))
    assert route.pumped > before
    stream.drained()
    assert route.pumped > before + 1


async def test_each_route_of_a_stream_gets_back_its_own_alone(net):
    ours = await net.island(OURS, "second.example")
    stream, wire, first = carrying(ours, ENABLE)
    second = Route("second.example")
    stream.routes.append(second)
    stream.transmit(entry(1))
    stream.transmit(entry(2, from_="x@second.example/r"))
    stream.transmit(entry(3))
    stream.transmit(entry(4, from_="x@second.example/r"))
    wire.say(acknowledges(2))
    wire.lose()
    assert (first.has, first.left, second.has, second.left) == ([1], [3], [2], [4])


# not managed


async def test_without_acknowledgements_a_ping_behind_stored_messages_tells_that_they_arrived(ours):
    stream, wire, route = carrying(ours)
    stream.transmit(entry(1))
    stream.transmit(entry(0, stored=False))
    await turns(3)
    assert route.pinged == 1
    sent = stream.pinged.sent
    stream.transmit(entry(2))
    stream.confirm(sent)
    assert route.has == [1]
    stream.remind()
    assert route.pinged == 2
    wire.lose()
    assert route.left == [2]


async def test_an_old_answer_to_a_ping_changes_nothing(ours):
    stream, wire, route = carrying(ours)
    stream.transmit(entry(1))
    stream.transmit(entry(2))
    stream.confirm(2)
    stream.confirm(1)
    assert route.has == [1, 2]
    wire.lose()
    stream.confirm(2)
    assert (route.has, route.left) == ([1, 2], [])


async def test_an_acknowledgement_tells_of_what_was_sent_before_enable_and_no_ping_disturbs_the_count(ours):
    stream, wire, route = carrying(ours)
    stream.transmit(entry(1))
    stream.transmit(entry(2))
    wire.say(ENABLE)
    stream.confirm(1)
    stream.remind()
    assert (route.pinged, names(wire.take())[-1]) == (0, "r")
    wire.say(acknowledges(0))
    assert route.has == [1, 2]
    stream.confirm(2)
    stream.transmit(entry(3))
    wire.say(acknowledges(1))
    assert (route.has, wire.is_closing) == ([1, 2, 3], False)


async def test_what_was_sent_before_enable_goes_back_before_what_was_sent_after_it(ours):
    stream, wire, route = carrying(ours)
    stream.transmit(entry(1))
    wire.say(ENABLE)
    stream.transmit(entry(2))
    wire.lose()
    assert route.left == [1, 2]


# the end


async def test_an_error_of_the_peer_closes_the_stream_and_nothing_is_lost(ours):
    stream, wire, route = carrying(ours, ENABLE)
    stream.transmit(entry(1))
    wire.take()
    events = wire.say(
        "<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error></stream:stream>"
    )
    assert isinstance(events[-1], StreamClosed) and wire.is_closing
    assert route.left == [1]


async def test_the_end_of_the_peers_stream_closes_ours(ours):
    _, wire, route = carrying(ours)
    assert names(wire.say("</stream:stream>")) == ["StreamClosed"]
    assert wire.is_closing and route.left == []


async def test_a_stream_is_let_go_once(ours):
    stream, wire, route = carrying(ours, ENABLE)
    stream.transmit(entry(1))
    stream.close()
    assert route.left == [1]
    route.left = "not called again"
    wire.lose()
    assert route.left == "not called again"


async def test_a_stream_without_connection_proves_nothing(ours):
    wire = ours.proven()
    stream = wire.stream
    assert (stream.is_secure, stream.doubt(THEIRS), stream.address) == (True, None, "127.0.0.1")
    wire.lose()
    assert (stream.is_secure, stream.doubt(THEIRS), stream.address) == (False, "it has shown no certificate", "")
    assert not stream.has_room


async def test_an_idle_stream_is_closed_and_one_that_waits_for_an_answer_is_not(net):
    ours = await net.island(OURS, settings={"s2s.idle_s": 30})
    stream, wire, _ = carrying(ours, ENABLE)
    ours.loop.seconds += 29
    stream.tick(29, 29)
    stream.tick(100, 100)  # the peer is silent, and we have sent something since
    assert not wire.is_closing
    ours.loop.seconds += 1
    stream.transmit(entry(1))
    ours.loop.seconds += 30
    stream.tick(30, 60)
    assert not wire.is_closing
    wire.say(acknowledges(1))
    stream.tick(30, 60)
    assert wire.is_closing


async def test_zero_seconds_mean_that_idle_streams_stay(net):
    ours = await net.island(OURS, settings={"s2s.idle_s": 0})
    wire = ours.proven()
    ours.loop.seconds += 10_000
    wire.stream.tick(10_000, 10_000)
    assert not wire.is_closing


async def test_where_a_certificate_is_pinned_its_dates_do_not_count(net, monkeypatch):
    ours = await net.island(OURS)
    policy = type(ours.federation.policy)
    terms = policy.terms
    monkeypatch.setattr(
        policy, "terms", lambda self, domain: type(terms(self, domain))(True, True, True, (FINGERPRINT,), 0)
    )
    expired = ours.world.clock.now() - timedelta(days=1)
    wire = ours.proven(shown=certificate("anybody.example", not_after=expired))
    assert wire.stream.heard
    wire.stream.tick(0, 1)
    assert not wire.is_closing


async def test_a_domain_that_is_blocked_while_its_stream_stands_is_sent_away(ours):
    wire, other = ours.proven(), ours.proven(from_="other.example")
    settings = ours.world.shared.config.s2s
    ours.federation.policy.replace(settings.model_copy(update={"block": (THEIRS,)}))
    wire.stream.tick(0, 1)
    other.stream.tick(0, 1)
    assert wire.condition == "policy-violation"
    assert not other.is_closing


async def test_a_blocked_domain_that_came_in_beside_another_ends_their_stream(ours):
    wire = ours.greeted(certificate(THEIRS, "second.example"))
    await wire.ask(
        f"<db:result from='{THEIRS}' to='{OURS}'>k</db:result>",
        f"<db:result from='second.example' to='{OURS}'>k</db:result>",
    )
    settings = ours.world.shared.config.s2s
    ours.federation.policy.replace(settings.model_copy(update={"block": ("second.example",)}))
    wire.stream.tick(0, 1)
    assert wire.condition == "policy-violation"


async def test_a_handler_that_breaks_ends_this_stream_alone(ours, monkeypatch):
    wire, other = ours.proven(), ours.proven()
    monkeypatch.setattr(ours.federation, "is_too_fast", lambda *_: 1 / 0)
    wire.stream.receive(message(1).encode())
    assert wire.condition == "internal-server-error"
    assert not other.is_closing
    assert names(other.say("</stream:stream>")) == ["StreamClosed"]


async def test_our_header_names_a_domain_of_ours_even_where_theirs_names_none(ours):
    (opened, *_) = ours.called().say(header(to=None))
    assert opened.from_ == OURS
