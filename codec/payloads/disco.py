"""XEP-0030: Service Discovery; forms in an answer are those of XEP-0128."""

from dataclasses import dataclass

from codec.element import XML_LANG
from codec.jid import JID
from codec.payload import Payload, attr, child_attrs, children
from codec.payloads.data_form import Form

NS_INFO = "http://jabber.org/protocol/disco#info"
NS_ITEMS = "http://jabber.org/protocol/disco#items"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity(Payload, tag=(NS_INFO, "identity")):
    """What an entity is (XEP-0030 §3.1): category and type are registered words; `name` is for people, in `lang`."""

    category: str = attr(required=True)
    type: str = attr(required=True)
    name: str | None = attr()
    lang: str | None = attr(name=XML_LANG)


@dataclass(frozen=True, slots=True, kw_only=True)
class Info(Payload, tag=(NS_INFO, "query")):
    """A question for what an entity is and can do, or the answer, which has at least one identity.

    Attributes:
        node: the part of the entity that is meant; None for itself.
        features: namespaces.
        forms: more about it, each with its FORM_TYPE.
    """

    node: str | None = attr()
    identities: tuple[Identity, ...] = children(Identity)
    features: tuple[str, ...] = child_attrs("feature", "var")
    forms: tuple[Form, ...] = children(Form)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item(Payload, tag=(NS_ITEMS, "item")):
    """Another entity, or a node of one, that belongs to the entity asked (XEP-0030 §4.1)."""

    jid: JID = attr(parse=JID.parse, required=True)
    node: str | None = attr()
    name: str | None = attr()


@dataclass(frozen=True, slots=True, kw_only=True)
class Items(Payload, tag=(NS_ITEMS, "query")):
    """A question for what belongs to an entity, or the answer."""

    node: str | None = attr()
    items: tuple[Item, ...] = children(Item)
