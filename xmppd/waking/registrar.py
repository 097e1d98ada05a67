"""Where registrations, settings, counts of unread messages and last results are kept.

Which accounts have devices at all is known from the start, so that those without one cost nothing.
"""

import json
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from push.gateway import Outcome
from storage.interface import Backend, Commit
from xmppd.waking.registrations import Attempt, Registration, Settings


@dataclass(slots=True)
class Wakings:
    """What is in memory of an account.

    Attributes:
        registrations: by key. settings: as the account has them.
        unread: bare JID of a conversation -> messages that nobody has looked at.
        counted_id: of the last message that was counted.
        watched: what some client has been sent and has not acknowledged (`watching.Watch`), None while there is nothing.
    """

    registrations: dict[str, Registration] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)
    unread: dict[str, int] = field(default_factory=dict)
    counted_id: int = 0
    watched: object = None

    @property
    def count(self) -> int:
        """All unread messages."""
        return sum(self.unread.values())


class Registrar:
    """The stores; owners are bare JIDs."""

    def __init__(self, backend: Backend) -> None:
        self._registrations = backend.map("push.registrations")
        self._settings = backend.keyval("push.settings")
        self._unread = backend.map("push.unread")
        self._results = backend.map("push.results")
        self._index = backend.map("push.index")
        self._settings_index = backend.map("push.settings_index")
        self._owners: set[str] = set()
        self._with_settings: set[str] = set()
        self._is_alone = backend.gateway_number is None

    async def open(self, domain: str) -> None:
        """Read which accounts of a domain have devices, and settings."""
        self._owners.update((await self._index.items(domain)).keys())
        self._with_settings.update((await self._settings_index.items(domain)).keys())

    def has_devices(self, owner: str) -> bool:
        """Whether an account may have a device; where other processes take registrations too, everyone may."""
        return owner in self._owners or not self._is_alone

    async def load(self, owner: str) -> Wakings:
        """Return what is kept of an account."""
        if not self.has_devices(owner):
            return Wakings(settings=await self.settings(owner))
        kept = await self._registrations.items(owner)
        unread = await self._unread.items(owner)
        return Wakings(
            {key: Registration.from_bytes(key, data) for key, data in kept.items()},
            await self.settings(owner),
            {conversation: int(data) for conversation, data in unread.items()},
        )

    async def settings(self, owner: str) -> Settings:
        """Return an account's settings."""
        if self._is_alone and owner not in self._with_settings:
            return Settings()
        data = await self._settings.get(owner)
        return Settings() if data is None else Settings.from_bytes(data)

    def keep_settings(self, owner: str, settings: Settings) -> Commit:
        """Write an account's settings."""
        if owner not in self._with_settings:
            self._with_settings.add(owner)
            self._settings_index.update(_domain(owner), {owner: b""})
        return self._settings.set(owner, settings.to_bytes())

    def put(self, owner: str, registration: Registration, gone: Collection[str]) -> Commit:
        """Write a registration, and remove those whose place it takes."""
        if owner not in self._owners:
            self._owners.add(owner)
            self._index.update(_domain(owner), {owner: b""})
        return self._registrations.update(owner, {registration.key: registration.to_bytes()}, gone)

    def remove(self, owner: str, keys: Collection[str], is_last: bool) -> Commit:
        """Remove registrations; `is_last`: none is left then."""
        if is_last:
            self._forget_owner(owner)
        self._results.update(owner, {}, keys)
        return self._registrations.update(owner, {}, keys)

    async def bury(self, owner: str, key: str, outcome: Outcome) -> bool:
        """Remove a registration that a gateway calls dead, unless it was made anew since; return whether it is gone."""
        kept = await self._registrations.items(owner)
        data = kept.get(key)
        if data is None or not outcome.kills(Registration.from_bytes(key, data).registered_at_us):
            return False
        await self.remove(owner, [key], is_last=len(kept) == 1)
        return True

    def forget(self, owner: str) -> None:
        """Remove everything of an account."""
        self._forget_owner(owner)
        for store in (self._registrations, self._unread, self._results):
            store.clear(owner)
        self._settings.delete(owner)
        if owner in self._with_settings:
            self._with_settings.discard(owner)
            self._settings_index.update(_domain(owner), {}, [owner])

    def _forget_owner(self, owner: str) -> None:
        self._owners.discard(owner)
        self._index.update(_domain(owner), {}, [owner])

    # counts and results

    def count(self, owner: str, conversation: str, number: int) -> Commit:
        """Write how many messages of a conversation are unread."""
        return self._unread.update(owner, {conversation: str(number).encode()})

    def read(self, owner: str, conversations: Iterable[str]) -> Commit:
        """Write that nothing of these is unread."""
        return self._unread.update(owner, {}, list(conversations))

    def keep_results(self, owner: str, attempts: dict[str, Attempt]) -> Commit:
        """Write the last results of some devices."""
        return self._results.update(owner, {key: attempt.to_bytes() for key, attempt in attempts.items()})

    async def results(self, owner: str) -> dict[str, Attempt]:
        """Return the last results of an account's devices, by key."""
        return {key: Attempt.from_bytes(data) for key, data in (await self._results.items(owner)).items()}


def _domain(owner: str) -> str:
    return owner.rpartition("@")[2]


def target_of(token: str) -> dict[str, str]:
    """Return what the token of an app server's device says (`Registration.device`). Raises ValueError."""
    found = json.loads(token)
    if not isinstance(found, dict) or not {"account", "jid", "node", "options"} <= found.keys():
        raise ValueError("no app server")
    return found


def split_id(device_id: str) -> tuple[str, str]:
    """Return owner and key of a device's id."""
    owner, _, key = device_id.rpartition("/")
    return owner, key


Removed = Callable[[str, str], None]
"""Called with owner and key of a registration that is gone."""
