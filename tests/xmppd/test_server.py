"""A whole server in this process, on loopback sockets: it starts, serves, and stops so that nothing is lost."""

import asyncio
import contextlib
import gc
import re
import signal
import sys

import pytest

from codec.element import Element
from codec.events import StreamClosed, StreamOpened
from codec.jid import JID
from codec.limits import ReaderLimits
from codec.stanza import Message
from codec.xml_reader import XmlReader
from storage.interface import AccountRecord, StorageError
from xmppd import server as server_module
from xmppd.config_sources import load_config
from xmppd.connection import Loop
from xmppd.control import ControlError
from xmppd.server import Server, ServerError, serve

SM = "urn:xmpp:sm:3"
HEADER = (
    b"<stream:stream to='example.org' version='1.0' xmlns='jabber:client'"
    b" xmlns:stream='http://etherx.jabber.org/streams'>"
)


@pytest.fixture
def configure(tmp_path, monkeypatch):
    """Return settings for a server whose data is in a folder of its own."""
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    interval_s, thresholds = sys.getswitchinterval(), gc.get_threshold()

    def make(*settings):
        given = {
            "server.domains": '["example.org", "example.com"]',
            "server.data_dir": f'"{tmp_path}"',
            "c2s.listen": '["127.0.0.1:0"]',
            "c2s.direct_tls": "[]",
            "c2s.require_tls": "false",
            "http.listen": '["127.0.0.1:0"]',
            "storage.url": f'"sqlite:{tmp_path}/x.db"',
        }
        return load_config(None, [*(f"{key}={value}" for key, value in given.items()), *settings], {})

    yield make
    sys.setswitchinterval(interval_s)
    gc.set_threshold(*thresholds)
    gc.unfreeze()


@pytest.fixture
async def start(configure):
    servers = []

    async def make(*settings):
        server = Server(configure(*settings))
        await server.start()
        servers.append(server)
        return server

    yield make
    for server in servers:
        if not server.stopping.is_set():
            await server.stop()


class Client:
    """A client on a socket, logged in without a password by reaching into the server."""

    def __init__(self, server, reader, writer):
        self.server, self.reader, self.writer = server, reader, writer
        self.xml = XmlReader(ReaderLimits(stanza_bytes=10_000_000))
        self.events = []

    @classmethod
    async def connect(cls, server, domain="example.org"):
        before = set(server.loop.connections)
        client = cls(server, *await asyncio.open_connection("127.0.0.1", server.addresses["c2s"][0].port))
        client.say(HEADER.replace(b"example.org", domain.encode()))
        assert isinstance(await client.next(), StreamOpened)
        await client.next()
        (client.connection,) = server.loop.connections - before
        return client

    @classmethod
    async def login(cls, server, jid):
        jid = JID.parse(jid)
        with contextlib.suppress(StorageError):
            await server.backend.accounts.create(AccountRecord(jid.bare, {}))
        client = await cls.connect(server, jid.domainpart)
        client.connection.stream._logged_in(jid.bare)
        client.connection.stream._is_restarted = False
        client.xml.restart()
        client.say(HEADER.replace(b"example.org", jid.domainpart.encode()))
        await client.next()
        await client.next()
        client.say(
            f"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{jid.resourcepart}</resource>"
            "</bind></iq>"
        )
        assert (await client.next()).type == "result"
        return client

    def say(self, data):
        self.writer.write(data if isinstance(data, bytes) else data.encode())

    async def next(self):
        """Return the next thing that came; None when the server has closed."""
        async with asyncio.timeout(10):
            while not self.events:
                data = await self.reader.read(65_536)
                if not data:
                    return None
                self.events += self.xml.feed(data)
        return self.events.pop(0)

    async def rest(self):
        """Return everything that comes until the server closes."""
        found = []
        while (event := await self.next()) is not None:
            found.append(event)
        self.writer.close()
        return found


# start


