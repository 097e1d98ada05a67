"""Debian's ejabberd started straight by `erl`: where it keeps what is its own, and its commands over HTTP (`mod_http_api` at /api)."""

import json
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

ALREADY_THERE = 409


def ejabberd_environment(folder: Path) -> dict[str, str]:
    """Return what has it take its configuration from a folder and keep its log there; it must be installed."""
    library = subprocess.run(["dpkg", "-L", "ejabberd"], capture_output=True, text=True, check=True).stdout
    application = next(line for line in library.splitlines() if line.endswith("/ebin"))
    return {
        "EJABBERD_CONFIG_PATH": str(folder / "ejabberd.yml"),
        "EJABBERD_LOG_PATH": str(folder / "ejabberd-own.log"),
        "ERL_LIBS": application.rsplit("/", 2)[0],
        "ERL_CRASH_DUMP_BYTES": "0",
        "HOME": str(folder),
    }


def call_ejabberd(http_port: int, command: str, arguments: dict[str, str], timeout_s: float = 20) -> object:
    """Run a command, and return its result.

    Raises:
        urllib.error.HTTPError: it failed.
    """
    address = f"http://127.0.0.1:{http_port}/api/{command}"
    request = urllib.request.Request(address, json.dumps(arguments).encode())
    with urllib.request.urlopen(request, timeout=timeout_s) as answer:
        return json.load(answer)


def register_at_ejabberd(http_port: int, user: str, domain: str, password: str) -> None:
    """Make an account; one that is there already stays as it is."""
    try:
        call_ejabberd(http_port, "register", {"user": user, "host": domain, "password": password}, timeout_s=10)
    except urllib.error.HTTPError as error:
        if error.code != ALREADY_THERE:
            raise
