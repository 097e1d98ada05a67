"""Other servers as a whole: the component that takes what is for all domains that are not ours, and the streams that come in."""

import asyncio
import contextlib
from collections import Counter
from typing import Any

from codec.limits import BEFORE_LOGIN
from codec.stanza import Stanza
from storage.interface import Commit
from xmppd.connection import Connection, Loop
from xmppd.errors import StanzaError
from xmppd.host import Shared
from xmppd.logs import get_logger
from xmppd.router import Router
from xmppd.s2s.incoming import IncomingStream
from xmppd.s2s.keys import DialbackKeys
from xmppd.s2s.limits import DIALS, QUEUES_BYTES, ROUTES
from xmppd.s2s.peer import PeerService, PeerStream
from xmppd.s2s.policy import Policy
from xmppd.s2s.queue import OWNER_PREFIX, Budget, Queue, owner_of, pair_of
from xmppd.s2s.resolver import Resolver
from xmppd.s2s.route import Dialling, Route
from xmppd.stream_limits import reader_limits


class Federation:
    """All dealings with other servers.

    Args:
        tls: a `PeerTls`; None: there is no certificate.
        secret: of dialback keys, the same over restarts and for all servers of our domains.
        remind: see `PeerService`.
    """

    def __init__(
        self, shared: Shared, router: Router, tls: Any, secret: bytes, loop: Loop, resolver: Resolver, remind: Any
    ) -> None:
        settings = shared.config.s2s
        self._shared = shared
        self._loop = loop
        self._budget = Budget(QUEUES_BYTES)
        self._store = shared.backend.map("s2s.queue")
        self._routes: dict[tuple[str, str], Route] = {}
        self._second = 0
        self._counts: Counter[str] = Counter()
        self.policy = Policy(settings)
        self.service = PeerService(
            shared=shared,
            router=router,
            policy=self.policy,
            keys=DialbackKeys(secret),
            tls=tls,
            limits=reader_limits(shared.config.limits),
            before_login=BEFORE_LOGIN,
            uses_bidi=settings.bidi,
            idle_s=settings.idle_s,
            remind=remind,
            log=get_logger("xmppd.s2s"),
            federation=self,
        )
        self._dialling = Dialling(self.service, resolver, loop, asyncio.Semaphore(DIALS), self._drop)

    async def start(self) -> None:
        """Take up what waited when the last process ended."""
        async for owner in self._shared.backend.owners(OWNER_PREFIX):
            ours, theirs = pair_of(owner)
            if not self.is_ours(ours):
                self.service.log.warning("s2s_queue_of_other_domain", ours=ours, theirs=theirs)
                continue  # it stays stored, for when the domain is served again
            try:
                await self._route(ours, theirs).load()
            except StanzaError as error:
                self.service.log.error("s2s_queue_not_loaded", ours=ours, theirs=theirs, reason=str(error))
        self._shared.components.remote = self

    def take(self, stanza: Stanza) -> Commit | None:
        """Take a stanza for a domain that is not ours; see `Component`."""
        assert stanza.to is not None
        theirs = stanza.to.domainpart
        ours = "" if stanza.from_ is None else stanza.from_.domainpart
        if not self.is_ours(ours):
            raise StanzaError("forbidden", text="Nobody sends through this server for another domain.")
        if not self.policy.allows(theirs):
            raise StanzaError("policy-violation", text=f"This server does not talk to {theirs}.")
        return self._route(ours, theirs).put(stanza)

    def make_incoming(self, connection: Connection) -> IncomingStream:
        """Make the stream of a connection that another server has opened."""
        return IncomingStream(connection, self.service)

    # what streams ask

    def is_ours(self, domain: str) -> bool:
        """Whether a virtual host or a component of this server has that domain."""
        return domain in self._shared.hosts or self._shared.components.is_ours(domain)

    def offer(self, ours: str, theirs: str, stream: PeerStream) -> None:
        """A stream that the other server opened may carry ours too (XEP-0288)."""
        with contextlib.suppress(StanzaError):  # no room for another route: theirs are heard all the same
            self._route(ours, theirs).carry(stream)

    async def ask(self, ours: str, theirs: str, stream_id: str, key: str) -> bool:
        """Ask the server of a domain whether a key is its own; see `Route.verify`."""
        return await self._route(ours, theirs).verify(stream_id, key)

    def is_too_fast(self, domain: str, stanzas_per_s: int) -> bool:
        """Count a stanza of a domain; whether it has sent more than that in this second."""
        if self._second != self._loop.seconds:
            self._second = self._loop.seconds
            self._counts.clear()
        self._counts[domain] += 1
        return self._counts[domain] > stanzas_per_s

    # routes

    def _route(self, ours: str, theirs: str) -> Route:
        key = (ours, theirs)
        route = self._routes.get(key)
        if route is None:
            if len(self._routes) >= ROUTES:
                raise StanzaError("resource-constraint", text="This server talks to too many others now.")
            settings = self._shared.config.s2s
            queue = Queue(
                owner_of(ours, theirs), self._store, self._budget, settings.queue_stanzas, settings.queue_bytes
            )
            route = self._routes[key] = Route(ours, theirs, queue, self._dialling)
        return route

    def _drop(self, route: Route) -> None:
        key = (route.ours, route.theirs)
        if self._routes.get(key) is route:  # and no other that was made after it
            del self._routes[key]

    # life

    def tick(self) -> None:
        """Called every few seconds."""
        for route in list(self._routes.values()):
            route.tick()

    def describe(self) -> list[dict[str, Any]]:
        """Return how each route stands, for operators."""
        return [route.describe() for route in self._routes.values()]

    async def stop(self) -> None:
        """Connect no more; what waits in storage waits for the next start."""
        self._dialling.is_stopping = True
        for route in list(self._routes.values()):
            await route.close()
