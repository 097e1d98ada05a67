"""`xmppd check s2s DOMAIN`: what another server sees of a domain, or ours of another: records, TLS, certificate, login."""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated

import typer

from xmppd.cli.findings import DAYS_TO_RENEW, Finding, State
from xmppd.cli.options import ConfigOption, SetOption, prepared_domain, settings
from xmppd.cli.s2s_probe import Seen, probe
from xmppd.cli.show import JSONOption, show
from xmppd.config import Config
from xmppd.s2s.identity import PeerCertificate, moment
from xmppd.s2s.policy import Policy, Terms
from xmppd.s2s.resolver import NoService, Resolver, ResolverDown, Target
from xmppd.s2s.tls import PeerTls
from xmppd.tls import TlsError

TIMEOUT_S = 10.0
"""For one connection, with TLS and login."""
MAX_CONNECTIONS = 12
"""A domain may name more servers; the first ones tell enough."""

DIALBACK, BIDI = "urn:xmpp:features:dialback dialback", "urn:xmpp:features:bidi bidi"

DomainArgument = Annotated[
    str, typer.Argument(metavar="DOMAIN", help="One of ours: what others see. Else: what we see.")
]


def s2s(
    domain: DomainArgument, config: ConfigOption = None, sets: SetOption = None, as_json: JSONOption = False
) -> int:
    """Connect to a domain as another server would, and say what would keep stanzas from getting there."""
    given = settings(config, sets)
    return show(asyncio.run(look(given, prepared_domain(domain))), as_json)


async def look(config: Config, domain: str) -> list[Finding]:
    """Return all that is found."""
    policy = Policy(config.s2s)
    found = list(_terms(config, policy, domain))
    try:
        tls = PeerTls(config.tls)
    except TlsError as error:
        return [*found, Finding("our certificate", "fault", f"{error}; servers speak to each other through TLS")]
    resolver = Resolver(config.s2s.resolver)
    try:
        targets = await resolver.targets(domain)
    except ResolverDown as error:
        mend = "is s2s.resolver right, and does it run?"
        return [*found, Finding("records", "fault", f"{error}; {mend}")]
    except NoService as error:
        return [*found, Finding("records", "fault", f"{error}; {_record_to_add(domain)}")]
    found.append(_records(domain, targets))
    is_ours = domain in config.server.domains
    seen = await _look_at_each(resolver, tls, config, domain, targets)
    for target, one in seen:
        if isinstance(one, str):
            found.append(Finding(str(target), "fault", one))
        else:
            found += judge(target, one, domain, policy.terms(domain), is_ours)
    return found


def judge(target: Target, seen: Seen, domain: str, terms: Terms, is_ours: bool) -> Iterator[Finding]:
    """Say what one connection to a server of a domain is worth.

    Args:
        terms: our conditions for the domain.
        is_ours: whether the domain is one of this server's: then what is mended is mended here.
    """
    about = f"{target} ({seen.address})"
    if seen.version is not None:
        yield Finding(f"{about}: TLS", "ok", f"{seen.version}, {seen.cipher}")
        yield _certificate(about, seen, domain, terms, is_ours)
    if seen.problem is not None:
        yield Finding(f"{about}: {seen.stage}", _state(seen.problem), seen.problem + _mend(seen, target, is_ours))
        return
    names = [
        name
        for name, is_there in (
            ("EXTERNAL", seen.offers_external),
            ("dialback", seen.offers(DIALBACK)),
            ("bidi", seen.offers(BIDI)),
        )
        if is_there
    ]
    yield Finding(f"{about}: offers", "ok" if names else "warning", ", ".join(names) or "neither EXTERNAL nor dialback")
    yield _login(about, seen, domain, terms, is_ours)


def _terms(config: Config, policy: Policy, domain: str) -> Iterator[Finding]:
    if not config.s2s.enabled:
        yield Finding("settings", "fault", "s2s.enabled is false: no other server is talked to")
    if domain in config.server.domains:
        if not config.s2s.listen and not config.s2s.direct_tls:
            yield Finding("settings", "fault", "s2s.listen is empty: no server can reach us")
    elif not policy.allows(domain):
        yield Finding("settings", "fault", f"s2s.block or s2s.allow keep us from talking to {domain}")


def _records(domain: str, targets: Sequence[Target]) -> Finding:
    shown = ", ".join(str(target) for target in targets)
    if [(target.host, target.port, target.is_direct_tls) for target in targets] == [(domain, 5269, False)]:
        return Finding("records", "ok", f"{shown}; there may be no SRV record, which is well for a server of that name")
    return Finding("records", "ok", shown)


def _record_to_add(domain: str) -> str:
    return f"its zone needs: _xmpp-server._tcp.{domain}. 3600 IN SRV 0 5 5269 HOST., where HOST has an address"


