"""XEP-0054: vcard-temp."""

from __future__ import annotations

import base64
import secrets

from compliance.check import MUST, SHOULD, Failed, NotPossible, checks_of, require, require_equal, require_in
from compliance.names import condition, find, text
from compliance.scene import Scene

check = checks_of("XEP-0054")
GET = "<vCard xmlns='vcard-temp'/>"
FEATURE = "vcard-temp"


def _card(inner: str) -> str:
    return f"<vCard xmlns='vcard-temp'>{inner}</vCard>"


@check("4", MUST, "A server that keeps vCards says so.")
async def feature_is_listed(scene: Scene) -> None:
    romeo = await scene.login("romeo")
    reply = await romeo.iq("get", GET)
    listed = FEATURE in scene.profile.server | scene.profile.account
    if condition(reply) in ("service-unavailable", "feature-not-implemented"):
        if not listed:
            raise NotPossible("the server keeps no vCards")
        raise Failed("vcard-temp is among the features, and the request is refused")
    require(listed, "vcard-temp works, but is not among the features")


@check("3.2", MUST, "A vCard that was set is returned with all its fields, also to a later session.")
async def vcard_comes_back(scene: Scene) -> None:
    scene.needs(FEATURE)
    romeo = await scene.login("romeo")
    name, photo = f"Romeo {secrets.token_hex(4)}", base64.b64encode(secrets.token_bytes(6000)).decode()
    fields = (
        f"<FN>{name}</FN><N><FAMILY>Montague</FAMILY><GIVEN>Romeo</GIVEN></N>"
        f"<PHOTO><TYPE>image/png</TYPE><BINVAL>{photo}</BINVAL></PHOTO>"
    )
    await romeo.ask("set", _card(fields))
    await romeo.close()
    again = await scene.login("romeo", label="romeo again")
    reply = await again.ask("get", GET)
    require_equal(text(reply, "vcard:vCard/vcard:FN"), name, "the FN")
    require_equal(text(reply, "vcard:vCard/vcard:N/vcard:FAMILY"), "Montague", "the FAMILY")
    require_equal(text(reply, "vcard:vCard/vcard:PHOTO/vcard:BINVAL"), photo, "the BINVAL of the photo")


@check("3.3", MUST, "Another's vCard can be read by the bare JID, whether they are there or not.")
async def others_vcard_can_be_read(scene: Scene) -> None:
    scene.needs(FEATURE)
    juliet = await scene.login("juliet")
    name = f"Juliet {secrets.token_hex(4)}"
    await juliet.ask("set", _card(f"<FN>{name}</FN>"))
    await juliet.close()
    romeo = await scene.login("romeo")
    reply = await romeo.ask("get", GET, to=scene.jid("juliet"))
    require_equal(text(reply, "vcard:vCard/vcard:FN"), name, "the FN")
    require_equal(reply.get("from"), scene.jid("juliet"), "the from of the answer")


@check("3.3", MUST, "The server answers for the account; the request is not delivered to its resources.")
async def resources_are_not_asked(scene: Scene) -> None:
    scene.needs(FEATURE)
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    await romeo.iq("get", GET, to=juliet.bare)
    await scene.settle(romeo, juliet)
    juliet.refuse("c:iq", type="get", why="the request for the vCard was delivered to a resource")


@check("3.2", MUST, "Nobody changes another's vCard.")
async def others_vcard_cannot_be_set(scene: Scene) -> None:
    scene.needs(FEATURE)
    romeo = await scene.login("romeo")
    token = secrets.token_hex(6)
    reply = await romeo.iq("set", _card(f"<FN>{token}</FN>"), to=scene.jid("juliet"))
    require_equal(reply.get("type"), "error", "the type of the answer")
    require_in(condition(reply), ("forbidden", "not-allowed", "service-unavailable"), "the condition")
    kept = await romeo.iq("get", GET, to=scene.jid("juliet"))
    require(text(kept, "vcard:vCard/vcard:FN") != token, "juliet's vCard was changed all the same")


@check("3.3", MUST, "Asking for the vCard of nobody is an error, and gives no vCard.")
async def vcard_of_nobody_is_an_error(scene: Scene) -> None:
    scene.needs(FEATURE)
    romeo = await scene.login("romeo")
    reply = await romeo.iq("get", GET, to=f"nobody-{secrets.token_hex(5)}@{scene.domain}")
    require_equal(reply.get("type"), "error", "the type of the answer")


@check("3.3", SHOULD, "The condition for nobody is the same as for an account without a vCard.")
async def nobody_looks_like_one_without_vcard(scene: Scene) -> None:
    scene.needs(FEATURE)
    mercutio = await scene.login("mercutio")
    card = find(await mercutio.iq("get", GET), "vcard:vCard")
    if card is not None and len(card):
        raise NotPossible("mercutio, who should have no vCard, has one")
    romeo = await scene.login("romeo")
    nobody = await romeo.iq("get", GET, to=f"nobody-{secrets.token_hex(5)}@{scene.domain}")
    without = await romeo.iq("get", GET, to=scene.jid("mercutio"))
    require_equal((without.get("type"), condition(without)), (nobody.get("type"), condition(nobody)), "the answer")
