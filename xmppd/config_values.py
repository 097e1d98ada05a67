"""What settings are made of: a section, and the kinds of values that sections share."""

import ipaddress
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from codec.jid import JID, prepare_domainpart
from xmppd.addresses import Address, parse_address


def as_list(value: Any) -> Any:
    """Let one text stand for a list of one: `--set c2s.listen=127.0.0.1:5222`."""
    return (value,) if isinstance(value, str) else value


def as_address(value: Any) -> Any:
    """Return the address that a text writes."""
    return parse_address(value) if isinstance(value, str) else value


def as_resolver(value: Any) -> Any:
    """Return the address of a DNS server, None for an empty text."""
    if not isinstance(value, str):
        return value
    if not value:
        return None
    address = parse_address(value)
    try:
        ipaddress.ip_address(address.host)
    except ValueError:
        raise ValueError(f'"{value}": a DNS server is named by its IP address, as in "127.0.0.1:53"') from None
    return address


def as_jid(value: Any) -> Any:
    """Return the JID that a text writes."""
    return JID.parse(value) if isinstance(value, str) else value


def as_domain(value: Any) -> Any:
    """Return a domain as addresses have it."""
    return prepare_domainpart(value) if isinstance(value, str) else value


def resolved(value: Any, info: ValidationInfo) -> Any:
    """Take a path from the folder of the configuration file (`base` of the validation context)."""
    base = Path((info.context or {}).get("base", "."))
    return (base / value).absolute() if isinstance(value, str | Path) else value


def optionally_resolved(value: Any, info: ValidationInfo) -> Any:
    """Do the same, None for an empty text."""
    return resolved(value, info) if value else None


ConfigPath = Annotated[Path, BeforeValidator(resolved)]
OptionalPath = Annotated[Path | None, BeforeValidator(optionally_resolved)]
Domain = Annotated[str, BeforeValidator(as_domain)]
Texts = Annotated[tuple[str, ...], BeforeValidator(as_list)]
Domains = Annotated[tuple[Domain, ...], BeforeValidator(as_list)]
Addresses = Annotated[tuple[Annotated[Address, BeforeValidator(as_address)], ...], BeforeValidator(as_list)]
JIDs = Annotated[tuple[Annotated[Any, BeforeValidator(as_jid)], ...], BeforeValidator(as_list)]

Seconds = Annotated[float, Field(ge=0, le=31_536_000, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A section: frozen, and no key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
