"""The client's side of SASL: PLAIN and SCRAM, with channel binding where it can be had.

Sans-IO: a mechanism yields the texts to send and takes those that came.

Spec: RFC 4616 (PLAIN), RFC 5802 and RFC 7677 (SCRAM), RFC 5929 §4 (tls-server-end-point).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import ssl

HASHES = {"SCRAM-SHA-1": "sha1", "SCRAM-SHA-256": "sha256", "SCRAM-SHA-512": "sha512"}
PREFERRED = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "PLAIN")

# DER of the object identifiers in a certificate's signatureAlgorithm -> hash for tls-server-end-point.
# RFC 5929 §4.1: MD5 and SHA-1 are replaced by SHA-256; algorithms with no hash of their own get SHA-256 here.
_RSA = bytes.fromhex("2a864886f70d0101")
_ECDSA = bytes.fromhex("2a8648ce3d0403")
_SIGNATURE_HASHES = {
    _RSA + b"\x0b": "sha256",
    _RSA + b"\x0c": "sha384",
    _RSA + b"\x0d": "sha512",
    _ECDSA + b"\x02": "sha256",
    _ECDSA + b"\x03": "sha384",
    _ECDSA + b"\x04": "sha512",
}


class SaslError(Exception):
    """The exchange cannot go on: the server's text is malformed or proves the wrong thing."""


class Plain:
    """PLAIN (RFC 4616): one message, the password in the clear inside TLS."""

    name = "PLAIN"

    def __init__(self, username: str, password: str, authzid: str = "") -> None:
        self._text = f"{authzid}\0{username}\0{password}".encode()

    def first(self) -> bytes:
        """Return the initial response."""
        return self._text

    def answer(self, challenge: bytes) -> bytes:
        """Refuse: PLAIN has no challenge."""
        raise SaslError("a challenge came for PLAIN")

    def verify(self, additional: bytes) -> None:
        """Accept: PLAIN proves nothing about the server."""


class Scram:
    """SCRAM (RFC 5802), with any hash of `HASHES` and an optional channel binding."""

    def __init__(
        self, name: str, username: str, password: str, *, binding: tuple[str, bytes] | None = None, flag: str = "n"
    ) -> None:
        """Prepare one exchange.

        Args:
            name: the mechanism, such as "SCRAM-SHA-256-PLUS"; one ending in -PLUS needs `binding`.
            username, password: as they are; no SASLprep, so tests keep to ASCII or prepared text.
            binding: type and data of the channel binding, such as ("tls-server-end-point", b"...").
            flag: "n" (cannot bind) or "y" (could, but the server offers none); unused with a binding.
        """
        self.name = name
        self._hash = HASHES[name.removesuffix("-PLUS")]
        self._password = password.encode()
        user = username.replace("=", "=3D").replace(",", "=2C")
        self._header = f"p={binding[0]},," if binding else f"{flag},,"
        self._binding = binding[1] if binding else b""
        self._nonce = base64.b64encode(secrets.token_bytes(18)).decode()
        self._first_bare = f"n={user},r={self._nonce}"
        self._server_signature = b""

    def first(self) -> bytes:
        """Return the client-first-message."""
        return (self._header + self._first_bare).encode()

    def answer(self, challenge: bytes) -> bytes:
        """Return the client-final-message for the server-first-message."""
        fields = _fields(challenge)
        nonce, salt, rounds = fields.get("r", ""), fields.get("s", ""), fields.get("i", "")
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise SaslError("the server's nonce does not extend ours")
        if not rounds.isdigit() or int(rounds) < 1 or not salt:
            raise SaslError("the server's salt or iteration count is missing")
        salted = hashlib.pbkdf2_hmac(self._hash, self._password, base64.b64decode(salt), int(rounds))
        client_key = self._mac(salted, b"Client Key")
        stored_key = hashlib.new(self._hash, client_key).digest()
        bound = base64.b64encode(self._header.encode() + self._binding).decode()
        without_proof = f"c={bound},r={nonce}"
        message = ",".join((self._first_bare, challenge.decode(), without_proof)).encode()
        signature = self._mac(stored_key, message)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        self._server_signature = self._mac(self._mac(salted, b"Server Key"), message)
        return f"{without_proof},p={base64.b64encode(proof).decode()}".encode()

    def verify(self, additional: bytes) -> None:
        """Check the server-final-message: only one who knows the password's keys can sign it."""
        given = _fields(additional).get("v", "")
        if not self._server_signature or base64.b64decode(given) != self._server_signature:
            raise SaslError("the server's signature is wrong")

    def _mac(self, key: bytes, data: bytes) -> bytes:
        return hmac.new(key, data, self._hash).digest()


def _fields(data: bytes) -> dict[str, str]:
    pairs = (part.partition("=") for part in data.decode().split(","))
    return {key: value for key, _, value in pairs}


def channel_binding(tls: ssl.SSLObject, kind: str) -> bytes | None:
    """Return the channel-binding data of a TLS connection, or None when it cannot be had.

    Args:
        tls: the connection's ssl object, handshake done.
        kind: "tls-server-end-point" or "tls-unique" (TLS 1.2 and below); others give None, because
            Python's ssl has no keying-material exporter before 3.14.
    """
    if kind == "tls-unique":
        return None if tls.version() == "TLSv1.3" else tls.get_channel_binding("tls-unique")
    if kind == "tls-server-end-point":
        certificate = tls.getpeercert(binary_form=True)
        return None if certificate is None else hashlib.new(signature_hash(certificate), certificate).digest()
    return None


def signature_hash(certificate: bytes) -> str:
    """Return the name of the hash that tls-server-end-point uses for a DER certificate (RFC 5929 §4.1)."""
    outer, _ = _der(certificate, 0)
    _, after_tbs = _der(certificate, outer)
    algorithm, _ = _der(certificate, after_tbs)
    start, end = _der(certificate, algorithm)
    return _SIGNATURE_HASHES.get(certificate[start:end], "sha256")


def _der(data: bytes, at: int) -> tuple[int, int]:
    """Return where the value of the DER element at `at` starts and ends."""
    length, start = data[at + 1], at + 2
    if length & 0x80:
        count = length & 0x7F
        length, start = int.from_bytes(data[start : start + count], "big"), start + count
    return start, start + length
