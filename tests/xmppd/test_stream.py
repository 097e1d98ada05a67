"""One XML stream: order while handlers wait, errors, restart and close; no socket."""

import asyncio
import sys

import pytest

from codec.element import Element
from codec.events import StreamOpened
from codec.limits import ReaderLimits
from codec.stanza import Stanza
from codec.xml_parser import ParserPool
from codec.xml_reader import USUAL_HEADERS, XmlReader
from tests.support.garbage import garbage_of
from xmppd.errors import StreamError
from xmppd.stream import Stream

HEADER = USUAL_HEADERS["jabber:client"]
CLOSE = b"</stream:stream>"


class Wire:
    """A connection that writes everything down."""

    def __init__(self) -> None:
        self.data = b""
        self.calls: list[str] = []
        self.is_closing = False

    def write(self, data):
        assert not self.is_closing
        self.data += data

    def wake_flush(self):
        self.calls.append("wake")

    def pause_reading(self):
        self.calls.append("pause")

    def resume_reading(self):
        self.calls.append("resume")

    def close(self):
        self.calls.append("close")
        self.is_closing = True

    def events(self):
        """Return what a peer reads of it, and forget it."""
        data, self.data = self.data, b""
        return XmlReader(ReaderLimits()).feed(data)


class Recorder(Stream):
    """Writes down what it is given; a test says what becomes of it.

    Attributes:
        on: id -> what `handle` does with the stanza of that id.
    """

    def __init__(self) -> None:
        self.wire = Wire()
        self.tasks: set[asyncio.Task[None]] = set()
        self.seen: list[str] = []
        self.on = {}
        self.broken: list[BaseException] = []
        super().__init__(self.wire, ReaderLimits(), self._start, ParserPool(HEADER))

    def _start(self, coroutine):
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def domain(self):
        return "example.org"

    def opened(self, header: StreamOpened):
        self.seen.append("header")
        self.send_header(self.new_id())

    def handle(self, event):
        name = event.id if isinstance(event, Stanza) else event.name
        action = self.on.get(name)
        if action is None:
            self.seen.append(name)
            return None
        return action()

    def log_broken(self):
        self.broken.append(sys.exc_info()[1])

    def wait_at(self, name):
        """Have the handler of that stanza wait until the returned future is done."""
        future = asyncio.get_running_loop().create_future()

        async def handle():
            self.seen.append(f"{name} begins")
            await future
            self.seen.append(f"{name} ends")

        self.on[name] = handle
        return future

    async def settle(self):
        for _ in range(10):
            await asyncio.sleep(0)


def stanzas(*ids):
    return b"".join(b"<message id='%b'/>" % str(id_).encode() for id_ in ids)


@pytest.fixture
async def stream():
    stream = Recorder()
    stream.receive(HEADER)
    stream.wire.data = b""
    stream.seen.clear()
    return stream


def error_of(stream):
    """Return the condition and text of the stream error that was sent, as the last thing before the end tag."""
    assert stream.wire.data.endswith(CLOSE)
    data = stream.wire.data if b"<stream:stream" in stream.wire.data else HEADER + stream.wire.data
    *_, error, _ = XmlReader(ReaderLimits()).feed(data)
    assert error.name == "error"
    return error


# order


async def test_stanzas_are_handled_in_the_order_in_which_they_came(stream):
    stream.receive(stanzas(*range(50)))
    stream.receive(stanzas(50))
    assert stream.seen == [str(number) for number in range(51)]


async def test_stanza_that_waits_holds_back_all_that_come_behind_it(stream):
    first, second = stream.wait_at("b"), stream.wait_at("d")
    stream.receive(stanzas("a", "b", "c", "d", "e"))
    assert stream.seen == ["a", "b begins"]
    assert (stream.is_busy, stream.wire.calls) == (True, ["pause"])
    stream.receive(stanzas("f")[:9])
    stream.receive(stanzas("f")[9:] + stanzas("g"))
    first.set_result(None)
    await stream.settle()
    assert stream.seen[2:] == ["b ends", "c", "d begins"]
    assert stream.wire.calls == ["pause", "resume", "pause"]
    second.set_result(None)
    await stream.settle()
    assert stream.seen[5:] == ["d ends", "e", "f", "g"]
    assert (stream.is_busy, stream.wire.calls[3:]) == (False, ["resume"])


