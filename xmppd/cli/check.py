"""`xmppd check`: what would keep the server from working, before it is started or while it runs."""

import typer

from xmppd.cli import dns, findings
from xmppd.cli.findings import Finding
from xmppd.cli.options import ConfigOption, SetOption, settings
from xmppd.cli.show import JSONOption, show
from xmppd.config import Config


def check(
    context: typer.Context, config: ConfigOption = None, sets: SetOption = None, as_json: JSONOption = False
) -> int:
    """Check settings, certificates, storage, ports and DNS: exit code 0 when nothing is at fault, 1 or 2 when something is."""
    if context.invoked_subcommand is not None:
        if config or sets or as_json:
            raise typer.BadParameter(f"options go behind `{context.invoked_subcommand}`")
        return 0
    return show(look(settings(config, sets)), as_json)


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
        *dns.look(config),
    ]
