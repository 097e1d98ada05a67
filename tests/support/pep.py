"""What tests of publish-subscribe share: clients with wishes, requests as text, and answers in short."""

from typing import Any

from codec.element import Element
from codec.payloads.disco import Identity, Info
from codec.payloads.pubsub import NS, NS_EVENT, NS_NODE_CONFIG, NS_OWNER, NS_PUBLISH_OPTIONS
from tests.support.world import Client, World
from xmppd.modules.xep_0115_caps import verification_string

MODULES = (
    "rfc_6121_message",
    "rfc_6121_presence",
    "rfc_6121_roster",
    "rfc_6121_subscription",
    "xep_0030_disco",
    "xep_0060_pubsub",
    "xep_0115_caps",
    "xep_0163_pep",
    "xep_0191_blocking",
)


def info_of(*nodes: str) -> Info:
    """Return what a client answers that wants to know of these nodes."""
    identity = Identity(category="client", type="pc", name="test")
    return Info(identities=(identity,), features=tuple(f"{node}+notify" for node in nodes))


def caps_of(*nodes: str) -> str:
    """Return <c/> of such a client."""
    ver = verification_string(info_of(*nodes), "sha-1")
    return f"<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:test' ver='{ver}'/>"


async def interested(world: World, jid: str, *nodes: str) -> Client:
    """Return an available client that wants to know of these nodes; all that comes but what its wish brings is drained."""
    client = await world.client(jid)
    await wish(client, *nodes)
    return client


async def wish(client: Client, *nodes: str) -> None:
    """Send presence with a wish for these nodes, and say so when the server asks; what that brings stays to be read."""
    await client.send(f"<presence>{caps_of(*nodes)}</presence>")
    kept = []
    for stanza in await client.drain():
        if stanza.kind == "iq" and stanza.type == "get":
            answer = stanza.reply(Info(node=stanza.get(Info).node, **_parts(info_of(*nodes)))).replace(from_=None)
            await client.send(answer.to_xml().decode())
        elif stanza.kind == "message":
            kept.append(stanza)
    client.connection.events[:0] = kept


def _parts(info: Info) -> dict[str, Any]:
    return {"identities": info.identities, "features": info.features}


async def befriend(world: World, first: str, second: str) -> None:
    """Let two accounts see each other's presence."""
    one, two = await world.client(f"{first}/befriend"), await world.client(f"{second}/befriend")
    await one.send(f"<presence to='{second}' type='subscribe'/>")
    await two.send(
        f"<presence to='{first}' type='subscribed'/>",
        f"<presence to='{first}' type='subscribe'/>",
    )
    await one.send(f"<presence to='{second}' type='subscribed'/>")
    await one.close()
    await two.close()


def form(form_type: str, **fields: str) -> str:
    """Return a submitted form; the names are those of options without "pubsub#"."""
    inner = "".join(f"<field var='pubsub#{name}'><value>{value}</value></field>" for name, value in fields.items())
    head = f"<field var='FORM_TYPE' type='hidden'><value>{form_type}</value></field>"
    return f"<x xmlns='jabber:x:data' type='submit'>{head}{inner}</x>"


def payload(text: str = "1") -> str:
    """Return a small payload."""
    return f"<p xmlns='urn:example:p'>{text}</p>"


async def ask(client: Client, inner: str, type_: str = "set", to: str | None = None, ns: str = NS) -> Any:
    """Send a request with <pubsub/> around `inner`, and return the answer, whatever comes beside it."""
    to_ = "" if to is None else f" to='{to}'"
    id_ = f"q{len(inner)}"
    await client.send(f"<iq type='{type_}' id='{id_}'{to_}><pubsub xmlns='{ns}'>{inner}</pubsub></iq>")
    return await answer_of(client, id_)


async def answer_of(client: Client, id_: str) -> Any:
    """Return the answer to a request; what else has come stays to be read."""
    before = []
    while True:
        stanza = await client.next_stanza()
        if stanza.kind == "iq" and stanza.id == id_ and stanza.type in ("result", "error"):
            client.connection.events[:0] = before
            return stanza
        before.append(stanza)


async def own(client: Client, inner: str, type_: str = "set", to: str | None = None) -> Any:
    """Ask as a node's owner does."""
    return await ask(client, inner, type_, to, NS_OWNER)


async def publish(
    client: Client, node: str, xml: str, id_: str | None = "current", to: str | None = None, **options: str
) -> str:
    """Publish an item; return "" or what `problem` does."""
    item = "<item>" if id_ is None else f"<item id='{id_}'>"
    more = f"<publish-options>{form(NS_PUBLISH_OPTIONS, **options)}</publish-options>" if options else ""
    return problem(await ask(client, f"<publish node='{node}'>{item}{xml}</item></publish>{more}", to=to))


async def configure(client: Client, node: str, **options: str) -> str:
    """Set a node up; return "" or what `problem` does."""
    return problem(await own(client, f"<configure node='{node}'>{form(NS_NODE_CONFIG, **options)}</configure>"))


async def items(client: Client, node: str, to: str | None = None, more: str = "", inner: str = "", **attrs: str) -> Any:
    """Return the ids of a node's items, or what `problem` does."""
    written = "".join(f" {name}='{value}'" for name, value in attrs.items())
    answer = await ask(client, f"<items node='{node}'{written}>{inner}</items>{more}", "get", to)
    if answer.type == "error":
        return problem(answer)
    found = answer.element(f"{NS} pubsub").find(f"{NS} items")
    return [item.get("id") for item in found.elements()]


async def payloads(client: Client, node: str, to: str | None = None) -> list[str]:
    """Return the payloads of a node's items."""
    answer = await ask(client, f"<items node='{node}'/>", "get", to)
    found = answer.element(f"{NS} pubsub").find(f"{NS} items")
    return [item.elements()[0].to_xml().decode() for item in found.elements()]


def problem(answer: Any) -> str:
    """Return "" for a result; the condition of an error, with the one of publish-subscribe behind a "/"."""
    error = answer.element("jabber:client error")
    if error is None:
        return ""
    names = [child.name for child in error.elements() if child.name != "text"]
    return "/".join(names)


async def told(client: Client) -> list[str]:
    """Return what a client has been told since it last looked: "FROM NODE KIND IDS" each; other stanzas are forgotten."""
    found = []
    for stanza in await client.drain():
        event = stanza.element(f"{NS_EVENT} event") if stanza.kind == "message" and stanza.type != "error" else None
        if event is not None:
            found.append(f"{stanza.from_} {_in_short(event.elements()[0])}")
    return found


def _in_short(part: Element) -> str:
    ids = " ".join(
        ("-" if child.name == "retract" else "") + (child.get("id") or child.name) for child in part.elements()
    )
    return f"{part.get('node')} {part.name} {ids}".strip()
