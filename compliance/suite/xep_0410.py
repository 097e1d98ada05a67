"""XEP-0410: MUC Self-Ping (Schrödinger's Chat)."""

from __future__ import annotations

from compliance.check import MUST, checks_of, require, require_equal, require_in
from compliance.names import condition
from compliance.rooms import MUC, enter, needs_of_room, room_of
from compliance.scene import Scene

check = checks_of("XEP-0410")
PING = "<ping xmlns='urn:xmpp:ping'/>"


@check("3.2", MUST, "A ping to oneself of one who is not there is refused with not-acceptable.")
async def ping_of_a_stranger_is_refused(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    room = await room_of(scene, romeo)
    reply = await juliet.iq("get", PING, to=f"{room}/Juliet")
    require_equal(condition(reply), "not-acceptable", "the condition")


@check("3.3", MUST, "A room that offers the optimisation answers a ping to oneself, and does not pass it on.")
async def ping_to_oneself_is_answered(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    room = await room_of(scene, romeo)
    await needs_of_room(romeo, room, f"{MUC}#self-ping-optimization")
    await enter(juliet, room, "Juliet")
    reply = await juliet.iq("get", PING, to=f"{room}/Juliet")
    require_equal(reply.get("type"), "result", "the type of the answer")
    require(not juliet.unread("c:iq", type="get"), "the ping was passed on")
    await juliet.send(f"<presence to='{room}/Juliet' type='unavailable'/>")
    await juliet.expect("c:presence", from_=f"{room}/Juliet", type="unavailable")
    require_equal(condition(await juliet.iq("get", PING, to=f"{room}/Juliet")), "not-acceptable", "afterwards")


@check("3.2", MUST, "A ping to a nickname that one has no more is refused.")
async def ping_to_the_old_nickname_is_refused(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    room = await room_of(scene, romeo)
    await enter(juliet, room, "Juliet")
    await juliet.send(f"<presence to='{room}/Capulet'/>")
    await juliet.expect("c:presence", from_=f"{room}/Capulet", type="")
    reply = await juliet.iq("get", PING, to=f"{room}/Juliet")
    require_in(condition(reply), ("item-not-found", "not-acceptable"), "the condition")
