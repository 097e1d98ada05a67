"""Servers that we call and that are not what they should be, and DNS that leads astray: who wrote is told, nobody hears a word.

One account of ours asks something of an account of each hostile domain. The request comes back with its condition, the server has not
seen it, and the honest one is served all the while. What is tried by those who call us is in `test_hostile_peers.py`.
"""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.ca import Leaf, self_signed
from tests.support.federation.hostile import (
    BIDI_FEATURE,
    DIALBACK_FEATURE,
    EXTERNAL_FEATURE,
    SASL_NS,
    SM_FEATURE,
    STARTTLS_FEATURE,
    TLS_NS,
    HostilePeer,
    HostileServer,
    Script,
    features,
    header,
    hostile,
    message,
    reread,
)
from tests.support.federation.stage import HONEST, OURS, ROMEO, Stage, unbroken
from tests.support.raw import condition_of, memory_bytes

pytestmark = [pytest.mark.system, pytest.mark.timeout(60), pytest.mark.asyncio(loop_scope="module")]

MIB = 1024 * 1024
NOT_FOUND, TIMEOUT = "remote-server-not-found", "remote-server-timeout"
STRICT = "strict.example"
CONNECT_TIMEOUT_S = 3
ANSWER_TIMEOUT_S = 4
SETTINGS = {
    "s2s.connect_timeout_s": CONNECT_TIMEOUT_S,
    "s2s.login_timeout_s": 5,
    "s2s.answer_timeout_s": ANSWER_TIMEOUT_S,
    "s2s.message_wait_s": 3,
    "s2s.queue_bytes": MIB,
    "limits.stream_bytes_per_s": 0,  # what one account sends to a server that never reads
    f's2s.domains."{STRICT}".authentication': "certificate",
}
GROWTH_BYTES = 72 * MIB
"""What all of this file may add to the server's own memory, which is about 60 MiB before. 44 of them are what the database and the
allocator keep once an account of ours has sent 20 MB in two seconds."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def quiet_stage() -> AsyncIterator[Stage]:
    """The servers, for all tests of the file; afterwards none of it has broken the server."""
    async with unbroken(SETTINGS, GROWTH_BYTES) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def stage(quiet_stage: Stage) -> AsyncIterator[Stage]:
    """The servers; after the test the honest one is still served, and the account has heard nothing else."""
    yield quiet_stage
    await quiet_stage.nothing_heard()


async def ask(stage: Stage, domain: str, timeout_s: float = CONNECT_TIMEOUT_S + 3) -> str:
    """Have our account ask somebody of a domain, and return the condition with which it comes back."""
    request(stage, domain)
    return await stage.romeo.came_back(f"secret-{domain}", timeout_s)


def request(stage: Stage, domain: str) -> None:
    """Have our account ask somebody of a domain."""
    ping = "<ping xmlns='urn:xmpp:ping'/>"
    stage.romeo.client.send(f"<iq type='get' id='secret-{domain}' to='x@{domain}/y'>{ping}</iq>")


async def ends(server: HostileServer) -> list[str]:
    """Wait until we have left all connections of a server, and return the stream errors that we sent there."""
    async with asyncio.timeout(CONNECT_TIMEOUT_S + 10):
        for peer in server.peers:
            await peer.ended.wait()
    assert not [peer for peer in server.peers if b"secret-" in peer.everything]
    return [condition_of(bytes(peer.everything)) for peer in server.peers]


# what a server may say to us


class Lies:
    """Scripts for the server of a domain."""

    def __init__(self, domain: str, leaf: Leaf) -> None:
        self.domain, self.leaf = domain, leaf

    def script(self, name: str) -> Script:
        """Return one by its name."""
        found: Script = getattr(self, name)
        return found

    async def no_tls(self, peer: HostilePeer) -> None:
        """TLS is stripped from what is offered."""
        await peer.welcome(self.domain, DIALBACK_FEATURE, EXTERNAL_FEATURE)

    async def refuses_tls(self, peer: HostilePeer) -> None:
        """TLS is offered and then denied."""
        await peer.welcome(self.domain, STARTTLS_FEATURE)
        await peer.read_until(b"<starttls")
        await peer.send(f"<failure xmlns='{TLS_NS}'/></stream:stream>")

    async def login_in_clear(self, peer: HostilePeer) -> None:
        """Success is told where TLS was asked for."""
        await peer.welcome(self.domain, STARTTLS_FEATURE)
        await peer.read_until(b"<starttls")
        await peer.send(f"<success xmlns='{SASL_NS}'/>")

    async def stanzas_before_tls(self, peer: HostilePeer) -> None:
        """A message comes with the first header."""
        await peer.read_until(b"<stream:stream")
        await peer.send(header(self.domain, OURS, id_="a") + message(f"x@{self.domain}", ROMEO, "clear"))

    async def stanzas_behind_proceed(self, peer: HostilePeer) -> None:
        """A message comes in clear text behind the leave to start TLS."""
        await peer.welcome(self.domain, STARTTLS_FEATURE)
        await peer.read_until(b"<starttls")
        injected = header(self.domain, OURS) + features() + message(f"x@{self.domain}", ROMEO, "injected")
        await peer.send(f"<proceed xmlns='{TLS_NS}'/>" + injected)

    async def unasked_success(self, peer: HostilePeer) -> None:
        """Login succeeds before it was asked for."""
        await peer.welcome(self.domain, STARTTLS_FEATURE)
        await peer.accept_tls(self.leaf)
        await peer.read_until(b"<stream:stream")
        await peer.send(header(self.domain, OURS, id_="a") + f"<success xmlns='{SASL_NS}'/>")

    async def unasked_verdict(self, peer: HostilePeer) -> None:
        """Our key is valid before we have shown one."""
        await peer.welcome(self.domain, STARTTLS_FEATURE)
        await peer.accept_tls(self.leaf)
        await peer.read_until(b"<stream:stream")
        await peer.send(
            header(self.domain, OURS, id_="a") + f"<db:result from='{self.domain}' to='{OURS}' type='valid'/>"
        )

    async def disbelief(self, peer: HostilePeer) -> None:
        """Our key is not believed."""
        await peer.accept(self.domain, self.leaf, DIALBACK_FEATURE)
        await peer.read_until(b"result")
        await peer.send(f"<db:result from='{self.domain}' to='{OURS}' type='invalid'/>")

    async def elsewhere(self, peer: HostilePeer) -> None:
        """We are sent to another server."""
        await peer.accept(self.domain, self.leaf, DIALBACK_FEATURE)
        other = f"<see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{HONEST}</see-other-host>"
        await peer.send(f"<stream:error>{other}</stream:error></stream:stream>")

    async def huge_features(self, peer: HostilePeer) -> None:
        """The features do not end."""
        await peer.read_until(b"<stream:stream")
        await peer.send(header(self.domain, OURS, id_="a") + "<stream:features><a>" + "x" * 20_000)

    async def deep_features(self, peer: HostilePeer) -> None:
        """The features have no bottom."""
        await peer.read_until(b"<stream:stream")
        await peer.send(header(self.domain, OURS, id_="a") + "<stream:features>" + "<a>" * 500)

    async def entities(self, peer: HostilePeer) -> None:
        """A document type comes before the header."""
        await peer.read_until(b"<stream:stream")
        entities = "".join(f"<!ENTITY e{n} '{f'&e{n - 1};' * 10}'>" for n in range(1, 10))
        await peer.send(f"<?xml version='1.0'?><!DOCTYPE s [<!ENTITY e0 'ha'>{entities}]>" + header("a", "b")[21:])

    async def client_namespace(self, peer: HostilePeer) -> None:
        """It is a server for clients."""
        await peer.read_until(b"<stream:stream")
        await peer.send(header(self.domain, OURS, id_="a", xmlns="jabber:client"))

    async def http(self, peer: HostilePeer) -> None:
        """It is no XMPP server at all."""
        await peer.read_until(b"<stream:stream")
        await peer.send("HTTP/1.1 400 Bad Request\r\n\r\n")

    # those that take time

    async def silent(self, peer: HostilePeer) -> None:
        """Nothing is said."""
        await peer.read_until(b"never", 30)

    async def silent_before_tls(self, peer: HostilePeer) -> None:
        """Nothing is said when TLS is asked for."""
        await peer.welcome(self.domain, STARTTLS_FEATURE)

    async def silent_handshake(self, peer: HostilePeer) -> None:
        """TLS is granted, and no handshake is made."""
        await peer.welcome(self.domain, STARTTLS_FEATURE)
        await peer.read_until(b"<starttls")
        await peer.send(f"<proceed xmlns='{TLS_NS}'/>")

    async def silent_inside(self, peer: HostilePeer) -> None:
        """Nothing is said inside TLS."""
        await peer.welcome(self.domain, STARTTLS_FEATURE)
        await peer.accept_tls(self.leaf)

    async def silent_about_key(self, peer: HostilePeer) -> None:
        """Nothing is said of our key."""
        await peer.accept(self.domain, self.leaf, DIALBACK_FEATURE)

    async def endless_spaces(self, peer: HostilePeer) -> None:
        """Spaces come for ever."""
        await peer.welcome(self.domain, STARTTLS_FEATURE)
        while not peer.writer.transport.is_closing() and not peer.reader.at_eof():
            await peer.send(b" ")
            await asyncio.sleep(0.2)

    async def endless_features(self, peer: HostilePeer) -> None:
        """Features come again and again."""
        await peer.accept(self.domain, self.leaf, DIALBACK_FEATURE)
        while not peer.writer.transport.is_closing() and not peer.reader.at_eof():
            await peer.send(features(DIALBACK_FEATURE))
            await asyncio.sleep(0.2)


@pytest.mark.parametrize(
    ("name", "bounce", "condition"),
    [
        ("no_tls", NOT_FOUND, "policy-violation"),
        ("refuses_tls", TIMEOUT, "undefined-condition"),
        ("login_in_clear", TIMEOUT, "unsupported-stanza-type"),
        ("stanzas_before_tls", TIMEOUT, "not-authorized"),
        ("stanzas_behind_proceed", TIMEOUT, ""),
        ("unasked_success", TIMEOUT, "unsupported-stanza-type"),
        ("unasked_verdict", TIMEOUT, "unsupported-stanza-type"),
        ("disbelief", NOT_FOUND, "undefined-condition"),
        ("elsewhere", TIMEOUT, ""),
        ("huge_features", TIMEOUT, "policy-violation"),
        ("deep_features", TIMEOUT, "policy-violation"),
        ("entities", TIMEOUT, "restricted-xml"),
        ("client_namespace", TIMEOUT, "invalid-namespace"),
        ("http", TIMEOUT, "not-well-formed"),
    ],
)
async def test_a_server_that_does_not_play_by_the_rules_is_left_untold(
    stage: Stage, name: str, bounce: str, condition: str
) -> None:
    domain = stage.name()
    async with hostile(Lies(domain, stage.strange(domain)).script(name)) as server:
        stage.internet.zone.add(domain, server.port)
        assert await ask(stage, domain) == bounce
        assert set(await ends(server)) == {condition}


SLOW = [name for name in vars(Lies) if name.startswith(("silent", "endless"))]


async def test_servers_that_only_take_time_are_left_in_time_all_at_once(stage: Stage) -> None:
    async def one(name: str) -> str:
        domain = stage.name()
        async with hostile(Lies(domain, stage.strange(domain)).script(name)) as server:
            stage.internet.zone.add(domain, server.port)
            condition = await ask(stage, domain)
            assert not [peer for peer in server.peers if b"secret-" in peer.everything]
            return condition

    waiting = asyncio.gather(*(one(name) for name in SLOW))
    await stage.honest_word()
    assert await waiting == [TIMEOUT] * len(SLOW) and len(SLOW) == 7


# certificates of whom we call


def wrong_certificates(stage: Stage) -> dict[str, Leaf]:
    """Return certificates that do not prove `STRICT`."""
    past = datetime.now(UTC) - timedelta(minutes=1)
    return {
        "of another name": stage.trusted("another.example"),
        "self-signed": self_signed(stage.internet.folder, STRICT),
        "expired": stage.internet.authority.sign([STRICT], file_name="expired", not_after=past),
        "of somebody in the middle": stage.strange(STRICT),
    }


WRONG = ["of another name", "self-signed", "expired", "of somebody in the middle"]


@pytest.mark.parametrize("which", WRONG)
async def test_where_certificates_count_a_server_with_a_wrong_one_is_told_nothing(stage: Stage, which: str) -> None:
    leaf = wrong_certificates(stage)[which]
    domain = f"{which.replace(' ', '-')}.{STRICT}"  # its terms are those of the domain above it

    async def talk(peer: HostilePeer) -> None:
        await peer.accept(domain, leaf, DIALBACK_FEATURE, EXTERNAL_FEATURE)

    async with hostile(talk) as server:
        stage.internet.zone.add(domain, server.port)
        assert await ask(stage, domain) == NOT_FOUND
        assert await ends(server) == ["policy-violation"]


async def test_a_pinned_domain_with_another_certificate_is_told_nothing_and_not_heard(stage: Stage) -> None:
    domain = stage.name()
    right, wrong = stage.strange(domain), stage.trusted(domain)
    der = x509.load_pem_x509_certificate(right.certificate.read_bytes()).public_bytes(Encoding.DER)
    reread(stage.ours, {f's2s.domains."{domain}".pins': [hashlib.sha256(der).hexdigest()]})
    await stage.honest_word()
    peer = await stage.secured(domain, wrong)
    assert b"<not-authorized" in await peer.log_in()
    assert b"not-authorized" in await peer.claim(domain, OURS)

    async def talk(peer: HostilePeer) -> None:
        await peer.accept(domain, wrong, DIALBACK_FEATURE, EXTERNAL_FEATURE)

    async with hostile(talk) as server:
        stage.internet.zone.add(domain, server.port)
        assert await ask(stage, domain) == NOT_FOUND
        assert await ends(server) == ["policy-violation"]
    assert b"<success" in await (await stage.secured(domain, right)).log_in()


# on streams that we opened, once they are proven


async def believe(peer: HostilePeer, stage: Stage, domain: str, *offers: str) -> None:
    """Take our key."""
    await peer.accept(domain, stage.strange(domain), DIALBACK_FEATURE, *offers)
    await peer.read_until(b"result")
    await peer.send(f"<db:result from='{domain}' to='{OURS}' type='valid'/>")
    if SM_FEATURE in offers:
        await peer.read_until(b"<enable")
        await peer.send("<enabled xmlns='urn:xmpp:sm:3'/>")
    await peer.read_until(b"secret-")


@pytest.mark.parametrize(
    ("offers", "answer", "condition"),
    [
        ((), message("x@{evil}", ROMEO, "unasked"), "not-authorized"),
        ((BIDI_FEATURE,), message(f"juliet@{HONEST}", ROMEO, "third"), "invalid-from"),
        ((BIDI_FEATURE,), message(f"juliet@{OURS}", ROMEO, "own"), "invalid-from"),
        ((BIDI_FEATURE,), message("x@{evil}", f"juliet@{HONEST}", "relay"), "host-unknown"),
        ((SM_FEATURE,), "<a xmlns='urn:xmpp:sm:3' h='99'/>", "undefined-condition"),
        ((SM_FEATURE,), "<a xmlns='urn:xmpp:sm:3' h='4294967296'/>", "bad-format"),
        ((SM_FEATURE,), "<a xmlns='urn:xmpp:sm:3' h='-1'/>", "bad-format"),
        (
            (BIDI_FEATURE,),
            "<db:result from='honest.example' to='verona.example'>k</db:result>",
            "unsupported-stanza-type",
        ),
    ],
)
async def test_a_server_that_we_called_may_do_no_more_than_one_that_called_us(
    stage: Stage, offers: tuple[str, ...], answer: str, condition: str
) -> None:
    domain = stage.name()

    async def talk(peer: HostilePeer) -> None:
        await believe(peer, stage, domain, *offers)
        await peer.send(answer.replace("{evil}", domain))

    async with hostile(talk) as server:
        stage.internet.zone.add(domain, server.port)
        request(stage, domain)
        async with asyncio.timeout(5):
            await server.called.wait()
            await server.peers[0].ended.wait()
        if SM_FEATURE in offers:  # elsewhere a request counts as arrived when it is written
            assert await stage.romeo.came_back(f"secret-{domain}") == TIMEOUT
        assert condition_of(bytes(server.peers[0].everything)) == condition


@pytest.mark.parametrize("offers", [(), (SM_FEATURE,)], ids=["by ping", "by XEP-0198"])
async def test_a_server_that_never_says_that_it_has_anything_is_given_up(stage: Stage, offers: tuple[str, ...]) -> None:
    domain = stage.name()

    async def talk(peer: HostilePeer) -> None:
        await believe(peer, stage, domain, *offers)

    async with hostile(talk) as server:
        stage.internet.zone.add(domain, server.port)
        stage.romeo.client.send(message(ROMEO, f"x@{domain}", f"secret-{domain}"))
        await stage.honest_word()
        async with asyncio.timeout(ANSWER_TIMEOUT_S + 10):
            await server.called.wait()
            await server.peers[0].ended.wait()
        assert condition_of(bytes(server.peers[0].everything)) == ""
    assert await stage.romeo.came_back(f"secret-{domain}", 15) == TIMEOUT


async def test_a_server_that_never_reads_costs_a_bounded_queue_and_its_senders_are_told(stage: Stage) -> None:
    domain = stage.name()

    async def talk(peer: HostilePeer) -> None:
        await believe(peer, stage, domain)
        peer.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(60)

    await send_much(stage, "nowhere.example")  # SQLite's page cache, and what any account may cost that sends much
    await much_came_back(stage, "nowhere.example")
    before = memory_bytes(stage.ours.pid)
    async with hostile(talk) as server:
        stage.internet.zone.add(domain, server.port)
        await send_much(stage, domain)
        await stage.honest_word()
        # The 20 MB themselves may still wait for a busy disk, and for their sender to read that they were refused.
        assert memory_bytes(stage.ours.pid) - before < 56 * MIB
    conditions = await much_came_back(stage, domain)
    assert set(conditions) == {"resource-constraint", TIMEOUT}
    # A queue of 1 MiB, an outbox of 4 MiB, and what the two sockets' buffers hold; the rest was refused at once.
    assert conditions.count(TIMEOUT) < MANY // 2


MANY = 200


async def send_much(stage: Stage, domain: str) -> None:
    """Have our account send 20 MB to somebody of a domain, not faster than it is taken."""
    for number in range(MANY):
        more = "<x xmlns='y'>" + "z" * 100_000 + "</x>"
        body = f"secret-{domain}-{number}"
        stage.romeo.client.send(message(ROMEO, f"x@{domain}", body, more))
        if number % 5 == 0:
            await stage.romeo.settle()


async def much_came_back(stage: Stage, domain: str) -> list[str]:
    """Return the conditions with which all of it came back."""
    return [await stage.romeo.came_back(f"secret-{domain}-{number}", 20) for number in range(MANY)]


# DNS that leads astray


def srv(stage: Stage, domain: str, *records: str) -> None:
    """Give a domain SRV records."""
    stage.internet.zone.server.add(f"_xmpp-server._tcp.{domain}", "SRV", *records)


def astray(stage: Stage, kind: str, domain: str, silent_port: int) -> None:
    """Make the DNS of a domain do that."""
    names, host = stage.internet.zone.server, "host.internet.example."
    if kind == "the root":
        srv(stage, domain, "0 0 0 .")
    elif kind == "port 0":
        srv(stage, domain, f"0 0 0 {host}")
    elif kind == "ourselves":
        srv(stage, domain, f"0 0 {stage.port} {host}")
    elif kind == "our port for clients":
        srv(stage, domain, f"0 0 {stage.ours.c2s_port} {host}")
    elif kind == "somebody else":
        srv(stage, domain, f"0 0 {stage.honest.s2s_port} {host}")
    elif kind == "a thousand records":
        srv(stage, domain, *(f"{n % 7} {n} {silent_port} {host}" for n in range(1_000)))
    elif kind == "many closed doors":
        srv(stage, domain, *(f"{n % 7} {n} {n % 9 + 1} {host}" for n in range(150)))
    elif kind == "many silent doors":
        srv(stage, domain, *(f"{n % 7} {n} {silent_port} h{n}.{domain}." for n in range(150)))
        for n in range(150):
            names.add(f"h{n}.{domain}", "A", "127.0.0.1")
    elif kind == "names in a ring":
        srv(stage, domain, f"0 0 5269 ring0.{domain}.")
        for n in range(3):
            names.add(f"ring{n}.{domain}", "CNAME", f"ring{(n + 1) % 3}.{domain}.")
    elif kind == "an endless chain":
        names.add(f"_xmpp-server._tcp.{domain}", "CNAME", f"c0.{domain}.")
        for n in range(200):
            names.add(f"c{n}.{domain}", "CNAME", f"c{n + 1}.{domain}.")
    elif kind == "addresses of nobody":
        srv(stage, domain, f"0 0 5269 a.{domain}.")
        names.add(f"a.{domain}", "A", "0.0.0.0", "224.0.0.1", "255.255.255.255")
    elif kind == "no answer":
        names.broken |= {f"_xmpp-server._tcp.{domain}", f"_xmpps-server._tcp.{domain}", domain}


ASTRAY = {
    "the root": NOT_FOUND,
    "port 0": NOT_FOUND,
    "ourselves": NOT_FOUND,
    "our port for clients": TIMEOUT,
    "somebody else": NOT_FOUND,
    "a thousand records": TIMEOUT,
    "many closed doors": TIMEOUT,
    "many silent doors": TIMEOUT,
    "names in a ring": f"{NOT_FOUND}|{TIMEOUT}",
    "an endless chain": f"{NOT_FOUND}|{TIMEOUT}",
    "addresses of nobody": NOT_FOUND,
    "no answer": TIMEOUT,
}


@pytest.mark.parametrize("kind", ASTRAY)
async def test_names_that_lead_astray_end_in_time(stage: Stage, kind: str) -> None:
    domain = stage.name()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        astray(stage, kind, domain, silent.getsockname()[1])
        questions = stage.internet.zone.server.questions
        asked: Any = asyncio.ensure_future(ask(stage, domain, CONNECT_TIMEOUT_S + 5))
        await stage.honest_word()
        assert await asked in ASTRAY[kind].split("|")
        assert stage.internet.zone.server.questions - questions < 60
