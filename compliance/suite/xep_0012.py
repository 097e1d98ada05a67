"""XEP-0012: Last Activity."""

from __future__ import annotations

from compliance.check import MUST, SHOULD, Failed, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import condition, find
from compliance.scene import Scene

check = checks_of("XEP-0012")
FEATURE = "jabber:iq:last"
QUERY = "<query xmlns='jabber:iq:last'/>"


async def _seconds(client: Client, to: str) -> tuple[int, str]:
    """Ask for the last activity; return seconds and the words that came with them."""
    reply = await client.ask("get", QUERY, to=to)
    query = find(reply, "last:query")
    if query is None or not (query.get("seconds") or "").isdigit():
        raise Failed("the result has no <query/> with a number of seconds")
    return int(query.get("seconds", "")), query.text or ""


@check("5", MUST, "The server tells for how many seconds it has been running.")
async def server_tells_its_uptime(scene: Scene) -> None:
    if FEATURE not in scene.profile.server:
        scene.needs(FEATURE)
    romeo = await scene.login("romeo")
    first, words = await _seconds(romeo, scene.domain)
    second, _ = await _seconds(romeo, scene.domain)
    require(first <= second <= first + 60, f"the uptime went from {first} to {second} seconds")
    require_equal(words, "", "the text beside the uptime")


@check("3", MUST, "A contact who may see our presence learns for how long we have been away.")
async def contact_learns_how_long_we_are_away(scene: Scene) -> None:
    scene.needs(FEATURE)
    await scene.friends("romeo", "juliet")
    juliet = await scene.online("juliet")
    await juliet.send("<presence type='unavailable'><status>in Mantua</status></presence>")
    await juliet.close()
    romeo = await scene.online("romeo")
    seconds, _ = await _seconds(romeo, scene.jid("juliet"))
    require(seconds <= 60, f"juliet left a moment ago, not {seconds} seconds ago")


@check("3", SHOULD, "The words of the last unavailable presence come with it.")
async def last_words_are_kept(scene: Scene) -> None:
    scene.needs(FEATURE)
    await scene.friends("romeo", "juliet")
    juliet = await scene.online("juliet")
    await juliet.send("<presence type='unavailable'><status>in Mantua</status></presence>")
    await juliet.close()
    romeo = await scene.online("romeo")
    _, words = await _seconds(romeo, scene.jid("juliet"))
    require_equal(words, "in Mantua", "the text of the answer")


@check("3", MUST, "Of a contact who is there the answer is 0 seconds.")
async def present_contact_is_zero_seconds_away(scene: Scene) -> None:
    scene.needs(FEATURE)
    await scene.friends("romeo", "juliet")
    await scene.online("juliet")
    romeo = await scene.online("romeo")
    seconds, _ = await _seconds(romeo, scene.jid("juliet"))
    require_equal(seconds, 0, "the seconds")


@check("3", MUST, "One who may not see our presence is forbidden to ask.")
async def stranger_is_forbidden_to_ask(scene: Scene) -> None:
    scene.needs(FEATURE)
    await scene.strangers("romeo", "juliet")
    romeo = await scene.online("romeo")
    reply = await romeo.iq("get", QUERY, to=scene.jid("juliet"))
    require_equal(reply.get("type"), "error", "the type of the answer")
    require_equal(condition(reply), "forbidden", "the condition")


@check("4", MUST, "A request of one who may not see our presence is forbidden, and not delivered to our clients.")
async def strangers_request_is_not_delivered(scene: Scene) -> None:
    scene.needs(FEATURE)
    await scene.strangers("romeo", "juliet")
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    reply = await romeo.iq("get", QUERY, to=juliet.jid)
    require_equal(reply.get("type"), "error", "the type of the answer")
    require_equal(condition(reply), "forbidden", "the condition")
    await scene.settle(romeo, juliet)
    juliet.refuse("c:iq/last:query", why="a stranger's request was delivered")
