"""The server as a process: it starts, is told about accounts, and stops."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from xmppd.addresses import Address
from xmppd.cli.serve import greeting

ROOT = Path(__file__).parents[3]


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "xmppd", "serve", "--hello", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )


def until(process: subprocess.Popen[str], words: str) -> list[str]:
    """Return the lines of its log until one holds `words`."""
    assert process.stderr is not None
    lines = []
    for line in process.stderr:
        lines.append(line)
        if words in line:
            return lines
    pytest.fail(f"it ended without {words!r}: {''.join(lines)}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_it_is_asked_to_stop(folder, run, number):
    with start(folder) as server:
        try:
            text = "".join(until(server, "Ctrl-C"))
            assert "xmppd serves example.org, other.example" in text
            assert "xmppd account add NAME@example.org" in text
            assert run("status").code == 0
            assert run("account", "add", "romeo@example.org", "--password-stdin", stdin="x\n").code == 0
            assert run("account", "del", "romeo@example.org").code == 0
            server.send_signal(number)
            until(server, "info stopped")
            assert server.wait(10) == 0
        finally:
            server.kill()
    assert not (folder / "data" / "control.sock").exists()


def test_a_second_server_on_the_same_data_is_refused_in_one_line(folder):
    with start(folder) as first:
        try:
            until(first, "Ctrl-C")
            with start(folder) as second:
                assert second.wait(10) == 1
                assert second.stderr is not None
                (line,) = second.stderr.readlines()
                assert line.startswith("xmppd: ")
        finally:
            first.terminate()


def test_an_address_that_is_taken_is_one_line(folder):
    with start(folder) as first:
        try:
            found = next(line for line in until(first, "Ctrl-C") if "clients connect to" in line)
            address = found.split()[-1]
            with start(folder, "--set", f"c2s.listen={address}", "--set", "server.data_dir=other") as second:
                assert second.wait(10) == 1
                assert second.stderr is not None
                assert address in second.stderr.read().splitlines()[-1]
        finally:
            first.terminate()


def test_the_greeting_names_what_is_there():
    addresses = {"c2s": [Address("::", 5222)], "direct_tls": [], "http": [Address("127.0.0.1", 5280)]}
    text = greeting(["example.org"], addresses)
    assert "[::]:5222" in text
    assert "http://127.0.0.1:5280/ " in text
    assert "TLS from start" not in text
