"""`xmppd account`: add, del, list, passwd. They write to the storage themselves, and tell the server when it runs."""

import contextlib
import getpass
import sys
import time
from typing import Annotated, TypeVar

import typer

from codec.jid import JID, InvalidJID
from storage.interface import AccountRecord, AlreadyExists, Backend
from xmppd.cli.errors import CommandError
from xmppd.cli.opened import with_storage
from xmppd.cli.options import ConfigOption, SetOption, settings
from xmppd.config import Config
from xmppd.control import NotRunning, ask
from xmppd.sasl.keys import InvalidPassword, make_keys
from xmppd.uploads.opening import remove_files
from xmppd.uploads.store import MediaError

T = TypeVar("T")

LIST_PAGE = 1000

JIDArgument = Annotated[str, typer.Argument(metavar="JID", help="The account, as romeo@example.org.")]
DomainArgument = Annotated[str | None, typer.Argument(metavar="DOMAIN", help="Of this virtual host alone.")]
PasswordOption = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")
]


def add(
    jid: JIDArgument, config: ConfigOption = None, sets: SetOption = None, password_stdin: PasswordOption = False
) -> None:
    """Add an account."""
    loaded = settings(config, sets)
    account = local_account(jid, loaded)
    record = _record(account, _password(password_stdin), loaded)

    async def create(backend: Backend) -> None:
        await backend.accounts.create(record)

    try:
        with_storage(loaded, create)
    except AlreadyExists:
        raise CommandError(f"{account} exists already") from None
    typer.echo(f"added {account}")


def delete(jid: JIDArgument, config: ConfigOption = None, sets: SetOption = None) -> None:
    """Delete an account and all that is kept for it; its sessions end."""
    loaded = settings(config, sets)
    account = local_account(jid, loaded)

    async def remove(backend: Backend) -> None:
        if await backend.accounts.get(account) is None:
            raise CommandError(f"there is no account {account}")
        await backend.accounts.delete(account)
        # The sessions go before the data: a session would write some of it again.
        _tell_server(loaded, account)
        await _remove_files(loaded, backend, account)
        await backend.erase(account)

    with_storage(loaded, remove)
    typer.echo(f"deleted {account}")


def passwd(
    jid: JIDArgument, config: ConfigOption = None, sets: SetOption = None, password_stdin: PasswordOption = False
) -> None:
    """Give an account another password; its sessions end."""
    loaded = settings(config, sets)
    account = local_account(jid, loaded)

    async def replace(backend: Backend) -> None:
        old = await backend.accounts.get(account)
        if old is None:
            raise CommandError(f"there is no account {account}")
        new = _record(account, _password(password_stdin), loaded)
        await backend.accounts.replace(
            AccountRecord(jid=old.jid, keys=new.keys, created_at_us=old.created_at_us, disabled=old.disabled)
        )

    with_storage(loaded, replace)
    _tell_server(loaded, account)
    typer.echo(f"changed the password of {account}")


def list_(domain: DomainArgument = None, config: ConfigOption = None, sets: SetOption = None) -> None:
    """List the accounts, one a line."""
    loaded = settings(config, sets)
    if domain is not None and domain not in loaded.server.domains:
        raise CommandError(f"{domain} is not in server.domains ({', '.join(loaded.server.domains)})")

    async def show(backend: Backend) -> None:
        for one in [domain] if domain else loaded.server.domains:
            after = ""
            while page := await backend.accounts.list(one, after, LIST_PAGE):
                typer.echo("\n".join(page))
                after = page[-1]

    with_storage(loaded, show)


def local_account(text: str, config: Config) -> JID:
    """Return the bare JID of an account that this server may have."""
    try:
        jid = JID.parse(text)
    except InvalidJID as error:
        raise CommandError(f"{text} is no address of an account: {error}") from None
    if not jid.localpart or jid.resourcepart:
        raise CommandError(f"{text} is no address of an account; write it as romeo@{config.server.domains[0]}")
    if jid.domainpart not in config.server.domains:
        raise CommandError(f"{jid.domainpart} is not in server.domains ({', '.join(config.server.domains)})")
    return jid


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise CommandError("the two passwords differ; nothing was changed")
    return password


def _record(account: JID, password: str, config: Config) -> AccountRecord:
    try:
        keys = make_keys(password, config.scram.iterations)
    except InvalidPassword as error:
        raise CommandError(str(error)) from None
    return AccountRecord(jid=str(account), keys=keys, created_at_us=time.time_ns() // 1000)


async def _remove_files(config: Config, backend: Backend, account: JID) -> None:
    """Remove what an account has uploaded, which a running server has done already."""
    try:
        await remove_files(config, backend, account)
    except MediaError as error:
        typer.echo(f"its files are still there, until they expire: {error}", err=True)


def _tell_server(config: Config, account: JID) -> None:
    """Let a running server end the account's sessions and forget what it has in memory."""
    with contextlib.suppress(NotRunning):
        ask(config.control_path, "account_changed", jid=str(account))
