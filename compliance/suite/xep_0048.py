"""XEP-0048: Bookmarks, in private storage (XEP-0049) as old clients keep them."""

from __future__ import annotations

import secrets
from xml.sax.saxutils import quoteattr

from compliance.check import MUST, SHOULD, NotPossible, checks_of, require, require_equal
from compliance.client import Client
from compliance.names import PREFIXES, condition, find_all, text
from compliance.publishing import fresh
from compliance.scene import Scene

check = checks_of("XEP-0048")
NS = PREFIXES["oldbookmarks"]


def _query(inner: str) -> str:
    return f"<query xmlns='jabber:iq:private'><storage xmlns='{NS}'>{inner}</storage></query>"


async def _clean(scene: Scene) -> Client:
    romeo = await scene.login("romeo")
    reply = await romeo.iq("set", _query(""))
    if condition(reply) in ("service-unavailable", "feature-not-implemented"):
        raise NotPossible("the server has no private storage")
    await fresh(scene, romeo, PREFIXES["bookmarks"], NS)
    return romeo


@check("3.1", MUST, "Bookmarks of rooms are kept in private storage with name, nick and autojoin.")
async def bookmarks_are_kept(scene: Scene) -> None:
    romeo, room = await _clean(scene), f"room-{secrets.token_hex(5)}@conference.{scene.domain}"
    nick = "<nick>Ro</nick>"
    conference = f"<conference jid={quoteattr(room)} name='Verona' autojoin='true'>{nick}</conference>"
    await romeo.ask("set", _query(conference))
    await romeo.close()
    again = await scene.login("romeo", label="romeo again")
    reply = await again.ask("get", _query(""))
    found = find_all(reply, "private:query/oldbookmarks:storage/oldbookmarks:conference")
    require_equal([one.get("jid") for one in found], [room], "the rooms")
    require_equal((found[0].get("name"), text(found[0], "oldbookmarks:nick")), ("Verona", "Ro"), "name and nick")
    require(found[0].get("autojoin") in ("true", "1"), "autojoin was lost")


@check("3.2", SHOULD, "Bookmarks of web pages are kept beside them.")
async def urls_are_kept(scene: Scene) -> None:
    romeo, room = await _clean(scene), f"room-{secrets.token_hex(5)}@conference.{scene.domain}"
    url = "<url name='Verona' url='https://verona.example/'/>"
    await romeo.ask("set", _query(f"{url}<conference jid={quoteattr(room)} name='V'/>"))
    reply = await romeo.ask("get", _query(""))
    urls = [one.get("url") for one in find_all(reply, "private:query/oldbookmarks:storage/oldbookmarks:url")]
    require_equal(urls, ["https://verona.example/"], "the web pages")
    await romeo.ask("set", _query(""))


@check("3", MUST, "Bookmarks that are stored take the place of those before.")
async def stored_bookmarks_replace_those_before(scene: Scene) -> None:
    romeo = await _clean(scene)
    rooms = [f"room-{secrets.token_hex(5)}@conference.{scene.domain}" for _ in range(2)]
    for room in rooms:
        await romeo.ask("set", _query(f"<conference jid={quoteattr(room)} name='V'/>"))
    reply = await romeo.ask("get", _query(""))
    found = find_all(reply, "private:query/oldbookmarks:storage/oldbookmarks:conference")
    require_equal([one.get("jid") for one in found], rooms[1:], "the rooms")
    await romeo.ask("set", _query(""))
