"""`xmppd invite`: make an invitation (XEP-0401), while the server runs or not."""

import os
import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from codec.jid import JID, InvalidJID
from storage.interface import Backend
from xmppd.cli.account import DomainArgument
from xmppd.cli.errors import CommandError
from xmppd.cli.opened import with_storage
from xmppd.cli.options import ConfigOption, SetOption, settings
from xmppd.config import Config
from xmppd.modules.xep_0401_tokens import STORE, Invite, Invites, TooManyInvites, landing_page, make_token

UsernameOption = Annotated[str | None, typer.Option("--username", help="The account's name, kept for it; else any.")]
ContactOption = Annotated[
    str | None, typer.Option("--contact", metavar="JID", help="An account that becomes the new one's contact.")
]
DaysOption = Annotated[int | None, typer.Option("--days", min=1, max=365, help="How long it is good.")]
UsesOption = Annotated[int, typer.Option("--uses", min=1, max=10_000, help="How many accounts can be made by it.")]


def invite(
    domain: DomainArgument = None,
    username: UsernameOption = None,
    contact: ContactOption = None,
    days: DaysOption = None,
    uses: UsesOption = 1,
    config: ConfigOption = None,
    sets: SetOption = None,
) -> None:
    """Invite somebody to make an account; prints the address that they open."""
    loaded = settings(config, sets)
    host = domain or (loaded.server.domains[0] if contact is None else contact.partition("@")[2])
    if host not in loaded.server.domains:
        raise CommandError(f"{host} is not in server.domains ({', '.join(loaded.server.domains)})")
    until_s = int(time.time()) + (days or loaded.registration.invite_days) * 86_400
    made = Invite(
        until_s=until_s,
        uses=1 if username else uses,
        inviter=_bare(contact, host),
        registers=True,
        subscribes=contact is not None,
        username=_bare(f"{username}@{host}", host).partition("@")[0] if username else "",
    )
    token = make_token(os.urandom(32))
    with_storage(loaded, lambda backend: _keep(backend, loaded, host, token, made))
    uri = made.uri(host, token)
    typer.echo(uri)
    page = landing_page(loaded.registration.landing_page, uri)
    if page:
        typer.echo(page)
    typer.echo(f"good until {datetime.fromtimestamp(until_s, UTC):%Y-%m-%d %H:%M} UTC", err=True)


async def _keep(backend: Backend, config: Config, host: str, token: str, made: Invite) -> None:
    if made.inviter and await backend.accounts.get(made.inviter) is None:
        raise CommandError(f"there is no account {made.inviter}")
    invites, now_s = Invites(backend.map(STORE), host), int(time.time())
    if made.username:
        is_taken = await backend.accounts.get(f"{made.username}@{host}") is not None
        if is_taken or await invites.reserved_for(made.username, now_s):
            raise CommandError(f"{made.username}@{host} is taken")
    try:
        await invites.add(token, made, now_s)
    except TooManyInvites:
        raise CommandError("there are too many open invitations") from None


def _bare(text: str | None, host: str) -> str:
    """Return a bare JID of the host, "" for None."""
    if text is None:
        return ""
    try:
        jid = JID.parse(text)
    except InvalidJID as error:
        raise CommandError(f"{text} is no address of an account: {error}") from None
    if not jid.localpart or jid.resourcepart or jid.domainpart != host:
        raise CommandError(f"{text} is no account of {host}")
    return str(jid)
