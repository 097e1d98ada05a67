"""RFC 6121 §3 and Appendix A: subscriptions to presence.

Between an account and a contact there are nine states (§A.1). Each of the four presence types moves from one to another, sent by
the account ("out") or by the contact ("in"). The table below is the whole of it:

    N  none     NO  none, request sent       NI  none, request received       NOI  none, both
    T  to       TI  to, request received     F   from                         FO   from, request sent       B  both

    !  the presence goes on: out to the contact, in to the account's clients
    +  the server answers for the account: "subscribe" with "subscribed", "unsubscribe" with "unsubscribed"
    ~  the server notes that a request, once it comes, is approved already (§3.4)
"""

from collections.abc import Coroutine
from typing import Any, NamedTuple

from codec.element import XML_LANG, parse_children
from codec.jid import JID, InvalidJID
from codec.payloads.forwarded import with_namespace
from codec.stanza import Presence
from storage.interface import StorageFull
from xmppd.errors import StanzaError
from xmppd.hooks import (
    PIE,
    AccountEvent,
    ExportEvent,
    ImportEvent,
    PresenceChangedEvent,
    PresenceEvent,
    account_deleted,
    account_exported,
    account_imported,
    presence_changed,
    presence_received,
    presence_sent,
)
from xmppd.host import Host
from xmppd.module import Module, on
from xmppd.modules.rfc_6121_roster import (
    FROM,
    PENDING_IN,
    PENDING_OUT,
    TO,
    Contact,
    Request,
    Roster,
    RosterModule,
)
from xmppd.resource import Account

TABLE = """
                   N    NO   NI    NOI   T    TI    F     FO    B
out subscribe      NO!  NO!  NOI!  NOI!  T!   TI!   FO!   FO!   B!
out unsubscribe    N!   N!   NI!   NI!   N!   NI!   F!    F!    F!
out subscribed     N~   NO~  F!    FO!   T~   B!    F     FO    B
out unsubscribed   N    NO   N!    NO!   T    T!    N!    NO!   T!
in subscribe       NI!  NOI! NI    NOI   TI!  TI    F+    FO+   B+
in unsubscribe     N    NO   N!+   NO!+  T    T!+   N!+   NO!+  T!+
in subscribed      N    T!   NI    TI!   T    TI    F     B!    B
in unsubscribed    N    N!   NI    NI!   N!   NI!   F     F!    F!
"""

STATES = {
    "N": 0,
    "NO": PENDING_OUT,
    "NI": PENDING_IN,
    "NOI": PENDING_OUT | PENDING_IN,
    "T": TO,
    "TI": TO | PENDING_IN,
    "F": FROM,
    "FO": FROM | PENDING_OUT,
    "B": TO | FROM,
}

Dealing = Coroutine[Any, Any, None]

TYPES = frozenset(("subscribe", "subscribed", "unsubscribe", "unsubscribed"))

MAX_REQUESTS = 1_000
"""Requests of strangers that an account keeps unanswered; above it, strangers are refused until some are answered."""
REQUESTS = ("jabber:client presence", f"{PIE} presence")
"""Requests in files; Prosody writes the second."""
MAX_REQUEST_BYTES = 4_096
"""What is kept of a request (a greeting, a nickname); a longer one is kept without its words."""


class Step(NamedTuple):
    """What becomes of a presence, and of the state."""

    state: int
    goes_on: bool
    answers: bool
    approves: bool


def steps(table: str) -> dict[tuple[str, str, int], Step]:
    """Return the table by (direction, type, state before)."""
    lines = [line.split() for line in table.strip().splitlines()]
    before = [STATES[name] for name in lines[0]]
    found = {}
    for direction, type_, *cells in lines[1:]:
        for state, cell in zip(before, cells, strict=True):
            step = Step(STATES[cell.rstrip("!+~")], "!" in cell, "+" in cell, "~" in cell)
            found[direction, type_, state] = step
    return found


