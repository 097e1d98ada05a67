"""Accounts out of a file (XEP-0227), in steps, so that a file of any size takes little memory.

An account is made first, closed to logins and marked as unfinished; then modules take its elements one by one; then it gets its keys and
opens. One that is found unfinished, because a run before this one ended in its middle, is taken away and made anew.
"""

from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from codec.document import Closed, DocumentError, DocumentReader, Event, Opened
from codec.element import Element
from codec.jid import JID, InvalidJID
from storage.interface import AccountRecord, ScramKeys
from xmppd.errors import StanzaError
from xmppd.hooks import PIE, ImportEvent, account_imported
from xmppd.host import Host
from xmppd.pie import (
    CREDENTIALS,
    XINCLUDE,
    current,
    is_container,
    is_ejabberd_password,
    read_credentials,
    read_ejabberd_password,
)
from xmppd.pie_export import KEPT
from xmppd.resource import Account
from xmppd.sasl.keys import InvalidPassword, make_keys

CHUNK_BYTES = 65_536
MAX_INCLUDES = 3
"""How deep files may include each other: the main file, one for each host, one for each user."""
MAX_PROBLEMS = 1_000
"""Lines kept for the operator; the rest is counted."""
MAX_COMMITS = 500
"""Writes under way; what they hold is in memory."""

UNFINISHED = "unfinished_import"
"""The store that marks accounts whose import has begun and not ended."""


@dataclass(slots=True)
class Summary:
    """What became of a file."""

    accounts: int = 0
    elements: int = 0
    problems: list[str] = field(default_factory=list)
    problem_count: int = 0

    def add(self, who: str, what: str) -> None:
        """Note that something could not be kept."""
        self.problem_count += 1
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"{who}: {what}")


@dataclass(slots=True)
class _User:
    """The account whose elements are being read; `is_old`: it was there, and keeps its keys."""

    jid: JID
    host: Host
    account: Account
    is_old: bool
    is_disabled: bool = False
    keys: dict[str, ScramKeys] = field(default_factory=dict)
    commits: list[Awaitable[None]] = field(default_factory=list)


