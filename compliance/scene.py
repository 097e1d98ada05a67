"""What a check works with: clients by name, the server's abilities, and ways to start from known ground.

The three accounts are called romeo, juliet and mercutio whatever their JIDs are. A check never relies
on what an earlier one left behind: it says which accounts must be strangers or friends, and the scene
makes it so with connections of its own.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import NamedTuple
from xml.sax.saxutils import quoteattr

from compliance.check import NotPossible
from compliance.client import Account, Client, Target
from compliance.names import Element, find, find_all
from compliance.stream import TrafficLog

NAMES = ("romeo", "juliet", "mercutio")


@dataclass(slots=True)
class Profile:
    """What the server says it can do, asked once a run.

    Attributes:
        server, account: disco features of the domain, and of an account as its owner sees it.
        before_tls, before_login, after_login: the stream's features at these moments, as braces-form names.
        mechanisms: SASL mechanisms offered inside TLS.
        identities: category and type of the domain's identities.
        software: name and version from XEP-0092, when it tells.
    """

    server: set[str] = field(default_factory=set)
    account: set[str] = field(default_factory=set)
    before_tls: set[str] = field(default_factory=set)
    before_login: set[str] = field(default_factory=set)
    after_login: set[str] = field(default_factory=set)
    mechanisms: list[str] = field(default_factory=list)
    identities: set[tuple[str, str]] = field(default_factory=set)
    software: str = ""


class ComponentAccess(NamedTuple):
    """A domain that the server keeps for a component (XEP-0114), and how to become it."""

    host: str
    port: int
    domain: str
    secret: str


@dataclass(frozen=True, slots=True)
class World:
    """What a whole run shares: the target, the accounts, the profile, a component's access or None."""

    target: Target
    accounts: dict[str, Account]
    profile: Profile
    admin: Account | None = None
    may_register: bool = False
    component: ComponentAccess | None = None


