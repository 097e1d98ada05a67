"""The servers that are measured side by side: ours, and Prosody and ejabberd by the start scripts of an xload folder."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.accounts import ITERATIONS, write_accounts
from tests.support.server import ServerProcess

SERVER_CPU, LOAD_CPU = "0", "1"
PEER_PORTS = {"prosody": 15222, "ejabberd": 25222}  # as xload's scripts have them


def pinned(cpu: str, command: Sequence[str]) -> list[str]:
    """Return a command that runs on one core alone."""
    return ["taskset", "-c", cpu, *command]


class Contestant:
    """One server in one configuration; `fresh` gives it empty data and N accounts u0, u1, … and starts it."""

    name: str
    port: int

    def fresh(self, users: int, *, archive: bool) -> None:
        """Stop it, empty its data, make accounts and start it."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop it; nothing happens when it does not run."""
        raise NotImplementedError

    def pid(self) -> int:
        """Return the id of its process."""
        raise NotImplementedError


class Ours(Contestant):
    """This tree's server on SQLite, each commit synchronised to the disk before it is acknowledged."""

    name = "xmppd"

    def __init__(self, folder: Path, certificates: Path) -> None:
        self.folder = folder
        self.certificates = certificates
        self.server: ServerProcess | None = None

    def interpreter(self) -> list[str]:
        """Return the command that runs Python for it."""
        return pinned(SERVER_CPU, [sys.executable])

    def fresh(self, users: int, *, archive: bool) -> None:
        """Stop it, empty its data, make accounts and start it."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        database = self.folder / "data" / "xmppd.db"
        asyncio.run(write_accounts(database, (f"u{number}" for number in range(users))))
        self.server = ServerProcess(
            self.folder,
            settings={
                "c2s.require_tls": False,
                "archive.enabled": archive,
                "storage.url": f"sqlite:{database}",
                "log.level": "warning",
                "rooms.messages_per_s": 10_000.0,  # as the peers are set: their limits are off
                "rooms.messages_burst": 100_000.0,
            },
            certificate=self.certificates / "ec.crt",
            key=self.certificates / "ec.key",
            python=self.interpreter(),
        )
        self.port = self.server.c2s_port
        self.server.start()

    def stop(self) -> None:
        """Stop it; nothing happens when it does not run."""
        if self.server is not None:
            self.server.close()
            self.server = None

    def pid(self) -> int:
        """Return the id of its process."""
        if self.server is None:
            raise RuntimeError("not started")
        return self.server.pid


class Peer(Contestant):
    """Prosody or ejabberd, started by xload's scripts with the storage named."""

    def __init__(self, script: str, store: str, xload: Path) -> None:
        self.script = script
        self.store = store
        self.xload = xload
        self.port = PEER_PORTS[script]
        self.name = f"{script}-{store}" if store == "sqlite" else script

    def _run(self, *arguments: str, archive: bool = False) -> None:
        environment = {
            **os.environ,
            "XL_ARCHIVE": "1" if archive else "0",
            "XL_STORE": self.store,
            "SRV_CPU": SERVER_CPU,
        }
        done = subprocess.run(
            [str(self.xload / f"{self.script}.sh"), *arguments],
            env=environment,
            stdout=subprocess.DEVNULL,  # a file or nothing: the server would hold a pipe open
            stderr=subprocess.DEVNULL,
            check=False,
            timeout=120,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{self.script}.sh {' '.join(arguments)} ended with {done.returncode}")

    def fresh(self, users: int, *, archive: bool) -> None:
        """Stop it, empty its data, make accounts and start it."""
        self._run("stop")
        self._run("wipe")
        make_users = ("users", str(users), str(ITERATIONS))
        if self.script == "prosody":  # its accounts are files; ejabberd's go into the running node
            self._run(*make_users)
            self._run("start", archive=archive)
        else:
            self._run("start", archive=archive)
            self._run(*make_users)

    def stop(self) -> None:
        """Stop it; nothing happens when it does not run."""
        self._run("stop")

    def pid(self) -> int:
        """Return the id of its process."""
        return int((self.xload / "run" / f"{self.script}.pid").read_text())
