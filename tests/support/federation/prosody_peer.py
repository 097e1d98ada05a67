"""Prosody from Debian as a federation peer."""

import re
import shutil
import subprocess
from collections.abc import Sequence

import pytest

from bench.accounts import write_prosody_accounts
from tests.support.daemon import port_open
from tests.support.federation.peer import Mode, Peer

CONFIGURATION = """\
run_as_root = true
daemonize = false
data_path = "{folder}/data"
log = {{ {{ levels = {{ min = "debug" }}, to = "console" }} }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {c2s_port} }}
c2s_direct_tls_ports = {{}}
s2s_ports = {{ {s2s_port} }}
s2s_direct_tls_ports = {{ {s2s_direct_tls_port} }}
http_ports = {{}}
https_ports = {{}}
c2s_require_encryption = false
s2s_require_encryption = true
s2s_secure_auth = {secure_auth}
modules_enabled = {{ "disco", "roster", "saslauth", "tls", "ping", "offline", "carbons", "smacks", "mam", {modules} }}
modules_disabled = {{ {disabled} }}
ssl = {{ certificate = "{certificate}", key = "{key}", cafile = "{trusted}" }}
unbound = {{ resolvconf = false; hoststxt = false; forward = "{resolver}"; options = {{
    ["do-not-query-localhost:"] = "no" }} }}
authentication = "internal_hashed"
VirtualHost "{domain}"
Component "{rooms}" "muc"
    modules_enabled = {{ {modules} }}
    restrict_room_creation = false
    muc_room_locking = false
"""


class ProsodyPeer(Peer):
    """Prosody, which finds others through the DNS server at `resolver` ("127.0.0.1:port")."""

    software = "prosody"

    def prepare(self, resolver: str) -> None:
        """Write its configuration."""
        modules = ["dialback"] if self.mode is Mode.DIALBACK else []
        modules += ["s2s_bidi"] if self.has_bidi else []
        host, _, port = resolver.partition(":")
        (self.folder / "prosody.cfg.lua").write_text(
            CONFIGURATION.format(
                folder=self.folder,
                c2s_port=self.c2s_port,
                s2s_port="" if self.has_direct_tls else self.s2s_port,
                s2s_direct_tls_port=self.s2s_port if self.has_direct_tls else "",
                secure_auth=str(self.mode is not Mode.DIALBACK).lower(),
                modules=", ".join(f'"{name}"' for name in modules),
                disabled="" if self.mode is Mode.DIALBACK else '"dialback"',
                certificate=self.identity.leaf.certificate,
                key=self.identity.leaf.key,
                trusted=self.identity.trusted,
                resolver=f"{host}@{port}",
                domain=self.domain,
                rooms=self.rooms,
            )
        )

    @staticmethod
    def version() -> str:
        """Return what the package says of its version."""
        return _package_version("prosody")

    @staticmethod
    def require() -> None:
        """Fail the test where it is not installed."""
        # Its own resolver cannot be given another port, so it needs libunbound.
        if shutil.which("prosody") is None or not _package_version("lua-unbound"):
            pytest.fail("Prosody is missing: `apt-get install prosody lua-unbound` brings it", pytrace=False)

    def command(self) -> Sequence[str]:
        """Return the command line: in the foreground."""
        return ["prosody", "-F", "--config", str(self.folder / "prosody.cfg.lua")]

    def is_ready(self) -> bool:
        """Whether both ports are open."""
        return port_open(self.c2s_port) and port_open(self.s2s_port)

    def proofs(self, other: str) -> set[str]:
        """Return how it and another domain have proved themselves; what is done without SASL is done by dialback."""
        log, us, them = self.log_text(), re.escape(self.domain), re.escape(other)
        found = set()
        ways = {
            "out": (
                rf"connection {us}->{them} is now authenticated",
                rf"(?m)^{us}:.*SASL EXTERNAL with {them} succeeded",
            ),
            "in": (
                rf"connection {them}->{us} is now authenticated",
                rf"(?m)^{us}:.*Accepting SASL EXTERNAL .*from {them}",
            ),
        }
        for direction, (anyhow, by_certificate) in ways.items():
            certificates, all_of_them = (len(re.findall(pattern, log)) for pattern in (by_certificate, anyhow))
            found |= {f"{direction} external"} if certificates else set()
            found |= {f"{direction} dialback"} if all_of_them > certificates else set()
        return found

    def add_accounts(self, *users: str) -> None:
        """Write account files, which Prosody reads at each login."""
        escaped = self.domain.replace(".", "%2e").replace("-", "%2d")
        write_prosody_accounts(self.folder / "data", users, escaped)


def _package_version(package: str) -> str:
    query = ["dpkg-query", "-W", "-f", "${Version}", package]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout
