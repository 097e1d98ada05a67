"""The unix socket between the command line and a running server."""

import asyncio
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from xmppd.control import MAX_LINE_BYTES, ControlError, ControlServer, NotRunning, ask, connect


async def echo(request: dict[str, Any]) -> dict[str, Any]:
    return {"said": request.get("word")}


async def refuse(request: dict[str, Any]) -> dict[str, Any]:
    raise ControlError("not today")


@pytest.fixture
async def path(tmp_path):
    """The socket of a running control server that knows echo and refuse."""
    server = ControlServer(tmp_path / "control.sock", {"echo": echo, "refuse": refuse})
    await server.start()
    yield tmp_path / "control.sock"
    await server.close()


async def raw(path: Path, data: bytes) -> bytes:
    """Send bytes and return all that comes back until the end."""
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(data)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def test_an_answer_comes_back(path):
    assert await asyncio.to_thread(ask, path, "echo", word="é\n") == {"said": "é\n"}


async def test_a_client_may_ask_again(path):
    def talk() -> list[Any]:
        with connect(path) as client:
            return [client.ask("echo", word=n)["said"] for n in range(3)]

    assert await asyncio.to_thread(talk) == [0, 1, 2]


async def test_a_refusal_is_an_error_with_its_text(path):
    with pytest.raises(ControlError, match=r"^not today$"):
        await asyncio.to_thread(ask, path, "refuse")


async def test_an_unknown_word_is_refused(path):
    with pytest.raises(ControlError, match="dance"):
        await asyncio.to_thread(ask, path, "dance")


@pytest.mark.parametrize(
    "line", [b"hello\n", b"[]\n", b"3\n", b'"do"\n', b'{"do": []}\n', b"\xff\n", b"[" * 60_000 + b"\n"]
)
async def test_what_is_no_request_is_refused_and_the_server_stays(path, line):
    answer, rest = (await raw(path, line + b'{"do": "echo"}\n')).splitlines()
    assert json.loads(answer)["ok"] is False
    assert json.loads(rest)["ok"] is True


async def test_a_line_without_end_is_cut_off(path):
    assert await raw(path, b"x" * (3 * MAX_LINE_BYTES)) == b""
    assert await asyncio.to_thread(ask, path, "echo") == {"said": None}


async def test_only_the_owner_may_connect(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_without_a_server_nobody_answers(tmp_path):
    with pytest.raises(NotRunning):
        ask(tmp_path / "control.sock", "echo")


async def test_a_dead_servers_socket_is_replaced(tmp_path):
    path = tmp_path / "control.sock"
    dead = ControlServer(path, {})
    await dead.start()
    assert dead._server is not None
    dead._server.close()  # as a kill leaves it: the file stays
    with pytest.raises(NotRunning):
        ask(path, "echo")
    server = ControlServer(path, {"echo": echo})
    await server.start()
    assert await asyncio.to_thread(ask, path, "echo", word=1) == {"said": 1}
    await server.close()


async def test_a_second_server_is_refused(path):
    with pytest.raises(ControlError, match="running already"):
        await ControlServer(path, {}).start()
    assert await asyncio.to_thread(ask, path, "echo", word=1) == {"said": 1}


async def test_closing_removes_the_socket_and_ends_connections(tmp_path):
    path = tmp_path / "control.sock"
    server = ControlServer(path, {"echo": echo})
    await server.start()
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(b'{"do": "echo"}\n')
    await reader.readline()
    await server.close()
    assert await reader.read() == b""
    assert list(tmp_path.iterdir()) == []
    writer.close()


async def test_a_long_path_works(tmp_path):
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    server = ControlServer(folder / "control.sock", {"echo": echo})
    await server.start()
    assert await asyncio.to_thread(ask, folder / "control.sock", "echo", word=1) == {"said": 1}
    await server.close()
    assert list(folder.iterdir()) == []


async def test_a_server_that_goes_away_is_reported(tmp_path):
    async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.close()

    server = await asyncio.start_unix_server(slam, tmp_path / "control.sock")
    with pytest.raises(ControlError, match="without an answer"):
        await asyncio.to_thread(ask, tmp_path / "control.sock", "echo")
    server.close()
