"""Our server and real servers of other makers: what holds between accounts, however the servers reach and prove each other.

Every peer runs once for the whole file, each with a domain of its own, beside one server of ours. That one has two domains, so that
each pair of servers is new to each other twice: to one of them we open, the other is opened to by the peer.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.support.daemon import wait_until
from tests.support.federation import claims
from tests.support.federation.internet import Internet, small_internet
from tests.support.federation.ours import OurServer
from tests.support.federation.peer import Mode, Peer
from tests.support.person import TIMEOUT_S, Person

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

WE_OPEN, THEY_OPEN = "we open", "they open"
DOMAINS = {WE_OPEN: "capulet.example", THEY_OPEN: "montague.example"}
DEVICE_PLUGINS = ("xep_0280", "xep_0297", "xep_0313", "xep_0359")


@dataclass(frozen=True, slots=True)
class Kind:
    """A peer's software and its settings; Debian's ejabberd 23.01 has no XEP-0288."""

    software: str
    mode: Mode
    bidi: bool = False

    def __str__(self) -> str:
        return f"{self.software}, {self.mode}{', bidi' if self.bidi else ''}"


KINDS = (
    Kind("prosody", Mode.EXTERNAL),
    Kind("prosody", Mode.EXTERNAL, bidi=True),
    Kind("prosody", Mode.DIALBACK),
    Kind("prosody", Mode.DIALBACK, bidi=True),
    Kind("ejabberd", Mode.EXTERNAL),
    Kind("ejabberd", Mode.DIALBACK),
)
each_kind = pytest.mark.parametrize("kind", KINDS, ids=str)
each_opener = pytest.mark.parametrize("opener", DOMAINS)


@dataclass(frozen=True, slots=True)
class World:
    """Our server and all peers, running; each domain has the accounts romeo and juliet."""

    ours: OurServer
    peers: dict[Kind, Peer]


@pytest.fixture(scope="module")
def internet() -> Iterator[Internet]:
    """DNS and authorities."""
    with small_internet() as made:
        yield made


@pytest.fixture(scope="module")
def world(internet: Internet) -> Iterator[World]:
    """Everything started, at the same time."""
    peers = {kind: internet.peer(kind.software, kind.mode, bidi=kind.bidi) for kind in KINDS}
    ours = OurServer(internet, list(DOMAINS.values()))
    ours.add_accounts("romeo", "juliet", "nurse")
    servers = [ours, *peers.values()]
    try:
        for server in servers:
            server.spawn()
        for server in servers:
            server.wait_ready()
        for peer in peers.values():
            peer.add_accounts("romeo", "juliet")
        yield World(ours, peers)
    finally:
        for server in servers:
            server.kill9()


@each_kind
@each_opener
async def test_accounts_of_both_servers_are_as_those_of_one(world: World, kind: Kind, opener: str) -> None:
    peer = world.peers[kind]
    domain = DOMAINS[opener]
    phone = await world.ours.login(f"juliet@{domain}", *DEVICE_PLUGINS)
    far = await peer.login("romeo")
    try:
        # The first stanza decides who opens; the answer to it has the other way, where one stream has not both.
        await claims.ping(*((phone, far) if opener == WE_OPEN else (far, phone)))
        assert_proofs(peer, domain, kind, opener)
        await claims.ping(*((far, phone) if opener == WE_OPEN else (phone, far)))
        await claims.subscribe_and_see_each_other(phone, far)
        await claims.chat(phone, far)
        await claims.talk_in_room(far, phone, f"hall-{domain}@{peer.rooms}")
        await claims.see_each_other_go(far, phone)
        far = await peer.login("romeo")
        await phone.wait_presence(far.boundjid.full)
        desk = await world.ours.login(phone.boundjid.bare, *DEVICE_PLUGINS)
        await far.wait_presence(desk.boundjid.full)
        await claims.copied_and_archived(desk, phone, far)
        await claims.see_each_other_go(desk, far)
        await claims.see_each_other_go(phone, far)
        assert_proofs(peer, domain, kind, opener)
    finally:
        await claims.leave_all(phone, far)


def assert_proofs(peer: Peer, domain: str, kind: Kind, opener: str) -> None:
    """Each side has proved itself, by what it should; with one stream for both directions who opened it alone.

    By dialback the peer calls back to ask about our key; with XEP-0288 it may use that stream for all else as well, in place of ours.
    """
    proofs = peer.proofs(domain)
    if not kind.bidi:
        assert proofs == {f"in {kind.mode}", f"out {kind.mode}"}
    elif opener == THEY_OPEN:
        assert proofs == {f"out {kind.mode}"}
    elif kind.mode is Mode.DIALBACK:
        assert proofs and proofs <= {"in dialback", "out dialback"}
    else:
        assert proofs == {f"in {kind.mode}"}


@each_kind
async def test_what_was_sent_while_the_peer_was_dead_arrives_once(world: World, kind: Kind) -> None:
    peer = world.peers[kind]
    sender = await world.ours.login(f"romeo@{DOMAINS[WE_OPEN]}")
    far = await peer.login("juliet")
    try:
        await claims.ping(sender, far)
        peer.kill9()
        texts = [f"while you were dead {number}" for number in range(20)]
        for text in texts:
            claims.send(sender, far.boundjid.bare, text)
        await sender.settle()
        await restart_with_accounts(peer)
        await peer.has_received(texts[-1])  # none before, some after a login would come in two orders
        far = await peer.login("juliet")
        await claims.arrived_once(far, sender.boundjid.bare, texts)
        await claims.chat(sender, far)
    finally:
        await claims.leave_all(sender, far)


@each_kind
async def test_what_waited_for_a_dead_peer_outlives_our_own_death(world: World, kind: Kind) -> None:
    peer = world.peers[kind]
    sender = await world.ours.login(f"nurse@{DOMAINS[WE_OPEN]}", "xep_0198")
    far = await peer.login("juliet")
    try:
        await sender.wait_managed()
        await claims.ping(sender, far)
        peer.kill9()
        texts = [f"before we died {number}" for number in range(20)]
        for text in texts:
            claims.send(sender, far.boundjid.bare, text)
        await claims.acknowledged(sender)
        world.ours.kill9()
        sender.cut()
        await asyncio.to_thread(world.ours.start)
        await restart_with_accounts(peer)
        await peer.has_received(texts[-1])  # none before, some after a login would come in two orders
        far = await peer.login("juliet")
        await claims.arrived_once(far, f"nurse@{DOMAINS[WE_OPEN]}", texts)
        sender = await world.ours.login(f"nurse@{DOMAINS[WE_OPEN]}")
        await claims.chat(sender, far)
    finally:
        await claims.leave_all(sender, far)


@each_kind
async def test_a_peer_that_dies_amid_a_stream_of_messages_misses_none_and_gets_none_twice_of_what_came_later(
    world: World, kind: Kind
) -> None:
    peer = world.peers[kind]
    sender = await world.ours.login(f"romeo@{DOMAINS[THEY_OPEN]}")
    far = await peer.login("juliet")
    seen: list[str] = []
    try:
        await claims.ping(sender, far)
        texts = [f"amid {number}" for number in range(90)]
        for text in texts[:30]:
            claims.send(sender, far.boundjid.bare, text)
        await far.wait_for(lambda s: s["body"] == texts[9], texts[9])
        peer.kill9()
        for text in texts[30:60]:
            claims.send(sender, far.boundjid.bare, text)
        await sender.settle()
        await far.wait_disconnected()
        seen += [texts[9], *bodies(far, sender)]
        starting = asyncio.create_task(restart_with_accounts(peer))
        for text in texts[60:]:
            claims.send(sender, far.boundjid.bare, text)
            await sender.settle()
        await starting
        far = await peer.login("juliet")
        await far.wait_message(texts[-1], timeout_s=40)
        await far.plugin["xep_0199"].send_ping(sender.boundjid.domain, timeout=TIMEOUT_S)
        seen += [texts[-1], *bodies(far, sender)]
        assert set(seen) == set(texts)
        # Of those before its death it may have given out what it had no time to acknowledge.
        assert sorted(text for text in seen if text in texts[30:]) == sorted(texts[30:])
    finally:
        await claims.leave_all(sender, far)


def bodies(person: Person, sender: Person) -> list[str]:
    """Return what the messages of somebody say that a person has got and not looked at."""
    messages = [stanza for stanza in person.received if stanza.name == "message" and stanza["type"] != "error"]
    return [message["body"] for message in messages if message["from"].bare == sender.boundjid.bare]


async def restart_with_accounts(peer: Peer) -> None:
    """Start a peer that was killed; ejabberd may have lost an account that it made just before."""
    await asyncio.to_thread(peer.start)
    peer.add_accounts("romeo", "juliet")


@pytest.mark.parametrize("software", ["prosody", "ejabberd"])
@pytest.mark.parametrize("mode", [Mode.EXTERNAL, Mode.DIALBACK])
async def test_servers_reach_each_other_where_tls_starts_at_once(internet: Internet, software: str, mode: Mode) -> None:
    peer = internet.peer(software, mode, direct_tls=True)
    ours = OurServer(internet, [f"direct-{peer.domain}"], direct_tls=True)
    await asyncio.to_thread(ours.add_accounts, "romeo")
    with ours, peer:
        peer.add_accounts("juliet")
        here, far = await ours.login(f"romeo@{ours.domains[0]}"), await peer.login("juliet")
        try:
            await claims.chat(here, far)
            assert peer.proofs(ours.domains[0]) == {f"in {mode}", f"out {mode}"}
        finally:
            await claims.leave_all(here, far)


@each_kind
async def test_after_our_death_both_sides_speak_again_and_what_had_arrived_does_not_come_again(
    world: World, kind: Kind
) -> None:
    peer = world.peers[kind]
    domain = DOMAINS[THEY_OPEN]
    far = await peer.login("romeo")
    here = await world.ours.login(f"romeo@{domain}")
    try:
        texts = [f"there already {number}" for number in range(10)]
        for text in texts:
            claims.send(here, far.boundjid.full, text)
        await claims.arrived_once(far, here.boundjid.bare, texts)
        await asyncio.to_thread(wait_until, lambda: not world.ours.stored_for(domain, peer.domain), "all acknowledged")
        far.received.clear()
        world.ours.kill9()
        await asyncio.to_thread(world.ours.start)
        here = await world.ours.login(f"romeo@{domain}")
        await claims.ping(far, here)
        assert not bodies(far, here)
        await claims.chat(here, far)
    finally:
        await claims.leave_all(far, here)
