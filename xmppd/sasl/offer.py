"""Which mechanisms a client stream offers, and the making of the one that the client chose."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from storage.interface import AccountRecord
from xmppd.errors import SaslError
from xmppd.sasl.keys import HASHES
from xmppd.sasl.mechanism import Credentials, Mechanism
from xmppd.sasl.password_work import PasswordWork
from xmppd.sasl.plain import Plain
from xmppd.sasl.scram import BINDING_TYPE, Scram, offer_text
from xmppd.sasl.unknown import UnknownAccounts

_SCRAM: Mapping[str, str] = MappingProxyType({f"SCRAM-{name}": name for name in HASHES})
_SCRAM_PLUS: Mapping[str, str] = MappingProxyType({f"SCRAM-{name}-PLUS": name for name in HASHES})


@dataclass(frozen=True, slots=True)
class Realm:
    """What logins to one domain need; one object a virtual host, and one `PasswordWork` for all of them.

    Attributes:
        on_password: see `Plain`.
    """

    credentials: Credentials
    unknown: UnknownAccounts
    work: PasswordWork = field(default_factory=PasswordWork)
    on_password: Callable[[AccountRecord, str], None] | None = None


class Offer:
    """The mechanisms of one stream.

    Args:
        realm: the domain that the stream is for.
        is_encrypted: whether the stream runs inside TLS; PLAIN and -PLUS need it.
        end_point_hash: `TlsEngine.end_point_hash`; None leaves out -PLUS.

    Attributes:
        names: what the stream features list, strongest first.
        channel_bindings: what XEP-0440 lists; empty without -PLUS.
        end_point_hash: as given, None without TLS.
    """

    __slots__ = ("_realm", "channel_bindings", "end_point_hash", "names")

    def __init__(self, realm: Realm, *, is_encrypted: bool, end_point_hash: bytes | None = None) -> None:
        self._realm = realm
        self.end_point_hash = end_point_hash if is_encrypted else None
        plus = tuple(_SCRAM_PLUS) if self.end_point_hash is not None else ()
        plain = ("PLAIN",) if is_encrypted else ()
        self.names: tuple[str, ...] = (*plus, *_SCRAM, *plain)
        self.channel_bindings: tuple[str, ...] = (BINDING_TYPE,) if plus else ()

    def build(self, name: str) -> Mechanism:
        """Return a new attempt by a mechanism.

        Raises:
            SaslError: invalid-mechanism for one that we do not have; encryption-required for one that this stream needs
                TLS for.

        Spec: RFC 6120 §6.5.
        """
        realm = self._realm
        if name not in self.names:
            is_ours = name == "PLAIN" or name in _SCRAM_PLUS
            raise SaslError("encryption-required" if is_ours and "PLAIN" not in self.names else "invalid-mechanism")
        if name == "PLAIN":
            return Plain(realm.credentials, realm.unknown, realm.work, realm.on_password)
        is_plus = name in _SCRAM_PLUS
        return Scram(
            _SCRAM_PLUS[name] if is_plus else _SCRAM[name],
            realm.credentials,
            realm.unknown,
            end_point_hash=self.end_point_hash if is_plus else None,
            is_plus_offered=self.end_point_hash is not None,
            offered=offer_text(self.names, self.channel_bindings),
        )
