"""Pages that show how the server is: / for people; /metrics, /health and /ready for machines.

`/health` asks whether the process does its work (restart it when not), `/ready` whether new connections should come here
(a server that drains is healthy but not ready). Both answer 200 or 503, with the reasons as JSON.
"""

import html
from collections.abc import Callable

from aiohttp import web

from xmppd.metrics import Metrics

POLICY = "default-src 'none'; style-src 'unsafe-inline'"

Faults = Callable[[], list[str]]

PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5"><title>xmppd</title>
<style>body {{ font: 1rem/1.6 system-ui, sans-serif; margin: 3rem auto; max-width: 34rem; padding: 0 1rem }}
table {{ border-collapse: collapse; width: 100% }} td {{ border-top: 1px solid #8886; padding: .2rem 0 }}
td + td {{ text-align: right; font-variant-numeric: tabular-nums }}</style></head>
<body><h1>xmppd</h1><p>{verdict}</p><table>{rows}</table>
<p><a href="/metrics">metrics</a>, <a href="/health">health</a>, <a href="/ready">ready</a></p></body></html>
"""


def add_pages(app: web.Application, metrics: Metrics, unhealthy: Faults, not_ready: Faults) -> None:
    """Add the pages.

    Args:
        unhealthy, not_ready: return the reasons why the server is not, in words for its operator; empty when it is.
    """

    async def show_people(_request: web.Request) -> web.Response:
        text = page(metrics, unhealthy() + not_ready())
        return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": POLICY})

    async def show_metrics(_request: web.Request) -> web.Response:
        text = metrics.exposition()
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def show_health(_request: web.Request) -> web.Response:
        return _verdict(unhealthy())

    async def show_ready(_request: web.Request) -> web.Response:
        return _verdict(unhealthy() + not_ready())

    app.router.add_get("/", show_people)
    app.router.add_get("/metrics", show_metrics)
    app.router.add_get("/health", show_health)
    app.router.add_get("/ready", show_ready)


def page(metrics: Metrics, faults: list[str]) -> str:
    """Return the page for people, which asks again every few seconds."""
    commits = sum(metrics.commit_counts)
    mean_ms = 1000 * metrics.commit_seconds / commits if commits else 0.0
    shown = {
        "sessions": metrics.sessions,
        "connections": metrics.connections,
        "stanzas received": sum(metrics.stanzas_received.values()),
        "stanzas sent": sum(metrics.stanzas_sent.values()),
        "logins, refused": f"{metrics.logins['ok']:,}, {metrics.logins['failed']:,}",
        "messages archived": metrics.archive_messages,
        "commits": commits,
        "a commit takes": f"{mean_ms:.1f} ms",
    }
    rows = "".join(
        f"<tr><td>{name}</td><td>{value if isinstance(value, str) else format(value, ',')}</td></tr>"
        for name, value in shown.items()
    )
    return PAGE.format(verdict=html.escape("; ".join(faults)) or "All is well.", rows=rows)


def _verdict(faults: list[str]) -> web.Response:
    body = {"status": "fault" if faults else "ok", "faults": faults}
    return web.json_response(body, status=503 if faults else 200)
