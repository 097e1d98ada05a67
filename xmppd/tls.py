"""Certificates and TLS contexts by virtual host, replaced as a whole when the files change.

A `TlsStore` holds one generation of contexts. A handshake starts with the context of the domain known so far and moves to
that of the server name the client indicates (SNI). `reload` builds a new generation and swaps it in only when all of
it is sound; streams that run keep theirs.
"""

import hashlib
import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from xmppd.certificates import dns_name

ALPN_XMPP_CLIENT = "xmpp-client"
# Forward secrecy and authenticated encryption alone; TLS 1.3 has nothing else.
TLS_1_2_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class TlsError(Exception):
    """A certificate or key cannot be used; the text is one line for the operator and names the file."""


class CertificateFiles(Protocol):
    """Where a certificate with its chain and its private key are (PEM); no key: it is in the certificate's file."""

    @property
    def certificate(self) -> Path | None: ...
    @property
    def key(self) -> Path | None: ...


class TlsSettings(CertificateFiles, Protocol):
    """The files for all domains, and others for some of them."""

    @property
    def domains(self) -> Mapping[str, CertificateFiles]: ...


@dataclass(frozen=True, slots=True)
class CertificateInfo:
    """What we know of a certificate of ours.

    Attributes:
        path: its file.
        names: the DNS names it is for, lower-case, as it writes them.
        not_before, not_after: when it is valid.
        end_point_hash: see `end_point_hash`.
    """

    path: Path
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    end_point_hash: bytes | None


class ServerSSLObject(ssl.SSLObject):
    """One TLS connection that remembers the server name the client indicated."""

    sni_name: str | None = None


class ServerContext(ssl.SSLContext):
    """A context for the receiving side, and the certificate it presents."""

    info: CertificateInfo


@dataclass(frozen=True, slots=True)
class _Pair:
    """The two contexts of one certificate: for STARTTLS, and for direct TLS, which negotiates ALPN."""

    starttls: ServerContext
    direct: ServerContext


class _Generation:
    """The contexts made by one load, by DNS name."""

    __slots__ = ("default", "pairs")

    def __init__(self, pairs: dict[str, _Pair], default: _Pair) -> None:
        self.pairs = pairs
        self.default = default

    def find(self, name: str) -> _Pair:
        """Return the pair of a domain, of the nearest domain above it that has its own, or the default."""
        rest = name.lower().rstrip(".")
        while rest:
            pair = self.pairs.get(rest)
            if pair is not None:
                return pair
            rest = rest.partition(".")[2]
        return self.default


