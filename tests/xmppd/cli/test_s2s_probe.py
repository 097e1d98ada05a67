"""One connection to another server, which says what a server may say and what it should not."""

import socket

import pytest

from tests.support.ca import make_test_ca
from tests.support.scripted_peer import (
    DIALBACK,
    EXTERNAL,
    HEADER,
    PROCEED,
    REFUSAL,
    STARTTLS,
    ScriptedPeer,
    features,
    listening,
)
from tests.xmppd.s2s.test_tls import Files
from xmppd.cli.s2s_probe import Seen, probe
from xmppd.s2s.tls import PeerTls

OURS, THEIRS = "ours.example", "theirs.example"
ERROR = b"<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/><text>Who?</text></stream:error>"


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return make_test_ca(tmp_path_factory.mktemp("ca"))


def tls_of(ca, domain) -> PeerTls:
    leaf = ca.sign([domain])
    return PeerTls(Files(leaf.certificate, leaf.key, ca_file=ca.path))


@pytest.fixture(scope="module")
def ours(ca):
    return tls_of(ca, OURS)


@pytest.fixture(scope="module")
def theirs(ca):
    return tls_of(ca, THEIRS)


async def seen_of(ours: PeerTls, peer: ScriptedPeer, *, log_in: bool = True, timeout_s: float = 10) -> Seen:
    async with listening(peer):
        return await probe(
            ours,
            OURS,
            THEIRS,
            ("127.0.0.1", peer.port),
            is_direct=peer.is_direct,
            log_in=log_in,
            timeout_s=timeout_s,
        )


@pytest.mark.parametrize("is_direct", [False, True])
async def test_all_of_a_good_server_is_seen(ours, theirs, is_direct):
    peer = ScriptedPeer(theirs, is_direct)
    seen = await seen_of(ours, peer)
    assert (seen.problem, seen.login, seen.version) == (None, "success", "TLSv1.3")
    assert seen.cipher is not None
    assert seen.certificate is not None and seen.certificate.verdict(THEIRS) is None
    assert seen.offers_external and seen.offers("urn:xmpp:features:dialback dialback")
    assert not seen.offers("urn:xmpp:features:bidi bidi")
    assert b"from='ours.example' to='theirs.example'" in peer.heard
    assert b">b3Vycy5leGFtcGxl</auth>" in peer.heard


async def test_no_login_is_tried_unless_wanted(ours, theirs):
    peer = ScriptedPeer(theirs)
    seen = await seen_of(ours, peer, log_in=False)
    assert (seen.problem, seen.login, seen.stage) == (None, None, "stream")
    assert b"<auth" not in peer.heard


async def test_no_login_is_tried_unless_offered(ours, theirs):
    peer = ScriptedPeer(theirs, inside=HEADER + features(DIALBACK))
    assert (await seen_of(ours, peer)).login is None
    assert b"<auth" not in peer.heard


async def test_a_refusal_is_told_by_its_condition(ours, theirs):
    seen = await seen_of(ours, ScriptedPeer(theirs, login=REFUSAL))
    assert (seen.problem, seen.login) == (None, "not-authorized")


@pytest.mark.parametrize(
    ("script", "stage", "problem"),
    [
        ({"clear": HEADER + features(DIALBACK)}, "stream", "it offers no TLS"),
        ({"clear": HEADER + ERROR}, "stream", "it ends the stream: host-unknown (Who?)"),
        (
            {"clear": HEADER.replace(b" version='1.0' id", b" id") + features()},
            "stream",
            "it speaks a version of XMPP before 1",
        ),
        ({"clear": b"220 mail.example ESMTP\r\n"}, "stream", "what it sends is no XMPP"),
        ({"clear": HEADER + b"<surprise xmlns='urn:x'/>"}, "stream", "it sends surprise where its features belong"),
        ({"clear": HEADER + b"</stream:stream>"}, "stream", "it closes the stream"),
        ({"clear": HEADER + b"<iq type='set' id='a' from='a' to='b'><x/></iq>" * 99}, "stream", "it sends much, but"),
        ({"clear": b""}, "stream", "it closes the connection"),
        ({"go": b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"}, "stream", "it refuses TLS"),
        ({"go": b""}, "stream", "it closes the connection"),
        ({"go": PROCEED + b"no TLS at all, but text"}, "stream", "more comes in clear text behind"),
        ({"inside": HEADER + ERROR}, "stream", "it ends the stream: host-unknown (Who?)"),
        ({"inside": b""}, "stream", "it closes the connection"),
        (
            {"login": b"<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"},
            "login",
            "it answers our login with challen",
        ),
        ({"login": b""}, "login", "it closes the connection"),
    ],
)
async def test_it_says_how_far_it_came_and_why_no_further(ours, theirs, script, stage, problem):
    seen = await seen_of(ours, ScriptedPeer(theirs, **script))
    assert (seen.stage, str(seen.problem)[: len(problem)]) == (stage, problem)


async def test_what_is_put_in_before_tls_is_not_taken_for_what_is_said_inside(ours, theirs):
    forged = HEADER + features(STARTTLS) + PROCEED + HEADER + features(EXTERNAL)
    seen = await seen_of(ours, ScriptedPeer(theirs, clear=forged))
    assert seen.problem == "more comes in clear text behind its consent to TLS: somebody is in between"
    assert not seen.offers_external


@pytest.mark.parametrize("script", [{"clear": None}, {"go": None}, {"inside": None}, {"login": None}])
async def test_one_that_falls_silent_is_given_up(ours, theirs, script):
    seen = await seen_of(ours, ScriptedPeer(theirs, **script), timeout_s=0.3)
    assert seen.problem == "no answer within 0.3 s"


async def test_direct_tls_where_there_is_none_fails_as_such(ours, theirs):
    peer = ScriptedPeer(theirs)
    async with listening(peer):
        seen = await probe(ours, OURS, THEIRS, ("127.0.0.1", peer.port), is_direct=True, log_in=True, timeout_s=1)
    assert seen.stage == "TLS" and seen.problem is not None


async def test_a_closed_port_is_said_to_be_one(ours):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        seen = await probe(ours, OURS, THEIRS, taken.getsockname(), is_direct=False, log_in=True, timeout_s=5)
    assert (seen.stage, seen.problem) == ("connection", "connection refused")


async def test_a_strangers_words_cannot_break_the_line(ours, theirs):
    text = "<stream:error><x/><text>a&#10;b\u009b31m</text></stream:error>".encode()
    seen = await seen_of(ours, ScriptedPeer(theirs, clear=HEADER + text))
    assert seen.problem == "it ends the stream: x (a\\nb\\x9b31m)"
