"""Numbers of gateways."""

from cassandra.cluster import Session

from storage.cassandra.backend import CassandraBackend
from storage.interface import ArchiveCopy
from tests.storage.cassandra.marks import ON_CASSANDRA
from tests.storage.conftest import opened
from tests.storage.tools import JULIET, ROMEO, cassandra_settings, make_tables
from tests.support.cassandra import Cassandra

pytestmark = ON_CASSANDRA


async def test_no_two_gateways_have_one_number_and_one_that_ends_gives_it_back(
    cassandra: Cassandra, keyspace: str, administrator: Session
) -> None:
    where = await make_tables(cassandra_settings(cassandra, keyspace))
    async with opened(CassandraBackend(where)) as one, opened(CassandraBackend(where)) as other:
        numbers = {one.gateway_number, other.gateway_number}
        assert len(numbers) == 2
        # Only those two are left: neither is given while its lease lasts.
        rows = list(administrator.execute(f"SELECT number, until_us FROM {keyspace}.gateway"))
        assert {row.number for row in rows} == numbers and all(row.until_us > 0 for row in rows)
    assert {row.until_us for row in administrator.execute(f"SELECT until_us FROM {keyspace}.gateway")} == {0}


async def test_the_greatest_id_given_with_a_number_is_known_to_the_next_who_has_it(
    cassandra: Cassandra, keyspace: str, administrator: Session
) -> None:
    where = await make_tables(cassandra_settings(cassandra, keyspace))
    async with opened(CassandraBackend(where)) as backend:
        number = backend.gateway_number
        await backend.archive.append(2**40, b"x", [ArchiveCopy(ROMEO, JULIET)])
    taken = f"INSERT INTO {keyspace}.gateway (number, holder, until_us, last_id) VALUES (%s, 1, %s, 0)"
    for done in [administrator.execute_async(taken, (n, 2**62)) for n in range(1024) if n != number]:
        done.result()
    async with opened(CassandraBackend(where)) as backend:
        assert backend.gateway_number == number
        assert backend.archive.last_id == 2**40
