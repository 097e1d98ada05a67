"""What DNS tells clients about a domain (RFC 6120 §3.2, XEP-0368): its SRV records."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import aiodns

from xmppd.certificates import dns_name
from xmppd.cli.findings import Finding

TIMEOUT_S = 3.0
SERVICES = ("_xmpp-client._tcp", "_xmpps-client._tcp")

# RFC 6761, RFC 6762, RFC 2606: names that public DNS does not know
_PRIVATE = ("localhost", "local", "test", "example", "invalid", "internal", "lan", "home.arpa")

# c-ares: the name does not exist, or has no record of that kind
_NO_SUCH_NAME, _NO_SUCH_RECORD = 4, 1

Lookup = Callable[[str], Awaitable[list[str]]]
"""From the name of an SRV record to its targets, as "host:port"; [] when there is none; OSError when nobody answers."""


def look(domains: Sequence[str]) -> list[Finding]:
    """Return what the system's resolver says of each domain."""

    async def all_of_them() -> list[Finding]:
        resolver = aiodns.DNSResolver(timeout=TIMEOUT_S, tries=1)
        try:
            return [await look_at(domain, lambda name: _srv(resolver, name)) for domain in domains]
        finally:
            await resolver.close()

    return asyncio.run(all_of_them())


async def look_at(domain: str, lookup: Lookup) -> Finding:
    """Return what is found for one domain."""
    about = f"DNS of {domain}"
    name = dns_name(domain)
    if "." not in name or name.startswith("[") or name.replace(".", "").isdigit() or _is_private(name):
        return Finding(about, "skipped", "not checked: not a public name")
    found = []
    for service in SERVICES:
        try:
            targets = await lookup(f"{service}.{name}")
        except OSError as error:
            return Finding(about, "skipped", f"not checked: no resolver answers ({error})")
        if targets:
            found.append(f"{service}: {', '.join(targets)}")
    if not found:
        return Finding(about, "warning", f"no SRV record: clients try port 5222 of {name} itself")
    return Finding(about, "ok", "; ".join(found))


def _is_private(name: str) -> bool:
    return any(name == private or name.endswith(f".{private}") for private in _PRIVATE)


async def _srv(resolver: aiodns.DNSResolver, name: str) -> list[str]:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            answer = await resolver.query_dns(name, "SRV")
    except aiodns.error.DNSError as error:
        if error.args[0] in (_NO_SUCH_NAME, _NO_SUCH_RECORD):
            return []
        raise OSError(error.args[1]) from None
    except TimeoutError:
        raise OSError("it took too long") from None
    records = [record.data for record in answer.answer]
    return [f"{data.target}:{data.port}" for data in records if hasattr(data, "target") and hasattr(data, "port")]
