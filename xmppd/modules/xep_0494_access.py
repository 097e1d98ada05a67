"""XEP-0494: Client Access Management: the owner of an account sees which clients get in, and throws them out.

A client is an installation, known by the id of its <user-agent/> (XEP-0388), or a session of one that named none. Of the first kind we
keep what it said of itself, when and from where it came, for `c2s.client_history_days`; what tokens it has is in XEP-0484's store.

The document has a client revoked only if it never knew the password, for it could come back at once. That is little, so that the
commands of `xep_0494_commands` end sessions and tokens of any client.
"""

import base64
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace

from codec.element import Element
from codec.jid import JID
from codec.payload import Payload, attr
from codec.stanza import IQ
from storage.interface import AccountRecord, MapStore, StorageError
from xmppd.errors import StanzaError
from xmppd.hooks import (
    AccountEvent,
    AuthenticatedEvent,
    ClientsEvent,
    Phase,
    account_deleted,
    clients_ended,
    sasl2_authenticated,
)
from xmppd.host import Host
from xmppd.module import Module, Target, iq_get, iq_set, on
from xmppd.modules.xep_0050_commands import CommandsModule
from xmppd.modules.xep_0386_bind2 import Bind2Module, Installation
from xmppd.modules.xep_0484_fast import FastModule
from xmppd.modules.xep_0494_clients import NS, Client, Seen, element_of
from xmppd.modules.xep_0494_commands import add_commands
from xmppd.resource import Resource
from xmppd.sasl.keys import fits_note, note_of

RESET = Element(f"{NS} password-reset-required")

MAX_CLIENTS = 100
"""Installations of one account that are remembered, some 300 bytes each; beyond it the one that was not seen for longest is forgotten."""
DAY_S = 86_400
ID_BYTES = 12


