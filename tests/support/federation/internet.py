"""A small internet: its DNS, its authorities, and the servers that tests put into it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ca import Leaf, make_test_ca
from tests.support.daemon import Daemon
from tests.support.federation.ejabberd_peer import EjabberdPeer
from tests.support.federation.peer import Identity, Mode, Peer
from tests.support.federation.prosody_peer import ProsodyPeer
from tests.support.federation.zone import Zone

SOFTWARE: dict[str, type[ProsodyPeer] | type[EjabberdPeer]] = {
    kind.software: kind for kind in (ProsodyPeer, EjabberdPeer)
}


class Internet:
    """What is common to all servers of one run.

    Attributes:
        authority: whose certificates all trust (but peers that do dialback).
        zone: the DNS server, running.
        servers: all that belong to it; none outlives it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("authority", "stranger", "nobody"):
            (folder / name).mkdir()
        self.authority = make_test_ca(folder / "authority")
        self.stranger = make_test_ca(folder / "stranger")
        self.nobody = make_test_ca(folder / "nobody")
        self.zone = Zone(folder)
        self.zone.start()
        self.servers: list[Daemon] = []
        self._number = 0

    def certificate(self, *domains: str) -> Leaf:
        """Return a certificate that all trust, for domains and what is below them."""
        names = [name for domain in domains for name in (domain, f"*.{domain}")]
        return self.authority.sign(names, file_name=domains[0])

    def peer(self, software: str, mode: Mode, *, bidi: bool = False, direct_tls: bool = False) -> Peer:
        """Return a new peer, not started, with a domain of its own that DNS knows."""
        kind = SOFTWARE[software]
        kind.require()
        self._number += 1
        domain = f"{software}{self._number}.example"
        signer = self.authority if mode is Mode.EXTERNAL else self.stranger
        leaf = signer.sign([domain, f"*.{domain}"], file_name=domain)
        trusted = self.nobody if mode is Mode.DIALBACK else self.authority
        peer = kind(self.folder / domain, domain, Identity(leaf, trusted.path), mode, bidi=bidi, direct_tls=direct_tls)
        self.servers.append(peer)
        peer.prepare(self.zone.address)
        self.zone.add(domain, peer.s2s_port, direct_tls=direct_tls)
        return peer


@contextmanager
def small_internet() -> Iterator[Internet]:
    """Make one in a temporary folder that all may enter (Prosody is another user where it can be), and end it."""
    folder = Path(tempfile.mkdtemp(prefix="xmppd-federation-"))
    folder.chmod(0o755)
    internet = Internet(folder)
    try:
        yield internet
    finally:
        for server in internet.servers:
            server.kill9()
        internet.zone.close()
        shutil.rmtree(folder, ignore_errors=True)
