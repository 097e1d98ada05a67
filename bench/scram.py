"""SCRAM for a client (RFC 5802), with salted passwords kept, so that many logins with one salt cost one PBKDF2."""

import base64
import functools
import hashlib
import hmac
import secrets


class ScramError(Exception):
    """The server's messages do not fit together, or it does not know the password."""


@functools.lru_cache(maxsize=64)
def salted_password(hash_name: str, password: str, salt: bytes, iterations: int) -> bytes:
    """Return SaltedPassword of RFC 5802 §3; `hash_name` as hashlib has it ("sha1")."""
    return hashlib.pbkdf2_hmac(hash_name, password.encode(), salt, iterations)


def stored_and_server_key(hash_name: str, password: str, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    """Return what a server keeps of a password: StoredKey and ServerKey."""
    salted = salted_password(hash_name, password, salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", hash_name)
    return hashlib.new(hash_name, client_key).digest(), hmac.digest(salted, b"Server Key", hash_name)


class Scram:
    """One login without channel binding; the user name must not need escapes."""

    def __init__(self, hash_name: str, user: str, password: str) -> None:
        self.hash_name = hash_name
        self.password = password
        self.first_bare = f"n={user},r={secrets.token_urlsafe(18)}"
        self.server_signature = b""

    def first(self) -> str:
        """Return the client's first message, in base64."""
        return base64.b64encode(f"n,,{self.first_bare}".encode()).decode()

    def answer(self, challenge: str) -> str:
        """Return the client's final message to a server's first message, both in base64."""
        text = base64.b64decode(challenge).decode()
        fields = dict(part.split("=", 1) for part in text.split(","))
        try:
            salt, iterations, nonce = base64.b64decode(fields["s"]), int(fields["i"]), fields["r"]
        except (KeyError, ValueError) as error:
            raise ScramError(f"not a server's first message: {text}") from error
        salted = salted_password(self.hash_name, self.password, salt, iterations)
        final = f"c=biws,r={nonce}"
        signed = f"{self.first_bare},{text},{final}".encode()
        client_key = hmac.digest(salted, b"Client Key", self.hash_name)
        signature = hmac.digest(hashlib.new(self.hash_name, client_key).digest(), signed, self.hash_name)
        proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
        server_key = hmac.digest(salted, b"Server Key", self.hash_name)
        self.server_signature = hmac.digest(server_key, signed, self.hash_name)
        return base64.b64encode(f"{final},p={base64.b64encode(proof).decode()}".encode()).decode()

    def check(self, final: str) -> None:
        """Check the server's final message, in base64; raises ScramError."""
        if base64.b64decode(final) != b"v=" + base64.b64encode(self.server_signature):
            raise ScramError("the server does not know the password")
