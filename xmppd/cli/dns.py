"""What DNS tells others about a domain (RFC 6120 §3.2, XEP-0368): records, addresses, and whether both fit what we listen on.

`xmppd check` looks at the domains of the settings, `xmppd check dns DOMAIN` at any domain, with every step that another server makes.
"""

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from xmppd.addresses import Address
from xmppd.certificates import SUBDOMAINS, dns_name
from xmppd.cli.findings import Finding, State
from xmppd.cli.options import ConfigOption, SetOption, prepared_domain, settings
from xmppd.cli.show import JSONOption, show
from xmppd.config import Config
from xmppd.s2s.resolver import NoService, Resolver, ResolverDown
from xmppd.s2s.srv import ServiceRecord

QUESTION_S = 3.0
TTL_S = 3600
"""For records that we propose."""

# RFC 6761, RFC 6762, RFC 2606: names that public DNS does not know
_PRIVATE = ("localhost", "local", "test", "example", "invalid", "internal", "lan", "home.arpa")


DomainArgument = Annotated[str, typer.Argument(metavar="DOMAIN", help="Any domain, ours or not.")]


@dataclass(frozen=True, slots=True)
class Service:
    """One that a domain may offer.

    Attributes:
        name: as in "_xmpp-client._tcp".
        setting: where its addresses to listen on are written.
        ports: those that we listen on; empty when we do not offer it, or for a domain that is not ours.
        default_port: where it is looked for without a record, at the domain itself; None for nowhere.
    """

    name: str
    setting: str
    ports: tuple[int, ...]
    default_port: int | None

    def line(self, domain: str, host: str) -> str:
        """Return the record that leads to us, as a zone file has it."""
        return f"{self.name}.{domain}. {TTL_S} IN SRV 0 5 {self.ports[0]} {host}."


def services(config: Config) -> list[Service]:
    """Return the four services of XMPP, with what the settings say of each."""
    s2s = config.s2s
    listens = [("client", "c2s", config.c2s.listen, config.c2s.direct_tls, 5222)]
    listens.append(("server", "s2s", s2s.listen if s2s.enabled else (), s2s.direct_tls if s2s.enabled else (), 5269))
    found = []
    for kind, section, plain, direct, port in listens:
        found.append(Service(f"_xmpp-{kind}._tcp", f"{section}.listen", _ports(plain), port))
        found.append(Service(f"_xmpps-{kind}._tcp", f"{section}.direct_tls", _ports(direct), None))
    return found


def dns(
    domain: DomainArgument, config: ConfigOption = None, sets: SetOption = None, as_json: JSONOption = False
) -> int:
    """Show what others see of a domain in DNS and where they connect, asking `s2s.resolver`; each problem with what mends it."""
    given = settings(config, sets)
    return show(look_closely(prepared_domain(domain), given), as_json)


def look(config: Config) -> list[Finding]:
    """Return what `s2s.resolver` says of the domains that we serve: whether clients and servers find what we listen on."""

    async def all_of_them() -> list[Finding]:
        resolver = Resolver(config.s2s.resolver, question_s=QUESTION_S)
        found = []
        for domain in config.server.domains:
            if not _is_public(domain):
                found.append(Finding(f"DNS of {domain}", "skipped", "not checked: not a public name"))
                continue
            found += await records(domain, services(config), resolver)
            if found[-1].state == "skipped":
                break  # what does not answer for one domain will not for the next
        return found

    return asyncio.run(all_of_them())


def look_closely(domain: str, config: Config) -> list[Finding]:
    """Return all that others see of a domain, and where they would connect, in which order.

    Args:
        domain: a prepared domainpart, ours or not.
    """

    async def all_of_it() -> list[Finding]:
        resolver = Resolver(config.s2s.resolver, question_s=QUESTION_S)
        is_ours = domain in config.server.domains
        offered = services(config)
        found = await records(domain, offered if is_ours else [_foreign(one) for one in offered], resolver)
        if found[-1].state == "skipped":
            return [replace(found[-1], state="fault")]  # who asks for this alone wants to know
        found += await attempts(domain, resolver)
        to_us = next(one for one in offered if one.setting == "s2s.listen")
        if is_ours and to_us.ports:
            found += [await subdomain(f"{name}.{domain}", domain, to_us, resolver) for name in SUBDOMAINS]
        return found

    return asyncio.run(all_of_it())


