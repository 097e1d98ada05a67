"""Servers that lie about who they are, or send what no server sends: each is refused by its condition, no account hears a word of it.

One server of ours, a second one that is honest, and sockets that say anything. After each attack the honest server brings a message
to the attacked account and gets an answer; the account has heard nothing else. What is tried when we are those who call is in
`test_hostile_targets.py`.
"""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from tests.support.ca import Leaf, self_signed
from tests.support.federation.hostile import (
    DIALBACK_FEATURE,
    SASL_NS,
    HostilePeer,
    Script,
    header,
    hostile,
    message,
    reread,
    tls_context,
)
from tests.support.federation.stage import HONEST, OURS, ROMEO, Stage, unbroken
from xmppd.s2s.keys import DialbackKeys

pytestmark = [pytest.mark.system, pytest.mark.timeout(60), pytest.mark.asyncio(loop_scope="module")]

MIB = 1024 * 1024
STRICT = "strict.example"
LOGIN_TIMEOUT_S = 5
SETTINGS = {
    "s2s.login_timeout_s": LOGIN_TIMEOUT_S,
    "s2s.connect_timeout_s": 4,
    "s2s.answer_timeout_s": 4,
    "s2s.message_wait_s": 3,
    f's2s.domains."{STRICT}".authentication': "certificate",
}
GROWTH_BYTES = 24 * MIB
"""What all attacks of this file together may add to the server's own memory; it has about 60 MiB before."""


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


# dialback


def authority(domain: str, leaf: Leaf, verdict: str, *, other_id: bool = False) -> Script:
    """Return a server of a domain that says that of every key; "silent" says nothing, "close" goes."""

    async def talk(peer: HostilePeer) -> None:
        await peer.accept(domain, leaf, DIALBACK_FEATURE)
        while True:
            question = await peer.question()
            if verdict == "close":
                return peer.close()
            if verdict != "silent":
                await peer.say_of_key(question, verdict, "another" if other_id else "")

    return talk


@pytest.mark.parametrize(
    ("verdict", "answer"),
    [
        ("invalid", b"type='invalid'"),
        ("error", b"item-not-found"),
        ("silent", b"remote-server-timeout"),
        ("close", b"remote-server-timeout"),
    ],
)
async def test_a_claim_that_the_domains_own_server_does_not_confirm_is_refused(
    stage: Stage, verdict: str, answer: bytes
) -> None:
    domain = stage.name()
    async with hostile(authority(domain, stage.strange(domain), verdict)) as server:
        stage.internet.zone.add(domain, server.port)
        peer = await stage.secured(domain)
        assert answer in await peer.claim(domain, OURS)
        if verdict != "invalid":
            assert await peer.ended_by(message(f"x@{domain}", ROMEO, "unproven")) == "not-authorized"
        assert await peer.stream_error() in ("", "not-authorized")


async def test_a_confirmation_of_another_streams_key_counts_for_nothing(stage: Stage) -> None:
    domain = stage.name()
    async with hostile(authority(domain, stage.strange(domain), "valid", other_id=True)) as server:
        stage.internet.zone.add(domain, server.port)
        peer = await stage.secured(domain)
        assert b"remote-server-timeout" in await peer.claim(domain, OURS)


async def test_a_claim_of_a_domain_that_is_nowhere_is_refused(stage: Stage) -> None:
    peer = await stage.secured("nowhere.example")
    assert b"remote-server-not-found" in await peer.claim("nowhere.example", OURS)


async def test_a_claim_of_somebody_elses_domain_is_refused(stage: Stage) -> None:
    peer = await stage.secured(HONEST)
    assert b"type='invalid'" in await peer.claim(HONEST, OURS, "0" * 64)
    assert await peer.stream_error() == ""


async def test_a_claim_of_our_own_domain_is_refused(stage: Stage) -> None:
    peer = await stage.secured("nobody.example")
    assert b"type='valid'" not in await peer.claim(OURS, OURS, "0" * 64)
    assert await peer.ended_by(message(f"juliet@{OURS}", ROMEO, "as one of yours")) in ("not-authorized", "")


