"""The conformance suite against this server, Prosody and ejabberd, each with all that it has: `python -m bench.conformance > docs/compliance.md`.

Prosody and ejabberd are Debian's; all three run on loopback, one after the other, with certificates of an authority made for the run.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.accounts import PASSWORD, write_accounts, write_prosody_accounts
from compliance.side_by_side import page
from tests.support.ca import CertificateAuthority, Leaf, make_test_ca
from tests.support.daemon import Daemon, free_ports, port_open
from tests.support.ejabberd import ejabberd_environment, register_at_ejabberd
from tests.support.prosody import MODULES as PROSODY_MODULES
from tests.support.server import ServerProcess

DOMAIN, SECRET = "suite.example", "s3cret"
COMPONENT = f"echo.{DOMAIN}"
ADMIN = f"admin@{DOMAIN}"

PROSODY = """
run_as_root = true
daemonize = false
data_path = "{folder}/data"
pidfile = "{folder}/prosody.pid"
log = {{ warn = "*console" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_direct_tls_ports = {{ {direct_tls_port} }}
component_ports = {{ {component_port} }}
s2s_ports = {{}}
http_ports = {{ {http_port} }}
https_ports = {{}}
http_external_url = "http://127.0.0.1:{http_port}/"
modules_enabled = {{ {modules} }}
modules_disabled = {{ "s2s" }}
ssl = {{ certificate = "{certificate}", key = "{key}" }}
authentication = "internal_hashed"
allow_registration = true
default_archive_policy = true
admins = {{ "{admin}" }}
contact_info = {{ admin = {{ "xmpp:{admin}" }}, abuse = {{ "mailto:abuse@{domain}" }} }}
turn_external_host = "turn.{domain}"
turn_external_secret = "s3cret"
VirtualHost "{domain}"
Component "conference.{domain}" "muc"
  modules_enabled = {{ "muc_mam", "vcard_muc" }}
Component "upload.{domain}" "http_file_share"
Component "{component}"
  component_secret = "{secret}"
"""
PROSODY_MORE = ("cloud_notify", "external_services", "turn_external", "bosh", "websocket", "limits")

EJABBERD_MODULES: dict[str, dict[str, Any]] = {
    **{
        name: {}
        for name in (
            *(
                "mod_adhoc",
                "mod_admin_extra",
                "mod_announce",
                "mod_avatar",
                "mod_blocking",
                "mod_caps",
                "mod_carboncopy",
            ),
            *("mod_client_state", "mod_configure", "mod_disco", "mod_fail2ban", "mod_last", "mod_offline", "mod_ping"),
            *("mod_privacy", "mod_private", "mod_push", "mod_push_keepalive", "mod_roster", "mod_s2s_dialback"),
            *("mod_stream_mgmt", "mod_vcard", "mod_vcard_xupdate", "mod_version", "mod_time", "mod_sic"),
        )
    },
    "mod_register": {"ip_access": "all", "access": "all"},
    "mod_mam": {"default": "always"},
    "mod_muc": {"default_room_options": {"mam": True}, "access_mam": "all"},
    "mod_muc_admin": {},
    "mod_http_upload": {},
    "mod_stun_disco": {"services": [{"host": "203.0.113.3", "port": 3478, "type": "turn", "transport": "udp"}]},
    "mod_pubsub": {
        "plugins": ["flat", "pep"],
        "force_node_config": {"storage:bookmarks": {"access_model": "whitelist"}},
    },
}


@dataclass(frozen=True, slots=True)
class Ports:
    """Where a server is."""

    client: int
    direct_tls: int
    component: int
    http: int


class ProsodyDaemon(Daemon):
    """Prosody with all its modules that the suite has checks for."""

    def __init__(self, folder: Path, leaf: Leaf, ports: Ports) -> None:
        super().__init__("prosody", folder / "prosody.log")
        self.ports = ports
        self.config_path = folder / "prosody.cfg.lua"
        self.config_path.write_text(
            PROSODY.format(
                folder=folder,
                port=ports.client,
                direct_tls_port=ports.direct_tls,
                component_port=ports.component,
                http_port=ports.http,
                modules=", ".join(f'"{name}"' for name in (*PROSODY_MODULES, *PROSODY_MORE)),
                certificate=leaf.certificate,
                key=leaf.key,
                admin=ADMIN,
                domain=DOMAIN,
                component=COMPONENT,
                secret=SECRET,
            )
        )
        write_prosody_accounts(folder / "data", ["admin"], DOMAIN.replace(".", "%2e"))

    def command(self) -> Sequence[str]:
        """Return the command line: in the foreground."""
        return ["prosody", "-F", "--config", str(self.config_path)]

    def is_ready(self) -> bool:
        """Whether its ports are open."""
        return port_open(self.ports.client) and port_open(self.ports.component)


class EjabberdDaemon(Daemon):
    """ejabberd with all its modules that the suite has checks for."""

    def __init__(self, folder: Path, leaf: Leaf, ports: Ports) -> None:
        super().__init__("ejabberd", folder / "ejabberd.log")
        self.folder, self.ports = folder, ports
        pem = folder / "server.pem"
        pem.write_bytes(leaf.certificate.read_bytes() + leaf.key.read_bytes())
        client: dict[str, Any] = {"ip": "127.0.0.1", "module": "ejabberd_c2s", "access": "all"}
        component = {"hosts": {COMPONENT: {"password": SECRET}}, "ip": "127.0.0.1", "module": "ejabberd_service"}
        handlers = {"/api": "mod_http_api", "/upload": "mod_http_upload", "/ws": "ejabberd_http_ws"}
        settings = {
            "hosts": [DOMAIN],
            "loglevel": "warning",
            "acme": {"auto": False},
            "certfiles": [str(pem)],
            "listen": [
                {**client, "port": ports.client, "starttls": True},
                {**client, "port": ports.direct_tls, "tls": True},
                {**component, "port": ports.component},
                {"port": ports.http, "ip": "127.0.0.1", "module": "ejabberd_http", "request_handlers": handlers},
            ],
            "auth_password_format": "scram",
            "registration_timeout": "infinity",
            "acl": {"admin": {"user": [ADMIN]}},
            "access_rules": {"configure": {"allow": "admin"}, "announce": {"allow": "admin"}},
            "api_permissions": {"suite": {"who": {"ip": "127.0.0.1/8"}, "what": ["*"]}},
            "modules": EJABBERD_MODULES,
        }
        (folder / "ejabberd.yml").write_text(json.dumps(settings, indent=1))
        (folder / "spool").mkdir()

    def command(self) -> Sequence[str]:
        """Return the command line: in the foreground."""
        spool = f'"{self.folder}/spool"'
        return ["erl", "-noinput", "-mnesia", "dir", spool, "-ejabberd", "log_rotate_count", "0", "-s", "ejabberd"]

    def environment(self) -> dict[str, str]:
        """Return what makes it keep to its own folder."""
        return ejabberd_environment(self.folder)

    def is_ready(self) -> bool:
        """Whether its ports are open."""
        return all(port_open(port) for port in (self.ports.client, self.ports.component, self.ports.http))

    def add_admin(self) -> None:
        """Make the administrator's account."""
        register_at_ejabberd(self.ports.http, "admin", DOMAIN, PASSWORD)


def ours(folder: Path, leaf: Leaf, ports: Ports) -> ServerProcess:
    """Return our server with the settings that the suite needs."""
    settings: dict[str, Any] = {
        "c2s.listen": [f"127.0.0.1:{ports.client}"],
        "c2s.direct_tls": [f"127.0.0.1:{ports.direct_tls}"],
        "http.listen": [f"127.0.0.1:{ports.http}"],
        "components.listen": [f"127.0.0.1:{ports.component}"],
        "registration.open": True,
        "registration.limit_per_hour": 0,
        "admin.jids": [ADMIN],
        "contacts.admin": [f"xmpp:{ADMIN}"],
        "contacts.abuse": [f"mailto:abuse@{DOMAIN}"],
        "turn.hosts": [f"turn.{DOMAIN}"],
        "turn.secret": SECRET,
        "log.level": "warning",
    }
    server = ServerProcess(folder, [DOMAIN], settings, certificate=leaf.certificate, key=leaf.key)
    with server.config_path.open("a") as file:
        file.write(f'[components.domains."{COMPONENT}"]\nsecret = "{SECRET}"\n')
    server.c2s_port = ports.client
    asyncio.run(write_accounts(folder / "data" / "xmppd.db", ["admin"], DOMAIN))
    return server


def run_suite(ports: Ports, authority: CertificateAuthority) -> dict[str, Any]:
    """Run the suite against a server that runs, and return its report."""
    command = [sys.executable, "-m", "compliance", "--server", f"127.0.0.1:{ports.client}", "--domain", DOMAIN]
    command += ["--direct-tls", str(ports.direct_tls), "--ca", str(authority.path), "--register", "--json"]
    command += ["--admin", f"{ADMIN}:{PASSWORD}", "--component", f"127.0.0.1:{ports.component}:{COMPONENT}:{SECRET}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise SystemExit(done.stderr)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def measure(name: str, folder: Path) -> dict[str, Any]:
    """Run one server, and the suite against it."""
    folder.mkdir()
    authority = make_test_ca(folder)
    names = [DOMAIN, f"conference.{DOMAIN}", f"upload.{DOMAIN}"]
    leaf = authority.sign(names)
    ports = Ports(*free_ports(4))
    server: Daemon
    if name == "xmppd":
        server = ours(folder / "server", leaf, ports)
    elif name == "Prosody":
        server = ProsodyDaemon(folder, leaf, ports)
    else:
        server = EjabberdDaemon(folder, leaf, ports)
    with server:
        if isinstance(server, EjabberdDaemon):
            server.add_admin()
        return run_suite(ports, authority)


def main() -> int:
    """Print the page."""
    with tempfile.TemporaryDirectory(prefix="xmppd-conformance-") as folder:
        reports = {}
        for name in sys.argv[1:] or ("xmppd", "Prosody", "ejabberd"):
            print(name, file=sys.stderr)
            reports[name] = measure(name, Path(folder) / name)
    print(page(reports), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
