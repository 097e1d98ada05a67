"""XEP-0030: Service Discovery."""

from __future__ import annotations

import secrets

from compliance.check import MUST, SHOULD, checks_of, require, require_equal, require_in
from compliance.names import Element, condition, find, find_all
from compliance.scene import Scene

check = checks_of("XEP-0030")
INFO = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
ITEMS = "<query xmlns='http://jabber.org/protocol/disco#items'/>"


def _identities(reply: Element) -> set[tuple[str, str]]:
    found = find_all(reply, "disco:query/disco:identity")
    return {(el.get("category", ""), el.get("type", "")) for el in found}


@check("3.1", MUST, "The server tells who it is and lists disco#info among its features.")
async def server_describes_itself(scene: Scene) -> None:
    romeo = await scene.login("romeo")
    reply = await romeo.ask("get", INFO, to=scene.domain)
    require_in(("server", "im"), tuple(_identities(reply)), "the identity server/im")
    features = [el.get("var") for el in find_all(reply, "disco:query/disco:feature")]
    require("http://jabber.org/protocol/disco#info" in features, "disco#info is not among the features")
    require(all(features), "a feature has no var")


@check("3.1", MUST, "No feature and no identity is listed twice.")
async def nothing_is_listed_twice(scene: Scene) -> None:
    romeo = await scene.login("romeo")
    for to in (scene.domain, romeo.bare):
        reply = await romeo.ask("get", INFO, to=to)
        features = [el.get("var") for el in find_all(reply, "disco:query/disco:feature")]
        doubled = sorted({str(var) for var in features if features.count(var) > 1})
        require(not doubled, f"{to} lists twice: {doubled}")


@check("4.1", MUST, "The server answers disco#items with a list, which may be empty; each item has a JID.")
async def server_lists_its_items(scene: Scene) -> None:
    romeo = await scene.login("romeo")
    reply = await romeo.ask("get", ITEMS, to=scene.domain)
    require(find(reply, "items:query") is not None, "the result has no <query/>")
    require(all(el.get("jid") for el in find_all(reply, "items:query/items:item")), "an item has no jid")


@check("7", SHOULD, "A node that does not exist is item-not-found.")
async def unknown_node_is_item_not_found(scene: Scene) -> None:
    romeo = await scene.login("romeo")
    query = f"<query xmlns='http://jabber.org/protocol/disco#info' node='no-such-node-{secrets.token_hex(4)}'/>"
    reply = await romeo.iq("get", query, to=scene.domain)
    require_equal(reply.get("type"), "error", "the type of the answer")
    require_equal(condition(reply), "item-not-found", "the condition")


@check("3.1", MUST, "The server answers for the account, which is account/registered.")
async def own_account_is_described(scene: Scene) -> None:
    romeo = await scene.login("romeo")
    reply = await romeo.ask("get", INFO, to=romeo.bare)
    require_in(("account", "registered"), tuple(_identities(reply)), "the identity account/registered")
    require_equal(reply.get("from"), romeo.bare, "the from of the answer")


@check("8", MUST, "A stranger learns nothing of an account; it looks as if it did not exist.")
async def strangers_learn_nothing_of_accounts(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo = await scene.online("romeo")
    await scene.online("juliet")
    nobody = f"nobody-{secrets.token_hex(5)}@{scene.domain}"
    seen = []
    for to in (scene.jid("juliet"), nobody):
        reply = await romeo.iq("get", INFO, to=to)
        require_equal(reply.get("type"), "error", f"the type of the answer for {to}")
        seen.append(condition(reply))
    require_equal(seen, ["service-unavailable"] * 2, "the conditions for an account and for nobody")


@check(
    "8", MUST, "To a stranger the items of an account are the same as those of no account: empty, or an error for both."
)
async def strangers_see_no_resources(scene: Scene) -> None:
    await scene.strangers("romeo", "juliet")
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    reply = await romeo.iq("get", ITEMS, to=juliet.bare)
    jids = [el.get("jid", "") for el in find_all(reply, "items:query/items:item")]
    require(not any(jid.startswith(f"{juliet.bare}/") for jid in jids), f"a stranger sees the resources {jids}")


@check("3.1", MUST, "A subscribed contact may ask about the account.")
async def contacts_may_ask_about_accounts(scene: Scene) -> None:
    await scene.friends("romeo", "juliet")
    romeo = await scene.online("romeo")
    reply = await romeo.ask("get", INFO, to=scene.jid("juliet"))
    require_in(("account", "registered"), tuple(_identities(reply)), "the identity account/registered")