class SubscriptionModule(Module, requires=(RosterModule,)):
    """Hand presence of the four types on by the table, and change the roster by it."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._steps = steps(TABLE)
        self._rosters = host.module(RosterModule)

    # sent by the account

    @on(presence_sent)
    def sent(self, event: PresenceEvent) -> PresenceEvent | Dealing:
        """Deal with the four types on their way out (§A.2)."""
        presence = event.presence
        if presence.type not in TYPES or presence.to is None:
            return event
        return self._send(presence, presence.to.bare, event.account)

    async def _send(self, presence: Presence, to: JID, account: Account) -> None:
        if to == account.jid:
            return  # everybody sees their own presence
        roster = await self._rosters.roster(account)
        contact = roster.get(to)
        step = self._steps["out", presence.type, contact.state]
        moved = _moved(contact, step)
        if step.approves:
            moved = moved._replace(approved=True, is_listed=True)
        elif presence.type == "unsubscribed":
            moved = moved._replace(approved=False)
        if moved.is_listed:
            self._rosters.check_room(roster, to)
        if moved != contact:
            await self._change(account, roster, to, moved)
        if contact.state & ~step.state & FROM:
            await self._rosters.withdraw(account, to)  # while the contact is still subscribed (§3.2.2)
        if step.goes_on:
            await self.host.send(presence.replace(from_=account.jid, to=to))
        if step.state & ~contact.state & FROM:
            await self._rosters.announce(account, to)

    async def _change(
        self, account: Account, roster: Roster, jid: JID, contact: Contact, told: Presence | None = None
    ) -> None:
        is_nobody = contact.state == 0 and not contact.is_listed
        try:
            commit = self._rosters.change(account, roster, jid, None if is_nobody else contact, told=told)
            await self._rosters.durable(account, roster, jid, commit)
        except StorageFull as error:
            raise StanzaError("resource-constraint", text="The server has no room to keep this now.") from error

    # sent by the contact

    @on(presence_received)
    def received(self, event: PresenceEvent) -> PresenceEvent | Dealing | None:
        """Deal with the four types on their way in (§A.3)."""
        presence, account = event.presence, event.account
        if presence.type not in TYPES:
            return event
        if presence.from_ is None or presence.from_.bare == account.jid or not _is_for(presence, account):
            return None
        return self._receive(presence.replace(from_=presence.from_.bare, to=account.jid), presence.from_.bare, account)

    async def _receive(self, presence: Presence, from_: JID, account: Account) -> None:
        roster = await self._rosters.roster(account)
        contact = roster.get(from_)
        step = self._steps["in", presence.type, contact.state]
        if presence.type == "subscribe":
            await self._asked(account, roster, presence, contact, step)
            return
        moved = _moved(contact, step)
        if moved != contact:
            await self._change(account, roster, from_, moved, told=presence if step.goes_on else None)
        if contact.state & ~step.state & FROM:
            await self._rosters.withdraw(account, from_)
        if step.answers:
            await self.host.send(Presence(from_, account.jid, presence.id, "unsubscribed"))

    async def _asked(self, account: Account, roster: Roster, presence: Presence, contact: Contact, step: Step) -> None:
        """Deal with a request (§3.1.3): approved already, or kept and shown to the account's clients."""
        from_ = presence.from_
        assert from_ is not None
        if step.goes_on and contact.approved:
            step = Step(contact.state | FROM, goes_on=False, answers=True, approves=False)
        if step.goes_on:
            if not contact.is_listed and len(roster.contacts) - roster.listed >= MAX_REQUESTS:
                raise StanzaError("resource-constraint")
            moved = _moved(contact, step)._replace(request=_request(presence))
            await self._change(account, roster, from_, moved)
            for resource in account.available():
                resource.send(presence)
        elif step.answers:
            if step.state != contact.state:
                await self._change(account, roster, from_, _moved(contact, step))
            await self.host.send(Presence(from_, account.jid, presence.id, "subscribed"))
            await self._rosters.announce(account, from_)

    @on(presence_changed)
    async def remind(self, event: PresenceChangedEvent) -> None:
        """Show unanswered requests to each client that becomes available (§3.1.3)."""
        resource = event.resource
        if event.was_available or resource.presence is None:
            return
        account = resource.account
        roster = await self._rosters.roster(account)
        for jid, contact in roster.contacts.items():
            if contact.state & PENDING_IN and contact.request is not None:
                resource.send(_presence(contact.request, JID.parse(jid), account.jid))

    @on(account_exported)
    async def export(self, event: ExportEvent) -> ExportEvent:
        """Write requests that wait for an answer (XEP-0227 §4.9)."""
        for jid, contact in (await self._rosters.roster(event.account)).contacts.items():
            if contact.state & PENDING_IN:
                presence = _presence(contact.request or Request(), JID.parse(jid), event.jid)
                event.write(with_namespace(presence.to_xml()))
        return event

    @on(account_imported)
    async def take(self, event: ImportEvent) -> ImportEvent:
        """Keep a request that waits for an answer."""
        element = event.element
        if element.tag not in REQUESTS or event.within or element.get("type") != "subscribe":
            return event
        event.is_taken = True
        try:
            jid = JID.parse(element.get("from") or "").bare
        except InvalidJID as error:
            raise StanzaError("bad-request", text=f"a request by nobody: {error}") from error
        presence = Presence(None, jid, element.get("id"), "subscribe", element.get(XML_LANG))
        presence = presence.adding(*element.elements())
        roster = await self._rosters.roster(event.account)
        before = roster.get(jid)
        if jid not in roster and len(roster.contacts) >= self.host.config.limits.roster_items:
            raise StanzaError("policy-violation", text="more requests than an account may have")
        if not before.state & FROM and jid != event.jid:
            contact = before._replace(state=before.state | PENDING_IN, request=_request(presence))
            roster.put(jid, contact)
            event.commits.append(self._rosters.stores["items"].update(event.jid, {jid: contact.encode()}))
        return event

    @on(account_deleted)
    async def leave(self, event: AccountEvent) -> None:
        """Tell all contacts of an account that goes away that there is nothing between them any more."""
        account = await self.host.load_account(event.jid)
        if account is None:
            return
        roster = await self._rosters.roster(account)
        contacts = list(roster.contacts.items())
        for jid, _ in contacts:
            roster.put(jid, None)  # so that answers to what follows find nothing
        self._rosters.stores["items"].clear(account.jid)
        for jid, contact in contacts:
            await self._rosters.part_from(account, JID.parse(jid), contact.state)