async def test_a_key_that_was_made_for_another_stream_is_refused(stage: Stage) -> None:
    domain, keys = stage.name(), DialbackKeys(b"of the attacker")

    async def talk(peer: HostilePeer) -> None:
        await peer.accept(domain, stage.strange(domain), DIALBACK_FEATURE)
        asker, about, stream_id, key = await peer.question()
        is_right = keys.is_ours(key, asker, about, stream_id)
        await peer.say_of_key((asker, about, stream_id, key), "valid" if is_right else "invalid")

    async with hostile(talk) as server:
        stage.internet.zone.add(domain, server.port)
        other = await stage.secured(domain)
        peer = await stage.secured(domain)
        assert other.stream_id != peer.stream_id
        assert b"type='invalid'" in await peer.claim(domain, OURS, keys.make(OURS, domain, other.stream_id))


async def test_a_key_that_an_honest_server_gave_to_an_attacker_does_not_open_another_door(stage: Stage) -> None:
    """The attacker gives the honest server the id of its own stream with us, and shows us the key that it gets."""
    domain, victim = stage.name(), await stage.secured(HONEST)
    got: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def talk(peer: HostilePeer) -> None:
        await peer.accept(domain, stage.strange(domain), DIALBACK_FEATURE, id_=victim.stream_id)
        await peer.read_until(b"result")
        await peer.read_until(b">")
        got.set_result((await peer.read_until(b"<")).decode()[:-1])

    async with hostile(talk) as server:
        stage.internet.zone.add(domain, server.port)
        stage.juliet.client.send(message("", f"x@{domain}", "bait").replace(" from=''", ""))
        key = await asyncio.wait_for(got, 10)
        assert len(key) == 64
        assert b"type='invalid'" in await victim.claim(HONEST, OURS, key)


async def test_a_flood_of_claims_keeps_no_honest_server_waiting(stage: Stage) -> None:
    async def silent(peer: HostilePeer) -> None:
        await peer.read_until(b"never")

    domain = stage.name()
    async with hostile(silent) as server:
        for number in range(800):
            stage.internet.zone.add(f"n{number}.{domain}", server.port)
        peers = [await stage.secured(domain, source="127.0.0.66") for _ in range(40)]
        for index, peer in enumerate(peers):
            names = [f"n{number}.{domain}" for number in range(index * 20, index * 20 + 20)]
            await peer.send("".join(f"<db:result from='{name}' to='{OURS}'>k</db:result>" for name in names))
        refused = [await peer.result_of(f"n{index * 20 + 19}.{domain}") for index, peer in enumerate(peers)]
        assert all(b"resource-constraint" in answer for answer in refused)
        await stage.honest_word()
        async with asyncio.timeout(2.5):  # a domain that nobody has talked to before is found, and proven by dialback
            stage.romeo.client.send(message(ROMEO, stage.later.jid, "first contact"))
            await stage.later.take("first contact")
            peer = await stage.secured(HONEST)
            assert b"type='invalid'" in await peer.claim(HONEST, OURS)
        answers = [await peer.result_of(f"n{index * 20}.{domain}") for index, peer in enumerate(peers[:3])]
        assert not [answer for answer in answers if b"type='valid'" in answer]


async def test_a_flood_of_questions_about_keys_is_answered_with_no(stage: Stage) -> None:
    peer = await stage.secured(stage.name())
    count = 2_000
    for number in range(count):
        await peer.send(f"<db:verify from='{HONEST}' to='{OURS}' id='s{number}'>{'0' * 64}</db:verify>")
    await stage.honest_word()
    await peer.read_until(f"id='s{count - 1}'".encode())
    got = await peer.read_until(b"/>")
    assert b"invalid" in got or b"invalid" in peer.received


# certificates


def wrong_certificates(stage: Stage) -> dict[str, Leaf | None]:
    """Return certificates that do not prove `STRICT`."""
    ca, folder, past = stage.internet.authority, stage.internet.folder, datetime.now(UTC) - timedelta(minutes=1)
    return {
        "none": None,
        "of another name": stage.trusted("another.example"),
        "of a wildcard too high": ca.sign(["*.example"], file_name="wildcard"),
        "self-signed": self_signed(folder, STRICT),
        "expired": ca.sign([STRICT], file_name="expired", not_after=past),
        "of an authority nobody trusts": stage.strange(STRICT),
    }


