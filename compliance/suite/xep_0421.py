"""XEP-0421: Occupant identifiers for semi-anonymous MUCs."""

from __future__ import annotations

from compliance.check import MUST, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import PREFIXES, Element, find_all
from compliance.rooms import enter, needs_of_room, room_of, say
from compliance.scene import Scene

check = checks_of("XEP-0421")


def _id(element: Element) -> str:
    found = find_all(element, "occupantid:occupant-id")
    require_equal(len(found), 1, "the number of occupant ids")
    return found[0].get("id", "")


async def _room(scene: Scene) -> tuple[Client, Client, str]:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    room = await room_of(scene, romeo)
    await needs_of_room(romeo, room, PREFIXES["occupantid"])
    return romeo, juliet, room


@check("3.1", MUST, "Presence and messages of an occupant bear the same id.")
async def presence_and_messages_bear_it(scene: Scene) -> None:
    romeo, juliet, room = await _room(scene)
    await enter(juliet, room, "Juliet")
    in_presence = _id(await romeo.expect("c:presence", from_=f"{room}/Juliet"))
    await say(juliet, room, "hello")
    in_message = _id(await romeo.expect("c:message/c:body", from_=f"{room}/Juliet"))
    require(in_presence and in_presence == in_message, "they differ")


@check("4.1", MUST, "It is the same when somebody comes again under another nickname, and another for others.")
async def it_is_stable_and_unique(scene: Scene) -> None:
    romeo, juliet, room = await _room(scene)
    other = await scene.online("mercutio")
    seen = []
    for client, nick in ((juliet, "Juliet"), (juliet, "Capulet"), (other, "Juliet")):
        await enter(client, room, nick)
        seen.append(_id(await romeo.expect("c:presence", from_=f"{room}/{nick}", type="")))
        await client.send(f"<presence to='{room}/{nick}' type='unavailable'/>")
        await romeo.expect("c:presence", from_=f"{room}/{nick}", type="unavailable")
    require_equal(seen[0], seen[1], "the id under another nickname")
    require(seen[0] != seen[2], "two people have the same id")


@check("4", MUST, "An id that an occupant makes up is replaced.")
async def made_up_id_is_replaced(scene: Scene) -> None:
    romeo, juliet, room = await _room(scene)
    await enter(juliet, room, "Juliet")
    await say(juliet, room, "hello", f"<occupant-id xmlns='{PREFIXES['occupantid']}' id='made-up'/>")
    seen = await romeo.expect("c:message/c:body", from_=f"{room}/Juliet")
    require(_id(seen) != "made-up", "it was passed on")


@check("4", MUST, "It is in the history too.")
async def history_bears_it(scene: Scene) -> None:
    romeo, juliet, room = await _room(scene)
    await say(romeo, room, "before")
    await enter(juliet, room, "Juliet")
    require(_id(await juliet.expect("c:message/c:body", from_=f"{room}/Romeo")), "the id is empty")
