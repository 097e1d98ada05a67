"""XEP-0313: Message Archive Management, for the archive of a room."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from compliance.check import MUST, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import PREFIXES, Element, condition, find, find_all
from compliance.rooms import admin_query, enter, needs_of_room, room_of, say
from compliance.scene import Scene
from compliance.suite.xep_0313 import Page, ask_archive

check = checks_of("XEP-0313 (MUC)")


async def _room(scene: Scene, **fields: str) -> tuple[Client, Client, str]:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    room = await room_of(scene, romeo, enablearchiving="1", mam="1", **fields)
    await needs_of_room(romeo, room, PREFIXES["mam"])
    return romeo, juliet, room


async def _page(client: Client, room: str, rsm: str = "") -> Page:
    page = await ask_archive(client, {}, rsm=rsm, to=room)
    if not isinstance(page, Page):
        require(False, f"the query was refused with {condition(page)}")
    assert isinstance(page, Page)
    return page


def _with_body(page: Page) -> list[Element]:
    return [message for message in page.messages if find(message, "c:body") is not None]


@check("7", MUST, "A room's archive holds what was said, in order, from the occupants' JIDs.")
async def room_keeps_what_is_said(scene: Scene) -> None:
    romeo, juliet, room = await _room(scene)
    await enter(juliet, room, "Juliet")
    await say(romeo, room, "one")
    await say(juliet, room, "two")
    messages = _with_body(await _page(romeo, room))
    require_equal([el.get("from") for el in messages], [f"{room}/Romeo", f"{room}/Juliet"], "the senders")
    require_equal({el.get("type") for el in messages}, {"groupchat"}, "the types")


@check("3.5", MUST, "A message names its id in the room's archive, under the room's address.")
async def stanza_id_is_the_rooms(scene: Scene) -> None:
    romeo, juliet, room = await _room(scene)
    await enter(juliet, room, "Juliet")
    fake = f"<stanza-id xmlns='{PREFIXES['sid']}' id='made-up' by={quoteattr(room)}/>"
    await say(romeo, room, "one", fake)
    live = await juliet.expect("c:message/c:body", from_=f"{room}/Romeo")
    ids = [el.get("id") for el in find_all(live, "sid:stanza-id") if el.get("by") == room]
    page = await _page(romeo, room, "<max>10</max><before/>")
    kept = [
        result.get("id") for result in page.results if find(result, "forward:forwarded/c:message/c:body") is not None
    ]
    require_equal(ids, kept, "the ids")


@check("3.3.1", MUST, "Who may not enter a room does not read its archive.")
async def archive_is_closed_to_those_outside(scene: Scene) -> None:
    romeo, juliet, room = await _room(scene, membersonly="1")
    await say(romeo, room, "secret")
    reply = await ask_archive(juliet, {}, to=room)
    require(not isinstance(reply, Page) or not reply.results, "a stranger got messages")
    await romeo.ask("set", admin_query(f"jid={quoteattr(juliet.bare)} affiliation='outcast'"), to=room)
    reply = await ask_archive(juliet, {}, to=room)
    require(not isinstance(reply, Page), "who is banned was answered")


@check("7", MUST, "In a semi-anonymous room the archive tells participants nobody's real JID.")
async def archive_hides_real_jids(scene: Scene) -> None:
    romeo, juliet, room = await _room(scene, whois="moderators")
    await enter(juliet, room, "Juliet")
    await say(romeo, room, "one")
    for result in (await _page(juliet, room)).results:
        shown = {str(value) for el in result.iter() for value in el.attrib.values()}
        require(not any(value.partition("/")[0] == romeo.bare for value in shown), "a real JID is in the archive")