async def test_stanza_that_waits_among_those_that_arrived_later_holds_back_the_rest(stream):
    first, second = stream.wait_at("a"), stream.wait_at("c")
    stream.receive(stanzas("a"))
    for id_ in "bcde":
        stream.receive(stanzas(id_))
    first.set_result(None)
    await stream.settle()
    assert stream.seen == ["a begins", "a ends", "b", "c begins"]
    second.set_result(None)
    await stream.settle()
    assert stream.seen[4:] == ["c ends", "d", "e"]


async def test_coroutine_that_does_not_wait_makes_nobody_wait(stream):
    async def at_once():
        stream.seen.append("b at once")

    stream.on["b"] = at_once
    stream.receive(stanzas("a", "b", "c"))
    assert (stream.seen, stream.tasks, stream.wire.calls) == (["a", "b at once", "c"], set(), [])


async def test_error_in_the_input_is_answered_after_the_stanzas_before_it(stream):
    future = stream.wait_at("a")
    stream.receive(stanzas("a", "b") + b"<!-- -->")
    assert not stream.wire.is_closing
    future.set_result(None)
    await stream.settle()
    assert stream.seen == ["a begins", "a ends", "b"]
    assert error_of(stream).children[0].name == "restricted-xml"


async def test_nothing_is_handled_once_the_connection_is_lost(stream):
    future = stream.wait_at("a")
    stream.receive(stanzas("a", "b"))
    stream.connection = None
    future.set_result(None)
    await stream.settle()
    assert stream.seen == ["a begins", "a ends"]
    stream.receive(stanzas("c"))
    stream.write(b"x")
    stream.wake()
    stream.end("conflict")
    stream.close()
    assert stream.seen == ["a begins", "a ends"]
    assert not stream.is_connected


# errors


def raising(error):
    def handle():
        raise error

    return handle


def waiting_and_raising(error, *, waits):
    async def handle():
        if waits:
            await asyncio.sleep(0)
        raise error

    return handle


@pytest.mark.parametrize("kind", [raising, lambda error: waiting_and_raising(error, waits=False)])
async def test_stream_error_of_a_handler_ends_the_stream_and_nothing_more_is_handled(stream, kind):
    stream.on["b"] = kind(StreamError("policy-violation", "Not <so>.", Element("urn:x more")))
    stream.receive(stanzas("a", "b", "c"))
    stream.receive(stanzas("d"))
    error = error_of(stream)
    assert [child.name for child in error.elements()] == ["policy-violation", "text", "more"]
    assert error.elements()[1].text == "Not <so>."
    assert (stream.seen, stream.wire.calls, stream.broken) == (["a"], ["close"], [])


@pytest.mark.parametrize("kind", [raising, lambda error: waiting_and_raising(error, waits=False)])
async def test_handler_that_breaks_ends_this_stream_and_is_logged(stream, kind):
    stream.on["b"] = kind(KeyError("oops"))
    stream.receive(stanzas("a", "b", "c"))
    assert error_of(stream).children[0].name == "internal-server-error"
    assert stream.seen == ["a"]
    assert [type(error) for error in stream.broken] == [KeyError]


@pytest.mark.parametrize(
    ("error", "condition"), [(StreamError("conflict"), "conflict"), (KeyError("x"), "internal-server-error")]
)
async def test_handler_that_fails_after_waiting_ends_the_stream_too(stream, error, condition):
    stream.on["a"] = waiting_and_raising(error, waits=True)
    stream.receive(stanzas("a", "b"))
    stream.receive(stanzas("c"))
    await stream.settle()
    assert error_of(stream).children[0].name == condition
    assert (stream.seen, stream.is_busy) == ([], False)


