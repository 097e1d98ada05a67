"""`xmppd check`: what would keep the server from working, before it is started or while it runs."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from xmppd.cli import dns, findings
from xmppd.cli.findings import Finding
from xmppd.cli.options import ConfigOption, SetOption, settings
from xmppd.config import Config

JSONOption = Annotated[bool, typer.Option("--json", help="For machines: a list of objects.")]

_STYLES = {"ok": "green", "warning": "yellow", "fault": "bold red", "skipped": "dim"}


def check(config: ConfigOption = None, sets: SetOption = None, as_json: JSONOption = False) -> int:
    """Check settings, certificates, storage, ports and DNS: exit code 0 when nothing is at fault, 1 or 2 when something is."""
    found = look(settings(config, sets))
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found]))
    else:
        Console().print(view(found), soft_wrap=True)
    return 1 if any(one.state == "fault" for one in found) else 0


def look(config: Config) -> list[Finding]:
    """Return all that is found."""
    server, status = findings.running_server(config)
    return [
        Finding("settings", "ok", f"for {', '.join(config.server.domains)}"),
        *server,
        *findings.data_folder(config),
        *findings.certificates(config),
        *findings.storage(config),
        *findings.ports(config, status),
        *dns.look(config.server.domains),
    ]


def view(found: list[Finding]) -> Text:
    """Return what a person sees, a line for each."""
    width = max(len(one.about) for one in found)
    lines = [
        Text.assemble((f"{one.state:<8}", _STYLES[one.state]), f"{one.about:<{width}}  {one.detail}") for one in found
    ]
    return Text("\n").join(lines)
