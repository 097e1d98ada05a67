"""`xmppd serve`: the server, in the foreground."""

import os
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer
import uvloop

from xmppd import logs
from xmppd.addresses import Address
from xmppd.cli.errors import CommandError
from xmppd.cli.options import ConfigOption, SetOption, make_data_folder, settings

HelloOption = Annotated[bool, typer.Option("--hello", help="Say where it is and how to add an account.")]


def serve(config: ConfigOption = None, sets: SetOption = None, hello: HelloOption = False) -> int:
    """Serve until SIGTERM or SIGINT. SIGHUP reads the certificates again, and what is said of other domains."""
    loaded = settings(config, sets)
    make_data_folder(loaded)
    logs.configure(loaded.log.level, loaded.log.format)
    # The server brings half the standard library; other commands start without it.
    from xmppd.server import Server, ServerError
    from xmppd.server import serve as run

    def announce(server: Server) -> None:
        if hello:
            typer.echo(greeting(loaded.server.domains, server.addresses), err=True)

    try:
        uvloop.run(run(loaded, announce, lambda: settings(config, sets)))
    except ServerError as error:
        raise CommandError(str(error)) from None
    return 0


def greeting(domains: Sequence[str], addresses: Mapping[str, Sequence[Address]]) -> str:
    """Return a few lines for a person who has just started a server.

    Args:
        addresses: where it listens, by kind: c2s, direct_tls, http.
    """
    lines = ["", f"xmppd serves {', '.join(domains)}"]
    if found := addresses.get("c2s"):
        lines.append(f"  clients connect to   {', '.join(map(str, found))}")
    if found := addresses.get("direct_tls"):
        lines.append(f"  or, TLS from start   {', '.join(map(str, found))}")
    if found := [*addresses.get("s2s", ()), *addresses.get("s2s_direct_tls", ())]:
        lines.append(f"  other servers to     {', '.join(map(str, found))}")
    lines.append(f"  add an account       {_command()} account add NAME@{domains[0]}")
    if found := addresses.get("http"):
        lines.append(f"  how it is            http://{found[0]}/  (for machines: /health, /ready, /metrics)")
    lines += ["  stop                 Ctrl-C", ""]
    return "\n".join(lines)


def _command() -> str:
    """Return how this program is called from the current folder."""
    local = os.path.join(".venv", "bin", "xmppd")
    return local if os.path.exists(local) else "xmppd"
