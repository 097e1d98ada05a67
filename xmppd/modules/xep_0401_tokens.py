"""XEP-0401: invitations as they are kept, and the tokens that stand for them.

Kept is a hash of the token: whoever reads the storage cannot use it. All invitations of a domain are one map; beside them stand
the usernames that are reserved for somebody.
"""

import asyncio
import base64
import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, replace

from codec.payload import Payload, attr
from storage.interface import MapStore

STORE = "xep_0401_invites.invites"
"""The store's name, for the command line, which writes to it while the server runs or not."""
TOKEN_CHARS = 26
"""Letters and digits of 5 bits each: 130 bits."""
MAX_TOKEN_CHARS = 100
MAX_INVITES = 10_000
"""Open invitations of a domain, some 250 bytes each."""
NAME = "@"
"""Begins the key of a reserved username; no hash begins so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preauth(Payload, tag=("urn:xmpp:pars:0", "preauth")):
    """A token that somebody shows (XEP-0379, XEP-0445)."""

    token: str = attr(required=True)


class TooManyInvites(Exception):
    """There are as many open invitations as there may be."""


@dataclass(frozen=True, slots=True)
class Invite:
    """An invitation.

    Attributes:
        until_s: when it ends, seconds since 1970. uses: how often it can be used.
        inviter: bare JID of whoever invites, "" for nobody in particular (the command line).
        registers: it lets somebody make an account. subscribes: it makes inviter and invited each other's contacts.
        username: localpart of the account that it is for, "" for any.
    """

    until_s: int
    uses: int = 1
    inviter: str = ""
    registers: bool = False
    subscribes: bool = False
    username: str = ""

    def uri(self, domain: str, token: str) -> str:
        """Return the address that invited people open (XEP-0401 §5.1, §5.4)."""
        if self.subscribes and not self.username:
            return f"xmpp:{self.inviter}?roster;preauth={token}{';ibr=y' if self.registers else ''}"
        account = f"{self.username}@{domain}" if self.username else domain
        return f"xmpp:{account}?register;preauth={token}"


def make_token(random: bytes) -> str:
    """Return a token of letters and digits made of 17 random bytes or more."""
    return base64.b32encode(hashlib.sha256(random).digest())[:TOKEN_CHARS].decode().lower()


def landing_page(prefix: str, uri: str) -> str:
    """Return the web address of an invitation (XEP-0379 §3.3), "" where there is no page."""
    return prefix + uri.removeprefix("xmpp:") if prefix else ""


class Invites:
    """The invitations of one domain."""

    def __init__(self, store: MapStore, domain: str) -> None:
        self._store = store
        self._domain = domain
        self._taken: Counter[str] = Counter()
        self._writing = asyncio.Lock()

    async def add(self, token: str, invite: Invite, now_s: int, per_inviter: int = MAX_INVITES) -> None:
        """Keep an invitation, durably; those that have ended go.

        Raises:
            TooManyInvites: see there; also when its inviter has `per_inviter` open.
            StorageError: it is not kept.
        """
        async with self._writing:
            kept = await self._store.items(self._domain)
            invites = {key: _decode(data) for key, data in kept.items() if not key.startswith(NAME)}
            open_ = {key: one for key, one in invites.items() if one.until_s > now_s}
            gone = [key for key in invites if key not in open_]
            gone += [key for key, data in kept.items() if key.startswith(NAME) and data.decode() not in open_]
            own = sum(one.inviter == invite.inviter for one in open_.values())
            if len(open_) >= MAX_INVITES or own >= per_inviter:
                raise TooManyInvites
            key = key_of(token)
            put = {key: json.dumps(asdict(invite)).encode()}
            if invite.username:
                put[NAME + invite.username] = key.encode()
            await self._store.update(self._domain, put, [old for old in gone if old not in put])

    async def find(self, token: str, now_s: int) -> tuple[str, Invite] | None:
        """Return the key and the invitation of a token that can be used, else None."""
        if not token or len(token) > MAX_TOKEN_CHARS:
            return None
        key = key_of(token)
        data = await self._store.get(self._domain, key)
        invite = None if data is None else _decode(data)
        if invite is None or invite.until_s <= now_s or invite.uses <= self._taken[key]:
            return None
        return key, invite

    async def reserved_for(self, username: str, now_s: int) -> str:
        """Return the key of the open invitation that a username is kept for, "" for none."""
        key = await self._store.get(self._domain, NAME + username)
        data = None if key is None else await self._store.get(self._domain, key.decode())
        if key is None or data is None or _decode(data).until_s <= now_s:
            return ""
        return key.decode()

    async def take(self, key: str) -> Invite | None:
        """Take one use of an invitation, None when none is left; `settle` must follow. Its end does not count any more."""
        data = await self._store.get(self._domain, key)
        invite = None if data is None else _decode(data)
        if invite is None or invite.uses <= self._taken[key]:
            return None
        self._taken[key] += 1
        return invite

    async def settle(self, key: str, *, is_used: bool) -> None:
        """Write that a use was made, or give it back."""
        async with self._writing:
            try:
                if is_used:
                    await self._write_use(key)
            finally:
                self._taken[key] -= 1
                if not self._taken[key]:
                    del self._taken[key]

    async def _write_use(self, key: str) -> None:
        data = await self._store.get(self._domain, key)
        if data is None:
            return
        invite = _decode(data)
        if invite.uses > 1:
            left = replace(invite, uses=invite.uses - 1)
            await self._store.update(self._domain, {key: json.dumps(asdict(left)).encode()})
        else:
            name = [NAME + invite.username] if invite.username else []
            await self._store.update(self._domain, {}, [key, *name])

    async def forget_inviter(self, inviter: str) -> None:
        """Remove the open invitations of an account."""
        async with self._writing:
            kept = await self._store.items(self._domain)
            gone = [key for key, data in kept.items() if not key.startswith(NAME) and _decode(data).inviter == inviter]
            if gone:
                await self._store.update(self._domain, {}, gone)


def key_of(token: str) -> str:
    """Return the hash under which an invitation is kept."""
    return hashlib.sha256(token.encode()).hexdigest()


def _decode(data: bytes) -> Invite:
    return Invite(**json.loads(data))
