"""XEP-0484: Fast Authentication Streamlining Tokens (FAST).

A client that has logged in by XEP-0388 gets a token; with it the next login is one message and one answer (`xmppd.sasl.ht`). Tokens
belong to one installation of a client, named by the id of its <user-agent/>, and to one mechanism. Each installation has two places:

    asked for, or due --> new --(first use)--> current --(the next one is used)--> gone

Kept is the token itself, for both sides compute with it; with it a note of the account's keys, so that another password, by whatever
way it came, makes all tokens worthless. Python's ssl has no early data, so none is offered; a client that counts all the same is held to
its count. Two gateways that share their storage may each take the same count once.
"""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime

from codec.element import Element
from codec.jid import JID
from codec.values import format_datetime
from storage.interface import AccountRecord, MapStore, StorageError
from xmppd.errors import SaslError
from xmppd.hooks import (
    AccountEvent,
    AuthenticatedEvent,
    InlineEvent,
    MechanismEvent,
    Phase,
    account_deleted,
    sasl2_authenticated,
    sasl2_inline,
    sasl2_mechanism,
)
from xmppd.host import Host
from xmppd.module import Module, on
from xmppd.resource import StreamLike
from xmppd.sasl.ht import ENDP, NONE, HashedToken
from xmppd.sasl.keys import fits_note, note_of

NS = "urn:xmpp:fast:0"
FAST = f"{NS} fast"
REQUEST = f"{NS} request-token"
TRUE = ("true", "1")

LIFETIME_S = 30 * 86_400
"""A device that is off for longer asks its user for the password again."""

ROTATE_AFTER_S = 86_400
"""A token this old is replaced when it is used."""

MAX_CLIENTS = 50
"""Installations of one account that have tokens, some 500 bytes each; one more, and the one whose token ends first loses it."""

MAX_COUNT = 2**31


@dataclass(frozen=True, slots=True)
class Token:
    """A token. `until_s`: seconds since 1970; `count`: the highest count it was used with; `keys`: see `sasl.keys.note_of`."""

    text: str
    mechanism: str
    until_s: int
    keys: str
    count: int = -1


@dataclass(frozen=True, slots=True)
class Tokens:
    """What one installation has."""

    current: Token | None = None
    new: Token | None = None

    def to_bytes(self) -> bytes:
        """Return what is kept."""
        return json.dumps(dataclasses.asdict(self), separators=(",", ":")).encode()

    @classmethod
    def from_bytes(cls, data: bytes | None) -> "Tokens":
        """Return what was kept; nothing is none."""
        kept = {} if data is None else json.loads(data)
        return cls(**{name: Token(**token) for name, token in kept.items() if token is not None})

    @property
    def until_s(self) -> int:
        """When the last of them ends."""
        return max((token.until_s for token in (self.current, self.new) if token is not None), default=0)


class Turns:
    """Lets those that work on the same key do so one after another."""

    __slots__ = ("_locks",)

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @contextlib.asynccontextmanager
    async def of(self, key: str) -> AsyncIterator[None]:
        """Wait for one's turn, and have it within the context."""
        lock, users = self._locks.get(key, (asyncio.Lock(), 0))
        self._locks[key] = lock, users + 1
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks.pop(key)
            if users > 1:
                self._locks[key] = lock, users - 1


