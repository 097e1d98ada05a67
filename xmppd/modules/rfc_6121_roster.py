"""RFC 6121 §2: the roster.

A contact's state is a sum of four flags: TO (the user sees the contact's presence), FROM (the contact sees the user's),
PENDING_OUT and PENDING_IN (a request is unanswered). What a request or a presence does to it is the business of
`rfc_6121_subscription`; here the roster is kept, shown to clients and changed by them.

A contact that only asked for a subscription is kept, but no client sees it (RFC 6121 §A.1, state 3): `is_listed` is False.
"""

import json
from dataclasses import dataclass
from typing import Any, NamedTuple

from codec.element import Element
from codec.jid import JID
from codec.payload import Payload, PayloadError, attr, child_texts, children
from codec.stanza import IQ, Presence
from storage.interface import Commit, MapStore, StorageError
from xmppd.errors import StanzaError
from xmppd.hooks import (
    AccessEvent,
    ExportEvent,
    FeaturesEvent,
    ImportEvent,
    account_exported,
    account_imported,
    presence_access,
    stream_features,
)
from xmppd.module import Module, Target, account_part, iq_get, iq_set, on
from xmppd.resource import Account

NS = "jabber:iq:roster"
QUERY, ITEM, GROUP = f"{NS} query", f"{NS} item", f"{NS} group"
VERSIONING = Element("urn:xmpp:features:rosterver ver")
PRE_APPROVAL = Element("urn:xmpp:features:pre-approval sub")

MAX_TEXT_BYTES = 1023
"""The longest name of a contact or group: as long as a part of a JID may be."""
MAX_GROUPS = 50
"""Groups of one contact; clients show a handful."""
VERSION_KEY = ""
"""Where the version stands among the contacts in storage; no JID is empty."""
NO_VERSION = "0"
"""The version of a roster that nobody has changed yet: it is empty."""

TO, FROM, PENDING_OUT, PENDING_IN = 1, 2, 4, 8
_SUBSCRIPTIONS = ("none", "to", "from", "both")


class Request(NamedTuple):
    """What is kept of a presence that asked for a subscription, until it is answered; None when it said nothing."""

    id: str | None = None
    lang: str | None = None
    inner: str = ""
    scope: str = ""


class Contact(NamedTuple):
    """One contact.

    Attributes:
        state: a sum of TO, FROM, PENDING_OUT, PENDING_IN.
        name: "" for none.
        approved: the user approved a request before it was made (§3.4).
        is_listed: clients see it.
        request: the contact's own words, while PENDING_IN.
    """

    state: int = 0
    name: str = ""
    groups: tuple[str, ...] = ()
    approved: bool = False
    is_listed: bool = False
    request: Request | None = None

    @property
    def subscription(self) -> str:
        """What the roster says of it: none, to, from or both."""
        return _SUBSCRIPTIONS[self.state & (TO | FROM)]

    @property
    def shown(self) -> tuple[object, ...] | None:
        """Return all that a client sees of it, None when it sees nothing."""
        if not self.is_listed:
            return None
        return (self.state & ~PENDING_IN, self.name, self.groups, self.approved)

    def encode(self) -> bytes:
        """Return it as it is stored."""
        value: dict[str, Any] = {"s": self.state}
        if self.name:
            value["n"] = self.name
        if self.groups:
            value["g"] = self.groups
        if self.approved:
            value["a"] = 1
        if not self.is_listed:
            value["h"] = 1
        if self.request is not None:
            value["r"] = self.request
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, data: bytes) -> "Contact":
        """Return what `encode` wrote."""
        value = json.loads(data)
        request = value.get("r")
        return cls(
            value["s"],
            value.get("n", ""),
            tuple(value.get("g", ())),
            "a" in value,
            "h" not in value,
            None if request is None else Request(*request),
        )


STRANGER = Contact()
"""One who is not in the roster."""