async def test_server_serves_each_of_its_domains(start):
    server = await start()
    for domain in ("example.org", "example.com"):
        client = await Client.connect(server, domain)
        assert client.connection.stream.host is server.shared.hosts[domain]


async def test_stanzas_pass_between_its_clients(start):
    server = await start()
    romeo, juliet = (
        await Client.login(server, "romeo@example.org/x"),
        await Client.login(server, "juliet@example.com/y"),
    )
    romeo.say("<message to='juliet@example.com/y' id='1'><body>hello</body></message>")
    message = await juliet.next()
    assert isinstance(message, Message)
    assert (message.id, message.from_) == ("1", "romeo@example.org/x")


async def test_address_that_is_taken_is_one_line_for_the_operator(start, configure, tmp_path):
    server = await start()
    taken = server.addresses["c2s"][0].port
    other = configure(f'c2s.listen=["127.0.0.1:{taken}"]', f'server.data_dir="{tmp_path}/other"')
    with pytest.raises(ServerError, match=rf"cannot listen on 127\.0\.0\.1:{taken}"):
        await serve(configure_storage(other, tmp_path))


def configure_storage(config, tmp_path):
    """Give a configuration a database of its own."""
    return config.model_copy(
        update={"storage": config.storage.model_copy(update={"url": f"sqlite:{tmp_path}/other.db"})}
    )


async def test_server_that_could_not_start_lets_go_of_everything(start, configure):
    with pytest.raises(ServerError):
        await serve(configure('modules.enabled=["xep_9999_nothing"]'))
    server = await start()
    assert (await Client.connect(server)).connection.stream.is_connected


async def test_secrets_stay_the_same_over_a_restart(start):
    server = await start()
    before = server.shared.archive_ids.encode(12_345) if hasattr(server.shared.archive_ids, "encode") else None
    secret = await server.backend.keyval("server").get("unknown_accounts")
    await server.stop()
    again = await start()
    assert secret == await again.backend.keyval("server").get("unknown_accounts")
    assert len(secret) == 32
    if before is not None:
        assert again.shared.archive_ids.encode(12_345) == before


# while it runs


async def test_tick_asks_for_acknowledgements_that_are_due(start, monkeypatch):
    monkeypatch.setattr(server_module, "TICK_S", 0.01)
    server = await start()
    romeo = await Client.login(server, "romeo@example.org/x")
    romeo.say(f"<enable xmlns='{SM}'/>")
    await romeo.next()
    await server.shared.hosts["example.org"].send(Message.build(to=JID.parse("romeo@example.org/x"), id="1"))
    assert (await romeo.next()).id == "1"
    assert await romeo.next() == Element(f"{SM} r")


async def test_sweep_cuts_off_those_that_do_not_log_in(start, monkeypatch):
    monkeypatch.setattr(server_module, "TICK_S", 0.005)
    server = await start("c2s.login_timeout_s=1")
    strangers = [await asyncio.open_connection("127.0.0.1", server.addresses["c2s"][0].port) for _ in range(20)]
    romeo = await Client.login(server, "romeo@example.org/x")
    for reader, writer in strangers:
        assert b"connection-timeout" in await reader.read()
        writer.close()
    assert romeo.connection.stream.is_connected


async def test_status_tells_where_it_stands(start):
    server = await start()
    await Client.login(server, "romeo@example.org/x")
    status = await server._do_status({})
    assert status["domains"] == ["example.org", "example.com"]
    assert status["faults"] == []
    assert (status["metrics"]["connections"], status["metrics"]["sessions"]) == (1, 1)
    assert status["addresses"]["c2s"] == [str(server.addresses["c2s"][0])]


async def test_changed_account_is_sent_away_and_others_stay(start):
    server = await start()
    first, second = (await Client.login(server, f"romeo@example.org/{name}") for name in "ab"), None
    clients = [client async for client in first]
    second = await Client.login(server, "juliet@example.org/x")
    assert await server._do_account_changed({"jid": "romeo@example.org"}) == {"ended": 2}
    for client in clients:
        error, closed = await client.rest()
        assert (error.elements()[0].name, closed) == ("not-authorized", StreamClosed())
    assert second.connection.stream.is_connected