class PieImport:
    """Reads files into hosts.

    Args:
        hosts: by domain; accounts of others are passed over.
        may_merge: add to accounts that are there; False passes them over.
    """

    def __init__(self, hosts: Mapping[str, Host], *, may_merge: bool = False) -> None:
        self.summary = Summary()
        self._hosts = hosts
        self._may_merge = may_merge
        self._host: Host | None = None
        self._user: _User | None = None
        self._open: list[Element] = []

    async def run(self, path: Path) -> Summary:
        """Read one file, and those that it includes; the summary is of all files so far.

        Raises:
            DocumentError: it is no such file; accounts that were complete before stay.
            OSError: it cannot be read.
            StorageError: something could not be kept.
        """
        self._host, self._user, self._open = None, None, []
        await self._read(path, path.parent.resolve(), 0)
        return self.summary

    async def _read(self, path: Path, folder: Path, depth: int) -> None:
        reader = DocumentReader(is_container, tuple([element.tag for element in self._open]))
        found = False
        async for event in _events(path, reader):
            if isinstance(event, Opened):
                found = True
                await self._begin(event.element)
            elif isinstance(event, Closed):
                await self._end()
            elif event.element.tag == XINCLUDE and len(self._open) <= 3 and (found or depth):
                await self._include(event.element, folder, depth)
            elif found or depth:
                await self._take(event.element)
            else:
                raise DocumentError(f"{path} is no file of accounts: it begins with <{event.element.name}/>")

    async def _include(self, element: Element, folder: Path, depth: int) -> None:
        """Read another file in the place of its <include/> (§5); it must be in the main file's folder, or below."""
        href = urlsplit(element.get("href") or "")
        path = (folder / unquote(href.path)).resolve()
        if href.scheme or href.netloc or not href.path or "parse" in element.attrs or "xpointer" in element.attrs:
            raise DocumentError(f"an <include/> of {element.get('href')!r}: only files beside this one can be")
        if not path.is_relative_to(folder) or depth + 1 >= MAX_INCLUDES:
            raise DocumentError(f"an <include/> of {element.get('href')!r} leads out of {folder}, or too deep")
        await self._read(path, folder, depth + 1)

    # what is around elements

    async def _begin(self, element: Element) -> None:
        tag = current(element.tag)
        self._open.append(Element(tag, element.attrs))
        if len(self._open) == 2:
            domain = element.get("jid") or ""
            self._host = self._hosts.get(domain.lower())
            if self._host is None:
                self.summary.add(
                    domain or "a host without a name", "is not in server.domains; its accounts are left out"
                )
        elif len(self._open) == 3 and self._host is not None:
            self._user = await self._begin_user(self._host, element)

    async def _end(self) -> None:
        closed = self._open.pop()
        if closed.tag == f"{PIE} user" and self._user is not None:
            user, self._user = self._user, None
            await self._end_user(user)
        elif closed.tag == f"{PIE} host":
            self._host = None

    async def _begin_user(self, host: Host, element: Element) -> _User | None:
        name = element.get("name") or ""
        try:
            jid = JID.parse(f"{name}@{host.domain}")
        except InvalidJID as error:
            self.summary.add(f"{name!r} of {host.domain}", f"is no name of an account: {error}")
            return None
        unfinished = host.backend.keyval(UNFINISHED)
        record = await host.account_store.get(jid)
        if record is not None and await unfinished.get(jid) is not None:
            await host.backend.erase(jid)
            host.forget(jid)
            record = None
        if record is not None and not self._may_merge:
            self.summary.add(str(jid), "exists already, and was left as it is")
            return None
        if record is None:
            unfinished.set(jid, b"1")
            await host.account_store.create(AccountRecord(str(jid), {}, host.clock.now_us(), disabled=True))
        account = await host.load_account(jid)
        assert account is not None
        user = _User(jid, host, account, record is not None)
        self._take_password(user, element.get("password"))
        return user

    async def _end_user(self, user: _User) -> None:
        await _finish(user.commits)
        if not user.is_old:
            if not user.keys:
                self.summary.add(str(user.jid), "has no password: give it one with xmppd account passwd")
            record = await user.host.account_store.get(user.jid)
            assert record is not None
            user.host.account_store.replace(
                AccountRecord(record.jid, user.keys, record.created_at_us, user.is_disabled)
            )
            await user.host.backend.keyval(UNFINISHED).delete(user.jid)
        user.host.forget(user.jid)
        self.summary.accounts += 1

    # credentials

    def _take_password(self, user: _User, password: str | None) -> None:
        if not password or user.is_old:
            return
        try:
            if is_ejabberd_password(password):
                name, keys = read_ejabberd_password(password)
                user.keys[name] = keys
            else:
                user.keys |= make_keys(password, user.host.config.scram.iterations)
        except (InvalidPassword, ValueError) as error:
            self.summary.add(str(user.jid), f"its password was left out: {error}")

    def _take_credentials(self, user: _User, element: Element) -> None:
        try:
            name, keys = read_credentials(element)
        except ValueError as error:
            self.summary.add(str(user.jid), f"left out: {error}")
        else:
            user.keys.setdefault(name, keys)

    # elements

    async def _take(self, element: Element) -> None:
        user = self._user
        if user is None:
            return
        if element.tag == CREDENTIALS and len(self._open) == 3:
            self._take_credentials(user, element)
            return
        if element.tag == f"{KEPT} account":
            user.is_disabled = element.get("disabled") == "true"
            return
        event = ImportEvent(user.jid, user.account, element, tuple(self._open[3:]))
        event.commits = user.commits
        try:
            await user.host.run_filter_waiting(account_imported, event)
        except StanzaError as error:
            event.is_taken = True
            event.problems.append(f"<{element.name}/> was left out: {error.text or error.condition}")
        if not event.is_taken and element.ns != KEPT:
            event.problems.append(f"<{element.name} xmlns='{element.ns}'/> is nothing that is kept here")
        for problem in event.problems:
            self.summary.add(str(user.jid), problem)
        self.summary.elements += event.is_taken and not event.problems
        if len(user.commits) >= MAX_COMMITS:
            await _finish(user.commits)


async def _finish(commits: list[Awaitable[None]]) -> None:
    """Wait for writes, in order.

    Raises:
        StorageError: one failed.
    """
    for commit in commits:
        await commit
    commits.clear()


async def _events(path: Path, reader: DocumentReader) -> AsyncIterator[Event]:
    with path.open("rb") as file:
        while data := file.read(CHUNK_BYTES):
            for event in _named(path, reader, data):
                yield event
        for event in _named(path, reader, b"", is_last=True):
            yield event


def _named(path: Path, reader: DocumentReader, data: bytes, *, is_last: bool = False) -> list[Event]:
    try:
        return reader.feed(data, is_last=is_last)
    except DocumentError as error:
        raise DocumentError(f"{path}: {error}") from None
