"""Clients that reach the server in the binary form: slixmpp with the plugin, and stock clients through the bridge."""

import asyncio
import contextlib
import json
import random
import signal
import string
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from xml.etree.ElementTree import canonicalize, tostring

import pytest
from slixmpp import JID

from bench.accounts import PASSWORD
from codec.slixmpp_binary import BinaryWire, enable
from tests.support.desktop import Desktop, missing_programs
from tests.support.gajim import PROGRAMS, Gajim
from tests.support.person import Person, befriend
from tests.support.server import ROOT
from tests.system.conftest import PLUGINS, Login, Target, TLSFiles

pytestmark = [pytest.mark.system, pytest.mark.timeout(120)]

MORE = ("xep_0313", "xep_0198")
ROUND_TRIP = 300


@contextlib.asynccontextmanager
async def bridge_to(
    port: int, tls: TLSFiles, command: tuple[str, ...] = ("bridge",), out: Path = Path("/dev/null")
) -> AsyncIterator[int]:
    """Run a command that bridges, a process of its own, and give the port that it listens on; `out` takes what it prints."""
    stdout = out.open("wb")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "xmppd", *command, "--listen", "127.0.0.1:0"),
        *("--server", f"localhost:{port}", "--ca", str(tls.ca)),
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert process.stderr is not None
    line = (await asyncio.wait_for(process.stderr.readline(), 20)).decode()
    assert "clients connect to 127.0.0.1:" in line, line
    yield int(line.split(",")[0].rpartition(":")[2])
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 20) == 0
    stdout.close()


@pytest.fixture
async def bridge_port(server: Target, tls: TLSFiles) -> AsyncIterator[int]:
    """The port of a bridge to where TLS starts at once."""
    async with bridge_to(server.direct_tls_port, tls) as port:
        yield port


Bridged = Callable[..., Awaitable[Person]]


@pytest.fixture
async def bridged(bridge_port: int, spare: Iterator[str]) -> AsyncIterator[Bridged]:
    """A function that logs a stock client in through the bridge."""
    people: list[Person] = []

    async def log_in(plugins: tuple[str, ...] = ()) -> Person:
        person = Person(next(spare), PASSWORD, ca=None, plugins=(*PLUGINS, *plugins))
        people.append(person)
        return await person.login(bridge_port)

    yield log_in
    await asyncio.gather(*(person.leave() for person in people), return_exceptions=True)


WithPlugin = Callable[..., Awaitable[tuple[Person, BinaryWire]]]


@pytest.fixture
async def with_plugin(server: Target, tls: TLSFiles, spare: Iterator[str]) -> AsyncIterator[WithPlugin]:
    """A function that logs a client in with the plugin."""
    people: list[Person] = []

    async def log_in(plugins: tuple[str, ...] = ()) -> tuple[Person, BinaryWire]:
        person = Person(next(spare), PASSWORD, ca=tls.ca, plugins=(*PLUGINS, *plugins))
        people.append(person)
        wire = enable(person)
        await person.login(server.direct_tls_port)
        assert wire.is_active
        return person, wire

    yield log_in
    await asyncio.gather(*(person.leave() for person in people), return_exceptions=True)


async def history(person: Person) -> list[str]:
    return [found["mam_result"]["forwarded"]["stanza"]["body"] async for found in person.plugin["xep_0313"].iterate()]


