"""One socket: the outbox, back-pressure, TLS, PROXY headers and time; the transport is the tests' own."""

from functools import partial
from types import SimpleNamespace

import pytest

from tests.support.ca import make_test_ca
from tests.support.transport import Log, Transport
from xmppd.connection import CLOSE_TIMEOUT_S, HIGH_WATER_BYTES, Connection, Loop
from xmppd.tls import TlsStore
from xmppd.tls_engine import TlsEngine, TlsWorkspace


class Stream:
    """Writes down what it is told."""

    def __init__(self, connection) -> None:
        self.connection = connection
        self.received: list[bytes] = []
        self.told: list[object] = []
        self.is_busy = False
        self.drained_times = 0
        self.at_flush = lambda: None

    def receive(self, data):
        self.received.append(bytes(data))

    def before_flush(self):
        self.at_flush()

    def secured(self):
        self.told.append("secured")

    def drained(self):
        self.drained_times += 1

    def lost(self):
        self.told.append("lost")

    def tick(self, idle_s, age_s):
        self.told.append((idle_s, age_s))


class Bench:
    """A loop whose turns a test makes, and its connections."""

    def __init__(self, max_outbox_bytes=1_000_000, max_bytes_per_s=0) -> None:
        self.due = []
        self.log = Log()
        self.loop = Loop(self.due.append, self.log, max_outbox_bytes, max_bytes_per_s)
        self.admitted: list[str] = []
        self.is_full = False

    def turn(self):
        """End a turn of the event loop."""
        due = self.due.copy()
        self.due.clear()
        for callback in due:
            callback()

    def admit(self, address):
        if self.is_full:
            return None
        self.admitted.append(address)
        return lambda: self.admitted.remove(address)

    def connect(self, context=None, proxied=False):
        engine = None if context is None else partial(TlsEngine, context)
        connection = Connection(self.loop, Stream, engine, proxied, self.admit)
        connection.connection_made(Transport())
        return connection


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture(scope="module")
def contexts(tmp_path_factory):
    """Return a server's context and a client's."""
    authority = make_test_ca(tmp_path_factory.mktemp("ca"))
    leaf = authority.sign(["example.org"])
    store = TlsStore(SimpleNamespace(certificate=leaf.certificate, key=leaf.key, domains={}))
    client = authority.client_context()
    client.check_hostname = False
    return store.context_for(direct=True), client


# outbox


def test_everything_of_one_turn_leaves_in_one_piece(bench):
    connection = bench.connect()
    for data in (b"a", b"b", b"c"):
        connection.write(data)
    assert connection.transport.sent == []
    bench.turn()
    assert connection.transport.sent == [b"abc"]
    assert (bench.due, bench.loop.bytes_sent) == ([], 3)


def test_what_the_stream_adds_at_the_end_of_a_turn_leaves_with_the_rest(bench):
    connection = bench.connect()
    connection.stream.at_flush = lambda: connection.write(b"<a/>")
    connection.write(b"x")
    bench.turn()
    assert connection.transport.sent == [b"x<a/>"]
    assert bench.due == [], "no second turn for what has left"


def test_woken_stream_may_add_something_to_an_empty_outbox(bench):
    connection = bench.connect()
    connection.stream.at_flush = lambda: connection.write(b"<a/>")
    connection.wake_flush()
    connection.wake_flush()
    bench.turn()
    assert connection.transport.sent == [b"<a/>"]


def test_connection_that_breaks_keeps_nothing_from_the_others(bench):
    connections = [bench.connect() for _ in range(3)]

    def break_down():
        raise KeyError("a mistake of ours")

    connections[1].stream.at_flush = break_down
    for connection in connections:
        connection.write(b"x")
    with pytest.raises(KeyError):
        bench.turn()
    bench.turn()
    assert [connections[index].transport.sent for index in (0, 2)] == [[b"x"], [b"x"]]
    connections[1].stream.at_flush = lambda: None
    connections[1].write(b"y")
    bench.turn()
    assert connections[1].transport.sent == [b"xy"]


@pytest.mark.parametrize("fault", ["stream", "engine"])
def test_a_connection_whose_stream_cannot_be_made_does_not_stay_open(bench, fault):
    def broken(_):
        raise KeyError("a mistake of ours")

    make_stream = broken if fault == "stream" else Stream
    connection = Connection(bench.loop, make_stream, broken if fault == "engine" else None, False, bench.admit)
    transport = Transport()
    with pytest.raises(KeyError):
        connection.connection_made(transport)
    assert transport.state == "aborted"
    connection.connection_lost(None)
    assert (bench.admitted, bench.loop.connections) == ([], set())


def test_a_connection_whose_stream_cannot_be_made_behind_its_proxy_header_does_not_stay_open(bench):
    def broken(_):
        raise KeyError("a mistake of ours")

    connection = Connection(bench.loop, broken, None, True, bench.admit)
    transport = Transport()
    connection.connection_made(transport)
    with pytest.raises(KeyError):
        connection.data_received(b"PROXY UNKNOWN\r\n<stream>")
    assert transport.state == "aborted"
    connection.data_received(b"more")