async def test_error_before_our_header_is_sent_behind_one():
    stream = Recorder()
    stream.receive(b"<?xml version='1.0' encoding='latin1'?>")
    header, error, _ = stream.wire.events()
    assert (header.from_, error.children[0].name) == ("example.org", "unsupported-encoding")
    assert header.id


async def test_stream_ends_once(stream):
    stream.end("conflict")
    sent = stream.wire.data
    stream.end("policy-violation")
    stream.close()
    assert (stream.wire.data, stream.wire.calls) == (sent, ["close"])


# close


async def test_peers_end_tag_is_answered_with_ours(stream):
    stream.receive(stanzas("a") + CLOSE + stanzas("b"))
    assert (stream.seen, stream.wire.data, stream.wire.calls) == (["a"], CLOSE, ["close"])


async def test_end_tag_behind_a_stanza_that_waits_waits_too(stream):
    future = stream.wait_at("a")
    stream.receive(stanzas("a") + CLOSE)
    assert not stream.wire.is_closing
    future.set_result(None)
    await stream.settle()
    assert stream.wire.data == CLOSE


async def test_stream_that_sent_no_header_sends_no_end_tag():
    stream = Recorder()
    stream.close()
    assert (stream.wire.data, stream.wire.calls) == (b"", ["close"])


# restart


async def test_restart_drops_what_was_sent_with_the_stanza_that_causes_it(stream):
    stream.on["starttls"] = stream.restart
    stream.receive(stanzas("a") + b"<starttls xmlns='urn:x'/>" + stanzas("injected") + b"<message id='inj")
    stream.receive(HEADER + stanzas("b"))
    assert stream.seen == ["a", "header", "b"]
    assert stream.is_open


@pytest.mark.parametrize("waits", [False, True])
async def test_restart_by_a_coroutine_drops_it_too(stream, waits):
    future = asyncio.get_running_loop().create_future()

    async def log_in():
        if waits:
            await future
        stream.restart()

    stream.on["auth"] = log_in
    stream.receive(b"<auth xmlns='urn:x'/>" + stanzas("injected") + b"<mess")
    if waits:
        stream.receive(stanzas("injected"))
        future.set_result(None)
        await stream.settle()
    stream.receive(HEADER + stanzas("b"))
    assert stream.seen == ["header", "b"]


async def test_restart_before_a_wait_drops_what_came_with_it_and_keeps_what_comes_after(stream):
    future = asyncio.get_running_loop().create_future()

    async def restart_and_wait():
        stream.restart()
        await future

    stream.on["auth"] = restart_and_wait
    stream.receive(b"<auth xmlns='urn:x'/>" + stanzas("injected"))
    stream.receive(HEADER + stanzas("b"))
    assert stream.seen == []
    future.set_result(None)
    await stream.settle()
    assert stream.seen == ["header", "b"]


async def test_after_a_restart_stanzas_behind_the_next_wait_are_kept(stream):
    stream.on["auth"] = stream.restart
    stream.receive(b"<auth xmlns='urn:x'/>")
    stream.receive(HEADER)
    future = stream.wait_at("a")
    stream.receive(stanzas("a", "b"))
    future.set_result(None)
    await stream.settle()
    assert stream.seen == ["header", "a begins", "a ends", "b"]


async def test_error_after_a_restart_is_sent_behind_a_new_header(stream):
    stream.on["auth"] = stream.restart
    stream.receive(b"<auth xmlns='urn:x'/>")
    stream.receive(b"no XML")
    header, error, _ = stream.wire.events()
    assert isinstance(header, StreamOpened)
    assert error.children[0].name == "not-well-formed"


# memory


async def test_stanzas_leave_no_garbage_to_collect(stream):
    async def at_once():
        pass

    stream.on["b"] = at_once
    stream.receive(stanzas("a", "b"))

    def some_more():
        for _ in range(10):
            stream.receive(b"<message id='a'><body>x</body></message>" + stanzas("b"))

    assert garbage_of(some_more) == 0


def test_ids_of_streams_are_long_and_never_the_same():
    ids = {Stream.new_id(None) for _ in range(100)}
    assert len(ids) == 100
    assert min(map(len, ids)) >= 16
