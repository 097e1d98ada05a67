"""TLS with other servers: each shows its certificate, and none is turned away for it.

Python's own ssl can ask a client for a certificate only by ending the handshake when it does not trust it. But a server whose
certificate nobody vouches for may still prove its domain by dialback (XEP-0220), over TLS all the same. So these connections
are pyOpenSSL's: whatever OpenSSL says against a certificate is written down (`PeerCertificate.chain_error`) and the
handshake goes on. What the certificate is worth is for the stream to decide.
"""

import contextlib
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL, crypto

from xmppd.certificates import dns_name
from xmppd.s2s.identity import UNREADABLE, PeerCertificate, is_address, moment, shown
from xmppd.tls import TLS_1_2_CIPHERS, CertificateInfo, TlsError, TlsSettings, TlsStore, certificate_hash
from xmppd.tls_engine import TlsFailed

ALPN_XMPP_SERVER = b"xmpp-server"
# Both sides send their certificates here. A chain of four with RSA keys takes 8 KiB, one with 500 names 25 KiB.
HANDSHAKE_LIMIT_BYTES = 65_536
# Between a server's own certificate and the root; in use are one or two. More of them prove nothing.
MAX_INTERMEDIATES = 6
# What goes into OpenSSL at once: its BIOs, one pair a connection, keep the size that they once had. An idle connection takes
# 51 KiB so, 83 KiB with pieces of 16 KiB; encryption and decryption of 1 MB together take 5 ms.
PIECE_BYTES = 4096
MAX_RECORD_BYTES = 16_384
MAX_SNI_BYTES = 253
# 112 bits of security: no RSA below 2048, no SHA-1 in a chain. OpenSSL's own default, said here so that a system's file does not change it.
CIPHERS = f"{TLS_1_2_CIPHERS}:@SECLEVEL=2"

_CODES = SSL.X509VerificationCodes
_WHOLE_CHAIN = {
    _CODES.ERR_DEPTH_ZERO_SELF_SIGNED_CERT: "it is self-signed, and no authority vouches for it",
    _CODES.ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE: "no authority that we trust has signed it",
    _CODES.ERR_CERT_CHAIN_TOO_LONG: f"its chain has more than {MAX_INTERMEDIATES} certificates below its authority",
}
_FAULTS = {
    _CODES.ERR_CERT_SIGNATURE_FAILURE: "has a signature that is not its authority's",
    _CODES.ERR_INVALID_CA: "is signed with one that may sign none",
    _CODES.ERR_PATH_LENGTH_EXCEEDED: "is further below its authority than that allows",
    _CODES.ERR_INVALID_PURPOSE: "is for another use than TLS (its extended key usage)",
    _CODES.ERR_PERMITTED_VIOLATION: "has a name outside those that its authority may sign for",
    _CODES.ERR_EXCLUDED_VIOLATION: "has a name among those that its authority must not sign for",
    _CODES.ERR_UNHANDLED_CRITICAL_EXTENSION: "has a critical extension that is not understood",
    66: "has too weak a key",  # these three have no name in pyOpenSSL: EE_KEY_TOO_SMALL,
    67: "has too weak a key",  # CA_KEY_TOO_SMALL,
    68: "is signed by too weak a hash",  # CA_MD_TOO_WEAK
}
_USAGES = {
    ExtendedKeyUsageOID.SERVER_AUTH,
    ExtendedKeyUsageOID.CLIENT_AUTH,
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
}


class PeerTlsSettings(TlsSettings, Protocol):
    """Our certificates, and whom to trust."""

    @property
    def ca_file(self) -> Path | None: ...


class _Refused(SSL.Error):
    """We end the handshake ourselves."""


class _Context(SSL.Context):
    """A context, and what is known of the certificate that it presents."""

    info: CertificateInfo


class _Handshake:
    """What callbacks, which are given the connection alone, must know and find out."""

    __slots__ = ("fault", "is_direct", "is_server")

    def __init__(self, is_server: bool, is_direct: bool) -> None:
        self.is_server = is_server
        self.is_direct = is_direct
        self.fault: str | None = None


