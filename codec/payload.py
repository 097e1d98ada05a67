"""Payloads as dataclasses: each field says where in the element it is kept.

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Item(Payload, tag=("jabber:iq:roster", "item")):
        jid: JID = attr(parse=JID.parse, required=True)
        groups: tuple[str, ...] = child_texts("group")

Reading skips what no field names; a missing required part or one that does not
parse is a PayloadError. Writing puts attributes and children in the order of the fields and
leaves out what is None or the default. Converters for `parse=` are in `codec.values`.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from codec.element import CLIENT_NS, Element
from codec.values import format_value

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
            cls.TAG = _make_tag(*tag)

    @classmethod
    def from_element(cls, element: Element) -> Self:
        """Return the payload that `element` is.

        Raises:
            PayloadError: another tag, a required part missing, or one that cannot be read.
        """
        if element.tag != cls.TAG:
            raise PayloadError(f"expected {cls.TAG!r}, found {element.tag[:100]!r}")
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
            if part.required:
                if value is None:
                    raise ValueError(f"{name} of {self.TAG!r} is required")
            elif value is None or value == part.default:
                continue
            part.write(value, attrs, children)
        return Element(self.TAG, attrs, tuple(children))

    def to_xml(self, default_ns: str = CLIENT_NS) -> bytes:
        """Return the payload as UTF-8, to stand where `default_ns` is the default namespace."""
        return self.to_element().to_xml(default_ns)


# --- the fields of a payload --------------------------------------------------------------------------------


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
        name: the attribute's key; by default the field's name, with a final "_" dropped and others made "-".
        parse: makes the value from the text; raises ValueError.
        format: makes the text from the value; by default `format_value`.
        required: reading an element without it is an error; it is written even when it is the default.
        default: the field's value when the attribute is absent. None and the default are not written.
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


def child_attrs(
    name: str, attr_name: str, *, ns: str | None = None, parse: Parse | None = None, format: Format | None = None
) -> Any:
    """Keep the field, a tuple, in one required attribute of all children of this name; arguments as `child_text`."""
    return _field(_ChildAttrs(name, attr_name, ns, parse, format), ())


def flag(name: str | None = None, *, ns: str | None = None) -> Any:
    """Keep the field, a bool, in an empty child that is there or not."""
    return _field(_Flag(name or "", ns), False)


def any_children() -> Any:
    """Keep the field, a tuple of Element, in the children that no other field names."""
    return _field(_AnyChildren(), ())


def any_child(*, required: bool = False) -> Any:
    """Keep the field, an Element, in the first child that no other field names."""
    return _field(_AnyChild(required), None)


def _field(part: _Part, default: Any) -> Any:
    part.default = default
    metadata = {_METADATA_KEY: part}
    if part.required and default is None:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


class _Part:
    """Where a field is kept in the element."""

    __slots__ = ("default", "required")

    def __init__(self, required: bool = False) -> None:
        self.required = required
        self.default: Any = None

    def bound(self, field_name: str, ns: str) -> Self:
        """Return a copy in which is filled in what the field left to its own name and the payload's namespace."""
        return copy.copy(self)

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

    def bound(self, field_name: str, ns: str) -> Self:
        part = copy.copy(self)
        part.name = self.name or _xml_name(field_name)
        return part

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

    def bound(self, field_name: str, ns: str) -> Self:
        part = copy.copy(self)
        part._tag = _make_tag(ns if self.ns is None else self.ns, self.name or _xml_name(field_name))
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


class _ChildAttrs(_Named):
    __slots__ = ("attr_name", "format", "parse")

    def __init__(self, name: str, attr_name: str, ns: str | None, parse: Parse | None, format: Format | None) -> None:
        super().__init__(name, ns)
        self.attr_name = attr_name
        self.parse = parse
        self.format = format or format_value

    def value_of(self, found: Element) -> Any:
        value = found.attrs.get(self.attr_name)
        if value is None:
            raise PayloadError(f"{self.attr_name} missing")
        return value if self.parse is None else self.parse(value)

    def read(self, element: Element, index: Index) -> Any:
        return tuple([self.value_of(found) for found in index.get(self._tag, ())])

    def write(self, value: Any, attrs: dict[str, str], children: list[Element | str]) -> None:
        children.extend([Element(self._tag, {self.attr_name: self.format(one)}) for one in value])


class _Flag(_Named):
    __slots__ = ()

    def read(self, element: Element, index: Index) -> Any:
        return self._tag in index

    def write(self, value: Any, attrs: dict[str, str], children: list[Element | str]) -> None:
        if value:
            children.append(Element(self._tag))


class _AnyChildren(_Part):
    __slots__ = ("claimed",)

    def __init__(self, required: bool = False) -> None:
        super().__init__(required)
        self.claimed: frozenset[str] = frozenset()  # tags that other fields name; the plan fills it in

    def rest(self, element: Element) -> tuple[Element, ...]:
        return tuple([one for one in element.elements() if one.tag not in self.claimed])

    def read(self, element: Element, index: Index) -> Any:
        return self.rest(element)

    def write(self, value: Any, attrs: dict[str, str], children: list[Element | str]) -> None:
        children.extend(value)


class _AnyChild(_AnyChildren):
    __slots__ = ()

    def read(self, element: Element, index: Index) -> Any:
        found = self.rest(element)
        return found[0] if found else _ABSENT

    def write(self, value: Any, attrs: dict[str, str], children: list[Element | str]) -> None:
        children.append(value)


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
    for _, part in parts:
        if isinstance(part, _AnyChildren):
            part.claimed = frozenset(claimed)
    return _Plan(cls, tuple(parts), bool(claimed))


def _xml_name(field_name: str) -> str:
    return field_name.rstrip("_").replace("_", "-")


def _make_tag(ns: str, name: str) -> str:
    return f"{ns} {name}" if ns else name
