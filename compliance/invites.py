"""Inviting people, for the suites of XEP-0379, XEP-0401 and XEP-0445: making invitations and redeeming them."""

from __future__ import annotations

import re
import secrets

from compliance.check import Failed, NotPossible
from compliance.client import Account, Client
from compliance.names import PREFIXES, Element, condition, find, find_all, text
from compliance.probe import register_request
from compliance.scene import Scene

INVITE, CREATE = "urn:xmpp:invite#invite", "urn:xmpp:invite#create-account"
COMMANDS = PREFIXES["commands"]


async def step(client: Client, node: str, fields: dict[str, str] | None = None, session: str = "") -> Element:
    """Run a step of a command of the domain and return the <command/>.

    Raises:
        NotPossible: the server has no such command, or not for this account.
        Failed: it was refused once it had begun.
    """
    inner = ""
    if fields is not None:
        values = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items())
        inner = f"<x xmlns='jabber:x:data' type='submit'>{values}</x>"
    shown = f" sessionid='{session}'" if session else ""
    payload = f"<command xmlns='{COMMANDS}' node='{node}'{shown}>{inner}</command>"
    reply = await client.iq("set", payload, to=client.target.domain)
    command = find(reply, "commands:command")
    if reply.get("type") == "result" and command is not None:
        return command
    if session:
        raise Failed(f"{node} was refused with {condition(reply)}")
    raise NotPossible(f"{node} was refused with {condition(reply)}")


def value(command: Element, var: str) -> str:
    """Return a field of a command's form, "" when it is not there."""
    fields = find_all(command, "data:x/data:field")
    return next((text(field, "data:value") or "" for field in fields if field.get("var") == var), "")


async def invite(client: Client) -> Element:
    """Invite somebody to be the client's contact; return the result."""
    return await step(client, INVITE)


async def create(client: Client, fields: dict[str, str]) -> Element:
    """Invite somebody to have an account; return the result."""
    asked = await step(client, CREATE)
    return await step(client, CREATE, fields, asked.get("sessionid", ""))


def token(command: Element) -> str:
    """Return the token of an invitation.

    Raises:
        Failed: there is none.
    """
    uri = value(command, "uri")
    found = re.search("[?;]preauth=([^;]+)", uri)
    if not uri.startswith("xmpp:") or found is None:
        raise Failed(f"the invitation's address is {uri!r}")
    return found[1]


async def show(client: Client, shown: str) -> Element:
    """Show a token before login and return the answer."""
    return await client.iq("set", f"<preauth xmlns='{PREFIXES['pars']}' token='{shown}'/>", to=client.target.domain)


async def stranger(scene: Scene) -> Client:
    """Return a client that has not logged in, on a stream that takes tokens."""
    client = scene.client(label="newcomer")
    await client.start()
    if client.features is None or find(client.features, "ibrtoken:register") is None:
        raise NotPossible("the server takes no tokens for registration")
    return client


async def register(scene: Scene, client: Client, name: str = "") -> Account:
    """Register on a stream that has shown a token; the account goes away at the end of the check."""
    name, password = name or f"invited-{secrets.token_hex(5)}", secrets.token_urlsafe(18)
    reply = await register_request(client, name, password)
    if reply.get("type") != "result":
        raise Failed(f"registering with a good token was refused with {condition(reply)}")
    account = Account(f"{name}@{scene.domain}", password)
    scene.at_the_end(lambda: _remove(scene, account))
    return account


async def _remove(scene: Scene, account: Account) -> None:
    client = Client("newcomer", scene.target, account, scene.log)
    await client.login()
    await client.send("<iq type='set' id='gone'><query xmlns='jabber:iq:register'><remove/></query></iq>")
    await client.expect("c:iq", id="gone")
    client.abort()
