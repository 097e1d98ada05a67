"""`xmppd top`: what the server does now."""

import os
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from xmppd.cli.options import ConfigOption, SetOption, settings
from xmppd.cli.rates import Rates, rates
from xmppd.control import ControlClient, connect

SecondsOption = Annotated[float, typer.Option("--interval", "-i", min=0.1, max=30, help="Seconds between two looks.")]
OnceOption = Annotated[bool, typer.Option("--once", help="Show one view and end.")]


def top(
    config: ConfigOption = None, sets: SetOption = None, interval: SecondsOption = 1.0, once: OnceOption = False
) -> None:
    """Show sessions, stanzas, commits and memory of the running server, until Ctrl-C."""
    with connect(settings(config, sets).control_path) as client:
        if once:
            Console().print(_look(client, client.ask("top"), interval)[0])
            return
        try:
            _watch(client, interval)
        except KeyboardInterrupt:
            return


def _watch(client: ControlClient, interval: float) -> None:
    counts = client.ask("top")
    with Live(auto_refresh=False, screen=True) as live:
        while True:
            table, counts = _look(client, counts, interval)
            live.update(table, refresh=True)


def _look(client: ControlClient, before: dict[str, Any], interval: float) -> tuple[Table, dict[str, Any]]:
    """Wait, ask again, and return the view with the new counts."""
    began = time.monotonic()
    time.sleep(interval)
    after = client.ask("top")
    rate = rates(before["metrics"], after["metrics"], time.monotonic() - began)
    return view(after["metrics"], rate, resident_bytes(after["pid"])), after


def resident_bytes(pid: int) -> int | None:
    """Return how much memory a process holds, None when this machine does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None


def view(now: dict[str, Any], rate: Rates, memory_bytes: int | None) -> Table:
    """Return what a person sees."""
    table = Table(title="xmppd", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_row("sessions", str(now["sessions"]))
    table.add_row("connections", str(now["connections"]))
    for kind in rate.received:
        table.add_row(f"{kind} in / out", f"{rate.received[kind]:,.0f} / {rate.sent[kind]:,.0f} per s")
    table.add_row("XML in / out", f"{rate.bytes_received / 1024:,.1f} / {rate.bytes_sent / 1024:,.1f} KiB/s")
    table.add_row("logins", f"{rate.logins:,.1f} per s")
    table.add_row("archived", f"{rate.archive_messages:,.0f} per s")
    table.add_row("commits", f"{rate.commits:,.0f} per s")
    table.add_row("commit, mean", _milliseconds(rate.commit_mean_ms))
    table.add_row("commit, 99 of 100 within", _milliseconds(rate.commit_p99_ms))
    table.add_row("memory", "-" if memory_bytes is None else f"{memory_bytes / 1048576:,.1f} MiB")
    return table


def _milliseconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} ms"
