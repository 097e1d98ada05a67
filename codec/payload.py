"""Payloads as dataclasses: each field says where in the element it is kept.

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Item(Payload, tag=("jabber:iq:roster", "item")):
        jid: JID = attr(parse=JID.parse, required=True)
        groups: tuple[str, ...] = child_texts("group")

Reading skips what no field names; a missing required part or one that does not
parse is a PayloadError. Writing puts attributes and children in the order of the fields.
"""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

from codec.element import CLIENT_NS, Element

_METADATA_KEY = "xml"
_ABSENT: Any = object()


class PayloadError(ValueError):
    """An element is not the payload it says it is: a required part is missing or cannot be read."""


Index = Mapping[str, list[Element]]  # the children by tag
Parse = Callable[[str], Any]  # raises ValueError
Format = Callable[[Any], str]


@dataclass(frozen=True)
class Payload:
    """Base of all payloads; `tag=(namespace, local name)` of the class names its element.

    A subclass with fields is a `@dataclass(frozen=True, slots=True, kw_only=True)`.
    """

    __slots__ = ()

    TAG: ClassVar[str] = ""

    def __init_subclass__(cls, tag: tuple[str, str] | None = None) -> None:
        # dataclass(slots=True) makes the class a second time, without keywords: TAG is then in its dictionary.
        if tag is not None:
            cls.TAG = f"{tag[0]} {tag[1]}" if tag[0] else tag[1]

    @classmethod
    def from_element(cls, element: Element) -> Self:
        """Return the payload that `element` is.

        Raises:
            PayloadError: another tag, a required part missing, or one that cannot be read.
        """
        if element.tag != cls.TAG:
            raise PayloadError(f"expected {cls.TAG!r}, found {element.tag!r}")
        plan = _plan_of(cls)
        index: dict[str, list[Element]] = {}
        if plan.reads_children:
            for child in element.children:
                if not isinstance(child, str):
                    index.setdefault(child.tag, []).append(child)
        values: dict[str, Any] = {}
        try:
            for name, part in plan.parts:
                value = part.read(element, index)
                if value is not _ABSENT:
                    values[name] = value
                elif part.required:
                    raise PayloadError("missing")
            name = "its fields together"
            return cls(**values)
        except PayloadError as error:
            raise PayloadError(f"{name} of <{element.name}/>: {error}") from None
        except ValueError as error:
            raise PayloadError(f"{name} of <{element.name}/> cannot be read: {error}") from error

    def to_element(self) -> Element:
        """Return the element of this payload.

        Raises:
            ValueError: a required field is None.
        """
        attrs: dict[str, str] = {}
        children: list[Element | str] = []
        for name, part in _plan_of(type(self)).parts:
            value = getattr(self, name)
            if value is not None:
                part.write(value, attrs, children)
            elif part.required:
                raise ValueError(f"{name} of {self.TAG!r} is required")
        return Element(self.TAG, attrs, tuple(children))

    def to_xml(self, default_ns: str = CLIENT_NS) -> bytes:
        """Return the payload as UTF-8, to stand where `default_ns` is the default namespace."""
        return self.to_element().to_xml(default_ns)


# --- the fields of a payload -------------------------------------------------------------------------------------------


def attr(
    *,
    name: str | None = None,
    parse: Parse | None = None,
    format: Format | None = None,
    required: bool = False,
    default: Any = None,
) -> Any:
    """Keep the field in an attribute.

    Args:
        name: the attribute's key by default the field's name, with a final "_" dropped and others made "-".
        parse: makes the value from the text; raises ValueError.
        format: makes the text from the value; by default `format_value`.
        required: reading an element without it is an error.
        default: the value when it is absent. A value of None is not written.
    """
    return _field(_Attr(name or "", parse, format, required), default)


def text(
    *, parse: Parse | None = None, format: Format | None = None, required: bool = False, default: Any = None
) -> Any:
    """Keep the field in the element's own text; absent when that is empty, and then "" unless parsed."""
    if parse is None and default is None:
        default = ""
    return _field(_Text(parse, format, required), default)


def child(cls: type[Payload], *, required: bool = False, default: Any = None) -> Any:
    """Keep the field, a payload of class `cls`, in the first child with its tag."""
    return _field(_Child(cls, required), default)


def children(cls: type[Payload]) -> Any:
    """Keep the field, a tuple of payloads of class `cls`, in all children with its tag."""
    return _field(_Children(cls), ())


def child_text(
    name: str | None = None,
    *,
    ns: str | None = None,
    parse: Parse | None = None,
    format: Format | None = None,
    required: bool = False,
    default: Any = None,
) -> Any:
    """Keep the field in the text of the first child of this name; "" when that is empty.

    Args:
        name: the child's local name, by default from the field's as in `attr`.
        ns: the child's namespace, by default the payload's.
        parse, format, required, default: as `attr`.
    """
    return _field(_ChildText(name or "", ns, parse, format, required), default)


