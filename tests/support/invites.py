"""Inviting people without sockets: what tests of XEP-0401, XEP-0445 and XEP-0379 share."""

import re
from typing import Any

from codec.payloads.data_form import Form
from tests.support.world import Client, World
from xmppd.modules.xep_0050_commands import Command

MODULES = (
    *("rfc_6121_message", "rfc_6121_presence", "rfc_6121_roster", "rfc_6121_subscription", "xep_0030_disco"),
    *("xep_0050_commands", "xep_0077_register", "xep_0379_pars", "xep_0401_invites", "xep_0445_preauth"),
)
SETTINGS = {"scram.iterations": 4096, "admin.jids": ["admin@example.org"], "registration.invites_per_account": 3}
INVITE, CREATE = "urn:xmpp:invite#invite", "urn:xmpp:invite#create-account"


async def command(client: Client, node: str, session: str = "", form: Form | None = None) -> Any:
    """Run a step of a command; return it, or the error's condition."""
    shown = f" sessionid='{session}'" if session else ""
    inner = "" if form is None else form.to_xml("").decode()
    xml = f"<command xmlns='http://jabber.org/protocol/commands' node='{node}'{shown}>{inner}</command>"
    await client.send(f"<iq type='set' id='c' to='example.org'>{xml}</iq>")
    answer = await client.next_stanza()
    return answer.get(Command) if answer.type == "result" else condition(answer)


def condition(answer: Any) -> str:
    """Return an error's condition, "" for what is none."""
    error = answer.element("jabber:client error")
    return "" if error is None else str(error.elements()[0].name)


async def invited(client: Client) -> str:
    """Return the URI of a new invitation to be a contact."""
    return str((await command(client, INVITE)).form.value("uri"))


async def created(client: Client, **values: Any) -> Any:
    """Return the result form of a new invitation to have an account, or the error's condition."""
    asked = await command(client, CREATE)
    done = await command(client, CREATE, asked.sessionid, Form.submit(None, values))
    return done if isinstance(done, str) else done.form


def token_of(uri: str) -> str:
    """Return the token in an invitation."""
    found = re.search("preauth=([a-z0-9]+)", uri)
    assert found is not None, uri
    return found[1]


async def show(client: Client, token: str) -> str:
    """Show a token before login; return the error's condition, "" for none."""
    await client.send(f"<iq type='set' id='p' to='example.org'><preauth xmlns='urn:xmpp:pars:0' token='{token}'/></iq>")
    return condition(await client.next_stanza())


async def register(client: Client, username: str) -> str:
    """Register; return the error's condition, "" for none."""
    inner = f"<username>{username}</username><password>secret</password>"
    await client.send(f"<iq type='set' id='r'><query xmlns='jabber:iq:register'>{inner}</query></iq>")
    return condition(await client.next_stanza())


async def subscription(world: World, owner: str, contact: str) -> str:
    """Return what an account's roster says of a contact."""
    from codec.jid import JID
    from xmppd.modules.rfc_6121_roster import RosterModule

    account = await world.host().load_account(JID.parse(owner))
    assert account is not None
    return (await world.host().module(RosterModule).roster(account)).get(contact).subscription
