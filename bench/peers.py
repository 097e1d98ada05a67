"""Prosody from Debian as a child process, for kill runs and for trying the system tests against another server."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.daemon import Daemon, free_ports, port_open

CONFIG = """\
run_as_root = true
daemonize = false
data_path = "{data}"
pidfile = "{data}/prosody.pid"
log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {c2s_port} }}
c2s_direct_tls_ports = {{ {direct_tls_port} }}
s2s_ports = {{ }}
modules_disabled = {{ "s2s" }}
c2s_require_encryption = {require_tls}
authentication = "internal_hashed"
allow_registration = {registration}
admins = {{ {admins} }}
smacks_hibernation_time = 300
plugin_paths = {{ "{data}/../plugins" }}
modules_enabled = {{ "domain_mam_feature",
    "disco", "roster", "saslauth", "tls", "blocklist", "carbons", "pep", "private", "smacks", "vcard_legacy",
    "vcard4", "csi_simple", "ping", "register", "time", "lastactivity", "version", "mam", "admin_adhoc", "announce",
    "offline",
}}
default_archive_policy = true
archive_expires_after = "never"
{storage}
{ssl}
{hosts}
"""


class ProsodyServer(Daemon):
    """Prosody on ports of 127.0.0.1, with everything it keeps below `folder`; made in the form of `ServerProcess`."""

    def __init__(
        self,
        folder: Path,
        domains: Sequence[str] = ("localhost",),
        *,
        certificate: Path | None = None,
        key: Path | None = None,
        require_tls: bool = True,
        registration_open: bool = False,
        admins: Sequence[str] = (),
        sqlite: bool = False,
    ) -> None:
        super().__init__("prosody", folder / "prosody.log")
        self.folder = folder
        self.domains = tuple(domains)
        self.c2s_port, self.direct_tls_port = free_ports(2)
        (folder / "data").mkdir(parents=True, exist_ok=True)
        (folder / "plugins").mkdir(exist_ok=True)
        # Profanity 0.13 looks for archives among the domain's features, not the account's.
        (folder / "plugins" / "mod_domain_mam_feature.lua").write_text('module:add_feature("urn:xmpp:mam:2")')
        self.config_path = folder / "prosody.cfg.lua"
        self.config_path.write_text(
            CONFIG.format(
                data=folder / "data",
                c2s_port=self.c2s_port,
                direct_tls_port=self.direct_tls_port,
                require_tls=str(require_tls).lower(),
                registration=str(registration_open).lower(),
                admins=", ".join(f'"{admin}"' for admin in admins),
                storage='default_storage = "sql"\nsql = { driver = "SQLite3", database = "prosody.sqlite" }'
                if sqlite
                else "",
                ssl=f'ssl = {{ certificate = "{certificate}", key = "{key}" }}' if certificate else "",
                hosts="\n".join(f'VirtualHost "{domain}"' for domain in domains),
            )
        )

    @staticmethod
    def available() -> bool:
        """Whether Prosody is installed."""
        return shutil.which("prosody") is not None

    def command(self) -> Sequence[str]:
        return ["lua5.4", "/usr/bin/prosody", "-F", "--config", str(self.config_path)]

    def is_ready(self) -> bool:
        return port_open(self.c2s_port)

    def add_account(self, jid: str, password: str) -> None:
        """Make an account, while the server runs or not."""
        subprocess.run(
            ["prosodyctl", "--root", "--config", str(self.config_path), "adduser", jid],
            input=f"{password}\n{password}\n".encode(),
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
