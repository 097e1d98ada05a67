"""Accounts that do not exist, made to look like those that do.

Whoever guesses a user name must not learn from the salt, the iteration count, the answer or the time whether it exists. So
each name has keys: those of its account, or invented ones that stay the same from login to login, and from gateway to
gateway when they share the secret.
"""

import hmac

from storage.interface import AccountRecord, ScramKeys
from xmppd.sasl.keys import DEFAULT_ITERATIONS, SALT_BYTES


class UnknownAccounts:
    """Invents keys for the names of one domain.

    The likeness holds for accounts whose keys were made with the same `iterations`; one imported with another count stands out.

    Args:
        secret: 16 bytes or more that nobody else knows, the same after a restart.
        domain: prepared domainpart.
        iterations: what this server gives new accounts.
    """

    __slots__ = ("_iterations", "_secret", "domain")

    def __init__(self, secret: bytes, domain: str, iterations: int = DEFAULT_ITERATIONS) -> None:
        if len(secret) < 16:
            raise ValueError("the secret must have at least 16 bytes")
        self._secret = secret
        self._iterations = iterations
        self.domain = domain

    def keys(self, localpart: str, hash_name: str) -> ScramKeys:
        """Return keys that no password fits."""
        name = f"{hash_name}\0{localpart}@{self.domain}".encode("utf-8", "surrogatepass")
        invented = hmac.digest(self._secret, name, "sha512")
        size = 20 if hash_name == "SHA-1" else 32
        key = invented[SALT_BYTES : SALT_BYTES + size]
        return ScramKeys(salt=invented[:SALT_BYTES], iterations=self._iterations, stored_key=key, server_key=key)

    def record(self, localpart: str) -> AccountRecord:
        """Return an account that no password opens, for PLAIN."""
        return AccountRecord(f"{localpart}@{self.domain}", {"SHA-256": self.keys(localpart, "SHA-256")})
