"""XEP-0004: Data Forms, with the FORM_TYPE of XEP-0068."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from codec.jid import JID
from codec.payload import Payload, PayloadError, attr, child, child_text, child_texts, children, flag
from codec.values import format_value, int_between, one_of, parse_bool, parse_datetime

NS = "jabber:x:data"
FORM_TYPE = "FORM_TYPE"

# What may be put into a field: one value, or several.
Value = str | bool | int | datetime
Values = Value | Iterable[Value]

T = TypeVar("T")
_form_type = one_of("form", "submit", "cancel", "result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option(Payload, tag=(NS, "option")):
    """One choice of a list field."""

    label: str | None = attr()
    value: str = child_text(required=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Field(Payload, tag=(NS, "field")):
    """One field (XEP-0004 §3.2).

    Attributes:
        var: its name; only a field of type "fixed" has none.
        type: one of §3.3, None when left out. A type that nobody knows counts as "text-single".
        desc: for people.
        required: the form cannot be submitted without it.
        values: in order; text-multi has one for each line.
        options: the choices of list-single and list-multi.
    """

    var: str | None = attr()
    type: str | None = attr()
    label: str | None = attr()
    desc: str | None = child_text()
    required: bool = flag()
    values: tuple[str, ...] = child_texts("value")
    options: tuple[Option, ...] = children(Option)

    @classmethod
    def of(cls, var: str, values: Values = (), **more: Any) -> Field:
        """Return a field with these values, each formatted as XMPP does; `more` are other attributes."""
        return cls(var=var, values=_texts(values), **more)

    @property
    def value(self) -> str | None:
        """The first value, or None."""
        return self.values[0] if self.values else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported(Payload, tag=(NS, "reported")):
    """The columns of a table of results (§3.4)."""

    fields: tuple[Field, ...] = children(Field)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Payload, tag=(NS, "item")):
    """One row of a table of results."""

    fields: tuple[Field, ...] = children(Field)


@dataclass(frozen=True, slots=True, kw_only=True)
class Form(Payload, tag=(NS, "x")):
    """A form to fill in, one filled in, one given up, or results.

    Attributes:
        type: form, submit, cancel or result.
        instructions: for people, one for each paragraph.
        fields: in order.
        reported, items: the columns and rows of a table.
    """

    type: str = attr(parse=_form_type, format=_form_type, required=True)
    title: str | None = child_text()
    instructions: tuple[str, ...] = child_texts()
    fields: tuple[Field, ...] = children(Field)
    reported: Reported | None = child(Reported)
    items: tuple[Row, ...] = children(Row)

    @classmethod
    def submit(cls, form_type: str | None, values: Mapping[str, Values]) -> Form:
        """Return a filled-in form; `form_type` None leaves FORM_TYPE out."""
        return cls(type="submit", fields=_fields(form_type, values))

    @classmethod
    def result(cls, form_type: str | None, values: Mapping[str, Values]) -> Form:
        """Return results; `form_type` None leaves FORM_TYPE out."""
        return cls(type="result", fields=_fields(form_type, values))

    @property
    def form_type(self) -> str | None:
        """What the form is about: the value of FORM_TYPE, which must be hidden except where types are left out.

        Spec: XEP-0068 §3.1.
        """
        field = self.field(FORM_TYPE)
        if field is None or field.type not in ("hidden", None) or (field.type is None and self.type != "submit"):
            return None
        return field.value

    def expect(self, form_type: str) -> None:
        """Make sure that this is a form to work with: submitted, and about `form_type`.

        Raises:
            PayloadError: another type, or another FORM_TYPE, or none.
        """
        if self.type != "submit" or self.form_type != form_type:
            raise PayloadError(f"expected a submitted form of {form_type!r}")

    def field(self, var: str) -> Field | None:
        """Return the first field of this name, or None."""
        return next((field for field in self.fields if field.var == var), None)

    def values(self, var: str) -> tuple[str, ...]:
        """Return all values of a field; none when it is absent."""
        field = self.field(var)
        return field.values if field is not None else ()

    def value(self, var: str) -> str | None:
        """Return the first value of a field; None when the field or its value is absent."""
        field = self.field(var)
        return field.value if field is not None else None

    def text(self, var: str) -> str | None:
        """Return all values of a text-multi field as lines of one text, or None."""
        values = self.values(var)
        return "\n".join(values) if values else None

    def boolean(self, var: str) -> bool | None:
        """Return a field as a bool, or None when absent.

        Raises:
            PayloadError: it is there but none.
        """
        return self._converted(var, parse_bool)

    def integer(self, var: str, low: int, high: int) -> int | None:
        """Return a field as an int from `low` to `high`, or None when absent.

        Raises:
            PayloadError: it is there but none, or outside.
        """
        return self._converted(var, int_between(low, high))

    def moment(self, var: str) -> datetime | None:
        """Return a field as an aware UTC datetime, or None when absent.

        Raises:
            PayloadError: it is there but none.
        """
        return self._converted(var, parse_datetime)

    def jid(self, var: str) -> JID | None:
        """Return a field as a JID, or None when absent.

        Raises:
            PayloadError: it is there but none.
        """
        return self._converted(var, JID.parse)

    def jids(self, var: str) -> tuple[JID, ...]:
        """Return all values of a field as JIDs.

        Raises:
            PayloadError: one is none.
        """
        return tuple([_convert(var, value, JID.parse) for value in self.values(var)])

    def _converted(self, var: str, convert: Callable[[str], T]) -> T | None:
        value = self.value(var)
        return _convert(var, value, convert) if value is not None else None


def _convert(var: str, value: str, convert: Callable[[str], T]) -> T:
    try:
        return convert(value)
    except ValueError as error:
        raise PayloadError(f"the form's field {var}: {error}") from None


def _fields(form_type: str | None, values: Mapping[str, Values]) -> tuple[Field, ...]:
    fields = [Field.of(var, value) for var, value in values.items()]
    if form_type is not None:
        fields.insert(0, Field(var=FORM_TYPE, type="hidden", values=(form_type,)))
    return tuple(fields)


def _texts(values: Values) -> tuple[str, ...]:
    if isinstance(values, str | bool | int | datetime):
        return (format_value(values),)
    return tuple([format_value(value) for value in values])
