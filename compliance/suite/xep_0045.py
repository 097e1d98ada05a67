"""XEP-0045: discovering rooms, entering, being there and leaving (§6, §7.2, §7.6, §7.7, §7.14)."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, NotPossible, checks_of, require, require_equal, require_in
from compliance.client import Client
from compliance.names import condition, find, find_all, text
from compliance.rooms import (
    INFO,
    ITEMS,
    MUC,
    admin_query,
    codes,
    configure,
    enter,
    entry,
    features_of,
    item_of,
    refused,
    room_of,
    say,
    service_of,
)
from compliance.scene import Scene

check = checks_of("XEP-0045")


async def _two(scene: Scene, **fields: str) -> tuple[Client, Client, str]:
    """Return romeo, who owns a room and is in it, juliet, who is not, and the room."""
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    return romeo, juliet, await room_of(scene, romeo, **fields)


# discovering


@check("6.2", MUST, "A service of rooms says that it is one, as conference/text.")
async def service_describes_itself(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    reply = await romeo.ask("get", INFO, to=await service_of(romeo))
    kinds = {(el.get("category"), el.get("type")) for el in find_all(reply, "disco:query/disco:identity")}
    require(("conference", "text") in kinds, "there is no identity conference/text")


@check("6.3", SHOULD, "A public room is listed by its service, a hidden one is not.")
async def public_rooms_are_listed(scene: Scene) -> None:
    romeo, _, room = await _two(scene, publicroom="1")
    service = room.partition("@")[2]

    async def listed() -> bool:
        reply = await romeo.ask("get", ITEMS, to=service)
        return room in {el.get("jid") for el in find_all(reply, "items:query/items:item")}

    require(await listed(), "the public room is not listed")
    await configure(romeo, room, publicroom="0")
    require(not await listed(), "the hidden room is listed")


@check("6.4", MUST, "A room names its types among its features, and they follow its settings.")
async def room_names_its_types(scene: Scene) -> None:
    romeo, _, room = await _two(scene, membersonly="0", moderatedroom="0")
    before = await features_of(romeo, room)
    require(MUC in before, "the room does not offer the protocol")
    require({"muc_open", "muc_unmoderated"} <= before, "an open, unmoderated room does not say so")
    await configure(romeo, room, membersonly="1", moderatedroom="1")
    require({"muc_membersonly", "muc_moderated"} <= await features_of(romeo, room), "its features are as before")


# entering


@check(
    "10.1.1", MUST, "Who enters a room that does not exist makes it, and learns so with codes 110 and 201 as its owner."
)
async def entering_makes_a_room(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    room = f"compliance-new@{await service_of(romeo)}"
    scene.at_the_end(lambda: romeo.iq("set", f"<query xmlns='{MUC}#owner'><destroy/></query>", to=room))
    await romeo.send(entry(room, "Romeo"))
    own = await romeo.expect("c:presence", from_=f"{room}/Romeo")
    if own.get("type") == "error":
        raise NotPossible("the account may not make rooms")
    require(codes(own) >= {110, 201}, f"the codes are {sorted(codes(own))}")
    require_equal((item_of(own).get("affiliation"), item_of(own).get("role")), ("owner", "moderator"), "the item")


@check("7.2.10", MUST, "A new room is locked until its owner has set it up.")
async def new_room_is_locked(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    room = f"compliance-locked@{await service_of(romeo)}"
    scene.at_the_end(lambda: romeo.iq("set", f"<query xmlns='{MUC}#owner'><destroy/></query>", to=room))
    await romeo.send(entry(room, "Romeo"))
    own = await romeo.expect("c:presence", from_=f"{room}/Romeo")
    if 201 not in codes(own):
        raise NotPossible("the account may not make rooms")
    require_equal(condition(await refused(juliet, room, "Juliet")), "item-not-found", "the condition")
    await configure(romeo, room)
    await enter(juliet, room, "Juliet")


@check("7.2.2", MUST, "A newcomer gets the others' presence before its own, and they get the newcomer's.")
async def presence_comes_in_order(scene: Scene) -> None:
    romeo, juliet, room = await _two(scene)
    await juliet.send(entry(room, "Juliet"))
    first = await juliet.expect("c:presence", where=lambda el: el.get("from", "").startswith(room))
    require_equal(first.get("from"), f"{room}/Romeo", "whose presence came first")
    own = await juliet.expect("c:presence", from_=f"{room}/Juliet")
    require(110 in codes(own), "the own presence lacks code 110")
    seen = await romeo.expect("c:presence", from_=f"{room}/Juliet")
    require_equal((item_of(seen).get("affiliation"), item_of(seen).get("role")), ("none", "participant"), "the item")
    require(110 not in codes(seen), "another's presence has code 110")


@check("7.2.15", MUST, "A newcomer gets the subject last, an empty one when there is none.")
async def subject_ends_the_entry(scene: Scene) -> None:
    romeo, juliet, room = await _two(scene)
    await say(romeo, room, "history")
    await juliet.send(entry(room, "Juliet"))
    subject = await juliet.expect("c:message/c:subject", type="groupchat")
    require(find(subject, "c:body") is None, "the subject has a body")
    require_equal(text(subject, "c:subject"), "", "the subject")
    require_equal(len(juliet.unread("c:message/c:body", type="groupchat")), 1, "the messages before it")


@check(
    "7.2.3",
    MUST,
    "In a room that is not anonymous real JIDs are in all presence, and newcomers are warned with code 100.",
)
async def non_anonymous_room_shows_jids(scene: Scene) -> None:
    romeo, juliet, room = await _two(scene, whois="anyone")
    own = await enter(juliet, room, "Juliet")
    require(100 in codes(own), "code 100 is missing")
    seen = await juliet.expect("c:presence", from_=f"{room}/Romeo")
    require_equal(item_of(seen).get("jid"), romeo.jid, "the owner's real JID")


@check("7.2.4", MUST, "In a semi-anonymous room real JIDs are shown to moderators, and to nobody else.")
async def semi_anonymous_room_hides_jids(scene: Scene) -> None:
    romeo, juliet, room = await _two(scene, whois="moderators")
    await enter(juliet, room, "Juliet")
    seen = await juliet.expect("c:presence", from_=f"{room}/Romeo")
    require(item_of(seen).get("jid") is None, "a participant sees a real JID")
    seen = await romeo.expect("c:presence", from_=f"{room}/Juliet")
    require_equal(item_of(seen).get("jid"), juliet.jid, "the real JID that the moderator sees")


@check("7.2.5", MUST, "A room with a password refuses who does not give it with not-authorized.")
async def password_is_asked_for(scene: Scene) -> None:
    _, juliet, room = await _two(scene, passwordprotectedroom="1", roomsecret="rose")
    for inner in ("", "<password>thorn</password>"):
        require_equal(condition(await refused(juliet, room, "Juliet", inner)), "not-authorized", "the condition")
    await enter(juliet, room, "Juliet", "<password>rose</password>")


@check("7.2.6", MUST, "A room for members refuses others with registration-required.")
async def members_only_room_refuses_others(scene: Scene) -> None:
    romeo, juliet, room = await _two(scene, membersonly="1")
    require_equal(condition(await refused(juliet, room, "Juliet")), "registration-required", "the condition")
    await romeo.ask("set", admin_query(f"jid={quoteattr(juliet.bare)} affiliation='member'"), to=room)
    own = await enter(juliet, room, "Juliet")
    require_equal(item_of(own).get("affiliation"), "member", "the affiliation")


@check("7.2.7", MUST, "Who is banned is refused with forbidden.")
async def banned_are_refused(scene: Scene) -> None:
    romeo, juliet, room = await _two(scene)
    await romeo.ask("set", admin_query(f"jid={quoteattr(juliet.bare)} affiliation='outcast'"), to=room)
    require_equal(condition(await refused(juliet, room, "Juliet")), "forbidden", "the condition")


@check("7.2.8", MUST, "A nickname that another has is refused with conflict.")
async def nickname_in_use_is_a_conflict(scene: Scene) -> None:
    _, juliet, room = await _two(scene)
    require_equal(condition(await refused(juliet, room, "Romeo")), "conflict", "the condition")


@check("7.2.8", SHOULD, "Another client of the same account may enter under the same nickname; messages reach both.")
async def two_clients_share_a_nickname(scene: Scene) -> None:
    romeo, _, room = await _two(scene)
    other = await scene.online("romeo", label="romeo elsewhere")
    await enter(other, room, "Romeo")
    await say(romeo, room, "to both")
    await other.expect("c:message/c:body", type="groupchat", from_=f"{room}/Romeo")


@check("7.2.1", MUST, "Presence to a room without a nickname is refused with jid-malformed.")
async def nickname_is_needed(scene: Scene) -> None:
    _, juliet, room = await _two(scene)
    await juliet.send(f"<presence to='{room}'><x xmlns='{MUC}'/></presence>")
    error = await juliet.expect("c:presence", type="error")
    require_in(condition(error), ("jid-malformed", "bad-request"), "the condition")


@check(
    "7.2.19", SHOULD, "Presence of one who is not there, without the wish to enter, is answered with codes 110 and 333."
)
async def presence_update_of_a_stranger_is_a_kick(scene: Scene) -> None:
    _, juliet, room = await _two(scene)
    await juliet.send(f"<presence to='{room}/Juliet'/>")
    away = await juliet.expect("c:presence", from_=f"{room}/Juliet", type="unavailable")
    require(codes(away) >= {110, 333}, f"the codes are {sorted(codes(away))}")


@check("7.2.13", SHOULD, "Newcomers get what was said lately, with when and by whom.")
async def history_is_delayed(scene: Scene) -> None:
    romeo, juliet, room = await _two(scene)
    await say(romeo, room, "before")
    await enter(juliet, room, "Juliet")
    old = await juliet.expect("c:message/c:body", from_=f"{room}/Romeo")
    delay = find(old, "delay:delay")
    require(delay is not None and delay.get("stamp"), "the message does not say when it was sent")


@check("7.2.14", SHOULD, "A newcomer that wants no history gets none, and one that wants one message gets the last.")
async def history_is_limited_by_wish(scene: Scene) -> None:
    romeo, juliet, room = await _two(scene)
    await say(romeo, room, "one")
    await say(romeo, room, "two")
    await enter(juliet, room, "Juliet", "<history maxstanzas='0'/>")
    juliet.refuse("c:message/c:body", type="groupchat", why="history was sent that was not wanted")
    other = await scene.online("mercutio")
    await enter(other, room, "Mercutio", "<history maxstanzas='1'/>")
    bodies = [text(el, "c:body") for el in other.unread("c:message/c:body", type="groupchat")]
    require_equal(bodies, ["two"], "the history")


# being there


@check(
    "7.6", MUST, "A change of nickname is an unavailable presence with code 303 and the new one, then the new presence."
)
async def nickname_change_is_announced(scene: Scene) -> None:
    romeo, juliet, room = await _two(scene)
    await enter(juliet, room, "Juliet")
    await juliet.send(f"<presence to='{room}/Capulet'/>")
    for client in (romeo, juliet):
        gone = await client.expect("c:presence", from_=f"{room}/Juliet", type="unavailable")
        require(303 in codes(gone), f"{client.name} got no code 303")
        require_equal(item_of(gone).get("nick"), "Capulet", "the new nickname")
        await client.expect("c:presence", from_=f"{room}/Capulet", type="")


@check("7.6", MUST, "A change to a nickname that another has is refused with conflict.")
async def nickname_change_can_conflict(scene: Scene) -> None:
    _, juliet, room = await _two(scene)
    await enter(juliet, room, "Juliet")
    await juliet.send(f"<presence to='{room}/Romeo'/>")
    error = await juliet.expect("c:presence", type="error")
    require_equal(condition(error), "conflict", "the condition")


@check("7.7", MUST, "Another availability is passed on with role and affiliation.")
async def availability_is_passed_on(scene: Scene) -> None:
    romeo, juliet, room = await _two(scene)
    await enter(juliet, room, "Juliet")
    await juliet.send(f"<presence to='{room}/Juliet'><show>xa</show></presence>")
    seen = await romeo.expect("c:presence/c:show", from_=f"{room}/Juliet")
    require_equal((text(seen, "c:show"), item_of(seen).get("role")), ("xa", "participant"), "the presence")


@check("17.3", MUST, "Items and codes that an occupant makes up are not passed on.")
async def made_up_items_are_dropped(scene: Scene) -> None:
    romeo, juliet, room = await _two(scene)
    await enter(juliet, room, "Juliet")
    fake = f"<x xmlns='{MUC}#user'><item affiliation='owner' role='moderator'/><status code='307'/></x>"
    await juliet.send(f"<presence to='{room}/Juliet'><show>dnd</show>{fake}</presence>")
    seen = await romeo.expect("c:presence/c:show", from_=f"{room}/Juliet")
    require_equal(len(find_all(seen, "mucuser:x/mucuser:item")), 1, "the number of items")
    require_equal(item_of(seen).get("affiliation"), "none", "the affiliation")
    require(307 not in codes(seen), "a made-up code was passed on")


@check("7.14", MUST, "Who leaves gets code 110 and role none, and the others see it leave.")
async def leaving_is_announced(scene: Scene) -> None:
    romeo, juliet, room = await _two(scene)
    await enter(juliet, room, "Juliet")
    await juliet.send(f"<presence to='{room}/Juliet' type='unavailable'><status>bye</status></presence>")
    own = await juliet.expect("c:presence", from_=f"{room}/Juliet", type="unavailable")
    require(110 in codes(own), "code 110 is missing")
    seen = await romeo.expect("c:presence", from_=f"{room}/Juliet", type="unavailable")
    require_equal((item_of(seen).get("role"), text(seen, "c:status")), ("none", "bye"), "role and status")


@check("7.14", MUST, "A client that is cut off leaves the room.")
async def lost_client_leaves(scene: Scene) -> None:
    romeo, juliet, room = await _two(scene)
    await enter(juliet, room, "Juliet")
    await juliet.close()
    await romeo.expect("c:presence", from_=f"{room}/Juliet", type="unavailable")
