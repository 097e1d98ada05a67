"""Nodes into files and out of them (XEP-0227 §4.10): set-up, affiliations and subscriptions in one element, items in another.

What comes out of a file is nobody's request: there is no rate, and nobody is told. The limits of an account hold all the same.
"""

from collections.abc import Iterator
from dataclasses import replace

from codec.element import Element
from codec.jid import JID, InvalidJID
from codec.payload import PayloadError
from codec.payloads.data_form import Form
from codec.payloads.pubsub import NS, NS_NODE_CONFIG, NS_OWNER
from storage.interface import Commit
from xmppd.errors import StanzaError
from xmppd.pubsub.config import OPTIONS, WHITELIST, NodeConfig, changed
from xmppd.pubsub.limits import JIDS_PER_NODE
from xmppd.pubsub.node import AFFILIATIONS, NONE, OWNER, PENDING, SUBSCRIBED, Node
from xmppd.pubsub.service import Place, Service

PUBSUB, ITEMS, ITEM = f"{NS} pubsub", f"{NS} items", f"{NS} item"
OWNERS, CONFIGURE = f"{NS_OWNER} pubsub", f"{NS_OWNER} configure"
AFFILIATED, SUBSCRIBERS = f"{NS_OWNER} affiliations", f"{NS_OWNER} subscriptions"

UNTOLD = NodeConfig(access_model=WHITELIST, max_items=None)
"""The set-up of a node of which the file says nothing but its items: nobody else reads it until its owner says so."""


def set_ups(place: Place) -> Element | None:
    """Return all nodes without their items; None when there are none."""
    found = [part for node in place.nodes.by_name.values() for part in _set_up(node)]
    return Element(OWNERS, {}, tuple(found)) if found else None


def _set_up(node: Node) -> Iterator[Element]:
    values = {option.var: option.texts(getattr(node.config, option.name)) for option in OPTIONS.values()}
    form = Form.submit(NS_NODE_CONFIG, {var: value for var, value in values.items() if value})
    yield Element(CONFIGURE, {"node": node.name}, (form.to_element(),))
    for tag, name, found in (
        (AFFILIATED, "affiliation", node.affiliations),
        (SUBSCRIBERS, "subscription", node.subscriptions),
    ):
        if found:
            parts = [Element(f"{NS_OWNER} {name}", {"jid": jid, name: value}) for jid, value in found.items()]
            yield Element(tag, {"node": node.name}, tuple(parts))


def restore(
    service: Service, place: Place, within: tuple[Element, ...], element: Element, problems: list[str]
) -> Commit | None:
    """Keep one element out of a file; `within`: what is around it. None when there is nothing to write.

    Raises:
        StanzaError: it cannot be kept.
    """
    if within[0].tag == OWNERS:
        return _restore_set_up(service, place, element, problems)
    if len(within) == 2 and within[1].tag == ITEMS and element.tag == ITEM:
        name = within[1].get("node") or ""
        node = place.nodes.get(name) or _new(service, place, name, UNTOLD)
        payload = next(iter(element.elements()), None)
        return service.restore(place, node, element.get("id"), payload)
    raise StanzaError("bad-request", text="no item of a node")


def _restore_set_up(service: Service, place: Place, element: Element, problems: list[str]) -> Commit:
    name = element.get("node") or ""
    node = place.nodes.get(name) or _new(service, place, name, UNTOLD)
    if element.tag == CONFIGURE:
        node.config = _config(element, service.quotas.items_per_node, problems)
    elif element.tag == AFFILIATED:
        node.affiliations = _people(element, "affiliation", (*AFFILIATIONS[1:4], AFFILIATIONS[5]), problems)
    elif element.tag == SUBSCRIBERS:
        node.subscriptions = _people(element, "subscription", (SUBSCRIBED, PENDING), problems)
    else:
        raise StanzaError("bad-request", text=f"<{element.name}/> is no part of a node's set-up")
    return service.store.save(place.owner, place.nodes, node)


def _new(service: Service, place: Place, name: str, config: NodeConfig) -> Node:
    if not name:
        raise StanzaError("bad-request", text="a node without a name")
    return service.new_node(place, name, config)


def _config(element: Element, items_per_node: int, problems: list[str]) -> NodeConfig:
    """Return the set-up that a form says, each option by itself: one that cannot be is a problem and stays as usual."""
    found = element.find("jabber:x:data x")
    try:
        fields = () if found is None else Form.from_element(found).fields
    except PayloadError as error:
        problems.append(f"node {element.get('node')}: no form: {error}")
        return UNTOLD
    config = NodeConfig(max_items=None)
    for field in fields:
        if field.var not in OPTIONS:
            continue
        try:
            config = changed(config, Form(type="submit", fields=(replace(field, type=None),)), items_per_node)
        except StanzaError as error:
            if field.var == "pubsub#access_model":
                config = replace(config, access_model=WHITELIST)
            if field.var != "pubsub#max_items":  # as many as there may be are kept
                problems.append(f"node {element.get('node')}: {error.text}")
    return config


def _people(element: Element, name: str, allowed: tuple[str, ...], problems: list[str]) -> dict[str, str]:
    """Return JID -> what somebody is to a node."""
    found: dict[str, str] = {}
    for one in element.elements():
        value = one.get(name)
        if value in (OWNER, NONE, None):
            continue  # the account itself; and Prosody writes subscriptions whose state has another name
        try:
            jid = JID.parse(one.get("jid") or "")
        except InvalidJID as error:
            problems.append(f"node {element.get('node')}: {error}")
            continue
        if value in allowed and len(found) < JIDS_PER_NODE:
            found[jid.bare if name == "affiliation" else jid] = value
        else:
            problems.append(f"node {element.get('node')}: {jid} as {value} was left out")
    return found
