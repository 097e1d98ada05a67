"""From a URL to a backend."""

import pytest

from storage.interface import StorageError
from xmppd.storage_url import open_backend


async def test_a_path_is_a_sqlite_file(tmp_path):
    commits: list[float] = []
    backend = open_backend(f"sqlite:{tmp_path}/x.db", exclusive=True, on_commit=commits.append)
    await backend.open()
    await backend.keyval("test").set("owner", b"value")
    await backend.close()
    assert (tmp_path / "x.db").exists()
    assert len(commits) >= 1


async def test_only_one_server_has_a_database_but_a_command_may_join(tmp_path):
    url = f"sqlite:{tmp_path}/x.db"
    server = open_backend(url, exclusive=True)
    await server.open()
    with pytest.raises(StorageError):
        await open_backend(url, exclusive=True).open()
    beside = open_backend(url, exclusive=False)
    await beside.open()
    await beside.close()
    await server.close()


@pytest.mark.parametrize("url", ["", "sqlite:", "mysql:x", "cassandra://a/b"])
def test_another_kind_is_refused(url):
    with pytest.raises(StorageError, match="this version has sqlite:PATH"):
        open_backend(url, exclusive=True)