def child_texts(
    name: str | None = None, *, ns: str | None = None, parse: Parse | None = None, format: Format | None = None
) -> Any:
    """Keep the field, a tuple, in the texts of all children of this name; arguments as `child_text`."""
    return _field(_ChildTexts(name or "", ns, parse, format, False), ())


def flag(name: str | None = None, *, ns: str | None = None) -> Any:
    """Keep the field, a bool, in an empty child that is there or not."""
    return _field(_Flag(name or "", ns), False)


def any_children() -> Any:
    """Keep the field, a tuple of Element, in the children that no other field names."""
    return _field(_AnyChildren(), ())


def _field(part: _Part, default: Any) -> Any:
    metadata = {_METADATA_KEY: part}
    if part.required:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class _Part:
    """Where a field is kept in the element."""

    __slots__ = ("required",)

    claims: ClassVar[bool] = True  # looks at children by tag

    def __init__(self, required: bool = False) -> None:
        self.required = required

    def bound(self, field_name: str, ns: str) -> _Part:
        """Return this part with what the field did not say filled in, for one class."""
        return self

    def tag(self) -> str | None:
        """Return the tag of the children that this part keeps, if it names one."""
        return None

    def read(self, element: Element, index: Index) -> Any:
        """Return the field's value, or _ABSENT."""
        raise NotImplementedError

    def write(self, value: Any, attrs: dict[str, str], children: list[Element | str]) -> None:
        """Add what the value is written as; it is not None."""
        raise NotImplementedError


class _Attr(_Part):
    __slots__ = ("format", "name", "parse")

    def __init__(self, name: str, parse: Parse | None, format: Format | None, required: bool) -> None:
        super().__init__(required)
        self.name = name
        self.parse = parse
        self.format = format or format_value

    def bound(self, field_name: str, ns: str) -> _Part:
        return self if self.name else _Attr(_xml_name(field_name), self.parse, self.format, self.required)

    def read(self, element: Element, index: Index) -> Any:
        value = element.attrs.get(self.name)
        if value is None:
            return _ABSENT
        return value if self.parse is None else self.parse(value)

    def write(self, value: Any, attrs: dict[str, str], children: list[Element | str]) -> None:
        attrs[self.name] = self.format(value)


class _Text(_Part):
    __slots__ = ("format", "parse")

    def __init__(self, parse: Parse | None, format: Format | None, required: bool) -> None:
        super().__init__(required)
        self.parse = parse
        self.format = format or format_value

    def read(self, element: Element, index: Index) -> Any:
        value = element.text
        if not value:
            return _ABSENT
        return value if self.parse is None else self.parse(value)

    def write(self, value: Any, attrs: dict[str, str], children: list[Element | str]) -> None:
        if written := self.format(value):
            children.append(written)


class _Child(_Part):
    __slots__ = ("cls",)

    def __init__(self, cls: type[Payload], required: bool) -> None:
        super().__init__(required)
        self.cls = cls

    def tag(self) -> str | None:
        return self.cls.TAG

    def read(self, element: Element, index: Index) -> Any:
        found = index.get(self.cls.TAG)
        return self.cls.from_element(found[0]) if found else _ABSENT

    def write(self, value: Any, attrs: dict[str, str], children: list[Element | str]) -> None:
        children.append(value.to_element())


class _Children(_Part):
    __slots__ = ("cls",)

    def __init__(self, cls: type[Payload]) -> None:
        super().__init__()
        self.cls = cls

    def tag(self) -> str | None:
        return self.cls.TAG

    def read(self, element: Element, index: Index) -> Any:
        return tuple([self.cls.from_element(found) for found in index.get(self.cls.TAG, ())])

    def write(self, value: Any, attrs: dict[str, str], children: list[Element | str]) -> None:
        children.extend([payload.to_element() for payload in value])


class _Named(_Part):
    """A part in children of one tag that have no payload class of their own."""

    __slots__ = ("_tag", "name", "ns")

    def __init__(self, name: str, ns: str | None, required: bool = False) -> None:
        super().__init__(required)
        self.name = name
        self.ns = ns
        self._tag = ""

    def bound(self, field_name: str, ns: str) -> _Part:
        part = copy.copy(self)
        part.name = self.name or _xml_name(field_name)
        part.ns = ns if self.ns is None else self.ns
        part._tag = make_tag(part.ns, part.name)
        return part

    def tag(self) -> str | None:
        return self._tag


class _ChildText(_Named):
    __slots__ = ("format", "parse")

    def __init__(self, name: str, ns: str | None, parse: Parse | None, format: Format | None, required: bool) -> None:
        super().__init__(name, ns, required)
        self.parse = parse
        self.format = format or format_value

    def value_of(self, found: Element) -> Any:
        return found.text if self.parse is None else self.parse(found.text)

    def element_of(self, value: Any) -> Element:
        written = self.format(value)
        return Element(self._tag, {}, (written,) if written else ())

    def read(self, element: Element, index: Index) -> Any:
        found = index.get(self._tag)
        return self.value_of(found[0]) if found else _ABSENT

    def write(self, value: Any, attrs: dict[str, str], children: list[Element | str]) -> None:
        children.append(self.element_of(value))