class _Generation:
    """The contexts made by one load, by the certificate's file."""

    __slots__ = ("_by_path", "_store")

    def __init__(self, store: TlsStore, by_path: dict[Path, _Context]) -> None:
        self._store = store
        self._by_path = by_path

    def find(self, domain: str | None) -> _Context:
        """Return the context of a domain, of the nearest above it that has its own, or the default."""
        return self._by_path[self._store.context_for(domain).info.path]


class PeerTls:
    """What makes TLS connections with other servers, one for the process.

    Args:
        settings: `[tls]` of the configuration, with at least one certificate; `ca_file` None trusts the system's authorities.
        min_version: of TLS; not below 1.2.
        now: the clock that says whether a certificate of ours has expired.

    Raises:
        TlsError: nothing is configured, or a file is missing, unreadable, expired or does not fit.
    """

    __slots__ = ("_generation", "_min_version", "_now", "_settings")

    def __init__(
        self,
        settings: PeerTlsSettings,
        *,
        min_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._min_version = max(min_version, ssl.TLSVersion.TLSv1_2)
        self._now = now
        self._generation = self._load(settings)

    def accept(self, domain: str | None, *, direct: bool) -> "PeerEngine":
        """Return our side of a connection that a server has opened; it is asked for its certificate.

        Args:
            domain: whom the stream is for, prepared; None when not known yet. The name that the peer indicates (SNI) comes first.
            direct: TLS starts with the connection: a peer that offers protocols (ALPN) must offer `xmpp-server`.
        """
        return PeerEngine(self._generation.find(domain), _Handshake(True, direct), None)

    def connect(self, our_domain: str, their_domain: str, *, direct: bool) -> "PeerEngine":
        """Return our side of a connection that we have opened; `take_output` has the ClientHello at once.

        Args:
            our_domain: whose certificate we show, prepared.
            their_domain: which server we ask for (SNI), prepared; an IP address is not told (RFC 6066 §3).
            direct: offer the protocol `xmpp-server` (XEP-0368).
        """
        return PeerEngine(self._generation.find(our_domain), _Handshake(False, direct), their_domain)

    def reload(self, settings: PeerTlsSettings | None = None) -> None:
        """Read all files again, for new connections; those that run keep what they have.

        Args:
            settings: other files from now on; None keeps those known.

        Raises:
            TlsError: one is not sound; all stays as it is.
        """
        settings = settings or self._settings
        self._generation = self._load(settings)
        self._settings = settings

    def _load(self, settings: PeerTlsSettings) -> _Generation:
        store = TlsStore(settings, (), self._now)  # which checks all files
        by_path: dict[Path, _Context] = {}
        generation = _Generation(store, by_path)
        for domain, files in [(None, settings), *settings.domains.items()]:
            if files.certificate is None or files.certificate in by_path:
                continue
            info = store.info(domain) if domain is not None else store.context_for(None).info
            by_path[files.certificate] = self._context(
                info, files.key or files.certificate, settings.ca_file, generation
            )
        return generation

    def _context(self, info: CertificateInfo, key: Path, ca_file: Path | None, generation: _Generation) -> _Context:
        context = _Context(SSL.TLS_METHOD)
        context.info = info
        context.set_min_proto_version(int(self._min_version))
        context.set_cipher_list(CIPHERS.encode())
        context.set_options(
            SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE | SSL.OP_NO_TICKET
        )
        # A resumed session would not show the certificate again, and what it was worth then may not hold now: names and
        # authorities change on reload, dates pass. Servers connect seldom; a full handshake each time is cheap.
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_session_id(b"xmppd-s2s")
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)
        context.set_verify(SSL.VERIFY_PEER, _note_fault)
        context.set_verify_depth(MAX_INTERMEDIATES)
        context.set_alpn_select_callback(_choose_protocol)
        context.set_tlsext_servername_callback(_sni_chooser(generation))
        _load_files(context, info, key)
        _load_authorities(context, ca_file)
        return context


