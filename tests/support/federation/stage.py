"""Two honest servers and their accounts in the small internet: one is attacked, the other must be served all the while."""

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

from tests.support.ca import Leaf
from tests.support.daemon import free_ports
from tests.support.federation.hostile import Ear, HostilePeer, LiveInternet, LiveZone, message
from tests.support.federation.ours import OurServer
from tests.support.name_server import name_server
from tests.support.raw import memory_bytes

OURS, HONEST, LATER = "verona.example", "honest.example", "later.example"
ROMEO = f"romeo@{OURS}/ear"
JULIET = f"juliet@{HONEST}/ear"
HONEST_PATIENCE_S = 5.0


class Stage:
    """What an attack needs.

    Attributes:
        ours: attacked; its account `romeo` must hear nothing but what is honest. direct_port: where its TLS starts at once.
        honest: another server, with `juliet`, and another domain `LATER`, that we have not talked to, with `later`.
    """

    def __init__(self, internet: LiveInternet, ours: OurServer, honest: OurServer, direct_port: int) -> None:
        self.internet = internet
        self.ours = ours
        self.honest = honest
        self.direct_port = direct_port
        self.romeo = Ear("romeo", OURS)
        self.juliet = Ear("juliet", HONEST)
        self.later = Ear("juliet", LATER)
        self._numbers = itertools.count(1)

    @property
    def port(self) -> int:
        """Where our server listens to others."""
        return self.ours.s2s_port

    def name(self) -> str:
        """Return a domain that nobody has used."""
        return f"evil{next(self._numbers)}.example"

    def strange(self, domain: str) -> Leaf:
        """Return a certificate for a domain from an authority that nobody trusts."""
        return self.internet.stranger.sign([domain], file_name=f"{domain}-strange")

    def trusted(self, domain: str) -> Leaf:
        """Return a certificate for a domain from the authority that all trust."""
        return self.internet.certificate(domain)

    async def secured(self, domain: str, leaf: Leaf | None = None, **options: Any) -> HostilePeer:
        """Return a stream inside TLS whose features have come; without `leaf` no certificate is shown."""
        peer = await HostilePeer.dial(self.port, **options)
        await peer.greet(domain, OURS)
        await peer.secure(leaf)
        await peer.greet(domain, OURS)
        return peer

    async def proven(self, domain: str, leaf: Leaf | None = None) -> HostilePeer:
        """Return a stream that has proven its domain by a certificate that is right."""
        peer = await self.secured(domain, leaf or self.trusted(domain))
        assert b"<success" in await peer.log_in()
        await peer.greet(domain, OURS)
        return peer

    async def honest_word(self, patience_s: float = HONEST_PATIENCE_S) -> None:
        """Have the honest server bring a message to our account, and an answer back, in time."""
        there, back = f"honest{next(self._numbers)}", f"answer{next(self._numbers)}"
        self.juliet.client.send(message(JULIET, ROMEO, there))
        await self.romeo.take(there, patience_s)
        self.romeo.client.send(message(ROMEO, JULIET, back))
        await self.juliet.take(back, patience_s)

    async def nothing_heard(self) -> None:
        """Claim that the account has heard nothing but what is honest."""
        await self.honest_word()
        await self.romeo.settle()
        heard = self.romeo.heard()
        self.romeo.inbox.stanzas.clear()  # one attack that gets through fails one test
        assert heard == []


@asynccontextmanager
async def unbroken(settings: Mapping[str, Any], growth_bytes: int) -> AsyncIterator[Stage]:
    """Start it, as `staged`; claim at the end that nothing broke the attacked server, nor made it grow by so much."""
    async with staged(settings, free_ports(1)[0]) as made:
        before = memory_bytes(made.ours.pid)
        yield made
        grown = memory_bytes(made.ours.pid) - before
        log = made.ours.log_text()
        assert not [line for line in log.splitlines() if "_broke" in line or "Traceback" in line]
        assert grown < growth_bytes, f"{grown / 1024 / 1024:.1f} MiB more"


@asynccontextmanager
async def staged(settings: Mapping[str, Any], free_port: int) -> AsyncIterator[Stage]:
    """Start it, with settings of the attacked server."""
    folder = Path(tempfile.mkdtemp(prefix="xmppd-hostile-"))
    async with name_server() as names:
        internet = LiveInternet(folder, LiveZone(names))
        direct = {"s2s.direct_tls": [f"127.0.0.1:{free_port}"]}
        ours = OurServer(cast(Any, internet), [OURS], {**settings, **direct})
        honest = OurServer(cast(Any, internet), [HONEST, LATER])
        stage = Stage(internet, ours, honest, free_port)
        try:
            await asyncio.gather(*(asyncio.to_thread(_start, server) for server in (ours, honest)))
            await stage.romeo.enter(ours.c2s_port)
            await stage.juliet.enter(honest.c2s_port)
            await stage.later.enter(honest.c2s_port)
            await stage.honest_word(15)
            yield stage
        finally:
            for ear in (stage.romeo, stage.juliet, stage.later):
                ear.client.cut()
            for server in (ours, honest):
                server.kill9()
            shutil.rmtree(folder, ignore_errors=True)


def _start(server: OurServer) -> None:
    server.add_accounts("romeo", "juliet")
    server.start()