def _moved(contact: Contact, step: Step) -> Contact:
    """Return the contact in its new state: listed once the account had a part in it, its request gone once it is answered."""
    is_listed = contact.is_listed or bool(step.state & (TO | FROM | PENDING_OUT))
    request = contact.request if step.state & PENDING_IN else None
    return contact._replace(state=step.state, is_listed=is_listed, request=request)


def _is_for(presence: Presence, account: Account) -> bool:
    """Whether it is for the account: "subscribe" is in any case, others not when they name a resource that is not there (§8.5.3.2.2)."""
    to = presence.to
    return to is None or not to.resourcepart or presence.type == "subscribe" or to.resourcepart in account.resources


def _request(presence: Presence) -> Request:
    """Return what is kept of a request."""
    if len(presence.inner) + len(presence.scope) > MAX_REQUEST_BYTES:
        return Request(presence.id, presence.lang)
    return Request(presence.id, presence.lang, presence.inner.decode(), presence.scope.decode())


def _presence(request: Request, from_: JID, to: JID) -> Presence:
    """Return the presence that a request was."""
    inner, scope = request.inner.encode(), request.scope.encode()
    tags = tuple(child.tag for child in parse_children(inner, scope) if not isinstance(child, str))
    return Presence(to, from_, request.id, "subscribe", request.lang, inner, tags, scope)
