"""Adding and removing registrations, with the limits that keep an account from becoming a weapon or a burden."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from codec.jid import JID
from codec.stanza import IQ
from push.gateway import BadToken, Kind
from push.rates import Rate
from storage.interface import StorageFull
from xmppd.errors import StanzaError
from xmppd.resource import Account, Resource
from xmppd.waking.registrar import Registrar, Wakings
from xmppd.waking.registrations import Registration, Settings

MAX_REMEMBERED = 10_000
"""Accounts whose rate of registering is remembered."""
MAX_NAME_CHARS = 100


class Registering:
    """What clients do with their registrations."""

    def __init__(self, host: Any, registrar: Registrar, agent_of: Callable[[Resource], str]) -> None:
        """`agent_of`: returns the id of a client's installation, "" when not known."""
        self._host, self._registrar, self._agent_of = host, registrar, agent_of
        self._per_hour: int = host.config.push.registrations_per_hour
        self._rates: OrderedDict[str, Rate] = OrderedDict()

    async def account(self, jid: JID) -> Account:
        """Return an account with its registrations."""
        account: Account | None = await self._host.load_account(jid)
        if account is None:
            raise StanzaError("item-not-found")
        return account

    async def add(self, iq: IQ, registration: Registration) -> str:
        """Keep what a client registers, bound to its resource and its installation; return its key. It is durable on return.

        Raises:
            StanzaError: service-unavailable: there is no push; not-acceptable: the token can be none; resource-constraint: too
                many, or too often; the text says which.
        """
        assert iq.from_ is not None
        return await self.add_for(iq.from_, registration)

    async def add_for(self, client: JID, registration: Registration) -> str:
        """Do what `add` does for the client of a full JID."""
        push = self._host.shared.push
        if push is None:
            raise StanzaError("service-unavailable", text="This server wakes nobody.")
        account = await self.account(client.bare)
        registration = self._bound(account, client, registration)
        self._check(registration.device(account.jid))
        if registration.call_token:
            self._check(registration.device(account.jid, Kind.CALL))
        known = account.part(Wakings).registrations
        gone = [one for one in known.values() if one.is_same(registration)]
        self._check_room(account, len(known) - len(gone), is_new=not gone)
        registration = replace(registration, key=gone[0].key if gone else self._host.ids.token())
        rest = [one.key for one in gone[1:]]
        known[registration.key] = registration
        for key in rest:
            known.pop(key, None)
        try:
            await self._registrar.put(account.jid, registration, rest)
        except StorageFull as error:
            raise StanzaError("resource-constraint", text="The server has no room to keep this now.") from error
        self._host.log.info("push_registered", device=f"{account.jid}/{registration.key}", gateway=registration.gateway)
        return registration.key

    def _bound(self, account: Account, client: JID, registration: Registration) -> Registration:
        agent = next((self._agent_of(one) for one in account.resources.values() if one.jid == client), "")
        return replace(
            registration,
            resource=client.resourcepart,
            agent=agent,
            name=registration.name[:MAX_NAME_CHARS],
            registered_at_us=self._host.clock.now_us(),
        )

    def _check(self, device: Any) -> None:
        try:
            self._host.shared.push.check(device)
        except BadToken as error:
            raise StanzaError("not-acceptable", text=str(error)) from error

    def _check_room(self, account: Account, count: int, is_new: bool) -> None:
        most = self._host.config.push.max_devices
        if count >= most:
            raise StanzaError(
                "resource-constraint", "cancel", text=f"An account has at most {most} devices; remove one first."
            )
        rate = self._rates.setdefault(account.jid, Rate(self._per_hour / 3600, self._per_hour))
        if len(self._rates) > MAX_REMEMBERED:
            self._rates.popitem(last=False)
        if is_new and not rate.take(self._host.clock.monotonic()):
            raise StanzaError("resource-constraint", text="Too many new devices within an hour; try again later.")

    async def remove(self, account: Account, keys: Iterable[str]) -> int:
        """Remove registrations and return how many there were; it is durable on return."""
        known = account.part(Wakings).registrations
        gone = [key for key in keys if known.pop(key, None) is not None]
        if gone:
            await self._registrar.remove(account.jid, gone, is_last=not known)
            self._host.log.info("push_removed", account=account.jid, devices=len(gone))
        return len(gone)

    async def keep_settings(self, account: Account, settings: Settings) -> None:
        """Give an account other settings; they are durable on return."""
        wakings = account.part(Wakings)
        if settings != wakings.settings:
            wakings.settings = settings
            await self._registrar.keep_settings(account.jid, settings)
