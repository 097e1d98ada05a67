"""XEP-0398: User Avatar to vCard-Based Avatars Conversion."""

from __future__ import annotations

import base64
import hashlib
import secrets

from compliance.check import MUST, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import PREFIXES, find, text
from compliance.publishing import fresh, ids_of, interested, items, published, told, told_ids
from compliance.scene import Scene

check = checks_of("XEP-0398")
FEATURE = "urn:xmpp:pep-vcard-conversion:0"
DATA, METADATA = PREFIXES["avatardata"], PREFIXES["avatar"]
GET = "<vCard xmlns='vcard-temp'/>"


def picture() -> tuple[str, str, int]:
    """Return a picture that nobody has had: its id, its bytes in base64, their number."""
    data = b"\x89PNG\r\n\x1a\n" + secrets.token_bytes(2_000)
    return hashlib.sha1(data, usedforsecurity=False).hexdigest(), base64.b64encode(data).decode(), len(data)


async def put_avatar(scene: Scene, client: Client, options: dict[str, str] | None = None) -> tuple[str, str]:
    """Publish an avatar; return its id and its bytes in base64."""
    id_, encoded, size = picture()
    await published(scene, client, DATA, f"<data xmlns='{DATA}'>{encoded}</data>", id_, options)
    info = f"<info bytes='{size}' id='{id_}' type='image/png'/>"
    await published(scene, client, METADATA, f"<metadata xmlns='{METADATA}'>{info}</metadata>", id_, options)
    return id_, encoded


@check("3", MUST, "An avatar that was published is the picture of the account's vCard.")
async def published_avatar_is_in_the_vcard(scene: Scene) -> None:
    scene.needs(FEATURE)
    await scene.friends("romeo", "juliet")
    romeo, juliet = await scene.login("romeo"), await scene.login("juliet")
    await fresh(scene, romeo, METADATA, DATA)
    _, encoded = await put_avatar(scene, romeo, {"access_model": "open"})
    reply = await juliet.ask("get", GET, to=romeo.bare)
    seen = text(reply, "vcard:vCard/vcard:PHOTO/vcard:BINVAL")
    require_equal("".join((seen or "").split()), encoded, "the picture in the vCard")


@check("3", MUST, "The picture of a vCard that was set is published as the avatar, and contacts are told.")
async def picture_of_the_vcard_is_published(scene: Scene) -> None:
    scene.needs(FEATURE)
    await scene.friends("romeo", "juliet")
    romeo = await scene.login("romeo")
    await fresh(scene, romeo, METADATA, DATA)
    juliet = await interested(scene, "juliet", METADATA)
    id_, encoded, _ = picture()
    photo = f"<PHOTO><TYPE>image/png</TYPE><BINVAL>{encoded}</BINVAL></PHOTO>"
    await romeo.ask("set", f"<vCard xmlns='vcard-temp'><FN>Romeo</FN>{photo}</vCard>")
    message = await told(juliet, METADATA)
    require_equal(told_ids(message), [id_], "the id of the metadata")
    info = find(message, "event:event/event:items/event:item/avatar:metadata/avatar:info")
    require(info is not None and info.get("id") == id_, "the metadata does not name the picture")
    require_equal(ids_of(await items(juliet, DATA, to=romeo.bare)), [id_], "the id of the data")
    await romeo.ask("set", GET)


@check("3", MUST, "The presence of the account bears the hash of the avatar.")
async def presence_bears_the_hash(scene: Scene) -> None:
    scene.needs(FEATURE)
    await scene.friends("romeo", "juliet")
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    await fresh(scene, romeo, METADATA, DATA)
    id_, _ = await put_avatar(scene, romeo, {"access_model": "open"})
    await romeo.send("<presence><show>away</show></presence>")
    await juliet.expect("c:presence", from_=romeo.jid, where=lambda el: text(el, "update:x/update:photo") == id_)
