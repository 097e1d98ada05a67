"""Whose certificate it is: whether what a server has shown in a TLS handshake proves that it speaks for a domain.

Two questions, kept apart. Does an authority that we trust vouch for the certificate (`chain_error`)? And does it name the domain
(`is_for`)? Only both together, or a pin, prove anything. All that is read here was written by a stranger: what cannot be read
names nobody.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from codec.jid import InvalidJID, prepare_domainpart
from xmppd.certificates import dns_name

ID_ON_XMPP_ADDR = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5")  # RFC 6120 §13.7.1.4
ID_ON_DNS_SRV = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7")  # RFC 4985 §2
SERVICES = ("_xmpp-server.", "_xmpps-server.")

# A certificate of a big host may name hundreds; each is looked at for each domain that is to be proven.
MAX_NAMES = 1000
SHOWN_NAMES = 3
SHOWN_CHARS = 80

# What reading a stranger's certificate raises, as far as it is known to fail.
UNREADABLE = (
    ValueError,
    OverflowError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)

_UTF8_STRING, _IA5_STRING = 0x0C, 0x16
_is_host = re.compile(
    r"(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
).fullmatch
_looks_like_address = re.compile(r"\[.*\]|[0-9]+(?:\.[0-9]+){3}").fullmatch


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """The certificate that a peer has shown, with the proof that it has the key; `read` makes one.

    Attributes:
        der: itself.
        chain_error: one line on why no authority that we trust vouches for it now; None when one does.
        not_after: when the proof ends: the earliest end along the path to the authority.
        fingerprint_sha256: of the certificate, in hexadecimal digits.
        key_sha256: of its SubjectPublicKeyInfo, which a renewal may keep; "" when its key is of no known sort.
        xmpp_addresses, services, hosts: the names in it, lower-case: domains prepared, SRV names, DNS names.
    """

    der: bytes
    chain_error: str | None
    not_after: datetime
    fingerprint_sha256: str
    key_sha256: str = ""
    xmpp_addresses: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()

    @classmethod
    def read(cls, der: bytes, chain_error: str | None, path_ends: datetime | None = None) -> "PeerCertificate":
        """Return what a certificate says; one that cannot be read has a `chain_error` and no names.

        Args:
            der: the certificate.
            chain_error: see the attribute.
            path_ends: when the first of the authorities' certificates above it ends; None: no sooner than itself.
        """
        fingerprint = hashlib.sha256(der).hexdigest()
        try:
            certificate = x509.load_der_x509_certificate(der)
            not_after = certificate.not_valid_after_utc
        except UNREADABLE:
            return cls(der, chain_error or "it cannot be read", datetime.min.replace(tzinfo=UTC), fingerprint)
        return cls(
            der,
            chain_error,
            not_after if path_ends is None else min(not_after, path_ends),
            fingerprint,
            _key_hash(certificate),
            *_names(certificate),
        )

    def is_for(self, domain: str) -> bool:
        """Whether it names a domain: as xmppAddr, as SRV name of either service, or as DNS name.

        A wildcard stands for exactly one whole label, the left-most of a DNS name, above at least two others. The subject's
        common name counts for nothing (RFC 6125 §6.4.4 allows it, no authority has relied on it for years). An SRV name has
        no wildcards: RFC 6125 §6.4.3 leaves that to us, and nobody issues them.

        Spec: RFC 6120 §13.7.1.2, RFC 6125 §6, XEP-0178 §3.
        """
        try:
            prepared = prepare_domainpart(domain)
        except InvalidJID:
            return False
        if prepared in self.xmpp_addresses:
            return True
        if is_address(prepared):
            return False  # a DNS name never speaks for an address, "*.0.0.1" least of all
        host = dns_name(prepared).lower()
        if any(service + host in self.services for service in SERVICES) or host in self.hosts:
            return True
        parent = host.partition(".")[2]
        return "." in parent and f"*.{parent}" in self.hosts

    def is_expired(self, now: datetime) -> bool:
        """Whether the proof has ended at an aware moment: a stream that lives longer than that must be asked again."""
        return now >= self.not_after

    def is_pinned(self, pins: Iterable[str]) -> bool:
        """Whether one of some SHA-256 fingerprints is of this certificate or of its key.

        A pin is 64 hexadecimal digits, of either case, with or without colons. Both sorts are taken, for no text can be a
        fingerprint of both: that of the certificate is what `openssl x509 -fingerprint -sha256` shows; that of the
        SubjectPublicKeyInfo outlives a renewal with the same key.
        """
        wanted = {pin.replace(":", "").strip().lower() for pin in pins} - {""}
        return self.fingerprint_sha256 in wanted or self.key_sha256 in wanted

    def verdict(self, domain: str, pins: Iterable[str] = (), now: datetime | None = None) -> str | None:
        """Return one line on why it does not prove a domain, None when it does.

        Args:
            domain: whom the peer wants to speak for.
            pins: what the operator has said of this domain, see `is_pinned`. Where there are any they alone count: a pinned
                one needs neither authority nor name nor date, as the operator has given all three (RFC 7671 §5.1 reasons
                alike), and one that is not pinned proves nothing, whoever has signed it.
            now: also ask whether the proof has ended since the handshake.
        """
        pins = tuple(pins)
        if pins:
            return (
                None
                if self.is_pinned(pins)
                else f"it is none of those pinned: its SHA-256 is {self.fingerprint_sha256}"
            )
        if self.chain_error is not None:
            return self.chain_error
        if now is not None and self.is_expired(now):
            return f"it expired on {moment(self.not_after)}"
        if not self.is_for(domain):
            return f"it is for {self._shown_names()}, not for {shown(domain)}"
        return None

    def _shown_names(self) -> str:
        names = tuple(dict.fromkeys(self.hosts + self.xmpp_addresses + self.services))
        if not names:
            return "nobody"
        more = len(names) - SHOWN_NAMES
        return ", ".join(shown(name) for name in names[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


def is_address(domain: str) -> bool:
    """Whether a prepared domainpart is an IP address, or would be taken for one."""
    return _looks_like_address(domain) is not None


def shown(text: str) -> str:
    """Return a stranger's text fit for one line of a log: short, and nothing but printable ASCII."""
    text = ascii(text[:SHOWN_CHARS])[1:-1]
    return text if len(text) <= SHOWN_CHARS else text[:SHOWN_CHARS] + "..."


