"""What checks of publish-subscribe share: requests, clients that want to know, and what they are told."""

from __future__ import annotations

import base64
import hashlib
import secrets
from xml.sax.saxutils import escape, quoteattr

from compliance.check import Failed, NotPossible
from compliance.client import Client
from compliance.names import PREFIXES, Element, condition, find, find_all
from compliance.scene import Scene

NS = PREFIXES["pubsub"]
PUBLISH_OPTIONS, NODE_CONFIG = f"{NS}#publish-options", f"{NS}#node_config"


def form(form_type: str, options: dict[str, str]) -> str:
    """Return a submitted form; the options' names are without "pubsub#"."""
    fields = "".join(
        f"<field var='pubsub#{name}'><value>{escape(value)}</value></field>" for name, value in options.items()
    )
    head = f"<field var='FORM_TYPE' type='hidden'><value>{form_type}</value></field>"
    return f"<x xmlns='jabber:x:data' type='submit'>{head}{fields}</x>"


def new_node() -> str:
    """Return a node's name that nobody has."""
    return f"urn:example:compliance:{secrets.token_hex(6)}"


def payload(text: str = "") -> str:
    """Return a small payload."""
    return f"<entry xmlns='urn:example:entry'>{escape(text)}</entry>"


async def request(client: Client, type_: str, inner: str, *, to: str | None = None, owner: bool = False) -> Element:
    """Send a request of publish-subscribe to an account, one's own by default, and return the answer."""
    ns = PREFIXES["owner"] if owner else NS
    return await client.iq(type_, f"<pubsub xmlns='{ns}'>{inner}</pubsub>", to=to)


async def publish(
    client: Client,
    node: str,
    inner: str,
    id_: str | None = "current",
    *,
    options: dict[str, str] | None = None,
    to: str | None = None,
) -> Element:
    """Publish an item and return the answer."""
    item = "<item>" if id_ is None else f"<item id={quoteattr(id_)}>"
    more = f"<publish-options>{form(PUBLISH_OPTIONS, options)}</publish-options>" if options else ""
    return await request(client, "set", f"<publish node={quoteattr(node)}>{item}{inner}</item></publish>{more}", to=to)


async def published(
    scene: Scene,
    client: Client,
    node: str,
    inner: str,
    id_: str | None = "current",
    options: dict[str, str] | None = None,
) -> None:
    """Publish an item, which must succeed; the node is removed when the check is over."""
    scene.needs(f"{NS}#publish")
    remove_at_the_end(scene, client, node)
    reply = await publish(client, node, inner, id_, options=options)
    if reply.get("type") != "result":
        raise Failed(f"publishing at {node} was refused with {condition(reply)}")


def remove_at_the_end(scene: Scene, client: Client, *nodes: str) -> None:
    """Have nodes of a client's account removed when the check is over."""

    async def remove() -> None:
        again = client if not client.closed and not client.lost else await scene.login(client.name.partition("/")[0])
        for node in nodes:
            await request(again, "set", f"<delete node={quoteattr(node)}/>", owner=True)

    scene.at_the_end(remove)


async def fresh(scene: Scene, client: Client, *nodes: str) -> None:
    """Make sure that an account has none of some nodes, now and when the check is over."""
    for node in nodes:
        await request(client, "set", f"<delete node={quoteattr(node)}/>", owner=True)
    remove_at_the_end(scene, client, *nodes)


async def configure(client: Client, node: str, options: dict[str, str]) -> Element:
    """Set a node up, and return the answer."""
    inner = f"<configure node={quoteattr(node)}>{form(NODE_CONFIG, options)}</configure>"
    return await request(client, "set", inner, owner=True)


async def items(client: Client, node: str, *, to: str | None = None, more: str = "") -> Element:
    """Ask for a node's items, and return the answer."""
    return await request(client, "get", f"<items node={quoteattr(node)}/>{more}", to=to)


def ids_of(reply: Element) -> list[str | None]:
    """Return the ids of the items in an answer."""
    return [item.get("id") for item in find_all(reply, "pubsub:pubsub/pubsub:items/pubsub:item")]


def own_condition(reply: Element) -> str | None:
    """Return XEP-0060's own condition of an error, None without one."""
    error = find(reply, "c:error")
    for child in [] if error is None else list(error):
        ns, _, name = child.tag[1:].partition("}")
        if ns == PREFIXES["pserrors"]:
            return str(name)
    return None


# clients that want to know


async def interested(scene: Scene, name: str, *nodes: str, label: str = "") -> Client:
    """Return an available client whose capabilities say that it wants to know of some nodes; its inbox is empty."""
    client = await scene.login(name, label=label)
    await client.ask("get", "<query xmlns='jabber:iq:roster'/>")
    await announce(client, *nodes)
    await client.roundtrip()
    client.inbox.clear()
    return client


async def announce(client: Client, *nodes: str) -> None:
    """Send presence with capabilities that list the nodes, and answer the server's question for them."""
    features = sorted([f"{node}+notify" for node in nodes] + [f"urn:example:once:{secrets.token_hex(6)}"])
    hashed = "client/pc//check<" + "".join(f"{feature}<" for feature in features)
    ver = base64.b64encode(hashlib.sha1(hashed.encode(), usedforsecurity=False).digest()).decode()
    caps = f"<c xmlns='{PREFIXES['caps']}' hash='sha-1' node='urn:example:check' ver='{ver}'/>"
    await client.send(f"<presence>{caps}</presence>")
    try:
        question = await client.expect("c:iq/disco:query", type="get")
    except Failed as error:
        raise NotPossible("the server does not ask a client what it wants to know of") from error
    query = find(question, "disco:query")
    assert query is not None
    node = quoteattr(query.get("node") or "")
    inner = "<identity category='client' type='pc' name='check'/>"
    inner += "".join(f"<feature var={quoteattr(feature)}/>" for feature in features)
    to = quoteattr(question.get("from") or "")
    answer = f"<query xmlns='{PREFIXES['disco']}' node={node}>{inner}</query>"
    await client.send(f"<iq type='result' id={quoteattr(question.get('id') or '')} to={to}>{answer}</iq>")


async def told(client: Client, node: str, part: str = "items") -> Element:
    """Wait until a client is told of a node, and return the message."""
    path = f"event:event/event:{part}"
    return await client.expect(
        "c:message", where=lambda el: (found := find(el, path)) is not None and found.get("node") == node
    )


def refuse_told(client: Client, node: str, why: str) -> None:
    """Fail the check if a client has been told of a node. Call it behind a barrier."""

    def names_it(el: Element) -> bool:
        return any(part.get("node") == node for part in find_all(el, "event:event/*"))

    client.refuse("c:message", why=why, where=names_it)


def told_ids(message: Element) -> list[str | None]:
    """Return the ids of the items of which a message tells."""
    return [item.get("id") for item in find_all(message, "event:event/event:items/event:item")]
