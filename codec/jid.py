"""XMPP addresses (RFC 7622): a str that is always normalised.

A JID compares, hashes and prints as its own text, so it can be a dictionary key
or be written into XML without conversion. Only this file knows PRECIS.
"""

from __future__ import annotations

import functools
import ipaddress
import re
import unicodedata
from typing import Any, NoReturn

from precis_i18n import get_profile

MAX_PART_BYTES = 1023  # RFC 7622 §3.2 to §3.4
MAX_LABEL_BYTES = 63  # RFC 1035 §2.3.4, in the form that DNS sees
# No canonical composition packs more than two characters into one byte of UTF-8, so a longer part can only be
# too long when prepared as well; refusing it early spares the slow preparation.
MAX_RAW_PART_CHARS = 2 * MAX_PART_BYTES
CACHE_ENTRIES = 8192
# Longer texts are prepared each time: what a peer can put into the cache stays small.
CACHE_MAX_TEXT_CHARS = 256

_LOCALPART_EXCLUDED = frozenset("\"&'/:<>@")  # RFC 7622 §3.3.1

_LABEL = r"(?!..--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = rf"(?:{_LABEL}\.)*{_LABEL}"
_LOCAL = r"[!#-%(-.0-9;=?A-Z\[-~]{1,1023}"
_RESOURCE = r"[ -~]{1,1023}"
_plain_jid = re.compile(rf"(?:({_LOCAL})@)?({_DOMAIN})(?:/({_RESOURCE}))?").fullmatch
_plain_localpart = re.compile(_LOCAL).fullmatch
_plain_domainpart = re.compile(_DOMAIN).fullmatch
_plain_resourcepart = re.compile(_RESOURCE).fullmatch
_label_characters = re.compile(r"[a-z0-9\-\u0080-\U0010FFFF]+").fullmatch

_set = object.__setattr__


class InvalidJID(ValueError):
    """The text is not an XMPP address (RFC 7622)."""


class JID(str):
    """A normalised address; `JID(text)` is the same as `JID.parse(text)`.

    Attributes:
        localpart: prepared by UsernameCaseMapped; "" when absent.
        domainpart: lower-case, U-labels; never empty.
        resourcepart: prepared by OpaqueString; "" when absent.
    """

    __slots__ = ("_bare", "domainpart", "localpart", "resourcepart")

    localpart: str
    domainpart: str
    resourcepart: str
    _bare: JID | None

    def __new__(cls, text: str) -> JID:
        return cls.parse(text)

    @classmethod
    def parse(cls, text: str) -> JID:
        """Return the address that `text` is, normalised.

        Raises:
            InvalidJID: an empty or over-long part, or a character that its part must not hold.

        Spec: RFC 7622 §3.
        """
        if type(text) is cls:
            return text
        if len(text) > CACHE_MAX_TEXT_CHARS:
            return _parse(text)
        return _parse_cached(text)

    @classmethod
    def of(cls, local: str, domain: str, resource: str = "") -> JID:
        """Return the address of three parts, each prepared here; "" stands for an absent one.

        Raises:
            InvalidJID: as `parse`.
        """
        return _make(
            prepare_localpart(local) if local else "",
            prepare_domainpart(domain),
            prepare_resourcepart(resource) if resource else "",
        )

    @property
    def bare(self) -> JID:
        """The address without its resourcepart; itself when it has none."""
        if not self.resourcepart:
            return self
        bare = self._bare
        if bare is None:
            bare = _make(self.localpart, self.domainpart, "")
            _set(self, "_bare", bare)
        return bare

    def with_resource(self, resource: str) -> JID:
        """Return this address with another resourcepart, or with none for "".

        Raises:
            InvalidJID: the resourcepart cannot be prepared.
        """
        if not resource:
            return self.bare
        full = _make(self.localpart, self.domainpart, prepare_resourcepart(resource))
        _set(full, "_bare", self.bare)  # one object for all of an account's resources
        return full

    @property
    def is_bare(self) -> bool:
        """There is no resourcepart."""
        return not self.resourcepart

    @property
    def is_full(self) -> bool:
        """There is a resourcepart."""
        return bool(self.resourcepart)

    @property
    def is_domain(self) -> bool:
        """There is a domainpart alone."""
        return not self.localpart and not self.resourcepart

    def __repr__(self) -> str:
        return f"JID({str.__repr__(self)})"

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a JID is immutable: cannot set {name}")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a JID is immutable: cannot delete {name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return (JID, (str(self),))

    def __copy__(self) -> JID:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> JID:
        return self


def _make(local: str, domain: str, resource: str) -> JID:
    """Return the JID of three prepared parts."""
    text = f"{local}@{domain}" if local else domain
    jid = str.__new__(JID, f"{text}/{resource}" if resource else text)
    _set(jid, "localpart", local)
    _set(jid, "domainpart", domain)
    _set(jid, "resourcepart", resource)
    _set(jid, "_bare", None)
    return jid


def _parse(text: str) -> JID:
    plain = _plain_jid(text)
    if plain is not None:
        local, domain, resource = plain.groups("")
        if len(domain) <= MAX_PART_BYTES:
            return _make(local.lower(), domain.lower(), resource)
    # RFC 7622 §3.2: first the resourcepart goes, at the first "/", then the localpart, at the first "@".
    rest, slash, resource = text.partition("/")
    local, at, domain = rest.partition("@")
    if not at:
        local, domain = "", rest
    return _make(
        prepare_localpart(local) if at else "",
        prepare_domainpart(domain),
        prepare_resourcepart(resource) if slash else "",
    )