def moment(time: datetime) -> str:
    """Return a time of a certificate as an operator reads it."""
    return f"{time:%Y-%m-%d %H:%M} UTC"


def _key_hash(certificate: x509.Certificate) -> str:
    try:
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except UNREADABLE:
        return ""
    return hashlib.sha256(key).hexdigest()


def _names(certificate: x509.Certificate) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Return the XMPP addresses, SRV names and DNS names of a certificate, none when its extensions are malformed."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return (), (), ()
    addresses, services, hosts = [], [], []
    for name in list(names)[:MAX_NAMES]:
        if isinstance(name, x509.DNSName):
            hosts.append(_host(name.value))
        elif isinstance(name, x509.OtherName) and name.type_id == ID_ON_XMPP_ADDR:
            addresses.append(_xmpp_domain(name.value))
        elif isinstance(name, x509.OtherName) and name.type_id == ID_ON_DNS_SRV:
            services.append(_service(name.value))
    return _found(addresses), _found(services), _found(hosts)


def _found(names: list[str | None]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in names if name is not None))


def _host(name: str) -> str | None:
    """Return a DNS name in lower case, None for what is no host or has a wildcard elsewhere than as its first label."""
    return name.lower() if len(name) <= 253 and name.isascii() and _is_host(name.lower()) else None


def _xmpp_domain(der: bytes) -> str | None:
    """Return the domain that an xmppAddr is, None for an account's address and for what is none."""
    text = _string(der, _UTF8_STRING, "utf-8")
    try:
        return None if text is None else prepare_domainpart(text)
    except InvalidJID:
        return None


def _service(der: bytes) -> str | None:
    """Return an SRV name `_service.name`, None for what is none (RFC 4985 §2)."""
    text = _string(der, _IA5_STRING, "ascii")
    if text is None:
        return None
    service, _, host = text.partition(".")
    return text.lower() if service.startswith("_") and _host(host) is not None else None


def _string(der: bytes, tag: int, encoding: str) -> str | None:
    """Return the text of a DER string of one sort that takes all of `der`, None for anything else.

    Lengths up to 65,535 bytes, each in its shortest form, as DER demands; newer releases of `cryptography` look after that too.
    """
    if len(der) < 2 or der[0] != tag:
        return None
    length, start = der[1], 2
    if length >= 0x80:
        start += length - 0x80
        length = int.from_bytes(der[2:start], "big")
        if start not in (3, 4) or length < (0x80 if start == 3 else 0x100):
            return None
    if len(der) != start + length:
        return None
    try:
        return der[start:].decode(encoding)
    except UnicodeDecodeError:
        return None
