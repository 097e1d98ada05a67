"""`xmppd bridge`: any client of this machine reaches the server in the binary form."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from xmppd.addresses import Address, parse_address
from xmppd.cli.errors import CommandError

DIRECT_TLS_PORT = 5223
ListenOption = Annotated[str, typer.Option("--listen", "-l", metavar="HOST:PORT", help="Where clients connect to.")]
ServerOption = Annotated[
    str, typer.Option("--server", metavar="HOST[:PORT]", help="The server, at its port for TLS from the start.")
]
CaOption = Annotated[Path | None, typer.Option("--ca", metavar="FILE", help="Trust this authority (PEM).")]
InsecureOption = Annotated[bool, typer.Option("--insecure", help="Take any certificate. For tests alone.")]


def bridge(
    server: ServerOption, listen: ListenOption = "127.0.0.1:5222", ca: CaOption = None, insecure: InsecureOption = False
) -> None:
    """Take clients in plain XML on this machine, and cross to the server in binary, until SIGTERM or SIGINT."""
    from xmppd.bridge import Bridge, BridgeError, run, tls_context

    near = _address(listen)
    if not near.is_loopback:
        raise CommandError(f"{near}: passwords would cross the network in the clear; listen on 127.0.0.1 or [::1]")
    far = _address(server if _has_port(server) else f"{server}:{DIRECT_TLS_PORT}")
    if ca is not None and insecure:
        raise CommandError("--ca and --insecure exclude each other")
    try:
        asyncio.run(run(Bridge(far, tls_context(ca, insecure), _say), near, _say))
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
