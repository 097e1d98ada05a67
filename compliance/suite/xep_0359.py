"""XEP-0359: Unique and Stable Stanza IDs."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, NotPossible, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import Element, find, find_all
from compliance.scene import Scene

check = checks_of("XEP-0359")
FEATURE = "urn:xmpp:sid:0"


async def _receive(scene: Scene, inner: str = "") -> tuple[Element, Client]:
    """Return a chat message as juliet receives it from romeo, and juliet."""
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    token = secrets.token_hex(8)
    to = quoteattr(juliet.bare)
    await romeo.send(f"<message to={to} type='chat' id='{token}'><body>{token}</body>{inner}</message>")
    return await juliet.expect("c:message", id=token), juliet


def _ids(message: Element, by: str) -> list[str]:
    return [el.get("id", "") for el in find_all(message, "sid:stanza-id") if el.get("by") == by]


async def _stamped(scene: Scene, inner: str = "") -> tuple[str, Element, Client]:
    """Return the account's stanza-id of a message, the message and juliet; end the check where none is given."""
    message, juliet = await _receive(scene, inner)
    ids = _ids(message, juliet.bare)
    if not ids:
        raise NotPossible("the server gives messages no stanza-id")
    require_equal(len(ids), 1, "the number of stanza-ids by the account")
    return ids[0], message, juliet


@check("3", MUST, "A stanza-id is by the account's bare JID, has an id, and holds nothing.")
async def stanza_id_is_well_formed(scene: Scene) -> None:
    id_, message, juliet = await _stamped(scene)
    require(id_, "the stanza-id has no id")
    element = find(message, "sid:stanza-id")
    assert element is not None
    require(len(element) == 0 and not element.text, "the stanza-id is not empty")
    require_equal(element.get("by"), juliet.bare, "the by of the stanza-id")


@check("2.1", MUST, "No two messages have the same stanza-id.")
async def stanza_ids_differ(scene: Scene) -> None:
    romeo, juliet = await scene.online("romeo"), await scene.online("juliet")
    await _stamped(scene)
    seen = []
    for i in range(10):
        await romeo.send(f"<message to={quoteattr(juliet.jid)} type='chat' id='u{i}'><body>same</body></message>")
        seen += _ids(await juliet.expect("c:message", id=f"u{i}"), juliet.bare)
    require_equal((len(seen), len(set(seen))), (10, 10), "the number of stanza-ids and of different ones")


@check("3", MUST, "A stanza-id that the sender forged in the account's name is taken out.")
async def forged_stanza_id_is_removed(scene: Scene) -> None:
    if FEATURE not in scene.profile.account | scene.profile.server:
        await _stamped(scene)
    forged = f"<stanza-id xmlns='{FEATURE}' id='forged' by={quoteattr(scene.jid('juliet'))}/>"
    message, juliet = await _receive(scene, forged)
    require("forged" not in _ids(message, juliet.bare), "the forged stanza-id was delivered")
    require(len(_ids(message, juliet.bare)) <= 1, "the message has two stanza-ids by the account")


@check("3", SHOULD, "A stanza-id by somebody else is left as it is.")
async def other_stanza_ids_are_kept(scene: Scene) -> None:
    other = f"<stanza-id xmlns='{FEATURE}' id='theirs' by='room@elsewhere.invalid'/>"
    _, message, _ = await _stamped(scene, other)
    require_equal(_ids(message, "room@elsewhere.invalid"), ["theirs"], "the stanza-ids by another")


@check("2.2", MUST, "The sender's origin-id is delivered as it was sent.")
async def origin_id_is_kept(scene: Scene) -> None:
    message, _ = await _receive(scene, f"<origin-id xmlns='{FEATURE}' id='mine'/>")
    ids = [el.get("id") for el in find_all(message, "sid:origin-id")]
    require_equal(ids, ["mine"], "the origin-ids")


@check("5", SHOULD, "A server that keeps these rules says so on the account.")
async def feature_is_listed(scene: Scene) -> None:
    await _stamped(scene)
    require(FEATURE in scene.profile.account, f"stanza-ids are given, but the account does not list {FEATURE}")
