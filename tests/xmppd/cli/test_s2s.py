"""What `xmppd check s2s` says: each problem with what mends it; against servers that say what the test has them say, and ours."""

import json
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.ca import CertificateAuthority, Leaf, make_test_ca, self_signed
from tests.support.daemon import free_ports
from tests.support.name_server import NameServer, name_server
from tests.support.scripted_peer import EXTERNAL, HEADER, REFUSAL, ScriptedPeer, features, listening
from tests.support.server import ServerProcess
from tests.xmppd.s2s.test_tls import Files
from xmppd.cli.findings import Finding
from xmppd.cli.s2s import look
from xmppd.config import Config
from xmppd.config_sources import load_config
from xmppd.s2s.tls import PeerTls

OURS, THEIRS = "ours.example", "theirs.example"


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return make_test_ca(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def leaf(ca):
    return ca.sign([THEIRS])


def peer_of(ca: CertificateAuthority, leaf: Leaf, **script) -> ScriptedPeer:
    return ScriptedPeer(PeerTls(Files(leaf.certificate, leaf.key, ca_file=ca.path)), **script)


@pytest.fixture
def config(ca, tmp_path):
    """Return a function that makes our settings."""
    ours = ca.sign([OURS])

    def make(dns: NameServer, *sets: str) -> Config:
        return load_config(
            None,
            [
                f"server.domains={OURS}",
                f"server.data_dir={tmp_path}",
                f"tls.certificate={ours.certificate}",
                f"tls.key={ours.key}",
                f"tls.ca_file={ca.path}",
                f"s2s.resolver={dns.address}",
                *sets,
            ],
            {},
        )

    return make


async def found_of(config, peers: list[ScriptedPeer], *sets: str, domain: str = THEIRS) -> list[Finding]:
    """Return what is found when a domain names these servers."""
    async with AsyncExitStack() as stack:
        dns = await stack.enter_async_context(name_server([("xmpp.test", "A", "127.0.0.1")]))
        services: dict[bool, list[str]] = {False: [], True: []}
        for number, peer in enumerate(peers):
            await stack.enter_async_context(listening(peer))
            services[peer.is_direct].append(f"{number} 5 {peer.port} xmpp.test.")
        dns.add(f"_xmpp-server._tcp.{domain}", "SRV", *services[False])
        dns.add(f"_xmpps-server._tcp.{domain}", "SRV", *services[True])
        return await look(config(dns, *sets), domain)


def about(found: list[Finding], what: str) -> Finding:
    """Return the finding whose subject ends so."""
    (one,) = [one for one in found if one.about.endswith(what)]
    return one


async def test_a_good_server_is_well_from_records_to_login(config, ca, leaf):
    found = await found_of(config, [peer_of(ca, leaf), peer_of(ca, leaf, is_direct=True)])
    assert {one.state for one in found} == {"ok"}
    assert found[0].about == "records" and "direct TLS" in found[0].detail
    logins = [one for one in found if one.about.endswith("login")]
    assert [one.detail for one in logins] == ["by certificate: it takes ours"] * 2
    certificate = next(one for one in found if one.about.endswith("certificate"))
    assert certificate.detail.startswith(f"it proves {THEIRS} until ") and certificate.detail.endswith("29 days")


async def test_a_refused_certificate_leaves_dialback(config, ca, leaf):
    found = await found_of(config, [peer_of(ca, leaf, login=REFUSAL)])
    login = about(found, "login")
    assert login.state == "ok" and "it refuses our certificate (not-authorized)" in login.detail


async def test_a_refused_certificate_without_dialback_is_a_fault(config, ca, leaf):
    found = await found_of(config, [peer_of(ca, leaf, login=REFUSAL, inside=HEADER + features(EXTERNAL))])
    login = about(found, "login")
    assert login.state == "fault" and "get ours from an authority that it trusts" in login.detail


async def test_a_server_that_offers_nothing_is_a_fault(config, ca, leaf):
    found = await found_of(config, [peer_of(ca, leaf, inside=HEADER + features())])
    assert about(found, "offers").state == "warning"
    assert about(found, "login").state == "fault"


async def test_an_untrusted_certificate_is_told_with_the_pin_that_would_take_it(config, ca, tmp_path):
    peer = peer_of(ca, self_signed(tmp_path, THEIRS))
    found = await found_of(config, [peer])
    certificate = about(found, "certificate")
    assert certificate.state == "warning"  # dialback is there
    assert "it is self-signed" in certificate.detail
    pin = certificate.detail.partition('.pins = ["')[2][:64]
    pinned = await found_of(config, [replace(peer, heard=bytearray())], f's2s.domains."{THEIRS}".pins=["{pin}"]')
    assert about(pinned, "certificate").detail.endswith("(pinned)")
    assert about(pinned, "login").detail == "by certificate: it takes ours"


async def test_an_untrusted_certificate_is_a_fault_where_certificates_alone_count(config, ca, tmp_path):
    peer = peer_of(ca, self_signed(tmp_path, THEIRS))
    found = await found_of(config, [peer], "s2s.authentication=certificate")
    assert about(found, "certificate").state == "fault"
    assert about(found, "login").state == "fault"


async def test_dialback_alone_is_said_to_be(config, ca, leaf):
    found = await found_of(config, [peer_of(ca, leaf)], "s2s.authentication=dialback")
    assert about(found, "login").detail.startswith("by dialback")


async def test_a_certificate_that_ends_soon_is_a_warning(config, ca):
    soon = ca.sign([THEIRS], file_name="soon", not_after=datetime.now(UTC) + timedelta(days=5, minutes=1))
    found = await found_of(config, [peer_of(ca, soon)])
    certificate = about(found, "certificate")
    assert certificate.state == "warning" and certificate.detail.endswith("5 days")


async def test_a_certificate_of_another_is_said_to_be(config, ca):
    found = await found_of(config, [peer_of(ca, ca.sign(["other.example"]))])
    assert about(found, "certificate").detail == "it is for other.example, not for theirs.example"


async def test_where_a_connection_ends_it_says_why(config, ca, leaf):
    found = await found_of(config, [peer_of(ca, leaf, clear=HEADER + features())])
    assert found[-1].about.endswith("stream")
    assert (found[-1].state, found[-1].detail) == ("fault", "it offers no TLS")


async def test_no_record_and_no_address_says_which_record_to_add(config):
    async with name_server() as dns:
        found = await look(config(dns), THEIRS)
    assert found[-1].state == "fault"
    assert f"_xmpp-server._tcp.{THEIRS}. 3600 IN SRV 0 5 5269" in found[-1].detail


async def test_a_record_whose_host_has_no_address_is_named(config):
    async with name_server([(f"_xmpp-server._tcp.{THEIRS}", "SRV", "0 5 5269 nowhere.test.")]) as dns:
        found = await look(config(dns), THEIRS)
    assert found[-1].state == "fault"
    assert "nowhere.test needs an A or AAAA record" in found[-1].detail


async def test_without_a_dns_server_the_setting_is_named(config):
    async with name_server() as dns:
        dns.broken.update({f"_xmpp-server._tcp.{THEIRS}", f"_xmpps-server._tcp.{THEIRS}"})
        found = await look(config(dns), THEIRS)
    assert found[-1].state == "fault" and "s2s.resolver" in found[-1].detail


async def test_a_blocked_domain_is_named_with_the_setting(config):
    async with name_server() as dns:
        found = await look(config(dns, f's2s.block=["{THEIRS}"]'), f"muc.{THEIRS}")
    assert found[0].state == "fault" and "s2s.block" in found[0].detail


async def test_without_a_certificate_nothing_is_tried(config):
    async with name_server() as dns:
        found = await look(config(dns, "tls.certificate=/nowhere/cert.pem"), THEIRS)
    assert found[-1].about == "our certificate" and found[-1].state == "fault"
    assert dns.questions == 0


@pytest.mark.parametrize("is_direct", [False, True])
async def test_our_own_closed_port_is_told_with_its_setting(config, is_direct):
    service = "_xmpps-server" if is_direct else "_xmpp-server"
    (port,) = free_ports(1)
    records = [(f"{service}._tcp.{OURS}", "SRV", f"0 5 {port} xmpp.test."), ("xmpp.test", "A", "127.0.0.1")]
    async with name_server(records) as dns:
        found = await look(config(dns), OURS)
    assert found[-1].state == "fault"
    assert f"does {'s2s.direct_tls' if is_direct else 's2s.listen'} have port {port}" in found[-1].detail


async def test_our_own_certificate_is_told_with_its_setting(config, ca, leaf, tmp_path):
    found = await found_of(config, [peer_of(ca, leaf)], domain=OURS)
    assert f'set tls.domains."{OURS}".certificate' in about(found, "certificate").detail
    found = await found_of(config, [peer_of(ca, self_signed(tmp_path, OURS))], domain=OURS)
    assert "put its whole chain into tls.certificate" in about(found, "certificate").detail


async def test_our_own_server_is_well(config, ca, tmp_path):
    ports = free_ports(2)
    ours = ca.sign([OURS])
    async with name_server(
        [
            (f"_xmpp-server._tcp.{OURS}", "SRV", f"0 5 {ports[0]} xmpp.test."),
            (f"_xmpps-server._tcp.{OURS}", "SRV", f"0 5 {ports[1]} xmpp.test."),
            ("xmpp.test", "A", "127.0.0.1"),
        ]
    ) as dns:
        settings = {
            "s2s.listen": [f"127.0.0.1:{ports[0]}"],
            "s2s.direct_tls": [f"127.0.0.1:{ports[1]}"],
            "s2s.resolver": str(dns.address),
            "tls.ca_file": str(ca.path),
        }
        with ServerProcess(tmp_path / "server", [OURS], settings, certificate=ours.certificate, key=ours.key):
            found = await look(config(dns, f"s2s.listen=127.0.0.1:{ports[0]}"), OURS)
    assert [one for one in found if one.state != "ok"] == []
    logins = [one.detail for one in found if one.about.endswith("login")]
    assert logins == ["by certificate, for servers with a trusted one, else by dialback"] * 2


def test_the_command_prints_findings_and_fails_when_one_is_a_fault(folder: Path, run):
    done = run("check", "s2s", "other.invalid", "--json")
    assert done.code == 1
    assert json.loads(done.out)[-1]["about"] == "our certificate"


def test_what_is_no_domain_is_a_usage_error(folder: Path, run):
    done = run("check", "s2s", "ann@example.org")
    assert done.code == 2 and "is no domain" in done.err


def test_options_before_the_command_are_not_lost_in_silence(folder: Path, run):
    done = run("check", "--json", "s2s", "example.org")
    assert done.code == 2 and "options go behind" in done.err
