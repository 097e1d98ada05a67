"""A real Prosody from Debian's package, with every module that the conformance suite has checks for.

`prosody` is a pytest fixture; name this file in `pytest_plugins`, or import the fixture. It fails, and does not skip,
when the package is missing: a suite that quietly leaves its peer out proves nothing.
"""

import shutil
import tempfile
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import pytest

from bench.accounts import write_prosody_accounts
from tests.support.ca import make_test_ca
from tests.support.daemon import Daemon, free_ports, port_open

DOMAIN = "peer.test"
ADMIN = f"admin@{DOMAIN}"
MODULES = (
    *("disco", "roster", "saslauth", "tls", "offline", "ping", "time", "uptime", "lastactivity", "version", "posix"),
    *("blocklist", "bookmarks", "carbons", "csi", "csi_simple", "mam", "pep", "private", "smacks", "vcard4"),
    *("vcard_legacy", "register", "register_ibr", "server_contact_info", "adhoc", "admin_adhoc", "announce"),
)
CONFIGURATION = """
run_as_root = true
daemonize = false
data_path = "{folder}/data"
pidfile = "{folder}/prosody.pid"
log = {{ info = "*console" }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {port} }}
c2s_direct_tls_ports = {{ {direct_tls_port} }}
s2s_ports = {{}}
http_ports = {{}}
https_ports = {{}}
modules_enabled = {{ {modules} }}
modules_disabled = {{ "s2s" }}
ssl = {{ certificate = "{certificate}", key = "{key}" }}
authentication = "internal_hashed"
allow_registration = true
default_archive_policy = true
admins = {{ "{admin}" }}
contact_info = {{ admin = {{ "xmpp:{admin}", "mailto:{admin}" }}, abuse = {{ "mailto:abuse@{domain}" }} }}
VirtualHost "{domain}"
"""


class Prosody(Daemon):
    """Prosody for `DOMAIN`, with open registration and the administrator `ADMIN`, whose password is `PASSWORD`.

    Args:
        folder: holds its configuration, certificate, data and log.
        without: modules to leave out.
    """

    def __init__(self, folder: Path, *, without: Collection[str] = ()) -> None:
        super().__init__("prosody", folder / "prosody.log")
        self.port, self.direct_tls_port = free_ports(2)
        authority = make_test_ca(folder)
        leaf = authority.sign([DOMAIN])
        self.ca_file = authority.path
        self.config_path = folder / "prosody.cfg.lua"
        self.config_path.write_text(
            CONFIGURATION.format(
                folder=folder,
                port=self.port,
                direct_tls_port=self.direct_tls_port,
                modules=", ".join(f'"{name}"' for name in MODULES if name not in without),
                certificate=leaf.certificate,
                key=leaf.key,
                admin=ADMIN,
                domain=DOMAIN,
            )
        )
        write_prosody_accounts(folder / "data", ["admin"], DOMAIN.replace(".", "%2e"))

    def command(self) -> Sequence[str]:
        """Return the command line: in the foreground."""
        return ["prosody", "-F", "--config", str(self.config_path)]

    def is_ready(self) -> bool:
        """Whether both ports for clients are open."""
        return port_open(self.port) and port_open(self.direct_tls_port)


@pytest.fixture(scope="session")
def prosody() -> Iterator[Prosody]:
    """Prosody, started once for the test session and ended after it."""
    if shutil.which("prosody") is None:
        pytest.fail("Prosody is not installed; `apt-get install prosody` brings it", pytrace=False)
    folder = Path(tempfile.mkdtemp(prefix="xmppd-prosody-"))
    try:
        with Prosody(folder) as running:
            assert isinstance(running, Prosody)
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)
