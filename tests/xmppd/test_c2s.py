"""A client's stream: what it may do when, what becomes of its stanzas, and how it ends."""

import asyncio
import contextlib
import gc
from types import SimpleNamespace

import pytest

from codec.element import Element
from codec.events import StreamClosed, StreamOpened
from codec.jid import JID
from codec.limits import ReaderLimits
from codec.stanza import IQ, Message, Presence
from codec.xml_reader import XmlReader
from storage.interface import Commit, StorageError
from tests.support.chat import MESSAGES, SM
from tests.support.transport import Log, Transport
from xmppd.c2s import ACK_AFTER_STANZAS, ClientStream, limits_of
from xmppd.connection import Connection, Loop

TLS = "urn:ietf:params:xml:ns:xmpp-tls"
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
PING = "<iq type='get' id='{id}' to='{to}'><ping xmlns='urn:xmpp:ping'/></iq>"
ROMEO, JULIET = "romeo@example.org/orchard", "juliet@example.org/balcony"


@pytest.fixture
async def world(make_world):
    world = await make_world("xep_0199_ping", *MESSAGES)
    await world.account("romeo@example.org")
    await world.account("juliet@example.org")
    return world


def header(to="example.org", version="1.0"):
    attrs = "".join(f" {name}='{value}'" for name, value in (("to", to), ("version", version)) if value is not None)
    return f"<stream:stream{attrs} xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>".encode()


def open_stream(world, first=None):
    """Return a stream that got these bytes, and what it answered."""
    stream, connection = world.stream()
    stream.restart()
    connection.reader.restart()
    connection.events.clear()
    stream.host = None
    stream.receive(first or header())
    return stream, connection


def ended_with(connection):
    """Return the condition of the stream error that ended it; its end tag is the last thing."""
    assert connection.is_closing
    *_, error, closed = connection.events
    assert isinstance(closed, StreamClosed) and error.name == "error", connection.events
    return error.elements()[0].name


# header and features


async def test_our_header_answers_with_the_domain_and_an_id_nobody_knows(world):
    _, connection = open_stream(world)
    opened = connection.events[0]
    assert isinstance(opened, StreamOpened)
    assert (opened.from_, opened.version) == ("example.org", "1.0")
    assert len(opened.id) >= 16


@pytest.mark.parametrize("to", ["EXAMPLE.org", "example.org"])
async def test_domain_is_compared_as_a_prepared_name(world, to):
    stream, _ = open_stream(world, header(to))
    assert stream.host is world.host()


@pytest.mark.parametrize("to", ["example.com", "romeo@example.org", "", "a b", "x" * 2_000])
async def test_unknown_domain_ends_the_stream_behind_a_header(world, to):
    _, connection = open_stream(world, header(to))
    assert connection.events[0].from_ == "example.org"
    assert ended_with(connection) == "host-unknown"


async def test_header_without_a_domain_means_the_only_one(world):
    assert open_stream(world, header(None))[0].host is world.host()


async def test_header_without_a_domain_is_refused_where_there_are_several(make_world):
    world = await make_world(domains=("example.org", "example.com"))
    _, connection = open_stream(world, header(None))
    assert ended_with(connection) == "host-unknown"


async def test_another_domain_after_login_is_refused(make_world):
    world = await make_world(domains=("example.org", "example.com"))
    stream, connection = world.stream("example.org")
    stream._logged_in(JID.parse("romeo@example.org"))
    connection.reader.restart()
    stream.receive(header("example.com"))
    assert ended_with(connection) == "host-unknown"


@pytest.mark.parametrize("version", [None, "0.9", "2.0", "x"])
async def test_other_versions_are_refused(world, version):
    _, connection = open_stream(world, header(version=version))
    assert ended_with(connection) == "unsupported-version"


async def test_version_of_a_newer_minor_is_taken(world):
    stream, _ = open_stream(world, header(version="1.7"))
    assert stream.is_connected


