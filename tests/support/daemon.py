"""A server as a child process: start it, know when it is ready, read its log, stop or kill it."""

import os
import resource
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.02


class DaemonError(Exception):
    """The child did not do what was waited for; the text ends with the last lines of its log."""


def free_ports(count: int) -> list[int]:
    """Return that many TCP ports of 127.0.0.1 which nobody listens on at the moment."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for sock in sockets:
            sock.bind(("127.0.0.1", 0))
        return [sock.getsockname()[1] for sock in sockets]
    finally:
        for sock in sockets:
            sock.close()


def wait_until(probe: Callable[[], T | None], what: str, timeout_s: float = 20.0) -> T:
    """Call `probe` until it returns something true and return that; for what other programs do, which tell us nothing.

    Raises:
        TimeoutError: when nothing came within `timeout_s`; names `what`.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise TimeoutError(f"after {timeout_s:g} s still not: {what}")
        time.sleep(POLL_S)


def port_open(port: int) -> bool:
    """Whether somebody accepts connections on that port of 127.0.0.1."""
    with socket.socket() as sock:
        sock.settimeout(1.0)
        return sock.connect_ex(("127.0.0.1", port)) == 0


def raise_file_limit() -> None:
    """Let this process and its children open as many files as the machine allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Daemon:
    """One child process whose output goes to `log_path`, appended over restarts."""

    def __init__(self, name: str, log_path: Path) -> None:
        self.name = name
        self.log_path = log_path
        self.process: subprocess.Popen[bytes] | None = None

    # What a server of some kind says of itself.

    def command(self) -> Sequence[str]:
        """Return the command line; called at each start."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Return what is added to the environment."""
        return {}

    def working_directory(self) -> Path | None:
        """Return where the child runs; None: here."""
        return None

    def is_ready(self) -> bool:
        """Whether the child serves; called again and again after a start."""
        raise NotImplementedError

    # Its life.

    @property
    def pid(self) -> int:
        """The child's process id."""
        if self.process is None:
            raise DaemonError(f"{self.name} was not started")
        return self.process.pid

    def start(self, timeout_s: float = 30.0) -> None:
        """Start the child and wait until it serves."""
        self.spawn()
        self.wait_ready(timeout_s)

    def spawn(self) -> None:
        """Start the child and do not wait."""
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment()},
                cwd=self.working_directory(),
                start_new_session=True,
            )

    def wait_ready(self, timeout_s: float = 30.0) -> None:
        """Wait until the child serves.

        Raises:
            DaemonError: it ended, or was not ready in time.
        """

        def probe() -> bool:
            if self.process is not None and self.process.poll() is not None:
                raise self.failure(f"ended with {self.process.returncode} before it was ready")
            return self.is_ready()

        try:
            wait_until(probe, f"{self.name} ready", timeout_s)
        except TimeoutError as error:
            raise self.failure("was not ready in time") from error

    def is_running(self) -> bool:
        """Whether the child lives."""
        return self.process is not None and self.process.poll() is None

    def kill9(self) -> None:
        """Kill the child and what it started, at once."""
        if self.is_running():
            os.killpg(self.pid, signal.SIGKILL)
        self.wait_ended()

    def terminate(self, timeout_s: float = 20.0) -> int:
        """Ask the child to end, wait for that, and return its exit status."""
        if self.is_running():
            os.kill(self.pid, signal.SIGTERM)
        return self.wait_ended(timeout_s)

    def wait_ended(self, timeout_s: float = 20.0) -> int:
        """Wait for the child's end and return its exit status."""
        if self.process is None:
            return 0
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            os.killpg(self.pid, signal.SIGKILL)
            self.process.wait(5)
            raise self.failure(f"did not end within {timeout_s:g} s and was killed") from error

    def restart(self) -> None:
        """End the child in order and start it again on the same data and ports."""
        self.terminate()
        self.start()

    def close(self) -> None:
        """End the child if it runs."""
        if self.is_running():
            self.terminate()

    def __enter__(self) -> "Daemon":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # What is seen of it from outside.

    def log_text(self) -> str:
        """Return all it has written."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def failure(self, what: str) -> DaemonError:
        """Return an error that ends with the last lines of the log."""
        tail = "\n".join(self.log_text().splitlines()[-25:])
        return DaemonError(f"{self.name} {what}; its log ends:\n{tail}")

    def rss_bytes(self) -> int:
        """Return the resident memory of the child."""
        fields = Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def cpu_seconds(self) -> float:
        """Return the CPU time, user and system, that the child has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