async def records(domain: str, offered: Sequence[Service], resolver: Resolver) -> list[Finding]:
    """Return a finding for each service that we offer or that DNS has; a single one, skipped, when DNS does not tell."""
    name = dns_name(domain)
    try:
        known = await asyncio.gather(*(resolver.services(domain, service.name) for service in offered))
    except NoService as error:
        return [Finding(f"DNS of {domain}", "fault", str(error))]
    except ResolverDown as error:
        mend = 'does what s2s.resolver names run? s2s.resolver = "" takes the system\'s'
        return [Finding(f"DNS of {domain}", "skipped", f"not checked: {error}; {mend}")]
    hosts = [record.host for found in known for record in found if record.host]
    host = hosts[0] if hosts else name
    findings = [
        Finding(f"{service.name}.{domain}", *_judged(service, found, name, host))
        for service, found in zip(offered, known, strict=True)
        if found or service.ports
    ]
    return findings or [Finding(f"DNS of {domain}", "ok", "no SRV record")]


def _judged(service: Service, found: Sequence[ServiceRecord], name: str, host: str) -> tuple[State, str]:
    """Return state and words for the records of one service."""
    told = ", ".join(
        f"{record.priority} {record.weight} {Address(record.host or '.', record.port)}" for record in found
    )
    usable = [record for record in found if record.host]
    if not service.ports:
        return "ok", told
    wanted = service.line(name, host)
    if found and not usable:
        return (
            "fault",
            f'"." says that it is not offered, but we listen ({service.setting}): put in its place  {wanted}',
        )
    if not found and service.default_port is None:
        return "warning", f"no record, so nobody comes to {service.setting}: add  {wanted}"
    if not found:
        at = f"no SRV record: port {service.default_port} of {name} itself is tried"
        if service.default_port in service.ports:
            return "ok", at
        return "fault", f"{at}, where we do not listen ({service.setting}): add  {wanted}"
    if not any(record.port in service.ports for record in usable):
        return (
            "warning",
            f"{told}; we listen on {_listed(service.ports)} ({service.setting}): is it forwarded? else add  {wanted}",
        )
    return "ok", told


async def attempts(domain: str, resolver: Resolver) -> list[Finding]:
    """Return where a server that wants to reach the domain connects, step by step."""
    about = f"reaching {domain}"
    try:
        targets = await resolver.targets(domain)
    except NoService as error:
        name = dns_name(domain)
        return [Finding(about, "fault", f"{error}: add  {name}. {TTL_S} IN A 192.0.2.1  with the server's address")]
    except ResolverDown as error:
        return [Finding(about, "skipped", str(error))]
    found = []
    for number, target in enumerate(targets, 1):
        where = f"{about}, step {number}"
        try:
            addresses = await resolver.addresses(target.host)
        except NoService as error:
            line = f"{target.host}. {TTL_S} IN A 192.0.2.1"
            found.append(
                Finding(where, "fault", f"{target}: {error}: add  {line}  with its address, or take the record out")
            )
        except ResolverDown as error:
            found.append(Finding(where, "skipped", f"{target}: {error}"))
        else:
            inside = [address for address in addresses if not ipaddress.ip_address(address).is_global]
            note = f"; {_listed(inside)}: not reached from the internet" if inside else ""
            found.append(Finding(where, "warning" if inside else "ok", f"{target} at {_listed(addresses)}{note}"))
    return found


async def subdomain(name: str, domain: str, service: Service, resolver: Resolver) -> Finding:
    """Return whether other servers find what goes with a domain, such as its rooms."""
    about = f"reaching {name}"
    try:
        targets = await resolver.targets(name)
    except NoService as error:
        line = service.line(dns_name(name), dns_name(domain))
        return Finding(about, "warning", f"{error}, so other servers do not find it: add  {line}")
    except ResolverDown as error:
        return Finding(about, "skipped", str(error))
    return Finding(about, "ok", _listed(targets))


def _foreign(service: Service) -> Service:
    """Return the same service of a domain whose ports we do not know."""
    return Service(service.name, service.setting, (), service.default_port)


def _ports(addresses: Sequence[Address]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(address.port for address in addresses if address.port))


def _listed(things: Sequence[object]) -> str:
    return ", ".join(map(str, things))


def _is_public(domain: str) -> bool:
    name = dns_name(domain)
    if "." not in name or name.startswith("[") or name.replace(".", "").isdigit():
        return False
    return not any(name == private or name.endswith(f".{private}") for private in _PRIVATE)