# close


def test_close_sends_what_is_in_the_outbox_first(bench):
    connection = bench.connect()
    connection.write(b"bye")
    connection.close()
    assert (connection.transport.sent, connection.transport.state) == ([b"bye"], "closed")
    bench.turn()


def test_stream_that_closes_while_the_outbox_leaves_closes_once(bench):
    connection = bench.connect()

    def end():
        connection.write(b"error")
        connection.close()

    connection.stream.at_flush = end
    connection.write(b"x")
    bench.turn()
    assert (connection.transport.sent, connection.transport.state) == ([b"xerror"], "closed")


def test_what_is_written_to_a_closed_connection_is_not_kept(bench):
    connection = bench.connect()
    connection.close()
    for _ in range(100):
        connection.write(b"x" * 1_000)
        connection.wake_flush()
    bench.turn()
    assert connection._outbox == []
    assert connection.transport.sent == []


def test_peer_that_does_not_read_our_goodbye_is_cut_off(bench):
    connection = bench.connect()
    connection.close()
    assert connection.transport.state == "closed"
    connection.tick(bench.loop.seconds + CLOSE_TIMEOUT_S, 30)
    assert connection.transport.state == "closed"
    connection.tick(bench.loop.seconds + CLOSE_TIMEOUT_S + 1, 30)
    assert connection.transport.state == "aborted"


def test_stream_is_told_once_when_the_connection_is_lost(bench):
    connection = bench.connect()
    stream = connection.stream
    connection.connection_lost(None)
    assert stream.told == ["lost"]
    assert (bench.admitted, bench.loop.connections) == ([], set())
    connection.write(b"x")
    connection.close()
    connection.pause_reading()
    connection.resume_reading()
    connection.tick(1_000, 30)
    bench.turn()
    assert stream.told == ["lost"]


def test_nothing_is_read_after_close(bench):
    connection = bench.connect()
    connection.close()
    connection.data_received(b"x")
    assert connection.stream.received == []


async def test_all_closed_waits_for_the_last_one(bench):
    connections = [bench.connect() for _ in range(2)]
    waiting = bench.loop.all_closed()
    waiter = waiting.send(None)
    connections[0].connection_lost(None)
    assert not waiter.done()
    connections[1].connection_lost(None)
    assert waiter.done()
    with pytest.raises(StopIteration):
        waiting.send(None)


# back-pressure


def test_client_that_does_not_take_its_answers_is_not_read(bench):
    connection = bench.connect()
    transport = connection.transport
    transport.is_stuck = True
    connection.write(b"x" * (HIGH_WATER_BYTES + 1))
    bench.turn()
    assert not transport.is_reading
    connection.resume_reading()
    assert not transport.is_reading, "a handler that is done does not change that"
    connection.resume_writing()
    assert connection.stream.drained_times == 1
    assert transport.is_reading


def test_busy_stream_is_read_on_only_when_it_is_done(bench):
    connection = bench.connect()
    transport = connection.transport
    transport.is_stuck = True
    connection.write(b"x" * (HIGH_WATER_BYTES + 1))
    bench.turn()
    connection.stream.is_busy = True
    connection.resume_writing()
    assert not transport.is_reading
    connection.stream.is_busy = False
    connection.resume_reading()
    assert transport.is_reading


def test_client_that_never_reads_is_cut_off(bench):
    connection = bench.connect()
    connection.transport.is_stuck = True
    for _ in range(5):
        connection.write(b"x" * 250_000)
        bench.turn()
    assert connection.transport.state == "aborted"
    assert connection.is_closing
    assert bench.log.names == ["client_does_not_read"]


def test_client_that_sends_too_fast_is_read_on_in_the_next_second():
    bench = Bench(max_bytes_per_s=1_000)
    connection = bench.connect()
    connection.data_received(b"x" * 1_000)
    assert connection.transport.is_reading
    connection.data_received(b"x")
    assert not connection.transport.is_reading
    connection.resume_reading()
    assert not connection.transport.is_reading
    bench.loop.tick()
    assert connection.transport.is_reading
    connection.data_received(b"x" * 1_000)
    assert connection.transport.is_reading
    assert len(connection.stream.received) == 3, "what was read is dealt with"


def test_throttled_connection_that_goes_away_is_forgotten():
    bench = Bench(max_bytes_per_s=1)
    connection = bench.connect()
    connection.data_received(b"xx")
    connection.connection_lost(None)
    bench.loop.tick()
    assert bench.loop._throttled == []


# time


def test_stream_is_told_how_long_it_has_been_silent_and_how_old_it_is(bench):
    connection = bench.connect()
    for _ in range(7):
        bench.loop.tick()
    connection.data_received(b"x")
    for _ in range(3):
        bench.loop.tick()
    connection.tick(bench.loop.seconds, 30)
    assert connection.stream.told == [(3, 10)]


# admission and PROXY headers


