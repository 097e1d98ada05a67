"""Texts in XMPP as Python values and back: booleans, integers, moments, words of a fixed list.

Each `parse_...` raises ValueError, which a payload's field turns into a PayloadError.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime

# Twenty digits hold any 64-bit number; more would only cost time.
_is_int = re.compile(r"[+-]?[0-9]{1,20}").fullmatch
_is_datetime = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,32}))?(Z|[+-][0-9]{2}:[0-9]{2})"
).fullmatch
_XML_SPACE = " \t\r\n"


def format_value(value: object) -> str:
    """Return the text of a str (also a JID or StrEnum), bool, int or datetime, as XMPP writes it.

    Raises:
        TypeError: a value of another type.
        ValueError: a datetime without its zone.
    """
    if type(value) is str:
        return value
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
    stripped = text.strip(_XML_SPACE)
    if stripped in ("true", "1"):
        return True
    if stripped in ("false", "0"):
        return False
    raise ValueError("not a boolean")


def int_between(low: int, high: int) -> Callable[[str], int]:
    """Return a converter from text to an int from `low` to `high`, both included.

    The converter raises ValueError for all but ASCII digits, with a sign or without, with white space around or without.
    """

    def parse(text: str) -> int:
        stripped = text.strip(_XML_SPACE)
        if not _is_int(stripped):
            raise ValueError("not a number")
        value = int(stripped)
        if not low <= value <= high:
            raise ValueError(f"not from {low} to {high}")
        return value

    return parse


def one_of(*words: str) -> Callable[[str], str]:
    """Return a converter that lets only these words through, to read and to write; it raises ValueError for others."""
    allowed = frozenset(words)

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError("none of " + ", ".join(words))
        return text

    return parse


def parse_datetime(text: str) -> datetime:
    """Return the moment that `text` is, in UTC, cut to the microsecond.

    Raises:
        ValueError: not a DateTime, or outside the years 1 to 9999 in UTC. A leap second is among these.

    Spec: XEP-0082 §3.2.
    """
    found = _is_datetime(text.strip(_XML_SPACE))
    if found is None:
        raise ValueError("not a date and time")
    moment, fraction, zone = found.groups()
    microseconds = (fraction or "")[:6].ljust(6, "0")
    try:
        return datetime.fromisoformat(f"{moment}.{microseconds}{'+00:00' if zone == 'Z' else zone}").astimezone(UTC)
    except OverflowError:
        raise ValueError("not a date and time") from None


def format_datetime(moment: datetime) -> str:
    """Return an aware moment in UTC as XMPP writes it: 2026-11-24T19:30:00Z, with six decimals unless all are zero.

    Raises:
        ValueError: a moment without its zone.

    Spec: XEP-0082 §3.2.
    """
    if moment.tzinfo is None:
        raise ValueError("a moment without its zone")
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat().removesuffix("+00:00") + "Z"