async def test_plain_text_offers_tls_alone_where_it_is_required(make_world):
    world = await make_world("xep_0198_sm", settings={"c2s.require_tls": True})
    object.__setattr__(world.service, "tls", object())
    _, connection = open_stream(world)
    (starttls,) = connection.events[1].elements()
    assert starttls == Element(f"{TLS} starttls", {}, (Element(f"{TLS} required"),))


async def test_login_is_offered_beside_tls_where_it_is_not_required(world):
    object.__setattr__(world.service, "tls", object())
    _, connection = open_stream(world)
    names = [feature.name for feature in connection.events[1].elements()]
    assert names[:2] == ["starttls", "mechanisms"]


async def test_after_login_binding_is_offered_and_login_is_not(world):
    client = await world.login("romeo@example.org")
    tags = [feature.tag for feature in client.features.elements()]
    assert f"{BIND} bind" in tags
    assert f"{SASL} mechanisms" not in tags


# STARTTLS


async def test_starttls_drops_what_came_behind_it_in_plain_text(world):
    begun = []
    object.__setattr__(world.service, "tls", SimpleNamespace(context_for=lambda domain: domain))
    stream, connection = open_stream(world)
    connection.start_tls = lambda make_engine: begun.extend(make_engine.args)
    connection.events.clear()
    stream.receive(b"<starttls xmlns='%b'/>" % TLS.encode() + b"<auth xmlns='x'/>" + header()[:20])
    assert (connection.events, begun) == ([Element(f"{TLS} proceed")], ["example.org"])
    connection.tls = SimpleNamespace(end_point_hash=None)
    connection.reader.restart()
    stream.receive(header())
    assert [feature.name for feature in connection.events[-1].elements()] == ["mechanisms"]


async def test_starttls_where_there_is_none_fails_and_closes(world):
    stream, connection = open_stream(world)
    stream.receive(b"<starttls xmlns='%b'/>" % TLS.encode())
    assert connection.events[-2:] == [Element(f"{TLS} failure"), StreamClosed()]
    assert connection.is_closing


# what a stranger may


@pytest.mark.parametrize(
    "xml",
    [
        b"<message to='juliet@example.org'><body/></message>",
        b"<presence/>",
        b"<iq type='set' id='1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
        b"<iq type='get' id='1' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>",
        b"<iq type='get' id='1'/>",
        b"<iq to='@' type='get' id='1'/>",
        b"<enable xmlns='urn:xmpp:sm:3'/>",
        b"<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>",
        b"<whatever xmlns='urn:x'/>",
    ],
)
async def test_before_login_nothing_but_a_login_is_taken(world, xml):
    stream, connection = world.stream()
    stream.receive(xml)
    assert ended_with(connection) == "not-authorized"


async def test_login_in_plain_text_is_refused_where_tls_is_required(make_world):
    world = await make_world(settings={"c2s.require_tls": True})
    stream, connection = world.stream()
    stream.receive(b"<auth xmlns='%b' mechanism='PLAIN'>AGEAYg==</auth>" % SASL.encode())
    assert ended_with(connection) == "policy-violation"


async def test_request_before_login_is_refused_where_tls_is_required(make_world):
    world = await make_world(settings={"c2s.require_tls": True})
    stream, connection = world.stream()
    stream.receive(b"<iq type='get' id='1'><query xmlns='jabber:iq:register'/></iq>")
    assert ended_with(connection) == "policy-violation"


async def test_second_login_is_refused(world):
    client = await world.login("romeo@example.org")
    await client.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'>AGEAYg==</auth>")
    assert ended_with(client.connection) == "policy-violation"


async def test_stanza_of_more_than_10_kb_is_taken_after_login_alone(world):
    large = f"<iq type='get' id='{'x' * 10_000}' to='example.org'><ping xmlns='urn:xmpp:ping'/></iq>"
    stream, connection = world.stream()
    stream.receive(large.encode())
    assert ended_with(connection) == "policy-violation"
    romeo = await world.client(ROMEO)
    await romeo.send(large)
    assert (await romeo.next_stanza()).type == "result"


