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
BOTH_ROLES = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
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
        chain: the certificates between what it signs and the root, in PEM form; none when it is the root.
    """

    folder: Path
    path: Path
    key: Key
    certificate: x509.Certificate
    chain: bytes = b""

    def sign(
        self,
        names: Sequence[str],
        *,
        file_name: str | None = None,
        not_before: datetime | None = None,
        not_after: datetime | None = None,
        signed_with: Hash | None = None,
        others: Sequence[x509.GeneralName] = (),
        usages: Sequence[x509.ObjectIdentifier] = BOTH_ROLES,
        key_bits: int | None = None,
    ) -> Leaf:
        """Make a key and a certificate for DNS names and IP addresses.

        Args:
            names: the first one is the subject's too; none: a certificate without names, but for `others`.
            file_name: of the two files, without ".pem" and ".key"; None takes the first name.
            not_before, not_after: None: an hour ago, and in 30 days.
            signed_with: None: SHA-256, or nothing where the authority's key decides by itself.
            others: more names, see `xmpp_address` and `service`.
            usages: of its key (EKU); none: it does not say.
            key_bits: None takes P-256, a number RSA.
        """
        now = datetime.now(UTC)
        key = rsa.generate_private_key(65537, key_bits) if key_bits else ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(names[0] if names else "nameless", self.certificate.subject, key)
            .not_valid_before(not_before or now - timedelta(hours=1))
            .not_valid_after(not_after or now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_authority_identifier(self.key), critical=False)
        )
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if names or others:
            alternatives = x509.SubjectAlternativeName([*(_general_name(name) for name in names), *others])
            builder = builder.add_extension(alternatives, critical=False)
        certificate = builder.sign(self.key, _hash_for(self.key, signed_with))
        return _write(self.folder, file_name or names[0], certificate, key, self.chain)

    def below(
        self, name: str, *, permitted: Sequence[str] = (), not_after: datetime | None = None, may_sign: bool = True
    ) -> "CertificateAuthority":
        """Make an authority between this one and what it signs.

        Args:
            name: its subject's, and its file's.
            permitted: the DNS names that it may sign for, with all below them; none: any.
            not_after: None: in 30 days.
            may_sign: False: its certificate says that it is no authority.
        """
        now = datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(name, self.certificate.subject, key)
            .not_valid_before(now - timedelta(days=2))
            .not_valid_after(not_after or now + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=may_sign, path_length=None), critical=True)
            .add_extension(_authority_identifier(self.key), critical=False)
        )
        if permitted:
            constraints = x509.NameConstraints([x509.DNSName(one) for one in permitted], None)
            builder = builder.add_extension(constraints, critical=True)
        certificate = builder.sign(self.key, _hash_for(self.key, None))
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        path = self.folder / f"{name}.pem"
        path.write_bytes(pem)
        return CertificateAuthority(self.folder, path, key, certificate, pem + self.chain)

    def client_context(self) -> ssl.SSLContext:
        """Return the context of a client that trusts this authority alone."""
        return ssl.create_default_context(cafile=str(self.path))


def xmpp_address(text: str) -> x509.OtherName:
    """Return the name id-on-xmppAddr (RFC 6120 §13.7.1.4)."""
    return x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.5"), _der_string(0x0C, text.encode()))


def service(text: str) -> x509.OtherName:
    """Return the name id-on-dnsSRV (RFC 4985 §2), as "_xmpp-server.example.org"."""
    return x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.7"), _der_string(0x16, text.encode("ascii")))


def _der_string(tag: int, data: bytes) -> bytes:
    size = len(data)
    length = bytes([size]) if size < 128 else bytes([0x81, size]) if size < 256 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + length + data


def self_signed(folder: Path, name: str, *, not_after: datetime | None = None) -> Leaf:
    """Make a key and a certificate that it has signed itself; `not_after` None: in 30 days."""
    now = datetime.now(UTC)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        _builder(name, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])]), key)
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(not_after or now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([_general_name(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _write(folder, f"{name}-self-signed", certificate, key)


def _write(folder: Path, stem: str, certificate: x509.Certificate, key: Key, chain: bytes = b"") -> Leaf:
    leaf = Leaf(folder / f"{stem}.pem", folder / f"{stem}.key")
    leaf.key.write_bytes(_pem(key))
    leaf.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + chain)
    return leaf


def make_test_ca(folder: Path, key: Key | None = None, path_length: int | None = 1) -> CertificateAuthority:
    """Make an authority whose files go into `folder`.

    Args:
        folder: of its files, and of those that it signs.
        key: None takes P-256.
        path_length: how many authorities may stand between it and what is signed; None: any number.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Authority of the tests")])
    certificate = (
        _builder("Authority of the tests", name, key)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
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
