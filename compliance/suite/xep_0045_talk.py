"""XEP-0045: messages to all and to one, subject, invitations, registration (§7.4, §7.5, §7.8, §7.10, §7.12, §7.13, §8.1)."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, NotPossible, checks_of, require, require_equal, require_in
from compliance.client import Client
from compliance.names import condition, find, find_all, text
from compliance.rooms import MUC, admin_query, enter, item_of, refused, room_of, say
from compliance.scene import Scene

check = checks_of("XEP-0045")


async def _inside(scene: Scene, **fields: str) -> tuple[Client, Client, str]:
    """Return romeo, who owns a room, and juliet, both in it."""
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    room = await room_of(scene, romeo, **fields)
    await enter(juliet, room, "Juliet")
    await romeo.expect("c:presence", from_=f"{room}/Juliet")
    juliet.inbox.clear()
    return romeo, juliet, room


@check("7.4", MUST, "A message to all comes to everybody from the sender's occupant JID, with its payload.")
async def message_reaches_all(scene: Scene) -> None:
    romeo, juliet, room = await _inside(scene)
    await say(juliet, room, "hello", "<x xmlns='urn:example:x' a='1'/>")
    seen = await romeo.expect("c:message/c:body", type="groupchat", from_=f"{room}/Juliet")
    require_equal(text(seen, "c:body"), "hello", "the body")
    require(seen.find("{urn:example:x}x") is not None, "the payload is gone")


@check("7.4", SHOULD, "A message keeps its sender's id.")
async def id_is_kept(scene: Scene) -> None:
    romeo, juliet, room = await _inside(scene)
    id_ = await say(juliet, room, "hello")
    seen = await romeo.expect("c:message/c:body", type="groupchat")
    require_equal(seen.get("id"), id_, "the id")


@check("7.4", SHOULD, "A message of one who is not there is refused with not-acceptable.")
async def strangers_cannot_talk(scene: Scene) -> None:
    _, _, room = await _inside(scene)
    stranger = await scene.online("mercutio")
    await stranger.send(f"<message to='{room}' type='groupchat' id='x'><body>x</body></message>")
    require_equal(condition(await stranger.expect("c:message", type="error")), "not-acceptable", "the condition")


@check("7.4", MUST, "A visitor's message is refused with forbidden and reaches nobody.")
async def visitors_cannot_talk(scene: Scene) -> None:
    romeo, juliet, room = await _inside(scene, moderatedroom="1")
    await juliet.send(f"<message to='{room}' type='groupchat' id='x'><body>x</body></message>")
    require_equal(condition(await juliet.expect("c:message", type="error")), "forbidden", "the condition")
    await scene.settle(juliet, romeo)
    romeo.refuse("c:message/c:body", type="groupchat", why="a visitor's message was passed on")


@check("17.2", SHOULD, "A message to a room that does not exist is refused with item-not-found.")
async def message_to_no_room_is_refused(scene: Scene) -> None:
    romeo, _, room = await _inside(scene)
    nowhere = f"compliance-{secrets.token_hex(6)}@{room.partition('@')[2]}"
    await romeo.send(f"<message to='{nowhere}' type='groupchat' id='x'><body>x</body></message>")
    require_in(
        condition(await romeo.expect("c:message", type="error")), ("item-not-found", "not-acceptable"), "the condition"
    )


@check("7.5", MUST, "A private message comes from the sender's occupant JID.")
async def private_message_arrives(scene: Scene) -> None:
    romeo, juliet, room = await _inside(scene)
    await juliet.send(f"<message to='{room}/Romeo' type='chat' id='p'><body>psst</body></message>")
    seen = await romeo.expect("c:message/c:body", type="chat", from_=f"{room}/Juliet")
    require_equal(text(seen, "c:body"), "psst", "the body")


@check("7.5", SHOULD, "A private message is marked with <x/> of muc#user.")
async def private_message_is_marked(scene: Scene) -> None:
    romeo, juliet, room = await _inside(scene)
    await juliet.send(f"<message to='{room}/Romeo' type='chat' id='p'><body>psst</body></message>")
    seen = await romeo.expect("c:message/c:body", type="chat", from_=f"{room}/Juliet")
    require(find(seen, "mucuser:x") is not None, "the mark is missing")


@check("7.5", MUST, "A message of type groupchat to one occupant is a bad request.")
async def groupchat_to_an_occupant_is_refused(scene: Scene) -> None:
    _, juliet, room = await _inside(scene)
    await juliet.send(f"<message to='{room}/Romeo' type='groupchat' id='p'><body>x</body></message>")
    require_equal(condition(await juliet.expect("c:message", type="error")), "bad-request", "the condition")


@check("7.5", MUST, "A private message to a nickname that nobody has is item-not-found.")
async def private_message_to_nobody_is_refused(scene: Scene) -> None:
    _, juliet, room = await _inside(scene)
    await juliet.send(f"<message to='{room}/Nobody' type='chat' id='p'><body>x</body></message>")
    require_equal(condition(await juliet.expect("c:message", type="error")), "item-not-found", "the condition")


@check("7.5", MUST, "A private message of one who is not there is refused with not-acceptable.")
async def private_message_of_a_stranger_is_refused(scene: Scene) -> None:
    _, _, room = await _inside(scene)
    stranger = await scene.online("mercutio")
    await stranger.send(f"<message to='{room}/Romeo' type='chat' id='p'><body>x</body></message>")
    require_equal(condition(await stranger.expect("c:message", type="error")), "not-acceptable", "the condition")


@check("8.1", MUST, "A moderator changes the subject, and newcomers get it.")
async def subject_is_changed(scene: Scene) -> None:
    romeo, juliet, room = await _inside(scene)
    await romeo.send(f"<message to='{room}' type='groupchat' id='s'><subject>Swords</subject></message>")
    seen = await juliet.expect("c:message/c:subject", type="groupchat", from_=f"{room}/Romeo")
    require_equal(text(seen, "c:subject"), "Swords", "the subject")
    other = await scene.online("mercutio")
    await other.send(f"<presence to='{room}/Mercutio'><x xmlns='{MUC}'/></presence>")
    seen = await other.expect("c:message/c:subject", type="groupchat")
    require_equal(text(seen, "c:subject"), "Swords", "the subject that a newcomer gets")


@check("8.1", MUST, "Who may not change the subject is refused with forbidden.")
async def subject_is_protected(scene: Scene) -> None:
    _, juliet, room = await _inside(scene, changesubject="0")
    await juliet.send(f"<message to='{room}' type='groupchat' id='s'><subject>Swords</subject></message>")
    require_equal(condition(await juliet.expect("c:message", type="error")), "forbidden", "the condition")


# invitations


@check("7.8.2", MUST, "An invitation through the room names who invited, and the reason.")
async def invitation_arrives(scene: Scene) -> None:
    await scene.strangers("romeo", "mercutio")
    romeo, _, room = await _inside(scene)
    guest = await scene.online("mercutio")
    inner = f"<invite to={quoteattr(guest.bare)}><reason>come</reason></invite>"
    await romeo.send(f"<message to='{room}' id='i'><x xmlns='{MUC}#user'>{inner}</x></message>")
    seen = await guest.expect("c:message/mucuser:x", from_=room)
    invite = find(seen, "mucuser:x/mucuser:invite")
    require(invite is not None and invite.get("from"), "the invitation does not name who invited")
    require_equal(text(seen, "mucuser:x/mucuser:invite/mucuser:reason"), "come", "the reason")


@check("7.8.2", MUST, "A decline reaches who invited.")
async def decline_arrives(scene: Scene) -> None:
    await scene.strangers("romeo", "mercutio")
    romeo, _, room = await _inside(scene)
    guest = await scene.online("mercutio")
    await romeo.send(
        f"<message to='{room}' id='i'><x xmlns='{MUC}#user'><invite to={quoteattr(guest.bare)}/></x></message>"
    )
    seen = await guest.expect("c:message/mucuser:x", from_=room)
    invite = find(seen, "mucuser:x/mucuser:invite")
    by = romeo.bare if invite is None else invite.get("from", "")
    inner = f"<decline to={quoteattr(by)}><reason>no</reason></decline>"
    await guest.send(f"<message to='{room}' id='d'><x xmlns='{MUC}#user'>{inner}</x></message>")
    answer = await romeo.expect(
        "c:message/mucuser:x", from_=room, where=lambda el: find(el, "mucuser:x/mucuser:decline") is not None
    )
    require_equal(text(answer, "mucuser:x/mucuser:decline/mucuser:reason"), "no", "the reason")


@check("7.8.2", SHOULD, "Into a room for members, who is no admin cannot invite.")
async def members_cannot_invite(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    room = await room_of(scene, romeo, membersonly="1", allowinvites="0")
    await romeo.ask("set", admin_query(f"jid={quoteattr(juliet.bare)} affiliation='member'"), to=room)
    await enter(juliet, room, "Juliet")
    inner = f"<invite to={quoteattr(scene.jid('mercutio'))}/>"
    await juliet.send(f"<message to='{room}' id='i'><x xmlns='{MUC}#user'>{inner}</x></message>")
    require_in(condition(await juliet.expect("c:message", type="error")), ("forbidden", "not-allowed"), "the condition")


# voice and registration


@check("8.6", SHOULD, "A request for voice comes to the moderators as a form, and its approval gives voice.")
async def voice_is_requested_and_given(scene: Scene) -> None:
    romeo, juliet, room = await _inside(scene, moderatedroom="1")
    fields = f"<field var='FORM_TYPE'><value>{MUC}#request</value></field><field var='muc#role'><value>participant</value></field>"
    await juliet.send(f"<message to='{room}' id='v'><x xmlns='jabber:x:data' type='submit'>{fields}</x></message>")
    question = await romeo.expect("c:message/data:x", from_=room)
    values = {el.get("var"): text(el, "data:value") for el in find_all(question, "data:x/data:field")}
    require_equal(values.get("muc#roomnick"), "Juliet", "the nickname in the form")
    fields += f"<field var='muc#jid'><value>{juliet.jid}</value></field><field var='muc#roomnick'><value>Juliet</value></field>"
    fields += "<field var='muc#request_allow'><value>true</value></field>"
    await romeo.send(f"<message to='{room}' id='a'><x xmlns='jabber:x:data' type='submit'>{fields}</x></message>")
    own = await juliet.expect("c:presence", from_=f"{room}/Juliet")
    require_equal(item_of(own).get("role"), "participant", "the role")


@check("7.10", SHOULD, "Who registers becomes a member, and its nickname is refused to others with conflict.")
async def registration_reserves_a_nickname(scene: Scene) -> None:
    _, juliet, room = await _inside(scene)
    query = "<query xmlns='jabber:iq:register'>{}</query>"
    form = await juliet.iq("get", query.format(""), to=room)
    if form.get("type") == "error":
        raise NotPossible(f"the room takes no registrations: {condition(form)}")
    fields = f"<field var='FORM_TYPE'><value>{MUC}#register</value></field><field var='muc#register_roomnick'><value>Juliet</value></field>"
    await juliet.ask("set", query.format(f"<x xmlns='jabber:x:data' type='submit'>{fields}</x>"), to=room)
    await juliet.send(f"<presence to='{room}/Juliet' type='unavailable'/>")
    await juliet.expect("c:presence", from_=f"{room}/Juliet", type="unavailable")
    other = await scene.online("mercutio")
    require_equal(condition(await refused(other, room, "Juliet")), "conflict", "the condition")


@check("7.12", SHOULD, "Who has no reserved nickname is told so with an empty answer, or that it cannot be asked.")
async def reserved_nickname_can_be_asked_for(scene: Scene) -> None:
    _, juliet, room = await _inside(scene)
    query = "<query xmlns='http://jabber.org/protocol/disco#info' node='x-roomuser-item'/>"
    reply = await juliet.iq("get", query, to=room)
    if reply.get("type") == "error":
        require_in(condition(reply), ("feature-not-implemented", "item-not-found"), "the condition")
    else:
        require_equal(find_all(reply, "disco:query/disco:identity"), [], "the identities")