# binding


def bind(resource="", id_="b"):
    return f"<iq type='set' id='{id_}'><bind xmlns='{BIND}'>{resource}</bind></iq>"


def condition_of(stanza):
    return next(child.name for child in stanza.element("jabber:client error").elements() if child.name != "text")


async def test_wanted_resource_is_bound(world):
    client = await world.login("romeo@example.org")
    await client.send(bind("<resource>Orchard</resource>"))
    (result,) = client.connection.events
    assert (result.type, result.id) == ("result", "b")
    assert result.elements()[0].find(f"{BIND} jid").text == "romeo@example.org/Orchard"
    assert world.host().resource(JID.parse("romeo@example.org/Orchard")) is client.stream.resource


@pytest.mark.parametrize("resource", ["", "<resource/>"])
async def test_resource_is_made_up_where_the_client_leaves_it_to_us(world, resource):
    first, second = await world.login("romeo@example.org"), await world.login("romeo@example.org")
    for client in (first, second):
        await client.send(bind(resource))
    assert first.stream.resource.jid != second.stream.resource.jid
    assert len(first.stream.resource.jid.resourcepart) >= 16


@pytest.mark.parametrize("resource", ["x" * 1_024, "&#9;", "a&#x200E;b" + "y" * 2_000])
async def test_resource_that_is_none_is_refused_and_another_may_be_tried(world, resource):
    client = await world.login("romeo@example.org")
    await client.send(bind(f"<resource>{resource}</resource>"))
    (error,) = client.connection.events
    assert condition_of(error) == "bad-request"
    client.connection.events.clear()
    await client.send(bind("<resource>x</resource>"))
    assert client.connection.events[0].type == "result"


async def test_bind_without_an_id_is_refused(world):
    client = await world.login("romeo@example.org")
    await client.send(f"<iq type='set'><bind xmlns='{BIND}'/></iq>")
    assert condition_of(client.connection.events[0]) == "bad-request"
    assert client.stream.resource is None


@pytest.mark.parametrize("xml", ["<message/>", "<presence/>", PING.format(id="1", to="example.org")])
async def test_stanza_between_login_and_binding_ends_the_stream(world, xml):
    client = await world.login("romeo@example.org")
    await client.send(xml)
    assert ended_with(client.connection) == "not-authorized"


async def test_resource_bound_again_ends_the_one_that_has_it(world):
    old = await world.client(ROMEO, "<presence/>")
    new = await world.client(ROMEO)
    assert ended_with(old.connection) == "conflict"
    assert world.host().resource(JID.parse(ROMEO)) is new.resource
    await old.disconnect()
    assert world.host().resource(JID.parse(ROMEO)) is new.resource


async def test_account_has_no_more_resources_than_it_may(make_world):
    world = await make_world(settings={"c2s.max_resources_per_account": 2})
    first, _ = await world.client("romeo@example.org/1"), await world.client("romeo@example.org/2")
    third = await world.login("romeo@example.org")
    await third.send(bind())
    assert condition_of(third.connection.events.pop()) == "resource-constraint"
    await first.close()
    await third.send(bind())
    assert third.connection.events[0].type == "result"


async def test_removed_account_cannot_bind(world):
    client = await world.login("romeo@example.org")
    world.shared.backend.accounts.delete("romeo@example.org")
    await client.send(bind())
    assert ended_with(client.connection) == "not-authorized"


async def test_connection_lost_while_binding_leaves_no_resource_behind(world):
    client = await world.login("romeo@example.org")
    may_load = asyncio.Event()
    load = world.host().load_account

    async def slowly(jid):
        await may_load.wait()
        return await load(jid)

    world.host().load_account = slowly
    client.stream.receive(bind("<resource>x</resource>").encode())
    await client.disconnect()
    may_load.set()
    await world.settle()
    assert world.host().sessions() == []


# stanzas