class PeerEngine:
    """One TLS connection with another server, without a socket; driven as `xmppd.tls_engine.TlsEngine` is.

    Attributes:
        is_established: the handshake is complete; only then `write`.
        is_closed_by_peer: the peer has sent its close_notify; what it sends after that is ignored.
        is_broken: a call has raised `TlsFailed`.
        peer: the peer's certificate, after the handshake; None when it has shown none.
    """

    __slots__ = (
        "_connection",
        "_context",
        "_handshake",
        "_handshake_room",
        "_output",
        "is_broken",
        "is_closed_by_peer",
        "is_established",
        "peer",
    )

    def __init__(self, context: _Context, handshake: _Handshake, server_name: str | None) -> None:
        # SNI may move the connection to another context, but callbacks of the first are still OpenSSL's.
        self._context = context
        self._handshake = handshake
        self._handshake_room = HANDSHAKE_LIMIT_BYTES
        self._output: list[bytes] = []
        self.is_established = False
        self.is_closed_by_peer = False
        self.is_broken = False
        self.peer: PeerCertificate | None = None
        self._connection = connection = SSL.Connection(context, None)
        connection.set_app_data(handshake)
        if handshake.is_server:
            connection.set_accept_state()
            return
        connection.set_connect_state()
        name = None if server_name is None else _sni(server_name)
        if name is not None:
            connection.set_tlsext_host_name(name)
        if handshake.is_direct:
            connection.set_alpn_protos([ALPN_XMPP_SERVER])
        self._shake_hands()
        self._collect()

    def feed(self, data: bytes | memoryview) -> list[bytes]:
        """Take ciphertext and return the plaintext that it completes, in one piece or none.

        Afterwards `take_output` may have something for the peer: the handshake, an alert.

        Raises:
            TlsFailed: the connection is broken; no more calls but `take_output`.
        """
        if self.is_broken:
            raise TlsFailed("the TLS connection is broken")
        found: list[bytes] = []
        view = memoryview(data)
        try:
            for start in range(0, len(view), PIECE_BYTES):
                if self.is_closed_by_peer:
                    break
                self._take(view[start : start + PIECE_BYTES], found)
        except SSL.Error as error:
            self.is_broken = True
            raise TlsFailed(_reason(error)) from None
        finally:
            self._collect()
        return [found[0] if len(found) == 1 else b"".join(found)] if found else []

    def write(self, data: bytes | memoryview) -> None:
        """Encrypt plaintext; `take_output` has it then.

        Raises:
            TlsFailed: the connection is broken, `shutdown` was called, or the handshake is not complete.
        """
        if not self.is_established or self.is_broken:
            raise TlsFailed("nothing can be written before the handshake is complete, or when it is broken")
        view = memoryview(data)
        try:
            for start in range(0, len(view), PIECE_BYTES):
                self._connection.sendall(view[start : start + PIECE_BYTES])
                self._collect()
        except SSL.Error as error:
            self.is_broken = True
            raise TlsFailed(_reason(error)) from None

    def take_output(self) -> bytes:
        """Return the ciphertext for the peer made since the last call, b"" when there is none."""
        output, self._output = self._output, []
        return output[0] if len(output) == 1 else b"".join(output)

    def shutdown(self) -> None:
        """Say that we send no more (close_notify); `take_output` has it then. Nothing happens when it cannot be said."""
        if self.is_broken or not self.is_established:
            return
        with contextlib.suppress(SSL.Error):  # said already
            self._connection.shutdown()
        self._collect()

    @property
    def version(self) -> str | None:
        """ "TLSv1.2" or "TLSv1.3"; None before the handshake."""
        return self._connection.get_protocol_version_name() if self.is_established else None

    @property
    def cipher(self) -> str | None:
        """OpenSSL's name of the cipher suite; None before the handshake."""
        return self._connection.get_cipher_name() if self.is_established else None

    @property
    def alpn(self) -> str | None:
        """The protocol id agreed upon; None when there was no agreement."""
        return self._connection.get_alpn_proto_negotiated().decode("ascii", "replace") or None

    @property
    def sni_name(self) -> str | None:
        """The server name that the peer indicated; None when it did not, or when we are the client."""
        name = self._connection.get_servername() if self._handshake.is_server else None
        return name.decode("ascii", "replace") if name is not None else None

    @property
    def end_point_hash(self) -> bytes | None:
        """The channel binding tls-server-end-point (RFC 5929 §4), the same on both sides; None when there is none."""
        if self._handshake.is_server:
            context = self._connection.get_context()
            return context.info.end_point_hash if isinstance(context, _Context) else None
        if self.peer is None:
            return None
        try:
            return certificate_hash(x509.load_der_x509_certificate(self.peer.der))
        except UNREADABLE:
            return None

    def _take(self, piece: memoryview, found: list[bytes]) -> None:
        self._connection.bio_write(piece)
        if not self.is_established:
            self._handshake_room -= len(piece)
            if not self._shake_hands():
                if self._handshake_room <= 0:
                    raise _Refused("the handshake is too long")
                return
        try:
            while True:
                found.append(self._connection.recv(MAX_RECORD_BYTES))
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.is_closed_by_peer = True

    def _shake_hands(self) -> bool:
        """Go on with the handshake; whether it is complete."""
        try:
            self._connection.do_handshake()
        except SSL.WantReadError:
            return False
        certificate = self._connection.get_peer_certificate()
        if certificate is not None:
            der = crypto.dump_certificate(crypto.FILETYPE_ASN1, certificate)
            fault = self._handshake.fault
            self.peer = PeerCertificate.read(der, fault, self._path_ends() if fault is None else None)
        self.is_established = True
        return True

    def _path_ends(self) -> datetime | None:
        """Return when the first of the certificates that vouch for the peer's ends."""
        try:
            chain = self._connection.get_verified_chain(as_cryptography=True) or []
            return min((certificate.not_valid_after_utc for certificate in chain), default=None)
        except UNREADABLE:
            return None

    def _collect(self) -> None:
        """Take what OpenSSL has made."""
        try:
            while True:
                self._output.append(self._connection.bio_read(MAX_RECORD_BYTES))
        except SSL.WantReadError:
            pass