WRONG = ["none", "of another name", "of a wildcard too high", "self-signed", "expired", "of an authority nobody trusts"]


@pytest.mark.parametrize("which", WRONG)
async def test_a_certificate_that_does_not_prove_the_domain_proves_nothing(stage: Stage, which: str) -> None:
    leaf = wrong_certificates(stage)[which]
    peer = await stage.secured(STRICT, leaf)
    assert b"EXTERNAL" not in peer.offers
    assert b"<not-authorized" in await peer.log_in()
    assert b"not-authorized" in await peer.claim(STRICT, OURS)
    assert await peer.ended_by(message(f"x@{STRICT}", ROMEO, which)) == "not-authorized"


@pytest.mark.parametrize(
    ("mechanism", "text", "condition"),
    [
        ("EXTERNAL", base64.b64encode(HONEST.encode()).decode(), b"invalid-authzid"),
        ("EXTERNAL", base64.b64encode(OURS.encode()).decode(), b"invalid-authzid"),
        ("EXTERNAL", "%%%", b"incorrect-encoding"),
        ("EXTERNAL", base64.b64encode(b"\xff\xfe").decode(), b"incorrect-encoding"),
        ("PLAIN", base64.b64encode(b"\0romeo\0secret").decode(), b"invalid-mechanism"),
        ("ANONYMOUS", "=", b"invalid-mechanism"),
    ],
)
async def test_a_login_for_somebody_else_or_by_other_means_fails(
    stage: Stage, mechanism: str, text: str, condition: bytes
) -> None:
    domain = stage.name()
    peer = await stage.secured(domain, stage.trusted(domain))
    assert condition in await peer.auth(mechanism, text)
    assert await peer.ended_by(message(f"x@{domain}", ROMEO, "failed")) == "not-authorized"


async def test_a_second_login_ends_the_stream(stage: Stage) -> None:
    domain = stage.name()
    peer = await stage.proven(domain)
    assert await peer.ended_by(f"<auth xmlns='{SASL_NS}' mechanism='EXTERNAL'>=</auth>") == "policy-violation"


async def test_a_stream_that_starts_anew_for_another_domain_ends(stage: Stage) -> None:
    for from_, to in ((HONEST, OURS), ("", OURS), (stage.name(), HONEST)):
        domain = stage.name()
        peer = await stage.secured(domain, stage.trusted(domain))
        assert b"<success" in await peer.log_in()
        assert await peer.ended_by(header(from_, to)) in ("invalid-from", "host-unknown")


async def test_counting_before_login_is_refused(stage: Stage) -> None:
    peer = await stage.secured(stage.name())
    await peer.send("<enable xmlns='urn:xmpp:sm:3'/>")
    assert b"unexpected-request" in await peer.read_until(b"</failed>")
    assert await peer.ended_by("<a xmlns='urn:xmpp:sm:3' h='0'/>") == "not-authorized"


async def test_an_acknowledgement_of_more_than_was_sent_ends_the_stream(stage: Stage) -> None:
    peer = await stage.proven(stage.name())
    await peer.send("<enable xmlns='urn:xmpp:sm:3'/>")
    await peer.read_until(b"<enabled")
    assert await peer.ended_by("<a xmlns='urn:xmpp:sm:3' h='7'/>") == "undefined-condition"
    assert b"handled-count-too-high" in peer.received


# stanzas

OF = "mallory@{evil}"
BODY = "<body>boo</body>"
DEEP = "<a xmlns='x'>" * 200


