"""From `storage.url` to a backend: "sqlite:PATH", or "cassandra://HOSTS/KEYSPACE" with the package's extra `cassandra`."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from storage.interface import Backend, StorageError
from storage.sqlite.backend import SqliteBackend
from xmppd.config import StorageConfig

if TYPE_CHECKING:
    from storage.cassandra.settings import CassandraSettings


def open_backend(
    url: str,
    exclusive: bool,
    on_commit: Callable[[float], None] | None = None,
    settings: StorageConfig | None = None,
) -> Backend:
    """Return the backend of a URL, not opened yet: `await backend.open()`.

    Args:
        url: "sqlite:" and the path of the file, or "cassandra:" and where the cluster is.
        exclusive: True for the server, of which there is one for a file; False for the command line beside it.
        on_commit: called after each commit with how long it took, in seconds (`Metrics.observe_commit`).
        settings: what the URL does not say; None: the defaults.

    Raises:
        StorageError: no backend of that kind, or its driver is not installed.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite" and rest:
        return SqliteBackend(Path(rest), exclusive=exclusive, on_commit=on_commit)
    if scheme == "cassandra":
        try:
            from storage.cassandra.backend import CassandraBackend  # its driver takes a second, and need not be there
        except ModuleNotFoundError as error:
            raise StorageError(f"storage.url needs {error.name}: pip install 'xmppd[cassandra]'") from None
        return CassandraBackend(cluster_of(url, settings), on_commit=on_commit)
    raise StorageError(
        f"storage.url {url.rpartition('@')[2]}: this version has sqlite:PATH and cassandra://HOSTS/KEYSPACE"
    )


def cluster_of(url: str, settings: StorageConfig | None = None) -> "CassandraSettings":
    """Return how a cluster is reached, from the URL and what else is set.

    Raises:
        StorageError: the URL has another form; the text does not repeat it.
    """
    from storage.cassandra.settings import parse_url

    settings = settings or StorageConfig.model_validate({})
    found = parse_url(url)
    return replace(
        found,
        password=found.password or settings.password.get_secret_value(),
        replication=settings.replicas,
        tls=settings.tls,
        tls_ca=settings.tls_ca,
        tls_certificate=settings.tls_certificate,
        tls_key=settings.tls_key,
        tls_check_names=settings.tls_check_names,
        max_in_flight=settings.max_in_flight,
        max_waiting_bytes=settings.max_waiting_mb * 1024 * 1024,
        timeout_s=settings.timeout_s,
        patience_s=settings.patience_s,
        start_patience_s=settings.start_patience_s,
        speculative_s=settings.speculative_ms / 1000,
    )
