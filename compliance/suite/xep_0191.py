"""XEP-0191: Blocking Command."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import condition, find, find_all
from compliance.scene import Scene

check = checks_of("XEP-0191")
FEATURE = "urn:xmpp:blocking"
LIST = "<blocklist xmlns='urn:xmpp:blocking'/>"
UNBLOCK_ALL = "<unblock xmlns='urn:xmpp:blocking'/>"


def _block(*jids: str) -> str:
    return f"<block xmlns='urn:xmpp:blocking'>{''.join(f'<item jid={quoteattr(jid)}/>' for jid in jids)}</block>"


def _unblock(*jids: str) -> str:
    return f"<unblock xmlns='urn:xmpp:blocking'>{''.join(f'<item jid={quoteattr(jid)}/>' for jid in jids)}</unblock>"


async def _blocked(client: Client) -> list[str]:
    reply = await client.ask("get", LIST)
    require(find(reply, "blocking:blocklist") is not None, "the result has no <blocklist/>")
    return sorted(el.get("jid", "") for el in find_all(reply, "blocking:blocklist/blocking:item"))


async def _juliet(scene: Scene, *, label: str = "juliet") -> Client:
    """Return juliet, who has asked for her block list and will have an empty one when the check is over."""
    juliet = await scene.online("juliet", label=label)
    await juliet.ask("get", LIST)
    scene.at_the_end(lambda: juliet.iq("set", UNBLOCK_ALL))
    return juliet


async def _strangers(scene: Scene) -> tuple[Client, Client]:
    scene.needs(FEATURE)
    await scene.strangers("romeo", "juliet")
    return await scene.online("romeo"), await _juliet(scene)


async def _friends(scene: Scene) -> tuple[Client, Client]:
    scene.needs(FEATURE)
    await scene.friends("romeo", "juliet")
    romeo, juliet = await scene.online("romeo"), await _juliet(scene)
    await romeo.expect("c:presence", from_=juliet.jid)
    return romeo, juliet


@check("3.2", MUST, "Who blocks nobody has an empty list.")
async def empty_list_is_empty(scene: Scene) -> None:
    _, juliet = await _strangers(scene)
    require_equal(await _blocked(juliet), [], "the list")


@check("3.3", MUST, "Whom one blocks is in the list, also of a later session.")
async def blocked_jids_are_listed(scene: Scene) -> None:
    _, juliet = await _strangers(scene)
    jids = sorted(("iago@elsewhere.invalid", f"{scene.jid('romeo')}", "elsewhere.invalid"))
    await juliet.ask("set", _block(*jids))
    require_equal(await _blocked(juliet), jids, "the list")
    again = await scene.login("juliet", label="juliet again")
    require_equal(await _blocked(again), jids, "the list in a later session")


@check("3.3", MUST, "A block is pushed to the resources that asked for the list.")
async def block_is_pushed(scene: Scene) -> None:
    _, juliet = await _strangers(scene)
    other = await _juliet(scene, label="juliet 2")
    await juliet.ask("set", _block("iago@elsewhere.invalid"))
    for client in (juliet, other):
        push = await client.expect("c:iq/blocking:block", type="set")
        jids = [el.get("jid") for el in find_all(push, "blocking:block/blocking:item")]
        require_equal(jids, ["iago@elsewhere.invalid"], "what was pushed")


@check("3.3", MUST, "A block without an item is bad-request.")
async def empty_block_is_bad_request(scene: Scene) -> None:
    _, juliet = await _strangers(scene)
    reply = await juliet.iq("set", _block())
    require_equal(reply.get("type"), "error", "the type of the answer")
    require_equal(condition(reply), "bad-request", "the condition")


@check("3.3", MUST, "No message of a blocked JID is delivered.")
async def blocked_messages_are_not_delivered(scene: Scene) -> None:
    romeo, juliet = await _strangers(scene)
    mercutio = await scene.online("mercutio")
    await juliet.ask("set", _block(romeo.bare))
    tokens = [secrets.token_hex(8), secrets.token_hex(8)]
    for to, token in zip((juliet.bare, juliet.jid), tokens, strict=True):
        await romeo.send(f"<message to={quoteattr(to)} type='chat' id='{token}'><body>b</body></message>")
    await romeo.roundtrip()
    await scene.settle(mercutio, juliet)
    for token in tokens:
        juliet.refuse("c:message", id=token, why="a message of a blocked JID was delivered")


@check("3.3", SHOULD, "The sender of a blocked message is told service-unavailable.")
async def blocked_message_is_refused(scene: Scene) -> None:
    romeo, juliet = await _strangers(scene)
    await juliet.ask("set", _block(romeo.bare))
    await romeo.send(f"<message to={quoteattr(juliet.bare)} type='chat' id='blocked'><body>b</body></message>")
    reply = await romeo.expect("c:message", id="blocked", type="error")
    require_equal(condition(reply), "service-unavailable", "the condition")


@check("3.3", MUST, "A request of a blocked JID is refused and not delivered.")
async def blocked_request_is_refused(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    mercutio = await scene.online("mercutio")
    await juliet.ask("set", _block(romeo.bare))
    reply = await romeo.iq("get", "<q xmlns='urn:example:q'/>", to=juliet.jid)
    require_equal(reply.get("type"), "error", "the type of the answer")
    require_equal(condition(reply), "service-unavailable", "the condition")
    await scene.settle(mercutio, juliet)
    juliet.refuse("c:iq", type="get", from_=romeo.jid, why="a request of a blocked JID was delivered")


@check("3.3", MUST, "Presence of a blocked JID, requests for subscription included, is neither delivered nor answered.")
async def blocked_presence_is_dropped(scene: Scene) -> None:
    romeo, juliet = await _strangers(scene)
    mercutio = await scene.online("mercutio")
    await juliet.ask("set", _block(romeo.bare))
    to = quoteattr(juliet.bare)
    await romeo.send(f"<presence type='subscribe' to={to}/><presence to={to}/>")
    await romeo.roundtrip()
    await scene.settle(mercutio, juliet)
    juliet.refuse("c:presence", from_=romeo.bare, why="a blocked request for subscription was delivered")
    juliet.refuse("c:presence", from_=romeo.jid, why="blocked presence was delivered")
    romeo.refuse("c:presence", type="error", why="blocked presence was answered with an error")


@check("3.3", MUST, "To a contact who gets blocked one becomes unavailable.")
async def blocking_sends_unavailable(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    await juliet.ask("set", _block(romeo.bare))
    await romeo.expect("c:presence", from_=juliet.jid, type="unavailable")


@check("3.3", MUST, "A blocked contact gets no presence.")
async def presence_is_kept_from_the_blocked(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    await juliet.ask("set", _block(romeo.bare))
    await romeo.expect("c:presence", from_=juliet.jid, type="unavailable")
    await juliet.send("<presence><show>away</show></presence>")
    await juliet.roundtrip()
    await romeo.send(f"<presence type='probe' to={quoteattr(juliet.bare)}/>")
    await romeo.roundtrip()
    romeo.refuse("c:presence", from_=juliet.jid, why="a blocked contact got presence")


@check("3.3", MUST, "What one sends to a JID one has blocked is refused with not-acceptable and blocked.")
async def sending_to_the_blocked_is_refused(scene: Scene) -> None:
    romeo, juliet = await _strangers(scene)
    await juliet.ask("set", _block(romeo.bare))
    await juliet.send(f"<message to={quoteattr(romeo.jid)} type='chat' id='out'><body>b</body></message>")
    reply = await juliet.expect("c:message", id="out", type="error")
    require_equal(condition(reply), "not-acceptable", "the condition")
    require(find(reply, "c:error/blocked:blocked") is not None, "the error does not say <blocked/>")
    await juliet.roundtrip()
    romeo.refuse("c:message", id="out", why="a message to a blocked JID was delivered")


@check("3.4", MUST, "Unblocking takes a JID from the list, is pushed, and lets it through again.")
async def unblocking_lets_through(scene: Scene) -> None:
    romeo, juliet = await _strangers(scene)
    await juliet.ask("set", _block(romeo.bare, "iago@elsewhere.invalid"))
    await juliet.ask("set", _unblock(romeo.bare))
    push = await juliet.expect("c:iq/blocking:unblock", type="set")
    require_equal([el.get("jid") for el in find_all(push, "blocking:unblock/blocking:item")], [romeo.bare], "the push")
    require_equal(await _blocked(juliet), ["iago@elsewhere.invalid"], "the list")
    await romeo.send(f"<message to={quoteattr(juliet.bare)} type='chat' id='again'><body>b</body></message>")
    await juliet.expect("c:message", id="again")


@check("3.4", MUST, "A contact who is no longer blocked is sent the current presence.")
async def unblocking_sends_presence(scene: Scene) -> None:
    romeo, juliet = await _friends(scene)
    await juliet.ask("set", _block(romeo.bare))
    await romeo.expect("c:presence", from_=juliet.jid, type="unavailable")
    await juliet.ask("set", _unblock(romeo.bare))
    await romeo.expect("c:presence", from_=juliet.jid, type="")


@check("3.5", MUST, "An unblock without items empties the list, and is pushed.")
async def unblocking_all_empties_the_list(scene: Scene) -> None:
    _, juliet = await _strangers(scene)
    await juliet.ask("set", _block("iago@elsewhere.invalid", "elsewhere.invalid"))
    await juliet.ask("set", UNBLOCK_ALL)
    push = await juliet.expect("c:iq/blocking:unblock", type="set")
    require_equal(find_all(push, "blocking:unblock/blocking:item"), [], "the items of the push")
    require_equal(await _blocked(juliet), [], "the list")


@check("6", SHOULD, "Blocking a full JID blocks that resource and no other.")
async def full_jid_blocks_one_resource(scene: Scene) -> None:
    romeo, juliet = await _strangers(scene)
    other = await scene.online("romeo", label="romeo 2")
    await juliet.ask("set", _block(romeo.jid))
    for client, id_ in ((romeo, "blocked"), (other, "free")):
        await client.send(f"<message to={quoteattr(juliet.jid)} type='chat' id='{id_}'><body>b</body></message>")
        await client.roundtrip()
    await juliet.expect("c:message", id="free")
    await scene.settle(other, juliet)
    juliet.refuse("c:message", id="blocked", why="a message of a blocked resource was delivered")
