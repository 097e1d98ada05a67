"""The command line of `xmppd bridge`; what it then does is in tests/xmppd/test_bridge.py."""

import socket

import pytest

from tests.xmppd.cli.conftest import Run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--server", "example.org", "--listen", "0.0.0.0:5222"], "in the clear"),
        (["--server", "example.org", "--listen", "127.0.0.1"], "has no port"),
        (["--server", "example.org:x"], "has no port"),
        (["--server", "example.org", "--ca", "a.pem", "--insecure"], "exclude each other"),
        (["--server", "example.org", "--ca", "/nowhere/a.pem"], "/nowhere/a.pem"),
        (["--server", "[::1]", "--listen", "[::2]:5222"], "in the clear"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(run: Run, arguments: list[str], words: str) -> None:
    done = run("bridge", *arguments)
    assert done.code == 1
    [line] = done.err.splitlines()
    assert line.startswith("xmppd: ") and words in line


def test_a_server_must_be_named(run: Run) -> None:
    done = run("bridge")
    assert done.code == 2 and "--server" in done.err


def test_an_address_that_is_taken_is_one_line(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run("bridge", "--server", "example.org", "--listen", address)
    assert done.code == 1
    assert address in done.err and len(done.err.splitlines()) == 1
