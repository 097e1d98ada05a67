"""From the requests of XEP-0060 to what `Service` does, and from what it did to the answers."""

from codec.element import Element
from codec.jid import JID
from codec.payload import Payload
from codec.payloads import pubsub as wire
from codec.payloads.pubsub import NS, Owner, PubSub
from xmppd.errors import StanzaError
from xmppd.pubsub import config as options
from xmppd.pubsub.access import Asker, affiliation_of
from xmppd.pubsub.errors import name_of, pubsub_error, unsupported
from xmppd.pubsub.limits import ANSWER_BYTES
from xmppd.pubsub.node import NO_SUBSCRIPTION, NONE, Node
from xmppd.pubsub.pages import Page, page_of
from xmppd.pubsub.service import Change, Place, Service

Answer = tuple[Payload | None, list[Change]]
ITEM, ITEMS = f"{NS} item", f"{NS} items"


def set_(service: Service, place: Place, asker: Asker, request: PubSub) -> Answer:
    """Do what anybody may ask for; return the answer and what changed."""
    if request.publish is not None:
        return _publish(service, place, asker, request, request.publish)
    if request.retract is not None:
        retract = request.retract
        ids = [item.id or "" for item in retract.items]
        return None, [service.retract(place, asker, name_of(retract.node), ids, retract.notify)]
    if request.create is not None:
        form = None if request.configure is None else request.configure.form
        change = service.create(place, asker, request.create.node, form)
        return PubSub(create=wire.Create(node=change.node.name)), [change]
    if request.subscribe is not None:
        change = service.subscribe(place, asker, name_of(request.subscribe.node), request.subscribe.jid)
        return PubSub(subscription=_subscription(change.node, change.jid)), [change]
    if request.unsubscribe is not None:
        return None, [service.unsubscribe(place, asker, name_of(request.unsubscribe.node), request.unsubscribe.jid)]
    if request.options is not None:
        raise unsupported("subscription-options")
    raise StanzaError("bad-request", text="Nothing is asked for that can be done.")


def _publish(service: Service, place: Place, asker: Asker, request: PubSub, publish: wire.Publish) -> Answer:
    node = name_of(publish.node)
    wanted = options.preconditions(
        None if request.publish_options is None else request.publish_options.form, service.quotas.items_per_node
    )
    if len(publish.items) > 1:
        raise pubsub_error("bad-request", "invalid-payload", text="Publish one item at a time.")
    if not publish.items:
        raise pubsub_error("bad-request", "item-required")
    item = publish.items[0]
    if len(item.payload) > 1:
        raise pubsub_error("bad-request", "invalid-payload", text="An item has one payload.")
    change = service.publish(place, asker, node, item.id, item.payload[0] if item.payload else None, wanted)
    return PubSub(publish=wire.Publish(node=node, items=(wire.Item(id=change.ids[0]),))), [change]


def _subscription(node: Node, jid: str) -> wire.Subscription:
    state = node.subscriptions.get(jid, NO_SUBSCRIPTION)
    return wire.Subscription(node=node.name, jid=JID.parse(jid), subscription=state)


async def get(service: Service, place: Place, asker: Asker, request: PubSub) -> Element | Payload:
    """Return what anybody may ask for."""
    if request.items is not None:
        return await _items(service, place, asker, request, request.items)
    if request.subscriptions is not None:
        nodes = _nodes(service, place, request.subscriptions.node)
        found = tuple(
            _subscription(node, jid)
            for node in nodes
            for jid in node.subscriptions
            if jid.partition("/")[0] == asker.bare
        )
        return PubSub(subscriptions=wire.Subscriptions(node=request.subscriptions.node, items=found))
    if request.affiliations is not None:
        nodes = _nodes(service, place, request.affiliations.node)
        found_ = tuple(
            wire.Affiliation(node=node.name, affiliation=affiliation)
            for node in nodes
            if (affiliation := affiliation_of(node, asker)) != NONE
        )
        return PubSub(affiliations=wire.Affiliations(node=request.affiliations.node, items=found_))
    if request.options is not None:
        raise unsupported("subscription-options")
    if request.default is not None:
        raise unsupported("retrieve-default-sub")
    raise StanzaError("bad-request", text="Nothing is asked for that can be told.")


