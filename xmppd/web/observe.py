"""Pages for machines that watch the server: /metrics, /health and /ready.

`/health` asks whether the process does its work (restart it when not), `/ready` whether new connections should come here
(a server that drains is healthy but not ready). Both answer 200 or 503, with the reasons as JSON.
"""

from collections.abc import Callable

from aiohttp import web

from xmppd.metrics import Metrics

Faults = Callable[[], list[str]]


def add_pages(app: web.Application, metrics: Metrics, unhealthy: Faults, not_ready: Faults) -> None:
    """Add the three pages.

    Args:
        unhealthy, not_ready: return the reasons why the server is not, in words for its operator; empty when it is.
    """

    async def show_metrics(_request: web.Request) -> web.Response:
        text = metrics.exposition()
        return web.Response(body=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def show_health(_request: web.Request) -> web.Response:
        return _verdict(unhealthy())

    async def show_ready(_request: web.Request) -> web.Response:
        return _verdict(unhealthy() + not_ready())

    app.router.add_get("/metrics", show_metrics)
    app.router.add_get("/health", show_health)
    app.router.add_get("/ready", show_ready)


def _verdict(faults: list[str]) -> web.Response:
    body = {"status": "fault" if faults else "ok", "faults": faults}
    return web.json_response(body, status=503 if faults else 200)