async def test_three_sorts_of_client_chat_and_ask_their_archives(
    login: Login, bridged: Bridged, with_plugin: WithPlugin
) -> None:
    people = [await login(plugins=MORE), await bridged(plugins=MORE), (await with_plugin(plugins=MORE))[0]]
    for one, other in ((0, 1), (1, 2), (2, 0)):
        await befriend(people[one], people[other])
    said: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for number in range(12):
        one, other = number % 3, (number + 1 + number // 6) % 3
        body = f"line {number}: Grüße <&> \N{THUMBS UP SIGN}"
        people[one].send_message(people[other].boundjid, body, mtype="chat")
        assert (await people[other].wait_message(body))["from"] == people[one].boundjid
        said[one].append(body)
        said[other].append(body)
    for number, person in enumerate(people):
        assert await history(person) == said[number]


async def test_the_plugin_writes_far_fewer_bytes_than_xml(with_plugin: WithPlugin) -> None:
    person, wire = await with_plugin()
    before = wire.bytes_sent
    await person.settle()
    assert 0 < wire.bytes_sent - before < 60


async def test_a_cut_stream_with_the_plugin_is_resumed(login: Login, with_plugin: WithPlugin) -> None:
    romeo = await login()
    juliet, wire = await with_plugin(plugins=MORE)
    await juliet.wait_managed()
    juliet.cut()
    romeo.send_message(juliet.boundjid, "through the tunnel", mtype="chat")
    await romeo.settle()
    await juliet.resume()
    assert wire.is_active
    await juliet.wait_message("through the tunnel")
    juliet.send_message(romeo.boundjid, "out again", mtype="chat")
    await romeo.wait_message("out again")


async def test_the_tables_of_a_cut_stream_go_on_and_a_writer_costs_no_more_than_before(
    login: Login, with_plugin: WithPlugin
) -> None:
    romeo = await login()
    juliet, wire = await with_plugin(plugins=MORE)
    await befriend(juliet, romeo)
    await juliet.wait_managed()

    async def cost(body: str) -> int:
        await juliet.settle()
        before = wire.bytes_received
        romeo.send_message(juliet.boundjid, body, mtype="chat")
        await juliet.wait_message(body)
        return wire.bytes_received - before

    await cost("one")
    second = await cost("two")
    translator = wire._translator
    assert translator is not None
    tables = translator._tables
    assert tables is not None and tables.seen.jids.count > 0
    juliet.cut()
    await romeo.settle()
    await juliet.resume()
    assert wire._translator is not None and wire._translator is not translator
    assert wire._translator._tables is tables
    assert await cost("six") <= second + 2  # an acknowledgement may come along
    juliet.send_message(romeo.boundjid, "and back", mtype="chat")
    await romeo.wait_message("and back")


async def test_the_bridge_goes_by_starttls_where_that_is_all_there_is(
    server: Target, tls: TLSFiles, spare: Iterator[str]
) -> None:
    async with bridge_to(server.c2s_port, tls) as port:
        person = await Person(next(spare), PASSWORD, ca=None, plugins=PLUGINS).login(port)
        await person.settle()
        await person.leave()


async def test_live_traffic_is_explained_frame_by_frame(
    server: Target, tls: TLSFiles, spare: Iterator[str], tmp_path: Path
) -> None:
    for words in ((), ("--json",)):
        out = tmp_path / f"told{len(words)}"
        async with bridge_to(server.direct_tls_port, tls, ("wire", "explain", "--live", *words), out) as port:
            person = await Person(next(spare), PASSWORD, ca=None, plugins=PLUGINS).login(port)
            person.send_message(person.boundjid.bare, "to myself", mtype="chat")
            await person.wait_message("to myself")
            await person.leave()
    lines = (tmp_path / "told0").read_text().splitlines()
    assert any(line.startswith("client to server: HELLO ") for line in lines)
    assert any("to myself" in line for line in lines)
    assert [line.partition(":")[0] for line in lines[-2:]] == ["client to server", "server to client"]
    frames = [json.loads(line) for line in (tmp_path / "told1").read_text().splitlines()]
    binary = sum(frame["frame"]["size_bytes"] for frame in frames)
    assert 0 < binary < sum(frame["xml_bytes"] for frame in frames) / 3
    assert not [frame for frame in frames if frame["frame"]["kind"].startswith("?")]


async def test_a_cut_stream_through_the_bridge_is_resumed_and_no_other_pair_ends(
    login: Login, bridged: Bridged
) -> None:
    romeo, juliet, other = await login(), await bridged(plugins=MORE), await bridged()
    await juliet.wait_managed()
    juliet.cut()
    romeo.send_message(juliet.boundjid, "through the tunnel", mtype="chat")
    await romeo.settle()
    await other.settle()
    await juliet.resume()
    await juliet.wait_message("through the tunnel")


def random_element(rng: random.Random, depth: int = 0) -> str:
    """Return XML of no particular meaning, in namespaces that nobody knows."""
    name = "".join(rng.choices(string.ascii_lowercase, k=rng.randint(1, 8)))
    attrs = "".join(
        f" {key}='{random_text(rng)}'" for key in rng.sample(("a", "stamp", "id", "n", "jid"), rng.randint(0, 3))
    )
    if rng.random() < 0.2:
        attrs += " xmlns:p='urn:example:p' p:q='1' xml:lang='de'"
    inner = ""
    if depth < 4:
        for _ in range(rng.randint(0, 3)):
            inner += random_text(rng) if rng.random() < 0.4 else random_element(rng, depth + 1)
    ns = f" xmlns='urn:example:{rng.randint(0, 3)}'" if depth == 0 or rng.random() < 0.2 else ""
    return f"<{name}{ns}{attrs}>{inner}</{name}>"


def random_text(rng: random.Random) -> str:
    return "".join(rng.choices("abc xyz äß€ 😀&<'\"", k=rng.randint(0, 20))).translate(
        {ord("&"): "&amp;", ord("<"): "&lt;", ord("'"): "&apos;", ord('"'): "&quot;"}
    )


async def swap(one: Person, other: Person, seed: int) -> None:
    """Send random messages from one to the other, a hundred at a time; each arrives as it was."""
    rng = random.Random(seed)
    for first in range(0, ROUND_TRIP, 100):
        sent = {f"{seed}-{number}": "" for number in range(first, first + 100)}
        for id_ in sent:
            sent[id_] = random_message(rng, one, other, id_)
            one.send_raw(sent[id_])
        for id_, stanza in sent.items():
            received = await other.wait_message(id_)
            assert canonical(tostring(received.xml, encoding="unicode")) == canonical(stanza)


def random_message(rng: random.Random, one: Person, other: Person, id_: str) -> str:
    """Return a message that says its id, and much else."""
    inner = "".join(random_element(rng) for _ in range(rng.randint(1, 3)))
    return (
        f"<message to='{other.boundjid.full}' from='{one.boundjid.full}' id='{id_}' type='chat'>"
        f"<body>{id_}</body>{inner}<no-store xmlns='urn:xmpp:hints'/></message>"
    )


def canonical(stanza: str) -> str:
    """Return canonical XML with prefixes by their order, as slixmpp does not keep the sender's."""
    return canonicalize(f"<stream xmlns='jabber:client'>{stanza}</stream>", rewrite_prefixes=True)


async def test_random_stanzas_cross_both_ways_unchanged(
    login: Login, bridged: Bridged, with_plugin: WithPlugin
) -> None:
    stock, through, own = await login(), await bridged(), (await with_plugin())[0]
    await swap(stock, through, 1)
    await swap(through, own, 2)
    await swap(own, stock, 3)


@pytest.mark.skipif(bool(missing_programs(PROGRAMS)), reason="needs tests/support/system_packages.sh")
async def test_gajim_chats_through_the_bridge(server: Target, tls: TLSFiles, login: Login, bridge_port: int) -> None:
    romeo, juliet = await login(), await login()
    await befriend(romeo, juliet)
    jid, friend = juliet.boundjid.bare, romeo.boundjid.bare
    await juliet.leave()
    romeo.received.clear()
    with Desktop() as desktop:
        gajim = Gajim(desktop, "bridged", jid, PASSWORD, bridge_port, tls.certificate, plain=True, chats=(friend,))
        try:
            await asyncio.to_thread(gajim.start)
            assert (await romeo.wait_presence(jid, timeout_s=40))["from"].resource.startswith("gajim.")
            romeo.send_message(JID(jid), "Good morrow across the bridge", mtype="chat")
            received = await asyncio.to_thread(gajim.wait_logged, "Good morrow across the bridge")
            assert (received.jid, received.is_incoming) == (friend, True)
            await asyncio.to_thread(gajim.select_chat, friend)
            await asyncio.to_thread(gajim.type_message, "Good morrow back")
            assert (await romeo.wait_message("Good morrow back"))["from"].bare == jid
            await asyncio.to_thread(gajim.quit)
        except TimeoutError as error:
            raise AssertionError(f"{error}\nGajim's log ends:\n{gajim.log_text()[-3000:]}") from error
