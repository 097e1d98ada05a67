"""XEP-0402: PEP Native Bookmarks."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import PREFIXES, Element, find, find_all, text
from compliance.publishing import (
    NS,
    fresh,
    ids_of,
    interested,
    items,
    published,
    remove_at_the_end,
    request,
    told,
    told_ids,
)
from compliance.scene import Scene

check = checks_of("XEP-0402")
NODE, OLD = PREFIXES["bookmarks"], PREFIXES["oldbookmarks"]
OPTIONS = {
    "persist_items": "true",
    "max_items": "max",
    "send_last_published_item": "never",
    "access_model": "whitelist",
}


def _room(scene: Scene) -> str:
    return f"room-{secrets.token_hex(5)}@conference.{scene.domain}"


def _bookmark(name: str, inner: str = "") -> str:
    return f"<conference xmlns='{NODE}' name={quoteattr(name)} autojoin='true'>{inner}</conference>"


async def _private(client: Client) -> dict[str | None, Element]:
    query = f"<query xmlns='jabber:iq:private'><storage xmlns='{OLD}'/></query>"
    reply = await client.ask("get", query)
    found = find_all(reply, "private:query/oldbookmarks:storage/oldbookmarks:conference")
    return {conference.get("jid"): conference for conference in found}


async def _clean(scene: Scene) -> Client:
    """Return romeo with no bookmarks in any place, now and when the check is over."""
    scene.needs(f"{NS}#publish-options", f"{NS}#config-node-max")
    romeo = await scene.login("romeo")
    await fresh(scene, romeo, NODE, OLD)
    return romeo


@check("3.1", MUST, "Bookmarks are items of one node, as many as there are rooms, and come back.")
async def bookmarks_come_back(scene: Scene) -> None:
    romeo = await _clean(scene)
    rooms = [_room(scene) for _ in range(12)]
    for room in rooms:
        await published(scene, romeo, NODE, _bookmark("Verona", "<nick>Ro</nick>"), room, OPTIONS)
    await romeo.close()
    again = await scene.login("romeo", label="romeo again")
    reply = await items(again, NODE)
    require_equal(sorted(map(str, ids_of(reply))), sorted(rooms), "the rooms")
    path = "pubsub:pubsub/pubsub:items/pubsub:item/bookmarks:conference/bookmarks:nick"
    require_equal(text(reply, path), "Ro", "the nick")


@check("3.3", MUST, "The account's other clients are told of new bookmarks, and of those that go.")
async def bookmarks_are_told(scene: Scene) -> None:
    romeo, room = await _clean(scene), _room(scene)
    other = await interested(scene, "romeo", NODE, label="romeo's other")
    await published(scene, romeo, NODE, _bookmark("Verona"), room, OPTIONS)
    require_equal(told_ids(await told(other, NODE)), [room], "the rooms")
    await request(romeo, "set", f"<retract node='{NODE}' notify='true'><item id={quoteattr(room)}/></retract>")
    message = await told(other, NODE)
    gone = [one.get("id") for one in find_all(message, "event:event/event:items/event:retract")]
    require_equal(gone, [room], "the rooms that went")


@check("5", MUST, "Nobody else reads an account's bookmarks.")
async def bookmarks_are_private(scene: Scene) -> None:
    await scene.friends("romeo", "juliet")
    romeo, juliet = await _clean(scene), await scene.login("juliet")
    await published(scene, romeo, NODE, _bookmark("Verona"), _room(scene), OPTIONS)
    require_equal((await items(juliet, NODE, to=romeo.bare)).get("type"), "error", "the type of a contact's answer")


@check(
    "4", SHOULD, "Where the account says #compat, clients of private storage see the same bookmarks, and change them."
)
async def private_storage_is_the_same(scene: Scene) -> None:
    scene.needs(f"{NODE}#compat")
    romeo, room, other = await _clean(scene), _room(scene), _room(scene)
    await published(scene, romeo, NODE, _bookmark("Verona", "<nick>Ro</nick>"), room, OPTIONS)
    seen = (await _private(romeo)).get(room)
    require(seen is not None, "private storage does not hold the bookmark")
    assert seen is not None
    require_equal((seen.get("name"), text(seen, "oldbookmarks:nick")), ("Verona", "Ro"), "what private storage holds")
    conference = f"<conference jid={quoteattr(other)} name='Mantua' autojoin='1'><nick>Exile</nick></conference>"
    storage = f"<storage xmlns='{OLD}'>{conference}</storage>"
    await romeo.ask("set", f"<query xmlns='jabber:iq:private'>{storage}</query>")
    reply = await items(romeo, NODE)
    require_equal(ids_of(reply), [other], "the rooms after private storage was written")
    bookmark = find(reply, "pubsub:pubsub/pubsub:items/pubsub:item/bookmarks:conference")
    require(bookmark is not None and bookmark.get("autojoin") in ("true", "1"), "autojoin was lost")


@check(
    "4", SHOULD, "Where the account says #compat-pep, clients of the old node see the same bookmarks, and change them."
)
async def old_node_is_the_same(scene: Scene) -> None:
    scene.needs(f"{NODE}#compat-pep")
    romeo, room, other = await _clean(scene), _room(scene), _room(scene)
    remove_at_the_end(scene, romeo, OLD)
    await published(scene, romeo, NODE, _bookmark("Verona"), room, OPTIONS)
    reply = await items(romeo, OLD)
    path = "pubsub:pubsub/pubsub:items/pubsub:item/oldbookmarks:storage/oldbookmarks:conference"
    require_equal([one.get("jid") for one in find_all(reply, path)], [room], "the rooms at the old node")
    storage = f"<storage xmlns='{OLD}'><conference jid={quoteattr(other)}/></storage>"
    await published(scene, romeo, OLD, storage, "current", {"access_model": "whitelist"})
    require_equal(ids_of(await items(romeo, NODE)), [other], "the rooms after the old node was written")
