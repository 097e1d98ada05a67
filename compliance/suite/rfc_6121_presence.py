"""RFC 6121 §4: presence, who gets it and when."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import text
from compliance.scene import Scene

check = checks_of("RFC 6121")


async def _friends(scene: Scene) -> tuple[Client, Client]:
    """Return romeo and juliet, subscribed to each other and both available."""
    await scene.friends("romeo", "juliet")
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    await romeo.expect("c:presence", from_=juliet.jid)
    return romeo, juliet


@check("4.2.2", MUST, "Initial presence is sent to those who are subscribed, from the full JID.")
async def initial_presence_reaches_subscribers(scene: Scene) -> None:
    await scene.friends("romeo", "juliet")
    romeo = await scene.online("romeo")
    juliet = await scene.login("juliet")
    await juliet.send("<presence/>")
    presence = await romeo.expect("c:presence", from_=juliet.jid, type="")
    require_equal((presence.get("to") or "").partition("/")[0], romeo.bare, "the to of the presence")


@check("4.2.2", MUST, "Initial presence is sent to all of the account's own resources, the sender included.")
async def initial_presence_reaches_own_resources(scene: Scene) -> None:
    first = await scene.online("romeo", label="romeo 1")
    second = await scene.login("romeo", label="romeo 2")
    await second.send("<presence/>")
    await first.expect("c:presence", from_=second.jid, type="")
    await second.expect("c:presence", from_=second.jid, type="")


@check("4.3.1", MUST, "One who becomes available gets the presence of the contacts he is subscribed to.")
async def contacts_presence_comes_at_login(scene: Scene) -> None:
    await scene.friends("romeo", "juliet")
    juliet = await scene.online("juliet", show="away")
    romeo = await scene.login("romeo")
    await romeo.send("<presence/>")
    presence = await romeo.expect("c:presence", from_=juliet.jid, type="")
    require_equal(text(presence, "c:show"), "away", "the show of the presence")


@check("4.2.2", MUST, "Presence is not sent to those who are not subscribed.")
async def strangers_get_no_presence(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo, juliet = await scene.online("romeo"), await scene.login("juliet")
    await scene.appear(juliet)
    await scene.settle(juliet, romeo)
    romeo.refuse("c:presence", from_=juliet.jid, why="a stranger's presence was sent")


@check("4.2.3", MUST, "A resource that has sent no presence gets none of its contacts'.")
async def silent_resources_get_no_presence(scene: Scene) -> None:
    await scene.friends("romeo", "juliet")
    romeo, juliet = await scene.login("romeo"), await scene.online("juliet")
    await juliet.send("<presence><show>away</show></presence>")
    await scene.settle(juliet, romeo)
    romeo.refuse("c:presence", from_=juliet.jid, why="presence came to a resource that is not available")


@check("4.4.2", MUST, "Later presence is broadcast with all that is in it.")
async def later_presence_is_broadcast_whole(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    extension = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:example:n' ver='abc='/>"
    await juliet.send(f"<presence><show>xa</show><status>asleep</status><priority>3</priority>{extension}</presence>")
    presence = await romeo.expect("c:presence", from_=juliet.jid, where=lambda el: text(el, "c:show") == "xa")
    require_equal(text(presence, "c:status"), "asleep", "the status")
    require_equal(text(presence, "c:priority"), "3", "the priority")
    require(presence.find("{http://jabber.org/protocol/caps}c") is not None, "the extension is gone")


@check("4.5.2", MUST, "Unavailable presence is broadcast to subscribers, with its words.")
async def unavailable_is_broadcast(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    await juliet.send("<presence type='unavailable'><status>good night</status></presence>")
    presence = await romeo.expect("c:presence", from_=juliet.jid, type="unavailable")
    require_equal(text(presence, "c:status"), "good night", "the status")


@check("4.5.2", MUST, "When a stream ends without a word, the server says unavailable in its place.")
async def ending_the_stream_is_unavailable(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    await juliet.send("</stream:stream>")
    await romeo.expect("c:presence", from_=juliet.jid, type="unavailable")


@check("4.5.2", MUST, "When a connection breaks, the server says unavailable in its place.")
async def losing_the_connection_is_unavailable(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    juliet.abort()
    await romeo.expect("c:presence", from_=juliet.jid, type="unavailable")


@check("4.5.2", MUST, "One resource's leaving says nothing of the others.")
async def other_resources_stay_available(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    other = await scene.online("juliet", label="juliet 2")
    await romeo.expect("c:presence", from_=other.jid)
    await juliet.send("<presence type='unavailable'/>")
    await romeo.expect("c:presence", from_=juliet.jid, type="unavailable")
    await scene.settle(other, romeo)
    romeo.refuse("c:presence", from_=other.jid, type="unavailable", why="the other resource was declared unavailable")


# -- probes


@check("4.3.2", MUST, "A subscriber's probe is answered with the presence last broadcast.")
async def probe_of_a_subscriber_is_answered(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    await juliet.send("<presence><show>chat</show></presence>")
    await romeo.expect("c:presence", from_=juliet.jid, where=lambda el: text(el, "c:show") == "chat")
    await romeo.send(f"<presence type='probe' to={quoteattr(juliet.bare)}/>")
    presence = await romeo.expect("c:presence", from_=juliet.jid, type="")
    require_equal(text(presence, "c:show"), "chat", "the show of the presence")


@check("4.3.2", MUST, "A stranger's probe gives nothing away, and does not reach the client.")
async def probe_of_a_stranger_gives_nothing_away(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    await romeo.send(f"<presence type='probe' to={quoteattr(juliet.bare)}/>")
    await scene.settle(romeo, juliet)
    juliet.refuse("c:presence", type="probe", why="the probe was delivered to a client")
    await scene.settle(juliet, romeo)
    romeo.refuse("c:presence", from_=juliet.jid, why="a stranger's probe was answered with presence")
    romeo.refuse("c:presence", from_=juliet.bare, type="unavailable", why="a stranger learned that juliet exists")


@check("4.3.2", SHOULD, "A subscriber's probe of one who is away is answered with unavailable.")
async def probe_of_the_absent_is_unavailable(scene: Scene) -> None:
    await scene.friends("romeo", "juliet")
    romeo = await scene.online("romeo")
    await romeo.send(f"<presence type='probe' to={quoteattr(scene.jid('juliet'))}/>")
    await romeo.expect(
        "c:presence", type="unavailable", where=lambda el: el.get("from", "").startswith(scene.jid("juliet"))
    )


# -- directed presence


@check("4.6.2", MUST, "Directed presence is delivered to one who is not subscribed.")
async def directed_presence_is_delivered(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    await romeo.send(f"<presence to={quoteattr(juliet.bare)}><status>only you</status></presence>")
    presence = await juliet.expect("c:presence", from_=romeo.jid)
    require_equal(text(presence, "c:status"), "only you", "the status")


@check("4.6.3", MUST, "Those who got directed presence are told when the sender leaves.")
async def directed_presence_is_followed_by_unavailable(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    await romeo.send(f"<presence to={quoteattr(juliet.jid)}/>")
    await juliet.expect("c:presence", from_=romeo.jid, type="")
    romeo.abort()
    await juliet.expect("c:presence", from_=romeo.jid, type="unavailable")


@check("4.6.3", MUST, "One who was told unavailable directly is not told once more when the sender leaves.")
async def directed_unavailable_ends_it(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    other = await scene.online("romeo", label="romeo 2")
    await romeo.send(f"<presence to={quoteattr(juliet.jid)}/><presence type='unavailable' to={quoteattr(juliet.jid)}/>")
    await juliet.expect("c:presence", from_=romeo.jid, type="unavailable")
    await romeo.send("<presence type='unavailable'/>")
    await other.expect("c:presence", from_=romeo.jid, type="unavailable")
    await scene.settle(other, juliet)
    juliet.refuse("c:presence", from_=romeo.jid, type="unavailable", why="unavailable came twice")


@check("4.6.3", MUST, "Later broadcasts are not sent to those who only got directed presence.")
async def directed_presence_is_no_subscription(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    await romeo.send(f"<presence to={quoteattr(juliet.jid)}/>")
    await juliet.expect("c:presence", from_=romeo.jid)
    await romeo.send("<presence><show>away</show></presence>")
    await scene.settle(romeo, juliet)
    juliet.refuse("c:presence", from_=romeo.jid, why="a broadcast reached one who is not subscribed")


@check("4.7.1", SHOULD, "Presence of an unknown type is answered with bad-request and sent to nobody.")
async def unknown_type_is_refused(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    await juliet.send("<presence type='dreaming' id='odd'/>")
    await scene.settle(juliet, romeo)
    romeo.refuse("c:presence", type="dreaming", why="presence of an unknown type was broadcast")
    await juliet.expect("c:presence", id="odd", type="error")
