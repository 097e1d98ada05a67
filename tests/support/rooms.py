"""What tests of rooms share: entering, settings, requests, and reading what came back."""

from typing import Any

from codec.element import Element
from codec.stanza import IQ, Message, Presence, Stanza
from tests.support.world import Client, World

ROOM = "den@conference.example.org"
MUC = "http://jabber.org/protocol/muc"
MODULES = ("xep_0030_disco", "xep_0045_muc", "xep_0191_blocking", "xep_0313_mam", "rfc_6121_message", "rfc_6121_presence", "rfc_6121_roster", "xep_0334_hints", "xep_0359_ids", "xep_0441_mam_prefs", "xep_0198_sm", "xep_0199_ping")  # fmt: skip


async def enter(client: Client, nick: str, inner: str = "", room: str = ROOM, show: str = "") -> list[Any]:
    """Ask to enter and return what came."""
    await client.send(f"<presence to='{room}/{nick}'><x xmlns='{MUC}'>{inner}</x>{show}</presence>")
    return await client.drain()


async def configure(client: Client, room: str = ROOM, **fields: str | bool | tuple[str, ...]) -> Stanza:
    """Submit settings (`roomname="x"` is muc#roomconfig_roomname) and return the answer; what else comes is dropped."""
    inner = ""
    for name, value in fields.items():
        values = value if isinstance(value, tuple) else (str(int(value)) if isinstance(value, bool) else value,)
        texts = "".join(f"<value>{text}</value>" for text in values)
        inner += f"<field var='muc#roomconfig_{name}'>{texts}</field>"
    if inner:
        inner = f"<field var='FORM_TYPE'><value>{MUC}#roomconfig</value></field>{inner}"
    return await ask(
        client, "set", f"<query xmlns='{MUC}#owner'><x xmlns='jabber:x:data' type='submit'>{inner}</x></query>", room
    )


async def ask(client: Client, type_: str, inner: str, to: str = ROOM) -> Any:
    """Send a request and return its answer; what else came stays."""
    id_ = client.world.shared.ids.token()
    await client.send(f"<iq type='{type_}' id='{id_}' to='{to}'>{inner}</iq>")
    for event in list(client.connection.events):
        if isinstance(event, IQ) and event.id == id_:
            client.connection.events.remove(event)
            return event
    raise AssertionError(f"no answer to {inner}")


async def admin(client: Client, *items: str, type_: str = "set") -> Any:
    """Change, or ask for, roles or affiliations: `admin(romeo, "nick='Juliet' role='none'")`."""
    inner = "".join(item if item.startswith("<") else f"<item {item}/>" for item in items)
    return await ask(client, type_, f"<query xmlns='{MUC}#admin'>{inner}</query>")


async def say(client: Client, text: str, more: str = "", id_: str = "m") -> None:
    """Say something to all."""
    await client.send(f"<message to='{ROOM}' type='groupchat' id='{id_}'><body>{text}</body>{more}</message>")


def x_of(stanza: Stanza) -> Element:
    """Return <x/> of muc#user."""
    found = stanza.element(f"{MUC}#user x")
    assert found is not None, stanza.to_xml()
    return found


def codes(stanza: Stanza) -> list[int]:
    """Return the status codes."""
    return [int(child.get("code") or 0) for child in x_of(stanza).find_all(f"{MUC}#user status")]


def item(stanza: Stanza) -> dict[str, str]:
    """Return the attributes of the item."""
    found = x_of(stanza).find(f"{MUC}#user item")
    assert found is not None, stanza.to_xml()
    return dict(found.attrs)


def condition(stanza: Stanza) -> str:
    """Return the condition of an error, "" for none."""
    error = stanza.element("jabber:client error")
    return "" if error is None else error.elements()[0].name


def presences(stanzas: list[Any]) -> list[Presence]:
    """Return those that are presences."""
    return [stanza for stanza in stanzas if isinstance(stanza, Presence)]


def messages(stanzas: list[Any]) -> list[Message]:
    """Return those that are messages."""
    return [stanza for stanza in stanzas if isinstance(stanza, Message)]


def bodies(stanzas: list[Any]) -> list[str]:
    """Return the bodies of the messages."""
    found = [stanza.element("jabber:client body") for stanza in messages(stanzas)]
    return [body.text for body in found if body is not None]


async def den(world: World, **fields: str | bool | tuple[str, ...]) -> tuple[Client, Client, Client]:
    """Return romeo, who owns the room and is in it, and juliet and mercutio, who are not; the room has these settings."""
    romeo = await world.client("romeo@example.org/orchard", "<presence/>")
    juliet = await world.client("juliet@example.org/balcony", "<presence/>")
    mercutio = await world.client("mercutio@example.org/street", "<presence/>")
    await enter(romeo, "Romeo")
    answer = await configure(romeo, **fields)
    assert answer.type == "result", answer.to_xml()
    await romeo.drain()
    return romeo, juliet, mercutio
