"""HT-SHA-256-NONE and -ENDP: logging in with a token that the server gave out before (draft-schmaus-kitten-sasl-ht-09).

    client: name NUL HMAC(token, "Initiator" + binding) -> success HMAC(token, "Responder" + binding)

ENDP binds to the TLS channel by tls-server-end-point (RFC 5929 §4). -EXPR and -UNIQ would need what Python's ssl does not give: keying
material of the session (RFC 9266), and tls-unique, which TLS 1.3 does not have.
"""

import hmac
from collections.abc import Awaitable, Callable

from xmppd.errors import SaslError
from xmppd.sasl.mechanism import Challenge, Mechanism, Success, prepare_username

NONE, ENDP = "HT-SHA-256-NONE", "HT-SHA-256-ENDP"
HASH_BYTES = 32


class HashedToken(Mechanism):
    """One message of the client.

    Args:
        name: `NONE` or `ENDP`.
        binding: the channel binding's data, b"" for `NONE`.
        find: given the localpart and a function that says whether a token is the client's, returns that token, or raises `SaslError`.
    """

    __slots__ = ("_binding", "_find", "_is_asked")

    def __init__(self, name: str, binding: bytes, find: Callable[[str, Callable[[str], bool]], Awaitable[str]]) -> None:
        super().__init__(name)
        self._binding = binding
        self._find = find
        self._is_asked = False

    async def step(self, data: bytes) -> Challenge | Success:
        """Check the one message.

        Raises:
            SaslError: malformed-request, and whatever `find` raises.
        """
        if not data and not self._is_asked:
            self._is_asked = True
            return Challenge(b"")
        name, nul, hashed = data.partition(b"\0")
        if not nul or not name or len(hashed) != HASH_BYTES:
            raise SaslError("malformed-request")
        localpart = prepare_username(name)
        token = await self._find(localpart, lambda token: hmac.compare_digest(self._mac(token, b"Initiator"), hashed))
        return Success(self._mac(token, b"Responder"), localpart)

    def _mac(self, token: str, role: bytes) -> bytes:
        return hmac.digest(token.encode(), role + self._binding, "sha256")
