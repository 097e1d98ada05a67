"""`xmppd status`: whether the server is well."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from xmppd.cli.options import ConfigOption, SetOption, settings
from xmppd.control import NotRunning, ask

JSONOption = Annotated[bool, typer.Option("--json", help="For machines: one object.")]


def status(config: ConfigOption = None, sets: SetOption = None, as_json: JSONOption = False) -> int:
    """Say whether the server runs and is well: exit code 0 when it is, 1 when not."""
    loaded = settings(config, sets)
    try:
        found = {"running": True} | ask(loaded.control_path, "status")
    except NotRunning:
        found = {"running": False, "faults": ["no server is running"]}
    if as_json:
        typer.echo(json.dumps(found))
    else:
        Console().print(view(found), soft_wrap=True)
    return 1 if found.get("faults") else 0


def view(found: dict[str, Any]) -> Text:
    """Return what a person sees: one line for each thing that the server tells."""
    metrics = found.get("metrics", {})
    shown = {name: value for name, value in found.items() if name not in ("metrics", "addresses")}
    shown |= {name: metrics[name] for name in ("sessions", "connections") if name in metrics}
    shown |= {f"listens for {kind}": addresses for kind, addresses in found.get("addresses", {}).items()}
    width = max(map(len, shown))
    return Text("\n".join(f"{name.replace('_', ' '):<{width}}  {_words(value)}" for name, value in shown.items()))


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value) or "none"
    return str(value)
