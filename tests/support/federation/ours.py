"""Our own server in the small internet."""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing

from bench.accounts import PASSWORD, write_accounts
from tests.support.daemon import free_ports, port_open
from tests.support.federation.internet import Internet
from tests.support.federation.peer import PLUGINS
from tests.support.person import Person
from tests.support.server import ServerProcess, Setting


class OurServer(ServerProcess):
    """Ours for some domains, in DNS, with a certificate that all trust; clients log in without TLS.

    Args:
        settings: beside those that the small internet needs; they win over them.
        direct_tls: other servers reach it by TLS that starts at once (XEP-0368), and in no other way.
    """

    def __init__(
        self,
        internet: Internet,
        domains: Sequence[str],
        settings: Mapping[str, Setting] | None = None,
        *,
        direct_tls: bool = False,
    ) -> None:
        leaf = internet.certificate(*domains)
        (self.s2s_port,) = free_ports(1)
        needed: dict[str, Setting] = {
            "c2s.require_tls": False,
            "s2s.listen": [] if direct_tls else [f"127.0.0.1:{self.s2s_port}"],
            "s2s.direct_tls": [f"127.0.0.1:{self.s2s_port}"] if direct_tls else [],
            "s2s.resolver": internet.zone.address,
            "tls.ca_file": str(internet.authority.path),
        }
        everything = needed | dict(settings or {})
        folder = internet.folder / domains[0]
        super().__init__(folder, domains, everything, certificate=leaf.certificate, key=leaf.key)
        internet.servers.append(self)
        for domain in domains:
            internet.zone.add(domain, self.s2s_port, direct_tls=direct_tls)

    def add_accounts(self, *users: str) -> None:
        """Make accounts with the password `PASSWORD` in each domain, before it runs."""
        for domain in self.domains:
            asyncio.run(write_accounts(self.folder / "data" / "xmppd.db", users, domain))

    def stored_for(self, ours: str, theirs: str) -> int:
        """Return how many messages wait on disk for another domain, or for its word that it has them."""
        database = f"file:{self.folder}/data/xmppd.db?mode=ro"
        with closing(sqlite3.connect(database, uri=True)) as connection:
            query = "SELECT count(*) FROM map WHERE owner = ?"
            return int(connection.execute(query, (f"s2s {ours} {theirs}",)).fetchone()[0])

    def is_ready(self) -> bool:
        """Whether it takes connections of clients and of servers."""
        return super().is_ready() and port_open(self.s2s_port)

    async def login(self, jid: str, *plugins: str, presence: bool = True) -> Person:
        """Log somebody in, without TLS."""
        person = Person(jid, PASSWORD, ca=None, plugins=(*PLUGINS, *plugins))
        await person.login(self.c2s_port, presence=presence)
        return person
