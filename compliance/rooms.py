"""What checks of rooms share: finding the service, making and entering rooms, reading what rooms say."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import escape, quoteattr

from compliance.check import Failed, NotPossible
from compliance.client import Client
from compliance.names import PREFIXES, Element, find, find_all
from compliance.scene import Scene

MUC = PREFIXES["muc"]
ITEMS = "<query xmlns='http://jabber.org/protocol/disco#items'/>"
INFO = "<query xmlns='http://jabber.org/protocol/disco#info'/>"


async def service_of(client: Client) -> str:
    """Return the address of the server's rooms, or end the check as not possible."""
    listed = await client.iq("get", ITEMS, to=client.target.domain)
    for item in find_all(listed, "items:query/items:item"):
        jid = item.get("jid", "")
        if jid.endswith(client.target.domain) and MUC in await features_of(client, jid):
            return jid
    raise NotPossible("the server lists no service of rooms")


async def features_of(client: Client, jid: str) -> set[str]:
    """Return the features of an entity, none when it does not answer."""
    reply = await client.iq("get", INFO, to=jid)
    return {el.get("var", "") for el in find_all(reply, "disco:query/disco:feature")}


async def needs_of_room(client: Client, room: str, feature: str) -> None:
    """End the check as not possible unless a room offers a feature."""
    if feature not in await features_of(client, room):
        raise NotPossible(f"rooms do not offer {feature}")


def entry(room: str, nick: str, inner: str = "") -> str:
    """Return the presence that asks to enter."""
    return f"<presence to={quoteattr(f'{room}/{nick}')}><x xmlns='{MUC}'>{inner}</x></presence>"


async def enter(client: Client, room: str, nick: str, inner: str = "") -> Element:
    """Enter a room and return the own presence; what came before it is in the inbox, the subject has been waited for."""
    await client.send(entry(room, nick, inner))
    own = await client.expect("c:presence", from_=f"{room}/{nick}", where=lambda el: 110 in codes(el) or _is_error(el))
    if _is_error(own):
        raise Failed(f"{client.name} could not enter the room")
    await client.expect("c:message/c:subject", where=lambda el: el.get("from", "").startswith(room))
    return own


def _is_error(element: Element) -> bool:
    return element.get("type") == "error"


async def refused(client: Client, room: str, nick: str, inner: str = "") -> Element:
    """Ask to enter and return the error."""
    await client.send(entry(room, nick, inner))
    return await client.expect("c:presence", type="error", from_=f"{room}/{nick}")


async def room_of(scene: Scene, owner: Client, nick: str = "Romeo", **fields: str) -> str:
    """Return a new room that a client owns and is in, with these settings (`membersonly="1"`); it is destroyed at the end."""
    service = await service_of(owner)
    room = f"compliance-{secrets.token_hex(5)}@{service}"
    await owner.send(entry(room, nick))
    own = await owner.expect("c:presence", from_=f"{room}/{nick}")
    if _is_error(own):
        raise NotPossible("the account may not make rooms")
    scene.at_the_end(lambda: owner.iq("set", f"<query xmlns='{MUC}#owner'><destroy/></query>", to=room))
    await configure(owner, room, **fields)
    await owner.roundtrip()
    owner.inbox.clear()
    return room


async def configure(client: Client, room: str, **fields: str) -> Element:
    """Submit settings, each known by its name behind `muc#roomconfig_`, and return the answer, which must be a result."""
    inner = "".join(
        f"<field var='muc#roomconfig_{name}'><value>{escape(value)}</value></field>" for name, value in fields.items()
    )
    if inner:
        inner = f"<field var='FORM_TYPE' type='hidden'><value>{MUC}#roomconfig</value></field>{inner}"
    form = f"<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'>{inner}</x></query>"
    return await client.ask("set", form, to=room)


def admin_query(*items: str) -> str:
    """Return a request for changes, each given as the attributes of its item."""
    inner = "".join(f"<item {item}/>" for item in items)
    return f"<query xmlns='{MUC}#admin'>{inner}</query>"


def codes(element: Element) -> set[int]:
    """Return the status codes of a stanza."""
    return {int(el.get("code", "0")) for el in find_all(element, "mucuser:x/mucuser:status")}


def item_of(element: Element) -> Element:
    """Return the item of a stanza, or fail."""
    found = find(element, "mucuser:x/mucuser:item")
    if found is None:
        raise Failed("the presence holds no item of muc#user")
    return found


async def say(client: Client, room: str, body: str, more: str = "", id_: str | None = None) -> str:
    """Say something to all and return its id, when the sender has got it back."""
    id_ = id_ or secrets.token_hex(6)
    await client.send(
        f"<message to={quoteattr(room)} type='groupchat' id='{id_}'><body>{escape(body)}</body>{more}</message>"
    )
    await client.expect("c:message/c:body", type="groupchat", where=lambda el: _body(el) == body)
    return id_


def _body(element: Element) -> str:
    found = find(element, "c:body")
    return "" if found is None else found.text or ""