async def test_stanza_gets_its_senders_full_address(world):
    romeo, juliet = await world.client(ROMEO), await world.client(JULIET)
    for from_ in ("", f"from='{ROMEO}'", "from='romeo@example.org'", "from='Romeo@EXAMPLE.ORG'"):
        await romeo.send(f"<message to='{JULIET}' {from_}/>")
        assert (await juliet.next_stanza()).from_ == ROMEO


@pytest.mark.parametrize(
    "from_", [JULIET, "juliet@example.org", "example.org", "romeo@example.org/other", "romeo@example.com/orchard"]
)
async def test_stanza_in_the_name_of_another_ends_the_stream_and_goes_nowhere(world, from_):
    romeo, juliet = await world.client(ROMEO), await world.client(JULIET)
    await romeo.send(f"<message to='{JULIET}' from='{from_}'/>")
    assert ended_with(romeo.connection) == "invalid-from"
    await juliet.expect_nothing()


async def test_malformed_address_is_told_and_the_stream_goes_on(world):
    romeo = await world.client(ROMEO)
    await romeo.send("<message id='7' to='a@b@c'/>")
    error = await romeo.expect(
        "<message id='7' type='error' from='romeo@example.org'>"
        "<error type='modify'><jid-malformed xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
    )
    assert isinstance(error, Message)
    await romeo.send(PING.format(id="1", to="example.org"))
    assert (await romeo.next_stanza()).id == "1"


@pytest.mark.parametrize("stanza", ["<message to='@' type='error'/>", "<iq to='@' type='result' id='1'/>"])
async def test_malformed_address_of_an_error_is_not_answered(world, stanza):
    romeo = await world.client(ROMEO)
    await romeo.send(stanza)
    await romeo.expect_nothing()
    assert romeo.stream.is_connected


async def test_unknown_child_of_the_stream_ends_it(world):
    romeo = await world.client(ROMEO)
    await romeo.send("<whatever xmlns='urn:x'/>")
    assert ended_with(romeo.connection) == "unsupported-stanza-type"


async def test_every_kind_of_stanza_is_counted(world):
    romeo = await world.client(ROMEO)
    before = dict(world.shared.metrics.stanzas_received)
    await romeo.send("<message to='x@example.org'/>", "<presence/>", PING.format(id="1", to="example.org"))
    after = world.shared.metrics.stanzas_received
    assert {kind: after[kind] - before[kind] for kind in after} == {"message": 1, "presence": 1, "iq": 1}


async def test_answer_comes_after_those_of_stanzas_before_it_that_had_to_wait(world):
    romeo = await world.client(ROMEO)
    romeo.stream.receive(
        f"<message id='1' type='groupchat' to='juliet@example.org'/>{PING.format(id='2', to='example.org')}"
        f"<message id='3' type='groupchat' to='juliet@example.org'/>{PING.format(id='4', to='example.org')}".encode()
    )
    assert [(await romeo.next_stanza()).id for _ in range(4)] == ["1", "2", "3", "4"]


# acknowledgements


async def enabled(world, jid, resume=""):
    client = await world.client(jid)
    await client.send(f"<enable xmlns='{SM}' {resume}/>")
    client.connection.events.clear()
    return client


def nonzas(client):
    events, client.connection.events = client.connection.events, []
    return [event for event in events if isinstance(event, Element)]


async def test_stanzas_refused_in_any_way_are_counted(world):
    romeo = await enabled(world, ROMEO)
    await romeo.send(
        "<message to='@'/>",
        "<iq type='get' id='1'/>",
        "<iq type='result' id='1'/>",
        "<iq type='error' id='1' to='nobody@example.org/x'/>",
        "<message to='nobody@example.org'><body/></message>",
        "<message to='nobody@elsewhere.example'/>",
        "<presence to='nobody@example.org' type='subscribe'/>",
        PING.format(id="2", to="example.org"),
        f"<r xmlns='{SM}'/>",
    )
    assert [element.get("h") for element in nonzas(romeo) if element.name == "a"] == ["8"]


