"""TLS without a socket, against the standard library's client."""

import contextlib
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.ca import CertificateAuthority, make_test_ca
from xmppd.tls import ServerContext, TlsStore
from xmppd.tls_engine import SERVER_HANDSHAKE_LIMIT_BYTES, TlsEngine, TlsFailed, TlsWorkspace


@dataclass(frozen=True)
class Files:
    certificate: Path | None
    key: Path | None = None
    domains: dict[str, "Files"] = field(default_factory=dict)


class Client:
    """The other side, with BIOs of its own."""

    def __init__(self, context: ssl.SSLContext, server_name: str = "example.org", session: object = None) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=server_name, session=session)  # type: ignore[arg-type]

    def shake(self) -> bytes:
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self.outgoing.read()

    def send(self, data: bytes) -> bytes:
        self.tls.write(data)
        return self.outgoing.read()

    def receive(self, data: bytes) -> bytes:
        self.incoming.write(data)
        received = b""
        with contextlib.suppress(ssl.SSLWantReadError):
            while piece := self.tls.read(65536):
                received += piece
        return received


def connect(client: Client, engine: TlsEngine) -> None:
    """Run the handshake to its end."""
    for _ in range(3):
        engine.feed(client.shake())
        client.incoming.write(engine.take_output())
    assert engine.is_established


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return make_test_ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def store(ca):
    first, second = ca.sign(["example.org"]), ca.sign(["example.com"])
    return TlsStore(Files(first.certificate, first.key, {"example.com": Files(second.certificate, second.key)}))


@pytest.fixture(scope="module")
def context(store) -> ServerContext:
    return store.context_for(direct=True)


@pytest.fixture
def workspace():
    workspace = TlsWorkspace()
    yield workspace
    assert (workspace.incoming.pending, workspace.outgoing.pending) == (0, 0)


@pytest.fixture
def trusting(ca: CertificateAuthority) -> ssl.SSLContext:
    return ca.client_context()


@pytest.fixture
def pair(trusting, context, workspace):
    client, engine = Client(trusting), TlsEngine(context, workspace)
    connect(client, engine)
    return client, engine


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_text_goes_both_ways(trusting, context, workspace, version):
    trusting.maximum_version = version
    client, engine = Client(trusting), TlsEngine(context, workspace)
    assert not engine.is_established
    connect(client, engine)
    assert engine.version == client.tls.version() == version.name.replace("_", ".")
    assert engine.cipher == client.tls.cipher()[0]
    assert engine.feed(client.send(b"<stream>")) == [b"<stream>"]
    engine.write(b"<features/>")
    engine.write(b"more")
    engine.write(b"")
    assert client.receive(engine.take_output()) == b"<features/>more"
    assert engine.take_output() == b""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_every_byte_alone_gives_the_same(trusting, context, workspace, version):
    trusting.maximum_version = version
    client, engine = Client(trusting), TlsEngine(context, workspace)
    received = []
    for _ in range(3):
        for byte in client.shake():
            received += engine.feed(bytes([byte]))
        client.incoming.write(engine.take_output())
    for byte in client.send(b"one") + client.send(b"two"):
        received += engine.feed(bytes([byte]))
    assert received == [b"one", b"two"]


def test_text_that_comes_with_the_end_of_the_handshake_is_not_lost(trusting, context, workspace):
    client, engine = Client(trusting), TlsEngine(context, workspace)
    engine.feed(client.shake())
    client.incoming.write(engine.take_output())
    assert engine.feed(client.shake() + client.send(b"early")) == [b"early"]


def test_connections_that_share_a_workspace_do_not_mix(trusting, context, workspace):
    pairs = [(Client(trusting), TlsEngine(context, workspace)) for _ in range(5)]
    for _ in range(3):  # all handshakes at once, cut in the middle of each message
        flights = [client.shake() for client, _ in pairs]
        for half in (slice(None, 100), slice(100, None)):
            for flight, (client, engine) in zip(flights, pairs, strict=True):
                engine.feed(flight[half])
                client.incoming.write(engine.take_output())
    records = [client.send(b"from %d" % number) for number, (client, _) in enumerate(pairs)]
    assert [engine.feed(record[:20]) for record, (_, engine) in zip(records, pairs, strict=True)] == [[]] * 5
    for number, (client, engine) in enumerate(pairs):
        assert engine.feed(records[number][20:]) == [b"from %d" % number]
        engine.write(b"to %d" % number)
        assert client.receive(engine.take_output()) == b"to %d" % number


