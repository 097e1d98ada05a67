"""How a node is set up (XEP-0060 §8.2, §16.4.4): the options that there are, their forms, and preconditions (§7.1.5).

`OPTIONS` is the whole list; forms are read and written by it. A node keeps only what differs from the defaults, which are those of
XEP-0163 §5: contacts who see the account's presence may read, and one item is kept.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from codec.payload import PayloadError
from codec.payloads.data_form import FORM_TYPE, Field, Form, Option
from codec.payloads.pubsub import NS_META_DATA, NS_NODE_CONFIG, NS_PUBLISH_OPTIONS
from codec.values import format_value, int_between, one_of, parse_bool
from xmppd.errors import StanzaError
from xmppd.pubsub.limits import GROUPS_PER_NODE, TEXT_BYTES

OPEN, PRESENCE, ROSTER, WHITELIST, AUTHORIZE = "open", "presence", "roster", "whitelist", "authorize"
ACCESS_MODELS = (AUTHORIZE, OPEN, PRESENCE, ROSTER, WHITELIST)
PUBLISH_MODELS = ("publishers", "subscribers", "open")
LAST_NEVER, LAST_ON_SUB, LAST_ON_PRESENCE = "never", "on_sub", "on_sub_and_presence"
SEND_LAST = (LAST_NEVER, LAST_ON_SUB, LAST_ON_PRESENCE)
MAX = "max"


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """A node's set-up; the names are those of the options without "pubsub#".

    Attributes:
        max_items: how many are kept; None stands for as many as the server allows ("max").
        roster_groups_allowed: who may read with the access model "roster".
        type: the namespace of the payloads, for people who look around.
    """

    title: str = ""
    description: str = ""
    type: str = ""
    language: str = ""
    access_model: str = PRESENCE
    roster_groups_allowed: tuple[str, ...] = ()
    publish_model: str = "publishers"
    persist_items: bool = True
    max_items: int | None = 1
    send_last_published_item: str = LAST_ON_PRESENCE
    deliver_notifications: bool = True
    deliver_payloads: bool = True
    notify_config: bool = False
    notify_delete: bool = True
    notify_retract: bool = True
    notification_type: str = "headline"

    def changes(self) -> dict[str, Any]:
        """Return what differs from the defaults, as JSON can hold it."""
        return {one.name: value for one in fields(self) if (value := getattr(self, one.name)) != one.default}

    @classmethod
    def of_changes(cls, changes: dict[str, Any]) -> "NodeConfig":
        """Return what `changes` told; options that are no more do not count."""
        known = {one.name for one in fields(cls)}
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in changes.items()}
        found: dict[str, Any] = {name: value for name, value in values.items() if name in known}
        return cls(**found)


DEFAULT = NodeConfig()


def _text(text: str) -> str:
    if len(text.encode()) > TEXT_BYTES:
        raise ValueError(f"longer than {TEXT_BYTES} bytes")
    return text


_count = int_between(0, 2**31 - 1)


def _max_items(text: str) -> int | None:
    return None if text.strip() == MAX else _count(text)


@dataclass(frozen=True, slots=True)
class NodeOption:
    """One option.

    Attributes:
        type: of its field. parse: makes the value from the text, or raises ValueError. choices: of a list.
    """

    name: str
    type: str
    label: str
    parse: Callable[[str], Any]
    choices: tuple[str, ...] = ()

    @property
    def var(self) -> str:
        """The name of its field."""
        return f"pubsub#{self.name}"

    def read(self, field: Field) -> Any:
        """Return a field's value; ValueError when it cannot be."""
        if self.type == "list-multi":
            if len(field.values) > GROUPS_PER_NODE:
                raise ValueError(f"more than {GROUPS_PER_NODE}")
            return tuple(self.parse(value) for value in field.values)
        if len(field.values) > 1 and self.type != "text-multi":
            raise ValueError("more than one value")
        return self.parse("\n".join(field.values))

    def texts(self, value: Any) -> tuple[str, ...]:
        """Return a value as a field holds it."""
        if value is None:
            return (MAX,)
        if isinstance(value, tuple):
            return value
        return (format_value(value),) if value != "" else ()

    def field(self, config: NodeConfig) -> Field:
        """Return its field in a form to fill in."""
        options = tuple(Option(value=choice) for choice in self.choices)
        values = self.texts(getattr(config, self.name))
        return Field(var=self.var, type=self.type, label=self.label, values=values, options=options)


def _listed(name: str, label: str, choices: tuple[str, ...]) -> NodeOption:
    return NodeOption(name, "list-single", label, one_of(*choices), choices)


def _switch(name: str, label: str) -> NodeOption:
    return NodeOption(name, "boolean", label, parse_bool)


