"""XEP-0153: vCard-Based Avatars, whose hash the server puts into presence (XEP-0398)."""

from __future__ import annotations

from compliance.check import MUST, SHOULD, checks_of, require_equal
from compliance.names import PREFIXES, text
from compliance.publishing import fresh
from compliance.scene import Scene
from compliance.suite.xep_0398 import FEATURE, GET, picture, put_avatar

check = checks_of("XEP-0153")
HASH = "update:x/update:photo"


@check("3.1", MUST, "The hash of an avatar that a client put into its presence reaches its contacts.")
async def hash_in_presence_arrives(scene: Scene) -> None:
    await scene.friends("romeo", "juliet")
    juliet, romeo = await scene.online("juliet"), await scene.login("romeo")
    id_, encoded, _ = picture()
    photo = f"<PHOTO><TYPE>image/png</TYPE><BINVAL>{encoded}</BINVAL></PHOTO>"
    await romeo.ask("set", f"<vCard xmlns='vcard-temp'><FN>Romeo</FN>{photo}</vCard>")
    await fresh_at_the_end(scene, romeo)
    await romeo.send(f"<presence><x xmlns='vcard-temp:x:update'><photo>{id_}</photo></x></presence>")
    presence = await juliet.expect("c:presence/update:x", from_=romeo.jid)
    require_equal(text(presence, HASH), id_, "the hash")


@check("4.3", SHOULD, "The server puts the hash of the avatar into the presence of clients that know nothing of it.")
async def server_puts_the_hash_into_presence(scene: Scene) -> None:
    scene.needs(FEATURE)
    await scene.friends("romeo", "juliet")
    juliet, romeo = await scene.online("juliet"), await scene.login("romeo")
    await fresh(scene, romeo, PREFIXES["avatar"], PREFIXES["avatardata"])
    id_, _ = await put_avatar(scene, romeo)
    await romeo.send("<presence><show>away</show></presence>")
    presence = await juliet.expect("c:presence/update:x", from_=romeo.jid)
    require_equal(text(presence, HASH), id_, "the hash")


@check("4.3", SHOULD, "Contacts see another hash when the avatar changes, without presence from its owner.")
async def changed_avatar_is_seen_in_presence(scene: Scene) -> None:
    scene.needs(FEATURE)
    await scene.friends("romeo", "juliet")
    juliet, romeo = await scene.online("juliet"), await scene.online("romeo")
    await fresh(scene, romeo, PREFIXES["avatar"], PREFIXES["avatardata"])
    id_, _ = await put_avatar(scene, romeo)
    presence = await juliet.expect("c:presence", from_=romeo.jid, where=lambda el: text(el, HASH) == id_)
    require_equal(presence.get("type"), None, "the type of the presence")


async def fresh_at_the_end(scene: Scene, client: object) -> None:
    """Take the picture away when the check is over."""

    async def remove() -> None:
        again = await scene.login("romeo", label="romeo/setup")
        await again.iq("set", GET)
        await fresh(scene, again, PREFIXES["avatar"], PREFIXES["avatardata"])

    scene.at_the_end(remove)
