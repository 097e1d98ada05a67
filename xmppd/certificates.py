"""A self-signed certificate for a first start, and the names that certificates carry."""

import ipaddress
import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Each virtual host has these by itself.
SUBDOMAINS = ("conference", "upload")
# A machine's clock may be a little behind the one that made the certificate.
CLOCK_SLACK = timedelta(hours=1)


def dns_name(domain: str) -> str:
    """Return a prepared domainpart as DNS and certificates write it: each U-label as its A-label.

    Spec: RFC 5890 §2.3.2.1.
    """
    if domain.isascii():
        return domain
    return ".".join(
        label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii") for label in domain.split(".")
    )


def make_self_signed(
    domains: Sequence[str], cert_path: Path, key_path: Path, days: int = 825, now: datetime | None = None
) -> None:
    """Write a new P-256 key and a certificate signed with it, both PEM.

    The certificate names each domain and what comes with it (conference., upload.); localhost also by its addresses.

    Args:
        domains: one or more prepared domainparts.
        cert_path, key_path: files that do not exist yet; the key can be read by its owner alone from the start.
        days: how long it is valid.
        now: None takes the machine's clock.

    Raises:
        FileExistsError: one of the files is there already; neither is touched.
        OSError: a file cannot be written.
        ValueError: no domain.
    """
    if not domains:
        raise ValueError("a certificate needs a domain")
    for path in (cert_path, key_path):
        if path.exists():
            raise FileExistsError(f"{path} exists already")
    key = ec.generate_private_key(ec.SECP256R1())
    moment = now or datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, dns_name(domains[0])[:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - CLOCK_SLACK)
        .not_valid_after(moment + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(_alternative_names(domains)), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    _write_new(key_path, private_pem(key), 0o600)
    _write_new(cert_path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key as PKCS #8 PEM, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _alternative_names(domains: Sequence[str]) -> list[x509.GeneralName]:
    names: dict[x509.GeneralName, None] = {}  # an ordered set
    for domain in domains:
        address = _as_address(domain)
        if address is not None:
            names[x509.IPAddress(address)] = None
            continue
        host = dns_name(domain)
        names[x509.DNSName(host)] = None
        for subdomain in SUBDOMAINS:
            names[x509.DNSName(f"{subdomain}.{host}")] = None
        if host == "localhost":
            names[x509.IPAddress(ipaddress.IPv4Address("127.0.0.1"))] = None
            names[x509.IPAddress(ipaddress.IPv6Address("::1"))] = None
    return list(names)


def _as_address(domain: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that a domainpart is (RFC 7622 §3.2), None for a name."""
    try:
        return ipaddress.ip_address(domain.removeprefix("[").removesuffix("]"))
    except ValueError:
        return None


def _write_new(path: Path, data: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