def test_broken_and_closed_connections_leave_the_others_alone(trusting, context, workspace, pair):
    client, engine = pair
    other, broken = Client(trusting), TlsEngine(context, workspace)
    connect(other, broken)
    with pytest.raises(TlsFailed):
        broken.feed(b"\x17\x03\x03\x00\x20" + bytes(32) + b"left over" * 1000)
    del broken
    half_open = TlsEngine(context, workspace)
    half_open.feed(Client(trusting).shake())
    del half_open
    assert engine.feed(client.send(b"still here")) == [b"still here"]


def test_flood_is_delivered_in_bounded_pieces(trusting, context):
    workspace = TlsWorkspace(10_000)
    client, engine = Client(trusting), TlsEngine(context, workspace)
    connect(client, engine)
    sent = bytes(range(256)) * 200
    pieces = engine.feed(client.send(sent))
    assert b"".join(pieces) == sent
    assert [len(piece) for piece in pieces] == [10_000] * 5 + [1200]


def test_close_in_the_middle_of_a_flood_loses_nothing(trusting, context):
    workspace = TlsWorkspace(1000)
    client, engine = Client(trusting), TlsEngine(context, workspace)
    connect(client, engine)
    records = client.send(bytes(2500))
    with contextlib.suppress(ssl.SSLWantReadError):
        client.tls.unwrap()
    assert b"".join(engine.feed(records + client.outgoing.read())) == bytes(2500)
    assert engine.is_closed_by_peer


def test_many_small_records_become_one_piece(pair):
    client, engine = pair
    assert engine.feed(b"".join(client.send(b"x") for _ in range(500))) == [b"x" * 500]


def test_much_text_can_be_written_at_once(pair):
    client, engine = pair
    sent = bytes(range(256)) * 1000
    engine.write(memoryview(sent))
    assert client.receive(engine.take_output()) == sent


def test_nothing_is_written_before_the_handshake_is_complete(context, workspace):
    with pytest.raises(TlsFailed, match="handshake"):
        TlsEngine(context, workspace).write(b"too early")


def test_close_of_the_peer_is_seen_after_its_text(pair):
    client, engine = pair
    record = client.send(b"</stream>")
    with pytest.raises(ssl.SSLWantReadError):
        client.tls.unwrap()
    assert engine.feed(record + client.outgoing.read() + b"junk") == [b"</stream>"]
    assert engine.is_closed_by_peer
    assert engine.feed(b"junk") == []
    engine.write(b"</stream>")  # the other direction is still open
    engine.shutdown()
    client.incoming.write(engine.take_output())
    assert client.tls.read(100) == b"</stream>"
    client.tls.unwrap()


def test_shutdown_tells_the_peer_and_is_said_once(pair):
    client, engine = pair
    engine.shutdown()
    assert client.receive(engine.take_output()) == b""
    assert client.tls.read(100) == b""  # a proper end, no exception
    engine.shutdown()
    assert engine.take_output() == b""
    with pytest.raises(TlsFailed):
        engine.write(b"too late")


def test_text_after_our_shutdown_is_still_read_until_the_peer_closes(pair):
    client, engine = pair
    record = client.send(b"in flight")
    engine.shutdown()
    engine.take_output()
    assert engine.feed(record) == [b"in flight"]
    with contextlib.suppress(ssl.SSLWantReadError):
        client.tls.unwrap()
    assert engine.feed(client.outgoing.read()) == []
    assert engine.is_closed_by_peer


def test_shutdown_before_the_handshake_does_nothing(context, workspace):
    engine = TlsEngine(context, workspace)
    engine.shutdown()
    assert engine.take_output() == b""


def test_broken_record_fails_with_an_alert_for_the_peer(pair):
    client, engine = pair
    record = bytearray(client.send(b"hello"))
    record[-1] ^= 1
    with pytest.raises(TlsFailed, match="bad record mac"):
        engine.feed(bytes(record))
    assert engine.is_broken
    assert engine.take_output()
    with pytest.raises(TlsFailed):
        engine.feed(b"more")
    engine.shutdown()


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\n\r\n", b"<?xml version='1.0'?><stream:stream>", b"\x16\x03\x01\xff\xff" + bytes(99)]
)
def test_what_is_no_tls_fails(context, workspace, sent):
    with pytest.raises(TlsFailed):
        TlsEngine(context, workspace).feed(sent)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_client_of_tls_1_1_is_refused(trusting, context, workspace):
    trusting.minimum_version = trusting.maximum_version = ssl.TLSVersion.TLSv1_1
    trusting.set_ciphers("ALL:@SECLEVEL=0")
    client, engine = Client(trusting), TlsEngine(context, workspace)
    with pytest.raises(TlsFailed, match="unsupported protocol"):
        engine.feed(client.shake())
    client.incoming.write(engine.take_output())
    with pytest.raises(ssl.SSLError, match="ALERT_PROTOCOL_VERSION"):
        client.tls.do_handshake()


