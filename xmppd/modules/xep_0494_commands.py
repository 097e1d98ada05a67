"""XEP-0494: the same by commands (XEP-0050), for clients that do not know it: list, end some, end all others."""

from collections.abc import Awaitable, Callable

from codec.jid import JID
from codec.payloads.data_form import FORM_TYPE, Field, Form, Option, Reported, Row
from xmppd.errors import StanzaError
from xmppd.host import Host
from xmppd.modules.xep_0050_commands import CommandsModule
from xmppd.modules.xep_0494_clients import Client, moment

NS = "urn:xmppd:clients:0"
LIST, END, END_OTHERS = f"{NS}#list", f"{NS}#end", f"{NS}#end-others"

COLUMNS = (
    ("software", "Software"),
    ("device", "Device"),
    ("connected", "Connected"),
    ("last-seen", "Last seen"),
    ("address", "From"),
    ("access", "Comes in by"),
    ("sessions", "Sessions"),
    ("this", "This one"),
)
WARNING = "A client that knows your password can come back: if you do not trust it, change the password as well."

ListClients = Callable[[JID], Awaitable[list[Client]]]
EndClients = Callable[[JID, list[Client], JID | None], Awaitable[int]]


def add_commands(host: Host, commands: CommandsModule, clients: ListClients, end: EndClients) -> None:
    """Give every account of the host the three commands for its own clients."""

    def may_run(asker: JID) -> bool:
        return bool(asker.localpart) and asker.domainpart == host.domain

    async def list_(asker: JID, _form: Form | None) -> Form:
        found = await clients(asker.bare)
        return Form(
            type="result",
            title="Clients with access to your account",
            fields=(Field(var=FORM_TYPE, type="hidden", values=(NS,)),),
            reported=Reported(fields=tuple(Field(var=var, label=label) for var, label in COLUMNS)),
            items=tuple(Row(fields=_row(client, asker)) for client in found),
        )

    async def end_some(asker: JID, form: Form | None) -> Form | str:
        found = await clients(asker.bare)
        if form is None:
            return _choice(found, asker)
        wanted = set(form.values("clients"))
        chosen = [client for client in found if client.id in wanted]
        if len(chosen) != len(wanted):
            raise StanzaError("item-not-found", text="One of them has no access any more; begin again.")
        return await _end(asker, chosen)

    async def end_others(asker: JID, form: Form | None) -> Form | str:
        if form is None:
            return Form(type="form", title="End all other clients", instructions=(WARNING,), fields=(_TYPE,))
        others = [client for client in await clients(asker.bare) if not _is_of(client, asker)]
        return await _end(asker, others)

    async def _end(asker: JID, chosen: list[Client]) -> str:
        ended = await end(asker.bare, chosen, asker)
        return f"Clients: {len(chosen)}. Sessions ended: {ended}. {WARNING}"

    commands.add(LIST, "List the clients of your account", may_run, list_)
    commands.add(END, "End clients of your account", may_run, end_some)
    commands.add(END_OTHERS, "End all other clients of your account", may_run, end_others)


_TYPE = Field(var=FORM_TYPE, type="hidden", values=(NS,))


def _is_of(client: Client, jid: JID) -> bool:
    return any(resource.jid == jid for resource in client.sessions)


def _row(client: Client, asker: JID) -> tuple[Field, ...]:
    seen = client.seen
    access = [name for name, is_so in (("password", client.has_password), ("token", client.has_token)) if is_so]
    values: dict[str, str | bool] = {
        "software": seen.software,
        "device": seen.device,
        "connected": bool(client.sessions),
        "last-seen": moment(seen.last_s) if seen.last_s else "",
        "address": seen.address,
        "access": ", ".join(access),
        "sessions": ", ".join(sorted(resource.jid.resourcepart for resource in client.sessions)),
        "this": _is_of(client, asker),
    }
    return tuple(Field.of(var, values[var]) for var, _ in COLUMNS)


def _choice(clients: list[Client], asker: JID) -> Form:
    options = tuple(Option(label=_label(client, asker), value=client.id) for client in clients)
    field = Field(var="clients", type="list-multi", label="Clients", required=True, options=options)
    return Form(type="form", title="End clients", instructions=(WARNING,), fields=(_TYPE, field))


def _label(client: Client, asker: JID) -> str:
    """Return what a person knows a client by."""
    seen = client.seen
    sessions = ", ".join(resource.jid.resourcepart for resource in client.sessions)
    name = ", ".join(part for part in (seen.software, seen.device) if part) or sessions or "unknown"
    parts = [f"{name} (this one)" if _is_of(client, asker) else name]
    if client.sessions:
        parts.append("connected")
    elif seen.last_s:
        parts.append(f"last seen {moment(seen.last_s)}")
    if seen.address:
        parts.append(f"from {seen.address}")
    return "; ".join(parts)
