"""XEP-0441: Message Archive Management Preferences.

Whose messages an account keeps: everybody's, those of its contacts, or nobody's, with exceptions both ways.
"""

import json
from dataclasses import dataclass

from codec.jid import JID
from codec.payload import Payload, PayloadError, attr, child, child_texts
from codec.stanza import IQ
from storage.interface import KeyValStore
from xmppd.errors import StanzaError
from xmppd.module import Module, Target, account_part, iq_get, iq_set
from xmppd.modules.rfc_6121_roster import Roster, RosterModule
from xmppd.resource import Account

NS = "urn:xmpp:mam:2"
MAX_EXCEPTIONS = 1_000
"""JIDs in both lists together; a person's exceptions are a handful."""


def _default(text: str) -> str:
    if text not in ("always", "never", "roster"):
        raise ValueError(f"{text!r} is none of always, never, roster")
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Always(Payload, tag=(NS, "always")):
    """JIDs whose messages are kept whatever the default."""

    jids: tuple[str, ...] = child_texts("jid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Never(Payload, tag=(NS, "never")):
    """JIDs whose messages are not kept whatever the default."""

    jids: tuple[str, ...] = child_texts("jid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefs(Payload, tag=(NS, "prefs")):
    """<prefs/> (§3); on a request to read it nothing of it counts."""

    default: str | None = attr(parse=_default)
    always: Always | None = child(Always)
    never: Never | None = child(Never)


@dataclass(frozen=True, slots=True)
class Choice:
    """What an account keeps. `roster`: its contacts, None unless `default` is "roster"."""

    default: str
    always: frozenset[str]
    never: frozenset[str]
    roster: Roster | None = None

    def keeps(self, peer: JID) -> bool:
        """Whether messages to and from this JID are kept (§4.1): an exact match first, then the bare JID, then the default."""
        if self.never or self.always:
            for jid in (peer, peer.bare):
                if jid in self.never:
                    return False
                if jid in self.always:
                    return True
        if self.default == "always":
            return True
        return self.roster is not None and peer.bare in self.roster


class ArchivePrefsModule(Module, xep=441, requires=(RosterModule,), stores={"prefs": KeyValStore}):
    """Read and write the choice; the archive asks `Choice.keeps`."""

    def __init__(self, host: object) -> None:
        super().__init__(host)  # type: ignore[arg-type]
        self._usual = Choice(self.host.config.archive.default, frozenset(), frozenset())

    @account_part(Choice)
    async def load(self, account: Account) -> Choice:
        """Load an account's choice; those who made none share one."""
        stored = await self.stores["prefs"].get(account.jid)
        if stored is None:
            return self._usual if self._usual.default != "roster" else await self._with_roster(account, self._usual)
        value = json.loads(stored)
        return await self._with_roster(
            account, Choice(value["default"], frozenset(value["always"]), frozenset(value["never"]))
        )

    async def _with_roster(self, account: Account, choice: Choice) -> Choice:
        roster = await account.load_part(Roster) if choice.default == "roster" else None
        return Choice(choice.default, choice.always, choice.never, roster)

    @iq_get(Prefs, to=(Target.ACCOUNT,))
    def read(self, iq: IQ) -> Prefs:
        """Return the choice (§3.2)."""
        account = self.host.accounts[iq.to.bare]  # type: ignore[union-attr]
        return _answer(account.part(Choice))

    @iq_set(Prefs, to=(Target.ACCOUNT,))
    async def write(self, iq: IQ) -> Prefs:
        """Take another choice (§3.3); the answer says what it is now."""
        prefs = iq.payload
        assert isinstance(prefs, Prefs)
        if prefs.default is None:
            raise StanzaError("bad-request", text="<prefs/> needs a default.")
        always, never = _jids(prefs.always), _jids(prefs.never)
        if len(always) + len(never) > MAX_EXCEPTIONS:
            raise StanzaError("policy-violation", text=f"At most {MAX_EXCEPTIONS} exceptions.")
        account = self.host.accounts[iq.to.bare]  # type: ignore[union-attr]
        value = {"default": prefs.default, "always": sorted(always), "never": sorted(never)}
        await self.stores["prefs"].set(account.jid, json.dumps(value).encode())
        choice = await self._with_roster(account, Choice(prefs.default, always, never))
        account.set_part(choice)
        return _answer(choice)


def _jids(element: Always | Never | None) -> frozenset[str]:
    try:
        return frozenset(JID.parse(text) for text in element.jids) if element is not None else frozenset()
    except ValueError as error:
        raise PayloadError(str(error)) from error


def _answer(choice: Choice) -> Prefs:
    return Prefs(
        default=choice.default,
        always=Always(jids=tuple(sorted(choice.always))),
        never=Never(jids=tuple(sorted(choice.never))),
    )
