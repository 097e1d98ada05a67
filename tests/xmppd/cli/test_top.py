"""What the server does now."""

import io
import os

from rich.console import Console

from xmppd.cli.rates import rates
from xmppd.cli.top import resident_bytes, view
from xmppd.metrics import Metrics


def test_one_view_is_shown_and_it_ends(folder, run, stand_in):
    stand_in.status |= {"pid": os.getpid(), "metrics": Metrics().snapshot()}
    done = run("top", "--once", "--interval", "0.1")
    assert done.code == 0
    assert "sessions" in done.out
    assert len(stand_in.heard) == 2


def test_without_a_server_it_says_so(folder, run):
    done = run("top", "--once")
    assert (done.code, done.err) == (1, "xmppd: no server is running\n")


def test_an_interrupt_ends_it_well(folder, run, stand_in, monkeypatch):
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    stand_in.status |= {"pid": os.getpid(), "metrics": Metrics().snapshot()}
    monkeypatch.setattr("time.sleep", interrupt)
    assert run("top").code == 0


def test_memory_is_that_of_the_process():
    found = resident_bytes(os.getpid())
    assert found is None or found > 1_000_000
    assert resident_bytes(2**30) is None


def test_the_view_shows_rates_and_latency():
    metrics = Metrics()
    before = {**metrics.snapshot(), "stanzas_received": dict(metrics.stanzas_received), "commit_counts": [0] * 13}
    metrics.stanzas_received["message"] += 1234
    metrics.observe_commit(0.004)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(view(metrics.snapshot(), rates(before, metrics.snapshot(), 1.0), 50 * 1048576))
    text = console.export_text()
    assert "1,234 / 0 per s" in text
    assert "4.0 ms" in text
    assert "5.0 ms" in text
    assert "50.0 MiB" in text