def _load_files(context: _Context, info: CertificateInfo, key: Path) -> None:
    try:
        context.use_certificate_chain_file(str(info.path))
        context.use_privatekey_file(str(key))
        context.check_privatekey()
        hash_now = certificate_hash(x509.load_pem_x509_certificate(info.path.read_bytes()))
    except (SSL.Error, OSError, ValueError) as error:
        reason = _reason(error) if isinstance(error, SSL.Error) else " ".join(str(error).split())
        raise TlsError(f"cannot use the certificate {info.path} with the key {key}: {reason}") from None
    if hash_now != info.end_point_hash:
        raise TlsError(f"the certificate {info.path} changed while it was read; try again")


def _load_authorities(context: _Context, ca_file: Path | None) -> None:
    """Trust those of a file, or the system's: Python's idea of where they are, which honours SSL_CERT_FILE and SSL_CERT_DIR."""
    paths = ssl.get_default_verify_paths()
    file, folder = (str(ca_file), None) if ca_file is not None else (paths.cafile, paths.capath)
    try:
        if file is None and folder is None:
            context.set_default_verify_paths()
        else:
            context.load_verify_locations(file, folder)
    except SSL.Error as error:
        where = f"the authorities' file {ca_file}" if ca_file is not None else "the system's authorities"
        raise TlsError(f"cannot read {where}: {_reason(error)}") from None


def _sni_chooser(generation: _Generation) -> Callable[[SSL.Connection], None]:
    """Return the callback that moves a handshake to the certificate of the name that the peer indicates."""

    def choose(connection: SSL.Connection) -> None:
        if not connection.get_app_data().is_server:
            return  # OpenSSL asks a client as well, with the name that it indicates itself
        name = connection.get_servername()
        if name is not None:
            connection.set_context(generation.find(name.decode("ascii", "replace")))

    return choose


