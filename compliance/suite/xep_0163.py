"""XEP-0163: Personal Eventing Protocol."""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, checks_of, require, require_equal
from compliance.names import PREFIXES, bare, find, find_all, text
from compliance.publishing import (
    NS,
    announce,
    ids_of,
    interested,
    items,
    new_node,
    payload,
    publish,
    published,
    refuse_told,
    remove_at_the_end,
    request,
    told,
    told_ids,
)
from compliance.scene import Scene

check = checks_of("XEP-0163")


@check("6.1", MUST, "An account says that it is a service of personal events.")
async def account_has_the_identity(scene: Scene) -> None:
    scene.needs(f"{NS}#publish")
    romeo = await scene.login("romeo")
    reply = await romeo.ask("get", f"<query xmlns='{PREFIXES['disco']}'/>", to=romeo.bare)
    found = {(one.get("category"), one.get("type")) for one in find_all(reply, "disco:query/disco:identity")}
    require(("pubsub", "pep") in found, f"the identities of the account are {sorted(map(str, found))}")


@check("4.2", MUST, "A node is made by publishing there, and contacts who see the presence may read it.")
async def publishing_makes_the_node(scene: Scene) -> None:
    await scene.strangers("romeo", "mercutio")
    await scene.friends("romeo", "juliet")
    romeo, juliet, mercutio = [await scene.login(name) for name in ("romeo", "juliet", "mercutio")]
    node = new_node()
    await published(scene, romeo, node, payload(), "one")
    require_equal(ids_of(await items(juliet, node, to=romeo.bare)), ["one"], "what a contact finds")
    refused = await items(mercutio, node, to=romeo.bare)
    require_equal(refused.get("type"), "error", "the type of a stranger's answer")


@check("4.3.2", MUST, "A contact who wants to know is told, from the account's bare JID, with the payload.")
async def interested_contact_is_told(scene: Scene) -> None:
    scene.needs(f"{NS}#publish")
    await scene.friends("romeo", "juliet")
    node = new_node()
    romeo, juliet = await scene.online("romeo"), await interested(scene, "juliet", node)
    await published(scene, romeo, node, payload("news"), "one")
    message = await told(juliet, node)
    require_equal(message.get("from"), romeo.bare, "the from of the message")
    require_equal(told_ids(message), ["one"], "the ids of the items")
    entry = text(message, "event:event/event:items/event:item/{urn:example:entry}entry")
    require_equal(entry, "news", "the payload")


@check("4.3.2", MUST, "A contact who does not want to know of that node is not told.")
async def indifferent_contact_is_not_told(scene: Scene) -> None:
    scene.needs(f"{NS}#publish")
    await scene.friends("romeo", "juliet")
    node = new_node()
    romeo, juliet = await scene.online("romeo"), await interested(scene, "juliet", new_node())
    await published(scene, romeo, node, payload(), "one")
    await scene.settle(romeo, juliet)
    refuse_told(juliet, node, "a contact who did not ask for it was told")


@check("4.3.2", MUST, "The account's own clients who want to know are told.")
async def own_clients_are_told(scene: Scene) -> None:
    scene.needs(f"{NS}#publish")
    node = new_node()
    romeo, other = await scene.online("romeo"), await interested(scene, "romeo", node, label="romeo's other")
    await published(scene, romeo, node, payload(), "one")
    require_equal(told_ids(await told(other, node)), ["one"], "the ids of the items")


@check("4.3.2", MUST, "One who does not see the account's presence is not told.")
async def stranger_is_not_told(scene: Scene) -> None:
    scene.needs(f"{NS}#publish")
    await scene.strangers("romeo", "mercutio")
    node = new_node()
    romeo, mercutio = await scene.online("romeo"), await interested(scene, "mercutio", node)
    await published(scene, romeo, node, payload(), "one")
    await scene.settle(romeo, mercutio)
    refuse_told(mercutio, node, "a stranger was told")


