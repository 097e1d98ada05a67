"""The session: starting, waiting, reading in pages, failing in one line."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from storage.cassandra import driver as driver_file
from storage.cassandra.driver import Driver
from storage.interface import StorageClosed, StorageError
from tests.storage.cassandra.marks import ON_CASSANDRA
from tests.storage.tools import cassandra_settings
from tests.support.ca import make_test_ca
from tests.support.cassandra import HOST, Cassandra
from tests.support.daemon import free_ports

pytestmark = ON_CASSANDRA
LOG = logging.getLogger("test.storage")


@pytest.fixture
async def driver(cassandra: Cassandra) -> AsyncIterator[Driver]:
    driver = Driver(cassandra_settings(cassandra, "system_schema"), LOG)
    await driver.connect()
    yield driver
    await driver.close()


async def test_a_read_goes_on_over_its_pages(driver: Driver) -> None:
    statement = driver.statement("SELECT table_name FROM {ks}.tables WHERE keyspace_name = ?")
    await driver.prepare()
    everything = await driver.rows(statement, ("system",))
    assert len(everything) > 10 and await driver.rows(statement, ("system",), 3) == everything
    page, state = await driver.page(statement, ("system",), 3)
    assert page == everything[:3] and state is not None
    page, _ = await driver.page(statement, ("system",), 3, state)
    assert page == everything[3:6]
    page, state = await driver.page(statement, ("system",), 1000)
    assert page == everything and state is None


async def test_one_text_is_one_statement(driver: Driver) -> None:
    assert driver.statement("SELECT key FROM system.local") is driver.statement("SELECT key FROM system.local")


async def test_a_statement_that_is_refused_is_one_line(driver: Driver) -> None:
    driver.statement("SELECT nothing FROM {ks}.tables")
    with pytest.raises(StorageError) as caught:
        await driver.prepare()
    assert "\n" not in str(caught.value) and "SELECT nothing" in str(caught.value)


async def test_whoever_waits_for_an_answer_may_be_cancelled(driver: Driver) -> None:
    statement = driver.statement("SELECT key FROM system.local")
    await driver.prepare()
    task = asyncio.ensure_future(driver.execute(statement))
    await asyncio.sleep(0)
    task.cancel()
    assert await driver.execute(statement) == [("local",)]


async def test_the_clock_follows_the_clusters_and_a_difference_is_said_once(
    driver: Driver, caplog: pytest.LogCaptureFixture
) -> None:
    await driver._read_clock()
    assert not caplog.records
    real = driver.clock._now_ns
    driver.clock._now_ns = lambda: real() - 3_600_000_000_000
    for _ in range(2):
        await driver._read_clock()
    (record,) = caplog.records
    assert "3600" in record.getMessage() and "behind" in record.getMessage()
    assert abs(driver.clock.next_us() - real() // 1000) < 60_000_000


async def test_a_closed_session_says_so(cassandra: Cassandra) -> None:
    driver = Driver(cassandra_settings(cassandra, "system"), LOG)
    await driver.connect()
    statement = driver.statement("SELECT key FROM system.local")
    await driver.prepare()
    await driver.close()
    with pytest.raises(StorageClosed):
        await driver.execute(statement)


async def test_a_start_waits_for_the_cluster_and_says_so_once(
    cassandra: Cassandra, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_file, "START_RETRY_S", 0.05)
    driver = Driver(cassandra_settings(cassandra, "system", timeout_s=0.5), LOG)
    tries, connect = 0, driver._connect

    def late() -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise OSError("connection refused")
        connect()

    monkeypatch.setattr(driver, "_connect", late)
    await driver.connect()
    await driver.close()
    assert [record.getMessage() for record in caplog.records if record.name == LOG.name] == [
        f"waiting for {driver.settings}: connection refused",
        f"{driver.settings} answers",
    ]


async def test_a_cluster_that_is_not_there_is_one_line_after_the_patience(cassandra: Cassandra) -> None:
    (port,) = free_ports(1)
    settings = cassandra_settings(cassandra, "system", port=port, start_patience_s=0)
    with pytest.raises(StorageError, match="cannot be reached: no node answers") as caught:
        await Driver(settings, LOG).connect()
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cassandra]:
    """A node that wants a password and speaks TLS."""
    folder = tmp_path_factory.mktemp("guarded")
    leaf = make_test_ca(folder).sign([HOST])
    pem = folder / "both.pem"
    pem.write_text(Path(leaf.key).read_text() + Path(leaf.certificate).read_text())
    node = Cassandra(
        folder,
        {
            "authenticator": "PasswordAuthenticator",
            "client_encryption_options": {
                "enabled": True,
                "optional": False,
                "ssl_context_factory": {"class_name": "org.apache.cassandra.security.PEMBasedSslContextFactory"},
                "keystore": str(pem),
            },
        },
    )
    try:
        node.start()
        yield node
    finally:
        node.kill9()


async def test_passwords_and_tls(guarded: Cassandra) -> None:
    def settings(**others):
        return cassandra_settings(
            guarded, "system", **{"tls": True, "tls_ca": guarded.folder / "ca.pem", "start_patience_s": 30} | others
        )

    good = Driver(settings(user="cassandra", password="cassandra"), LOG)
    await good.connect()
    await good.close()
    with pytest.raises(StorageError, match="check user and password") as caught:
        await Driver(settings(user="cassandra", password="hunter2"), LOG).connect()
    assert "hunter2" not in str(caught.value)
    with pytest.raises(StorageError, match="cannot be reached"):
        await Driver(settings(user="cassandra", password="cassandra", tls_ca=None, start_patience_s=0), LOG).connect()