def test_connection_that_is_not_admitted_is_closed_at_once(bench):
    bench.is_full = True
    connection = bench.connect()
    assert (connection.transport.state, connection.stream) == ("aborted", None)
    connection.data_received(b"x")
    connection.connection_lost(None)
    assert bench.loop.connections == set()


@pytest.mark.parametrize("size", [1, 7, 1_000])
def test_proxy_header_tells_the_address_and_what_follows_is_the_streams(bench, size):
    connection = bench.connect(proxied=True)
    assert (connection.stream, bench.admitted) == (None, [])
    data = b"PROXY TCP4 203.0.113.9 192.0.2.1 50000 5222\r\n<stream"
    for at in range(0, len(data), size):
        connection.data_received(data[at : at + size])
    assert (connection.address, bench.admitted) == ("203.0.113.9", ["203.0.113.9"])
    assert b"".join(connection.stream.received) == b"<stream"


def test_proxy_header_that_names_nobody_leaves_the_sockets_own_address(bench):
    connection = bench.connect(proxied=True)
    connection.data_received(b"PROXY UNKNOWN\r\n")
    assert (connection.address, connection.stream.received) == ("192.0.2.1", [])


def test_broken_proxy_header_ends_the_connection(bench):
    connection = bench.connect(proxied=True)
    connection.data_received(b"<stream:stream>")
    assert (connection.transport.state, bench.log.names) == ("aborted", ["proxy_header_refused"])
    connection.data_received(b"x")
    connection.connection_lost(None)


def test_proxied_connection_of_an_address_that_has_too_many_is_closed(bench):
    bench.is_full = True
    connection = bench.connect(proxied=True)
    connection.data_received(b"PROXY TCP4 203.0.113.9 192.0.2.1 50000 5222\r\n<stream")
    assert connection.transport.state == "aborted"


def test_proxy_that_sends_no_header_is_cut_off_like_a_login_that_takes_too_long(bench):
    connection = bench.connect(proxied=True)
    connection.tick(30, 30)
    assert connection.transport.state == "open"
    connection.tick(31, 30)
    assert connection.transport.state == "aborted"


# TLS


class TlsClient:
    """The other end of a connection that speaks TLS."""

    def __init__(self, connection, context) -> None:
        self.connection = connection
        self.engine = TlsEngine(context, TlsWorkspace(), server_side=False)

    def exchange(self):
        """Carry bytes both ways until both are silent; return the plaintext that came."""
        plain = []
        while True:
            output = self.engine.take_output()
            if output:
                self.connection.data_received(output)
            sent, self.connection.transport.sent = self.connection.transport.sent, []
            if not sent and not output:
                return b"".join(plain)
            plain.extend(self.engine.feed(b"".join(sent)))


@pytest.mark.parametrize("is_direct", [True, False])
def test_stream_over_tls_reads_and_writes_plain_text(bench, contexts, is_direct):
    server, context = contexts
    connection = bench.connect(server if is_direct else None)
    if not is_direct:
        connection.write(b"<proceed/>")
        connection.start_tls(partial(TlsEngine, server))
        assert connection.transport.sent.pop() == b"<proceed/>"
    client = TlsClient(connection, context)
    client.exchange()
    assert connection.stream.told == ["secured"]
    client.engine.write(b"hello")
    connection.write(b"answer")
    client.exchange()
    bench.turn()
    assert connection.stream.received == [b"hello"]
    assert client.exchange() == b"answer"


def test_close_over_tls_says_so(bench, contexts):
    connection = bench.connect(contexts[0])
    client = TlsClient(connection, contexts[1])
    client.exchange()
    connection.write(b"bye")
    connection.close()
    assert client.exchange() == b"bye"
    assert client.engine.is_closed_by_peer


def test_peer_that_closes_tls_closes_the_connection(bench, contexts):
    connection = bench.connect(contexts[0])
    client = TlsClient(connection, contexts[1])
    client.exchange()
    client.engine.shutdown()
    client.exchange()
    assert connection.transport.state == "closed"


def test_garbage_instead_of_tls_ends_the_connection(bench, contexts):
    connection = bench.connect(contexts[0])
    connection.data_received(b"<stream:stream>" * 10)
    assert (connection.transport.state, bench.log.names) == ("aborted", ["tls_failed"])
    assert connection.stream.received == []


def test_nothing_can_be_said_before_the_handshake_is_done(bench, contexts):
    connection = bench.connect(contexts[0])
    connection.write(b"<stream:error/>")
    connection.close()
    assert connection.transport.state in ("aborted", "closed")
    assert connection.transport.sent == []


def test_nothing_more_of_one_piece_is_read_once_the_stream_has_closed(bench, contexts):
    connection = bench.connect(contexts[0])
    client = TlsClient(connection, contexts[1])
    client.exchange()
    received = connection.stream.received
    connection.stream.receive = lambda data: (received.append(len(data)), connection.close())
    client.engine.write(b"x" * 200_000)
    connection.data_received(client.engine.take_output())
    assert received == [65_536]