async def test_client_is_asked_after_some_stanzas_and_after_fewer_when_reminded(world):
    romeo, juliet = await world.client(ROMEO), await enabled(world, JULIET)
    for _ in range(ACK_AFTER_STANZAS - 1):
        await romeo.send(f"<message to='{JULIET}'/>")
    assert nonzas(juliet) == []
    assert juliet.stream in world.reminders
    juliet.stream.remind()
    assert [element.name for element in nonzas(juliet)] == ["r"]
    juliet.stream.remind()
    assert nonzas(juliet) == [], "one request at a time"
    await juliet.send(f"<a xmlns='{SM}' h='{ACK_AFTER_STANZAS - 1}'/>")
    for _ in range(ACK_AFTER_STANZAS):
        await romeo.send(f"<message to='{JULIET}'/>")
    assert [element.name for element in nonzas(juliet)] == ["r"]


async def test_reminder_that_comes_too_late_does_nothing(world):
    juliet = await enabled(world, JULIET)
    juliet.stream.remind()
    assert nonzas(juliet) == []
    await juliet.disconnect()
    juliet.stream.remind()


async def test_last_acknowledgement_comes_before_the_end_and_nothing_after_it(world):
    romeo, juliet = await world.client(ROMEO), await enabled(world, JULIET)
    for _ in range(ACK_AFTER_STANZAS):
        await romeo.send(f"<message to='{JULIET}'/>")
    await juliet.send("<presence/>")
    juliet.connection.events.clear()
    juliet.stream.receive(f"<r xmlns='{SM}'/></stream:stream>".encode())
    await world.settle()
    assert juliet.connection.events == [Element(f"{SM} a", {"h": "1"}), StreamClosed()]


async def test_stream_error_is_preceded_by_the_last_acknowledgement(world):
    romeo = await enabled(world, ROMEO)
    await romeo.send("<presence/>")
    romeo.connection.events.clear()
    romeo.stream.end("system-shutdown")
    assert [event.name for event in romeo.connection.events[:-1]] == ["a", "error"]
    assert romeo.connection.events[0].get("h") == "1"


# a real connection


class Wire:
    """A client of a real `Connection` whose transport is ours."""

    def __init__(self, world):
        self.log = Log()
        loop = Loop(asyncio.get_running_loop().call_soon, self.log, 1_000_000, 0)
        self.connection = Connection(loop, lambda it: ClientStream(it, world.service), None, False, lambda _: lambda: 0)
        self.transport = Transport("127.0.0.1")
        self.connection.connection_made(self.transport)
        self.stream = self.connection.stream
        self.reader = XmlReader(ReaderLimits(stanza_bytes=10_000_000))
        self.world = world

    async def login(self, full):
        jid = JID.parse(full)
        await self.say(header())
        self.stream._logged_in(jid.bare)
        self.reader.restart()
        await self.say(header())
        return await self.say(bind(f"<resource>{jid.resourcepart}</resource>").encode())

    async def say(self, data):
        self.connection.data_received(data)
        await self.world.settle()
        return self.heard()

    def heard(self):
        data, self.transport.sent = b"".join(self.transport.sent), []
        return self.reader.feed(data)


async def test_failed_commit_ends_the_stream_once_and_others_are_served(world):
    romeo, juliet = Wire(world), Wire(world)
    await romeo.login(ROMEO)
    await juliet.login(JULIET)
    await romeo.say(f"<enable xmlns='{SM}' resume='true'/>".encode())
    commit = Commit()
    romeo.stream.resource.acks.took(commit)
    commit.finish(StorageError("full"))
    juliet.connection.data_received(PING.format(id="1", to="example.org").encode())
    await world.settle()
    error, closed = romeo.heard()
    assert (error.elements()[0].name, closed) == ("internal-server-error", StreamClosed())
    assert romeo.transport.state == "closed"
    assert [event.id for event in juliet.heard()] == ["1"]


