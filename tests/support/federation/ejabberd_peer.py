"""ejabberd from Debian as a federation peer: its virtual machine started directly, without a node name, and so without epmd.

It asks DNS for SRV records, and for those alone: addresses come from the C library. A mount namespace of its own
gives it an /etc/hosts with the one name that all services of the small internet are at.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence

import pytest

from bench.accounts import PASSWORD
from tests.support.daemon import free_ports, port_open
from tests.support.ejabberd import ejabberd_environment, register_at_ejabberd
from tests.support.federation.peer import Mode, Peer
from tests.support.federation.zone import HOST

INETRC = """\
{{resolv_conf, ""}}.
{{hosts_file, ""}}.
{{lookup, [dns]}}.
{{nameserver, {{127,0,0,1}}, {port}}}.
{{edns, 0}}.
"""


class EjabberdPeer(Peer):
    """ejabberd, which finds others through the DNS server at `resolver` ("127.0.0.1:port")."""

    software = "ejabberd"

    def prepare(self, resolver: str) -> None:
        """Write its configuration; all of it is JSON, which YAML includes."""
        (self.http_port,) = free_ports(1)
        pem = self.folder / "server.pem"
        pem.write_bytes(self.identity.leaf.certificate.read_bytes() + self.identity.leaf.key.read_bytes())
        names = ("mod_carboncopy", "mod_disco", "mod_offline", "mod_ping", "mod_roster", "mod_stream_mgmt")
        modules: dict[str, object] = {name: {} for name in names} | {"mod_muc": {"host": self.rooms}}
        if self.mode is Mode.DIALBACK:
            modules["mod_s2s_dialback"] = {}
        settings = {
            "hosts": [self.domain],
            "loglevel": "debug",
            "acme": {"auto": False},
            "certfiles": [str(pem)],
            "ca_file": str(self.identity.trusted),
            "listen": [
                {"port": self.c2s_port, "ip": "127.0.0.1", "module": "ejabberd_c2s", "access": "all"},
                {"port": self.s2s_port, "ip": "127.0.0.1", "module": "ejabberd_s2s_in", "tls": self.has_direct_tls},
                {
                    "port": self.http_port,
                    "ip": "127.0.0.1",
                    "module": "ejabberd_http",
                    "request_handlers": {"/api": "mod_http_api"},
                },
            ],
            "s2s_use_starttls": "required",
            "s2s_dns_timeout": 3,
            "s2s_timeout": 10,
            # It bounces what goes to a server that it could not reach for a while; the shortest while it can be told.
            "s2s_max_retry_delay": 1,
            "auth_password_format": "scram",
            "api_permissions": {"tests": {"who": {"ip": "127.0.0.1/8"}, "what": ["*"]}},
            "modules": modules,
        }
        (self.folder / "ejabberd.yml").write_text(json.dumps(settings, indent=1))
        (self.folder / "inetrc").write_text(INETRC.format(port=resolver.partition(":")[2]))
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost {HOST}\n")
        (self.folder / "spool").mkdir(exist_ok=True)

    @staticmethod
    def version() -> str:
        """Return what the package says of its version."""
        query = ["dpkg-query", "-W", "-f", "${Version}", "ejabberd"]
        return subprocess.run(query, capture_output=True, text=True, check=False).stdout

    @staticmethod
    def require() -> None:
        """Fail the test where it is not installed, or cannot be given its own /etc/hosts."""
        if not EjabberdPeer.version() or shutil.which("erl") is None:
            pytest.fail("ejabberd is missing: `apt-get install ejabberd` brings it", pytrace=False)
        tried = subprocess.run([*_unshare(), "true"], capture_output=True, text=True, check=False)
        if tried.returncode != 0:
            pytest.fail(f"no mount namespace for ejabberd's /etc/hosts: {tried.stderr.strip()}", pytrace=False)

    def command(self) -> Sequence[str]:
        """Return the command line: in the foreground, on one scheduler that does not spin."""
        erl = (
            'mount --bind "$0" /etc/hosts && exec erl -noinput +S 1 +sbwt none'
            f" -mnesia dir '\"{self.folder}/spool\"' -ejabberd log_rotate_count 0 -s ejabberd"
        )
        return [*_unshare(), "sh", "-c", erl, str(self.folder / "hosts")]

    def environment(self) -> dict[str, str]:
        """Return what makes it keep to its own folder."""
        return {
            **ejabberd_environment(self.folder),
            "ERL_INETRC": str(self.folder / "inetrc"),
        }

    def is_ready(self) -> bool:
        """Whether all ports are open."""
        return all(port_open(port) for port in (self.c2s_port, self.s2s_port, self.http_port))

    def proofs(self, other: str) -> set[str]:
        """Return how it and another domain have proved themselves to each other."""
        us, them = re.escape(self.domain), re.escape(other)
        found = set()
        for direction, word, way in (("in", "inbound", f"{them} -> {us}"), ("out", "outbound", f"{us} -> {them}")):
            pattern = rf"Accepted {word} s2s (\w+) authentication {way} "
            found |= {f"{direction} {how.lower()}" for how in re.findall(pattern, self.log_text())}
        return found

    def add_accounts(self, *users: str) -> None:
        """Make accounts through its administration interface, while it runs."""
        for user in users:
            register_at_ejabberd(self.http_port, user, self.domain, PASSWORD)


def _unshare() -> list[str]:
    return ["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"])]
