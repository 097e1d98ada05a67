"""`xmppd status`: whether the server is well."""

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from xmppd.cli.options import ConfigOption, SetOption, settings
from xmppd.control import NotRunning, ask

SHOWN_ROUTES = 20
"""Ways to other domains on which something waits: more would not be read."""

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
    shown = {name: value for name, value in found.items() if name not in ("metrics", "addresses", "routes", "push")}
    shown |= {f"push by {name}": state for name, state in found.get("push", {}).items()}
    shown |= {name: metrics[name] for name in ("sessions", "connections") if name in metrics}
    shown |= {f"listens for {kind}": addresses for kind, addresses in found.get("addresses", {}).items()}
    if "routes" in found:
        shown["other servers"] = f"{sum(route['is_connected'] for route in found['routes'])} connected"
    width = max(map(len, shown))
    lines = [f"{name.replace('_', ' '):<{width}}  {_words(value)}" for name, value in shown.items()]
    return Text("\n".join([*lines, *_troubled(found.get("routes", []))]))


def _troubled(routes: list[dict[str, Any]]) -> list[str]:
    """Return a line for each way to another domain on which something waits or has failed, the fullest first."""
    troubled = [route for route in routes if route["waiting"] or route["failure"]]
    troubled.sort(key=lambda route: -route["waiting"])
    lines = [
        f"  {route['ours']} to {route['theirs']}: {route['waiting']} waiting"
        + (f", {route['failure']}" if route["failure"] else "")
        for route in troubled[:SHOWN_ROUTES]
    ]
    more = len(troubled) - SHOWN_ROUTES
    return [*lines, f"  and {more} more; --json has them all"] if more > 0 else lines


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(one) for one in value) or "none"
    return str(value)