async def test_everything_of_one_turn_leaves_in_one_piece_with_its_acknowledgement(world):
    romeo = Wire(world)
    await romeo.login(ROMEO)
    await romeo.say(f"<enable xmlns='{SM}'/>".encode())
    romeo.connection.data_received((PING.format(id="1", to="example.org") + f"<r xmlns='{SM}'/>").encode())
    await world.settle()
    assert len(romeo.transport.sent) == 1
    result, ack = romeo.heard()
    assert (result.id, ack.get("h")) == ("1", "1")


async def test_slow_sender_costs_a_byte_a_time_and_is_understood(world):
    romeo = Wire(world)
    await romeo.login(ROMEO)
    for byte in PING.format(id="1", to="example.org").encode():
        romeo.connection.data_received(bytes([byte]))
    await world.settle()
    assert [event.id for event in romeo.heard()] == ["1"]


async def test_restricted_xml_ends_the_stream_and_its_resource(world):
    romeo = Wire(world)
    await romeo.login(ROMEO)
    error, _ = await romeo.say(b"<message><!-- -->")
    assert error.elements()[0].name == "restricted-xml"
    assert world.host().sessions() == []


async def test_whole_life_of_a_connection_leaves_no_garbage_to_collect(world):
    async def live(last_words):
        client = Wire(world)
        await client.login(ROMEO)
        await client.say(f"<enable xmlns='{SM}' resume='true'/><presence/>".encode())
        await client.say(last_words)
        client.connection.connection_lost(None)
        await world.settle()
        client.reader.close()
        client.reader._pool.close()

    endings = (b"</stream:stream>", b"<message><!-- -->", b"<message/><mess")
    for last_words in endings:
        await live(last_words)
    while gc.collect():
        pass
    gc.disable()
    try:
        for last_words in endings:
            await live(last_words)
        assert gc.collect() == 0
    finally:
        gc.enable()


# time


async def test_login_that_takes_too_long_ends(world):
    limit_s = world.shared.config.c2s.login_timeout_s
    for client in (world.stranger(), await world.login("romeo@example.org")):
        client.stream.tick(0, limit_s)
        assert client.stream.is_connected
        client.stream.tick(0, limit_s + 1)
        assert ended_with(client.connection) == "connection-timeout"


async def test_bound_client_may_stay_as_long_as_it_likes(world):
    romeo = await world.client(ROMEO)
    romeo.stream.tick(0, 1_000_000)
    assert romeo.stream.is_connected
    assert romeo.connection.events == []


@pytest.mark.parametrize("with_acks", [False, True])
async def test_silent_client_is_asked_once_and_then_cut_off(world, with_acks):
    c2s = world.shared.config.c2s
    romeo = await (enabled if with_acks else world.client)(*((world, ROMEO) if with_acks else (ROMEO,)))
    romeo.stream.tick(c2s.keepalive_s - 1, 1_000)
    assert romeo.connection.events == []
    romeo.stream.tick(c2s.keepalive_s, 1_000)
    romeo.stream.tick(c2s.keepalive_s + 5, 1_000)
    (asked,) = romeo.connection.events
    if with_acks:
        assert asked == Element(f"{SM} r")
    else:
        assert isinstance(asked, IQ)
        assert (asked.type, asked.from_, asked.to, asked.tags) == ("get", "example.org", ROMEO, ("urn:xmpp:ping ping",))
    romeo.stream.tick(c2s.keepalive_s + c2s.keepalive_timeout_s - 1, 1_000)
    assert romeo.stream.is_connected
    romeo.stream.tick(c2s.keepalive_s + c2s.keepalive_timeout_s, 1_000)
    assert not romeo.stream.is_connected


async def test_client_that_answers_is_asked_again_next_time(world):
    keepalive_s = world.shared.config.c2s.keepalive_s
    romeo = await world.client(ROMEO)
    for _ in range(2):
        romeo.stream.tick(keepalive_s, 1_000)
        assert len(romeo.connection.events) == 1
        romeo.connection.events.clear()
        romeo.stream.tick(3, 1_000)