@pytest.mark.parametrize(
    ("stanza", "condition"),
    [
        (f"<message from='juliet@{HONEST}' to='{ROMEO}'>{BODY}</message>", "invalid-from"),
        (f"<message from='juliet@{OURS}' to='{ROMEO}'>{BODY}</message>", "invalid-from"),
        (f"<message from='{OURS}' to='{ROMEO}'>{BODY}</message>", "invalid-from"),
        (f"<message from='x@sub.{{evil}}' to='{ROMEO}'>{BODY}</message>", "invalid-from"),
        (f"<presence from='{ROMEO}' to='{ROMEO}' type='subscribed'/>", "invalid-from"),
        (f"<iq from='{OURS}' to='{ROMEO}' type='set' id='i'><query xmlns='jabber:iq:roster'/></iq>", "invalid-from"),
        (f"<message from='{OF}' to='juliet@{HONEST}'>{BODY}</message>", "host-unknown"),
        (f"<message from='{OF}' to='x@nobody.example'>{BODY}</message>", "host-unknown"),
        (f"<message to='{ROMEO}'>{BODY}</message>", "improper-addressing"),
        (f"<message from='{OF}'>{BODY}</message>", "improper-addressing"),
        (f"<message>{BODY}</message>", "improper-addressing"),
        (f"<message from='' to='{ROMEO}'>{BODY}</message>", "improper-addressing"),
        (f"<message from='{OF}' to='@{OURS}'>{BODY}</message>", "improper-addressing"),
        (f"<message from='{OF}' to='romeo@{OURS}/'>{BODY}</message>", "improper-addressing"),
        (f"<message from='@{{evil}}' to='{ROMEO}'>{BODY}</message>", "improper-addressing"),
        (f"<message from='a@juliet@{HONEST}' to='{ROMEO}'>{BODY}</message>", "improper-addressing|invalid-from"),
        (f"<message from='{'m' * 1024}@{{evil}}' to='{ROMEO}'>{BODY}</message>", "improper-addressing"),
        (f"<message xmlns='jabber:client' from='{OF}' to='{ROMEO}'>{BODY}</message>", "unsupported-stanza-type"),
        ("<query xmlns='jabber:iq:roster'/>", "unsupported-stanza-type"),
        ("<db:result from='{evil}' to='verona.example' type='valid'/>", "improper-addressing"),
        ("<db:verify from='{evil}' to='verona.example' id='1' type='valid'/>", "improper-addressing"),
        (f"<message from='{OF}' to='{ROMEO}'><?php boo ?></message>", "restricted-xml"),
        (f"<message from='{OF}' to='{ROMEO}'><!-- boo --></message>", "restricted-xml"),
        (f"<message from='{OF}' to='{ROMEO}'><body>&boo;</body></message>", "restricted-xml|not-well-formed"),
        (f"<message from='{OF}' to='{ROMEO}'><boo:x/></message>", "not-well-formed"),
        (f"<message from='{OF}' to='{ROMEO}'><body>\0</body></message>", "not-well-formed"),
        (f"<message from='{OF}' to='{ROMEO}'>{DEEP}", "policy-violation"),
        (f"<message from='{OF}' to='{ROMEO}'><body>{'x' * 300_000}", "policy-violation"),
        (f"<message from='{OF}' to='{ROMEO}'>{'<a/>' * 3_000}", "policy-violation"),
        ("<stream:features/>", "unsupported-stanza-type"),
        ("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>", ""),
        ("<bidi xmlns='urn:xmpp:bidi'/>", "policy-violation"),
    ],
    ids=lambda value: value[:70] if "<" in value else "",
)
async def test_a_proven_server_that_sends_what_it_may_not_is_sent_away(
    stage: Stage, stanza: str, condition: str
) -> None:
    domain = stage.name()
    peer = await stage.proven(domain)
    assert await peer.ended_by(stanza.replace("{evil}", domain)) in condition.split("|")


async def test_bytes_that_are_no_utf8_end_the_stream(stage: Stage) -> None:
    domain = stage.name()
    peer = await stage.proven(domain)
    start = f"<message from='x@{domain}' to='{ROMEO}'><body>".encode()
    assert await peer.ended_by(start + b"\xc0\xaf\xed\xa0\x80") == "not-well-formed"


