"""XEP-0425: Moderated Message Retraction."""

from __future__ import annotations

from compliance.check import MUST, SHOULD, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import PREFIXES, condition, find, find_all, text
from compliance.rooms import enter, needs_of_room, room_of, say
from compliance.scene import Scene
from compliance.suite.xep_0313 import Page, ask_archive

check = checks_of("XEP-0425")


async def _said(scene: Scene) -> tuple[Client, Client, str, str]:
    """Return romeo and juliet in romeo's room, and the room's id of what juliet has said."""
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    room = await room_of(scene, romeo, enablearchiving="1", mam="1")
    await needs_of_room(romeo, room, PREFIXES["moderate"])
    await enter(juliet, room, "Juliet")
    await say(juliet, room, "rude words")
    live = await romeo.expect("c:message/c:body", from_=f"{room}/Juliet")
    ids = [el.get("id", "") for el in find_all(live, "sid:stanza-id") if el.get("by") == room]
    require_equal(len(ids), 1, "the number of the room's ids")
    return romeo, juliet, room, ids[0]


def _wish(id_: str) -> str:
    return f"<moderate xmlns='{PREFIXES['moderate']}' id='{id_}'><retract xmlns='{PREFIXES['retract']}'/><reason>rude</reason></moderate>"


@check("3.1", MUST, "A moderator's wish is told to all by the room, with the message's id and the reason.")
async def retraction_is_told(scene: Scene) -> None:
    romeo, juliet, room, id_ = await _said(scene)
    await romeo.ask("set", _wish(id_), to=room)
    notice = await juliet.expect("c:message/retract:retract", from_=room, type="groupchat")
    retract = find(notice, "retract:retract")
    assert retract is not None
    require_equal(retract.get("id"), id_, "the id")
    require(find(retract, "moderate:moderated") is not None, "it does not say that a moderator did it")
    require_equal(text(retract, "retract:reason"), "rude", "the reason")


@check("3.2", MUST, "Who is no moderator is refused, and nothing happens.")
async def only_moderators_may(scene: Scene) -> None:
    romeo, juliet, room, id_ = await _said(scene)
    require_equal(condition(await juliet.iq("set", _wish(id_), to=room)), "forbidden", "the condition")
    await scene.settle(juliet, romeo)
    romeo.refuse("c:message/retract:retract", why="a message was taken back")


@check("5", SHOULD, "What was taken back is not in the archive any more.")
async def archive_forgets_the_words(scene: Scene) -> None:
    romeo, _, room, id_ = await _said(scene)
    await romeo.ask("set", _wish(id_), to=room)
    page = await ask_archive(romeo, {}, to=room)
    require(isinstance(page, Page), "the archive cannot be read")
    assert isinstance(page, Page)
    require("rude words" not in [text(message, "c:body") for message in page.messages], "it is still there")
