"""Where the servers of a domain are, by DNS: SRV records of both services, else the addresses of the domain itself.

One question goes to the DNS server at a time for each name and type, whoever waits for its answer; answers are kept as long as their
zone says, within bounds. Names and records come from strangers, so everything here has an end: time, records, names, questions.

DNSSEC is not looked at: nothing found here proves who a server is. That is what certificates and dialback are for.
"""

import asyncio
import ipaddress
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from random import Random
from typing import TypeVar

import dns.asyncresolver
import dns.exception
import dns.name
import dns.resolver

from xmppd.addresses import Address
from xmppd.certificates import dns_name
from xmppd.s2s.srv import ServiceRecord, in_order
from xmppd.s2s.stub_resolver import stub_resolver

PORT = 5269
SERVER_SERVICE, SERVER_DIRECT_SERVICE = "_xmpp-server._tcp", "_xmpps-server._tcp"

MAX_SERVICE_RECORDS = 20
"""Of each service, those of the lowest priority. Large services have about 10; a message can bring 200."""
MAX_ADDRESSES = 8
"""Of each family of one host. The largest services have about 8 and mean each of them to do."""
MAX_QUESTIONS = 256
"""Under way at once; each has a socket. At the 6 s that one takes at most, dead name servers let 42 questions a second pass."""
TRY_S, QUESTION_S, WAIT_S = 2.0, 6.0, 30.0
"""One datagram; a question with all its tries; the same with the wait for its turn."""
MIN_TTL_S, MAX_TTL_S, MAX_NEGATIVE_TTL_S = 5.0, 3_600.0, 900.0
"""A zone with a TTL of 0 is not asked for every stanza; who mends a record is found within the hour, a new name within 15 minutes."""
MAX_CACHED = 10_000
"""Answers kept: 2,000 domains with two SRV questions and the addresses of a host of their own, about 8 MB in all."""
# Letters, digits, hyphens, and the underscore, which is in use (RFC 1123 §2.1; lengths by RFC 1035 §2.3.4).
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9_][a-z0-9_-]{0,62}(\.[a-z0-9_][a-z0-9_-]{0,62})*\Z")

# RFC 6761 §6.4, RFC 7686 §2: DNS has nothing below them, and is not to be asked.
_NOT_IN_DNS = ("invalid", "onion")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """A server that a domain names.

    Attributes:
        host: a name in lower case without a trailing dot, or an IP address without brackets.
        port: 1 to 65535.
        is_direct_tls: whether TLS starts at once there (XEP-0368); else it starts with STARTTLS.
    """

    host: str
    port: int
    is_direct_tls: bool

    def __str__(self) -> str:
        return f"{Address(self.host, self.port)}{' direct TLS' if self.is_direct_tls else ''}"


class NoService(Exception):
    """There is no such server, by DNS's own word: the name does not exist or says that it has none. remote-server-not-found."""