class _ChildTexts(_ChildText):
    __slots__ = ()

    def read(self, element: Element, index: Index) -> Any:
        return tuple([self.value_of(found) for found in index.get(self._tag, ())])

    def write(self, value: Any, attrs: dict[str, str], children: list[Element | str]) -> None:
        children.extend([self.element_of(one) for one in value])


class _Flag(_Named):
    __slots__ = ()

    def read(self, element: Element, index: Index) -> Any:
        return self._tag in index

    def write(self, value: Any, attrs: dict[str, str], children: list[Element | str]) -> None:
        if value:
            children.append(Element(self._tag))


class _AnyChildren(_Part):
    __slots__ = ("claimed",)

    def __init__(self) -> None:
        super().__init__()
        self.claimed: frozenset[str] = frozenset()

    def read(self, element: Element, index: Index) -> Any:
        return tuple([one for one in element.elements() if one.tag not in self.claimed])

    def write(self, value: Any, attrs: dict[str, str], children: list[Element | str]) -> None:
        children.extend(value)


@dataclass(frozen=True, slots=True)
class _Plan:
    """The parts of one class in the order of its fields."""

    cls: type[Payload]
    parts: tuple[tuple[str, _Part], ...]
    reads_children: bool


def _plan_of(cls: type[Payload]) -> _Plan:
    """Return the plan of a class, made when it is first used: only then are its fields complete."""
    plan = cls.__dict__.get("_plan")
    # dataclass(slots=True) copies the dictionary of a class, and a plan in it would be the other class's.
    if plan is None or plan.cls is not cls:
        plan = _make_plan(cls)
        type.__setattr__(cls, "_plan", plan)
    return plan


def _make_plan(cls: type[Payload]) -> _Plan:
    ns = cls.TAG.rpartition(" ")[0]
    parts: list[tuple[str, _Part]] = []
    claimed: set[str] = set()
    for field in dataclasses.fields(cls):
        part = field.metadata.get(_METADATA_KEY)
        if part is None:
            raise TypeError(f"{cls.__name__}.{field.name} does not say where it is kept")
        part = part.bound(field.name, ns)
        parts.append((field.name, part))
        if (tag := part.tag()) is not None:
            claimed.add(tag)
    rest = _AnyChildren()
    rest.claimed = frozenset(claimed)
    parts = [(name, rest if isinstance(part, _AnyChildren) else part) for name, part in parts]
    return _Plan(cls, tuple(parts), bool(claimed))


def _xml_name(field_name: str) -> str:
    return field_name.rstrip("_").replace("_", "-")


def make_tag(ns: str, name: str) -> str:
    """Return the tag of a name in a namespace ("" for none)."""
    return f"{ns} {name}" if ns else name


# --- converters ---------------------------------------------------------------------------------------------------------


def format_value(value: Any) -> str:
    """Return the text of a str, bool, int, datetime, JID or Enum of str, as XMPP writes it."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return format_datetime(value)
    if isinstance(value, int):
        return str(value)
    raise TypeError(f"no text for a {type(value).__name__}")


def parse_bool(text: str) -> bool:
    """Return the xs:boolean that `text` is: true, 1, false or 0.

    Raises:
        ValueError: anything else.
    """
    stripped = text.strip(_SPACE)
    if stripped in ("true", "1"):
        return True
    if stripped in ("false", "0"):
        return False
    raise ValueError("not a boolean")


def int_between(low: int, high: int) -> Parse:
    """Return a converter to an int from `low` to `high`, both included.

    The converter raises ValueError for anything but ASCII digits with an optional sign.
    """

    def parse(text: str) -> int:
        if not _is_int(text):
            raise ValueError("not a number")
        value = int(text)
        if not low <= value <= high:
            raise ValueError(f"not from {low} to {high}")
        return value

    return parse


def parse_datetime(text: str) -> datetime:
    """Return the moment that `text` is, in UTC, to the microsecond.

    Raises:
        ValueError: not a DateTime of XEP-0082 §3.2, or outside the years 1 to 9999 in UTC.

    Spec: XEP-0082 §3.2.
    """
    found = _is_datetime(text)
    if found is None:
        raise ValueError("not a date and time")
    moment, fraction, zone = found.groups()
    microseconds = ((fraction or "")[1:7]).ljust(6, "0")
    try:
        value = datetime.fromisoformat(f"{moment}.{microseconds}{'+00:00' if zone == 'Z' else zone}")
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("not a date and time") from None


def format_datetime(moment: datetime) -> str:
    """Return an aware moment as XEP-0082 writes it, in UTC: 2026-11-24T19:30:00Z.

    Raises:
        ValueError: a naive moment.
    """
    if moment.tzinfo is None:
        raise ValueError("a moment without its zone")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


_SPACE = " \t\r\n"
# Twenty digits hold any 64-bit number; more would only cost time.
_is_int = re.compile(r"[+-]?[0-9]{1,20}", re.ASCII).fullmatch
_is_datetime = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,32})?(Z|[+-][0-9]{2}:[0-9]{2})", re.ASCII
).fullmatch
