"""What those who want to know are told of a node (XEP-0060 §7.1.2, §7.2.2, §8.2.5, §8.4.2, §8.5.2): <event/> and its parts."""

from collections.abc import Iterable

from codec.element import Element
from codec.payloads.data_form import Form
from codec.payloads.pubsub import NS_EVENT

EVENT, ITEMS, ITEM = f"{NS_EVENT} event", f"{NS_EVENT} items", f"{NS_EVENT} item"


def _event(name: str, node: str, *children: Element) -> Element:
    return Element(EVENT, {}, (Element(f"{NS_EVENT} {name}", {"node": node}, children),))


def published(node: str, id_: str, publisher: str, payload: Element | None) -> Element:
    """Tell of an item; without its payload where the node is set up so. `publisher` "": the owner of the node."""
    attrs = {"id": id_, "publisher": publisher} if publisher else {"id": id_}
    return _event("items", node, Element(ITEM, attrs, () if payload is None else (payload,)))


def retracted(node: str, ids: Iterable[str]) -> Element:
    """Tell of items that were taken back."""
    return _event("items", node, *(Element(f"{NS_EVENT} retract", {"id": id_}) for id_ in ids))


def purged(node: str) -> Element:
    """Tell that all items have gone."""
    return _event("purge", node)


def deleted(node: str) -> Element:
    """Tell that the node has gone."""
    return _event("delete", node)


def configured(node: str, form: Form | None) -> Element:
    """Tell how the node is set up now; `form` None: that it has changed."""
    return _event("configuration", node, *(() if form is None else (form.to_element(),)))


def subscribed(node: str, jid: str, state: str) -> Element:
    """Tell somebody what has become of their subscription (§8.6, §8.8.2)."""
    return Element(EVENT, {}, (Element(f"{NS_EVENT} subscription", {"node": node, "jid": jid, "subscription": state}),))
