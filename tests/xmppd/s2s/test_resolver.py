"""Where other servers are, asked of a name server that the test fills."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest
from dns.resolver import NoResolverConfiguration

from tests.support.name_server import NameServer, name_server
from xmppd.addresses import Address
from xmppd.s2s import resolver as resolver_file
from xmppd.s2s.resolver import NoService, Resolver, ResolverDown, Target

PLAIN, DIRECT = "_xmpp-server._tcp.", "_xmpps-server._tcp."


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def dns() -> AsyncIterator[NameServer]:
    async with name_server() as server:
        yield server


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def resolver(dns: NameServer, clock: Clock) -> Resolver:
    return Resolver(dns.address, clock, Random(1), question_s=2)


def shown(targets: list[Target]) -> list[str]:
    return [str(target) for target in targets]


async def test_records_of_both_services_come_in_one_order(dns, resolver):
    dns.add(f"{PLAIN}a.example", "SRV", "10 0 5269 One.A.example.", "30 0 5270 three.a.example.")
    dns.add(f"{DIRECT}a.example", "SRV", "20 0 443 two.a.example.")
    assert shown(await resolver.targets("a.example")) == [
        "one.a.example:5269",
        "two.a.example:443 direct TLS",
        "three.a.example:5270",
    ]


async def test_without_records_the_domain_itself_is_tried(dns, resolver):
    dns.add("a.example", "A", "192.0.2.1")
    assert await resolver.targets("a.example") == [Target("a.example", 5269, False)]


async def test_with_records_the_domain_itself_is_not_tried(dns, resolver):
    dns.add("a.example", "A", "192.0.2.1")
    dns.add(f"{PLAIN}a.example", "SRV", "10 0 5269 gone.a.example.")
    assert shown(await resolver.targets("a.example")) == ["gone.a.example:5269"]
    assert dns.asked[("a.example", "A")] == 0


async def test_a_name_that_does_not_exist_has_no_service(resolver):
    with pytest.raises(NoService, match=r"^nowhere.example has no address$"):
        await resolver.targets("nowhere.example")


async def test_who_says_that_there_is_none_has_no_service(dns, resolver):
    dns.add(f"{PLAIN}a.example", "SRV", "0 0 0 .")
    dns.add("a.example", "A", "192.0.2.1")
    with pytest.raises(NoService, match=r"^a.example says that it has no XMPP server$"):
        await resolver.targets("a.example")
    assert dns.asked[("a.example", "A")] == 0


async def test_none_of_one_service_leaves_the_other(dns, resolver):
    dns.add(f"{PLAIN}a.example", "SRV", "0 0 0 .")
    dns.add(f"{DIRECT}a.example", "SRV", "5 0 5270 x.a.example.")
    assert shown(await resolver.targets("a.example")) == ["x.a.example:5270 direct TLS"]


async def test_no_direct_tls_alone_leaves_the_domain_itself(dns, resolver):
    dns.add(f"{DIRECT}a.example", "SRV", "0 0 0 .")
    dns.add("a.example", "AAAA", "2001:db8::1")
    assert shown(await resolver.targets("a.example")) == ["a.example:5269"]


async def test_a_service_that_dns_does_not_tell_is_not_taken_for_none(dns, resolver):
    dns.broken.add(f"{PLAIN}a.example")
    dns.add("a.example", "A", "192.0.2.1")
    with pytest.raises(ResolverDown, match=f"^DNS does not tell SRV of {PLAIN}a.example: .* could not find out$"):
        await resolver.targets("a.example")


async def test_the_failure_of_one_service_does_not_hide_the_other(dns, resolver):
    dns.broken |= {f"{PLAIN}a.example", f"{DIRECT}b.example", f"{DIRECT}c.example"}
    dns.add(f"{DIRECT}a.example", "SRV", "5 0 443 x.a.example.")
    dns.add(f"{PLAIN}b.example", "SRV", "5 0 5269 x.b.example.")
    dns.add("c.example", "A", "192.0.2.1")
    assert shown(await resolver.targets("a.example")) == ["x.a.example:443 direct TLS"]
    assert shown(await resolver.targets("b.example")) == ["x.b.example:5269"]
    assert shown(await resolver.targets("c.example")) == ["c.example:5269"]


async def test_silence_is_a_resolver_that_is_down(dns, clock):
    dns.silent |= {f"{PLAIN}a.example", f"{DIRECT}a.example"}
    with pytest.raises(ResolverDown, match=r"no answer from 127.0.0.1"):
        await Resolver(dns.address, clock, question_s=0.1).targets("a.example")


async def test_an_address_is_its_own_server(dns, resolver):
    assert await resolver.targets("[2001:db8::1]") == [Target("2001:db8::1", 5269, False)]
    assert await resolver.targets("192.0.2.1") == [Target("192.0.2.1", 5269, False)]
    assert await resolver.addresses("2001:db8::1") == ["2001:db8::1"]
    assert await resolver.services("192.0.2.1", "_xmpp-server._tcp") == []
    assert dns.questions == 0


async def test_the_machine_itself_is_not_asked_for(dns, resolver):
    assert await resolver.addresses("localhost") == ["::1", "127.0.0.1"]
    assert await resolver.addresses("a.localhost") == ["::1", "127.0.0.1"]
    assert dns.questions == 0


@pytest.mark.parametrize(
    "domain",
    [
        *("a..example", "x" * 64 + ".example", "a.example\n", "a b.example", "", ".", "a/b.example", "*.example"),
        *("x.onion", "x.invalid", ".".join(["abcdefgh"] * 29), "fe80::1%lo", "-a.example", "a\\046b.example"),
    ],
)
async def test_what_is_no_name_is_not_asked_for(dns, resolver, domain):
    with pytest.raises(NoService, match="no name in DNS"):
        await resolver.targets(domain)
    assert dns.questions == 0


async def test_a_name_too_long_for_a_service_before_it_is_asked_without(dns, resolver):
    name = ".".join(["abcdefg"] * 31)
    dns.add(name, "A", "192.0.2.1")
    assert shown(await resolver.targets(name)) == [f"{name}:5269"]


async def test_a_domain_is_asked_for_as_dns_writes_it(dns, resolver):
    dns.add(f"{PLAIN}xn--bcher-kva.example", "SRV", "5 0 5269 x.example.")
    assert shown(await resolver.targets("bücher.example")) == ["x.example:5269"]


async def test_records_that_cannot_be_used_are_left_out(dns, resolver):
    dns.add(f"{PLAIN}a.example", "SRV", "1 0 0 port.example.", r"2 0 5269 a\032b.example.", "3 0 5269 x.example.")
    assert shown(await resolver.targets("a.example")) == ["x.example:5269"]


async def test_many_records_are_twenty_and_the_first_among_them(dns, resolver):
    dns.add(f"{PLAIN}a.example", "SRV", *(f"{n} 0 5269 h{n}.example." for n in range(150, 0, -1)))
    targets = await resolver.targets("a.example")
    assert shown(targets) == [f"h{n}.example:5269" for n in range(1, resolver_file.MAX_SERVICE_RECORDS + 1)]
    assert dns.transports.count("tcp") == 1


async def test_a_thousand_records_are_not_read(dns, resolver):
    dns.add(f"{PLAIN}a.example", "SRV", *(f"{n} 0 5269 h{n}.example." for n in range(1000)))
    with pytest.raises(ResolverDown, match="could not find out"):
        await resolver.targets("a.example")


async def test_addresses_of_both_families_take_turns(dns, resolver):
    dns.add("x.example", "A", "192.0.2.1", "192.0.2.2", "192.0.2.3")
    dns.add("x.example", "AAAA", "2001:db8::1", "2001:db8::2")
    found = await resolver.addresses("x.example")
    assert [":" in address for address in found] == [True, False, True, False, False]
    assert len(set(found)) == 5


async def test_many_addresses_are_sixteen(dns, resolver):
    dns.add("x.example", "A", *(f"192.0.2.{n}" for n in range(1, 200)))
    dns.add("x.example", "AAAA", *(f"2001:db8::{n}" for n in range(1, 200)))
    assert len(await resolver.addresses("x.example")) == 2 * resolver_file.MAX_ADDRESSES


async def test_what_no_host_has_is_no_address(dns, resolver):
    dns.add("x.example", "A", "0.0.0.0", "224.0.0.1", "255.255.255.255")
    dns.add("x.example", "AAAA", "::", "ff02::1", "fe80::1", "::ffff:192.0.2.1")
    with pytest.raises(NoService):
        await resolver.addresses("x.example")


async def test_one_family_is_enough(dns, resolver):
    dns.add("x.example", "A", "192.0.2.1")
    assert await resolver.addresses("x.example") == ["192.0.2.1"]


async def test_a_host_that_dns_does_not_tell_is_not_taken_for_none(dns, resolver):
    dns.broken.add("x.example")
    with pytest.raises(ResolverDown, match=r"A of x.example"):
        await resolver.addresses("x.example")


async def test_aliases_are_followed(dns, resolver):
    dns.add("x.example", "CNAME", "y.example.")
    dns.add("y.example", "CNAME", "z.example.")
    dns.add("z.example", "A", "192.0.2.1")
    assert await resolver.addresses("x.example") == ["192.0.2.1"]


@pytest.mark.parametrize("length", [1, 40])
async def test_aliases_without_end_are_a_failure(dns, resolver, length):
    for number in range(length):
        dns.add(f"x{number}.example", "CNAME", f"x{(number + 1) % length}.example.")
    with pytest.raises(ResolverDown):
        await resolver.addresses("x0.example")


async def test_an_answer_with_another_id_is_not_believed(dns, resolver):
    dns.forged = True
    dns.add("x.example", "A", "192.0.2.1")
    assert await resolver.addresses("x.example") == ["192.0.2.1"]


async def test_an_answer_counts_as_long_as_it_says(dns, resolver, clock):
    dns.add("x.example", "A", "192.0.2.1", ttl=60)
    await resolver.addresses("x.example")
    dns.add("x.example", "A", "192.0.2.2", ttl=60)
    clock.now += 59
    assert await resolver.addresses("x.example") == ["192.0.2.1"]
    clock.now += 2
    assert await resolver.addresses("x.example") == ["192.0.2.2"]


@pytest.mark.parametrize(("ttl", "counts_s"), [(0, resolver_file.MIN_TTL_S), (10**6, resolver_file.MAX_TTL_S)])
async def test_there_is_a_least_and_a_most_time(dns, resolver, clock, ttl, counts_s):
    dns.add("x.example", "A", "192.0.2.1", ttl=ttl)
    await resolver.addresses("x.example")
    clock.now += counts_s - 1
    await resolver.addresses("x.example")
    assert dns.asked[("x.example", "A")] == 1
    clock.now += 1
    await resolver.addresses("x.example")
    assert dns.asked[("x.example", "A")] == 2


@pytest.mark.parametrize(("minimum", "counts_s"), [(60, 60), (10**6, resolver_file.MAX_NEGATIVE_TTL_S), (0, 5)])
async def test_a_no_counts_for_the_minimum_of_its_zone(dns, resolver, clock, minimum, counts_s):
    dns.negative_ttl = minimum
    for passed_s, times in ((0, 1), (counts_s - 1, 1), (1, 2)):
        clock.now += passed_s
        with pytest.raises(NoService):
            await resolver.targets("a.example")
        assert dns.asked[(f"{PLAIN}a.example", "SRV")] == times


async def test_a_no_without_a_word_on_its_time_counts_for_a_while(dns, resolver, clock):
    dns.negative_ttl = None
    for passed_s, times in ((0, 1), (4, 1), (900, 2)):
        clock.now += passed_s
        with pytest.raises(NoService):
            await resolver.addresses("x.example")
        assert dns.asked[("x.example", "A")] == times


async def test_a_failure_counts_for_five_seconds(dns, resolver, clock):
    dns.broken.add("x.example")
    for _ in range(2):
        with pytest.raises(ResolverDown):
            await resolver.addresses("x.example")
    assert dns.asked[("x.example", "A")] == 1
    dns.broken.clear()
    dns.add("x.example", "A", "192.0.2.1")
    clock.now += resolver_file.MIN_TTL_S
    assert await resolver.addresses("x.example") == ["192.0.2.1"]


async def test_the_choice_by_weight_is_made_anew_each_time(dns, resolver):
    dns.add(f"{PLAIN}a.example", "SRV", "1 1 5269 x.example.", "1 1 5269 y.example.")
    firsts = {(await resolver.targets("a.example"))[0].host for _ in range(40)}
    assert firsts == {"x.example", "y.example"}
    assert dns.asked[(f"{PLAIN}a.example", "SRV")] == 1


async def test_what_was_not_asked_for_the_longest_is_forgotten_first(dns, clock):
    resolver = Resolver(dns.address, clock, max_cached=4)
    for host in ("x.example", "y.example", "x.example", "z.example", "x.example"):
        dns.add(host, "A", "192.0.2.1")
        await resolver.addresses(host)
    assert dns.asked[("x.example", "A")] == 1
    await resolver.addresses("y.example")
    assert dns.asked[("y.example", "A")] == 2


async def test_many_who_ask_the_same_share_one_question(dns, resolver):
    dns.add("x.example", "A", "192.0.2.1")
    dns.held.add("x.example")
    waiting = [asyncio.create_task(resolver.addresses("x.example")) for _ in range(50)]
    await dns.next_question.acquire()
    dns.release()
    assert await asyncio.gather(*waiting) == [["192.0.2.1"]] * 50
    assert dns.questions == 2


async def test_one_who_gives_up_leaves_the_question_to_the_others(dns, resolver):
    dns.add("x.example", "A", "192.0.2.1")
    dns.held.add("x.example")
    first, second = (asyncio.create_task(resolver.addresses("x.example")) for _ in range(2))
    await dns.next_question.acquire()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    dns.release()
    assert await second == ["192.0.2.1"]


async def test_a_question_ends_with_the_last_who_waits(dns, resolver):
    before = asyncio.all_tasks()
    dns.held.add("x.example")
    only = asyncio.create_task(resolver.addresses("x.example"))
    await dns.next_question.acquire()
    ours = [task for task in asyncio.all_tasks() - before if "_asked" in repr(task)]
    assert ours
    only.cancel()
    await asyncio.wait([only, *ours])
    assert all(task.cancelled() for task in ours)
    dns.release()
    dns.add("x.example", "A", "192.0.2.1")
    assert await resolver.addresses("x.example") == ["192.0.2.1"]


async def test_questions_are_asked_a_bounded_number_at_a_time(dns, monkeypatch):
    monkeypatch.setattr(resolver_file, "MAX_QUESTIONS", 4)
    resolver = Resolver(dns.address)
    hosts = [f"x{number}.example" for number in range(20)]
    for host in hosts:
        dns.add(host, "A", "192.0.2.1")
    dns.held |= set(hosts)
    waiting = [asyncio.create_task(resolver.addresses(host)) for host in hosts]
    for _ in range(4):
        await dns.next_question.acquire()
    for _ in range(100):  # the others would come in these turns
        await asyncio.sleep(0)
    assert dns.questions == 4
    dns.release()
    assert len(await asyncio.gather(*waiting)) == 20


async def test_nobody_waits_forever_for_a_turn(dns, monkeypatch):
    monkeypatch.setattr(resolver_file, "MAX_QUESTIONS", 1)
    monkeypatch.setattr(resolver_file, "WAIT_S", 0.1)
    resolver = Resolver(dns.address, question_s=5)
    dns.silent.add("x.example")
    with pytest.raises(ResolverDown, match="its turn did not come"):
        await resolver.addresses("x.example")


async def test_a_system_without_a_resolver_is_told(monkeypatch):
    monkeypatch.setattr("dns.resolver.BaseResolver.read_resolv_conf", _no_nameservers)
    with pytest.raises(ResolverDown, match=r"/etc/resolv.conf names no DNS server"):
        await Resolver(None).targets("a.example")


def _no_nameservers(self: object, path: object) -> None:
    raise NoResolverConfiguration


async def test_nobody_at_the_address_is_a_resolver_that_is_down():
    with pytest.raises(ResolverDown, match=r"127.0.0.1:9"):
        await Resolver(Address("127.0.0.1", 9), question_s=0.2).targets("a.example")
