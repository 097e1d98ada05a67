"""How the command line talks to a running server: lines of JSON on a unix socket in the data folder.

    -> {"do": "status"}
    <- {"ok": true, "domains": ["example.org"], ...}
    -> {"do": "dance"}
    <- {"ok": false, "error": "nobody here knows how to dance"}

Only the user that runs the server reaches the socket (mode 0600). A client may ask several times on one connection.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

MAX_LINE_BYTES = 65_536
MAX_CLIENTS = 32
IDLE_S = 60.0
"""A client that asks nothing for so long is gone."""

MAX_PATH_BYTES = 100
"""A little below what a unix socket's address holds (108 on Linux, 104 elsewhere)."""


class ControlError(Exception):
    """The server refused what it was asked; the text is one line."""


class NotRunning(ControlError):
    """No server listens there."""


class ControlServer:
    """The server's end.

    Args:
        path: of the socket; its folder exists.
        handlers: by the word in "do"; each gets the whole request and returns what is added to {"ok": true}, or raises
            `ControlError`. Any other exception ends that connection.
    """

    def __init__(self, path: Path, handlers: Mapping[str, Handler]) -> None:
        self._path = path
        self._handlers = handlers
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        """Listen; a socket that a dead server left is replaced.

        Raises:
            ControlError: a server listens there already.
            OSError: the socket cannot be made.
        """
        try:
            with connect(self._path):
                raise ControlError(f"a server is running already: it answers on {self._path}")
        except NotRunning:
            pass
        listener = _listen(self._path)
        self._server = await asyncio.start_unix_server(self._serve, sock=listener, limit=MAX_LINE_BYTES)

    async def close(self) -> None:
        """Stop listening, end all connections, remove the socket."""
        if self._server is None:
            return
        self._server.close()
        self._path.unlink(missing_ok=True)
        for writer in list(self._clients):
            writer.close()
        await self._server.wait_closed()
        self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._clients) >= MAX_CLIENTS:
            writer.close()
            return
        self._clients.add(writer)
        try:
            while line := await _next_line(reader):
                writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
                async with asyncio.timeout(IDLE_S):
                    await writer.drain()
        except (ConnectionError, TimeoutError):
            pass
        finally:
            self._clients.discard(writer)
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            word = request["do"]
            handler = self._handlers[word]
        except (ValueError, TypeError, RecursionError):
            return {"ok": False, "error": 'a request is a line of JSON, as {"do": "status"}'}
        except KeyError as error:
            return {"ok": False, "error": f"nobody here knows how to {error.args[0]}"}
        try:
            return {"ok": True} | await handler(request)
        except ControlError as error:
            return {"ok": False, "error": str(error)}


async def _next_line(reader: asyncio.StreamReader) -> bytes:
    """Return the next line; b"" when there is none, or it is too long, or it does not come."""
    try:
        async with asyncio.timeout(IDLE_S):
            line = await reader.readline()
    except ValueError:
        return b""
    return line if line.endswith(b"\n") else b""


class ControlClient:
    """The command line's end: asks one thing after the other, and waits for each answer."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._lines = connection.makefile("rb")

    def ask(self, do: str, **values: Any) -> dict[str, Any]:
        """Return the answer, without "ok".

        Raises:
            ControlError: the server refuses, or goes away before it has answered.
        """
        try:
            self._socket.sendall(json.dumps({"do": do, **values}).encode() + b"\n")
            line = self._lines.readline()
        except OSError as error:
            raise ControlError(f"the server does not answer: {error.strerror or error}") from None
        if not line:
            raise ControlError("the server closed the connection without an answer; its log says more")
        answer: dict[str, Any] = json.loads(line)
        if not answer.pop("ok"):
            raise ControlError(answer["error"])
        return answer


@contextlib.contextmanager
def connect(path: Path, timeout_s: float = 10.0) -> Iterator[ControlClient]:
    """Connect to the server whose socket this is.

    Raises:
        NotRunning: nobody listens.
        ControlError: somebody may, but we cannot reach them.
    """
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as connection:
        connection.settimeout(timeout_s)
        try:
            with _address(path) as address:
                connection.connect(address)
        except (FileNotFoundError, ConnectionRefusedError):
            raise NotRunning("no server is running") from None
        except OSError as error:
            raise ControlError(f"{path}: {error.strerror or error}") from None
        yield ControlClient(connection)


def ask(path: Path, do: str, timeout_s: float = 10.0, **values: Any) -> dict[str, Any]:
    """Ask one thing; see `connect` and `ControlClient.ask`."""
    with connect(path, timeout_s) as client:
        return client.ask(do, **values)


def _listen(path: Path) -> socket.socket:
    """Return a listening socket that nobody else can open, not even for a moment."""
    early = path.with_name(f"{path.name}.{os.getpid()}")
    early.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _address(early) as address:
            listener.bind(address)
        # Nobody can connect before listen(), so the mode is right in time; the rename replaces what a dead server left.
        early.chmod(0o600)
        listener.listen(MAX_CLIENTS)
        early.replace(path)
    except OSError:
        listener.close()
        early.unlink(missing_ok=True)
        raise
    listener.setblocking(False)
    return listener


@contextlib.contextmanager
def _address(path: Path) -> Iterator[str]:
    """Give a path as a socket's address; one that is too long goes by way of its open folder."""
    if len(os.fsencode(path)) <= MAX_PATH_BYTES:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