def test_client_without_forward_secrecy_is_refused(trusting, context, workspace):
    trusting.maximum_version = ssl.TLSVersion.TLSv1_2
    trusting.set_ciphers("AES128-GCM-SHA256:ECDHE-ECDSA-AES128-SHA256")
    with pytest.raises(TlsFailed, match="no shared cipher"):
        TlsEngine(context, workspace).feed(Client(trusting).shake())


def test_endless_handshake_is_refused_before_it_grows(context, workspace):
    engine = TlsEngine(context, workspace)
    hello = b"\x01\x01\xff\xff"  # a ClientHello of 131,071 bytes, in records of 4 KiB
    sent = 0
    with pytest.raises(TlsFailed, match="too long"):
        while sent < 131_072:
            body = (hello if not sent else b"") + bytes(4096)
            engine.feed(b"\x16\x03\x01" + len(body).to_bytes(2, "big") + body)
            sent += len(body)
    assert sent <= SERVER_HANDSHAKE_LIMIT_BYTES


def test_engine_can_be_the_client(ca, context, workspace):
    client = TlsEngine(ca.client_context(), workspace, server_side=False, server_name="example.org")
    server = TlsEngine(context, workspace)
    for _ in range(3):
        server.feed(client.take_output())
        client.feed(server.take_output())
    assert client.is_established
    assert server.is_established
    client.write(b"hello")
    assert server.feed(client.take_output()) == [b"hello"]
    assert client.end_point_hash == server.end_point_hash
    assert client.sni_name is None


def test_client_does_not_trust_another_name(ca, context, workspace):
    client = TlsEngine(ca.client_context(), workspace, server_side=False, server_name="example.net")
    server = TlsEngine(context, workspace)
    server.feed(client.take_output())
    with pytest.raises(TlsFailed, match="not trusted"):
        client.feed(server.take_output())


def test_server_name_and_alpn_of_the_client_are_known(ca, context, workspace):
    trusting = ca.client_context()
    trusting.set_alpn_protocols(["xmpp-server", "xmpp-client"])
    client, engine = Client(trusting, "example.com"), TlsEngine(context, workspace)
    assert (engine.sni_name, engine.alpn, engine.version) == (None, None, None)
    connect(client, engine)
    assert (engine.sni_name, engine.alpn) == ("example.com", "xmpp-client")
    assert client.tls.selected_alpn_protocol() == "xmpp-client"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_session_can_be_resumed(trusting, context, workspace, version):
    trusting.maximum_version = version
    client, engine = Client(trusting), TlsEngine(context, workspace)
    connect(client, engine)
    client.receive(engine.take_output())
    again = Client(trusting, session=client.tls.session)
    connect(again, TlsEngine(context, workspace))
    assert again.tls.session_reused


@given(st.lists(st.binary(max_size=300), max_size=6))
@settings(max_examples=150, deadline=None)
def test_garbage_raises_nothing_but_tls_failed(context, pieces):
    workspace = TlsWorkspace()
    engine = TlsEngine(context, workspace)
    try:
        for piece in pieces:
            assert engine.feed(piece) == []
    except TlsFailed:
        assert engine.is_broken
    assert (workspace.incoming.pending, workspace.outgoing.pending) == (0, 0)


@given(st.integers(0, 3), st.integers(0, 5000), st.integers(1, 255), st.sampled_from(["TLSv1_2", "TLSv1_3"]))
@settings(max_examples=200, deadline=None)
def test_changed_byte_anywhere_never_gives_other_text(ca, context, flight, at, change, version):
    trusting = ca.client_context()
    trusting.maximum_version = ssl.TLSVersion[version]
    client, engine = Client(trusting), TlsEngine(context, TlsWorkspace())
    with contextlib.suppress(TlsFailed, ssl.SSLError):
        for number in range(4):
            data = bytearray(client.shake() if number < 3 else client.send(b"text"))
            if number == flight and data:
                data[at % len(data)] ^= change
            received = b"".join(engine.feed(bytes(data)))
            assert received in (b"", b"text" if number == 3 else b"")
            client.incoming.write(engine.take_output())
