"""From `storage.url` to a backend: "sqlite:PATH"."""

from collections.abc import Callable
from pathlib import Path

from storage.interface import Backend, StorageError
from storage.sqlite.backend import SqliteBackend


def open_backend(url: str, exclusive: bool, on_commit: Callable[[float], None] | None = None) -> Backend:
    """Return the backend of a URL, not opened yet: `await backend.open()`.

    Args:
        url: "sqlite:" and the path of the file.
        exclusive: True for the server, of which there is one for a database; False for the command line beside it.
        on_commit: called after each commit with how long it took, in seconds (`Metrics.observe_commit`).

    Raises:
        StorageError: no backend of that kind.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite" and rest:
        return SqliteBackend(Path(rest), exclusive=exclusive, on_commit=on_commit)
    raise StorageError(f"storage.url {url}: this version has sqlite:PATH")
