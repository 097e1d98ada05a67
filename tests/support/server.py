"""Our own server as a child process, on free ports of 127.0.0.1, with all its data below one folder."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.daemon import Daemon, DaemonError, free_ports, port_open

ROOT = Path(__file__).resolve().parents[2]

Setting = str | int | float | bool | Sequence[str]


def toml(settings: Mapping[str, Setting]) -> str:
    """Return settings by their dotted names as TOML text, one section each."""
    sections: dict[str, list[str]] = {}
    for name, value in settings.items():
        section, _, key = name.partition(".")
        sections.setdefault(section, []).append(f"{key} = {json.dumps(value)}")
    return "\n".join(f"[{section}]\n" + "\n".join(lines) + "\n" for section, lines in sections.items())


class ServerProcess(Daemon):
    """`python -m xmppd serve` on its own data.

    Args:
        folder: where configuration, data and log go; the same folder again is the same server.
        domains: virtual hosts.
        settings: more settings by their dotted names ("c2s.require_tls": False); they win over what is set here.
        certificate, key: PEM files; without them there is no TLS, and logins go without.
        python: the interpreter and its options; `("taskset", "-c", "0", sys.executable)` pins it to a core.
    """

    def __init__(
        self,
        folder: Path,
        domains: Sequence[str] = ("localhost",),
        settings: Mapping[str, Setting] | None = None,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
        python: Sequence[str] = (sys.executable,),
    ) -> None:
        super().__init__("xmppd", folder / "xmppd.log")
        self.folder = folder
        self.domains = tuple(domains)
        self.python = tuple(python)
        self.c2s_port, self.direct_tls_port, self.http_port = free_ports(3)
        everything: dict[str, Setting] = {
            "server.domains": list(domains),
            "server.data_dir": str(folder / "data"),
            "c2s.listen": [f"127.0.0.1:{self.c2s_port}"],
            "c2s.direct_tls": [f"127.0.0.1:{self.direct_tls_port}"] if certificate else [],
            "c2s.require_tls": certificate is not None,
            "http.listen": [f"127.0.0.1:{self.http_port}"],
            "s2s.listen": [],
            "s2s.resolver": "127.0.0.1:9",  # nobody answers there: other domains cannot be found unless a test says how
        }
        if certificate and key:
            everything |= {"tls.certificate": str(certificate), "tls.key": str(key)}
        self.settings = everything | dict(settings or {})
        folder.mkdir(parents=True, exist_ok=True)
        self.config_path = folder / "xmppd.toml"
        self.write_config()

    def write_config(self) -> None:
        """Write `settings` to the configuration file, for the next start."""
        self.config_path.write_text(toml(self.settings))

    def command(self) -> Sequence[str]:
        """Return the command line of `serve`."""
        return [*self.python, "-m", "xmppd", "serve", "--config", str(self.config_path)]

    def environment(self) -> dict[str, str]:
        """Return what makes the child import this tree."""
        return {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}

    def working_directory(self) -> Path:
        """Return the server's own folder."""
        return self.folder

    def is_ready(self) -> bool:
        """Whether it takes connections of clients."""
        return port_open(self.c2s_port)

    def run_command(self, *arguments: str, input_: str = "") -> str:
        """Run another of its commands to the end and return what it printed.

        Raises:
            DaemonError: it failed; the text has what it wrote.
        """
        done = subprocess.run(
            [sys.executable, "-m", "xmppd", *arguments, "--config", str(self.config_path)],
            input=input_,
            capture_output=True,
            text=True,
            env={**self.environment(), "PATH": "/usr/bin:/bin"},
            cwd=self.folder,
            timeout=60,
            check=False,
        )
        if done.returncode != 0:
            raise DaemonError(f"xmppd {' '.join(arguments)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def add_account(self, jid: str, password: str) -> None:
        """Make an account, while the server runs or not."""
        self.run_command("account", "add", jid, "--password-stdin", input_=password + "\n")