class Roster:
    """An account's contacts.

    Attributes:
        contacts: by bare JID; those that clients do not see included.
        version: of what clients see (§2.6).
        listed: how many contacts clients see.
    """

    __slots__ = ("contacts", "listed", "version")

    def __init__(self, contacts: dict[str, Contact], version: str) -> None:
        self.contacts = contacts
        self.version = version
        self.listed = sum(contact.is_listed for contact in contacts.values())

    def __contains__(self, jid: object) -> bool:
        """Whether a bare JID is a contact that clients see."""
        contact = self.contacts.get(jid)  # type: ignore[call-overload]
        return contact is not None and contact.is_listed

    def get(self, jid: str) -> Contact:
        """Return the contact of a bare JID; `STRANGER` when there is none."""
        return self.contacts.get(jid, STRANGER)

    def put(self, jid: str, contact: Contact | None) -> None:
        """Put a contact in the place of the one of its name; None removes it."""
        self.listed -= self.get(jid).is_listed
        if contact is None:
            self.contacts.pop(jid, None)
        else:
            self.contacts[jid] = contact
            self.listed += contact.is_listed

    def sees_us(self, jid: str) -> bool:
        """Whether a bare JID is subscribed to the account's presence."""
        return bool(self.get(jid).state & FROM)

    def subscribers(self) -> list[str]:
        """Return the bare JIDs that see the account's presence (subscription from or both)."""
        return [jid for jid, contact in self.contacts.items() if contact.state & FROM]

    def subscriptions(self) -> list[str]:
        """Return the bare JIDs whose presence the account sees (subscription to or both)."""
        return [jid for jid, contact in self.contacts.items() if contact.state & TO]

    @classmethod
    def decode(cls, items: dict[str, bytes]) -> "Roster":
        """Return the roster that these stored values are."""
        version = items.pop(VERSION_KEY, NO_VERSION.encode()).decode()
        return cls({jid: Contact.decode(data) for jid, data in items.items()}, version)

    def query(self) -> Element:
        """Return the whole of what clients see, with its version (§2.1.4)."""
        items = tuple([_item(jid, contact) for jid, contact in self.contacts.items() if contact.is_listed])
        return Element(QUERY, {"ver": self.version}, items)


def _item(jid: str, contact: Contact) -> Element:
    attrs = {"jid": jid, "subscription": contact.subscription}
    if contact.name:
        attrs["name"] = contact.name
    if contact.state & PENDING_OUT:
        attrs["ask"] = "subscribe"
    if contact.approved:
        attrs["approved"] = "true"
    return Element(ITEM, attrs, tuple([Element(GROUP, {}, (group,)) for group in contact.groups]))


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemRequest(Payload, tag=(NS, "item")):
    """What a client wants of one contact; whatever it says of subscriptions but "remove" does not count (§2.1.2)."""

    jid: JID = attr(parse=JID.parse, required=True)
    name: str = attr(default="")
    subscription: str | None = attr()
    groups: tuple[str, ...] = child_texts("group")


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterRequest(Payload, tag=(NS, "query")):
    """A client's request; `ver`: "" from one that has no version yet, None from one that knows no versions (§2.6.2)."""

    ver: str | None = attr()
    items: tuple[ItemRequest, ...] = children(ItemRequest)


def _imported(before: Contact, item: ItemRequest, element: Element) -> Contact:
    """Return a contact as a file has it; a request of theirs that is known stays."""
    subscription = item.subscription if item.subscription in _SUBSCRIPTIONS else "none"
    state = _SUBSCRIPTIONS.index(subscription) | (before.state & PENDING_IN)
    if element.get("ask") == "subscribe":
        state |= PENDING_OUT
    is_approved = element.get("approved") in ("true", "1")
    return Contact(state, item.name, item.groups, is_approved, True, before.request)


