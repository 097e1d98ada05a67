"""XEP-0049: Private XML Storage.

Each element that a client stores is kept under its tag; another of the same tag takes its place.
"""

from dataclasses import dataclass, field

from codec.element import CLIENT_NS, Element, parse_element
from codec.payload import Payload, any_children
from codec.stanza import IQ
from storage.interface import MapStore, StorageError
from xmppd.errors import StanzaError
from xmppd.hooks import (
    ExportEvent,
    ImportEvent,
    PrivateEvent,
    account_exported,
    account_imported,
    private_given,
    private_kept,
)
from xmppd.module import Module, Target, account_part, iq_get, iq_set, on
from xmppd.resource import Account

NS = "jabber:iq:private"

BOOKMARKS = "storage:bookmarks storage"
"""What is given also where nothing of it is kept here (XEP-0402)."""
MAX_TOTAL_BYTES = 1_048_576
"""All of an account's elements together: four of the largest stanzas. Bookmarks and notes take a few kilobytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Private(Payload, tag=(NS, "query")):
    """What is asked for or stored."""

    elements: tuple[Element, ...] = any_children()


@dataclass(slots=True)
class Sizes:
    """How many bytes each of an account's elements takes, by its tag."""

    by_tag: dict[str, int] = field(default_factory=dict)


class PrivateModule(Module, xep=49, features=(NS,), account_features=(NS,), stores={"elements": MapStore}):
    """Keep elements for the account's own clients; the dispatcher refuses all others."""

    @account_part(Sizes, lazy=True)
    async def load(self, account: Account) -> Sizes:
        """Measure what there is."""
        return Sizes({tag: len(value) for tag, value in (await self.stores["elements"].items(account.jid)).items()})

    @iq_get(Private, to=(Target.ACCOUNT,))
    async def fetch(self, iq: IQ) -> Private:
        """Return the element of the tag that the client names, the empty one that it sent when there is none (§2)."""
        wanted = _elements(iq)
        if len(wanted) != 1:
            raise StanzaError("not-acceptable", text="Ask for one element at a time.")
        value = await self.stores["elements"].get(iq.to, wanted[0].tag)
        found = Element(wanted[0].tag) if value is None else parse_element(value, "")
        assert iq.to is not None
        event = await self.host.run_filter_waiting(private_given, PrivateEvent(self.host.accounts[iq.to], found))
        return Private(elements=(found if event is None else event.element,))

    @iq_set(Private, to=(Target.ACCOUNT,))
    async def store(self, iq: IQ) -> None:
        """Keep the elements, each in the place of the one of its tag; an empty one frees the place."""
        assert iq.to is not None
        await self._keep(self.host.accounts[iq.to], _elements(iq))

    async def _keep(self, account: Account, elements: tuple[Element, ...]) -> None:
        put: dict[str, bytes] = {}
        empty: set[str] = set()
        for given in elements:
            event = await self.host.run_filter_waiting(private_kept, PrivateEvent(account, given))
            element = given if event is None else event.element
            put.pop(element.tag, None)
            empty.discard(element.tag)
            if element.children or element.attrs:
                put[element.tag] = element.to_xml("")
            else:
                empty.add(element.tag)
        await self._write(account, put, empty)

    @on(account_exported)
    async def export(self, event: ExportEvent) -> ExportEvent:
        """Write all elements as clients get them (XEP-0227 §4.6)."""
        found: list[Element] = []
        stored = await self.stores["elements"].items(event.jid)
        for tag in dict.fromkeys((*stored, BOOKMARKS)):
            element = parse_element(stored[tag], "") if tag in stored else Element(tag)
            given = await self.host.run_filter_waiting(private_given, PrivateEvent(event.account, element))
            if given is not None and (given.element.children or given.element.attrs):
                found.append(given.element)
        if found:
            event.add(Element(Private.TAG, {}, tuple(found)))
        return event

    @on(account_imported)
    async def take(self, event: ImportEvent) -> ImportEvent:
        """Keep elements as if a client had stored them."""
        if event.element.tag == Private.TAG and not event.within:
            event.is_taken = True
            elements = event.element.elements()
            await self._keep(event.account, tuple([one for one in elements if one.ns not in ("", NS, CLIENT_NS)]))
        return event

    async def read(self, account: Account, tag: str) -> Element | None:
        """Return an element of an account as it is kept, None when there is none."""
        value = await self.stores["elements"].get(account.jid, tag)
        return None if value is None else parse_element(value, "")

    async def write(self, account: Account, element: Element) -> None:
        """Keep an element for an account, as `store` does."""
        if element.children or element.attrs:
            await self._write(account, {element.tag: element.to_xml("")}, set())
        else:
            await self._write(account, {}, {element.tag})

    async def _write(self, account: Account, put: dict[str, bytes], empty: set[str]) -> None:
        sizes = await account.load_part(Sizes)
        after = {tag: size for tag, size in sizes.by_tag.items() if tag not in empty}
        after.update((tag, len(value)) for tag, value in put.items())
        self._check(after)
        sizes.by_tag = after
        try:
            await self.stores["elements"].update(account.jid, put, empty)
        except StorageError:
            account.drop_part(Sizes)
            raise

    def _check(self, sizes: dict[str, int]) -> None:
        limit = self.host.config.limits.private_elements
        if len(sizes) > limit or sum(sizes.values()) > MAX_TOTAL_BYTES:
            text = f"At most {limit} elements of {MAX_TOTAL_BYTES} bytes together are kept for an account."
            raise StanzaError("policy-violation", text=text)


def _elements(iq: IQ) -> tuple[Element, ...]:
    """Return the elements of a request; each must have a namespace of its own (§2)."""
    assert isinstance(iq.payload, Private)
    elements = iq.payload.elements
    if not elements or any(element.ns in ("", NS, CLIENT_NS) for element in elements):
        raise StanzaError("not-acceptable", text="Each element needs a namespace of its own.")
    return elements
