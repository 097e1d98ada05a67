"""From a URL to a backend."""

import subprocess
import sys
from pathlib import Path

import pytest

from storage.interface import StorageError
from xmppd.config import StorageConfig
from xmppd.storage_url import cluster_of, open_backend

ROOT = Path(__file__).parents[2]


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


@pytest.mark.parametrize("url", ["", "sqlite:", "mysql:x", "mysql://me:hunter2@x"])
def test_another_kind_is_refused_without_a_word_of_a_password(url):
    with pytest.raises(StorageError, match="this version has sqlite:PATH") as caught:
        open_backend(url, exclusive=True)
    assert "hunter2" not in str(caught.value)


def test_a_cluster_has_the_urls_words_and_the_settings():
    settings = StorageConfig(password="hunter2", tls=True, replicas={"east": 3}, max_waiting_mb=2, speculative_ms=0)
    cluster = cluster_of("cassandra://me@a,b:9043/chat?dc=east", settings)
    assert (cluster.hosts, cluster.port, cluster.keyspace, cluster.datacenter) == (("a", "b"), 9043, "chat", "east")
    assert (cluster.user, cluster.password, cluster.tls, cluster.replication) == ("me", "hunter2", True, {"east": 3})
    assert (cluster.max_waiting_bytes, cluster.speculative_s) == (2 * 1024 * 1024, 0)
    assert cluster_of("cassandra://me:own@a/chat", settings).password == "own"


def test_a_cluster_is_a_backend_that_is_not_reached_before_it_is_opened():
    assert not open_backend("cassandra://nowhere.invalid/chat", exclusive=True).is_full


def test_without_the_driver_a_line_says_what_to_install():
    # in a process of its own: what was imported here already would come back only by half
    code = """
import sys
sys.modules["cassandra"] = None
from storage.interface import StorageError
from xmppd.storage_url import open_backend
try:
    open_backend("cassandra://a/chat", exclusive=True)
except StorageError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert "pip install 'xmppd[cassandra]'" in done.stdout
