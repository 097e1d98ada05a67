"""How a cluster is reached: "cassandra://[user:password@]host1,host2[:port]/keyspace?dc=...&consistency=...", and what no URL says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from storage.interface import StorageError

PORT = 9042
CONSISTENCIES = ("ONE", "LOCAL_ONE", "QUORUM", "LOCAL_QUORUM", "EACH_QUORUM", "ALL")
FORM = "cassandra://[user:password@]host1,host2[:port]/keyspace[?dc=NAME&consistency=LOCAL_QUORUM]"


@dataclass(frozen=True, slots=True)
class CassandraSettings:
    """What is known of a cluster before it is reached.

    Attributes:
        hosts: contact points; the cluster tells of its other nodes.
        password: not part of the text of this object.
        datacenter: the one of this machine: others are asked for nothing. "": that of the first contact point reached.
        consistency: how many replicas must have a write before it counts as committed, and answer a read.
        replication: replicas by datacenter, for the making of the keyspace; empty: `DEFAULT_REPLICAS` in this datacenter.
        tls: whether to speak TLS; `tls_ca` (PEM, None: the system's), `tls_certificate` and `tls_key` (ours, None: none).
        tls_check_names: whether a node's certificate must name its address.
        max_in_flight: requests that nodes have not answered; more wait here.
        max_waiting_bytes: of writes that are not committed; more are refused with `StorageFull`.
        timeout_s: after which a request counts as unanswered.
        patience_s: how long a read is tried again before it fails.
        start_patience_s: how long `open` waits for the cluster.
        speculative_s: a read that takes longer is asked of another replica too. 0: never.
    """

    hosts: tuple[str, ...]
    keyspace: str
    port: int = PORT
    user: str = ""
    password: str = field(default="", repr=False)
    datacenter: str = ""
    consistency: str = "LOCAL_QUORUM"
    replication: Mapping[str, int] = field(default_factory=dict)
    tls: bool = False
    tls_ca: Path | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    tls_check_names: bool = True
    max_in_flight: int = 64
    max_waiting_bytes: int = 64 * 1024 * 1024
    timeout_s: float = 5.0
    patience_s: float = 10.0
    start_patience_s: float = 60.0
    speculative_s: float = 0.1

    def __str__(self) -> str:
        """Return the URL without the secrets, for messages."""
        return f"cassandra://{','.join(self.hosts)}:{self.port}/{self.keyspace}"


def is_name(text: str) -> bool:
    """Whether the text can name a keyspace without quotes: small letters, digits and _, a letter first, 48 at most."""
    return text.isascii() and text.isidentifier() and text == text.lower() and text[0] != "_" and len(text) <= 48


def parse_url(url: str) -> CassandraSettings:
    """Read a URL of the form `FORM`.

    Raises:
        StorageError: it is none; the text does not repeat it, since it may hold a password.
    """
    wrong = StorageError(f"storage.url is not of the form {FORM}")
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        raise wrong from None
    login, _, places = parts.netloc.rpartition("@")
    user, _, password = login.partition(":")
    hosts, port = _places(places)
    keyspace = parts.path.removeprefix("/")
    datacenter, consistency = query.pop("dc", ""), query.pop("consistency", "LOCAL_QUORUM").upper()
    if parts.scheme != "cassandra" or not hosts or not port or parts.fragment or query:
        raise wrong
    if not is_name(keyspace):
        raise StorageError("storage.url: a keyspace has small letters, digits and _, a letter first, 48 at most")
    if consistency not in CONSISTENCIES:
        raise StorageError(f"storage.url: consistency is one of {', '.join(CONSISTENCIES)}")
    return CassandraSettings(
        hosts, keyspace, port, unquote(user), unquote(password), datacenter=datacenter, consistency=consistency
    )


def without_secrets(url: str) -> str:
    """Return the URL with its user and password left out, whatever else is wrong with it."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2]}"


def _places(text: str) -> tuple[tuple[str, ...], int]:
    """Return the hosts and the port of "host1,host2:port"; the port may follow the last host; IPv6 stands in brackets."""
    hosts, port = [], PORT
    names = text.split(",")
    for name in names:
        if name.startswith("["):
            host, _, after = name[1:].partition("]")
        else:
            host, colon, after = name.partition(":")
            after = colon + after
        if after:
            number = after.removeprefix(":")
            if name is not names[-1] or not number.isdecimal() or not 0 < int(number) < 65536:
                return (), 0
            port = int(number)
        hosts.append(host)
    return (tuple(hosts) if all(hosts) else ()), port