@pytest.mark.parametrize("stanza", ["message", "presence", "iq"])
async def test_a_stanza_before_any_proof_ends_the_stream(stage: Stage, stanza: str) -> None:
    domain = stage.name()
    text = f"<{stanza} from='x@{domain}' to='{ROMEO}' type='get' id='i'/>"
    for peer in (await HostilePeer.dial(stage.port), await stage.secured(domain, stage.trusted(domain))):
        if not peer.stream_id:
            await peer.greet(domain, OURS)
        assert await peer.ended_by(text) == "not-authorized"


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        (header("evil.example", OURS, xmlns="jabber:client"), "invalid-namespace"),
        (header("evil.example", OURS).replace("etherx.jabber.org/streams", "example.org/rivers"), "invalid-namespace"),
        (header("evil.example", OURS).replace("version='1.0' from", "version='0.9' from"), "unsupported-version"),
        (header("evil.example", "nobody.example"), "host-unknown"),
        (header("evil.example", ""), "host-unknown"),
        (
            "<!DOCTYPE s [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;'>]>" + header("evil.example", OURS)[21:],
            "restricted-xml",
        ),
        ("<?xml version='1.0'?><!DOCTYPE s SYSTEM 'file:///etc/passwd'>", "restricted-xml"),
        ("<?php boo ?>", "restricted-xml"),
        ("GET / HTTP/1.1\r\n\r\n", "not-well-formed"),
        (header("evil.example", OURS)[:-1] + " a='" + "x" * 20_000, "policy-violation"),
    ],
)
async def test_a_wrong_header_is_answered_with_its_condition(stage: Stage, text: str, condition: str) -> None:
    peer = await HostilePeer.dial(stage.port)
    assert await peer.ended_by(text) == condition


# what looks as if it came from our own server


async def test_what_claims_to_come_from_our_server_inside_a_message_keeps_the_senders_name(stage: Stage) -> None:
    domain = stage.name()
    peer = await stage.proven(domain)
    inner = f"<forwarded xmlns='urn:xmpp:forward:0'>{message(f'juliet@{OURS}', ROMEO, 'inner')}</forwarded>"
    own = ROMEO.partition("/")[0]
    forged = {
        "carbon": f"<received xmlns='urn:xmpp:carbons:2'>{inner}</received>",
        "sent": f"<sent xmlns='urn:xmpp:carbons:2'>{inner}</sent>",
        "archive": f"<result xmlns='urn:xmpp:mam:2' id='1' queryid='q'>{inner}</result>",
        "id": f"<stanza-id xmlns='urn:xmpp:sid:0' id='forged' by='{own}'/>",
        "domain-id": f"<stanza-id xmlns='urn:xmpp:sid:0' id='forged' by='{OURS}'/>",
    }
    for id_, payload in forged.items():
        await peer.send(message(f"mallory@{domain}/x", ROMEO, id_, payload))
        heard = await stage.romeo.take(id_)
        assert heard.get("from") == f"mallory@{domain}/x"
        ids = [e for e in heard.findall("{urn:xmpp:sid:0}stanza-id") if e.get("id") == "forged"]
        assert not [e for e in ids if e.get("by") in (own, OURS)], id_


async def test_a_strangers_roster_push_or_request_is_refused(stage: Stage) -> None:
    domain = stage.name()
    peer = await stage.proven(domain)
    item = "<query xmlns='jabber:iq:roster'><item jid='mallory@evil.example' subscription='both'/></query>"
    own = ROMEO.partition("/")[0]
    for type_, payload in (("set", item), ("get", "<query xmlns='jabber:iq:roster'/>")):
        await peer.send(f"<iq from='mallory@{domain}/x' to='{own}' type='{type_}' id='r'>{payload}</iq>")
    roster = await stage.romeo.client.ask("get", "<query xmlns='jabber:iq:roster'/>")
    assert "mallory" not in "".join(item.get("jid", "") for item in roster.iter())


# TLS


async def test_what_is_pipelined_behind_the_wish_for_tls_is_never_taken(stage: Stage) -> None:
    domain = stage.name()
    peer = await HostilePeer.dial(stage.port)
    await peer.greet(domain, OURS)
    injected = message(f"x@{domain}", ROMEO, "injected") + f"<db:result from='{domain}' to='{OURS}'>k</db:result>"
    await peer.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>" + injected)
    await peer.read_until(b"<proceed")
    await peer.read_until(b">")
    with pytest.raises((ssl.SSLError, OSError)):
        await peer.writer.start_tls(tls_context(stage.trusted(domain)))
        await peer.send(header(domain, OURS))
        raise ConnectionError(await peer.read_to_end())


async def test_nothing_but_tls_is_taken_in_clear_text(stage: Stage) -> None:
    domain = stage.name()
    for text in (
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>",
        f"<db:result from='{domain}' to='{OURS}'>k</db:result>",
        "<bidi xmlns='urn:xmpp:bidi'/>",
    ):
        peer = await HostilePeer.dial(stage.port)
        await peer.greet(domain, OURS)
        assert await peer.ended_by(text) == "policy-violation"


