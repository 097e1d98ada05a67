"""Servers that are not there, do not answer, or cannot prove who they are: nothing is heard from them, every sender is told."""

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from slixmpp.exceptions import IqError

from tests.support.daemon import free_ports
from tests.support.federation import claims
from tests.support.federation.internet import Internet, small_internet
from tests.support.federation.ours import OurServer
from tests.support.federation.peer import Mode, Peer
from tests.support.person import TIMEOUT_S, Person

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

NOT_FOUND, TIMEOUT = "remote-server-not-found", "remote-server-timeout"
PATIENCE = {"s2s.message_wait_s": 3, "s2s.connect_timeout_s": 2}
AUTHENTICATIONS = {
    "certificate-or-dialback": "verona.example",
    "certificate": "mantua.example",
    "dialback": "padua.example",
}


@pytest.fixture(scope="module")
def internet() -> Iterator[Internet]:
    """DNS and authorities; with a domain that has no service, one that refuses connections, and one that never answers."""
    with small_internet() as made, socket.create_server(("127.0.0.1", 0)) as silent:
        made.zone.add_without_service("noservice.example")
        made.zone.add("refused.example", free_ports(1)[0])
        made.zone.add("silent.example", silent.getsockname()[1])
        yield made


@pytest.fixture(scope="module")
def ours(internet: Internet) -> Iterator[dict[str, OurServer]]:
    """Our server three times, by what it asks of others as a proof."""
    servers = {
        authentication: OurServer(internet, [domain], {**PATIENCE, "s2s.authentication": authentication})
        for authentication, domain in AUTHENTICATIONS.items()
    }
    try:
        for server in servers.values():
            server.add_accounts("romeo")
            server.spawn()
        for server in servers.values():
            server.wait_ready()
        yield servers
    finally:
        for server in servers.values():
            server.kill9()


@pytest.fixture(scope="module")
def peers(internet: Internet) -> Iterator[dict[tuple[str, Mode], Peer]]:
    """Both peers in each mode."""
    made = {(software, mode): internet.peer(software, mode) for software in ("prosody", "ejabberd") for mode in Mode}
    try:
        for peer in made.values():
            peer.spawn()
        for peer in made.values():
            peer.wait_ready()
            peer.add_accounts("juliet")
        yield made
    finally:
        for peer in made.values():
            peer.kill9()


@pytest.mark.parametrize(
    ("domain", "condition"),
    [
        ("nowhere.example", NOT_FOUND),
        ("noservice.example", NOT_FOUND),
        ("refused.example", TIMEOUT),
        ("silent.example", TIMEOUT),
    ],
)
async def test_whoever_writes_to_a_domain_that_cannot_be_reached_is_told(
    ours: dict[str, OurServer], domain: str, condition: str
) -> None:
    server = ours["certificate-or-dialback"]
    romeo = await server.login(f"romeo@{server.domains[0]}")
    try:
        claims.send(romeo, f"juliet@{domain}", "anyone")
        with pytest.raises(IqError) as refused:
            await romeo.plugin["xep_0199"].send_ping(f"juliet@{domain}/x", timeout=TIMEOUT_S)
        assert refused.value.iq["error"]["condition"] == condition
        await claims.bounced(romeo, "anyone", condition)
        romeo.send_presence(pto=f"juliet@{domain}", ptype="subscribe")
        error = await romeo.wait_for(
            lambda s: s.name == "presence" and s["type"] == "error", "the request to come back"
        )
        assert error["error"]["condition"] == condition
    finally:
        await claims.leave_all(romeo)


MUST_FAIL = [
    ("certificate-or-dialback", Mode.UNTRUSTED),
    ("certificate", Mode.UNTRUSTED),
    ("certificate", Mode.DIALBACK),
    ("dialback", Mode.UNTRUSTED),
]
MUST_WORK = [("certificate-or-dialback", Mode.EXTERNAL), ("certificate", Mode.EXTERNAL), ("dialback", Mode.DIALBACK)]
each_software = pytest.mark.parametrize("software", ["prosody", "ejabberd"])


@each_software
@pytest.mark.parametrize(("authentication", "mode"), MUST_WORK)
async def test_a_peer_with_the_proof_that_is_asked_for_is_heard(
    ours: dict[str, OurServer], peers: dict[tuple[str, Mode], Peer], software: str, authentication: str, mode: Mode
) -> None:
    server, peer = ours[authentication], peers[software, mode]
    romeo, juliet = await server.login(f"romeo@{server.domains[0]}"), await peer.login("juliet")
    try:
        await claims.chat(romeo, juliet)
        assert peer.proofs(server.domains[0]) == {f"in {mode}", f"out {mode}"}
    finally:
        await claims.leave_all(romeo, juliet)


@each_software
@pytest.mark.parametrize(("authentication", "mode"), MUST_FAIL)
async def test_a_peer_without_the_proof_that_is_asked_for_is_refused_both_ways(
    ours: dict[str, OurServer], peers: dict[tuple[str, Mode], Peer], software: str, authentication: str, mode: Mode
) -> None:
    server, peer = ours[authentication], peers[software, mode]
    romeo, juliet = await server.login(f"romeo@{server.domains[0]}"), await peer.login("juliet")
    try:
        texts = {romeo: "from us", juliet: "from them"}
        claims.send(romeo, juliet.boundjid.full, texts[romeo])
        claims.send(juliet, romeo.boundjid.full, texts[juliet])
        errors = await asyncio.gather(*(came_back(person, text) for person, text in texts.items()))
        assert errors[0]["error"]["condition"] in (NOT_FOUND, TIMEOUT)
        assert not romeo.count(texts[juliet])
        assert not juliet.count(texts[romeo])
        assert "out" not in {proof.split()[0] for proof in peer.proofs(server.domains[0])}
    finally:
        await claims.leave_all(romeo, juliet)


async def came_back(person: Person, text: str) -> Any:
    """Return the error that a message with that id came back with."""
    return await person.wait_for(
        lambda s: s.name == "message" and s["type"] == "error" and s["id"] == text, text, timeout_s=TIMEOUT_S * 2
    )
