"""SCRAM-SHA-256 and SCRAM-SHA-1, each also as -PLUS (RFC 5802, RFC 7677).

    client: gs2-header n=name,r=nonce                -> challenge r=nonce+ours,s=salt,i=count
    client: c=gs2-header+binding,r=nonce+ours,p=proof -> success v=signature

The one channel binding is tls-server-end-point (RFC 5929 §4): it is what Python's ssl can do with TLS 1.3, and XEP-0440 tells clients so.

The challenge carries one thing more, h=: a hash of the mechanisms and channel bindings that we offered, signed with all the rest, so
that a client notices when somebody has shortened the lists on their way (XEP-0474).
"""

import binascii
import hashlib
import hmac
import os
from collections.abc import Callable, Iterable
from enum import Enum, auto

from storage.interface import ScramKeys
from xmppd.errors import SaslError
from xmppd.sasl.keys import HASHES
from xmppd.sasl.mechanism import Challenge, Credentials, Mechanism, Success, check_authzid, prepare_username
from xmppd.sasl.unknown import UnknownAccounts

BINDING_TYPE = "tls-server-end-point"
_BINDING_FLAG = b"p=" + BINDING_TYPE.encode("ascii")
# RFC 5802 §7: a nonce is printable ASCII other than the comma.
_NONCE_BYTES = bytes(byte for byte in range(0x21, 0x7F) if byte != 0x2C)
# Each message is hashed and the nonce is sent back; real clients use 16 to 64.
MAX_NONCE_BYTES = 512


def make_nonce() -> bytes:
    """Return 24 characters that nobody can guess."""
    return binascii.b2a_base64(os.urandom(18), newline=False)


def offer_text(mechanisms: Iterable[str], channel_bindings: Iterable[str]) -> bytes:
    """Return what XEP-0474 §5.1 hashes: both lists, each sorted by its bytes; the second only where there is one."""
    lists = (sorted(name.encode("ascii") for name in names) for names in (mechanisms, channel_bindings))
    return b"\x1f".join(b"\x1e".join(names) for names in lists if names)


class _State(Enum):
    START = auto()
    ASKED = auto()  # an empty challenge is out
    CHALLENGED = auto()
    OVER = auto()