class Question(Payload, tag=(NS, "list")):
    """The empty <list/> (§3.1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoke(Payload, tag=(NS, "revoke")):
    """The client that is to go (§3.2)."""

    id: str = attr(required=True)


class AccessModule(
    Module,
    xep=494,
    account_features=(NS,),
    requires=(Bind2Module, CommandsModule, FastModule),
    stores={"clients": MapStore},
):
    """Remember logins, list clients, and end what they have."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._tokens = host.module(FastModule)
        add_commands(host, host.module(CommandsModule), self.clients, self.end)

    # remembering

    @on(sasl2_authenticated, phase=Phase.CHECK)
    async def remember(self, event: AuthenticatedEvent) -> AuthenticatedEvent:
        """Note that an installation has logged in; a login does not fail for want of it."""
        if event.agent.id and self.host.config.c2s.client_history_days:
            try:
                await self._remember(event)
            except StorageError as error:
                self.host.log.warning("client_not_remembered", jid=str(event.jid), reason=str(error))
        return event

    async def _remember(self, event: AuthenticatedEvent) -> None:
        kept, agent = await self._kept(event.jid), event.agent
        now_s = self._now_s()
        old = kept.pop(agent.id, Seen(now_s, now_s))
        keys = old.keys
        if event.mechanism in event.stream.login.offer.names:
            record = await self.host.account_store.get(event.jid)
            keys = "" if record is None else note_of(record)
        address = event.stream.address if self.host.config.c2s.client_addresses else ""
        seen = Seen(old.first_s, now_s, agent.software or old.software, agent.device or old.device, address, keys)
        oldest_first = sorted(kept, key=lambda id_: kept[id_].last_s)
        too_old = now_s - self.host.config.c2s.client_history_days * DAY_S
        room = MAX_CLIENTS - 1
        gone = [id_ for id_ in oldest_first if kept[id_].last_s < too_old]
        gone += oldest_first[len(gone) : max(len(gone), len(kept) - room)]
        # Nobody waits for this commit: what is lost in a crash is the moment of one login.
        self.stores["clients"].update(event.jid, {agent.id: _encode(seen)}, gone)

    async def _kept(self, jid: JID) -> dict[str, Seen]:
        items: dict[str, bytes] = await self.stores["clients"].items(jid)
        return {id_: Seen(**json.loads(data)) for id_, data in items.items()}

    @on(account_deleted)
    async def forget(self, event: AccountEvent) -> None:
        """What we know goes with the account."""
        await self.stores["clients"].clear(event.jid)

    # listing

    async def clients(self, jid: JID) -> list[Client]:
        """Return the clients that have access to an account, those seen last first."""
        record = await self.host.account_store.get(jid)
        if record is None:
            return []
        kept, tokens = await self._kept(jid), await self._tokens.lifetimes(jid)
        sessions: dict[str, list[Resource]] = {}
        account = self.host.accounts.get(jid)
        for resource in () if account is None else account.resources.values():
            agent_id = resource.state(Installation).id if resource.has_state(Installation) else ""
            sessions.setdefault(agent_id, []).append(resource)
        nameless = [self._nameless(resource) for resource in sessions.pop("", ())]
        found = [
            self._client(
                jid, agent_id, kept.get(agent_id), tuple(sessions.get(agent_id, ())), record, agent_id in tokens
            )
            for agent_id in {*kept, *tokens, *sessions}
        ]
        with_access = [client for client in found if client.sessions or client.has_password or client.has_token]
        return sorted([*nameless, *with_access], key=lambda client: (-client.seen.last_s, client.id))

    def _client(
        self,
        jid: JID,
        agent_id: str,
        seen: Seen | None,
        sessions: tuple[Resource, ...],
        record: AccountRecord,
        has_token: bool,
    ) -> Client:
        now_s = self._now_s()
        seen = seen or Seen(0, 0)
        has_password = bool(seen.keys) and fits_note(seen.keys, record)
        if sessions:
            seen = replace(
                seen, first_s=seen.first_s or now_s, last_s=now_s, address=_address(sessions) or seen.address
            )
        return Client(_opaque(jid, agent_id), agent_id, seen, sessions, has_password, has_token)

    def _nameless(self, resource: Resource) -> Client:
        """Return a session that no installation is known of, as a client of its own."""
        seen = Seen(0, self._now_s(), address=_address([resource]))
        return Client(_opaque(resource.jid, ""), "", seen, (resource,), has_password=True, has_token=False)

    @iq_get(Question, to=(Target.ACCOUNT,))
    async def tell(self, iq: IQ) -> Element:
        """List the clients (§3.1)."""
        assert iq.from_ is not None
        return Element(f"{NS} clients", {}, tuple([element_of(client) for client in await self.clients(iq.from_.bare)]))

    # ending

    @iq_set(Revoke, to=(Target.ACCOUNT,))
    async def revoke(self, iq: IQ) -> None:
        """Throw a client out that can come back by its token alone (§3.2).

        Raises:
            StanzaError: item-not-found; service-unavailable: it knows the password.
        """
        request, asker = iq.payload, iq.from_
        assert isinstance(request, Revoke) and asker is not None
        client = next((client for client in await self.clients(asker.bare) if client.id == request.id), None)
        if client is None:
            raise StanzaError("item-not-found")
        if client.has_password:
            raise StanzaError("service-unavailable", text="It knows your password: change that.", app=RESET)
        await self.end(asker.bare, [client])

    async def end(self, jid: JID, clients: Iterable[Client], but: JID | None = None) -> int:
        """End the sessions of clients, take their tokens, and forget them; return how many sessions ended.

        Args:
            but: a full JID whose session goes on.
        """
        gone = list(clients)
        ids = [client.agent_id for client in gone if client.agent_id]
        await self._tokens.revoke(jid, ids)  # first: nobody comes back in between
        await self.stores["clients"].update(jid, {}, ids)
        sessions = [resource for client in gone for resource in client.sessions if resource.jid != but]
        names = tuple([resource.jid.resourcepart for resource in sessions])
        await self.host.signal_waiting(clients_ended, ClientsEvent(jid, tuple(ids), names))
        for resource in sessions:
            await self.host.shared.end_resource(resource, "not-authorized")
        self.host.log.info("clients_ended", jid=str(jid), clients=len(gone), sessions=len(sessions))
        return len(sessions)

    def _now_s(self) -> int:
        return self.host.clock.now_us() // 1_000_000


def _opaque(jid: JID, agent_id: str) -> str:
    """Return an id that stays the same and does not show the installation's own, which tokens are bound to."""
    hashed = hashlib.sha256(f"{jid}\0{agent_id}".encode()).digest()
    return base64.urlsafe_b64encode(hashed[:ID_BYTES]).decode()


def _encode(seen: Seen) -> bytes:
    return json.dumps(asdict(seen), ensure_ascii=False, separators=(",", ":")).encode()


def _address(sessions: Iterable[Resource]) -> str:
    return next((one.stream.address for one in sessions if one.stream is not None), "")