@pytest.mark.parametrize("alpn", ["xmpp-client", "xmppd-bin/0", "h2", "http/1.1"])
async def test_direct_tls_for_another_protocol_is_refused(stage: Stage, alpn: str) -> None:
    with pytest.raises((ssl.SSLError, ConnectionError)):
        peer = await HostilePeer.dial(stage.direct_port, tls=tls_context(None, alpn=[alpn]))
        await peer.greet("evil.example", OURS)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
async def test_tls_of_yesterday_is_refused(stage: Stage) -> None:
    context = tls_context(None)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    peer = await HostilePeer.dial(stage.port)
    await peer.greet("evil.example", OURS)
    await peer.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
    await peer.read_until(b"<proceed")
    await peer.read_until(b">")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await peer.writer.start_tls(context)


async def test_stanzas_on_the_direct_port_without_tls_bring_nothing(stage: Stage) -> None:
    peer = await HostilePeer.dial(stage.direct_port)
    await peer.send(header("evil.example", OURS) + message("x@evil.example", ROMEO, "clear"))
    assert b"stream" not in await peer.read_to_end()


# time, amount, and what the operator says


async def one_byte_at_a_time(peer: HostilePeer, text: str) -> None:
    """Send slowly, until the other side has had enough."""
    for character in text * 100:
        if peer.writer.transport.is_closing():
            return
        await peer.send(character)
        await asyncio.sleep(0.25)


async def test_those_who_only_take_time_are_sent_away(stage: Stage) -> None:
    domain = stage.name()
    quick = datetime.now(UTC) + timedelta(seconds=3)
    silent = await HostilePeer.dial(stage.port)
    slow = await HostilePeer.dial(stage.port)
    spaces = await stage.secured(domain)
    header_only = await HostilePeer.dial(stage.port)
    await header_only.greet(domain, OURS)
    no_handshake = await HostilePeer.dial(stage.direct_port)
    expiring = await stage.proven(domain, stage.internet.authority.sign([domain], file_name="quick", not_after=quick))
    crowd = await asyncio.gather(*(HostilePeer.dial(stage.port) for _ in range(300)))
    drip = [
        asyncio.create_task(one_byte_at_a_time(slow, header(domain, OURS))),
        asyncio.create_task(one_byte_at_a_time(spaces, " ")),
    ]
    await stage.honest_word()
    everybody = (silent, slow, spaces, header_only, no_handshake, expiring, *crowd)
    conditions = await asyncio.gather(*(peer.stream_error(LOGIN_TIMEOUT_S + 12) for peer in everybody))
    await asyncio.gather(*drip)
    assert conditions[:6] == ["connection-timeout"] * 4 + ["", "reset"]
    assert set(conditions[6:]) == {"connection-timeout"}


async def test_a_server_that_sends_too_fast_slows_itself_alone(stage: Stage) -> None:
    domain = stage.name()
    peer = await stage.proven(domain)
    count = 4_000  # twice what a second may bring
    flood = "".join(f"<presence from='x{n}@{domain}' to='nobody@{OURS}'/>" for n in range(count))
    loop = asyncio.get_running_loop()
    began = loop.time()
    await peer.send(flood + f"<iq from='{domain}' to='{OURS}' type='get' id='done'><ping xmlns='urn:xmpp:ping'/></iq>")
    await stage.honest_word()
    assert loop.time() - began < 3
    assert not peer.writer.transport.is_closing()


async def test_a_domain_that_is_blocked_meanwhile_is_sent_away_and_not_let_in_again(stage: Stage) -> None:
    domain = stage.name()
    peer = await stage.proven(domain)
    reread(stage.ours, {"s2s.block": [domain]})
    assert await peer.stream_error() == "policy-violation"
    again = await HostilePeer.dial(stage.port)
    assert await again.ended_by(header(f"sub.{domain}", OURS)) == "policy-violation"
    under_another_name = await stage.secured("innocent.example")
    assert b"policy-violation" in await under_another_name.claim(domain, OURS)
    stage.romeo.client.send(message(ROMEO, f"x@{domain}", "to the blocked"))
    assert await stage.romeo.came_back("to the blocked") == "policy-violation"
