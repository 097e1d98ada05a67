"""`xmppd bridge`: any client of this machine reaches the server in the binary form."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xmppd.addresses import Address, parse_address
from xmppd.cli.errors import CommandError

if TYPE_CHECKING:
    from xmppd.wire_live import Crossed

ListenOption = Annotated[str, typer.Option("--listen", "-l", metavar="HOST:PORT", help="Where clients connect to.")]
ServerOption = Annotated[
    str,
    typer.Option(
        "--server", metavar="DOMAIN[:PORT]", help="The server; without a port DNS says where it is (SRV records)."
    ),
]
CaOption = Annotated[Path | None, typer.Option("--ca", metavar="FILE", help="Trust this authority (PEM).")]
InsecureOption = Annotated[bool, typer.Option("--insecure", help="Take any certificate. For tests alone.")]


def bridge(
    server: ServerOption, listen: ListenOption = "127.0.0.1:5222", ca: CaOption = None, insecure: InsecureOption = False
) -> None:
    """Take clients in plain XML on this machine, and cross to the server in binary, until SIGTERM or SIGINT."""
    cross(server, listen, ca, insecure)


def cross(
    server: str, listen: str, ca: Path | None, insecure: bool, watch: "Callable[[Crossed], None] | None" = None
) -> None:
    """Do so; `watch` takes each frame."""
    from xmppd.bridge import Bridge, run
    from xmppd.bridge_dial import BridgeError, Dialer, tls_context
    from xmppd.s2s.resolver import Resolver

    near = _address(listen)
    if not near.is_loopback:
        raise CommandError(f"{near}: passwords would cross the network in the clear; listen on 127.0.0.1 or [::1]")
    domain, port = _address(server) if _has_port(server) else (server.strip("[]"), None)
    if ca is not None and insecure:
        raise CommandError("--ca and --insecure exclude each other")
    try:
        dialer = Dialer(domain, port, tls_context(ca, insecure), Resolver(None) if port is None else None)
        asyncio.run(run(Bridge(dialer, _say, watch), near, _say))
    except BridgeError as error:
        raise CommandError(str(error)) from None


def _has_port(text: str) -> bool:
    return ":" in text and not text.endswith("]")


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except ValueError as error:
        raise CommandError(str(error)) from None


def _say(line: str) -> None:
    typer.echo(f"xmppd: {line}", err=True)