async def test_one_session_can_be_ended(start):
    server = await start()
    first, second = await Client.login(server, "romeo@example.org/a"), await Client.login(server, "romeo@example.org/b")
    assert await server._do_end_session({"jid": "romeo@example.org/a"}) == {"ended": 1}
    assert (await first.rest())[0].elements()[0].name == "policy-violation"
    assert second.connection.stream.is_connected


@pytest.mark.parametrize("jid", [None, "", "@", "romeo@elsewhere.example"])
async def test_question_about_nobody_is_refused(start, jid):
    server = await start()
    with pytest.raises(ControlError):
        await server._do_end_session({"jid": jid})
    assert await server._do_end_session({"jid": "nobody@example.org"}) == {"ended": 0}


async def test_task_that_breaks_is_logged_and_the_rest_go_on(start, capfd):
    server = await start()

    async def break_down():
        raise KeyError("a mistake of ours")

    server.shared.spawn(break_down())
    for _ in range(3):
        await asyncio.sleep(0)
    assert "task_broke" in capfd.readouterr().err
    assert (await Client.connect(server)).connection.stream.is_connected


# stop


async def test_clients_are_told_what_was_kept_and_that_the_server_goes(start):
    server = await start()
    romeo = await Client.login(server, "romeo@example.org/x")
    romeo.say(f"<enable xmlns='{SM}' resume='true'/>")
    await romeo.next()
    juliet = await Client.login(server, "juliet@example.org/y")
    for number in range(5):
        romeo.say(f"<message to='juliet@example.org' type='chat' id='{number}'><body>{number}</body></message>")
    romeo.say(f"<r xmlns='{SM}'/>")
    assert (await romeo.next()).get("h") == "5"
    await server.stop()
    ack, error, closed = await romeo.rest()
    assert (ack, error.elements()[0].name, closed) == (
        Element(f"{SM} a", {"h": "5"}),
        "system-shutdown",
        StreamClosed(),
    )
    assert [event.name for event in await juliet.rest() if isinstance(event, Element)] == ["error"]
    again = await start()
    juliet = await Client.login(again, "juliet@example.org/y")
    juliet.say("<presence/>")
    found = []
    while len(found) < 5:
        event = await juliet.next()
        if isinstance(event, Message):
            found.append(event.id)
    assert found == ["0", "1", "2", "3", "4"]


async def test_client_that_does_not_go_away_is_waited_for_only_so_long(start, monkeypatch):
    async def never(loop):
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(Loop, "all_closed", never)
    server = await start("server.drain_s=0.1")
    await Client.connect(server)
    async with asyncio.timeout(10):
        await server.stop()


async def test_nobody_is_let_in_any_more(start):
    server = await start()
    port = server.addresses["c2s"][0].port
    await server.stop()
    with pytest.raises(OSError):
        await asyncio.open_connection("127.0.0.1", port)
    assert server._not_ready() == ["the server is stopping"]


async def test_module_that_breaks_while_stopping_keeps_nothing_open(start):
    server = await start()
    module = next(iter(server.shared.hosts["example.org"].modules.values()))

    async def break_down():
        raise StorageError("no room")

    module.stop = break_down
    with pytest.raises(StorageError):
        await server.stop()
    again = await start()
    assert (await Client.connect(again)).connection.stream.is_connected


async def test_serve_runs_until_it_is_told_to_stop(configure):
    announced = asyncio.Queue()
    task = asyncio.create_task(serve(configure(), announced.put_nowait))
    server = await announced.get()
    client = await Client.connect(server)
    signal.raise_signal(signal.SIGTERM)
    await task
    assert re.search("system-shutdown", str((await client.rest())[0]))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        asyncio.get_running_loop().remove_signal_handler(number)
