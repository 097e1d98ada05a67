"""XEP-0060: Publish-Subscribe, as accounts have it (XEP-0163)."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, checks_of, require, require_equal, require_in
from compliance.names import condition, find, find_all, text
from compliance.publishing import (
    NS,
    configure,
    form,
    ids_of,
    items,
    new_node,
    own_condition,
    payload,
    publish,
    published,
    remove_at_the_end,
    request,
)
from compliance.scene import Scene

check = checks_of("XEP-0060")


@check("7.1", MUST, "A published item is returned as it was published, also to a later session.")
async def item_comes_back(scene: Scene) -> None:
    romeo, node, said = await scene.login("romeo"), new_node(), secrets.token_hex(8)
    await published(scene, romeo, node, payload(said), "one")
    await romeo.close()
    again = await scene.login("romeo", label="romeo again")
    reply = await items(again, node)
    require_equal(ids_of(reply), ["one"], "the ids of the items")
    path = "pubsub:pubsub/pubsub:items/pubsub:item/{urn:example:entry}entry"
    require_equal(text(reply, path), said, "the payload")
    require_equal(find_all(reply, "pubsub:pubsub/pubsub:items")[0].get("node"), node, "the node of the answer")


@check("7.1.2", MUST, "An item without an id gets one, and the publisher is told.")
async def item_gets_an_id(scene: Scene) -> None:
    scene.needs(f"{NS}#publish")
    romeo, node = await scene.login("romeo"), new_node()
    remove_at_the_end(scene, romeo, node)
    reply = await publish(romeo, node, payload(), None)
    item = find(reply, "pubsub:pubsub/pubsub:publish/pubsub:item")
    require(item is not None and item.get("id"), "the answer to publishing names no id")
    assert item is not None
    require_equal(ids_of(await items(romeo, node)), [item.get("id")], "the ids of the items")


@check("7.1.2", MUST, "An item with the id of another takes its place.")
async def same_id_replaces(scene: Scene) -> None:
    romeo, node = await scene.login("romeo"), new_node()
    await published(scene, romeo, node, payload("old"), "one", {"max_items": "5"})
    await published(scene, romeo, node, payload("new"), "one")
    reply = await items(romeo, node)
    require_equal(ids_of(reply), ["one"], "the ids of the items")
    require_equal(text(reply, "pubsub:pubsub/pubsub:items/pubsub:item/{urn:example:entry}entry"), "new", "the payload")


@check("7.1.3.1", MUST, "Nobody publishes at another's node.")
async def strangers_cannot_publish(scene: Scene) -> None:
    await scene.friends("romeo", "juliet")
    romeo, juliet, node = await scene.login("romeo"), await scene.login("juliet"), new_node()
    await published(scene, romeo, node, payload("romeo's"), "one")
    reply = await publish(juliet, node, payload("juliet's"), "one", to=romeo.bare)
    require_equal((reply.get("type"), condition(reply)), ("error", "forbidden"), "the answer")
    kept = await items(romeo, node)
    require_equal(
        text(kept, "pubsub:pubsub/pubsub:items/pubsub:item/{urn:example:entry}entry"), "romeo's", "the payload"
    )


@check("7.1.3.6", MUST, "An item with two payloads is refused.")
async def two_payloads_are_refused(scene: Scene) -> None:
    scene.needs(f"{NS}#publish")
    romeo, node = await scene.login("romeo"), new_node()
    remove_at_the_end(scene, romeo, node)
    reply = await publish(romeo, node, payload() + payload())
    require_equal((reply.get("type"), condition(reply)), ("error", "bad-request"), "the answer")
    require_equal(own_condition(reply), "invalid-payload", "the condition of publish-subscribe")


@check("7.1.5", MUST, "Publish-options that the node does not meet refuse the item with precondition-not-met.")
async def unmet_preconditions_refuse(scene: Scene) -> None:
    scene.needs(f"{NS}#publish-options")
    romeo, node = await scene.login("romeo"), new_node()
    await published(scene, romeo, node, payload("old"), "one", {"access_model": "open"})
    reply = await publish(romeo, node, payload("new"), "one", options={"access_model": "whitelist"})
    require_equal((reply.get("type"), condition(reply)), ("error", "conflict"), "the answer")
    require_equal(own_condition(reply), "precondition-not-met", "the condition of publish-subscribe")
    kept = await items(romeo, node)
    require_equal(text(kept, "pubsub:pubsub/pubsub:items/pubsub:item/{urn:example:entry}entry"), "old", "the payload")
    met = await publish(romeo, node, payload("new"), "one", options={"access_model": "open"})
    require_equal(met.get("type"), "result", "the type of the answer where they are met")


@check("7.1.5", MUST, "A node that publishing makes is as the publish-options say.")
async def new_node_is_as_the_options_say(scene: Scene) -> None:
    scene.needs(f"{NS}#publish-options")
    await scene.strangers("romeo", "juliet")
    romeo, juliet = await scene.login("romeo"), await scene.login("juliet")
    opened, closed = new_node(), new_node()
    await published(scene, romeo, opened, payload(), "one", {"access_model": "open"})
    await published(scene, romeo, closed, payload(), "one", {"access_model": "whitelist"})
    require_equal(ids_of(await items(juliet, opened, to=romeo.bare)), ["one"], "what a stranger finds at the open node")
    refused = await items(juliet, closed, to=romeo.bare)
    require_equal(refused.get("type"), "error", "the type of a stranger's answer at the closed node")


@check("8.2.4", MUST, "A node keeps as many items as its max_items says, the newest.")
async def max_items_is_kept(scene: Scene) -> None:
    scene.needs(f"{NS}#multi-items")
    romeo, node = await scene.login("romeo"), new_node()
    for number in range(4):
        await published(scene, romeo, node, payload(), f"i{number}", {"max_items": "2"})
    require_equal(sorted(map(str, ids_of(await items(romeo, node)))), ["i2", "i3"], "the ids of the items")


@check("8.2.4", SHOULD, "max_items may be max, for as many as the server allows.")
async def max_items_may_be_max(scene: Scene) -> None:
    scene.needs(f"{NS}#config-node-max")
    romeo, node = await scene.login("romeo"), new_node()
    for number in range(15):
        await published(scene, romeo, node, payload(), f"i{number}", {"max_items": "max"})
    require_equal(len(ids_of(await items(romeo, node))), 15, "the number of items")


@check("6.5.6", MUST, "An item can be asked for by its id.")
async def item_is_found_by_id(scene: Scene) -> None:
    scene.needs(f"{NS}#multi-items")
    romeo, node = await scene.login("romeo"), new_node()
    for number in range(3):
        await published(scene, romeo, node, payload(), f"i{number}", {"max_items": "10"})
    reply = await request(romeo, "get", f"<items node={quoteattr(node)}><item id='i1'/></items>")
    require_equal(ids_of(reply), ["i1"], "the ids of the items")


@check("6.5.7", MUST, "The most recent items can be asked for by number.")
async def newest_items_are_found(scene: Scene) -> None:
    scene.needs(f"{NS}#multi-items")
    romeo, node = await scene.login("romeo"), new_node()
    for number in range(4):
        await published(scene, romeo, node, payload(), f"i{number}", {"max_items": "10"})
    reply = await request(romeo, "get", f"<items node={quoteattr(node)} max_items='2'/>")
    require_equal(sorted(map(str, ids_of(reply))), ["i2", "i3"], "the ids of the items")


@check("6.5.4", SHOULD, "Items come in pages, each after the last one, where the server offers result sets.")
async def items_come_in_pages(scene: Scene) -> None:
    scene.needs(f"{NS}#multi-items", f"{NS}#rsm")
    romeo, node = await scene.login("romeo"), new_node()
    for number in range(5):
        await published(scene, romeo, node, payload(), f"i{number}", {"max_items": "10"})
    found: list[str | None] = []
    after = ""
    for _ in range(5):
        rsm = f"<set xmlns='http://jabber.org/protocol/rsm'><max>2</max>{after}</set>"
        reply = await items(romeo, node, more=rsm)
        found += ids_of(reply)
        last = text(reply, "pubsub:pubsub/rsm:set/rsm:last")
        if not last or len(found) >= 5:
            break
        after = f"<after>{last}</after>"
    require_equal(sorted(map(str, found)), [f"i{number}" for number in range(5)], "the ids on all pages")


@check("6.5.9.11", MUST, "Asking for the items of a node that is not there is item-not-found.")
async def unknown_node_is_not_found(scene: Scene) -> None:
    scene.needs(f"{NS}#retrieve-items")
    romeo = await scene.login("romeo")
    reply = await items(romeo, new_node())
    require_equal((reply.get("type"), condition(reply)), ("error", "item-not-found"), "the answer")


@check("7.2", MUST, "A retracted item is gone.")
async def retracted_item_is_gone(scene: Scene) -> None:
    scene.needs(f"{NS}#retract-items")
    romeo, node = await scene.login("romeo"), new_node()
    for id_ in ("one", "two"):
        await published(scene, romeo, node, payload(), id_, {"max_items": "5"})
    reply = await request(romeo, "set", f"<retract node={quoteattr(node)}><item id='one'/></retract>")
    require_equal(reply.get("type"), "result", "the type of the answer")
    require_equal(ids_of(await items(romeo, node)), ["two"], "the ids of the items")


@check("7.2.3", MUST, "Retracting is refused: without an id, for an item that is not there, and for others.")
async def wrong_retractions_are_refused(scene: Scene) -> None:
    scene.needs(f"{NS}#retract-items")
    romeo, juliet, node = await scene.login("romeo"), await scene.login("juliet"), new_node()
    await published(scene, romeo, node, payload(), "one", {"access_model": "open"})
    quoted = quoteattr(node)
    reply = await request(romeo, "set", f"<retract node={quoted}><item/></retract>")
    require_equal((condition(reply), own_condition(reply)), ("bad-request", "item-required"), "without an id")
    reply = await request(romeo, "set", f"<retract node={quoted}><item id='none'/></retract>")
    require_equal(condition(reply), "item-not-found", "the condition for an item that is not there")
    reply = await request(juliet, "set", f"<retract node={quoted}><item id='one'/></retract>", to=romeo.bare)
    require_equal(condition(reply), "forbidden", "the condition for another")


@check("8.1", MUST, "A node can be made, and not a second time.")
async def node_is_made_once(scene: Scene) -> None:
    scene.needs(f"{NS}#create-nodes")
    romeo, node = await scene.login("romeo"), new_node()
    remove_at_the_end(scene, romeo, node)
    create = f"<create node={quoteattr(node)}/>"
    require_equal((await request(romeo, "set", create)).get("type"), "result", "the type of the answer")
    again = await request(romeo, "set", create)
    require_equal((again.get("type"), condition(again)), ("error", "conflict"), "the answer the second time")


@check("8.1.3", MUST, "A node can be made with its configuration.")
async def node_is_made_with_its_configuration(scene: Scene) -> None:
    scene.needs(f"{NS}#create-and-configure")
    romeo, juliet, node = await scene.login("romeo"), await scene.login("juliet"), new_node()
    remove_at_the_end(scene, romeo, node)
    options = form(f"{NS}#node_config", {"access_model": "open"})
    inner = f"<create node={quoteattr(node)}/><configure>{options}</configure>"
    require_equal((await request(romeo, "set", inner)).get("type"), "result", "the type of the answer")
    await published(scene, romeo, node, payload(), "one")
    require_equal(ids_of(await items(juliet, node, to=romeo.bare)), ["one"], "what another finds there")


@check("8.2", MUST, "An owner gets a node's configuration as a form, and changes it.")
async def configuration_is_seen_and_changed(scene: Scene) -> None:
    scene.needs(f"{NS}#config-node")
    romeo, node = await scene.login("romeo"), new_node()
    await published(scene, romeo, node, payload())
    reply = await configure(romeo, node, {"access_model": "whitelist"})
    require_equal(reply.get("type"), "result", "the type of the answer")
    seen = await request(romeo, "get", f"<configure node={quoteattr(node)}/>", owner=True)
    fields = find_all(seen, "owner:pubsub/owner:configure/data:x/data:field")
    values = {field.get("var"): text(field, "data:value") for field in fields}
    require_equal(values.get("FORM_TYPE"), f"{NS}#node_config", "the FORM_TYPE")
    require_equal(values.get("pubsub#access_model"), "whitelist", "the access model")


@check("8.2.3", MUST, "Nobody but the owner sees or changes a node's configuration.")
async def configuration_is_the_owners(scene: Scene) -> None:
    scene.needs(f"{NS}#config-node")
    romeo, juliet, node = await scene.login("romeo"), await scene.login("juliet"), new_node()
    await published(scene, romeo, node, payload(), "one", {"access_model": "open"})
    configure_ = f"<configure node={quoteattr(node)}/>"
    reply = await request(juliet, "get", configure_, to=romeo.bare, owner=True)
    require_equal((reply.get("type"), condition(reply)), ("error", "forbidden"), "the answer to a get")
    delete = await request(juliet, "set", f"<delete node={quoteattr(node)}/>", to=romeo.bare, owner=True)
    require_equal((delete.get("type"), condition(delete)), ("error", "forbidden"), "the answer to a deletion")
    require_equal(ids_of(await items(romeo, node)), ["one"], "what is left at the node")


@check("8.2.4", MUST, "A value that cannot be is not acceptable.")
async def impossible_value_is_not_acceptable(scene: Scene) -> None:
    scene.needs(f"{NS}#config-node")
    romeo, node = await scene.login("romeo"), new_node()
    await published(scene, romeo, node, payload())
    reply = await configure(romeo, node, {"access_model": "everybody-but-tybalt"})
    require_equal(reply.get("type"), "error", "the type of the answer")
    require_in(condition(reply), ("not-acceptable", "bad-request"), "the condition")


@check("8.4", MUST, "A deleted node is gone with its items; one that is not there is item-not-found.")
async def deleted_node_is_gone(scene: Scene) -> None:
    scene.needs(f"{NS}#delete-nodes")
    romeo, node = await scene.login("romeo"), new_node()
    await published(scene, romeo, node, payload())
    delete = f"<delete node={quoteattr(node)}/>"
    require_equal((await request(romeo, "set", delete, owner=True)).get("type"), "result", "the type of the answer")
    require_equal(condition(await items(romeo, node)), "item-not-found", "the condition for its items")
    again = await request(romeo, "set", delete, owner=True)
    require_equal(condition(again), "item-not-found", "the condition the second time")


@check("8.5", MUST, "A purged node is there and empty.")
async def purged_node_is_empty(scene: Scene) -> None:
    scene.needs(f"{NS}#purge-nodes")
    romeo, node = await scene.login("romeo"), new_node()
    await published(scene, romeo, node, payload())
    reply = await request(romeo, "set", f"<purge node={quoteattr(node)}/>", owner=True)
    require_equal(reply.get("type"), "result", "the type of the answer")
    left = await items(romeo, node)
    require(find(left, "pubsub:pubsub/pubsub:items") is not None, "the answer has no items element")
    require_equal((left.get("type"), ids_of(left)), ("result", []), "what is left")


@check("6.1", MUST, "One who may read a node can subscribe to it, and is told of what is published.")
async def subscriber_is_told(scene: Scene) -> None:
    scene.needs(f"{NS}#subscribe")
    romeo, juliet, node = await scene.login("romeo"), await scene.online("juliet"), new_node()
    await published(scene, romeo, node, payload(), "one", {"access_model": "open"})
    subscribe = f"<subscribe node={quoteattr(node)} jid={quoteattr(juliet.jid)}/>"
    reply = await request(juliet, "set", subscribe, to=romeo.bare)
    found = find(reply, "pubsub:pubsub/pubsub:subscription")
    require(found is not None, "the answer has no subscription")
    assert found is not None
    require_equal(found.get("subscription"), "subscribed", "the state")
    await published(scene, romeo, node, payload(), "two")
    await juliet.expect(
        "c:message",
        where=lambda el: any(i.get("id") == "two" for i in find_all(el, "event:event/event:items/event:item")),
    )


@check("6.1.3.1", MUST, "Nobody subscribes another.")
async def others_cannot_be_subscribed(scene: Scene) -> None:
    scene.needs(f"{NS}#subscribe")
    romeo, juliet, node = await scene.login("romeo"), await scene.login("juliet"), new_node()
    await published(scene, romeo, node, payload(), "one", {"access_model": "open"})
    subscribe = f"<subscribe node={quoteattr(node)} jid={quoteattr(scene.jid('mercutio'))}/>"
    reply = await request(juliet, "set", subscribe, to=romeo.bare)
    require_equal((reply.get("type"), condition(reply)), ("error", "bad-request"), "the answer")
    require_equal(own_condition(reply), "invalid-jid", "the condition of publish-subscribe")


@check("6.2.3.2", MUST, "Ending a subscription that is not there is refused.")
async def unsubscribing_needs_a_subscription(scene: Scene) -> None:
    scene.needs(f"{NS}#subscribe")
    romeo, juliet, node = await scene.login("romeo"), await scene.login("juliet"), new_node()
    await published(scene, romeo, node, payload(), "one", {"access_model": "open"})
    unsubscribe = f"<unsubscribe node={quoteattr(node)} jid={quoteattr(juliet.bare)}/>"
    reply = await request(juliet, "set", unsubscribe, to=romeo.bare)
    require_equal((condition(reply), own_condition(reply)), ("unexpected-request", "not-subscribed"), "the conditions")


@check("4.5", MUST, "A whitelist node is read by those on its list alone.")
async def whitelist_is_kept(scene: Scene) -> None:
    scene.needs(f"{NS}#access-whitelist", f"{NS}#modify-affiliations")
    await scene.friends("romeo", "juliet")
    romeo, juliet, node = await scene.login("romeo"), await scene.login("juliet"), new_node()
    await published(scene, romeo, node, payload(), "one", {"access_model": "whitelist"})
    refused = await items(juliet, node, to=romeo.bare)
    require_equal((condition(refused), own_condition(refused)), ("not-allowed", "closed-node"), "the conditions")
    member = f"<affiliation jid={quoteattr(juliet.bare)} affiliation='member'/>"
    inner = f"<affiliations node={quoteattr(node)}>{member}</affiliations>"
    require_equal((await request(romeo, "set", inner, owner=True)).get("type"), "result", "the type of the answer")
    require_equal(ids_of(await items(juliet, node, to=romeo.bare)), ["one"], "what a member finds")


@check("4.5", MUST, "A presence node is read by those who see its owner's presence alone.")
async def presence_access_is_kept(scene: Scene) -> None:
    scene.needs(f"{NS}#access-presence")
    await scene.strangers("romeo", "mercutio")
    await scene.friends("romeo", "juliet")
    romeo, juliet, mercutio = [await scene.login(name) for name in ("romeo", "juliet", "mercutio")]
    node = new_node()
    await published(scene, romeo, node, payload(), "one", {"access_model": "presence"})
    require_equal(ids_of(await items(juliet, node, to=romeo.bare)), ["one"], "what a contact finds")
    refused = await items(mercutio, node, to=romeo.bare)
    require_equal(condition(refused), "not-authorized", "the condition for a stranger")
    require_equal(own_condition(refused), "presence-subscription-required", "the condition of publish-subscribe")
