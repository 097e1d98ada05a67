"""Making, checking and changing the tables."""

import logging
from collections.abc import AsyncIterator

import pytest
from cassandra.cluster import Session

from storage.cassandra import schema
from storage.cassandra.backend import CassandraBackend
from storage.cassandra.driver import Driver
from storage.interface import StorageError
from tests.storage.cassandra.marks import ON_CASSANDRA
from tests.storage.tools import cassandra_settings, make_tables
from tests.support.cassandra import Cassandra

pytestmark = ON_CASSANDRA


@pytest.fixture
async def driver(cassandra: Cassandra, keyspace: str) -> AsyncIterator[Driver]:
    driver = Driver(cassandra_settings(cassandra, keyspace), logging.getLogger("test"))
    await driver.connect()
    yield driver
    await driver.close()


async def test_tables_are_made_once_and_pass_their_check(driver: Driver) -> None:
    await schema.create(driver)
    await schema.create(driver)
    await schema.check(driver)
    assert await schema.migrate(driver) == schema.VERSION


async def test_a_keyspace_that_is_not_there_says_what_to_do(cassandra: Cassandra, keyspace: str) -> None:
    with pytest.raises(StorageError, match=r"is empty: run xmppd storage init$"):
        await CassandraBackend(cassandra_settings(cassandra, keyspace)).open()


async def test_a_making_that_was_cut_short_goes_on(driver: Driver, administrator: Session) -> None:
    keyspace = driver.settings.keyspace
    await schema.create(driver)
    administrator.execute(f"DROP TABLE {keyspace}.map")
    administrator.execute(f"TRUNCATE {keyspace}.meta")
    with pytest.raises(StorageError, match=r"run xmppd storage migrate$"):
        await schema.check(driver)
    assert await schema.migrate(driver) == 0
    await schema.check(driver)
    administrator.execute(f"SELECT * FROM {keyspace}.map")


async def test_a_keyspace_of_a_later_version_is_refused_in_one_line(driver: Driver, administrator: Session) -> None:
    await schema.create(driver)
    administrator.execute(
        f"UPDATE {driver.settings.keyspace}.meta SET value = '{schema.VERSION + 1}' WHERE name = 'schema'"
    )
    for refused in (schema.check(driver), schema.migrate(driver), CassandraBackend(driver.settings).open()):
        with pytest.raises(StorageError, match="later xmppd") as caught:
            await refused
        assert "\n" not in str(caught.value)


async def test_the_tables_of_another_program_are_left_alone(driver: Driver, administrator: Session) -> None:
    keyspace = driver.settings.keyspace
    administrator.execute(
        f"CREATE KEYSPACE {keyspace} WITH replication = {{'class': 'NetworkTopologyStrategy', 'datacenter1': 1}}"
    )
    administrator.execute(f"CREATE TABLE {keyspace}.theirs (a int PRIMARY KEY)")
    for refused in (schema.check(driver), schema.migrate(driver), schema.create(driver)):
        with pytest.raises(StorageError, match="another program"):
            await refused


async def test_the_keyspace_has_the_replicas_of_the_settings(driver: Driver, administrator: Session) -> None:
    await schema.create(driver)
    keyspace = driver.settings.keyspace
    row = administrator.execute(
        f"SELECT replication FROM system_schema.keyspaces WHERE keyspace_name = '{keyspace}'"
    ).one()
    assert row[0]["datacenter1"] == "1" and row[0]["class"].endswith("NetworkTopologyStrategy")


@pytest.mark.parametrize("replication", [{"elsewhere": 2}, {"datacenter1": 0}, {"it's": 1}])
async def test_replicas_that_cannot_be_are_one_line(
    cassandra: Cassandra, keyspace: str, replication: dict[str, int]
) -> None:
    with pytest.raises(StorageError) as caught:
        await make_tables(cassandra_settings(cassandra, keyspace, replication=replication))
    assert "\n" not in str(caught.value)
