"""The pages for machines that watch the server."""

import aiohttp
import pytest

from xmppd.addresses import Address
from xmppd.metrics import Metrics
from xmppd.web.observe import add_pages
from xmppd.web.server import WebServer


@pytest.fixture
async def pages():
    """Return (get, unhealthy, not_ready): a function that gets a path, and the two lists of faults."""
    unhealthy: list[str] = []
    not_ready: list[str] = []
    metrics = Metrics()
    metrics.sessions = 5
    server = WebServer([Address("127.0.0.1", 0)])
    add_pages(server.app, metrics, lambda: unhealthy, lambda: not_ready)
    await server.start()
    async with aiohttp.ClientSession(f"http://{server.addresses[0]}") as session:
        yield session.get, unhealthy, not_ready
    await server.close()


async def test_metrics_are_prometheus_text(pages):
    get, _, _ = pages
    async with get("/metrics") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        assert "xmppd_sessions 5.0\n" in await answer.text()


async def test_a_sound_server_is_healthy_and_ready(pages):
    get, _, _ = pages
    for path in ("/health", "/ready"):
        async with get(path) as answer:
            assert answer.status == 200
            assert await answer.json() == {"status": "ok", "faults": []}


async def test_a_fault_is_503_with_its_reason(pages):
    get, unhealthy, _ = pages
    unhealthy.append("storage: the disk is full")
    for path in ("/health", "/ready"):
        async with get(path) as answer:
            assert answer.status == 503
            assert (await answer.json())["faults"] == ["storage: the disk is full"]


async def test_a_draining_server_is_healthy_but_not_ready(pages):
    get, _, not_ready = pages
    not_ready.append("draining")
    async with get("/health") as answer:
        assert answer.status == 200
    async with get("/ready") as answer:
        assert answer.status == 503


async def test_people_see_counts_and_that_all_is_well(pages):
    get, _, _ = pages
    async with get("/") as answer:
        assert answer.content_type == "text/html"
        text = await answer.text()
    assert "All is well." in text
    assert "<td>sessions</td><td>5</td>" in text


async def test_people_see_faults_as_text(pages):
    get, unhealthy, _ = pages
    unhealthy.append("<b>no room</b>")
    async with get("/") as answer:
        text = await answer.text()
    assert "&lt;b&gt;no room" in text
    assert "All is well." not in text


async def test_other_paths_are_not_found(pages):
    get, _, _ = pages
    async with get("/nothing") as answer:
        assert answer.status == 404
