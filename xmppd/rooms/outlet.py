"""How what rooms send leaves them.

Most of it goes to clients of this server that are in memory: those get it straight into their outboxes, past the hooks, which do
nothing with groupchat and with presence of rooms but ask for block lists; so does this file. Everything else goes through the router.
"""

from collections.abc import Callable, Iterable

from codec.jid import JID
from codec.stanza import Stanza
from xmppd.eager import run_eagerly
from xmppd.host import Shared
from xmppd.resource import Account, Resource
from xmppd.rooms.occupants import Session


class Outlet:
    """Sends stanzas.

    Attributes:
        blocks: whether an account of ours blocks an address; nobody blocks anybody where there is no such module.
    """

    __slots__ = ("_shared", "blocks")

    def __init__(self, shared: Shared, blocks: Callable[[Account, JID], bool] | None = None) -> None:
        self._shared = shared
        self.blocks = blocks

    def send(self, stanza: Stanza) -> None:
        """Send a stanza through the router; what it has to wait for goes on beside us."""
        waiting = self._shared.route(stanza)
        if waiting is not None:
            run_eagerly(waiting, self._shared.spawn)

    def resource(self, jid: JID) -> Resource | None:
        """Return the client of ours that has a full JID, None when it is of another server or not there."""
        host = self._shared.hosts.get(jid.domainpart)
        return None if host is None else host.resource(jid)

    def deliver(self, stanza: Stanza, session: Session) -> None:
        """Send a stanza without `to` to a client in a room."""
        self.fan_out(stanza, (session,))

    def fan_out(self, stanza: Stanza, sessions: Iterable[Session]) -> None:
        """Send one stanza without `to` to many clients in a room: its payload is written once."""
        from_, blocks = stanza.from_, self.blocks
        assert from_ is not None
        addressed = stanza.addressed()
        for session in sessions:
            resource = session.resource
            if resource is None or resource.is_ended:
                self.send(addressed(session.jid))
            elif blocks is None or not blocks(resource.account, from_):
                resource.send(addressed(session.jid))
