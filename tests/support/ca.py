"""The tests' own certificate authority: what real clients are told to trust."""

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
Hash = hashes.SHA256 | hashes.SHA384 | hashes.SHA512


@dataclass(frozen=True, slots=True)
class Leaf:
    """The files of a signed certificate: `certificate` has the chain without the authority itself."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class CertificateAuthority:
    """An authority that signs for tests.

    Attributes:
        path: its own certificate in PEM form, for `SSL_CERT_FILE`, `cafile` and the like.
    """

    folder: Path
    path: Path
    key: Key
    certificate: x509.Certificate

    def sign(
        self,
        names: Sequence[str],
        *,
        file_name: str | None = None,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        signed_with: Hash | None = None,
    ) -> Leaf:
        """Make a key and a certificate for DNS names and IP addresses.

        Args:
            names: the first one is the subject's too; none: a certificate without names.
            file_name: of the two files, without ".pem" and ".key"; None takes the first name.
            not_before, not_after: None: an hour ago, and in 30 days.
            signed_with: None: SHA-256, or nothing where the authority's key decides by itself.
        """
        now = datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(names[0] if names else "nameless", self.certificate.subject, key)
            .not_valid_before(not_before or now - timedelta(hours=1))
            .not_valid_after(not_after or now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(_authority_identifier(self.key), critical=False)
        )
        if names:
            alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
            builder = builder.add_extension(alternatives, critical=False)
        certificate = builder.sign(self.key, _hash_for(self.key, signed_with))
        stem = file_name or names[0]
        leaf = Leaf(self.folder / f"{stem}.pem", self.folder / f"{stem}.key")
        leaf.key.write_bytes(_pem(key))
        leaf.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return leaf

    def client_context(self) -> ssl.SSLContext:
        """Return the context of a client that trusts this authority alone."""
        return ssl.create_default_context(cafile=str(self.path))


def make_test_ca(folder: Path, key: Key | None = None) -> CertificateAuthority:
    """Make an authority whose files go into `folder`; `key` None takes P-256."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of the tests")])
    certificate = (
        _builder("Authority of the tests", name, key)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(_key_usage_of_authority(), critical=True)
        .sign(key, _hash_for(key, None))
    )
    path = folder / "ca.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return CertificateAuthority(folder, path, key, certificate)


def _builder(common_name: str, issuer: x509.Name, key: Key) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _hash_for(key: Key, wanted: Hash | None) -> Hash | None:
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return None
    return wanted or hashes.SHA256()


def _authority_identifier(key: Key) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _key_usage_of_authority() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
