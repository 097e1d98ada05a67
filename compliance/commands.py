"""Running ad-hoc commands (XEP-0050) with data forms (XEP-0004)."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from compliance.check import Failed
from compliance.client import Client
from compliance.names import Element, condition, find, find_all

ADMIN = "http://jabber.org/protocol/admin"
COMMANDS = "http://jabber.org/protocol/commands"


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a command stands: its session, its status and the form that came with it."""

    node: str
    session: str
    status: str
    command: Element

    @property
    def fields(self) -> dict[str, list[str]]:
        """The form's fields by name, each with its values."""
        return {
            field.get("var", ""): [value.text or "" for value in find_all(field, "data:value")]
            for field in find_all(self.command, "data:x/data:field")
        }


async def request(
    client: Client, node: str, *, action: str = "execute", session: str = "", form: dict[str, list[str]] | None = None
) -> Element:
    """Send one stage of a command to the domain and return the answer, result or error."""
    inner = "" if form is None else _form(form)
    named = f" sessionid={quoteattr(session)}" if session else ""
    command = f"<command xmlns='{COMMANDS}' node={quoteattr(node)} action='{action}'{named}>{inner}</command>"
    return await client.iq("set", command, to=client.target.domain)


async def execute(
    client: Client, node: str, *, action: str = "execute", session: str = "", form: dict[str, list[str]] | None = None
) -> Stage:
    """Send one stage of a command that must succeed, and return where it then stands."""
    reply = await request(client, node, action=action, session=session, form=form)
    command = find(reply, "commands:command")
    if reply.get("type") != "result" or command is None:
        raise Failed(f"the command {node} was refused with {condition(reply)}")
    notes = [note for note in find_all(command, "commands:note") if note.get("type") == "error"]
    if notes:
        raise Failed(f"the command {node} says: {notes[0].text}")
    return Stage(command.get("node", ""), command.get("sessionid", ""), command.get("status", ""), command)


async def fill_in(client: Client, node: str, form: dict[str, list[str]]) -> Stage:
    """Run a command of one form: ask for the form, send it filled in, and require that this completes it."""
    stage = await execute(client, node)
    if stage.status == "executing":
        stage = await execute(client, node, action="complete", session=stage.session, form=form)
    if stage.status != "completed":
        raise Failed(f"the command {node} is {stage.status} after its form was sent")
    return stage


def _form(fields: dict[str, list[str]]) -> str:
    inner = "".join(
        f"<field var={quoteattr(name)}>{''.join(f'<value>{escape(value)}</value>' for value in values)}</field>"
        for name, values in {"FORM_TYPE": [ADMIN], **fields}.items()
    )
    return f"<x xmlns='jabber:x:data' type='submit'>{inner}</x>"


async def listed(client: Client) -> list[str]:
    """Return the nodes of the domain's commands, as the client is shown them."""
    query = f"<query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/>"
    reply = await client.iq("get", query, to=client.target.domain)
    return [item.get("node", "") for item in find_all(reply, "items:query/items:item")]
