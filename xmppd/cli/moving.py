"""`xmppd account export`, `import`, `erase`: people's data out of the server, into it, and away."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from codec.document import DocumentError
from codec.jid import JID
from xmppd import accounts
from xmppd.cli.account import JIDArgument, local_account
from xmppd.cli.errors import CommandError
from xmppd.cli.options import ConfigOption, SetOption, make_data_folder, settings
from xmppd.config import Config
from xmppd.control import NotRunning, ask
from xmppd.errors import StanzaError
from xmppd.hooks import (
    account_deleted,
    account_exported,
    account_imported,
    card_given,
    card_kept,
    private_given,
    private_kept,
)
from xmppd.host import Host
from xmppd.loader import LoadError
from xmppd.offline import loaded_hosts
from xmppd.pie_export import FOOT, HEAD, export_account, export_host
from xmppd.pie_import import PieImport, Summary

T = TypeVar("T")

EXPORTING = (account_exported, card_given, private_given)
IMPORTING = (account_imported, card_kept, private_kept)
SHOWN_PROBLEMS = 50
ERASE_PATIENCE_S = 600.0
"""How long a running server may take to erase an account; a history of millions of messages takes minutes."""

FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="The file; - for standard output.")]
FilesArgument = Annotated[
    list[Path], typer.Argument(metavar="FILE…", help="Files of XEP-0227, or folders of them: every *.xml in there.")
]
WhatArgument = Annotated[
    str | None, typer.Argument(metavar="[JID]", help="The account, as romeo@example.org; none with --domain.")
]
DomainOption = Annotated[str | None, typer.Option("--domain", metavar="D", help="All accounts of this virtual host.")]
AllOption = Annotated[
    bool, typer.Option("--everything", help="Add what XEP-0227 does not know: for a person who asks what is kept.")
]
EjabberdOption = Annotated[bool, typer.Option("--for-ejabberd", help="Write passwords' keys in the way that it reads.")]
ByAccountOption = Annotated[
    bool,
    typer.Option("--by-account", help="FILE is a folder, which gets JID.xml for each account, as Prosody reads them."),
]
MergeOption = Annotated[bool, typer.Option("--merge", help="Add to accounts that exist; they keep their passwords.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def export(
    what: Annotated[
        list[str], typer.Argument(metavar="[JID] FILE", help="The account and the file; the file alone with --domain.")
    ],
    domain: DomainOption = None,
    everything: AllOption = False,
    for_ejabberd: EjabberdOption = False,
    by_account: ByAccountOption = False,
    config: ConfigOption = None,
    sets: SetOption = None,
) -> None:
    """Write accounts into a file (XEP-0227), also while a server runs. The file holds keys of passwords: guard it."""
    loaded = settings(config, sets)
    if len(what) != (1 if domain else 2):
        raise CommandError("say JID FILE, or --domain D FILE")
    if domain is not None and domain not in loaded.server.domains:
        raise CommandError(f"{domain} is not in server.domains ({', '.join(loaded.server.domains)})")
    if everything and domain:
        raise CommandError("--everything is for one account, who gets it")
    path = Path(what[-1])

    async def work(hosts: dict[str, Host]) -> int:
        if domain is not None and by_account:
            _make_folder(path)
            return await _export_folder(hosts[domain], path, for_ejabberd)
        with _Output(path) as output:
            output.write(HEAD)
            if domain is not None:
                count = await export_host(hosts[domain], output.write, for_ejabberd=for_ejabberd)
            else:
                jid = local_account(what[0], loaded)
                count = await export_account(
                    hosts[jid.domainpart], jid, output.write, for_ejabberd=for_ejabberd, with_all=everything
                )
                if not count:
                    raise CommandError(f"there is no account {jid}")
            output.write(FOOT)
        return int(count)

    count = _run(loaded, EXPORTING, work)
    if str(path) != "-":
        typer.echo(f"{count:,} {'account' if count == 1 else 'accounts'} in {path}")


def import_(
    files: FilesArgument, merge: MergeOption = False, config: ConfigOption = None, sets: SetOption = None
) -> int:
    """Read accounts from files (XEP-0227), also while a server runs: exit code 1 when something was left out."""
    loaded = settings(config, sets)
    make_data_folder(loaded)
    found = [one for path in files for one in (sorted(path.glob("*.xml")) if path.is_dir() else [path])]

    async def work(hosts: dict[str, Host]) -> Summary:
        reading = PieImport(hosts, may_merge=merge)
        for path in found:
            await reading.run(path)
        return reading.summary

    try:
        summary = _run(loaded, IMPORTING, work)
    except DocumentError as error:
        raise CommandError(f"{error}; accounts before that place are imported") from None
    for line in summary.problems[:SHOWN_PROBLEMS]:
        print(f"xmppd: {line}", file=sys.stderr)
    if summary.problem_count > SHOWN_PROBLEMS:
        print(f"xmppd: and {summary.problem_count - SHOWN_PROBLEMS:,} more", file=sys.stderr)
    typer.echo(f"{summary.accounts:,} accounts, {summary.elements:,} parts of them")
    return 1 if summary.problem_count else 0


def erase(jid: JIDArgument, yes: YesOption = False, config: ConfigOption = None, sets: SetOption = None) -> None:
    """Erase an account and all that is kept of it, everywhere; others keep what they were sent."""
    loaded = settings(config, sets)
    account = local_account(jid, loaded)
    if not yes:
        typer.confirm(f"Erase {account} and all that is kept of it, for good?", abort=True)
    try:
        ask(loaded.control_path, "erase_account", timeout_s=ERASE_PATIENCE_S, jid=str(account))
    except NotRunning:
        _run(loaded, (account_deleted,), lambda hosts: _erase(hosts[account.domainpart], account))
    typer.echo(f"erased {account}")


async def _erase(host: Host, jid: JID) -> None:
    try:
        await accounts.erase(host, jid)
    except StanzaError as error:
        raise CommandError(error.text or f"there is no account {jid}") from None


async def _export_folder(host: Host, folder: Path, for_ejabberd: bool) -> int:
    """Write each account of a host into a file of its own."""
    count, after = 0, ""
    while page := await host.account_store.list(str(host.domain), after):
        for jid in page:
            with _Output(folder / f"{jid.replace('/', '%2f')}.xml") as output:
                output.write(HEAD)
                count += await export_account(host, JID.parse(jid), output.write, for_ejabberd=for_ejabberd)
                output.write(FOOT)
        after = page[-1]
    return count


def _make_folder(folder: Path) -> None:
    """Make a folder for its owner alone, unless it is there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


class _Output:
    """A file that only its owner reads, there under its name when it is whole; or standard output."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".part")
        if str(path) == "-":
            self._file = sys.stdout.buffer
        else:
            with contextlib.suppress(FileNotFoundError):
                self._part.unlink()
            self._file = os.fdopen(os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self.write = self._file.write

    def __enter__(self) -> "_Output":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._file.flush()
        if str(self._path) == "-":
            return
        self._file.close()
        if kind is None:
            self._part.replace(self._path)
        else:
            self._part.unlink()


def _run(config: Config, hooks: tuple[object, ...], work: Callable[[dict[str, Host]], Awaitable[T]]) -> T:
    async def run() -> T:
        async with loaded_hosts(config, hooks) as hosts:  # type: ignore[arg-type]
            return await work(hosts)

    try:
        return asyncio.run(run())
    except LoadError as error:
        raise CommandError(str(error)) from None
    except StanzaError as error:
        raise CommandError(f"a module failed ({error}); nothing was written") from None
    except OSError as error:
        raise CommandError(f"{error.filename or 'the file'}: {error.strerror}") from None
