"""XEP-0317: Hats."""

from __future__ import annotations

from compliance.check import MUST, checks_of, require_equal, require_in
from compliance.client import Client
from compliance.names import PREFIXES, Element, condition, find_all
from compliance.rooms import enter, needs_of_room, room_of
from compliance.scene import Scene

check = checks_of("XEP-0317")
FORMS = "urn:xmpp:hats:commands"
URI = "urn:example:hats:teacher"


async def _room(scene: Scene) -> tuple[Client, Client, str]:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    room = await room_of(scene, romeo)
    await needs_of_room(romeo, room, PREFIXES["hats"])
    return romeo, juliet, room


async def _run(client: Client, room: str, name: str, **fields: str) -> Element:
    values = "".join(f"<field var='hats#{var}'><value>{value}</value></field>" for var, value in fields.items())
    form = f"<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>{FORMS}</value></field>{values}</x>"
    command = f"<command xmlns='{PREFIXES['commands']}' node='{FORMS}:{name}' action='execute'>{form}</command>"
    return await client.iq("set", command, to=room)


def _worn(presence: Element) -> list[tuple[str | None, str | None]]:
    return [(el.get("title"), el.get("uri")) for el in find_all(presence, "hats:hats/hats:hat")]


@check("3.1", MUST, "A hat that somebody was given is in its presence, and gone when it was taken away.")
async def hat_is_in_presence(scene: Scene) -> None:
    romeo, juliet, room = await _room(scene)
    await enter(juliet, room, "Juliet")
    await romeo.expect("c:presence", from_=f"{room}/Juliet")
    require_equal((await _run(romeo, room, "create", title="Teacher", uri=URI)).get("type"), "result", "making a hat")
    for name, worn in (("assign", [("Teacher", URI)]), ("unassign", [])):
        reply = await _run(romeo, room, name, jid=juliet.bare, uri=URI)
        require_equal(reply.get("type"), "result", name)
        seen = await romeo.expect("c:presence", from_=f"{room}/Juliet")
        require_equal(_worn(seen), worn, f"the hats after {name}")


@check("3.1", MUST, "Hats that an occupant makes up are not passed on.")
async def made_up_hats_are_dropped(scene: Scene) -> None:
    romeo, juliet, room = await _room(scene)
    await enter(juliet, room, "Juliet")
    await romeo.expect("c:presence", from_=f"{room}/Juliet")
    hats = f"<hats xmlns='{PREFIXES['hats']}'><hat title='King' uri='urn:example:king'/></hats>"
    await juliet.send(f"<presence to='{room}/Juliet'><show>away</show>{hats}</presence>")
    require_equal(_worn(await romeo.expect("c:presence/c:show", from_=f"{room}/Juliet")), [], "the hats")


@check("3.2", MUST, "Who is no admin makes no hats.")
async def hats_are_for_admins(scene: Scene) -> None:
    _, juliet, room = await _room(scene)
    await enter(juliet, room, "Juliet")
    require_in(
        condition(await _run(juliet, room, "create", title="x", uri="urn:x")),
        ("forbidden", "not-allowed"),
        "the condition",
    )