class ResolverDown(Exception):
    """DNS has not told: it did not answer, or not with an answer. remote-server-timeout; another time it may."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """What DNS said, which may be nothing, or why it did not say; and until when that counts."""

    expires: float = 0.0
    addresses: tuple[str, ...] = ()
    records: tuple[ServiceRecord, ...] = ()
    failure: str | None = None


@dataclass(slots=True)
class _Question:
    """One that is under way, and how many wait for it."""

    task: "asyncio.Task[_Answer]"
    waiting: int = 0


class Resolver:
    """Asks DNS, and remembers.

    Args:
        server: the DNS server to ask, this address and port alone; None for those of /etc/resolv.conf, read now.
        monotonic: seconds that never go back, for how long answers count.
        random: where the choice by weights comes from.
        max_cached: how many answers are kept; the one that was not asked for the longest goes first.
    """

    def __init__(
        self,
        server: Address | None,
        monotonic: Callable[[], float] = time.monotonic,
        random: Random | None = None,
        *,
        max_cached: int = MAX_CACHED,
        question_s: float = QUESTION_S,
    ) -> None:
        self._server = server
        self._monotonic = monotonic
        self._random = random or Random()
        self._max_cached = max_cached
        self._question_s = question_s
        self._cache: OrderedDict[tuple[str, str], _Answer] = OrderedDict()
        self._under_way: dict[tuple[str, str], _Question] = {}
        self._turns = asyncio.Semaphore(MAX_QUESTIONS)
        self._stub: dns.asyncresolver.Resolver | None = None

    async def targets(self, domain: str) -> list[Target]:
        """Return where to connect for a domain, in the order to try; one or more.

        Args:
            domain: a prepared domainpart: a name, or an address as RFC 7622 §3.2 writes it.

        Raises:
            NoService, ResolverDown: with one line that says why.

        Spec: RFC 6120 §3.2; XEP-0368 §2.1.
        """
        if literal := _literal(domain):
            return [Target(literal, PORT, False)]
        name = _host_name(domain)
        plain, direct = await self._both(name)
        if isinstance(plain, ResolverDown) and (isinstance(direct, ResolverDown) or not _offered(direct)):
            raise plain
        # The word of the newer service alone is not worth a failure: name servers exist that break on names they do not know.
        known = [() if isinstance(found, ResolverDown) else found for found in (plain, direct)]
        offered = [record for found in known for record in _offered(found)]
        if offered:
            ordered = in_order(offered, self._random)
            return [Target(record.host, record.port, record.is_direct_tls) for record in ordered]
        if known[0]:
            raise NoService(f"{domain} says that it has no XMPP server")
        await self.addresses(name)
        return [Target(name, PORT, False)]

    async def services(self, domain: str, service: str) -> list[ServiceRecord]:
        """Return the SRV records of a service as they are: sorted, unusable ones left out; a host of "" says that it is not offered.

        Args:
            service: as in "_xmpp-server._tcp".

        Raises:
            NoService: the domain is no name in DNS.
            ResolverDown: DNS has not told.
        """
        if _literal(domain):
            return []
        return list((await self._ask(f"{service}.{_host_name(domain)}", "SRV")).records)

    async def addresses(self, host: str) -> list[str]:
        """Return the addresses of a host, IPv6 and IPv4 in turns, as RFC 8305 §4 orders them; one or more.

        Args:
            host: a name, or an address, which is its own.

        Raises:
            NoService, ResolverDown: with one line that says why. One family's failure does not count when the other has addresses.
        """
        if literal := _literal(host):
            found: list[str] = [literal]
        elif _is_below(name := _host_name(host), "localhost"):
            found = ["::1", "127.0.0.1"]  # RFC 6761 §6.3: without asking
        else:
            found = await self._addresses_by_dns(name)
        usable = [address for address in found if _can_be_a_server(address)]
        if not usable:
            raise NoService(f"{host} has no address")
        return usable

    async def _both(self, name: str) -> "list[list[ServiceRecord] | ResolverDown]":
        """Return the records of the service with STARTTLS and of that with direct TLS, or why they are not known."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_or_failure(self.services(name, service)))
                for service in (SERVER_SERVICE, SERVER_DIRECT_SERVICE)
            ]
        return [task.result() for task in tasks]

    async def _addresses_by_dns(self, name: str) -> list[str]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(_or_failure(self._ask(name, kind))) for kind in ("AAAA", "A")]
        six, four = (task.result() for task in tasks)
        found = [() if isinstance(one, ResolverDown) else one.addresses for one in (six, four)]
        if not any(found):
            for one in (four, six):
                if isinstance(one, ResolverDown):
                    raise one
        return [address for address in chain.from_iterable(zip_longest(*found)) if address is not None]

    async def _ask(self, name: str, kind: str) -> _Answer:
        """Return what DNS says, from memory when it has said so lately.

        Raises:
            ResolverDown: it did not say.
        """
        key = (name, kind)
        answer = self._cache.get(key)
        if answer is None or answer.expires <= self._monotonic():
            answer = await self._joined(key)
        else:
            self._cache.move_to_end(key)
        if answer.failure is not None:
            raise ResolverDown(answer.failure)
        return answer

    async def _joined(self, key: tuple[str, str]) -> _Answer:
        """Wait for the answer together with whoever waits for the same; the question ends with the last who does."""
        question = self._under_way.get(key)
        if question is None:
            question = self._under_way[key] = _Question(asyncio.create_task(self._asked(*key)))
        question.waiting += 1
        try:
            return await asyncio.shield(question.task)
        finally:
            question.waiting -= 1
            if not question.waiting:
                question.task.cancel()
                if self._under_way.get(key) is question:
                    del self._under_way[key]

    async def _asked(self, name: str, kind: str) -> _Answer:
        """Ask DNS and remember what it says, a failure too."""
        try:
            async with asyncio.timeout(WAIT_S), self._turns:
                answer, ttl_s = await self._from_dns(name, kind)
        except (dns.exception.DNSException, OSError, TimeoutError) as error:
            answer, ttl_s = _Answer(failure=f"DNS does not tell {kind} of {name}: {self._reason(error)}"), 0.0
        most_s = MAX_TTL_S if answer.addresses or answer.records else MAX_NEGATIVE_TTL_S
        answer = replace(answer, expires=self._monotonic() + min(max(ttl_s, MIN_TTL_S), most_s))
        self._cache[(name, kind)] = answer
        self._cache.move_to_end((name, kind))
        while len(self._cache) > self._max_cached:
            self._cache.popitem(last=False)
        return answer

    async def _from_dns(self, name: str, kind: str) -> tuple[_Answer, float]:
        """Return what is in the answer and for how many seconds it counts. A name that does not exist has nothing."""
        try:
            asked = dns.name.from_text(name)
        except dns.exception.DNSException:
            return _Answer(), MAX_NEGATIVE_TTL_S  # with the service before it, the name is longer than names can be
        try:
            found = await self._stub_resolver().resolve(
                asked, kind, raise_on_no_answer=False, search=False, lifetime=self._question_s
            )
        except dns.resolver.NXDOMAIN as error:
            response = error.responses()[asked]  # type: ignore[no-untyped-call]
            return _Answer(), float(response.resolve_chaining().minimum_ttl)
        ttl_s = float(found.chaining_result.minimum_ttl)
        if kind == "SRV":
            return _Answer(records=_records(found, is_direct_tls=name.startswith("_xmpps-"))), ttl_s
        return _Answer(addresses=tuple(dict.fromkeys(str(one.address) for one in found))[:MAX_ADDRESSES]), ttl_s

    def _stub_resolver(self) -> dns.asyncresolver.Resolver:
        """Return what speaks DNS. Made when first needed: without a resolv.conf, that is when it shows."""
        if self._stub is None:
            self._stub = stub_resolver(self._server, min(TRY_S, self._question_s))
        return self._stub

    def _reason(self, error: Exception) -> str:
        who = "the system's resolver" if self._server is None else f"{self._server}"
        if isinstance(error, dns.resolver.NoResolverConfiguration):
            return "/etc/resolv.conf names no DNS server"
        if isinstance(error, dns.exception.Timeout):
            return f"no answer from {who}"
        if isinstance(error, TimeoutError):
            return f"its turn did not come, too many questions wait for {who}"
        if isinstance(error, dns.resolver.NoNameservers):
            return f"{who} could not find out"
        return f"{who}: {type(error).__name__}"