class RosterModule(Module, stores={"items": MapStore}, open_to_others=True):
    """Keep the roster, show it to clients, take their changes and push all changes to them.

    A change takes effect in memory at once, and is pushed at once, so that pushes keep the order of the changes. Should its write
    fail, it is taken back and clients are told so: see `durable`.
    """

    @account_part(Roster, lazy=True)
    async def load(self, account: Account) -> Roster:
        """Load an account's roster."""
        return Roster.decode(await self.stores["items"].items(account.jid))

    async def roster(self, account: Account) -> Roster:
        """Return an account's roster, loading it at the first call."""
        return await account.load_part(Roster)

    @on(stream_features)
    def offer(self, event: FeaturesEvent) -> None:
        """Tell clients that have logged in what the roster can do (§2.6.1, §3.4)."""
        if event.is_authenticated:
            event.features.append(VERSIONING)
            event.features.append(PRE_APPROVAL)

    @on(presence_access)
    async def allow(self, event: AccessEvent) -> None:
        """Those who see an account's presence may learn what goes with it."""
        if (await self.roster(event.account)).sees_us(event.asker.bare):
            event.is_allowed = True

    # files (XEP-0227)

    @on(account_exported)
    async def export(self, event: ExportEvent) -> ExportEvent:
        """Write the contacts that clients see (§4.4 there)."""
        roster = await self.roster(event.account)
        if roster.listed:
            event.add(roster.query())
        return event

    @on(account_imported)
    async def take(self, event: ImportEvent) -> ImportEvent:
        """Keep contacts as they stood; a request that one of them has made stays."""
        if event.element.tag != QUERY or event.within:
            return event
        event.is_taken = True
        roster = await self.roster(event.account)
        put: dict[str, bytes] = {}
        for element in event.element.find_all(ITEM):
            try:
                item = ItemRequest.from_element(element)
                check_item(item)
                self.check_room(roster, item.jid)
            except (PayloadError, StanzaError) as error:
                event.problems.append(f"contact {element.get('jid')}: {error}")
                continue
            if item.jid.is_bare and item.jid != event.jid and item.subscription != "remove":
                contact = _imported(roster.get(item.jid), item, element)
                roster.put(item.jid, contact)
                put[item.jid] = contact.encode()
        if put:
            roster.version = self._new_version()
            event.commits.append(self.stores["items"].update(event.jid, put | {VERSION_KEY: roster.version.encode()}))
        return event

    # requests

    @iq_get(RosterRequest, to=(Target.ACCOUNT,))
    async def show(self, iq: IQ) -> Element | None:
        """Return the roster (§2.2), or nothing when the client has its version (§2.6.3); from now on it gets pushes."""
        account = self._own(iq, "service-unavailable")
        request = iq.payload
        assert isinstance(request, RosterRequest) and iq.from_ is not None
        if request.items:
            raise StanzaError("bad-request", text="A request for the roster carries no items.")
        roster = await self.roster(account)
        resource = self.host.resource(iq.from_)
        if resource is not None:
            resource.is_interested = True
        return None if request.ver == roster.version else roster.query()

    @iq_set(RosterRequest, to=(Target.ACCOUNT,))
    async def modify(self, iq: IQ) -> None:
        """Add, change or remove one contact (§2.3 to §2.5)."""
        account = self._own(iq, "forbidden")
        assert isinstance(iq.payload, RosterRequest)
        if len(iq.payload.items) != 1:
            raise StanzaError("bad-request", text="A change of the roster carries one item.")
        item = iq.payload.items[0]
        if not item.jid.is_bare:
            raise StanzaError("bad-request", text="A contact is a JID without a resource.")
        roster = await self.roster(account)
        if item.subscription == "remove":
            await self._remove(account, roster, item.jid)
        else:
            await self._put(account, roster, item)

    def _own(self, iq: IQ, condition: str) -> Account:
        assert iq.to is not None and iq.from_ is not None
        if iq.from_.bare != iq.to:
            raise StanzaError(condition)
        return self.host.accounts[iq.to]

    async def _put(self, account: Account, roster: Roster, item: ItemRequest) -> None:
        check_item(item)
        if item.jid == account.jid:
            raise StanzaError("not-allowed", text="Nobody is their own contact.")
        self.check_room(roster, item.jid)
        contact = roster.get(item.jid)._replace(name=item.name, groups=item.groups, is_listed=True)
        commit = self.change(account, roster, item.jid, contact, must_push=True)
        await self.durable(account, roster, item.jid, commit)

    async def _remove(self, account: Account, roster: Roster, jid: JID) -> None:
        """Remove a contact and end what there is between the two (§2.5.2): subscriptions and requests, both ways."""
        contact = roster.get(jid)
        if not contact.is_listed:
            raise StanzaError("item-not-found", "modify")
        await self.durable(account, roster, jid, self.change(account, roster, jid, None))
        await self.part_from(account, jid, contact.state)

    async def part_from(self, account: Account, jid: JID, state: int) -> None:
        """Tell a former contact, whose state was that, that there is nothing between the two any more."""
        if state & FROM:
            await self.withdraw(account, jid)
        if state & (TO | PENDING_OUT):
            await self.host.send(Presence(jid, account.jid, self.host.ids.token(), "unsubscribe"))
        if state & (FROM | PENDING_IN):
            await self.host.send(Presence(jid, account.jid, self.host.ids.token(), "unsubscribed"))

    def check_room(self, roster: Roster, jid: str) -> None:
        """Raise StanzaError (not-acceptable) when that contact would be one too many for clients to see."""
        limit = self.host.config.limits.roster_items
        if roster.listed >= limit and jid not in roster:
            raise StanzaError("not-acceptable", text=f"A roster has at most {limit} contacts.")

    # changes

    def change(
        self,
        account: Account,
        roster: Roster,
        jid: JID,
        contact: Contact | None,
        *,
        told: Presence | None = None,
        must_push: bool = False,
    ) -> Commit:
        """Put a contact in the place of the one of its name (None: remove it), and push it when clients see a difference.

        Args:
            told: what interested resources are told before the push.
            must_push: push also when nothing changed (§2.3.2).

        Raises:
            StorageFull: nothing was changed.
        """
        before = roster.get(jid)
        is_visible = before.shown != (None if contact is None else contact.shown) or must_push
        put: dict[str, bytes] = {} if contact is None else {jid: contact.encode()}
        version = self._new_version() if is_visible else roster.version
        if is_visible:
            put[VERSION_KEY] = version.encode()
        commit: Commit = self.stores["items"].update(account.jid, put, (jid,) if contact is None else ())
        roster.put(jid, contact)
        roster.version = version
        if told is not None:
            for resource in account.resources.values():
                if resource.is_interested:
                    resource.send(told)
        if is_visible:
            self._push(account, roster, jid)
        return commit

    def _new_version(self) -> str:
        return format(self.host.ids.stanza_id(), "x")

    async def durable(self, account: Account, roster: Roster, jid: JID, commit: Commit) -> None:
        """Wait until a change is written; take it back when it cannot be.

        Raises:
            StorageError: it is not written, and not in effect any more.
        """
        try:
            await commit
        except StorageError:
            stored = await self.stores["items"].get(account.jid, jid)
            roster.put(jid, None if stored is None else Contact.decode(stored))
            roster.version = self._new_version()
            self._push(account, roster, jid)
            raise

    def _push(self, account: Account, roster: Roster, jid: JID) -> None:
        """Send a contact as it is now to all interested resources (§2.1.6)."""
        contact = roster.get(jid)
        item = _item(jid, contact) if contact.is_listed else Element(ITEM, {"jid": jid, "subscription": "remove"})
        inner = Element(QUERY, {"ver": roster.version}, (item,)).to_xml()
        id_ = self.host.ids.token()
        for resource in account.resources.values():
            if resource.is_interested:
                resource.send(IQ(resource.jid, None, id_, "set", None, inner, (QUERY,)))

    # the account's presence, where a change of the roster asks for it

    async def announce(self, account: Account, to: JID) -> None:
        """Send the current presence of each available resource to one who may see it from now on."""
        for resource in account.available():
            presence = resource.presence
            if presence is not None:
                await self.host.send(presence.replace(to=to))

    async def withdraw(self, account: Account, to: JID) -> None:
        """Send unavailable presence from each available resource to one who must not see it from now on."""
        for resource in account.available():
            await self.host.send(Presence(to, resource.jid, None, "unavailable"))


def check_item(item: ItemRequest) -> None:
    """Hold a contact against the limits.

    Raises:
        StanzaError: bad-request for a group named twice; not-acceptable for a name or group that is too long, an empty group, or
            too many groups.

    Spec: RFC 6121 §2.3.3.
    """
    if len(set(item.groups)) != len(item.groups):
        raise StanzaError("bad-request", text="A group is named twice.")
    if not all(item.groups):
        raise StanzaError("not-acceptable", text="A group has no name.")
    if len(item.groups) > MAX_GROUPS:
        raise StanzaError("not-acceptable", text=f"A contact is in at most {MAX_GROUPS} groups.")
    if any(len(text.encode()) > MAX_TEXT_BYTES for text in (item.name, *item.groups)):
        raise StanzaError("not-acceptable", text=f"A name is at most {MAX_TEXT_BYTES} bytes long.")
