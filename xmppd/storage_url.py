"""From `storage.url` to a backend: "sqlite:PATH"."""

from pathlib import Path

from storage.interface import Backend, StorageError
from storage.sqlite.backend import SqliteBackend


def open_backend(url: str, exclusive: bool) -> Backend:
    """Return the backend of a URL, not opened yet: `await backend.open()`.

    Args:
        url: "sqlite:" and the path of the file.
        exclusive: True for the server, of which there is one for a database; False for the command line beside it.

    Raises:
        StorageError: no backend of that kind.
    """
    scheme, _, rest = url.partition(":")
    if scheme == "sqlite" and rest:
        return SqliteBackend(Path(rest), exclusive=exclusive)
    raise StorageError(f"storage.url {url}: this version has sqlite:PATH")