async def _or_failure(question: Awaitable[T]) -> T | ResolverDown:
    try:
        return await question
    except ResolverDown as failure:
        return failure


def _records(answer: dns.resolver.Answer, is_direct_tls: bool) -> tuple[ServiceRecord, ...]:
    """Return the usable records, the lowest priorities first, no more than we try."""
    found = []
    for one in answer:
        host = one.target.to_text(omit_final_dot=True).lower()
        if host == "." or (_HOST.match(host) and one.port):
            name = "" if host == "." else host
            found.append(ServiceRecord(one.priority, one.weight, one.port, name, is_direct_tls))
    return tuple(sorted(found, key=lambda record: record.priority)[:MAX_SERVICE_RECORDS])


def _offered(records: Sequence[ServiceRecord] | ResolverDown) -> list[ServiceRecord]:
    """Return the records that name a server; RFC 2782: a target of "." says that there is none."""
    return [] if isinstance(records, ResolverDown) else [record for record in records if record.host]


def _host_name(domain: str) -> str:
    """Return a domain as DNS writes it.

    Raises:
        NoService: it is no name in DNS.
    """
    name = dns_name(domain).lower().removesuffix(".")
    if not _HOST.match(name) or any(_is_below(name, top) for top in _NOT_IN_DNS):
        raise NoService(f"{domain} is no name in DNS")
    return name


def _is_below(name: str, top: str) -> bool:
    return name == top or name.endswith(f".{top}")


def _literal(host: str) -> str | None:
    """Return the address that a host or a domainpart is, None for a name."""
    try:
        return str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))) if "%" not in host else None
    except ValueError:
        return None


def _can_be_a_server(text: str) -> bool:
    """Whether one can connect to an address at all: it is of one host, and says by itself which."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        return not (address.is_unspecified or address.is_multicast or address.is_link_local or address.ipv4_mapped)
    return not (address.is_unspecified or address.is_multicast or address.is_reserved)
