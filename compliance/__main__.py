"""`python -m compliance`: hold an XMPP server to the documents it claims, and score it.

Ends with 0 when no MUST failed, 1 when one did, 2 when the run could not begin.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys

from compliance import declaration, report, runner
from compliance.check import Failed, Outcome
from compliance.client import Account, Target
from compliance.probe import explore, register, unregister
from compliance.scene import NAMES, ComponentAccess, World
from compliance.stream import TrafficLog


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    line = argparse.ArgumentParser(
        prog="python -m compliance", description="Test an XMPP server against its documents."
    )
    line.add_argument("--server", metavar="HOST[:PORT]", help="where its client port is (port 5222)")
    line.add_argument("--domain", help="the XMPP domain (default: the host)")
    line.add_argument("--direct-tls", type=int, metavar="PORT", help="port for TLS from the first byte (XEP-0368)")
    trust = line.add_mutually_exclusive_group()
    trust.add_argument("--ca", metavar="FILE", help="trust the certificates in this PEM file")
    trust.add_argument("--insecure", action="store_true", help="trust any certificate")
    line.add_argument("--user", nargs="+", default=[], metavar="JID:PASSWORD", help="three accounts to test with")
    line.add_argument("--register", action="store_true", help="make the accounts in-band (XEP-0077), remove them after")
    line.add_argument("--admin", metavar="JID:PASSWORD", help="an administrator's account, for XEP-0133")
    line.add_argument(
        "--component", metavar="HOST:PORT:DOMAIN:SECRET", help="a domain kept for a component, for XEP-0114"
    )
    line.add_argument("--only", metavar="REGEX", help="only checks whose name or document matches")
    line.add_argument("--timeout", type=float, default=5.0, metavar="S", help="seconds to wait for each answer")
    line.add_argument("--json", action="store_true", help="print one JSON object")
    line.add_argument("--list", action="store_true", help="print the checks and their rules, test nothing")
    line.add_argument(
        "--declarations",
        action="store_true",
        help="validate this project's declarations; with --server, also hold the run against them",
    )
    return line


def address(text: str) -> tuple[str, int]:
    """Split "host", "host:port", "[v6]" or "[v6]:port"; the port is 5222 when absent.

    Raises:
        ValueError: the port is not a number.
    """
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, ""
    return host, int(port) if port else 5222


def account(text: str) -> Account:
    """Split "JID:PASSWORD"; the password may hold further colons.

    Raises:
        ValueError: it is not of that form.
    """
    jid, colon, password = text.partition(":")
    if not colon or "@" not in jid:
        raise ValueError(f"{text!r} is not JID:PASSWORD")
    return Account(jid, password)


def component(text: str) -> ComponentAccess:
    """Split "HOST:PORT:DOMAIN:SECRET"; the secret may hold further colons.

    Raises:
        ValueError: it is not of that form.
    """
    parts = text.split(":", 3)
    if len(parts) != 4 or not all(parts):
        raise ValueError("a component is HOST:PORT:DOMAIN:SECRET")
    return ComponentAccess(parts[0], int(parts[1]), parts[2], parts[3])


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    line = parser()
    options = line.parse_args(arguments)
    checks = runner.collect(options.only)
    if options.list:
        for check in checks:
            rule = check.rule
            print(f"{check.name}\n    {rule.document} §{rule.section}, {rule.level}: {rule.says}")
        return 0
    if options.declarations and not options.server:
        return show_declarations(as_json=options.json)
    if not options.server:
        line.error("--server is missing")
    try:
        target, users = _target(options), [account(text) for text in options.user]
        admin = account(options.admin) if options.admin else None
        external = component(options.component) if options.component else None
    except (ValueError, OSError) as error:
        line.error(str(error))
    if len(users) < len(NAMES) and not options.register:
        line.error(f"{len(NAMES)} accounts are needed: give them with --user, or have them made with --register")
    return asyncio.run(run_suite(target, users, admin, external, checks, options))


def _target(options: argparse.Namespace) -> Target:
    host, port = address(options.server)
    if options.ca:
        ssl.create_default_context(cafile=options.ca)  # a missing or broken file is told now, not by every check
    return Target(
        host=host,
        port=port,
        domain=options.domain or host,
        direct_tls_port=options.direct_tls,
        ca_file=options.ca,
        insecure=options.insecure,
        timeout_s=options.timeout,
    )


def show_declarations(*, as_json: bool = False) -> int:
    """Print the declarations and what is wrong with them; return 1 when something is."""
    declared = declaration.load()
    wrong = declaration.problems(declared, {check.name for check in runner.collect()})
    if as_json:
        rows = [
            {"document": d.document, "status": d.status, "version": d.version, "module": d.module} for d in declared
        ]
        print(json.dumps({"declarations": rows, "problems": wrong}))
    else:
        print("\n".join([declaration.table(declared), *wrong]))
    return 1 if wrong else 0


async def run_suite(
    target: Target,
    users: list[Account],
    admin: Account | None,
    external: ComponentAccess | None,
    checks: list[runner.Check],
    options: argparse.Namespace,
) -> int:
    """Prepare the accounts, run the checks, print the report, and return the exit code."""
    log = TrafficLog()
    made: list[Account] = []
    try:
        while len(users) + len(made) < len(NAMES):
            made.append(await register(target, log))
        accounts = dict(zip(NAMES, users + made, strict=False))
        profile = await explore(target, accounts["romeo"], log)
        world = World(target, accounts, profile, admin, may_register=options.register, component=external)
        tell = None if options.json else lambda result: print(report.one_line(result), file=sys.stderr)
        results = await runner.run(checks, world, tell)
    except Failed as error:
        print(f"the run could not begin: {error}\n" + "\n".join(log.lines()), file=sys.stderr)
        return 2
    finally:
        for one in made:
            await unregister(target, one, log)
    against = _against(results) if options.declarations else []
    if options.json:
        print(json.dumps({**report.for_machines(results, world), **({"against": against} if against else {})}))
    else:
        print(report.for_people(results, world, whole=not options.only))
        print("\n".join(against), end="\n" if against else "")
    return 0 if runner.is_conformant(results) and not against else 1


def _against(results: list[runner.Result]) -> list[str]:
    passed = {result.check.name for result in results if result.outcome is Outcome.PASSED}
    failed = {result.check.name for result in results if result.is_bad}
    impossible = {result.check.name for result in results} - passed - failed
    return declaration.contradicted(declaration.load(), passed, failed, impossible)


if __name__ == "__main__":
    sys.exit(main())