class Scene:
    """One check's view of the world; the runner makes one for each check and ends it."""

    def __init__(self, world: World, log: TrafficLog) -> None:
        self.world, self.log = world, log
        self.target, self.domain, self.profile = world.target, world.target.domain, world.profile
        self._clients: list[Client] = []
        self._last_acts: list[Callable[[], Awaitable[object]]] = []

    # -- what can be tested

    def needs(self, *features: str) -> None:
        """End the check as not possible unless the domain or the account offers each of the features."""
        for feature in features:
            if feature not in self.profile.server and feature not in self.profile.account:
                raise NotPossible(f"the server does not offer {feature}")

    def needs_stream_feature(self, name: str) -> None:
        """End the check as not possible unless the stream's features held the element, before or after login."""
        if name not in self.profile.after_login and name not in self.profile.before_login:
            raise NotPossible(f"the stream features do not hold {name}")

    # -- who takes part

    def jid(self, name: str) -> str:
        """Return the bare JID of an account by its part's name."""
        return self.world.accounts[name].jid

    def client(self, name: str = "romeo", *, label: str = "") -> Client:
        """Return a client that is not connected yet."""
        client = Client(label or name, self.target, self._account(name), self.log)
        self._clients.append(client)
        return client

    async def login(self, name: str, *, resource: str | None = None, label: str = "") -> Client:
        """Return a client with a bound resource that has sent no presence."""
        client = self.client(name, label=label)
        await client.login(resource=resource)
        return client

    async def online(self, name: str, *, label: str = "", priority: int | None = None, show: str = "") -> Client:
        """Return a client that asked for its roster and is available; its inbox is empty."""
        client = await self.login(name, label=label)
        await client.ask("get", "<query xmlns='jabber:iq:roster'/>")
        await self.appear(client, priority=priority, show=show)
        return client

    async def appear(self, client: Client, *, priority: int | None = None, show: str = "") -> None:
        """Send available presence and wait until it has taken effect; then forget what came."""
        inner = "" if priority is None else f"<priority>{priority}</priority>"
        inner += f"<show>{show}</show>" if show else ""
        await client.send(f"<presence>{inner}</presence>")
        await client.expect("c:presence", from_=client.jid)  # RFC 6121 §4.2.2: sent to ourselves as well
        await client.roundtrip()
        client.inbox.clear()

    async def admin(self) -> Client:
        """Return a client of the administrator's account, or end the check as not possible."""
        if self.world.admin is None:
            raise NotPossible("no administrator's account was given to the run (--admin)")
        client = Client("admin", self.target, self.world.admin, self.log)
        self._clients.append(client)
        await client.login()
        return client

    def _account(self, name: str) -> Account:
        return self.world.accounts[name]

    # -- known ground

    async def strangers(self, *names: str) -> None:
        """Make the accounts know nothing of each other: no roster items, subscriptions, requests or blocks.

        What waits for them offline is fetched and forgotten.
        """
        before = len(self.log.entries)
        clients = [await self.login(name, label=f"{name}/setup") for name in names]
        for client in clients:
            await _forget_everyone(client, [other.bare for other in clients if other is not client])
        for client in clients:
            await self.appear(client)
        for client in clients:
            await client.close()
        self.log.fold(before, " and ".join(names), "made to know nobody, with nothing waiting for them")

    async def friends(self, first: str, second: str) -> None:
        """Make both accounts subscribed to each other, and each in the other's roster."""
        before = len(self.log.entries)
        await self.strangers(first, second)
        one, other = (
            await self.online(first, label=f"{first}/setup"),
            await self.online(second, label=f"{second}/setup"),
        )
        for a, b in ((one, other), (other, one)):
            await a.send(f"<presence type='subscribe' to={quoteattr(b.bare)}/>")
            await b.expect("c:presence", type="subscribe", from_=a.bare)
            await b.send(f"<presence type='subscribed' to={quoteattr(a.bare)}/>")
            await a.expect("c:presence", type="subscribed", from_=b.bare)
        await one.roundtrip()
        await other.roundtrip()
        await one.close()
        await other.close()
        self.log.fold(before, f"{first} and {second}", "made to be subscribed to each other")

    async def settle(self, sender: Client, receiver: Client) -> None:
        """Wait until all that `sender` sent has reached `receiver`, if it ever will.

        A marker goes from one full JID to the other; RFC 6120 §10.1 has stanzas between two
        entities arrive in order, so what is not there now was not delivered.
        """
        token = secrets.token_hex(6)
        await sender.send(
            f"<message to={quoteattr(receiver.jid)}><marker xmlns='urn:example:compliance:sync'>{token}</marker>"
            "<no-store xmlns='urn:xmpp:hints'/><no-copy xmlns='urn:xmpp:hints'/></message>"
        )
        await receiver.expect("c:message", where=lambda el: _marker(el) == token)

    # -- the end

    def at_the_end(self, act: Callable[[], Awaitable[object]]) -> None:
        """Have something done when the check is over, before its clients are closed, however it went."""
        self._last_acts.append(act)

    async def end(self) -> None:
        """Do what was kept for the end, and close every client."""
        for act in reversed(self._last_acts):
            await asyncio.gather(act(), return_exceptions=True)  # the check is over; what it came to is settled
        for client in self._clients:
            await asyncio.gather(client.close(), return_exceptions=True)


async def _forget_everyone(client: Client, others: list[str]) -> None:
    reply = await client.ask("get", "<query xmlns='jabber:iq:roster'/>")
    for item in find_all(reply, "roster:query/roster:item"):
        jid = quoteattr(item.get("jid", ""))
        removal = f"<query xmlns='jabber:iq:roster'><item jid={jid} subscription='remove'/></query>"
        await client.iq("set", removal)
    for other in others:
        for kind in ("unsubscribe", "unsubscribed"):
            await client.send(f"<presence type='{kind}' to={quoteattr(other)}/>")
    await client.iq("set", "<unblock xmlns='urn:xmpp:blocking'/>")


def _marker(message: Element) -> str | None:
    marker = find(message, "sync:marker")
    return None if marker is None else marker.text
