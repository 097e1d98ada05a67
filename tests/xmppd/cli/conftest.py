"""Commands run in this process, in a folder of their own; a stand-in for the server on the control socket."""

import asyncio
import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from xmppd.cli import app
from xmppd.control import ControlServer

SETTINGS = """
[server]
domains = ["example.org", "other.example"]
[c2s]
require_tls = false
listen = ["127.0.0.1:0"]
[http]
listen = ["127.0.0.1:0"]
[scram]
iterations = 4096
"""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture
def empty(tmp_path, monkeypatch) -> Path:
    """An empty folder, the current one; nothing of ours in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in ("XMPPD_SERVER__DATA_DIR", "XMPPD_C2S__LISTEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def folder(empty: Path) -> Path:
    """The current folder, with an `xmppd.toml` for example.org and other.example."""
    (empty / "xmppd.toml").write_text(SETTINGS)
    return empty


@pytest.fixture
def run(monkeypatch, capsys) -> Run:
    """Return a function that runs one command to its end; `stdin` is what it reads."""

    def run_command(*arguments: str, stdin: str = "") -> Done:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        capsys.readouterr()
        code = app.run(arguments)
        out, err = capsys.readouterr()
        return Done(code, out, err)

    return run_command


@dataclass
class StandIn:
    """Answers on the control socket as a server would; `heard` holds every request."""

    status: dict[str, Any] = field(default_factory=lambda: {"faults": [], "pid": 1, "addresses": {}, "metrics": {}})
    heard: list[dict[str, Any]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    def handlers(self) -> dict[str, Any]:
        async def status(request: dict[str, Any]) -> dict[str, Any]:
            self.heard.append(request)
            return self.status

        async def changed(request: dict[str, Any]) -> dict[str, Any]:
            self.heard.append(request)
            return {"ended": 1}

        async def other(request: dict[str, Any]) -> dict[str, Any]:
            answer: dict[str, Any] = await self.extra[request["do"]](request)
            return answer

        return {"status": status, "top": status, "account_changed": changed, "erase_account": other}


@pytest.fixture
def stand_in(folder: Path) -> Iterator[StandIn]:
    """A running stand-in, on a thread of its own."""
    stand_in = StandIn()
    ready, loop, stop = threading.Event(), asyncio.new_event_loop(), asyncio.Event()

    async def serve() -> None:
        (folder / "data").mkdir(exist_ok=True)
        server = ControlServer(folder / "data" / "control.sock", stand_in.handlers())
        await server.start()
        ready.set()
        await stop.wait()
        await server.close()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(10)
    yield stand_in
    loop.call_soon_threadsafe(stop.set)
    thread.join(10)
    loop.close()