class FastModule(Module, xep=484, stores={"tokens": MapStore}):
    """Give out tokens, and let clients log in by them."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._turns = Turns()

    @on(sasl2_inline)
    def offer(self, event: InlineEvent) -> None:
        """Offer it (§3.1): the mechanisms stand nowhere else."""
        names = tuple(Element(f"{NS} mechanism", {}, (name,)) for name in _bindings(event.stream))
        event.features.append(Element(FAST, {}, names))

    # logging in

    @on(sasl2_mechanism)
    def build(self, event: MechanismEvent) -> None:
        """Make the attempt of a client that has a token (§3.4)."""
        binding = _bindings(event.stream).get(event.name)
        if binding is None:
            return
        fast = event.request.find(FAST)
        id_, name = event.agent.id, event.name

        async def find(localpart: str, is_it: Callable[[str], bool]) -> str:
            if fast is None or not id_:
                raise SaslError("malformed-request", "A token needs <fast/> and the id of a <user-agent/>.")
            try:
                return await self._use(JID.of(localpart, self.host.domain), id_, name, fast, is_it)
            except StorageError:
                self.host.log.exception("token_not_read")
                raise SaslError("temporary-auth-failure") from None

        event.mechanism = HashedToken(name, binding, find)

    async def _use(self, jid: JID, id_: str, mechanism: str, fast: Element, is_it: Callable[[str], bool]) -> str:
        """Return the token that the client has shown to know, and note that it was used (§3.4, §5.1).

        Raises:
            SaslError: not-authorized; credentials-expired: it was right, once.
        """
        count = _count(fast)
        async with self._turns.of(jid):
            kept = Tokens.from_bytes(await self.stores["tokens"].get(jid, id_))
            record = await self.host.account_store.get(jid)
            found = [
                token for token in (kept.new, kept.current) if is_it("" if token is None else token.text) and token
            ]
            if not found or record is None or record.disabled:
                raise SaslError("not-authorized")
            token = found[0]
            if token.mechanism != mechanism or (count is not None and count <= token.count):
                raise SaslError("not-authorized")
            if not fits_note(token.keys, record) or token.until_s <= self._now_s():
                raise SaslError("credentials-expired")
            after = self._after_use(kept, token, count)
            if fast.get("invalidate") in TRUE:
                await self.stores["tokens"].update(jid, {}, (id_,))
            elif after != kept:
                await self.stores["tokens"].update(jid, {id_: after.to_bytes()})
        return token.text

    def _after_use(self, kept: Tokens, token: Token, count: int | None) -> Tokens:
        """Return what an installation has once a token was used: those older than it are gone (§3.5)."""
        used = token if count is None else dataclasses.replace(token, count=count)
        return Tokens(used, None if token is kept.new else kept.new)

    # giving out

    @on(sasl2_authenticated, phase=Phase.CHECK)
    async def give(self, event: AuthenticatedEvent) -> AuthenticatedEvent:
        """Give a token to who asks for one, and to whose own is due (§3.3, §3.5); a login does not fail for want of it."""
        try:
            mechanism = await self._wanted(event)
            if mechanism:
                event.answers.append(await self._issue(event, mechanism))
        except StorageError as error:
            self.host.log.warning("token_not_kept", jid=str(event.jid), reason=str(error))
        return event

    async def _wanted(self, event: AuthenticatedEvent) -> str:
        """Return the mechanism that a token is to be given for, "" for none."""
        names = _bindings(event.stream)
        if not event.agent.id:
            return ""
        request, fast = event.request.find(REQUEST), event.request.find(FAST)
        if request is not None:
            wanted = request.get("mechanism") or ""
            return wanted if wanted in names else ""
        if event.mechanism not in names or fast is None or fast.get("invalidate") in TRUE:
            return ""
        return event.mechanism if await self._is_due(event) else ""

    async def _is_due(self, event: AuthenticatedEvent) -> bool:
        kept = Tokens.from_bytes(await self.stores["tokens"].get(event.jid, event.agent.id))
        return kept.current is not None and kept.current.until_s - self._now_s() <= LIFETIME_S - ROTATE_AFTER_S

    async def _issue(self, event: AuthenticatedEvent, mechanism: str) -> Element:
        """Make a token; what the installation has goes on until that one is used, except one that it never used."""
        until_s = self._now_s() + LIFETIME_S
        text = self.host.ids.token() + self.host.ids.token()  # 192 bits
        async with self._turns.of(event.jid):
            record = await self.host.account_store.get(event.jid)
            if record is None:
                raise StorageError("the account is no more")
            keys = note_of(record)
            everybody = {
                id_: Tokens.from_bytes(data) for id_, data in (await self.stores["tokens"].items(event.jid)).items()
            }
            mine = everybody.pop(event.agent.id, Tokens())
            mine = Tokens(mine.current, Token(text, mechanism, until_s, keys))
            await self.stores["tokens"].update(
                event.jid, {event.agent.id: mine.to_bytes()}, self._too_many(everybody, record)
            )
        expiry = format_datetime(datetime.fromtimestamp(until_s, UTC))
        return Element(f"{NS} token", {"token": text, "expiry": expiry})

    def _too_many(self, others: dict[str, Tokens], record: AccountRecord) -> list[str]:
        """Return which other installations lose their tokens, so that there is room for one: those whose tokens are worth nothing, then the oldest."""
        now_s = self._now_s()
        oldest_first = sorted(others, key=lambda id_: others[id_].until_s)
        room = MAX_CLIENTS - 1
        lost = [
            id_
            for id_ in oldest_first
            if others[id_].until_s <= now_s
            or not any(
                token is not None and fits_note(token.keys, record) for token in (others[id_].current, others[id_].new)
            )
        ]
        left = [id_ for id_ in oldest_first if id_ not in lost]
        return lost + left[: max(0, len(left) - room)]

    # ending them

    async def lifetimes(self, jid: JID) -> dict[str, int]:
        """Return, by the installation's id, until when (seconds since 1970) it can log in to an account with a token."""
        record = await self.host.account_store.get(jid)
        if record is None:
            return {}
        found = {id_: Tokens.from_bytes(data) for id_, data in (await self.stores["tokens"].items(jid)).items()}
        now_s = self._now_s()
        return {
            id_: tokens.until_s
            for id_, tokens in found.items()
            if tokens.until_s > now_s
            and any(token is not None and fits_note(token.keys, record) for token in (tokens.current, tokens.new))
        }

    async def revoke(self, jid: JID, ids: Collection[str]) -> None:
        """Take the tokens of installations of an account; durable on return.

        Raises:
            StorageError: they may still be good.
        """
        async with self._turns.of(jid):
            await self.stores["tokens"].update(jid, {}, ids)

    @on(account_deleted)
    async def forget(self, event: AccountEvent) -> None:
        """The tokens go with their account."""
        await self.stores["tokens"].clear(event.jid)

    def _now_s(self) -> int:
        return self.host.clock.now_us() // 1_000_000


def _bindings(stream: StreamLike) -> dict[str, bytes]:
    """Return the mechanisms that a stream has, each with its channel binding's data."""
    end_point_hash = stream.login.offer.end_point_hash
    return {NONE: b""} if end_point_hash is None else {ENDP: end_point_hash, NONE: b""}


def _count(fast: Element) -> int | None:
    """Return what the client counts, None when it does not.

    Raises:
        SaslError: malformed-request.
    """
    text = fast.get("count")
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 10 or int(text) >= MAX_COUNT:
        raise SaslError("malformed-request", "The count is no number.")
    return int(text)