_OPTIONS = (
    NodeOption("title", "text-single", "A short name for people", _text),
    NodeOption("description", "text-single", "What it is about", _text),
    NodeOption("type", "text-single", "The namespace of its payloads", _text),
    NodeOption("language", "text-single", "Its language", _text),
    _listed("access_model", "Who may read", ACCESS_MODELS),
    NodeOption("roster_groups_allowed", "list-multi", "Roster groups that may read", _text),
    _listed("publish_model", "Who may publish", PUBLISH_MODELS),
    _switch("persist_items", "Keep items"),
    NodeOption("max_items", "text-single", "How many items are kept, or max", _max_items),
    _listed("send_last_published_item", "When the last item is sent unasked", SEND_LAST),
    _switch("deliver_notifications", "Tell of changes"),
    _switch("deliver_payloads", "Tell them with their payloads"),
    _switch("notify_config", "Tell when its configuration changes"),
    _switch("notify_delete", "Tell when it is deleted"),
    _switch("notify_retract", "Tell when items are taken back"),
    _listed("notification_type", "The type of messages that tell", ("normal", "headline")),
)
OPTIONS = {option.var: option for option in _OPTIONS}

SHOWN = ("title", "description", "type", "language", "access_model", "publish_model", "max_items")
"""What everybody who may look at a node learns of its set-up (§5.4)."""


def configuration_form(config: NodeConfig, groups: Iterable[str] = ()) -> Form:
    """Return the form with which an owner sees and changes a node; `groups`: those of the owner's roster."""
    found = [Field(var=FORM_TYPE, type="hidden", values=(NS_NODE_CONFIG,))]
    for option in OPTIONS.values():
        field = option.field(config)
        if option.type == "list-multi":
            names = dict.fromkeys((*groups, *field.values))
            field = replace(field, options=tuple(Option(value=name) for name in names))
        found.append(field)
    return Form(type="form", fields=tuple(found))


def meta_data_form(config: NodeConfig, more: dict[str, str]) -> Form:
    """Return what disco#info tells of a node (§5.4); `more`: fields beside the options."""
    values: dict[str, Any] = {}
    for name in SHOWN:
        option = OPTIONS[f"pubsub#{name}"]
        values[option.var] = option.texts(getattr(config, name))
    return Form.result(NS_META_DATA, values | {f"pubsub#{name}": value for name, value in more.items()})


def changed(config: NodeConfig, form: Form, items_per_node: int) -> NodeConfig:
    """Return a node's set-up after its owner submitted a form; what the form leaves out stays, what we do not know does not count.

    Raises:
        StanzaError: bad-request: no submitted form, or another FORM_TYPE; not-acceptable: a value that cannot be.
    """
    if form.type != "submit" or form.form_type not in (None, NS_NODE_CONFIG):
        raise StanzaError("bad-request", text=f"Submit a form of {NS_NODE_CONFIG}.")
    known = [field for field in form.fields if field.var in OPTIONS]
    return replace(config, **_values(known, items_per_node))


def preconditions(form: Form | None, items_per_node: int) -> dict[str, Any] | None:
    """Return the options that <publish-options/> demands, by name; None stands for ones that no node can have.

    Raises:
        StanzaError: as `changed`.
    """
    if form is None:
        return {}
    if form.type != "submit" or form.form_type != NS_PUBLISH_OPTIONS:
        raise StanzaError("bad-request", text=f"Submit a form of {NS_PUBLISH_OPTIONS}.")
    wanted = [field for field in form.fields if field.var not in (None, FORM_TYPE)]
    if any(field.var not in OPTIONS for field in wanted):
        return None
    return _values(wanted, items_per_node)


def are_met(config: NodeConfig, wanted: dict[str, Any], items_per_node: int) -> bool:
    """Whether a node is as <publish-options/> demands; "max" is the number for which it stands."""
    for name, value in wanted.items():
        has = getattr(config, name)
        if name == "max_items":
            has, value = has or items_per_node, value or items_per_node
        if name == "roster_groups_allowed":
            has, value = set(has), set(value)
        if has != value:
            return False
    return True


def _values(found: Iterable[Field], items_per_node: int) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in found:
        option = OPTIONS[field.var or ""]
        if option.name in values:
            raise StanzaError("not-acceptable", text=f"{option.var} stands there twice.")
        if not field.values and option.type in ("list-single", "boolean"):
            continue  # left empty: as it was
        try:
            values[option.name] = option.read(field)
        except (ValueError, PayloadError) as error:
            raise StanzaError("not-acceptable", text=f"{option.var}: {error}.") from error
    _check_max(values, items_per_node)
    return values


def _check_max(values: dict[str, Any], items_per_node: int) -> None:
    wanted = values.get("max_items")
    if wanted is None:
        return
    if wanted > items_per_node:
        raise StanzaError("not-acceptable", text=f"At most {items_per_node} items are kept; ask for {MAX}.")
    if wanted == 0:
        raise StanzaError("not-acceptable", text="Keep one item at least, or none with persist_items.")