class Scram(Mechanism):
    """One attempt, from the client's first message to its proof.

    Args:
        hash_name: "SHA-256" or "SHA-1".
        end_point_hash: the channel binding's data for -PLUS; None makes it the mechanism without.
        is_plus_offered: whether the stream offered any -PLUS; then a client that says we did not is being deceived.
        offered: `offer_text` of what the stream offered, b"" leaves out its hash.
        nonce: makes our part of the nonce.
    """

    __slots__ = (
        "_algorithm",
        "_credentials",
        "_end_point_hash",
        "_final_start",
        "_hash_name",
        "_is_disabled",
        "_is_known",
        "_is_plus_offered",
        "_keys",
        "_localpart",
        "_make_nonce",
        "_offered",
        "_signed",
        "_state",
        "_unknown",
    )

    def __init__(
        self,
        hash_name: str,
        credentials: Credentials,
        unknown: UnknownAccounts,
        *,
        end_point_hash: bytes | None = None,
        is_plus_offered: bool = False,
        offered: bytes = b"",
        nonce: Callable[[], bytes] = make_nonce,
    ) -> None:
        super().__init__(f"SCRAM-{hash_name}" if end_point_hash is None else f"SCRAM-{hash_name}-PLUS")
        self._hash_name = hash_name
        self._algorithm = HASHES[hash_name]
        self._credentials = credentials
        self._unknown = unknown
        self._end_point_hash = end_point_hash
        self._is_plus_offered = is_plus_offered
        self._offered = offered
        self._make_nonce = nonce
        self._state = _State.START
        self._keys: ScramKeys
        self._localpart = ""
        self._is_known = self._is_disabled = False
        self._final_start = b""  # how the client's final message must begin
        self._signed = b""  # what both sides sign, as far as it is known (RFC 5802 §3, AuthMessage)

    async def step(self, data: bytes) -> Challenge | Success:
        """Take the client's first message, then its final one.

        Raises:
            SaslError: malformed-request, invalid-authzid, not-authorized (wrong proof, no such account, wrong or missing
                channel binding), account-disabled (the proof was right).
        """
        state, self._state = self._state, _State.OVER
        if state is _State.CHALLENGED:
            return self._finish(data)
        if state is _State.START and not data:
            self._state = _State.ASKED
            return Challenge(b"")
        if state is _State.OVER:
            raise SaslError("malformed-request")
        challenge = await self._begin(data)
        self._state = _State.CHALLENGED
        return challenge

    async def _begin(self, data: bytes) -> Challenge:
        parts = data.split(b",", 4)  # gs2 flag, authzid, name, nonce, extensions
        if len(parts) < 4:
            raise SaslError("malformed-request")
        flag, authzid, name, nonce = parts[:4]
        self._check_binding_flag(flag)
        if not name.startswith(b"n=") or not nonce.startswith(b"r="):
            raise SaslError("malformed-request")  # also a reserved "m=", which asks for what nobody has defined
        if not 2 < len(nonce) <= MAX_NONCE_BYTES or nonce.translate(None, _NONCE_BYTES):
            raise SaslError("malformed-request")
        localpart = prepare_username(_unescape(name[2:]))
        if authzid:
            if not authzid.startswith(b"a="):
                raise SaslError("malformed-request")
            check_authzid(_unescape(authzid[2:]), localpart, self._unknown.domain)
        self._localpart = localpart
        await self._look_up(localpart)
        keys = self._keys
        nonce += self._make_nonce()
        salt = binascii.b2a_base64(keys.salt, newline=False)
        challenge = b"%b,s=%b,i=%d" % (nonce, salt, keys.iterations)
        if self._offered:
            offer_hash = hashlib.new(self._algorithm, self._offered).digest()
            challenge += b",h=" + binascii.b2a_base64(offer_hash, newline=False)
        gs2_header = b"%b,%b," % (flag, authzid)
        binding = binascii.b2a_base64(gs2_header + (self._end_point_hash or b""), newline=False)
        self._final_start = b"c=%b,%b" % (binding, nonce)
        self._signed = b"%b,%b," % (data[len(gs2_header) :], challenge)
        return Challenge(challenge)

    def _check_binding_flag(self, flag: bytes) -> None:
        """RFC 5802 §6: a client says whether it binds, could bind, or cannot."""
        if self._end_point_hash is not None:
            if flag != _BINDING_FLAG:
                raise SaslError("not-authorized" if flag.startswith(b"p=") else "malformed-request")
        elif flag == b"y":
            if self._is_plus_offered:  # somebody removed -PLUS from what we offered
                raise SaslError("not-authorized")
        elif flag != b"n":
            raise SaslError("not-authorized" if flag.startswith(b"p=") else "malformed-request")

    async def _look_up(self, localpart: str) -> None:
        # Invented in any case, so that both cases take the same time.
        keys = self._unknown.keys(localpart, self._hash_name)
        record = await self._credentials.get(localpart)
        if record is not None:
            own = record.keys.get(self._hash_name)
            self._is_known, self._is_disabled = own is not None, record.disabled
            keys = own or keys
        self._keys = keys

    def _finish(self, data: bytes) -> Success:
        start, mark, encoded = data.rpartition(b",p=")
        if not mark or not start.startswith(b"c="):
            raise SaslError("malformed-request")
        try:
            proof = binascii.a2b_base64(encoded, strict_mode=True)
        except ValueError:
            raise SaslError("malformed-request") from None
        keys, algorithm = self._keys, self._algorithm
        size = len(keys.stored_key)
        if len(proof) != size:
            raise SaslError("malformed-request")
        signed = self._signed + start
        signature = hmac.digest(keys.stored_key, signed, algorithm)
        client_key = (int.from_bytes(proof, "big") ^ int.from_bytes(signature, "big")).to_bytes(size, "big")
        is_right = hmac.compare_digest(hashlib.new(algorithm, client_key).digest(), keys.stored_key)
        # Extensions may follow the nonce (RFC 5802 §5.1); they are signed, and we know none.
        is_bound = start == self._final_start or start.startswith(self._final_start + b",")
        if not (is_right and is_bound and self._is_known):
            raise SaslError("not-authorized")
        if self._is_disabled:
            raise SaslError("account-disabled")
        verifier = binascii.b2a_base64(hmac.digest(keys.server_key, signed, algorithm), newline=False)
        return Success(b"v=" + verifier, self._localpart)


def _unescape(text: bytes) -> bytes:
    """Return a saslname without its "=2C" and "=3D" (RFC 5802 §5.1).

    Raises:
        SaslError: malformed-request for any other "=".
    """
    if b"=" not in text:
        return text
    first, *others = text.split(b"=")
    pieces = [first]
    for other in others:
        escaped = {b"2C": b",", b"3D": b"="}.get(other[:2])
        if escaped is None:
            raise SaslError("malformed-request")
        pieces += (escaped, other[2:])
    return b"".join(pieces)
