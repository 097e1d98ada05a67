"""With which domains we talk, and on which conditions; replaced as a whole when the settings are read anew."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Terms:
    """The conditions for one domain.

    Attributes:
        takes_certificate, takes_dialback: how it may prove who it is; at least one of them.
        requires_tls: whether nothing else is said before TLS.
        pins: SHA-256 fingerprints, lower-case hex: its certificate must have one of them. Empty: any.
        stanzas_per_s: above it, it is read more slowly; 0: no limit.
    """

    takes_certificate: bool
    takes_dialback: bool
    requires_tls: bool
    pins: tuple[str, ...]
    stanzas_per_s: int


class Policy:
    """What the settings say about other domains.

    Args:
        settings: `[s2s]` of the configuration.
    """

    __slots__ = ("_settings", "_terms")

    def __init__(self, settings: Any) -> None:
        self._terms: dict[str, Terms] = {}
        self.replace(settings)

    def replace(self, settings: Any) -> None:
        """Go by other settings from now on."""
        self._settings = settings
        self._terms.clear()

    def allows(self, domain: str) -> bool:
        """Whether we talk to a domain: it and those above it are not blocked, and allowed where only some are."""
        settings = self._settings
        if settings.block and _covers(settings.block, domain):
            return False
        return not settings.allow or _covers(settings.allow, domain)

    def terms(self, domain: str) -> Terms:
        """Return the conditions for a domain; those of the nearest domain above it count where it has none of its own."""
        own = _nearest(self._settings.domains, domain)
        key, section = own if own is not None else ("", None)
        terms = self._terms.get(key)
        if terms is None:
            terms = self._terms[key] = self._make(section)
        return terms

    def _make(self, section: Any) -> Terms:
        def value(name: str) -> Any:
            own = None if section is None else getattr(section, name)
            return getattr(self._settings, name) if own is None else own

        ways = value("authentication")
        pins = () if section is None else tuple(pin.replace(":", "").lower() for pin in section.pins)
        return Terms(
            takes_certificate=ways != "dialback",
            takes_dialback=ways != "certificate",
            requires_tls=value("require_tls"),
            pins=pins,
            stanzas_per_s=value("stanzas_per_s"),
        )


def _parents(domain: str) -> list[str]:
    labels = domain.split(".")
    return [".".join(labels[index:]) for index in range(len(labels))]


def _covers(domains: tuple[str, ...], domain: str) -> bool:
    return any(parent in domains for parent in _parents(domain))


def _nearest(sections: Mapping[str, Any], domain: str) -> tuple[str, Any] | None:
    if sections:
        for parent in _parents(domain):
            if parent in sections:
                return parent, sections[parent]
    return None
