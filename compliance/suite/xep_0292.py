"""XEP-0292: vCard4 over XMPP."""

from __future__ import annotations

import secrets

from compliance.check import MUST, SHOULD, checks_of, require_equal
from compliance.names import PREFIXES, text
from compliance.publishing import NS, fresh, interested, items, published, told, told_ids
from compliance.scene import Scene

check = checks_of("XEP-0292")
NODE, NS4 = "urn:xmpp:vcard4", PREFIXES["vcard4"]
FN = "pubsub:pubsub/pubsub:items/pubsub:item/vcard4:vcard/vcard4:fn/vcard4:text"


def _card(name: str) -> str:
    return f"<vcard xmlns='{NS4}'><fn><text>{name}</text></fn></vcard>"


@check("3", MUST, "A vCard4 is published at its node; contacts are told, and read it.")
async def card_is_published(scene: Scene) -> None:
    scene.needs(f"{NS}#publish")
    await scene.friends("romeo", "juliet")
    romeo, name = await scene.login("romeo"), f"Romeo {secrets.token_hex(4)}"
    await fresh(scene, romeo, NODE)
    juliet = await interested(scene, "juliet", NODE)
    await published(scene, romeo, NODE, _card(name))
    require_equal(told_ids(await told(juliet, NODE)), ["current"], "the ids of the items")
    require_equal(text(await items(juliet, NODE, to=romeo.bare), FN), name, "the name")


@check("5", SHOULD, "What a client writes as one form is read as the other.")
async def both_forms_say_the_same(scene: Scene) -> None:
    scene.needs(NS4, "vcard-temp")
    romeo, name, other = await scene.login("romeo"), f"A {secrets.token_hex(4)}", f"B {secrets.token_hex(4)}"
    await fresh(scene, romeo, NODE)
    await published(scene, romeo, NODE, _card(name))
    reply = await romeo.ask("get", "<vCard xmlns='vcard-temp'/>")
    require_equal(text(reply, "vcard:vCard/vcard:FN"), name, "the name in the old form")
    await romeo.ask("set", f"<vCard xmlns='vcard-temp'><FN>{other}</FN></vCard>")
    require_equal(text(await items(romeo, NODE), FN), other, "the name in the new form")


@check("3", MUST, "A card that is published anew takes the place of the one before.")
async def card_is_replaced(scene: Scene) -> None:
    scene.needs(f"{NS}#publish")
    romeo, name = await scene.login("romeo"), f"Romeo {secrets.token_hex(4)}"
    await fresh(scene, romeo, NODE)
    for written in ("Somebody else", name):
        await published(scene, romeo, NODE, _card(written))
    require_equal(text(await items(romeo, NODE), FN), name, "the name")
