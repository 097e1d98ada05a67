"""XEP-0384: OMEMO Encryption: what it asks of the server, in the form of today's clients (0.3) and in the newer one."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, checks_of, require, require_equal
from compliance.names import find, find_all
from compliance.publishing import (
    NS,
    configure,
    fresh,
    ids_of,
    interested,
    items,
    own_condition,
    publish,
    published,
    request,
    told,
    told_ids,
)
from compliance.scene import Scene

check = checks_of("XEP-0384")
OLD = "eu.siacs.conversations.axolotl"
DEVICES, BUNDLES = "urn:xmpp:omemo:2:devices", "urn:xmpp:omemo:2:bundles"
OPEN = {"persist_items": "true", "access_model": "open"}


def _devices(*ids: int) -> str:
    inner = "".join(f"<device id='{id_}'/>" for id_ in ids)
    return f"<list xmlns='{OLD}'>{inner}</list>"


@check("4.2", MUST, "A list of devices that is open can be read by those who see no presence.")
async def devices_are_open(scene: Scene) -> None:
    scene.needs(f"{NS}#publish-options", f"{NS}#access-open")
    await scene.strangers("romeo", "mercutio")
    romeo, mercutio, node = await scene.login("romeo"), await scene.login("mercutio"), f"{OLD}.devicelist"
    await fresh(scene, romeo, node)
    await published(scene, romeo, node, _devices(17, 18), "current", OPEN)
    reply = await items(mercutio, node, to=romeo.bare)
    found = find_all(reply, f"pubsub:pubsub/pubsub:items/pubsub:item/{{{OLD}}}list/{{{OLD}}}device")
    require_equal([device.get("id") for device in found], ["17", "18"], "the devices")


@check("4.2", MUST, "Contacts who want to know are told of a changed list of devices.")
async def devices_are_told(scene: Scene) -> None:
    scene.needs(f"{NS}#publish-options")
    await scene.friends("romeo", "juliet")
    romeo, node = await scene.login("romeo"), f"{OLD}.devicelist"
    await fresh(scene, romeo, node)
    juliet = await interested(scene, "juliet", node)
    await published(scene, romeo, node, _devices(17), "current", OPEN)
    require_equal(told_ids(await told(juliet, node)), ["current"], "the ids of the items")


@check("4.3", MUST, "A bundle of keys, 12 KiB of them, is kept and read by strangers.")
async def bundle_is_kept(scene: Scene) -> None:
    scene.needs(f"{NS}#publish-options", f"{NS}#access-open")
    await scene.strangers("romeo", "mercutio")
    romeo, mercutio, node = await scene.login("romeo"), await scene.login("mercutio"), f"{OLD}.bundles:17"
    await fresh(scene, romeo, node)
    keys = "".join(f"<preKeyPublic preKeyId='{n}'>{secrets.token_urlsafe(66)}</preKeyPublic>" for n in range(100))
    await published(scene, romeo, node, f"<bundle xmlns='{OLD}'><prekeys>{keys}</prekeys></bundle>", "current", OPEN)
    reply = await items(mercutio, node, to=romeo.bare)
    path = f"pubsub:pubsub/pubsub:items/pubsub:item/{{{OLD}}}bundle/{{{OLD}}}prekeys/{{{OLD}}}preKeyPublic"
    require_equal(len(find_all(reply, path)), 100, "the number of keys")


@check("4.2", MUST, "A list that was made for contacts alone is refused with open options, and can be opened.")
async def closed_list_can_be_opened(scene: Scene) -> None:
    scene.needs(f"{NS}#publish-options", f"{NS}#config-node")
    await scene.strangers("romeo", "mercutio")
    romeo, mercutio, node = await scene.login("romeo"), await scene.login("mercutio"), f"{OLD}.devicelist"
    await fresh(scene, romeo, node)
    await published(scene, romeo, node, _devices(17), "current")
    refused = await publish(romeo, node, _devices(17, 18), options=OPEN)
    require_equal(own_condition(refused), "precondition-not-met", "the condition of publish-subscribe")
    require_equal((await configure(romeo, node, OPEN)).get("type"), "result", "the type of the answer")
    await published(scene, romeo, node, _devices(17, 18), "current", OPEN)
    require_equal(ids_of(await items(mercutio, node, to=romeo.bare)), ["current"], "what a stranger finds")


@check("5.3.2", SHOULD, "Bundles of many devices are items of one node, each found by its device's id.")
async def bundles_share_a_node(scene: Scene) -> None:
    scene.needs(f"{NS}#publish-options", f"{NS}#config-node-max", f"{NS}#multi-items")
    romeo = await scene.login("romeo")
    await fresh(scene, romeo, DEVICES, BUNDLES)
    for device in ("17", "18", "19"):
        bundle = f"<bundle xmlns='urn:xmpp:omemo:2'><ik>{device}</ik></bundle>"
        await published(scene, romeo, BUNDLES, bundle, device, {"access_model": "open", "max_items": "max"})
    reply = await request(romeo, "get", f"<items node={quoteattr(BUNDLES)}><item id='18'/></items>")
    require_equal(ids_of(reply), ["18"], "the ids of the items")
    require(find(reply, "pubsub:pubsub/pubsub:items/pubsub:item/{urn:xmpp:omemo:2}bundle") is not None, "no bundle")