def _choose_protocol(connection: SSL.Connection, offered: list[bytes]) -> bytes:
    """Agree on our protocol where TLS starts with the connection (XEP-0368); elsewhere XMPP has spoken already.

    Raises:
        _Refused: it came for another protocol (RFC 7301 §3.2), which must not be led to ours.
    """
    if not connection.get_app_data().is_direct:
        return SSL.NO_OVERLAPPING_PROTOCOLS  # type: ignore[return-value]
    if ALPN_XMPP_SERVER not in offered:
        raise _Refused("no protocol in common")
    return ALPN_XMPP_SERVER


def _note_fault(connection: SSL.Connection, certificate: crypto.X509, code: int, depth: int, is_sound: int) -> bool:
    """Write down the first fault of a peer's chain, and go on: OpenSSL's callback for each certificate, and each fault."""
    handshake = connection.get_app_data()
    if not is_sound and handshake.fault is None:
        handshake.fault = _fault(certificate, code, depth, handshake.is_server)
    return True


def _fault(certificate: crypto.X509, code: int, depth: int, peer_is_client: bool) -> str | None:
    """Return one line on what is wrong, None when it is none between servers."""
    try:
        found = certificate.to_cryptography()
        who = "it" if depth == 0 else f'"{_called(found.subject)}" in its chain'
        if code == _CODES.ERR_INVALID_PURPOSE and _is_for_the_other_role(found, depth, peer_is_client):
            return None
        if code == _CODES.ERR_CERT_HAS_EXPIRED:
            return f"{who} expired on {moment(found.not_valid_after_utc)}"
        if code == _CODES.ERR_CERT_NOT_YET_VALID:
            return f"{who} is valid only from {moment(found.not_valid_before_utc)} on"
        if code == _CODES.ERR_SELF_SIGNED_CERT_IN_CHAIN:
            return f'its authority "{_called(found.subject)}" is none that we trust'
        if code in (_CODES.ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, _CODES.ERR_UNABLE_TO_GET_ISSUER_CERT):
            return f'{who} is signed by "{_called(found.issuer)}", which we neither trust nor were shown'
    except UNREADABLE:
        return "it, or one in its chain, cannot be read"
    if code in _WHOLE_CHAIN:
        return _WHOLE_CHAIN[code]
    return f"{who} {_FAULTS.get(code, f'is not sound (X509_V_ERR {code})')}"


def _is_for_the_other_role(certificate: x509.Certificate, depth: int, peer_is_client: bool) -> bool:
    """Whether a certificate that OpenSSL finds unfit for its purpose is so only by its extended key usage, which suits a server.

    One server opens streams and accepts them with one certificate, and public authorities have ceased to issue any for
    clients: what proves a domain when we call proves it when it calls us. So serverAuth, clientAuth and
    anyExtendedKeyUsage are the same here (XEP-0178 asks for none of them); one for mail or code alone is still refused.
    """
    extensions = certificate.extensions
    try:
        usages = set(extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
    except x509.ExtensionNotFound:
        return False  # so that is not what was found unfit
    asked = ExtendedKeyUsageOID.CLIENT_AUTH if peer_is_client else ExtendedKeyUsageOID.SERVER_AUTH
    if asked in usages or not usages & _USAGES:
        return False
    if depth > 0:
        return True  # that it may sign is asked apart (ERR_INVALID_CA)
    try:
        return extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    except x509.ExtensionNotFound:
        return True


def _called(name: x509.Name) -> str:
    """Return what an authority calls itself."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return shown(str(found[0].value) if found else name.rfc4514_string())


def _sni(domain: str) -> bytes | None:
    """Return the server name to indicate; None for an IP address and for what DNS cannot hold."""
    name = dns_name(domain)
    return name.encode() if len(name) <= MAX_SNI_BYTES and not is_address(name) else None


def _reason(error: SSL.Error) -> str:
    """Return one line of what OpenSSL says."""
    if isinstance(error, SSL.SysCallError):
        return "the connection ended"
    told = error.args[0] if error.args else ""
    if isinstance(told, list):
        told = told[0][2] if told else ""
    return str(told).replace("_", " ").lower() or error.__class__.__name__