_parse_cached = functools.lru_cache(maxsize=CACHE_ENTRIES)(_parse)


@functools.cache
def _profile(name: str) -> Any:
    """Return a PRECIS profile, made at first use: importing this file does no work."""
    return get_profile(name)


def prepare_localpart(text: str) -> str:
    """Return a localpart as it is compared and stored.

    Raises:
        InvalidJID: empty, over 1023 bytes, or holding a character that a localpart must not hold.

    Spec: RFC 7622 §3.3, RFC 8265 §3.3 (UsernameCaseMapped).
    """
    if _plain_localpart(text):
        return text.lower()
    prepared = _enforce("UsernameCaseMapped", text, "localpart")
    if not _LOCALPART_EXCLUDED.isdisjoint(prepared):
        raise InvalidJID("the localpart holds a character that it must not hold")
    return prepared


def prepare_resourcepart(text: str) -> str:
    """Return a resourcepart as it is compared and stored; letter case and spaces stay.

    Raises:
        InvalidJID: empty, over 1023 bytes, or holding a character that a resourcepart must not hold.

    Spec: RFC 7622 §3.4, RFC 8265 §4.2 (OpaqueString).
    """
    if _plain_resourcepart(text):
        return text
    return _enforce("OpaqueString", text, "resourcepart")


def prepare_domainpart(text: str) -> str:
    """Return a domainpart as it is compared and stored: lower-case, A-labels as U-labels, no final dot.

    Takes domain names, IPv4 addresses and IPv6 addresses in brackets.

    Raises:
        InvalidJID: empty, over 1023 bytes, or with a label that is no NR-LDH label and no U-label.

    Spec: RFC 7622 §3.2, RFC 5890 §2.3, RFC 5892.
    """
    if _plain_domainpart(text) and len(text) <= MAX_PART_BYTES:
        return text.lower()
    _check_raw(text, "domainpart")
    if text.startswith("["):
        return _ip_literal(text)
    name = _map_width(text)
    name = name.removesuffix(".")
    prepared = ".".join([_prepare_label(label) for label in name.split(".")])
    return _check_prepared(prepared, "domainpart")


def _ip_literal(text: str) -> str:
    if not text.endswith("]") or "%" in text:
        raise InvalidJID("the domainpart is not an address in brackets")
    try:
        return f"[{ipaddress.IPv6Address(text[1:-1])}]"
    except ValueError:
        raise InvalidJID("the domainpart is not an IPv6 address") from None


def _map_width(text: str) -> str:
    """Replace full-width and half-width characters by the ordinary ones (RFC 7622 §3.2.1)."""
    if text.isascii():
        return text
    return "".join(
        [
            unicodedata.normalize("NFKC", character)
            if unicodedata.decomposition(character).startswith(("<wide>", "<narrow>"))
            else character
            for character in text
        ]
    )


def _prepare_label(label: str) -> str:
    """Return one label of a domain name in lower case, an A-label as its U-label."""
    lowered = label.lower()
    if lowered.startswith("xn--") and lowered.isascii():
        return _u_label_of(lowered)
    prepared = lowered if lowered.isascii() else _enforce("UsernameCaseMapped", label, "domainpart")
    _check_label(prepared)
    return prepared


def _u_label_of(a_label: str) -> str:
    try:
        label = a_label[4:].encode("ascii").decode("punycode")
    except ValueError:
        raise InvalidJID("the domainpart holds a broken A-label") from None
    # A fake A-label would be a second spelling of the same domain (RFC 5890 §2.3.2.1).
    if label.isascii() or _prepare_label(label) != label or _a_label_of(label) != a_label:
        raise InvalidJID("the domainpart holds a false A-label")
    return label


def _a_label_of(label: str) -> str:
    return "xn--" + label.encode("punycode").decode("ascii")


def _check_label(label: str) -> None:
    if not _label_characters(label):
        raise InvalidJID("the domainpart has an empty label or a character that a domain name must not hold")
    if label[0] == "-" or label[-1] == "-" or label[2:4] == "--":
        raise InvalidJID("the domainpart has a hyphen where a label must not have one")
    if label.isascii():
        size = len(label)
    else:
        if unicodedata.category(label[0]).startswith("M"):
            raise InvalidJID("the domainpart has a label that begins with a combining mark")
        size = len(_a_label_of(label))
    if size > MAX_LABEL_BYTES:
        raise InvalidJID("the domainpart has a label of more than 63 bytes")


def _enforce(profile: str, text: str, part: str) -> str:
    _check_raw(text, part)
    try:
        prepared: str = _profile(profile).enforce(text)
    except UnicodeEncodeError as error:
        raise InvalidJID(f"the {part} is not valid: {error.reason}") from None
    return _check_prepared(prepared, part)


def _check_raw(text: str, part: str) -> None:
    if not text:
        raise InvalidJID(f"the {part} is empty")
    if len(text) > (MAX_PART_BYTES if text.isascii() else MAX_RAW_PART_CHARS):
        raise InvalidJID(f"the {part} is longer than {MAX_PART_BYTES} bytes")


def _check_prepared(text: str, part: str) -> str:
    if len(text.encode("utf-8", "surrogatepass")) > MAX_PART_BYTES:
        raise InvalidJID(f"the {part} is longer than {MAX_PART_BYTES} bytes")
    return text
