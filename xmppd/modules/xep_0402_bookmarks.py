"""XEP-0402: PEP Native Bookmarks, and the two older homes of bookmarks (XEP-0048): private storage (XEP-0049) and a node of their own.

There is one truth, the items of the node `urn:xmpp:bookmarks:1`. What an old client reads from private storage is made of them when it
asks; the old node is written again whenever they change; what is written to either place becomes items (XEP-0411). What cannot be an
item (bookmarks of web pages, rooms whose address is none) stays in private storage, and both old places show it.
"""

from codec.element import Element
from codec.jid import JID
from codec.values import parse_bool
from xmppd.errors import StanzaError
from xmppd.hooks import NodeEvent, PrivateEvent, node_changed, private_given, private_kept
from xmppd.host import Host
from xmppd.module import Module, on
from xmppd.modules.xep_0049_private import PrivateModule
from xmppd.modules.xep_0060_pubsub import PubSubModule
from xmppd.modules.xep_0163_pep import PepModule
from xmppd.pubsub.config import WHITELIST
from xmppd.pubsub.service import DELETED, PUBLISHED, PURGED, RETRACTED, Change
from xmppd.resource import Account

NS = "urn:xmpp:bookmarks:1"
OLD_NS = OLD_NODE = "storage:bookmarks"
STORAGE, OLD_CONFERENCE = f"{OLD_NS} storage", f"{OLD_NS} conference"
CONFERENCE = f"{NS} conference"
CURRENT = "current"

PRIVATE = {"access_model": WHITELIST}
"""Who may read bookmarks: nobody else (XEP-0402 §5, XEP-0048 §3)."""
NEW_NODE = {**PRIVATE, "max_items": None, "send_last_published_item": "never"}
"""How the node is made when the first bookmark comes from an old client (XEP-0402 §3.1)."""

Bookmarks = dict[str, Element]
"""Room's address -> <conference/> of XEP-0402."""


class BookmarksModule(
    Module,
    xep=402,
    account_features=(f"{NS}#compat", f"{NS}#compat-pep", "urn:xmpp:bookmarks-conversion:0"),
    requires=(PubSubModule, PepModule, PrivateModule),
):
    """Show old clients the bookmarks of new ones, and the reverse."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self._pubsub = host.module(PubSubModule)
        self._private = host.module(PrivateModule)
        self._converting: set[JID] = set()

    # private storage

    @on(private_given)
    async def give(self, event: PrivateEvent) -> PrivateEvent:
        """Show the bookmarks in private storage."""
        if event.element.tag == STORAGE:
            event.element = storage_of(await self._bookmarks(event.account), others_of(event.element))
        return event

    @on(private_kept)
    async def keep(self, event: PrivateEvent) -> PrivateEvent:
        """Make items of what a client puts into private storage; the rest stays there."""
        if event.element.tag == STORAGE:
            await self._take(event.account, event.element)
            event.element = Element(STORAGE, {}, others_of(event.element))
        return event

    # nodes

    @on(node_changed)
    async def follow(self, event: NodeEvent) -> None:
        """Make items of what a client publishes at the old node, and write that node again when items change."""
        change: Change = event.change
        account: Account = event.account
        if account.jid in self._converting:
            return
        if change.node.name == NS and change.kind in (PUBLISHED, RETRACTED, PURGED, DELETED):
            await self._show_old(account, await self._others(account))
        elif change.node.name == OLD_NODE and change.kind == PUBLISHED and change.payload is not None:
            await self._take_node(account, change.payload)

    async def _take_node(self, account: Account, storage: Element) -> None:
        if storage.tag != STORAGE:
            return
        others = others_of(storage)
        if others != await self._others(account):
            await self._private.write(account, Element(STORAGE, {}, others))
        try:
            await self._take(account, storage)
        except StanzaError as error:
            # the node's own item stands all the same, and its publisher has it
            self.host.log.info("bookmarks_not_converted", account=str(account.jid), error=str(error))

    async def _bookmarks(self, account: Account) -> Bookmarks:
        """Return the bookmarks that are items."""
        items = await self._pubsub.items(account, NS)
        return {id_: payload for id_, payload in items.items() if payload.tag == CONFERENCE and room_of(id_) == id_}

    async def _take(self, account: Account, storage: Element) -> None:
        """Make the items be what an old client says.

        Raises:
            StanzaError: they are too many, or one cannot be published.
        """
        rooms = conferences_of(storage)
        limit = self._pubsub.service.quotas.items_per_node
        if len(rooms) > limit:
            raise StanzaError("policy-violation", text=f"At most {limit} bookmarks are kept.")
        before = await self._bookmarks(account)
        after = {jid: bookmark_of(old, before.get(jid)) for jid, old in rooms.items()}
        changed = {jid: one for jid, one in after.items() if not _is_same(one, before.get(jid))}
        gone = [jid for jid in before if jid not in after]
        self._converting.add(account.jid)
        try:
            place, owner = await self._pubsub.own(account)
            publish = self._pubsub.service.publish
            wanted = NEW_NODE if place.nodes.get(NS) is None else {}
            await self._pubsub.apply(
                account, lambda: (publish(place, owner, NS, jid, one, wanted) for jid, one in changed.items())
            )
            await self._pubsub.retract(account, NS, gone)
        finally:
            self._converting.discard(account.jid)
        await self._show_old(account, others_of(storage))

    async def _others(self, account: Account) -> tuple[Element, ...]:
        kept = await self._private.read(account, STORAGE)
        return () if kept is None else others_of(kept)

    async def _show_old(self, account: Account, others: tuple[Element, ...]) -> None:
        """Write the old node when it says something else than the items and `others`; only its owner may ever read it."""
        storage = storage_of(await self._bookmarks(account), others)
        last = await self._pubsub.last(account, OLD_NODE)
        if last is not None and _is_same_storage(last[1], storage):
            return
        if last is None and not storage.children:
            return
        self._converting.add(account.jid)
        try:
            await self._pubsub.publish_privately(account, OLD_NODE, storage, CURRENT)
        except StanzaError as error:
            self.host.log.info("bookmarks_not_shown", account=str(account.jid), error=str(error))
        finally:
            self._converting.discard(account.jid)


def room_of(text: str | None) -> str | None:
    """Return the address of a room as items are named, None when the text is none."""
    try:
        jid = JID.parse(text or "")
    except ValueError:
        return None
    return jid.bare if jid.localpart else None


def _is_true(text: str | None) -> bool:
    try:
        return parse_bool(text or "false")
    except ValueError:
        return False


def conferences_of(storage: Element) -> dict[str, Element]:
    """Return XEP-0048's <conference/> elements by their rooms; of two for one room the last."""
    found = {}
    for element in storage.find_all(OLD_CONFERENCE):
        room = room_of(element.get("jid"))
        if room is not None:
            found[room] = element
    return found