class TlsStore:
    """The server's certificates.

    Args:
        settings: `[tls]` of the configuration, with at least one certificate.
        alpn: protocol ids that direct TLS accepts, the one we like best first (XEP-0368; RFC 7301).
        now: the clock that says whether a certificate has expired.

    Raises:
        TlsError: nothing is configured, or a file is missing, unreadable, expired or does not fit.
    """

    __slots__ = ("_alpn", "_generation", "_now", "_settings")

    def __init__(
        self,
        settings: TlsSettings,
        alpn: Sequence[str] = (ALPN_XMPP_CLIENT,),
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._alpn = tuple(alpn)
        self._now = now
        self._generation = self._load()

    def context_for(self, domain: str | None = None, *, direct: bool = False) -> ServerContext:
        """Return the context that a new TLS connection starts with.

        Args:
            domain: whom the peer addressed (the stream's `to`), prepared; None when not known.
            direct: whether TLS starts with the connection; then ALPN is negotiated.
        """
        pair = self._generation.default if domain is None else self._generation.find(dns_name(domain))
        return pair.direct if direct else pair.starttls

    def reload(self, settings: TlsSettings | None = None) -> None:
        """Read all files again, for new connections.

        Args:
            settings: other files from now on; None keeps those known.

        Raises:
            TlsError: one is not sound; all contexts stay as they are.
        """
        old = self._settings
        if settings is not None:
            self._settings = settings
        try:
            self._generation = self._load()
        except TlsError:
            self._settings = old
            raise

    def info(self, domain: str) -> CertificateInfo:
        """Return what is known of the certificate that a domain presents."""
        return self.context_for(domain).info

    def days_left(self, domain: str) -> int:
        """Return how many whole days the domain's certificate is still valid; negative when it has expired."""
        return (self.info(domain).not_after - self._now()).days

    def _load(self) -> _Generation:
        pairs: dict[str, _Pair] = {}
        by_files: dict[tuple[Path, Path], _Pair] = {}

        def load(files: CertificateFiles) -> _Pair | None:
            if files.certificate is None:
                return None
            key = (files.certificate, files.key or files.certificate)
            if key not in by_files:
                info, chain = self._read(*key)
                by_files[key] = _Pair(self._context(key, info, chain, ()), self._context(key, info, chain, self._alpn))
            return by_files[key]

        default = load(self._settings)
        for domain, files in self._settings.domains.items():
            pair = load(files)
            if pair is not None:
                pairs[dns_name(domain).lower()] = pair
        if default is None:
            default = next(iter(pairs.values()), None)
        if default is None:
            raise TlsError("no certificate is configured: set tls.certificate and tls.key")
        generation = _Generation(pairs, default)
        for pair in by_files.values():
            pair.starttls.sni_callback = _sni_chooser(generation, direct=False)
            pair.direct.sni_callback = _sni_chooser(generation, direct=True)
        return generation

    def _read(self, cert_path: Path, key_path: Path) -> tuple[CertificateInfo, bytes]:
        """Return what the certificate says, and its file's content."""
        chain = _read_file(cert_path, "certificate")
        _read_file(key_path, "key")
        try:
            certificate = x509.load_pem_x509_certificate(chain)
            names = _names(certificate)
            fingerprint = certificate_hash(certificate)
        except ValueError as error:
            raise TlsError(f"{cert_path} holds no usable certificate in PEM form: {_one_line(error)}") from None
        now = self._now()
        if certificate.not_valid_after_utc <= now:
            raise TlsError(
                f"the certificate {cert_path} expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
            )
        if certificate.not_valid_before_utc > now:
            raise TlsError(
                f"the certificate {cert_path} is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
            )
        dates = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
        return CertificateInfo(cert_path, names, *dates, fingerprint), chain

    def _context(
        self, files: tuple[Path, Path], info: CertificateInfo, chain: bytes, alpn: Sequence[str]
    ) -> ServerContext:
        context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
        context.sslobject_class = ServerSSLObject
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(TLS_1_2_CIPHERS)
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.num_tickets = 1  # a client resumes once from each; one a login is enough
        if alpn:
            context.set_alpn_protocols(list(alpn))
        _load_chain(context, *files)
        if _read_file(files[0], "certificate") != chain:
            raise TlsError(f"the certificate {files[0]} changed while it was read; try again")
        context.info = info
        return context


def _sni_chooser(
    generation: _Generation, *, direct: bool
) -> Callable[[ssl.SSLObject, str | None, ssl.SSLContext], int | None]:
    """Return the callback that moves a handshake to the certificate of the name that the client indicates."""

    def choose(connection: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> int | None:
        if name is None:
            return None
        pair = generation.find(name)
        connection.context = pair.direct if direct else pair.starttls
        if isinstance(connection, ServerSSLObject):
            connection.sni_name = name
        return None

    return choose


def end_point_hash(context: ServerContext) -> bytes | None:
    """Return the channel binding tls-server-end-point of the context's certificate.

    None when there is none: the certificate's signature uses no single hash (Ed25519).

    Spec: RFC 5929 §4.1.
    """
    return context.info.end_point_hash


def certificate_hash(certificate: x509.Certificate) -> bytes | None:
    """Return the hash of a certificate by the algorithm of its own signature; MD5 and SHA-1 count as SHA-256.

    None when that algorithm is not defined for it.

    Spec: RFC 5929 §4.1.
    """
    algorithm = certificate.signature_hash_algorithm
    if algorithm is None:
        return None
    name = "sha256" if algorithm.name in ("md5", "sha1") else algorithm.name
    return hashlib.new(name, certificate.public_bytes(Encoding.DER)).digest()


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))


def _read_file(path: Path, what: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise TlsError(f"cannot read the {what} {path}: {error.strerror}") from None


def _load_chain(context: ssl.SSLContext, cert_path: Path, key_path: Path) -> None:
    was_asked = False

    def passphrase() -> bytes:
        nonlocal was_asked
        was_asked = True
        return b""

    try:
        context.load_cert_chain(cert_path, key_path, password=passphrase)
    except (ssl.SSLError, OSError, ValueError) as error:
        if was_asked:
            raise TlsError(f"the key {key_path} is protected by a passphrase; store it without") from None
        reason = getattr(error, "reason", None)
        if reason == "KEY_VALUES_MISMATCH":
            raise TlsError(f"the key {key_path} does not belong to the certificate {cert_path}") from None
        raise TlsError(f"cannot use the certificate {cert_path} with the key {key_path}: {_one_line(error)}") from None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
