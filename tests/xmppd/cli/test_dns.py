"""What others see of a domain, asked of a name server that the test fills."""

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.name_server import NameServer, name_server
from xmppd.addresses import Address
from xmppd.cli import dns
from xmppd.cli.findings import Finding
from xmppd.config import Config

OURS = "a.example.org"


@pytest.fixture
def zone() -> Iterator[NameServer]:
    """A name server on a loop of its own, since the commands run theirs."""
    ready, loop, stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()
    served: list[NameServer] = []

    async def serve() -> None:
        async with name_server() as server:
            served.append(server)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    yield served[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()


@pytest.fixture
def sound(zone: NameServer) -> NameServer:
    """The zone as it should be for `config`."""
    for service, port in (("_xmpp-client", 5222), ("_xmpps-client", 5223), ("_xmpp-server", 5269)):
        zone.add(f"{service}._tcp.{OURS}", "SRV", f"0 5 {port} x.{OURS}.")
    zone.add(f"x.{OURS}", "A", "8.8.8.8")
    for name in ("conference", "upload"):
        zone.add(f"_xmpp-server._tcp.{name}.{OURS}", "SRV", f"0 5 5269 x.{OURS}.")
    return zone


def config(resolver: Address | str, **sections: object) -> Config:
    sections = {"server": {"domains": OURS}, "tls": {"certificate": "c.pem"}, **sections}
    s2s = {"resolver": str(resolver), **sections.pop("s2s", {})}  # type: ignore[dict-item]
    return Config.model_validate({**sections, "s2s": s2s}, context={"base": Path("/srv")})


def by_name(found: list[Finding]) -> dict[str, Finding]:
    return {one.about: one for one in found}


def test_a_sound_domain_is_well_in_every_step(sound):
    found = dns.look_closely(OURS, config(sound.address))
    assert [(one.about, one.state, one.detail) for one in found] == [
        (f"_xmpp-client._tcp.{OURS}", "ok", f"0 5 x.{OURS}:5222"),
        (f"_xmpps-client._tcp.{OURS}", "ok", f"0 5 x.{OURS}:5223"),
        (f"_xmpp-server._tcp.{OURS}", "ok", f"0 5 x.{OURS}:5269"),
        (f"reaching {OURS}, step 1", "ok", f"x.{OURS}:5269 at 8.8.8.8"),
        (f"reaching conference.{OURS}", "ok", f"x.{OURS}:5269"),
        (f"reaching upload.{OURS}", "ok", f"x.{OURS}:5269"),
    ]
    assert [one.state for one in dns.look(config(sound.address))] == ["ok"] * 3


def test_without_records_the_usual_ports_are_enough(zone):
    zone.add(OURS, "A", "8.8.8.8")
    found = by_name(dns.look_closely(OURS, config(zone.address, c2s={"direct_tls": ()})))
    assert found[f"_xmpp-client._tcp.{OURS}"].state == "ok"
    assert found[f"_xmpp-server._tcp.{OURS}"].detail == f"no SRV record: port 5269 of {OURS} itself is tried"
    assert found[f"reaching {OURS}, step 1"].detail == f"{OURS}:5269 at 8.8.8.8"


def test_without_records_another_port_is_found_by_nobody(zone):
    zone.add(OURS, "A", "8.8.8.8")
    found = by_name(dns.look(config(zone.address, s2s={"listen": "[::]:15269"})))[f"_xmpp-server._tcp.{OURS}"]
    assert found.state == "fault"
    assert found.detail.endswith(f"add  _xmpp-server._tcp.{OURS}. 3600 IN SRV 0 5 15269 {OURS}.")


def test_direct_tls_without_a_record_is_found_by_nobody(sound):
    found = by_name(dns.look(config(sound.address, s2s={"direct_tls": "[::]:5270"})))[f"_xmpps-server._tcp.{OURS}"]
    assert found.state == "warning"
    assert found.detail.endswith(f"add  _xmpps-server._tcp.{OURS}. 3600 IN SRV 0 5 5270 x.{OURS}.")


def test_a_record_that_leads_to_another_port_is_a_warning(sound):
    found = by_name(dns.look(config(sound.address, s2s={"listen": "[::]:15269"})))[f"_xmpp-server._tcp.{OURS}"]
    assert found.state == "warning"
    assert "we listen on 15269 (s2s.listen)" in found.detail


def test_a_record_that_says_none_where_we_listen_is_a_fault(sound):
    sound.add(f"_xmpp-server._tcp.{OURS}", "SRV", "0 0 0 .")
    found = by_name(dns.look_closely(OURS, config(sound.address)))
    assert found[f"_xmpp-server._tcp.{OURS}"].state == "fault"
    assert "IN SRV 0 5 5269" in found[f"_xmpp-server._tcp.{OURS}"].detail
    assert found[f"reaching {OURS}"].detail.startswith(f"{OURS} says that it has no XMPP server")


def test_a_target_without_an_address_is_a_fault(sound):
    sound.clear()
    sound.add(f"_xmpp-server._tcp.{OURS}", "SRV", f"0 5 5269 x.{OURS}.")
    found = by_name(dns.look_closely(OURS, config(sound.address)))[f"reaching {OURS}, step 1"]
    assert found.state == "fault"
    assert f"add  x.{OURS}. 3600 IN A 192.0.2.1" in found.detail


def test_an_address_of_this_network_alone_is_a_warning(sound):
    sound.add(f"x.{OURS}", "A", "10.0.0.1")
    found = by_name(dns.look_closely(OURS, config(sound.address)))[f"reaching {OURS}, step 1"]
    assert found.state == "warning"
    assert "10.0.0.1: not reached from the internet" in found.detail


def test_rooms_that_others_do_not_find_are_a_warning(sound):
    sound.clear()
    sound.add(OURS, "A", "8.8.8.8")
    found = by_name(dns.look_closely(OURS, config(sound.address)))[f"reaching conference.{OURS}"]
    assert found.state == "warning"
    assert found.detail.endswith(f"add  _xmpp-server._tcp.conference.{OURS}. 3600 IN SRV 0 5 5269 {OURS}.")


def test_who_talks_to_no_server_is_not_looked_for_by_servers(sound):
    found = by_name(dns.look(config(sound.address, s2s={"enabled": False, "listen": "[::]:15269"})))
    assert found[f"_xmpp-server._tcp.{OURS}"].state == "ok"


def test_of_another_s_domain_nothing_is_asked_of_our_ports(zone):
    zone.add("_xmpp-server._tcp.b.example", "SRV", "9 0 443 x.b.example.", "1 0 5270 y.b.example.")
    zone.add("x.b.example", "A", "8.8.8.8")
    zone.add("y.b.example", "AAAA", "2001:4860:4860::8888")
    found = dns.look_closely("b.example", config(zone.address))
    assert [(one.about, one.state) for one in found] == [
        ("_xmpp-server._tcp.b.example", "ok"),
        ("reaching b.example, step 1", "ok"),
        ("reaching b.example, step 2", "ok"),
    ]
    assert found[1].detail == "y.b.example:5270 at 2001:4860:4860::8888"


def test_a_domain_that_does_not_exist_says_what_it_needs(zone):
    found = by_name(dns.look_closely("nowhere.example", config(zone.address)))["reaching nowhere.example"]
    assert found.state == "fault"
    assert "add  nowhere.example. 3600 IN A 192.0.2.1" in found.detail


def test_a_domain_is_asked_for_as_dns_writes_it(zone):
    dns.look_closely("bücher.example.org", config(zone.address))
    assert ("_xmpp-client._tcp.xn--bcher-kva.example.org", "SRV") in zone.asked


def test_an_address_needs_no_dns(zone):
    found = dns.look_closely("192.0.2.1", config(zone.address))
    assert [one.detail for one in found] == [
        "no SRV record",
        "192.0.2.1:5269 at 192.0.2.1; 192.0.2.1: not reached from the internet",
    ]
    assert zone.questions == 0


def test_no_resolver_is_said_to_be_not_checked_and_named(monkeypatch):
    monkeypatch.setattr(dns, "QUESTION_S", 0.2)
    (found,) = dns.look(config("127.0.0.1:9", server={"domains": ["a.example.org", "b.example.org"]}))
    assert found.state == "skipped"
    assert "no answer from 127.0.0.1:9" in found.detail
    assert 's2s.resolver = ""' in found.detail


def test_no_resolver_is_a_fault_to_who_asks_for_dns_alone(monkeypatch):
    monkeypatch.setattr(dns, "QUESTION_S", 0.2)
    (found,) = dns.look_closely(OURS, config("127.0.0.1:9"))
    assert (found.state, "no answer from 127.0.0.1:9" in found.detail) == ("fault", True)


def test_a_port_that_the_kernel_gives_is_in_no_record(zone):
    zone.add(OURS, "A", "8.8.8.8")
    found = dns.look_closely(OURS, config(zone.address, s2s={"listen": "127.0.0.1:0"}))
    assert not any("_xmpp-server" in one.detail or "conference" in one.about for one in found)


@pytest.mark.parametrize(
    "domain", ["localhost", "box", "a.test", "a.localhost", "printer.local", "192.0.2.1", "[2001:db8::1]"]
)
def test_names_that_are_not_public_are_not_asked_for(zone, domain):
    assert [one.state for one in dns.look(config(zone.address, server={"domains": domain}))] == ["skipped"]
    assert zone.questions == 0


def test_the_command_shows_it_to_people_and_machines(folder, run, sound):
    sets = (
        "--set",
        f"s2s.resolver={sound.address}",
        "--set",
        f"server.domains={OURS}",
        "--set",
        "s2s.listen=[::]:5269",
    )
    done = run("check", "dns", OURS, *sets)
    assert f"x.{OURS}:5269 at 8.8.8.8" in done.out
    found = json.loads(run("check", "dns", "nowhere.example", "--json", *sets).out)
    assert [one["state"] for one in found] == ["ok", "fault"]
    assert run("check", "dns", "nowhere.example", *sets).code == 1


def test_options_in_front_of_the_command_are_not_lost_unseen(folder, run):
    done = run("check", "--set", "s2s.resolver=127.0.0.1:9", "dns", OURS)
    assert done.code == 2
    assert "behind" in done.err


def test_the_command_refuses_what_is_no_domain(folder, run):
    done = run("check", "dns", "a@b/c d")
    assert done.code == 2
    assert "no domain" in done.err
