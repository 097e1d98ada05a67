"""One HTTP/2 connection, by the bytes: what a peer may do to it. What it does in whole is in test_apns.py."""

import asyncio

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection

from push.apns_connection import MAX_ANSWER_BYTES, ApnsConnection, ApnsPool, Lost

HEADERS = [(":method", "POST"), (":scheme", "https"), (":path", "/3/device/x"), (":authority", "localhost")]


class Wire(asyncio.Transport):
    """A transport to an HTTP/2 peer in this process."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.is_closed = False

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.sent.extend(data)

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
async def pair(authority):
    pool = ApnsPool("localhost", 1, authority.client_context(), 1)
    connection, wire, peer = ApnsConnection(pool), Wire(), H2Connection(H2Configuration(client_side=False))
    peer.initiate_connection()
    connection.connection_made(wire)
    peer.receive_data(bytes(wire.sent))
    wire.sent.clear()
    connection.data_received(peer.data_to_send())
    yield connection, wire, peer
    connection.give_up("over")


async def begun(connection: ApnsConnection) -> asyncio.Task:
    task = asyncio.create_task(connection.post(HEADERS, b"{}"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return task


async def test_answers_in_another_order_belong_to_their_streams(pair):
    connection, wire, peer = pair
    first, second = await begun(connection), await begun(connection)
    peer.receive_data(bytes(wire.sent))
    for stream_id, status in ((3, "503"), (1, "200")):
        peer.send_headers(stream_id, [(":status", status), ("apns-id", "x")], end_stream=True)
    connection.data_received(peer.data_to_send())
    assert [(await first).status, (await second).status] == [200, 503]
    assert (await first).headers["apns-id"] == "x"


async def test_what_is_cancelled_is_reset_and_its_place_is_free_again(pair):
    connection, wire, peer = pair
    before = connection.free_channels._value
    other = await begun(connection)
    task = await begun(connection)
    assert connection.free_channels._value == before - 2
    peer.receive_data(bytes(wire.sent))
    peer.send_headers(1, [(":status", "200")], end_stream=True)
    connection.data_received(peer.data_to_send())
    size = len(wire.sent)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert connection.free_channels._value == before and len(wire.sent) > size
    assert (await other).status == 200 and not connection.is_busy


async def test_a_connection_on_which_nothing_came_for_a_whole_time_limit_is_left(pair):
    connection, wire, _ = pair
    task = await begun(connection)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert connection.is_busy and wire.is_closed


async def test_bytes_that_are_no_http2_end_the_connection(pair):
    connection, wire, _ = pair
    task = await begun(connection)
    connection.data_received(b"\x00" * 200)
    with pytest.raises(Lost, match="protocol"):
        await task
    assert connection.is_busy and wire.is_closed
    with pytest.raises(Lost):
        await connection.post(HEADERS, b"{}")


async def test_a_lost_connection_fails_what_is_under_way_once(pair):
    connection, _, _ = pair
    tasks = [await begun(connection) for _ in range(5)]
    tasks[0].cancel()
    await asyncio.sleep(0)
    connection.connection_lost(None)
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(one) for one in found] == [asyncio.CancelledError] + [Lost] * 4
    connection.connection_lost(None)


async def test_an_answer_without_an_end_does_not_fill_the_memory(pair):
    connection, wire, peer = pair
    task = await begun(connection)
    peer.receive_data(bytes(wire.sent))
    peer.send_headers(1, [(":status", "500")])
    for _ in range(6):
        peer.send_data(1, b"x" * 10_000)
        connection.data_received(peer.data_to_send())
    assert len(connection._streams[1][0].body) <= MAX_ANSWER_BYTES + 10_000
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
