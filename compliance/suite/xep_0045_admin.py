"""XEP-0045: what moderators, admins and owners do (§8, §9, §10)."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, checks_of, require, require_equal, require_in
from compliance.client import Client
from compliance.names import condition, find, find_all, text
from compliance.rooms import MUC, admin_query, codes, configure, enter, item_of, room_of
from compliance.scene import Scene

check = checks_of("XEP-0045")


async def _three(scene: Scene, **fields: str) -> tuple[Client, Client, Client, str]:
    """Return romeo, who owns a room, juliet and mercutio, all in it."""
    romeo, juliet, mercutio = [await scene.online(name) for name in ("romeo", "juliet", "mercutio")]
    room = await room_of(scene, romeo, **fields)
    await enter(juliet, room, "Juliet")
    await enter(mercutio, room, "Mercutio")
    for client, last in ((romeo, "Mercutio"), (juliet, "Mercutio")):
        await client.expect("c:presence", from_=f"{room}/{last}")
        client.inbox.clear()
    mercutio.inbox.clear()
    return romeo, juliet, mercutio, room


def _affiliation(client: Client, affiliation: str) -> str:
    return admin_query(f"jid={quoteattr(client.bare)} affiliation='{affiliation}'")


@check("8.2", MUST, "A kick removes an occupant with code 307, for all to see.")
async def kick_removes(scene: Scene) -> None:
    romeo, juliet, mercutio, room = await _three(scene)
    await romeo.ask("set", admin_query("nick='Juliet' role='none'"), to=room)
    for client in (juliet, mercutio):
        gone = await client.expect("c:presence", from_=f"{room}/Juliet", type="unavailable")
        require(307 in codes(gone), f"{client.name} got no code 307")
        require_equal(item_of(gone).get("role"), "none", "the role")


@check("8.2", MUST, "Who is no moderator cannot kick, and a moderator cannot kick who stands above it.")
async def kick_is_for_those_above(scene: Scene) -> None:
    romeo, juliet, mercutio, room = await _three(scene)
    reply = await juliet.iq("set", admin_query("nick='Mercutio' role='none'"), to=room)
    require_in(condition(reply), ("forbidden", "not-allowed"), "the condition for a participant")
    await romeo.ask("set", admin_query("nick='Juliet' role='moderator'"), to=room)
    reply = await juliet.iq("set", admin_query("nick='Romeo' role='none'"), to=room)
    require_equal(condition(reply), "not-allowed", "the condition for a moderator")
    await scene.settle(juliet, mercutio)
    mercutio.refuse("c:presence", type="unavailable", why="somebody was kicked")


@check("8.3", MUST, "Voice is granted and revoked, and all see the new role.")
async def voice_is_granted_and_revoked(scene: Scene) -> None:
    romeo, _, mercutio, room = await _three(scene, moderatedroom="1")
    for role in ("participant", "visitor"):
        await romeo.ask("set", admin_query(f"nick='Juliet' role='{role}'"), to=room)
        seen = await mercutio.expect("c:presence", from_=f"{room}/Juliet")
        require_equal(item_of(seen).get("role"), role, "the role")


@check("8.4", MUST, "Voice cannot be revoked from an owner.")
async def owners_keep_their_voice(scene: Scene) -> None:
    romeo, juliet, _, room = await _three(scene)
    await romeo.ask("set", _affiliation(juliet, "admin"), to=room)
    reply = await juliet.iq("set", admin_query("nick='Romeo' role='visitor'"), to=room)
    require_equal(condition(reply), "not-allowed", "the condition")


@check("9.1", MUST, "A ban removes an occupant with code 301 and keeps the account out.")
async def ban_removes(scene: Scene) -> None:
    romeo, juliet, mercutio, room = await _three(scene)
    await romeo.ask("set", _affiliation(juliet, "outcast"), to=room)
    for client in (juliet, mercutio):
        gone = await client.expect("c:presence", from_=f"{room}/Juliet", type="unavailable")
        require(301 in codes(gone), f"{client.name} got no code 301")
        require_equal(item_of(gone).get("affiliation"), "outcast", "the affiliation")


@check("9.1", MUST, "An admin cannot ban an owner, nor an owner itself.")
async def ban_has_its_limits(scene: Scene) -> None:
    romeo, juliet, _, room = await _three(scene)
    await romeo.ask("set", _affiliation(juliet, "admin"), to=room)
    require_equal(
        condition(await juliet.iq("set", _affiliation(romeo, "outcast"), to=room)), "not-allowed", "the admin's"
    )
    reply = await romeo.iq("set", _affiliation(romeo, "outcast"), to=room)
    require_in(condition(reply), ("conflict", "not-allowed"), "the owner's")


@check("9.2", MUST, "The list of the banned is given to admins alone.")
async def ban_list_is_for_admins(scene: Scene) -> None:
    romeo, juliet, _, room = await _three(scene)
    banned = f"somebody@{scene.domain}"
    await romeo.ask("set", admin_query(f"jid='{banned}' affiliation='outcast'"), to=room)
    listed = await romeo.ask("get", admin_query("affiliation='outcast'"), to=room)
    items = [(el.get("jid"), el.get("affiliation")) for el in find_all(listed, "mucadmin:query/mucadmin:item")]
    require_equal(items, [(banned, "outcast")], "the list")
    reply = await juliet.iq("get", admin_query("affiliation='outcast'"), to=room)
    require_equal(condition(reply), "forbidden", "the condition for others")


@check("9.3", MUST, "Membership is granted, and all see it.")
async def membership_is_granted(scene: Scene) -> None:
    romeo, juliet, mercutio, room = await _three(scene)
    await romeo.ask("set", _affiliation(juliet, "member"), to=room)
    seen = await mercutio.expect("c:presence", from_=f"{room}/Juliet")
    require_equal(item_of(seen).get("affiliation"), "member", "the affiliation")


@check("9.4", MUST, "Who loses membership leaves a room for members with code 321.")
async def lost_membership_removes(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    room = await room_of(scene, romeo, membersonly="1")
    await romeo.ask("set", _affiliation(juliet, "member"), to=room)
    await enter(juliet, room, "Juliet")
    await romeo.ask("set", _affiliation(juliet, "none"), to=room)
    gone = await juliet.expect("c:presence", from_=f"{room}/Juliet", type="unavailable")
    require(321 in codes(gone), "code 321 is missing")


@check("9.6", MUST, "An admin makes a moderator, who then sees real JIDs.")
async def moderator_is_made(scene: Scene) -> None:
    romeo, juliet, mercutio, room = await _three(scene)
    await romeo.ask("set", admin_query("nick='Juliet' role='moderator'"), to=room)
    seen = await mercutio.expect("c:presence", from_=f"{room}/Juliet")
    require_equal(item_of(seen).get("role"), "moderator", "the role")
    await mercutio.send(f"<presence to='{room}/Mercutio'><show>away</show></presence>")
    seen = await juliet.expect("c:presence/c:show", from_=f"{room}/Mercutio")
    require_equal(item_of(seen).get("jid"), mercutio.jid, "the real JID")


@check("9.7", MUST, "An owner's moderator status cannot be revoked.")
async def owners_stay_moderators(scene: Scene) -> None:
    romeo, juliet, _, room = await _three(scene)
    await romeo.ask("set", _affiliation(juliet, "admin"), to=room)
    reply = await juliet.iq("set", admin_query("nick='Romeo' role='participant'"), to=room)
    require_equal(condition(reply), "not-allowed", "the condition")


@check("17.4", MUST, "A request that changes role and affiliation of one item is a bad request.")
async def role_and_affiliation_together_are_refused(scene: Scene) -> None:
    romeo, juliet, _, room = await _three(scene)
    item = f"nick='Juliet' jid={quoteattr(juliet.bare)} role='visitor' affiliation='member'"
    require_equal(condition(await romeo.iq("set", admin_query(item), to=room)), "bad-request", "the condition")


@check("10.2", MUST, "The form of settings is for owners.")
async def settings_are_for_owners(scene: Scene) -> None:
    romeo, juliet, _, room = await _three(scene)
    query = f"<query xmlns='{MUC}#owner'/>"
    form = await romeo.ask("get", query, to=room)
    types = [
        text(el, "data:value")
        for el in find_all(form, "mucowner:query/data:x/data:field")
        if el.get("var") == "FORM_TYPE"
    ]
    require_equal(types, [f"{MUC}#roomconfig"], "the FORM_TYPE")
    require_equal(condition(await juliet.iq("get", query, to=room)), "forbidden", "the condition for others")


@check("10.2.1", MUST, "Occupants are told with a code when the room stops being semi-anonymous.")
async def change_of_anonymity_is_told(scene: Scene) -> None:
    romeo, juliet, _, room = await _three(scene, whois="moderators")
    await configure(romeo, room, whois="anyone")
    notice = await juliet.expect("c:message/mucuser:x", from_=room, type="groupchat")
    require(172 in codes(notice), f"the codes are {sorted(codes(notice))}")


@check("10.2.1", SHOULD, "Occupants are told of other changes with code 104.")
async def other_changes_are_told(scene: Scene) -> None:
    romeo, juliet, _, room = await _three(scene)
    await configure(romeo, room, roomname="Another name")
    notice = await juliet.expect("c:message/mucuser:x", from_=room, type="groupchat")
    require(104 in codes(notice), f"the codes are {sorted(codes(notice))}")


@check("10.3", MUST, "Owners make owners; admins cannot.")
async def owners_make_owners(scene: Scene) -> None:
    romeo, juliet, mercutio, room = await _three(scene)
    await romeo.ask("set", _affiliation(juliet, "admin"), to=room)
    require_in(
        condition(await juliet.iq("set", _affiliation(mercutio, "owner"), to=room)),
        ("forbidden", "not-allowed"),
        "the admin's",
    )
    await romeo.ask("set", _affiliation(mercutio, "owner"), to=room)
    await juliet.expect(
        "c:presence", from_=f"{room}/Mercutio", where=lambda el: item_of(el).get("affiliation") == "owner"
    )


@check("10.4", SHOULD, "A room keeps one owner at least.")
async def last_owner_stays(scene: Scene) -> None:
    romeo, _, _, room = await _three(scene)
    reply = await romeo.iq("set", _affiliation(romeo, "admin"), to=room)
    require_in(condition(reply), ("conflict", "not-allowed"), "the condition")


@check("10.9", MUST, "An owner destroys a room: each occupant learns where to go and why.")
async def room_is_destroyed(scene: Scene) -> None:
    romeo, juliet, mercutio, room = await _three(scene)
    venue = f"elsewhere@{room.partition('@')[2]}"
    end = f"<query xmlns='{MUC}#owner'><destroy jid='{venue}'><reason>fire</reason></destroy></query>"
    require_equal(condition(await juliet.iq("set", end, to=room)), "forbidden", "the condition for others")
    await romeo.ask("set", end, to=room)
    for client, nick in ((juliet, "Juliet"), (mercutio, "Mercutio")):
        gone = await client.expect("c:presence", from_=f"{room}/{nick}", type="unavailable")
        destroy = find(gone, "mucuser:x/mucuser:destroy")
        require(destroy is not None, "the presence holds no <destroy/>")
        assert destroy is not None
        require_equal((destroy.get("jid"), text(destroy, "mucuser:reason")), (venue, "fire"), "where and why")


@check("10.1.3", MUST, "A persistent room stays when its last occupant has left; a temporary one does not.")
async def persistence_is_kept(scene: Scene) -> None:
    romeo = await scene.online("romeo")
    for persistent, made_anew in (("1", False), ("0", True)):
        room = await room_of(scene, romeo, persistentroom=persistent)
        await romeo.send(f"<presence to='{room}/Romeo' type='unavailable'/>")
        await romeo.expect("c:presence", from_=f"{room}/Romeo", type="unavailable")
        await romeo.send(f"<presence to='{room}/Romeo'><x xmlns='{MUC}'/></presence>")
        own = await romeo.expect("c:presence", from_=f"{room}/Romeo")
        require_equal(201 in codes(own), made_anew, f"whether a room with persistentroom={persistent} was made anew")
        await configure(romeo, room)