async def test_silent_clients_are_left_alone_where_keepalive_is_off(make_world):
    world = await make_world(settings={"c2s.keepalive_s": 0})
    romeo = await world.client(ROMEO)
    romeo.stream.tick(1_000_000, 1_000_000)
    assert romeo.connection.events == []
    assert romeo.stream.is_connected


async def test_answer_to_our_own_ping_disturbs_nobody(world):
    romeo = await world.client(ROMEO)
    await romeo.send("<iq type='result' id='unasked' to='example.org'/>", "<iq type='result' id='unasked'/>")
    await romeo.expect_nothing()
    assert romeo.stream.is_connected


# the end


@pytest.mark.parametrize("how", ["close", "disconnect"])
async def test_resource_ends_with_its_stream_and_contacts_see_it_go(world, how):
    romeo, juliet = await world.client(ROMEO, "<presence/>"), await world.client(JULIET, "<presence/>")
    await romeo.send(f"<presence to='{JULIET}'/>")
    await juliet.drain()
    await getattr(romeo, how)()
    gone = await juliet.next_stanza()
    assert isinstance(gone, Presence)
    assert (gone.type, gone.from_) == ("unavailable", ROMEO)
    assert world.host().resource(JID.parse(ROMEO)) is None


async def test_message_for_a_client_that_has_just_said_goodbye_waits_for_it(world):
    romeo, juliet = await world.client(ROMEO), await world.client(JULIET, "<presence/>")
    juliet.stream.receive(b"</stream:stream>")  # and its socket does not close: it reads nothing
    romeo.stream.receive(b"<message to='juliet@example.org' type='chat'><body>late</body></message>")
    await world.settle()
    await juliet.disconnect()
    again = await world.client(JULIET)
    await again.send("<presence/>")
    assert [
        stanza.element("jabber:client body").text for stanza in await again.drain() if stanza.kind == "message"
    ] == ["late"]


async def test_lost_stream_that_can_be_resumed_keeps_its_resource_and_a_closed_one_does_not(world):
    romeo = await enabled(world, ROMEO, "resume='true'")
    await romeo.disconnect()
    assert world.host().resource(JID.parse(ROMEO)).stream is None
    juliet = await enabled(world, JULIET, "resume='true'")
    await juliet.close()
    assert world.host().resource(JID.parse(JULIET)) is None


async def test_stream_that_is_lost_lets_go_of_what_it_had_half_read(world):
    romeo = await world.client(ROMEO)
    await romeo.send("<message><body>never fini")
    assert romeo.stream.reader.pending_bytes > 0
    await romeo.disconnect()
    assert romeo.stream.reader.pending_bytes == 0


async def test_stream_that_is_lost_twice_or_has_ended_is_left_alone(world):
    romeo = await world.client(ROMEO)
    await romeo.disconnect()
    romeo.stream.lost()
    romeo.stream.end("conflict")
    romeo.stream.tick(10_000, 10_000)
    await romeo.send("<presence/>")
    assert romeo.connection.events == []


# several domains


async def test_domains_of_one_server_do_not_mix(make_world):
    world = await make_world(*MESSAGES, domains=("example.org", "example.com"))
    ours, theirs = await world.client("romeo@example.org/x"), await world.client("romeo@example.com/x")
    await ours.send("<message to='romeo@example.com/x' id='1'/>")
    assert (await theirs.next_stanza()).from_ == "romeo@example.org/x"
    await ours.expect_nothing()
    await ours.send("<message to='romeo@example.org/x' id='2'/>")
    assert (await ours.next_stanza()).id == "2"
    await theirs.expect_nothing()


def test_limits_come_from_the_settings():
    limits = SimpleNamespace(
        stanza_bytes_before_login=11_000, stanza_bytes=50_000, depth=20, attributes=30, children=40
    )
    before, after = limits_of(SimpleNamespace(limits=limits))
    assert before.stanza_bytes == 11_000
    assert (after.stanza_bytes, after.depth, after.attributes, after.children) == (50_000, 20, 30, 40)
    assert before.children <= 64
    with contextlib.suppress(AttributeError):
        before.depth = 1_000
    assert before.depth == 16
