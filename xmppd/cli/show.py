"""How findings reach a person or a machine."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from xmppd.cli.findings import Finding

JSONOption = Annotated[bool, typer.Option("--json", help="For machines: a list of objects.")]

_STYLES = {"ok": "green", "warning": "yellow", "fault": "bold red", "skipped": "dim"}


def show(found: Sequence[Finding], as_json: bool) -> int:
    """Print what was found, and return the exit code: 1 when something is at fault."""
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found]))
    else:
        Console().print(view(found), soft_wrap=True)
    return 1 if any(one.state == "fault" for one in found) else 0


def view(found: Sequence[Finding]) -> Text:
    """Return what a person sees, a line for each."""
    width = max(len(one.about) for one in found)
    lines = [
        Text.assemble((f"{one.state:<8}", _STYLES[one.state]), f"{one.about:<{width}}  {one.detail}") for one in found
    ]
    return Text("\n").join(lines)
