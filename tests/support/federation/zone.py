"""The DNS of a small internet: dnsmasq on a port of its own, with records that tests add while it runs.

Everything is below `.example`, which no resolver treats by itself, and every service is at one name, `HOST`,
so that programs which take addresses from /etc/hosts rather than from DNS need one line there that never changes.
"""

import getpass
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.daemon import Daemon, free_ports, port_open

HOST = "host.internet.example"
FIXED = f"""\
no-resolv
no-hosts
keep-in-foreground
log-facility=-
listen-address=127.0.0.1
bind-interfaces
local=/example/
host-record={HOST},127.0.0.1
"""


class Zone(Daemon):
    """dnsmasq; whatever it has no record of does not exist (NXDOMAIN).

    Attributes:
        address: "127.0.0.1:port", of UDP and TCP.
    """

    def __init__(self, folder: Path) -> None:
        if shutil.which("dnsmasq") is None:
            pytest.fail("dnsmasq is not installed; `apt-get install dnsmasq-base` brings it", pytrace=False)
        super().__init__("dnsmasq", folder / "dnsmasq.log")
        (self.port,) = free_ports(1)
        self.address = f"127.0.0.1:{self.port}"
        self.records: list[str] = []
        self.config_path = folder / "dnsmasq.conf"

    def add(self, domain: str, s2s_port: int, *, direct_tls: bool = False) -> None:
        """Tell where a domain and those below it that servers use are served; a server that runs is started anew.

        Args:
            direct_tls: TLS starts at once on that port (XEP-0368), and there is no other.
        """
        service = "_xmpps-server" if direct_tls else "_xmpp-server"
        for name in (domain, f"conference.{domain}", f"pubsub.{domain}", f"upload.{domain}"):
            self.records.append(f"srv-host={service}._tcp.{name},{HOST},{s2s_port}")
        self._apply()

    def add_without_service(self, domain: str) -> None:
        """Say of a domain that it has no server: an SRV record whose target is the root (RFC 2782)."""
        self.records += [f"srv-host=_xmpp-server._tcp.{domain}", f"srv-host=_xmpps-server._tcp.{domain}"]
        self._apply()

    def _apply(self) -> None:
        if self.is_running():
            self.restart()

    def command(self) -> Sequence[str]:
        """Return the command line, with the configuration of this moment."""
        lines = [FIXED, f"port={self.port}", f"user={getpass.getuser()}", *self.records]
        self.config_path.write_text("\n".join(lines) + "\n")
        return ["dnsmasq", f"--conf-file={self.config_path}"]

    def is_ready(self) -> bool:
        """Whether it takes connections; its UDP socket is open by then."""
        return port_open(self.port)