async def _look_at_each(
    resolver: Resolver, tls: PeerTls, config: Config, domain: str, targets: Sequence[Target]
) -> list[tuple[Target, Seen | str]]:
    """Return what each address of each server shows, all asked at once; or why there is none."""
    found: list[tuple[Target, Seen | str]] = []
    wanted: list[tuple[Target, str]] = []
    for target in targets:
        try:
            wanted += [(target, address) for address in await resolver.addresses(target.host)]
        except (NoService, ResolverDown) as error:
            found.append((target, f"{error}; {target.host} needs an A or AAAA record"))
    is_ours = domain in config.server.domains
    seen = await asyncio.gather(
        *(
            probe(
                tls,
                config.server.domains[0],
                domain,
                (address, target.port),
                is_direct=target.is_direct_tls,
                log_in=not is_ours,
                timeout_s=TIMEOUT_S,
            )
            for target, address in wanted[:MAX_CONNECTIONS]
        )
    )
    return [*found, *((target, one) for (target, _), one in zip(wanted, seen, strict=False))]


def _state(problem: str) -> State:
    return "skipped" if problem in ("network is unreachable", "address family not supported by protocol") else "fault"


def _mend(seen: Seen, target: Target, is_ours: bool) -> str:
    """Return the line that mends a connection that ended early."""
    if _state(seen.problem or "") == "skipped":
        return "; this machine has no way to such addresses, which says nothing of the server"
    if not is_ours:
        return ""
    if seen.stage == "connection":
        setting = "s2s.direct_tls" if target.is_direct_tls else "s2s.listen"
        return f"; does the server run, does {setting} have port {target.port}, does the firewall let it in?"
    if seen.stage == "TLS" and target.is_direct_tls:
        return "; the record _xmpps-server must name a port of s2s.direct_tls"
    if seen.stage == "stream" and seen.version is None:
        return "; the record _xmpp-server must name a port of s2s.listen, and tls.certificate must be set"
    return ""


def _certificate(about: str, seen: Seen, domain: str, terms: Terms, is_ours: bool) -> Finding:
    about = f"{about}: certificate"
    certificate = seen.certificate
    if certificate is None:
        return Finding(about, "fault", "it shows none")
    problem = certificate.verdict(domain, terms.pins)
    if problem is None:
        days = (certificate.not_after - datetime.now(UTC)).days
        detail = f"it proves {domain} until {moment(certificate.not_after)}, {days} days"
        if days < DAYS_TO_RENEW:
            return Finding(about, "warning", detail + ("; renew it, then send SIGHUP" if is_ours else ""))
        return Finding(about, "ok", detail + (" (pinned)" if terms.pins else ""))
    is_fatal = not terms.takes_dialback or bool(terms.pins) or not seen.offers(DIALBACK)
    return Finding(about, "fault" if is_fatal else "warning", problem + _mend_certificate(certificate, domain, is_ours))


def _mend_certificate(certificate: PeerCertificate, domain: str, is_ours: bool) -> str:
    """Return the line that mends a certificate that does not prove its domain."""
    if is_ours:
        if certificate.chain_error is None:
            return f'; set tls.domains."{domain}".certificate and .key to files that name {domain}'
        return "; get one from a public authority, put its whole chain into tls.certificate, then send SIGHUP"
    return (
        f'; if you know it to be theirs: s2s.domains."{domain}".pins = ["{certificate.fingerprint_sha256}"]'
        if certificate.chain_error is not None
        else ""
    )


def _login(about: str, seen: Seen, domain: str, terms: Terms, is_ours: bool) -> Finding:
    """Say how a login goes: tried with another's server, judged by what ours offers with our own."""
    about = f"{about}: login"
    proven = seen.certificate is not None and seen.certificate.verdict(domain, terms.pins) is None
    by_certificate = terms.takes_certificate and seen.offers_external
    if is_ours:
        if by_certificate:
            return Finding(about, "ok", "by certificate, for servers with a trusted one" + _or_dialback(seen))
        if seen.offers(DIALBACK):
            return Finding(about, "ok", "by dialback: servers with a trusted certificate are offered EXTERNAL")
        return Finding(about, "fault", "none is offered; s2s.authentication says which are")
    if not proven and (terms.pins or not terms.takes_dialback):
        return Finding(about, "fault", "we do not talk to it: its certificate does not prove who it is")
    if by_certificate and seen.login == "success":
        return Finding(about, "ok", "by certificate: it takes ours")
    refusal = f"it refuses our certificate ({seen.login})" if by_certificate else "it does not take our certificate"
    if seen.offers(DIALBACK) and terms.takes_dialback:
        return Finding(
            about, "ok", f"by dialback, for {refusal}: it must reach us, see `xmppd check s2s` of our domain"
        )
    return Finding(about, "fault", f"{refusal}, and there is no dialback; get ours from an authority that it trusts")


def _or_dialback(seen: Seen) -> str:
    return ", else by dialback" if seen.offers(DIALBACK) else "; no dialback for the others"