def _nodes(service: Service, place: Place, name: str | None) -> list[Node]:
    return list(place.nodes.by_name.values()) if not name else [service.node(place, name)]


async def _items(service: Service, place: Place, asker: Asker, request: PubSub, wanted: wire.Items) -> Element:
    """Return items (§6.5), as many as one answer holds; a <set/> tells where more were left out than were asked for."""
    node = service.readable(place, asker, name_of(wanted.node))
    if not node.config.persist_items:
        raise unsupported("persistent-items")
    if wanted.items:
        named = dict.fromkeys(item.id or "" for item in wanted.items)
        ids = [id_ for id_ in named if id_ in node.items]
        if not ids:
            raise StanzaError("item-not-found", text="There is no such item.")
    else:
        ids = list(reversed(node.items))[: wanted.max_items]
    page = page_of(ids, request.rsm)
    page, found = await _read(service, place, node, page)
    answer = Element(ITEMS, {"node": node.name}, tuple(found))
    is_said = request.rsm is not None or not page.is_all
    return Element(PubSub.TAG, {}, (answer, page.rsm.to_element()) if is_said else (answer,))


async def _read(service: Service, place: Place, node: Node, page: Page) -> tuple[Page, list[Element]]:
    """Return the items of a page, and the page as it is when it ends where an answer is full."""
    heads = dict(node.items)
    found: list[Element] = []
    size = 0
    for count, id_ in enumerate(page.ids):
        head = heads[id_]
        size += head.size
        if size > ANSWER_BYTES and count:
            return page.first(count), found
        payload = await service.store.payload(place.owner, node.name, id_)
        if payload is None:
            continue  # retracted since we began
        attrs = {"id": id_, "publisher": head.publisher} if head.publisher else {"id": id_}
        found.append(Element(ITEM, attrs, (payload,)))
    return page, found


def owner_get(service: Service, place: Place, asker: Asker, request: Owner, groups: tuple[str, ...]) -> Payload:
    """Return what a node's owner may ask for; `groups`: those of the owner's roster."""
    if request.default is not None:
        if not asker.is_owner:
            raise StanzaError("forbidden")
        return Owner(default=wire.OwnerDefault(form=options.configuration_form(options.DEFAULT, groups)))
    if request.configure is not None:
        node = service.owned(place, asker, name_of(request.configure.node))
        form = options.configuration_form(node.config, groups)
        return Owner(configure=wire.Configure(node=node.name, form=form))
    if request.subscriptions is not None:
        node = service.owned(place, asker, name_of(request.subscriptions.node))
        subscriptions = tuple(
            wire.OwnerSubscription(jid=JID.parse(jid), subscription=state) for jid, state in node.subscriptions.items()
        )
        return Owner(subscriptions=wire.OwnerSubscriptions(node=node.name, items=subscriptions))
    if request.affiliations is not None:
        node = service.owned(place, asker, name_of(request.affiliations.node))
        named = {place.owner: "owner", **node.affiliations}
        affiliations = tuple(wire.OwnerAffiliation(jid=JID.parse(jid), affiliation=one) for jid, one in named.items())
        return Owner(affiliations=wire.OwnerAffiliations(node=node.name, items=affiliations))
    raise StanzaError("bad-request", text="Nothing is asked for that can be told.")


def owner_set(service: Service, place: Place, asker: Asker, request: Owner) -> list[Change]:
    """Do what a node's owner asks for; return what changed."""
    if request.configure is not None:
        name = name_of(request.configure.node)
        if request.configure.form is None:
            raise StanzaError("bad-request", text="Submit a form.")
        return service.configure(place, asker, name, request.configure.form)
    if request.delete is not None:
        return [service.delete(place, asker, name_of(request.delete.node))]
    if request.purge is not None:
        return [service.purge(place, asker, name_of(request.purge.node))]
    if request.subscriptions is not None:
        states = [(one.jid, one.subscription) for one in request.subscriptions.items]
        return service.set_subscriptions(place, asker, name_of(request.subscriptions.node), states)
    if request.affiliations is not None:
        people = [(one.jid, one.affiliation) for one in request.affiliations.items]
        return [service.set_affiliations(place, asker, name_of(request.affiliations.node), people)]
    raise StanzaError("bad-request", text="Nothing is asked for that can be done.")
