"""XEP-0223: Persistent Storage of Private Data via PubSub."""

from __future__ import annotations

from compliance.check import MUST, checks_of, require_equal
from compliance.publishing import (
    NS,
    ids_of,
    interested,
    items,
    new_node,
    payload,
    published,
    refuse_told,
    told,
    told_ids,
)
from compliance.scene import Scene

check = checks_of("XEP-0223")
PRIVATE = {"persist_items": "true", "access_model": "whitelist"}


@check("3", MUST, "Data that was stored privately is there for a later session of the account.")
async def private_data_comes_back(scene: Scene) -> None:
    scene.needs(f"{NS}#publish-options")
    romeo, node = await scene.login("romeo"), new_node()
    await published(scene, romeo, node, payload("secret"), "current", PRIVATE)
    await romeo.close()
    again = await scene.login("romeo", label="romeo again")
    require_equal(ids_of(await items(again, node)), ["current"], "the ids of the items")


@check("3", MUST, "Nobody else reads data that was stored privately, contacts included.")
async def private_data_is_closed(scene: Scene) -> None:
    scene.needs(f"{NS}#publish-options")
    await scene.friends("romeo", "juliet")
    romeo, juliet, node = await scene.login("romeo"), await scene.login("juliet"), new_node()
    await published(scene, romeo, node, payload("secret"), "current", PRIVATE)
    require_equal((await items(juliet, node, to=romeo.bare)).get("type"), "error", "the type of a contact's answer")


@check("4", MUST, "The account's other clients are told of private data, and contacts are not.")
async def private_data_is_told_to_own_clients(scene: Scene) -> None:
    scene.needs(f"{NS}#publish-options")
    await scene.friends("romeo", "juliet")
    node = new_node()
    other, juliet = (
        await interested(scene, "romeo", node, label="romeo's other"),
        await interested(scene, "juliet", node),
    )
    romeo = await scene.online("romeo")
    await published(scene, romeo, node, payload("secret"), "current", PRIVATE)
    require_equal(told_ids(await told(other, node)), ["current"], "the ids of the items")
    await scene.settle(romeo, juliet)
    refuse_told(juliet, node, "a contact was told of private data")