def others_of(storage: Element) -> tuple[Element, ...]:
    """Return what is in XEP-0048's <storage/> that cannot be an item."""
    return tuple(one for one in storage.elements() if one.tag != OLD_CONFERENCE or room_of(one.get("jid")) is None)


def bookmark_of(old: Element, before: Element | None) -> Element:
    """Return XEP-0402's form of an old bookmark; what only that form has stays as it was `before`."""
    attrs = {}
    if name := old.get("name"):
        attrs["name"] = name
    if _is_true(old.get("autojoin")):
        attrs["autojoin"] = "true"
    children = [
        Element(f"{NS} {name}", {}, (found.text,))
        for name in ("nick", "password")
        if (found := old.find(f"{OLD_NS} {name}")) is not None and found.text
    ]
    if before is not None:
        children += [one for one in before.elements() if one.name not in ("nick", "password") or one.ns != NS]
    return Element(CONFERENCE, attrs, tuple(children))


def storage_of(bookmarks: Bookmarks, others: tuple[Element, ...]) -> Element:
    """Return XEP-0048's <storage/> of bookmarks, with what else it held."""
    conferences = []
    for jid, bookmark in bookmarks.items():
        attrs = {"jid": jid, "autojoin": "true" if _is_true(bookmark.get("autojoin")) else "false"}
        if name := bookmark.get("name"):
            attrs["name"] = name
        children = tuple(
            Element(f"{OLD_NS} {name}", {}, (found.text,))
            for name in ("nick", "password")
            if (found := bookmark.find(f"{NS} {name}")) is not None and found.text
        )
        conferences.append(Element(OLD_CONFERENCE, attrs, children))
    return Element(STORAGE, {}, (*others, *conferences))


def _is_same(one: Element, other: Element | None) -> bool:
    """Whether two bookmarks say the same; the words for yes and no, and white space between elements, do not count."""
    if other is None or one.tag != other.tag or _is_true(one.get("autojoin")) != _is_true(other.get("autojoin")):
        return False
    return (one.get("name") or "") == (other.get("name") or "") and one.elements() == other.elements()


def _is_same_storage(one: Element, other: Element) -> bool:
    """Whether two <storage/> elements hold the same bookmarks, in whatever order."""
    mine, others = conferences_of(one), conferences_of(other)
    if mine.keys() != others.keys() or others_of(one) != others_of(other):
        return False
    return all(bookmark_of(mine[jid], None) == bookmark_of(others[jid], None) for jid in mine)
