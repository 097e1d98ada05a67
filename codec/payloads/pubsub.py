"""XEP-0060: Publish-Subscribe: what requests carry, and the namespaces.

Attributes that a request may lack are None here, also where the document demands them: what is missing has an error of its own each.
"""

from dataclasses import dataclass

from codec.jid import JID
from codec.payload import Payload, any_children, attr, child, children
from codec.payloads.data_form import Form
from codec.payloads.rsm import Set
from codec.values import int_between, parse_bool

NS = "http://jabber.org/protocol/pubsub"
NS_OWNER = f"{NS}#owner"
NS_EVENT = f"{NS}#event"
NS_ERRORS = f"{NS}#errors"
NS_NODE_CONFIG = f"{NS}#node_config"
NS_PUBLISH_OPTIONS = f"{NS}#publish-options"
NS_META_DATA = f"{NS}#meta-data"

_parse_count = int_between(0, 2**31 - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item(Payload, tag=(NS, "item")):
    """An item (§7.1); `publisher` is told only where it is not the owner of the node."""

    id: str | None = attr()
    publisher: JID | None = attr(parse=JID.parse)
    payload: tuple = any_children()  # type: ignore[type-arg]


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish(Payload, tag=(NS, "publish")):
    """An item to publish, or the ids of those that were (§7.1)."""

    node: str | None = attr()
    items: tuple[Item, ...] = children(Item)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishOptions(Payload, tag=(NS, "publish-options")):
    """How the node must be for the item to be published (§7.1.5)."""

    form: Form | None = child(Form)


@dataclass(frozen=True, slots=True, kw_only=True)
class Create(Payload, tag=(NS, "create")):
    """A node to make (§8.1); without a name the service finds one."""

    node: str | None = attr()


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateConfiguration(Payload, tag=(NS, "configure")):
    """How the node to make is to be (§8.1.3)."""

    form: Form | None = child(Form)


@dataclass(frozen=True, slots=True, kw_only=True)
class Items(Payload, tag=(NS, "items")):
    """Items that are asked for, or found (§6.5)."""

    node: str | None = attr()
    max_items: int | None = attr(name="max_items", parse=_parse_count)
    items: tuple[Item, ...] = children(Item)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retract(Payload, tag=(NS, "retract")):
    """Items to take back (§7.2)."""

    node: str | None = attr()
    notify: bool = attr(parse=parse_bool, default=False)
    items: tuple[Item, ...] = children(Item)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribe(Payload, tag=(NS, "subscribe")):
    """A wish to be told of a node's changes (§6.1)."""

    node: str | None = attr()
    jid: JID | None = attr(parse=JID.parse)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsubscribe(Payload, tag=(NS, "unsubscribe")):
    """The end of that wish (§6.2)."""

    node: str | None = attr()
    jid: JID | None = attr(parse=JID.parse)
    subid: str | None = attr()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription(Payload, tag=(NS, "subscription")):
    """A subscription: `subscription` is none, pending or subscribed."""

    node: str | None = attr()
    jid: JID | None = attr(parse=JID.parse)
    subscription: str | None = attr()
    subid: str | None = attr()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscriptions(Payload, tag=(NS, "subscriptions")):
    """The asker's subscriptions (§5.6)."""

    node: str | None = attr()
    items: tuple[Subscription, ...] = children(Subscription)


@dataclass(frozen=True, slots=True, kw_only=True)
class Affiliation(Payload, tag=(NS, "affiliation")):
    """What the asker is to a node."""

    node: str | None = attr()
    affiliation: str | None = attr()


@dataclass(frozen=True, slots=True, kw_only=True)
class Affiliations(Payload, tag=(NS, "affiliations")):
    """The asker's affiliations (§5.7)."""

    node: str | None = attr()
    items: tuple[Affiliation, ...] = children(Affiliation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(Payload, tag=(NS, "options")):
    """The options of one subscription (§6.3), which nobody has here."""

    node: str | None = attr()
    jid: JID | None = attr(parse=JID.parse)


@dataclass(frozen=True, slots=True, kw_only=True)
class Default(Payload, tag=(NS, "default")):
    """The default options of subscriptions (§6.4), which nobody has here."""

    node: str | None = attr()


@dataclass(frozen=True, slots=True, kw_only=True)
class PubSub(Payload, tag=(NS, "pubsub")):
    """A request of anybody's, or the answer; at most one of the parts is there, but `configure`, `publish_options`, `rsm`."""

    create: Create | None = child(Create)
    configure: CreateConfiguration | None = child(CreateConfiguration)
    publish: Publish | None = child(Publish)
    publish_options: PublishOptions | None = child(PublishOptions)
    items: Items | None = child(Items)
    retract: Retract | None = child(Retract)
    subscribe: Subscribe | None = child(Subscribe)
    unsubscribe: Unsubscribe | None = child(Unsubscribe)
    subscription: Subscription | None = child(Subscription)
    subscriptions: Subscriptions | None = child(Subscriptions)
    affiliations: Affiliations | None = child(Affiliations)
    options: Options | None = child(Options)
    default: Default | None = child(Default)
    rsm: Set | None = child(Set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Configure(Payload, tag=(NS_OWNER, "configure")):
    """A node's configuration (§8.2)."""

    node: str | None = attr()
    form: Form | None = child(Form)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerDefault(Payload, tag=(NS_OWNER, "default")):
    """How nodes are by themselves (§8.3)."""

    form: Form | None = child(Form)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete(Payload, tag=(NS_OWNER, "delete")):
    """A node to remove (§8.4)."""

    node: str | None = attr()


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge(Payload, tag=(NS_OWNER, "purge")):
    """A node to empty (§8.5)."""

    node: str | None = attr()


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerSubscription(Payload, tag=(NS_OWNER, "subscription")):
    """Somebody's subscription, as the owner sees and sets it."""

    jid: JID | None = attr(parse=JID.parse)
    subscription: str | None = attr()
    subid: str | None = attr()


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerSubscriptions(Payload, tag=(NS_OWNER, "subscriptions")):
    """All subscriptions to a node (§8.8)."""

    node: str | None = attr()
    items: tuple[OwnerSubscription, ...] = children(OwnerSubscription)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerAffiliation(Payload, tag=(NS_OWNER, "affiliation")):
    """Somebody's affiliation, as the owner sees and sets it."""

    jid: JID | None = attr(parse=JID.parse)
    affiliation: str | None = attr()


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerAffiliations(Payload, tag=(NS_OWNER, "affiliations")):
    """All affiliations with a node (§8.9)."""

    node: str | None = attr()
    items: tuple[OwnerAffiliation, ...] = children(OwnerAffiliation)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner(Payload, tag=(NS_OWNER, "pubsub")):
    """A request of a node's owner, or the answer."""

    configure: Configure | None = child(Configure)
    default: OwnerDefault | None = child(OwnerDefault)
    delete: Delete | None = child(Delete)
    purge: Purge | None = child(Purge)
    subscriptions: OwnerSubscriptions | None = child(OwnerSubscriptions)
    affiliations: OwnerAffiliations | None = child(OwnerAffiliations)
