"""XEP-0084: User Avatar."""

from __future__ import annotations

import base64
import hashlib
import secrets
from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, checks_of, require, require_equal
from compliance.names import PREFIXES, find, text
from compliance.publishing import NS, announce, fresh, interested, items, published, request, told, told_ids
from compliance.scene import Scene

check = checks_of("XEP-0084")
DATA, METADATA = PREFIXES["avatardata"], PREFIXES["avatar"]


@check("4.1", MUST, "A contact is told of a new avatar, and gets its bytes by their id.")
async def avatar_is_told_and_fetched(scene: Scene) -> None:
    scene.needs(f"{NS}#publish")
    await scene.friends("romeo", "juliet")
    romeo = await scene.login("romeo")
    await fresh(scene, romeo, METADATA, DATA)
    juliet = await interested(scene, "juliet", METADATA)
    picture = b"\x89PNG\r\n\x1a\n" + secrets.token_bytes(40_000)
    id_ = hashlib.sha1(picture, usedforsecurity=False).hexdigest()
    encoded = base64.b64encode(picture).decode()
    await published(scene, romeo, DATA, f"<data xmlns='{DATA}'>{encoded}</data>", id_)
    info = f"<info bytes='{len(picture)}' id='{id_}' type='image/png'/>"
    await published(scene, romeo, METADATA, f"<metadata xmlns='{METADATA}'>{info}</metadata>", id_)
    message = await told(juliet, METADATA)
    require_equal(told_ids(message), [id_], "the ids of the items")
    seen = find(message, "event:event/event:items/event:item/avatar:metadata/avatar:info")
    require(seen is not None and seen.get("id") == id_, "the metadata is not what was published")
    reply = await request(juliet, "get", f"<items node='{DATA}'><item id={quoteattr(id_)}/></items>", to=romeo.bare)
    data = text(reply, "pubsub:pubsub/pubsub:items/pubsub:item/avatardata:data")
    require_equal(data, encoded, "the bytes")


@check("4.3", MUST, "An avatar is taken away by metadata that is empty, and contacts are told.")
async def avatar_is_taken_away(scene: Scene) -> None:
    scene.needs(f"{NS}#publish")
    await scene.friends("romeo", "juliet")
    romeo = await scene.login("romeo")
    await fresh(scene, romeo, METADATA, DATA)
    juliet = await interested(scene, "juliet", METADATA)
    await published(scene, romeo, METADATA, f"<metadata xmlns='{METADATA}'/>")
    metadata = find(await told(juliet, METADATA), "event:event/event:items/event:item/avatar:metadata")
    require(metadata is not None and len(metadata) == 0, "the metadata is not empty")
    reply = await items(juliet, METADATA, to=romeo.bare)
    require(find(reply, "pubsub:pubsub/pubsub:items/pubsub:item/avatar:metadata") is not None, "no item is left")


@check("4.2", SHOULD, "A contact that comes later is told of the avatar that there is.")
async def later_contacts_are_told_of_the_avatar(scene: Scene) -> None:
    scene.needs(f"{NS}#publish")
    await scene.friends("romeo", "juliet")
    romeo = await scene.login("romeo")
    await fresh(scene, romeo, METADATA, DATA)
    info = "<info bytes='1' id='0123456789012345678901234567890123456789' type='image/png'/>"
    await published(scene, romeo, METADATA, f"<metadata xmlns='{METADATA}'>{info}</metadata>", "0123456789")
    await romeo.send("<presence/>")
    juliet = await scene.login("juliet")
    await announce(juliet, METADATA)
    require_equal(told_ids(await told(juliet, METADATA)), ["0123456789"], "the ids of the items")