@check("4.3.4", MUST, "A contact who comes and wants to know gets the last item.")
async def last_item_comes_with_the_interest(scene: Scene) -> None:
    scene.needs(f"{NS}#last-published")
    await scene.friends("romeo", "juliet")
    node = new_node()
    romeo, juliet = await scene.online("romeo"), await scene.login("juliet")
    await published(scene, romeo, node, payload(), "one", {"max_items": "5"})
    await published(scene, romeo, node, payload(), "two")
    await announce(juliet, node)
    message = await told(juliet, node)
    require_equal(bare(message.get("from")), romeo.bare, "the from of the message")
    require_equal(told_ids(message), ["two"], "the ids of the items")


@check("4.3.4", SHOULD, "The last item comes also when its owner is away.")
async def last_item_of_the_absent_comes(scene: Scene) -> None:
    scene.needs(f"{NS}#last-published")
    await scene.friends("romeo", "juliet")
    node = new_node()
    romeo, juliet = await scene.login("romeo"), await scene.login("juliet")
    await published(scene, romeo, node, payload(), "one")
    await announce(juliet, node)
    require_equal(told_ids(await told(juliet, node)), ["one"], "the ids of the items")


@check("4.3", SHOULD, "Those who are told of items are told of retracted ones.")
async def retraction_is_told(scene: Scene) -> None:
    scene.needs(f"{NS}#retract-items")
    node = new_node()
    romeo, other = await scene.online("romeo"), await interested(scene, "romeo", node, label="romeo's other")
    await published(scene, romeo, node, payload(), "one")
    await told(other, node)
    await request(romeo, "set", f"<retract node={quoteattr(node)} notify='true'><item id='one'/></retract>")
    message = await told(other, node)
    ids = [one.get("id") for one in find_all(message, "event:event/event:items/event:retract")]
    require_equal(ids, ["one"], "the ids of what was retracted")


@check("4.3", SHOULD, "Those who are told of items are told when the node is deleted.")
async def deletion_is_told(scene: Scene) -> None:
    scene.needs(f"{NS}#delete-nodes")
    node = new_node()
    romeo, other = await scene.online("romeo"), await interested(scene, "romeo", node, label="romeo's other")
    await published(scene, romeo, node, payload(), "one")
    await told(other, node)
    await request(romeo, "set", f"<delete node={quoteattr(node)}/>", owner=True)
    require(find(await told(other, node, "delete"), "event:event/event:delete") is not None, "nothing was told")


@check("4.1", MUST, "A whitelist node is not told to contacts, whatever they want.")
async def whitelist_is_not_told(scene: Scene) -> None:
    scene.needs(f"{NS}#access-whitelist")
    await scene.friends("romeo", "juliet")
    node = new_node()
    romeo, juliet = await scene.online("romeo"), await interested(scene, "juliet", node)
    await published(scene, romeo, node, payload(), "one", {"access_model": "whitelist"})
    await scene.settle(romeo, juliet)
    refuse_told(juliet, node, "a contact who is on no list was told")


@check("4.3.2", MUST, "A node whose payloads nobody here knows is served like any other: moods, tunes, nicknames.")
async def any_payload_passes(scene: Scene) -> None:
    scene.needs(f"{NS}#publish")
    romeo = await scene.login("romeo")
    for node, xml in (
        ("http://jabber.org/protocol/mood", "<mood xmlns='http://jabber.org/protocol/mood'><in_love/></mood>"),
        ("http://jabber.org/protocol/tune", "<tune xmlns='http://jabber.org/protocol/tune'><title>x</title></tune>"),
        ("http://jabber.org/protocol/nick", "<nick xmlns='http://jabber.org/protocol/nick'>Ro</nick>"),
    ):
        remove_at_the_end(scene, romeo, node)
        require_equal((await publish(romeo, node, xml)).get("type"), "result", f"the type of the answer for {node}")
        reply = await items(romeo, node)
        require(find(reply, f"pubsub:pubsub/pubsub:items/pubsub:item/{{{node}}}*") is not None, f"{node} is gone")
