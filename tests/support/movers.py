"""Prosody's migrator and ejabberd's commands, which read and write files of XEP-0227; nothing of them listens to anybody else."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, free_ports, port_open
from tests.support.ejabberd import call_ejabberd, ejabberd_environment

DOMAIN = "moving.test"
STORES = ("accounts", "roster", "vcard", "private", "archive-archive", "pep-pubsub")
MIGRATOR = Path("/usr/bin/prosody-migrator")


class ProsodyMigrator:
    """Moves a host between a folder of Prosody's own files and a folder of one XEP-0227 file an account."""

    def __init__(self, folder: Path) -> None:
        if not MIGRATOR.exists() or shutil.which("lua5.4") is None:
            pytest.fail("prosody is missing: `apt-get install prosody` brings it", pytrace=False)
        self.own = folder / "own"
        self._folder = folder
        # The folder of the files is the one of its data, which is fixed where it was built.
        text = re.sub("^CFG_DATADIR=.*$", "CFG_DATADIR=os.getenv('MOVED_FILES')", MIGRATOR.read_text(), flags=re.M)
        (folder / "migrator.lua").write_text(text)
        stores = ", ".join(f'"{name}"' for name in STORES)
        host = f'hosts = {{ ["{DOMAIN}"] = {{ {stores} }} }}'
        (folder / "migrator.cfg.lua").write_text(
            f'files {{ {host}; type = "xep0227" }}\nown {{ {host}; type = "internal"; path = "{self.own}" }}\n'
        )

    def run(self, source: str, target: str, files: Path) -> None:
        """Move from "files" to "own" or the reverse."""
        for path in (files, self.own):
            path.mkdir(exist_ok=True)
        command = [
            "lua5.4",
            "migrator.lua",
            "--root",
            "--keep-going",
            f"--config={self._folder}/migrator.cfg.lua",
            source,
            target,
        ]
        environment = os.environ | {"MOVED_FILES": str(files)}
        done = subprocess.run(
            command, cwd=self._folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


class EjabberdStore(Daemon):
    """ejabberd with accounts and without a way in for clients; its commands over HTTP on loopback."""

    def __init__(self, folder: Path) -> None:
        super().__init__("ejabberd", folder / "ejabberd.log")
        found = subprocess.run(["dpkg", "-L", "ejabberd"], capture_output=True, text=True, check=False).stdout
        if shutil.which("erl") is None or "/ebin" not in found:
            pytest.fail("ejabberd is missing: `apt-get install ejabberd` brings it", pytrace=False)
        self._folder = folder
        (self._port,) = free_ports(1)
        names = ("admin_extra", "blocking", "caps", "disco", "last", "offline", "privacy", "private", "roster", "vcard")
        settings = {
            "hosts": [DOMAIN],
            "acme": {"auto": False},
            "auth_password_format": "scram",
            "api_permissions": {"tests": {"who": {"ip": "127.0.0.1/8"}, "what": ["*"]}},
            "listen": [
                {
                    "port": self._port,
                    "ip": "127.0.0.1",
                    "module": "ejabberd_http",
                    "request_handlers": {"/api": "mod_http_api"},
                }
            ],
            "modules": {f"mod_{name}": {} for name in names},
        }
        (folder / "ejabberd.yml").write_text(json.dumps(settings))
        (folder / "spool").mkdir()

    def command(self) -> Sequence[str]:
        """Return the command line: in the foreground, on one scheduler that does not spin."""
        spool = f"'\"{self._folder}/spool\"'".strip("'")
        options = ["-noinput", "+S", "1", "+sbwt", "none", "-mnesia", "dir", spool]
        return ["erl", *options, "-ejabberd", "log_rotate_count", "0", "-s", "ejabberd"]

    def environment(self) -> dict[str, str]:
        """Return what makes it keep to its own folder."""
        return ejabberd_environment(self._folder)

    def is_ready(self) -> bool:
        """Whether its commands can be reached."""
        return port_open(self._port)

    def call(self, command: str, **arguments: str) -> object:
        """Run a command, and return its result."""
        return call_ejabberd(self._port, command, arguments)
