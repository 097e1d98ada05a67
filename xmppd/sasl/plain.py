"""SASL PLAIN (RFC 4616): the password itself, so only inside TLS."""

from collections.abc import Callable

from storage.interface import AccountRecord
from xmppd.errors import SaslError
from xmppd.sasl.mechanism import Challenge, Credentials, Mechanism, Success, check_authzid, decode, prepare_username
from xmppd.sasl.password_work import PasswordWork, TooBusy
from xmppd.sasl.unknown import UnknownAccounts


class Plain(Mechanism):
    """One message: authzid NUL authcid NUL password.

    Args:
        on_password: called with an account and its password, once that has been proven right.
    """

    __slots__ = ("_asked", "_credentials", "_on_password", "_unknown", "_work")

    def __init__(
        self,
        credentials: Credentials,
        unknown: UnknownAccounts,
        work: PasswordWork,
        on_password: Callable[[AccountRecord, str], None] | None = None,
    ) -> None:
        super().__init__("PLAIN")
        self._credentials = credentials
        self._unknown = unknown
        self._work = work
        self._on_password = on_password
        self._asked = False

    async def step(self, data: bytes) -> Challenge | Success:
        """Check the one message.

        Raises:
            SaslError: malformed-request, invalid-authzid, not-authorized, account-disabled (the password was right),
                temporary-auth-failure (too many logins at once).
        """
        if not data and not self._asked:
            self._asked = True
            return Challenge(b"")
        parts = data.split(b"\0")
        if len(parts) != 3 or not parts[1] or not parts[2]:
            raise SaslError("malformed-request")
        password = decode(parts[2])
        localpart = prepare_username(parts[1])
        check_authzid(parts[0], localpart, self._unknown.domain)
        invented = self._unknown.record(localpart)
        record = await self._credentials.get(localpart)
        try:
            is_right = await self._work.verify(record or invented, password)
        except TooBusy:
            raise SaslError("temporary-auth-failure") from None
        if record is None or not is_right:
            raise SaslError("not-authorized")
        if record.disabled:
            raise SaslError("account-disabled")
        if self._on_password is not None:
            self._on_password(record, password)
        return Success(b"", localpart)
