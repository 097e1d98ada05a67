"""A real DNS server, dnsmasq: what it says of records, of services that are not there, and what its death costs."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from tests.support.federation.zone import HOST, Zone
from xmppd.addresses import parse_address
from xmppd.s2s.dial import CannotConnect, dial
from xmppd.s2s.resolver import NoService, Resolver, ResolverDown

pytestmark = [pytest.mark.system, pytest.mark.timeout(60)]

DOMAINS = 500


@pytest.fixture(scope="module")
def zone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zone]:
    """Domains with servers, one that says it has none, one with more records than a datagram carries."""
    zone = Zone(tmp_path_factory.mktemp("zone"))
    zone.add("plain.example", 5269)
    zone.add("both.example", 5269)
    zone.add("both.example", 5270, direct_tls=True)
    zone.add_without_service("none.example")
    zone.records += ["host-record=alone.example,127.0.0.5", "cname=alias.example,alone.example"]
    zone.records += [f"srv-host=_xmpp-server._tcp.large.example,h{n}.example,5269,{n}" for n in range(100)]
    zone.records += [f"srv-host=_xmpp-server._tcp.d{n}.example,{HOST},5269" for n in range(DOMAINS)]
    zone.start()
    yield zone
    zone.close()


@pytest.fixture
def resolver(zone: Zone) -> Resolver:
    return Resolver(parse_address(zone.address))


async def test_a_real_server_tells_what_domains_offer(resolver):
    found = {name: sorted(map(str, await resolver.targets(f"{name}.example"))) for name in ("plain", "both", "alone")}
    assert found == {
        "plain": [f"{HOST}:5269"],
        "both": [f"{HOST}:5269", f"{HOST}:5270 direct TLS"],
        "alone": ["alone.example:5269"],
    }
    assert await resolver.addresses(HOST) == ["127.0.0.1"]
    assert await resolver.addresses("alias.example") == ["127.0.0.5"]


@pytest.mark.parametrize("domain", ["none.example", "nowhere.example"])
async def test_a_real_server_s_no_is_a_no(resolver, domain):
    with pytest.raises(NoService):
        await resolver.targets(domain)


async def test_records_beyond_a_datagram_come_by_tcp(resolver):
    targets = await resolver.targets("large.example")
    assert [target.host for target in targets] == [f"h{n}.example" for n in range(20)]


async def test_five_hundred_domains_at_once_are_all_found(resolver):
    found = await asyncio.gather(*(resolver.targets(f"d{n}.example") for n in range(DOMAINS)))
    assert all(len(targets) == 1 for targets in found)


async def test_a_domain_is_reached(zone):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        zone.add("reached.example", port)
        resolver = Resolver(parse_address(zone.address))
        async with aclosing(dial(resolver, "reached.example", attempt_timeout_s=5, total_timeout_s=10)) as dialled:
            one = await anext(dialled)
        assert one.sock.getpeername() == ("127.0.0.1", port)
        one.sock.close()


async def test_a_dead_dns_server_is_no_no_and_what_is_known_stays_known(tmp_path: Path):
    zone = Zone(tmp_path)
    zone.add("known.example", 5269)
    zone.records.append("local-ttl=60")
    zone.start()
    try:
        resolver = Resolver(parse_address(zone.address), question_s=1)
        before = await resolver.targets("known.example")
    finally:
        zone.close()
    assert await resolver.targets("known.example") == before
    with pytest.raises(ResolverDown):
        await resolver.targets("other.example")
    with pytest.raises(CannotConnect) as caught:
        async with aclosing(dial(resolver, "other.example", attempt_timeout_s=1, total_timeout_s=3)) as dialled:
            await anext(dialled)
    assert caught.value.condition == "remote-server-timeout"
